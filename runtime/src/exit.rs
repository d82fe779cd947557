//! The exit codes of both programs: one list, after BSD's `sysexits.h`, so that
//! cron, systemd and a wrapper script can tell weather from a mistake.

use std::process::ExitCode;

/// How a process ends. The numbers are promises: scripts compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Done.
    Ok = 0,
    /// The command line is wrong.
    Usage = 64,
    /// A result or a file breaks the contract, or the source refused the query.
    Data = 65,
    /// No watermark, and none was given.
    NoInput = 66,
    /// A database is unreachable, or took too long.
    Unavailable = 69,
    /// A bug.
    Software = 70,
    /// The state folder can't be used.
    CantCreate = 73,
    /// The bucket is unreachable; the result is safe in the spool.
    Io = 74,
    /// Another run holds the lock.
    TempFail = 75,
    /// Credentials were refused.
    NoPerm = 77,
    /// The configuration is wrong.
    Config = 78,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Runs a whole program; a panic is a bug and ends with 70, not with Rust's own 101.
pub fn guard(program: impl FnOnce() -> Code) -> ExitCode {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(program))
        .unwrap_or(Code::Software)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_bug_and_ends_with_70() {
        let code = guard(|| panic!("on purpose"));
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(70)));
    }
}
