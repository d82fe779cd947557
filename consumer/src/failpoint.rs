//! Places at which a test ends the process, as a power cut would: between any two steps of a file's way.
//! Without the feature `failpoints`, which only tests switch on, there are none.

/// Ends the process at once if `FAILPOINTS` says `return` of this name.
#[cfg(feature = "failpoints")]
pub(crate) fn failpoint(name: &str) {
    let ended: Option<()> = fail::eval(name, |_| std::process::abort());
    debug_assert!(ended.is_none());
}

/// Nothing.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn failpoint(_name: &str) {}
