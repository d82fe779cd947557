//! The drop box: put once, list, get, delete
