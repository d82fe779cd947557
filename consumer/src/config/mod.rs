//! The consumer's configuration file. `docs/configuration.md` is made from these types.
//! The other files here have what is more than a key and its default.

mod bucket;
mod expect;
mod limits;
mod route;
mod webhook;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use nightdrop_runtime::config as units;
use nightdrop_runtime::config::reference::{self, DURATION, Reference, SECRET, SIZE};
use nightdrop_runtime::secret::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use url::Url;

pub use bucket::Bucket;
pub use expect::Expect;
pub use limits::{CapsConfig, Quota};
pub use route::{Producers, Route};
pub use webhook::{Address, Format, Webhook};

/// `consumer.toml`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the results lie, with the reader's credentials.
    pub bucket: Bucket,
    /// Where they go.
    pub postgres: Postgres,
    /// How often the bucket is asked.
    #[serde(default)]
    pub poll: Poll,
    /// How files are claimed and loaded.
    #[serde(default)]
    pub load: Load,
    /// What a file may ask for at most.
    #[serde(default)]
    pub caps: CapsConfig,
    /// What one producer may take up.
    #[serde(default)]
    pub quota: Quota,
    /// When bucket and Postgres are left alone for a while.
    #[serde(default)]
    pub breaker: Breaker,
    /// How long things are kept.
    #[serde(default)]
    pub keep: Keep,
    /// Health checks, metrics and the status page.
    #[serde(default)]
    pub http: Http,
    /// Tables that several producers' jobs share.
    #[serde(default, rename = "route")]
    pub routes: Vec<Route>,
    /// Jobs that are to come, whether or not they promise it themselves.
    #[serde(default, rename = "expect")]
    pub expected: Vec<Expect>,
    /// Who is told when something is wrong, and when it is no more.
    #[serde(default, rename = "webhook", deserialize_with = "webhook::each_once")]
    #[schemars(with = "Vec<webhook::Table>")]
    pub webhooks: Vec<Webhook>,
}

/// The reference of the file's keys.
pub fn reference() -> Reference {
    reference::of::<Config>()
}

/// The same, at the end of `--help`.
pub(crate) fn help() -> String {
    format!("The keys of the configuration file:\n{}", reference())
}

/// Where results go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// `postgres://role@host/database`, without the password.
    #[schemars(with = "String", extend("format" = "URL"))]
    pub url: Url,
    /// The role's password.
    #[schemars(with = "Option<String>", extend("format" = SECRET))]
    pub password: Option<Secret>,
    /// Apply pending migrations at start.
    #[serde(default = "yes")]
    pub migrate: bool,
}

fn yes() -> bool {
    true
}

/// How often the bucket is asked.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Poll {
    /// The pause between two LISTs while results keep coming.
    #[serde(with = "units::duration")]
    #[schemars(with = "String", extend("format" = DURATION))]
    pub min: Duration,
    /// The pause that it grows to while none comes.
    #[serde(with = "units::duration")]
    #[schemars(with = "String", extend("format" = DURATION))]
    pub max: Duration,
}

impl Default for Poll {
    fn default() -> Self {
        Self {
            min: Duration::from_secs(1),
            max: Duration::from_secs(5),
        }
    }
}

/// How files are claimed and loaded.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Load {
    /// How long a claim outlives the consumer that made it; renewed while it works. At least a second.
    #[serde(deserialize_with = "lease")]
    #[schemars(with = "String", extend("format" = DURATION))]
    pub lease: Duration,
    /// At most so many files in one transaction.
    pub batch_files: NonZeroU32,
    /// A file stored larger than this is streamed, in a lane of its own.
    #[serde(with = "units::size")]
    #[schemars(with = "String", extend("format" = SIZE))]
    pub stream_above: u64,
    /// A bad file stored larger than this stays in the bucket, held.
    #[serde(with = "units::size")]
    #[schemars(with = "String", extend("format" = SIZE))]
    pub park_up_to: u64,
    /// How far a result's `time` may lie ahead of Postgres's clock.
    #[serde(with = "units::duration")]
    #[schemars(with = "String", extend("format" = DURATION))]
    pub clock_skew: Duration,
}

/// A lease that is over before it can be renewed would be nobody's.
fn lease<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let lease: Duration = units::duration::deserialize(from)?;
    if lease < Duration::from_secs(1) {
        return Err(serde::de::Error::custom("a lease is at least 1s"));
    }
    Ok(lease)
}

impl Default for Load {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            batch_files: const { NonZeroU32::new(500).unwrap() },
            stream_above: 1024 * 1024,
            park_up_to: 64 * 1024 * 1024,
            clock_skew: Duration::from_mins(5),
        }
    }
}

/// `[breaker]`: after so many failures in a row nothing is asked for a while, of the bucket or of Postgres.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// Failures in a row that open it.
    pub failures: NonZeroU32,
    /// How long it stays open.
    #[serde(with = "units::duration")]
    #[schemars(with = "String", extend("format" = DURATION))]
    pub open_for: Duration,
    /// Calls that must succeed in a row before it is closed again.
    pub trials: NonZeroU32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: const { NonZeroU32::new(5).unwrap() },
            open_for: Duration::from_mins(1),
            trials: const { NonZeroU32::new(3).unwrap() },
        }
    }
}

/// How long things are kept.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// Decided files older than this leave the ledger; what was loaded is remembered by run and hash, for good.
    /// At least an hour: what a LIST that is under way still shows must be known.
    #[serde(deserialize_with = "history")]
    #[schemars(with = "String", extend("format" = DURATION))]
    pub history: Duration,
    /// Files parked for longer raise an alarm (a line at `error` each hour, and in `status`); they are never dropped
    /// by themselves.
    #[serde(with = "units::duration")]
    #[schemars(with = "String", extend("format" = DURATION))]
    pub parked: Duration,
}

fn history<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let history: Duration = units::duration::deserialize(from)?;
    if history < Duration::from_hours(1) {
        return Err(serde::de::Error::custom("history is kept for at least 1h"));
    }
    Ok(history)
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            history: Duration::from_hours(400 * 24),
            parked: Duration::from_hours(30 * 24),
        }
    }
}

/// What is served to browsers and to what watches: the status page, health checks, metrics.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Where `/livez`, `/readyz`, `/metrics` and the status page answer.
    #[schemars(with = "String", extend("format" = "address and port"))]
    pub listen: SocketAddr,
    /// What a browser is asked for before it sees the status page; needed where `listen` is more than loopback.
    #[schemars(with = "Option<String>", extend("format" = SECRET))]
    pub token: Option<Secret>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9464)),
            token: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        nightdrop_runtime::config::parse("consumer.toml", text).map_err(|error| error.to_string())
    }

    const LEAST: &str =
        "[bucket]\nurl = \"s3://inbox\"\n[postgres]\nurl = \"postgres://consumer@pg/reports\"\n";

    #[test]
    fn a_bucket_and_a_postgres_are_enough() {
        let config = parse(LEAST).unwrap();
        assert_eq!(
            (config.poll.min, config.poll.max),
            (Duration::from_secs(1), Duration::from_secs(5))
        );
        assert_eq!(config.http.listen.to_string(), "127.0.0.1:9464");
        assert!(config.postgres.migrate);
        assert!(config.bucket.settings().unwrap().keys.is_none());
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_known_one() {
        let error = parse(&format!("{LEAST}[poll]\nmax_ = \"5s\"\n")).unwrap_err();
        insta::assert_snapshot!(error, @r#"consumer.toml:6: unknown key "max_" in [poll]; did you mean "max"?"#);
    }

    #[test]
    fn half_a_key_is_an_error() {
        let text = LEAST.replace("[postgres]", "access_key = \"env:A\"\n[postgres]");
        let error = parse(&text)
            .unwrap()
            .bucket
            .settings()
            .map(drop)
            .unwrap_err();
        assert_eq!(error, "[bucket] has an access_key but no secret_key");
    }

    #[test]
    fn a_route_takes_the_jobs_of_those_that_it_names() {
        let route =
            "[[route]]\njob = \"fleet\"\nproducers = [\"jfk\"]\ntable = \"reports.fleet\"\n";
        let config = parse(&format!("{LEAST}{route}")).unwrap();
        let takes = |producer: &str, job: &str| {
            config.routes[0].takes(&producer.parse().unwrap(), &job.parse().unwrap())
        };
        assert!(takes("jfk", "fleet"));
        assert!(!takes("lga", "fleet"));
        assert!(!takes("jfk", "departures"));
        let error = parse(&format!(
            "{LEAST}{}",
            route.replace("reports.fleet", "fleet")
        ))
        .unwrap_err();
        assert!(error.contains("write schema.table"), "{error}");
    }
}
