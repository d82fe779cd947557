//! A reporting side of one's own: an inbox, a database, a consumer's configuration.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use nightdrop_bucket::{Bucket, Settings};
use nightdrop_compose::{Database, Inbox, Keys, Postgres, S3, S3Kind};
use nightdrop_schema::Key;
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::message::Message;
use crate::process::{Ended, Process};

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(2);

pub struct Site {
    pub inbox: Inbox,
    /// As the consumer's role.
    pub database: Database,
    /// The server's administrator in the same database.
    pub administrator: Database,
    pub folder: TempDir,
    runtime: Runtime,
    pool: PgPool,
    producers: Mutex<HashMap<String, Keys>>,
    extra: String,
    /// More for the configuration's `[bucket]`.
    pub in_bucket: String,
    /// More for the configuration's `[postgres]`.
    pub in_postgres: String,
    /// The consumer's keys, where they aren't those that a reader should have.
    pub reader: Option<Keys>,
    /// The consumer's way to the bucket, where it isn't the direct one.
    pub endpoint: Option<String>,
    /// The consumer's way to Postgres, where it isn't the direct one.
    pub database_url: Option<String>,
}

/// Runs a test on every S3 server of this machine.
pub fn on_each(test: impl Fn(Site)) {
    for kind in S3Kind::available() {
        eprintln!("on {kind:?}");
        test(Site::on(kind));
    }
}

/// Runs a test on one of them: where it is about what Postgres holds, the other S3 server has nothing to add.
pub fn on_one(test: impl FnOnce(Site)) {
    test(Site::anywhere());
}

impl Site {
    /// On one of the S3 servers: which one doesn't matter.
    pub fn anywhere() -> Self {
        Self::on(S3Kind::available().pop().unwrap())
    }

    /// The same, with a database in which nothing was made yet, of the one role that there is.
    pub fn unprepared() -> Self {
        let s3 = S3::shared(S3Kind::available().pop().unwrap()).unwrap();
        Self::of_one_role(s3, Postgres::shared().unwrap())
    }

    /// On the servers that all tests share.
    pub fn on(kind: S3Kind) -> Self {
        Self::with(S3::shared(kind).unwrap(), Postgres::shared().unwrap())
    }

    /// On these servers: a consumer that has what `policy` and `grants` print, and no more.
    pub fn with(s3: &S3, postgres: &Postgres) -> Self {
        let mut site = Self::of_one_role(s3, postgres);
        site.divide();
        site
    }

    fn of_one_role(s3: &S3, postgres: &Postgres) -> Self {
        let inbox = s3.inbox().unwrap();
        let database = postgres.database().unwrap();
        let administrator = database.of("postgres", &postgres.superuser().password);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let pool = {
            let _inside = runtime.enter();
            sqlx::postgres::PgPoolOptions::new()
                .connect_lazy(&database.with_password())
                .unwrap()
        };
        Self {
            inbox,
            database,
            administrator,
            folder: TempDir::new().unwrap(),
            runtime,
            pool,
            producers: Mutex::default(),
            extra: String::new(),
            in_bucket: String::new(),
            in_postgres: String::new(),
            reader: None,
            endpoint: None,
            database_url: None,
        }
    }

    /// Makes three roles of the one, as `grants` says, and the ledger by its owner.
    fn divide(&mut self) {
        let name = self.database.name().to_owned();
        let owner = format!("{name}_owner");
        self.administer(&format!("ALTER DATABASE {name} OWNER TO postgres"));
        self.grant();
        self.administer(&format!("ALTER ROLE {owner} PASSWORD 'owner'"));
        let owner = self.database.of(&owner, "owner");
        let migrated = self.consumer_as(&owner, &["migrate"]);
        assert_eq!(migrated.code, Some(0), "{migrated:?}");
        self.grant();
    }

    /// Does what `grants` prints, as the server's administrator.
    pub fn grant(&self) {
        let name = self.database.name();
        let (owner, reader) = (format!("{name}_owner"), format!("{name}_reader"));
        let printed = self.consumer(&["grants", "--owner", &owner, "--reader", &reader]);
        assert_eq!(printed.code, Some(0), "{printed:?}");
        self.administer(&printed.stdout);
    }

    /// More for the consumer's configuration, after what it always has.
    pub fn configured(mut self, extra: &str) -> Self {
        self.extra = extra.into();
        self
    }

    pub fn config(&self) -> PathBuf {
        let reader = self.reader.clone().unwrap_or_else(|| self.inbox.reader());
        let (access, secret, password) = (
            self.secret("access", &reader.access_key),
            self.secret("secret", &reader.secret_key),
            self.secret("pg", &self.database.password),
        );
        let mut text = format!(
            "[bucket]\nurl = \"{}\"\nendpoint = \"{}\"\nregion = \"{}\"\naccess_key = \"{access}\"\nsecret_key = \"{secret}\"\n{}\n\
             [postgres]\nurl = \"{}\"\npassword = \"{password}\"\n{}\n",
            self.inbox.url(),
            self.endpoint.as_ref().unwrap_or(&self.inbox.endpoint),
            self.inbox.region,
            self.in_bucket,
            self.database_url.as_ref().unwrap_or(&self.database.url),
            self.in_postgres,
        );
        if !self.extra.contains("[poll]") {
            text.push_str("[poll]\nmin = \"50ms\"\nmax = \"200ms\"\n\n");
        }
        if !self.extra.contains("[http]") {
            text.push_str("[http]\nlisten = \"127.0.0.1:0\"\n\n");
        }
        if !self.extra.contains("[breaker]") {
            // Servers of tests are away for seconds.
            text.push_str("[breaker]\nopen_for = \"1s\"\n\n");
        }
        let _ = writeln!(text, "{}", self.extra);
        self.write("consumer.toml", &text)
    }

    /// A file of this site's, whole whenever it is read: a program may be reading it.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let new = self.folder.path().join(format!("{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &path).unwrap();
        path
    }

    fn secret(&self, name: &str, value: &str) -> String {
        format!("file:{}", self.write(name, value).display())
    }

    /// A producer's configuration, with its own key to the bucket and one Postgres named `db`.
    pub fn producer_config(
        &self,
        producer: &str,
        source: &Database,
        compress: &str,
        jobs: &str,
    ) -> PathBuf {
        self.producer_reading(producer, &self.source(source), compress, jobs)
    }

    /// The lines of a `[source]` that reads this database.
    pub fn source(&self, database: &Database) -> String {
        let password = self.secret("source", &database.password);
        format!("url = \"{}\"\npassword = \"{password}\"", database.url)
    }

    /// The lines of a `[source]` that reads the reports' own database.
    pub fn reports_as_source(&self) -> String {
        self.source(&self.database)
    }

    /// A producer's configuration, with its own key to the bucket and a source named `db`.
    pub fn producer_reading(
        &self,
        producer: &str,
        source: &str,
        compress: &str,
        jobs: &str,
    ) -> PathBuf {
        let keys = self.keys_of(producer);
        let access = self.secret(&format!("{producer}-access"), &keys.access_key);
        let secret = self.secret(&format!("{producer}-secret"), &keys.secret_key);
        let folder = self.folder.path();
        let text = format!(
            "producer = \"{producer}\"\nstate_dir = \"{}\"\n\n[bucket]\nurl = \"{}\"\nendpoint = \"{}\"\n\
             region = \"{}\"\naccess_key = \"{access}\"\nsecret_key = \"{secret}\"\ncompress = \"{compress}\"\n\n\
             [source.db]\n{source}\n\n{jobs}",
            folder.join(format!("{producer}-state")).display(),
            self.inbox.url(),
            self.inbox.endpoint,
            self.inbox.region,
        );
        self.write(&format!("{producer}.toml"), &text)
    }

    /// A producer's own key: write-only.
    pub fn keys_of(&self, producer: &str) -> Keys {
        let mut producers = self.producers.lock().unwrap();
        producers
            .entry(producer.to_owned())
            .or_insert_with(|| self.inbox.producer(producer).unwrap())
            .clone()
    }

    /// Gives a producer other keys than it should have.
    pub fn give(&self, producer: &str, keys: Keys) {
        let mut producers = self.producers.lock().unwrap();
        producers.insert(producer.to_owned(), keys);
    }

    /// Runs `nightdrop-consumer` with these words to its end.
    pub fn consumer(&self, words: &[&str]) -> Ended {
        self.start(words).wait(PATIENCE)
    }

    /// The same as another role of Postgres.
    pub fn consumer_as(&mut self, role: &Database, words: &[&str]) -> Ended {
        let own = std::mem::replace(&mut self.database, role.clone());
        let ended = self.consumer(words);
        self.database = own;
        ended
    }

    /// `once`, which must end well.
    pub fn once(&self) -> Ended {
        let ended = self.consumer(&["once"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended
    }

    /// `once`, and again until nothing waits: it ends by itself where it has waited for a dead consumer's work for long.
    /// What it said is given back.
    pub fn once_until_decided(&self) -> String {
        let mut said = String::new();
        until("everything to be decided", || {
            said += &self.once().stderr;
            self.rows("SELECT count(*) FROM nightdrop.file WHERE state = 'waiting'") == ["0"]
        });
        said
    }

    /// Waits until Postgres has noticed that a consumer is dead.
    pub fn wait_for_the_end_of_sessions(&self) {
        self.wait_for(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name LIKE 'nightdrop/%'",
            &["0"],
        );
    }

    /// Starts `nightdrop-consumer` with these words.
    pub fn start(&self, words: &[&str]) -> Process {
        Process::start("nightdrop-consumer", &self.config(), words)
    }

    /// The bucket as this producer has it: write-only.
    pub fn as_producer(&self, producer: &str) -> Bucket {
        self.bucket(&self.keys_of(producer))
    }

    /// The bucket as the consumer has it.
    pub fn as_reader(&self) -> Bucket {
        self.bucket(&self.inbox.reader())
    }

    fn bucket(&self, keys: &Keys) -> Bucket {
        let keys = keys.clone();
        Bucket::open(Settings {
            url: self.inbox.url().parse().unwrap(),
            endpoint: Some(self.inbox.endpoint.parse().unwrap()),
            region: Some(self.inbox.region.clone()),
            imds: false,
            keys: Some(Arc::new(move || {
                Ok(nightdrop_bucket::Keys {
                    access_key: keys.access_key.clone().into(),
                    secret_key: keys.secret_key.clone().into(),
                })
            })),
        })
        .unwrap()
    }

    /// Drops a message as its own producer.
    pub fn drop(&self, message: &Message) {
        self.drop_as(&message.key(), message.body().as_bytes());
    }

    /// Drops any bytes under a key, as the key's producer.
    pub fn drop_as(&self, key: &Key, body: &[u8]) {
        let file = tempfile::NamedTempFile::new_in(self.folder.path()).unwrap();
        std::fs::write(file.path(), body).unwrap();
        let bucket = self.as_producer(key.producer().as_str());
        self.runtime.block_on(bucket.put(key, file.path())).unwrap();
    }

    /// Drops many messages, many at once.
    pub fn drop_all(&self, messages: &[Message]) {
        self.drop_all_as(
            messages
                .iter()
                .map(|message| (message.key(), message.body())),
        );
    }

    /// Drops many bodies under their keys, many at once.
    pub fn drop_all_as(&self, files: impl Iterator<Item = (Key, String)>) {
        let mut buckets = HashMap::new();
        let puts = files.map(|(key, body)| {
            let producer = key.producer().clone();
            let bucket = buckets
                .entry(producer)
                .or_insert_with(|| self.as_producer(key.producer().as_str()))
                .clone();
            let file = tempfile::NamedTempFile::new_in(self.folder.path()).unwrap();
            std::fs::write(file.path(), body).unwrap();
            async move { bucket.put(&key, file.path()).await.unwrap() }
        });
        self.runtime.block_on(
            futures::stream::iter(puts)
                .buffer_unordered(64)
                .for_each(|_| std::future::ready(())),
        );
    }

    /// All keys that lie in the inbox.
    pub fn keys(&self) -> Vec<String> {
        let page = self
            .runtime
            .block_on(self.as_reader().list("inbox/", None))
            .unwrap();
        assert_eq!(page.next, None, "more than a page");
        page.objects
            .iter()
            .map(|object| object.key.to_string())
            .chain(page.strange.into_iter().map(|strange| strange.key))
            .collect()
    }

    /// The keys of the page after this one.
    pub fn keys_after(&self, key: &str) -> Vec<String> {
        let reader = self.as_reader();
        let page = self.runtime.block_on(reader.list("inbox/", Some(key)));
        let objects = page.unwrap().objects.into_iter();
        objects.map(|object| object.key.to_string()).collect()
    }

    /// Whether nothing lies in the inbox.
    pub fn is_inbox_empty(&self) -> bool {
        let listed = self.as_reader();
        let listed = self.runtime.block_on(listed.list("inbox/", None));
        listed.is_ok_and(|page| page.objects.is_empty() && page.strange.is_empty())
    }

    /// Rows of a query, each as one text; null is `null`.
    pub fn rows(&self, query: &str) -> Vec<String> {
        self.try_rows(query)
            .unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    pub fn try_rows(&self, query: &str) -> Result<Vec<String>, sqlx::Error> {
        let text = format!(
            "SELECT array_to_string(array(SELECT coalesce(value, 'null') FROM json_each_text(row_to_json(q))), '|') FROM ({query}) q"
        );
        self.runtime
            .block_on(sqlx::query(AssertSqlSafe(text)).fetch_all(&self.pool))?
            .iter()
            .map(|row| row.try_get(0))
            .collect()
    }

    /// A statement that gives nothing back, as the consumer's role.
    pub fn execute(&self, statement: &str) {
        self.runtime
            .block_on(sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&self.pool))
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// Statements that are beyond the consumer's role, as the server's administrator.
    pub fn administer(&self, statements: &str) {
        let done = self.runtime.block_on(async {
            let mut connection = PgConnection::connect(&self.administrator.with_password()).await?;
            sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
                .execute(&mut connection)
                .await?;
            connection.close().await
        });
        done.unwrap_or_else(|error| panic!("{statements}: {error}"));
    }

    /// Runs a statement in a transaction that stays open, with its locks, until it is dropped.
    pub fn hold(&self, statement: &str) -> Held {
        let transaction = self.runtime.block_on(async {
            let mut transaction = self.pool.begin().await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
                .execute(&mut *transaction)
                .await
                .unwrap();
            transaction
        });
        Held {
            transaction: Some(transaction),
            runtime: self.runtime.handle().clone(),
        }
    }

    /// Lets a job rest for longer than a test lasts.
    pub fn rest(&self, producer: &str, job: &str) {
        self.execute(&format!(
            "INSERT INTO nightdrop.pause (producer, job, until, error)
             VALUES ('{producer}', '{job}', now() + interval '1 h', 'a test')"
        ));
    }

    /// The ledger's states and reasons, oldest first.
    pub fn states(&self) -> Vec<String> {
        self.rows("SELECT state, reason FROM nightdrop.file ORDER BY id")
    }

    /// Waits until a query gives these rows.
    pub fn wait_for(&self, query: &str, expected: &[&str]) {
        let mut last = Vec::new();
        until(&format!("{query} to give {expected:?}"), || {
            last = self.try_rows(query).unwrap_or_default();
            last == expected
        });
    }
}

/// A transaction that somebody else has open.
pub struct Held {
    transaction: Option<sqlx::Transaction<'static, sqlx::Postgres>>,
    runtime: tokio::runtime::Handle,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(transaction) = self.transaction.take() {
            let _ = self.runtime.block_on(transaction.rollback());
        }
    }
}

/// Waits where time itself is what a test is about.
pub fn let_pass(time: Duration) {
    let begun = Instant::now();
    until("time to pass", || begun.elapsed() > time);
}

/// Waits for a condition.
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    until_within(PATIENCE, what, condition);
}

/// Waits for a condition that may take its time.
pub fn until_within(patience: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < patience, "waited in vain for {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
