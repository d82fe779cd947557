//! The connections to the reporting Postgres: named, bounded in every direction, and replaced when a
//! secret changes.

use std::sync::Mutex;
use std::time::Duration;

use nightdrop_runtime::secret::SecretError;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection};

use crate::config;
use crate::nodelay;
use crate::pool::{self, Pool};
use crate::sqlstate;

/// How long a lane waits for a connection; while Postgres refuses them, that is how long it takes to tell.
const WAIT: Duration = Duration::from_secs(3);

/// How long a single connection is tried for, to learn what is wrong.
const PROBE: Duration = Duration::from_secs(5);

/// What every session sets, so that a consumer that hangs or dies holds nobody up for long.
///
/// `statement_timeout` is lifted around a COPY, which takes as long as its file does.
const SESSION: &str = "SELECT
    set_config('TimeZone', 'UTC', false),
    set_config('statement_timeout', $1, false),
    set_config('lock_timeout', '5s', false),
    set_config('idle_in_transaction_session_timeout', '60s', false),
    set_config('client_connection_check_interval', '5s', false),
    set_config('tcp_keepalives_idle', '30', false),
    set_config('tcp_keepalives_interval', '10', false),
    set_config('tcp_keepalives_count', '3', false)";

/// The reporting Postgres.
#[derive(Debug)]
pub struct Database {
    pool: Pool,
    settings: config::Postgres,
    application_name: String,
    password: Mutex<Option<SecretString>>,
}

/// Why there is no way to Postgres at all: a matter of configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The password could not be read.
    #[error("[postgres] password: {0}")]
    Secret(#[from] SecretError),
    /// The URL is wrong.
    #[error("[postgres] url: {0}")]
    Url(#[from] nightdrop_runtime::postgres::OptionsError),
}

impl Database {
    /// Makes the pool, and connects to nothing yet: Postgres may well be away when the consumer starts.
    ///
    /// # Errors
    /// When the configuration says nothing that could be connected to.
    pub fn open(settings: &config::Postgres, worker: &str) -> Result<Self, Error> {
        let application_name = format!("nightdrop/{worker}");
        let password = settings
            .password
            .as_ref()
            .map(nightdrop_runtime::secret::Secret::read)
            .transpose()?;
        let options = options(settings, password.as_ref(), &application_name)?;
        let pool = pool::taking_back_what_answers(PgPoolOptions::new())
            .max_connections(12)
            .acquire_timeout(WAIT)
            // Never reached: waiting is for the lanes to tell of, in their own words.
            .acquire_slow_threshold(WAIT * 2)
            .idle_timeout(Duration::from_mins(5))
            .after_connect(|connection, _| {
                Box::pin(async move {
                    if let Err(error) = nodelay::everywhere() {
                        tracing::debug!(%error, "Postgres is asked with Nagle's delays");
                    }
                    sqlx::query(SESSION)
                        .bind(format!("{}s", pool::STATEMENT_SECONDS))
                        .execute(connection)
                        .await
                        .map(drop)
                })
            })
            .connect_lazy_with(options);
        Ok(Self {
            pool: Pool(pool),
            settings: settings.clone(),
            application_name,
            password: Mutex::new(password),
        })
    }

    /// The pool.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Reads the password again, and takes it for new connections if it has changed.
    ///
    /// # Errors
    /// When it can't be read any more.
    pub fn refresh(&self) -> Result<(), Error> {
        let Some(secret) = &self.settings.password else {
            return Ok(());
        };
        let now = secret.read()?;
        let mut known = self
            .password
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let same = known
            .as_ref()
            .is_some_and(|known| known.expose_secret() == now.expose_secret());
        if !same {
            self.pool.0.set_connect_options(options(
                &self.settings,
                Some(&now),
                &self.application_name,
            )?);
            *known = Some(now);
        }
        Ok(())
    }

    /// What is wrong, and where: the pool itself only knows that it waited in vain.
    pub async fn cause(&self, error: &sqlx::Error) -> String {
        let cause = match error {
            sqlx::Error::PoolTimedOut => self.probe().await,
            error => sqlstate::sentence(error),
        };
        let url = &self.settings.url;
        let host = url.host_str().unwrap_or("the local socket");
        format!(
            "{host}:{}{}: {cause}",
            url.port().unwrap_or(5432),
            url.path()
        )
    }

    async fn probe(&self) -> String {
        let password = self
            .settings
            .password
            .as_ref()
            .and_then(|secret| secret.read().ok());
        let options = match options(&self.settings, password.as_ref(), &self.application_name) {
            Ok(options) => options,
            Err(error) => return error.to_string(),
        };
        match tokio::time::timeout(PROBE, PgConnection::connect_with(&options)).await {
            Ok(Err(cause)) => sqlstate::sentence(&cause),
            Ok(Ok(_)) => format!("all connections were busy for {} s", WAIT.as_secs()),
            Err(_) => format!("no answer within {} s", PROBE.as_secs()),
        }
    }
}

/// Statements are prepared without a name, so that a pooler in transaction mode may stand between.
fn options(
    settings: &config::Postgres,
    password: Option<&SecretString>,
    application_name: &str,
) -> Result<PgConnectOptions, Error> {
    Ok(
        nightdrop_runtime::postgres::options(&settings.url, password, application_name)?
            .statement_cache_capacity(0),
    )
}

/// This consumer's name, in the ledger and among Postgres's sessions: host, process, and something
/// that no other has, for process ids come again.
pub fn worker_name() -> String {
    format!(
        "{}-{}-{:04x}",
        host(),
        std::process::id(),
        rand::random::<u16>()
    )
}

/// The name of this machine, as far as it fits into a session's name.
pub fn host() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host
        .trim()
        .chars()
        .filter(char::is_ascii_graphic)
        .take(30)
        .collect();
    if host.is_empty() {
        return "consumer".to_owned();
    }
    host
}
