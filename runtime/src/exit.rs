//! The exit codes of both programs: one list, after BSD's `sysexits.h`, so that
//! cron, systemd and a wrapper script can tell weather from a mistake.

use std::process::ExitCode;

/// How a process ends. The numbers are promises: scripts compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Done.
    Ok = 0,
    /// Of `check`: something is late, failing, parked or held.
    Wrong = 1,
    /// Of `check`: it can't be told whether anything is.
    CannotTell = 2,
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
    /// The state folder can't be written, or is another user's.
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

impl Code {
    /// All there are.
    pub const ALL: [Self; 13] = [
        Self::Ok,
        Self::Wrong,
        Self::CannotTell,
        Self::Usage,
        Self::Data,
        Self::NoInput,
        Self::Unavailable,
        Self::Software,
        Self::CantCreate,
        Self::Io,
        Self::TempFail,
        Self::NoPerm,
        Self::Config,
    ];

    /// What it says, in a line of a man page.
    pub fn means(self) -> &'static str {
        match self {
            Self::Ok => "Done",
            Self::Wrong => "Of the consumer's check: something is late, failing, parked or held",
            Self::CannotTell => "Of the consumer's check: it can't be told whether anything is",
            Self::Usage => "The command line is wrong",
            Self::Data => "A result or a file breaks the contract, or the source refused the query",
            Self::NoInput => "There is no watermark, and none was given",
            Self::Unavailable => "A database is unreachable, or took too long",
            Self::Software => "A bug",
            Self::CantCreate => "The state folder can't be written, or is another user's",
            Self::Io => "The bucket is unreachable; a result is safe in the spool",
            Self::TempFail => "Another run of the job is under way",
            Self::NoPerm => "Credentials or a right were refused",
            Self::Config => "The configuration is wrong",
        }
    }
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
