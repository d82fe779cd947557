//! What is wrong now, compared with what was told: the difference goes into the outbox.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};

use super::event::{ended, started};
use crate::config::Webhook;
use crate::consumer::Consumer;
use crate::failpoint::failpoint;
use crate::ledger::now::Now;
use crate::ledger::outbox::{self, Alarm, News};
use crate::pool::limited;
use crate::trouble::{Kind, Trouble};

/// Writes what has started and what has ended. Gives how much that is, of all targets. One consumer at a time
/// does it: the others find nothing to do.
pub(super) async fn write(consumer: &Consumer) -> Result<usize, sqlx::Error> {
    limited(async {
        let mut transaction = consumer.pool().begin().await?;
        if !outbox::lock(&mut transaction).await? {
            return Ok(0);
        }
        let now = Now::read(&mut *transaction, true).await?;
        let troubles = now.troubles();
        let mut written = 0;
        let targets: Vec<String> = consumer
            .config
            .webhooks
            .iter()
            .map(Webhook::target)
            .collect();
        for target in &targets {
            let told = outbox::told(&mut transaction, target).await?;
            let news = compare(&troubles, &told, now.at);
            outbox::write(&mut transaction, target, &news).await?;
            written += news.len();
        }
        outbox::forget(&mut transaction, &targets).await?;
        if written > 0 {
            failpoint("alarm: written");
        }
        transaction.commit().await?;
        if written > 0 {
            failpoint("alarm: committed");
        }
        Ok(written)
    })
    .await
}

/// Of one kind and one producer so many alarms go out one by one; what comes on top is told as one. A machine that
/// is down shall not ring for each of its jobs, and a key that leaked for none that it makes up.
pub(super) const ONE_BY_ONE: usize = 10;

/// First what has ended, then what has started. What was told one by one ends one by one; what was told as one ends
/// when so few are left that each is told by itself, and then they are: what came meanwhile was told by nobody.
fn compare(troubles: &[Trouble], told: &[Alarm], at: DateTime<Utc>) -> Vec<News> {
    let known: HashSet<_> = told.iter().map(Alarm::name).collect();
    let mut groups: BTreeMap<_, (usize, Vec<&Trouble>)> = BTreeMap::new();
    for trouble in troubles {
        let (standing, new) = groups
            .entry((trouble.producer.as_deref(), trouble.kind.as_str()))
            .or_default();
        if known.contains(&alarm(trouble).name()) {
            *standing += 1;
        } else {
            new.push(trouble);
        }
    }
    let mut are: HashSet<_> = troubles.iter().map(alarm).collect();
    let mut starts = Vec::new();
    for (standing, new) in groups.into_values() {
        if standing + new.len() <= ONE_BY_ONE {
            starts.extend(new.into_iter().cloned());
        } else if let Some(together) = together(standing, &new) {
            if known.contains(&alarm(&together).name()) {
                are.insert(alarm(&together));
            } else {
                starts.push(together);
            }
        }
    }
    let are: HashSet<_> = are.iter().map(Alarm::name).collect();
    let ended = told
        .iter()
        .filter(|alarm| !are.contains(&alarm.name()))
        .map(|alarm| News::Ended(alarm.clone(), ended(alarm, at)));
    let started = starts
        .iter()
        .map(|trouble| News::Started(alarm(trouble), started(trouble, at)));
    ended.chain(started).collect()
}

/// Several jobs' troubles of one kind as one of their producer's.
fn together(standing: usize, troubles: &[&Trouble]) -> Option<Trouble> {
    let first = troubles.first()?;
    let jobs: Vec<&str> = troubles
        .iter()
        .filter_map(|one| one.job.as_deref())
        .collect();
    Some(Trouble {
        kind: first.kind,
        producer: first.producer.clone(),
        job: None,
        since: troubles
            .iter()
            .map(|one| one.since)
            .fold(first.since, DateTime::min),
        what: format!(
            "{}{} of its jobs {}: {}, …",
            jobs.len(),
            if standing > 0 { " more" } else { "" },
            match first.kind {
                Kind::Late => "are late",
                Kind::Failing => "are failing",
                Kind::Parked => "have files that could not be loaded",
                Kind::Held => "have files that can't be read or kept",
            },
            jobs[..jobs.len().min(3)].join(", ")
        ),
        remedy: "look first at what they share: the machine, the source, the key to the bucket; `nightdrop-consumer check` names them all".to_owned(),
    })
}

fn alarm(trouble: &Trouble) -> Alarm {
    Alarm {
        kind: trouble.kind.as_str().to_owned(),
        producer: trouble.producer.clone().unwrap_or_default(),
        job: trouble.job.clone().unwrap_or_default(),
        since: trouble.since,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> DateTime<Utc> {
        "2013-02-01T06:00:00Z".parse().unwrap()
    }

    fn late(job: &str) -> Trouble {
        Trouble {
            kind: Kind::Late,
            producer: Some("jfk".into()),
            job: Some(job.into()),
            since: "2013-02-01T05:40:00Z".parse().unwrap(),
            what: "a result was due".into(),
            remedy: "look at jfk".into(),
        }
    }

    fn said(news: &[News]) -> Vec<String> {
        news.iter()
            .map(|news| match news {
                News::Started(alarm, _) => format!("{} started", alarm.job),
                News::Ended(alarm, _) => format!("{} ended", alarm.job),
            })
            .collect()
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        let troubles = [late("departures"), late("fleet")];
        assert_eq!(
            said(&compare(&troubles, &[], at())),
            ["departures started", "fleet started"]
        );
        let told: Vec<Alarm> = troubles.iter().map(alarm).collect();
        assert_eq!(compare(&troubles, &told, at()), []);
        // Since when may move meanwhile.
        let later = Trouble {
            since: at(),
            ..late("departures")
        };
        assert_eq!(said(&compare(&[later], &told, at())), ["fleet ended"]);
    }

    #[test]
    fn a_machine_that_is_down_rings_once_and_not_for_each_of_its_jobs() {
        let jobs = |numbers: std::ops::Range<usize>| -> Vec<Trouble> {
            numbers.map(|n| late(&format!("job_{n}"))).collect()
        };
        let told = |troubles: &[Trouble]| -> Vec<Alarm> { troubles.iter().map(alarm).collect() };
        assert_eq!(compare(&jobs(0..10), &[], at()).len(), 10);
        let [News::Started(all, body)] = &compare(&jobs(0..11), &[], at())[..] else {
            panic!("one alarm")
        };
        assert!(body.contains("11 of its jobs are late: job_0, job_1, job_2, …"));
        assert_eq!((&*all.producer, &*all.job), ("jfk", ""));

        // What was told before stays; of what comes on top nothing is told while the one alarm stands.
        let three = told(&jobs(0..3));
        let [News::Started(more, body)] = &compare(&jobs(0..20), &three, at())[..] else {
            panic!("one alarm")
        };
        assert!(body.contains("17 more of its jobs are late: job_3"));
        let four = [three, vec![more.clone()]].concat();
        assert_eq!(compare(&jobs(0..30), &four, at()), []);
        assert_eq!(said(&compare(&jobs(1..14), &four, at())), ["job_0 ended"]);
        assert_eq!(said(&compare(&jobs(0..3), &four, at())), [" ended"]);
        // Another producer has its own.
        let other = Trouble {
            producer: Some("lga".into()),
            ..late("fares")
        };
        let both = [jobs(0..20), vec![other]].concat();
        assert_eq!(said(&compare(&both, &four, at())), ["fares started"]);
    }

    #[test]
    fn what_is_late_after_a_machine_is_up_again_is_told_by_itself() {
        let jobs = |names: &[&str]| -> Vec<Trouble> { names.iter().copied().map(late).collect() };
        let down: Vec<Trouble> = (0..15).map(|n| late(&format!("job_{n}"))).collect();
        let mut told = Vec::new();
        let mut next = |troubles: &[Trouble]| {
            let news = compare(troubles, &told, at());
            for one in &news {
                match one {
                    News::Started(alarm, _) => told.push(alarm.clone()),
                    News::Ended(alarm, _) => told.retain(|one| one != alarm),
                }
            }
            said(&news)
        };
        assert_eq!(next(&down), [" started"]);
        assert_eq!(next(&jobs(&["job_14"])), [" ended", "job_14 started"]);
        assert_eq!(next(&jobs(&["job_14", "fleet"])), ["fleet started"]);
        assert_eq!(next(&[]), ["job_14 ended", "fleet ended"]);
    }

    /// Nobody's keys have no job, as what is told of several.
    #[test]
    fn what_is_nobodys_starts_and_ends_by_itself() {
        let strange = Trouble {
            kind: Kind::Held,
            producer: None,
            job: None,
            ..late("")
        };
        let troubles = [strange];
        assert_eq!(said(&compare(&troubles, &[], at())), [" started"]);
        let told = [alarm(&troubles[0])];
        assert_eq!(compare(&troubles, &told, at()), []);
        assert_eq!(said(&compare(&[], &told, at())), [" ended"]);
    }
}
