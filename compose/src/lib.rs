//! The whole stack as local processes, for the demo and the tests
