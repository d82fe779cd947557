//! The whole way: a producer that its cron no longer starts, and what the reporting side hears of that.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::alarms::{Answer, ENDED, Receiver, STARTED};
use super::{checked, kinds};
use crate::metrics::in_a_while;
use crate::outages::health;
use crate::pages::ask;
use crate::process::Process;
use crate::site::{PATIENCE, until, until_within};

/// As cron does, each minute; here the test is the clock.
const JOB: &str = "[job.departures]\nsource = \"db\"\nquery = \"SELECT 1 AS a\"\nmode = \"append\"\n\
    schedule = \"* * * * *\"\ntimeout = \"10s\"\ngrace = \"20s\"\n";

fn fires(producer: &Path) {
    let ended = Process::start("nightdrop-producer", producer, &["run", "departures"]);
    let ended = ended.wait(PATIENCE);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_job_whose_cron_stops_is_late_within_its_grace_until_cron_starts_it_again() {
    let receiver = Receiver::new(Answer::Status(204));
    let (address, lines) = health();
    let site = receiver.site_with(&lines);
    let producer = site.producer_config("jfk", &site.database, "none", JOB);
    let _consumer = site.start(&["run"]);
    fires(&producer);
    site.wait_for(
        "SELECT job FROM nightdrop.freshness WHERE committed_at IS NOT NULL",
        &["departures"],
    );
    assert_eq!(checked(&site).0, 0);
    let promised = site.rows("SELECT next_by FROM nightdrop.freshness");
    let promised: DateTime<Utc> = promised[0].parse().unwrap();
    assert_eq!(
        promised.timestamp() % 60,
        30,
        "the next minute, and 30 s: {promised}"
    );

    // Cron stops.
    until_within(2 * PATIENCE, "the alarm", || receiver.told() == [STARTED]);
    let after = Utc::now() - promised;
    assert!(after >= chrono::TimeDelta::zero(), "too early: {after}");
    let (code, page) = checked(&site);
    assert_eq!((code, kinds(&page)), (1, vec!["late"]), "{page}");
    let remedy = page["troubles"][0]["remedy"].as_str().unwrap();
    assert!(
        remedy.starts_with("look at jfk: is `nightdrop-producer run departures` still started"),
        "{remedy}"
    );
    until("the status page to say so", || {
        ask(&address, "/", &[]).body.contains("One thing is wrong")
    });
    let late = "nightdrop_job_late{producer=\"jfk\",job_name=\"departures\"}";
    in_a_while(&address, late, 1.0);

    // It is mended, and the next is not due while this is looked at.
    let rarely = JOB.replace("* * * * *", "0 0 1 1 *");
    fires(&site.producer_config("jfk", &site.database, "none", &rarely));
    receiver.wait_for(&[STARTED, ENDED]);
    assert_eq!(checked(&site).0, 0);
    until("the status page to say so", || {
        ask(&address, "/", &[]).body.contains("Nothing is wrong")
    });
    in_a_while(&address, late, 0.0);
}
