//! The calls that are tried, one after the other.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use nightdrop_schema::{
    Compression, Envelope, INBOX, Job, Key, Producer, RunId, Timestamptz, write,
};
use uuid::Uuid;

use super::{
    Matter, Proof, Verdict,
    judge::{create_only, is_forbidden, needed, refused, unproven},
};
use crate::{
    Error, Fault,
    s3::{Allowed, Attempt, S3},
};

/// What was heard so far.
pub(super) struct Trial<'a> {
    pub(super) s3: &'a Arc<S3>,
    /// Once nobody answers, nobody is asked again: the whole has to end.
    pub(super) away: Option<Error>,
    /// What is wrong with the configuration, by the server's own word.
    pub(super) settings: Option<Error>,
    pub(super) answered: bool,
    pub(super) ahead: Option<i64>,
}

pub(super) type Outcome = Result<Allowed, Error>;

impl<'a> Trial<'a> {
    pub(super) fn new(s3: &'a Arc<S3>) -> Self {
        Self {
            s3,
            away: None,
            settings: None,
            answered: false,
            ahead: None,
        }
    }

    async fn attempt(&mut self, attempt: Attempt<'_>) -> Outcome {
        if let Some(away) = &self.away {
            return Err(away.clone());
        }
        let tried = self.s3.attempt(&attempt).await;
        self.answered |= tried.answered;
        self.ahead = tried.ahead.or(self.ahead);
        match (self.heard(tried.outcome), &self.settings) {
            // MinIO takes a PUT that is signed for another region for one that lacks something.
            (Err(error), Some(settings)) if error.fault() == Fault::Refused => {
                Err(settings.clone())
            }
            (outcome, _) => outcome,
        }
    }

    fn heard<T>(&mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &outcome {
            match error.fault() {
                Fault::Unreachable | Fault::TimedOut => self.away = Some(error.clone()),
                Fault::Settings | Fault::NoBucket => self.settings = Some(error.clone()),
                _ => {}
            }
        }
        outcome
    }

    pub(super) async fn producer(mut self, producer: &Producer) -> Vec<Proof> {
        const POLICY: &str =
            "give this key the policy that `nightdrop-producer policy` prints, and no other";
        let own = format!("{INBOX}{producer}/");
        let listed = self.list_each(&[&own, INBOX, ""]).await;

        let mut put;
        let mut got;
        let mut headed;
        let mut again;
        let mut turns = 0;
        loop {
            let (key, body) = self.probe(producer);
            put = self
                .attempt(Attempt::Put {
                    key: &key,
                    body: &body,
                })
                .await;
            got = self
                .attempt(Attempt::Get {
                    key: &key,
                    etag: None,
                })
                .await;
            headed = self.attempt(Attempt::Head { key: &key }).await;
            again = self
                .attempt(Attempt::Put {
                    key: &key,
                    body: &body,
                })
                .await;
            turns += 1;
            // A consumer may have deleted it meanwhile; three times in a row is no accident.
            if !matches!((&put, &again), (Ok(Allowed::Done), Ok(Allowed::Done))) || turns == 3 {
                break;
            }
        }
        let missing = missing(producer);
        let deleted = self.attempt(Attempt::Delete { key: &missing }).await;
        let elsewhere = self
            .spoilt_puts(&[
                &random_result(),
                &format!("{own}{}", random_name()),
                &format!("nightdrop-probe-{}", Uuid::now_v7()),
            ])
            .await;
        let overwritten = if self.s3.is_aws() {
            let attempt = Attempt::SpoiltPut {
                key: &missing,
                create_only: false,
            };
            Some(self.attempt(attempt).await)
        } else {
            None
        };

        let known = put.is_ok();
        let mut proofs = self.common();
        proofs.push(needed("bucket: put below its own prefix", &put, POLICY));
        proofs.push(create_only(&put, &again));
        if let Some(overwritten) = &overwritten {
            let line = "bucket: put without If-None-Match is refused";
            proofs.push(refused(line, overwritten, known, POLICY));
        }
        for (line, outcome) in [
            ("bucket: get is refused", &got),
            ("bucket: head is refused", &headed),
            ("bucket: list is refused", &listed),
            ("bucket: delete is refused", &deleted),
            ("bucket: put elsewhere is refused", &elsewhere),
        ] {
            proofs.push(refused(line, outcome, known, POLICY));
        }
        proofs
    }

    pub(super) async fn consumer(mut self) -> Vec<Proof> {
        const POLICY: &str =
            "give this key the policy that `nightdrop-consumer policy` prints, and no other";
        let listed = self.attempt(Attempt::List { prefix: INBOX }).await;
        let known = listed.is_ok();
        let got = self.get(known, POLICY).await;
        let deleted = self.delete().await;
        let outside = format!("nightdrop-probe-{}", Uuid::now_v7());
        let put = self.spoilt_puts(&[&random_result(), &outside]).await;
        let listed_all = self.attempt(Attempt::List { prefix: "" }).await;
        let deleted_outside = self.attempt(Attempt::Delete { key: &outside }).await;

        let mut proofs = self.common();
        proofs.push(needed("bucket: list below inbox/", &listed, POLICY));
        proofs.push(got);
        proofs.push(needed("bucket: delete below inbox/", &deleted, POLICY));
        for (line, outcome) in [
            ("bucket: put is refused", &put),
            ("bucket: list of all is refused", &listed_all),
            ("bucket: delete elsewhere is refused", &deleted_outside),
        ] {
            proofs.push(refused(line, outcome, known, POLICY));
        }
        proofs
    }

    /// Of something that is there, if there is anything: AWS says of a key that nobody has that it is forbidden, to
    /// whoever may list below a prefix only.
    async fn get(&mut self, known: bool, policy: &str) -> Proof {
        const LINE: &str = "bucket: get below inbox/";
        let there = if known {
            let page = self.s3.list(INBOX, None);
            let page = tokio::time::timeout(Duration::from_secs(10), page).await;
            page.ok().and_then(Result::ok)
        } else {
            None
        };
        let Some(object) = there.and_then(|page| page.objects.into_iter().next()) else {
            let missing = random_result();
            let outcome = self
                .attempt(Attempt::Get {
                    key: &missing,
                    etag: None,
                })
                .await;
            if outcome.as_ref().is_err_and(is_forbidden) && !known {
                return unproven(
                    LINE,
                    Matter::Rights,
                    "whoever may not list is forbidden to get what isn't there",
                );
            }
            if outcome.as_ref().is_err_and(is_forbidden) && self.s3.is_aws() {
                return Proof {
                    line: LINE,
                    verdict: Verdict::Unproven(Matter::Rights),
                    found: "AWS forbids to get what isn't there, and nothing lies in the inbox"
                        .to_owned(),
                    remedy: "run `nightdrop-producer doctor`, whose probe lies there until a consumer deletes it, and then this again".to_owned(),
                };
            }
            return needed(LINE, &outcome, policy);
        };
        let key = object.key.to_string();
        let etag = Some(object.etag.as_str());
        let outcome = self.attempt(Attempt::Get { key: &key, etag }).await;
        needed(LINE, &outcome, policy)
    }

    /// In bulk, as the consumer does it.
    async fn delete(&mut self) -> Outcome {
        if let Some(away) = &self.away {
            return Err(away.clone());
        }
        let Ok(key) = random_result().parse::<Key>() else {
            return Ok(Allowed::Missing);
        };
        let keys = [key];
        let work = self.s3.delete(&keys);
        let done = tokio::time::timeout(Duration::from_secs(10), work).await;
        let each = match done {
            Ok(each) => self.heard(each)?,
            Err(_) => {
                return self
                    .attempt(Attempt::Delete {
                        key: &keys[0].to_string(),
                    })
                    .await;
            }
        };
        each.into_iter()
            .next()
            .unwrap_or(Ok(()))
            .map(|()| Allowed::Done)
    }

    /// Allowed if one of them is.
    async fn list_each(&mut self, prefixes: &[&str]) -> Outcome {
        let mut last = Ok(Allowed::Done);
        for prefix in prefixes {
            last = self.attempt(Attempt::List { prefix }).await;
            if !last.as_ref().is_err_and(is_forbidden) {
                break;
            }
        }
        last
    }

    /// The same.
    async fn spoilt_puts(&mut self, keys: &[&str]) -> Outcome {
        let mut last = Ok(Allowed::Done);
        for key in keys {
            let attempt = Attempt::SpoiltPut {
                key,
                create_only: true,
            };
            last = self.attempt(attempt).await;
            if !last.as_ref().is_err_and(is_forbidden) {
                break;
            }
        }
        last
    }

    /// A probe of this producer, as of the server's own clock: one from the future would be parked.
    fn probe(&self, producer: &Producer) -> (String, Vec<u8>) {
        let envelope = Envelope {
            id: RunId::from(Uuid::now_v7()),
            source: producer.clone(),
            subject: Job::probe(),
            time: now(self.ahead.unwrap_or_default()),
            traceparent: None,
        };
        let key = Key::new(
            producer.clone(),
            Job::probe(),
            envelope.time,
            envelope.id,
            Compression::None,
        );
        // Nothing in it comes from outside: it keeps the rules of messages and keys.
        let body = write::probe(&envelope).unwrap_or_default();
        (key.map(|key| key.to_string()).unwrap_or_default(), body)
    }
}

fn now(ahead: i64) -> Timestamptz {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    Timestamptz::from_unix_micros(micros.saturating_add(ahead.saturating_mul(1_000_000)))
        .unwrap_or(Timestamptz::INFINITY)
}

/// A name that no producer and no job has.
fn random_name() -> String {
    format!("p{}", Uuid::now_v7().simple())
}

/// A key that nobody has, below a producer's prefix.
fn missing(producer: &Producer) -> String {
    format!("{INBOX}{producer}/nightdrop_probe/{}", of_a_run())
}

/// The same, of a producer that there is not.
fn random_result() -> String {
    format!("{INBOX}{}/nightdrop_probe/{}", random_name(), of_a_run())
}

fn of_a_run() -> String {
    format!("20130131T050000Z-{}.json", Uuid::now_v7())
}
