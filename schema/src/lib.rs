//! The contract: envelope, columns, values, names, keys
