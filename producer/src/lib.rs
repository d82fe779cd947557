//! Query job, spool, put
