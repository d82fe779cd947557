//! What `doctor` finds: a line for each thing that should be so, whether it is, and what to do where it isn't.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::exit::Code;

/// Whether it is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is.
    Ok,
    /// It is not.
    Fail,
    /// That could not be found out, which is no pass.
    Unproven,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about: `bucket: region`. A promise, as an exit code is: scripts look for it.
    pub line: String,
    /// Whether it is so.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do; nothing where it is so.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    #[serde(skip)]
    code: Code,
}

impl Finding {
    /// It is so.
    pub fn ok(line: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            line: line.into(),
            verdict: Verdict::Ok,
            found: found.into(),
            remedy: String::new(),
            code: Code::Ok,
        }
    }

    /// It is not so, which by itself would end the program with `code`.
    pub fn fail(
        line: impl Into<String>,
        code: Code,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            line: line.into(),
            verdict: Verdict::Fail,
            found: found.into(),
            remedy: remedy.into(),
            code,
        }
    }

    /// Whether it is so could not be found out.
    pub fn unproven(
        line: impl Into<String>,
        code: Code,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Unproven,
            ..Self::fail(line, code, found, remedy)
        }
    }
}

/// All lines of one `doctor`, in the order that they are shown in.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Findings {
    lines: Vec<Finding>,
}

impl Findings {
    /// These lines.
    pub fn new(lines: Vec<Finding>) -> Self {
        Self { lines }
    }

    /// 0 if all is so; else the code of the first line that fails, or, where none does, of the first that could not
    /// be proven.
    pub fn code(&self) -> Code {
        let first = |verdict| self.lines.iter().find(|line| line.verdict == verdict);
        first(Verdict::Fail)
            .or(first(Verdict::Unproven))
            .map_or(Code::Ok, |line| line.code)
    }

    /// The lines.
    pub fn lines(&self) -> &[Finding] {
        &self.lines
    }

    fn count(&self, verdict: Verdict) -> usize {
        let with = self.lines.iter().filter(|line| line.verdict == verdict);
        with.count()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = |line: &Finding| line.line.chars().count();
        let width = self.lines.iter().map(widest).max().unwrap_or_default();
        let mut said = "";
        for line in &self.lines {
            let verdict = match line.verdict {
                Verdict::Ok => "ok",
                Verdict::Fail => "FAIL",
                Verdict::Unproven => "could not prove",
            };
            writeln!(
                f,
                "{verdict:<15}  {:<width$}  {}",
                line.line,
                shown(&line.found)
            )?;
            // Once is enough for all that have one cause.
            if !line.remedy.is_empty() && line.remedy != said {
                writeln!(f, "{:<15}  → {}", "", shown(&line.remedy))?;
            }
            said = &line.remedy;
        }
        let (all, failed) = (self.lines.len(), self.count(Verdict::Fail));
        match (failed, self.count(Verdict::Unproven)) {
            (0, 0) => write!(f, "all {all} are proven"),
            (failed, unproven) => write!(
                f,
                "of {all}, {failed} failed and {unproven} could not be proven"
            ),
        }
    }
}

/// Text of a server on one line of a terminal.
fn shown(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// How a connection is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// By TLS; certificate and host's name are verified.
    Verified,
    /// By TLS; that a known authority signed the certificate is verified, the host's name isn't.
    OfAKnownAuthority,
    /// By TLS, whoever it is at the other end.
    Unverified,
    /// Not at all.
    Plain,
}

/// The line about TLS to a database. `stays_here` says that the connection doesn't leave this machine.
pub fn tls(line: impl Into<String>, wire: Wire, stays_here: bool) -> Finding {
    const REMEDY: &str = "take sslmode out of the URL, or write sslmode=verify-full (ssl-mode=VERIFY_IDENTITY for MySQL); sslrootcert (ssl-ca) names a CA of your own";
    match (wire, stays_here) {
        (Wire::Verified, _) => Finding::ok(line, "the server's certificate is verified"),
        (Wire::OfAKnownAuthority, _) => Finding::ok(
            line,
            "the certificate is of a known authority; the host's name isn't verified",
        ),
        (Wire::Unverified, true) => Finding::ok(line, "on loopback, not verified"),
        (Wire::Plain, true) => Finding::ok(line, "none, on loopback"),
        (Wire::Unverified, false) => Finding::fail(
            line,
            Code::Config,
            "the server's certificate is not verified: anyone on the way may answer in its name",
            REMEDY,
        ),
        (Wire::Plain, false) => Finding::fail(
            line,
            Code::Config,
            "there is none: everyone on the way can read passwords and rows",
            REMEDY,
        ),
    }
}

/// The line about a clock that is so many seconds ahead of this machine's.
pub fn clock(line: impl Into<String>, ahead: f64) -> Finding {
    const APART: f64 = 60.0;
    let which = if ahead < 0.0 { "behind" } else { "ahead of" };
    let found = format!("{:.1} s {which} this machine's", ahead.abs());
    if ahead.abs() <= APART {
        Finding::ok(line, found)
    } else {
        Finding::fail(
            line,
            Code::Config,
            found,
            "set the clock that is wrong, and keep both by NTP",
        )
    }
}

/// Waits for some lines, no longer than `limit`: then what they would have said is not proven.
pub async fn within(
    limit: Duration,
    line: &str,
    code: Code,
    work: impl Future<Output = Vec<Finding>>,
) -> Vec<Finding> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        vec![Finding::unproven(
            line,
            code,
            format!("no answer within {}", humantime::format_duration(limit)),
            "see whether it hangs, or the way to it drops what is sent",
        )]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Findings {
        Findings::new(vec![
            Finding::ok("bucket: TLS", "the certificate is verified"),
            Finding::unproven("bucket: clock", Code::Io, "nobody answered", "ask again"),
            Finding::fail(
                "bucket: region",
                Code::Config,
                "it is\u{1b}[31m\nanother",
                "write it",
            ),
        ])
    }

    #[test]
    fn a_line_that_fails_says_what_to_do_and_nothing_steers_the_terminal() {
        insta::assert_snapshot!(findings(), @r"
        ok               bucket: TLS     the certificate is verified
        could not prove  bucket: clock   nobody answered
                         → ask again
        FAIL             bucket: region  it is [31m another
                         → write it
        of 3, 1 failed and 1 could not be proven
        ");
    }

    #[test]
    fn what_failed_gives_the_exit_code_before_what_could_not_be_proven() {
        let mut all = findings();
        assert_eq!(all.code(), Code::Config);
        all.lines.pop();
        assert_eq!(all.code(), Code::Io, "not proven is no pass");
        all.lines.pop();
        assert_eq!(all.code(), Code::Ok);
    }

    #[test]
    fn a_clock_is_wrong_from_a_minute_on() {
        for (ahead, verdict) in [
            (0.0, Verdict::Ok),
            (-60.0, Verdict::Ok),
            (60.5, Verdict::Fail),
            (-3600.0, Verdict::Fail),
        ] {
            assert_eq!(clock("a clock", ahead).verdict, verdict, "{ahead}");
        }
        assert_eq!(
            clock("a clock", -90.0).found,
            "90.0 s behind this machine's"
        );
    }

    #[test]
    fn a_connection_that_anyone_may_read_or_answer_is_right_on_this_machine_only() {
        for (wire, stays_here, verdict) in [
            (Wire::Verified, false, Verdict::Ok),
            (Wire::OfAKnownAuthority, false, Verdict::Ok),
            (Wire::Unverified, true, Verdict::Ok),
            (Wire::Plain, true, Verdict::Ok),
            (Wire::Unverified, false, Verdict::Fail),
            (Wire::Plain, false, Verdict::Fail),
        ] {
            assert_eq!(
                tls("TLS", wire, stays_here).verdict,
                verdict,
                "{wire:?} {stays_here}"
            );
        }
    }

    #[tokio::test]
    async fn whoever_hangs_is_named() {
        let lines = within(
            Duration::from_millis(9),
            "Postgres",
            Code::Unavailable,
            std::future::pending(),
        );
        insta::assert_snapshot!(Findings::new(lines.await), @r"
        could not prove  Postgres  no answer within 9ms
                         → see whether it hangs, or the way to it drops what is sent
        of 1, 0 failed and 1 could not be proven
        ");
    }
}
