//! What the answers tell of the server, and of the way to it.

use super::{
    Matter, Proof,
    judge::{fails, holds, unproven},
    trial::Trial,
};
use crate::{Error, s3::Wire};

/// How far the clocks of this machine and of the server may be apart, in seconds. Signatures stand up to a quarter of
/// an hour; a clock that is kept by NTP is never so far out, and one that isn't drifts on.
const APART: i64 = 60;

const ANSWERS: &str = "bucket: answers";
const REGION: &str = "bucket: region";
const TLS: &str = "bucket: TLS";
const CLOCK: &str = "bucket: clock";

impl Trial<'_> {
    /// What is the same for both programs.
    pub(super) fn common(&self) -> Vec<Proof> {
        let about_region = |error: &&Error| error.said.to_lowercase().contains("region");
        let about_clock = |error: &&Error| error.said.contains("set this machine's clock");
        // Both programs name the key of their own file that leads to no secret.
        let about_keys = |error: &Error| error.said.starts_with("bucket.");
        let region = self.settings.as_ref().filter(about_region);
        let other = self
            .settings
            .as_ref()
            .filter(|error| !about_region(error) && !about_clock(error));
        let place = self.s3.place();
        let away = |line| unproven(line, Matter::Away, "nobody answered");
        vec![
            match (&self.away, other) {
                (Some(away), _) => fails(
                    ANSWERS,
                    Matter::Away,
                    format!("{place}: {}", away.said),
                    "check the endpoint, the network and the server",
                ),
                (None, Some(error)) if about_keys(error) => fails(
                    ANSWERS,
                    Matter::Settings,
                    error.said.clone(),
                    "make the file or set the variable that [bucket] names, and let this user read it",
                ),
                (None, Some(error)) => fails(
                    ANSWERS,
                    Matter::Settings,
                    format!("{place}: {}", error.said),
                    "correct [bucket] url and endpoint",
                ),
                (None, None) => holds(ANSWERS, place),
            },
            match region {
                Some(error) => fails(
                    REGION,
                    Matter::Settings,
                    error.said.clone(),
                    "write the bucket's region in [bucket] region",
                ),
                None if self.answered => holds(REGION, "the server takes it"),
                None => away(REGION),
            },
            match self.s3.wire() {
                Wire::Tls if self.answered => holds(TLS, "the server's certificate is verified"),
                Wire::Tls => away(TLS),
                Wire::PlainOnLoopback => holds(TLS, "none, on loopback"),
                Wire::Plain => fails(
                    TLS,
                    Matter::Settings,
                    "there is none: everyone on the way can read results, and drop others"
                        .to_owned(),
                    "write https:// in [bucket] endpoint",
                ),
            },
            match self.ahead {
                Some(ahead) if ahead.abs() <= APART => holds(
                    CLOCK,
                    format!("within {} s of the server's", ahead.abs() + 1),
                ),
                Some(ahead) => {
                    let (seconds, which) =
                        (ahead.abs(), if ahead < 0 { "ahead of" } else { "behind" });
                    fails(
                        CLOCK,
                        Matter::Settings,
                        format!("this machine's clock is {seconds} s {which} the server's"),
                        "set this machine's clock, and keep it by NTP; or the server's, if that is wrong",
                    )
                }
                None if self.answered => {
                    unproven(CLOCK, Matter::Settings, "the server does not say its time")
                }
                None => away(CLOCK),
            },
        ]
    }
}
