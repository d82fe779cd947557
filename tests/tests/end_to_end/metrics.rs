//! What Prometheus sees of the consumer.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nightdrop_compose::{Postgres, S3, S3Kind};
use serde_json::json;

use crate::message::{departures, message};
use crate::outages::{health, probe};
use crate::process::Process;
use crate::site::{PATIENCE, Site, until, until_within};

/// The value of one line of the page, by its name with its labels.
fn value(page: &str, name: &str) -> Option<f64> {
    page.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .map(|value| value.parse().unwrap())
}

/// Once it listens.
fn scrape(health: &str) -> String {
    let mut answer = None;
    until("/metrics to answer", || {
        answer = probe(health, "/metrics");
        answer.is_some()
    });
    let (status, page) = answer.unwrap();
    assert_eq!(status, 200);
    page
}

/// After a read of the ledger that took long, the next may be a minute later.
const READ_ANEW: Duration = PATIENCE.saturating_mul(2);

/// The page once a line of it has this value.
pub fn in_a_while(health: &str, name: &str, expected: f64) -> String {
    all_in_a_while(health, &[(name, expected)])
}

/// The page once lines of it have these values.
fn all_in_a_while(health: &str, expected: &[(&str, f64)]) -> String {
    let mut page = String::new();
    until_within(READ_ANEW, &format!("{expected:?}"), || {
        page = scrape(health);
        expected
            .iter()
            .all(|(name, expected)| value(&page, name) == Some(*expected))
    });
    page
}

#[test]
fn prometheus_sees_what_was_loaded_how_long_it_took_and_what_was_not() {
    let (health, lines) = health();
    let site = Site::anywhere().configured(&lines);
    site.drop(&departures("2013-01-31T05:00:00Z"));
    site.drop(&departures("2013-01-31T06:00:00Z"));
    site.drop(&message("lga", "fleet", "2013-01-31T06:00:00Z").with("row_count", json!(3)));
    let _consumer = site.start(&["run"]);

    let jfk = "{producer=\"jfk\",job_name=\"departures\"}";
    in_a_while(&health, &format!("nightdrop_loaded_rows_total{jfk}"), 4.0);
    let bad = "{producer=\"lga\",state=\"parked\",reason=\"contract\"}";
    in_a_while(&health, "nightdrop_deleted_objects_total", 3.0);
    let page = all_in_a_while(
        &health,
        &[
            (&format!("nightdrop_kept_out_files{bad}"), 1.0),
            ("nightdrop_undeleted_objects", 0.0),
            ("nightdrop_server_usable{server=\"bucket\"}", 1.0),
        ],
    );
    let is = |name: &str| value(&page, name);
    assert_eq!(
        is(&format!("nightdrop_decided_files_total{bad}")),
        Some(1.0)
    );
    assert_eq!(
        is(&format!("nightdrop_loaded_results_total{jfk}")),
        Some(2.0)
    );
    let stored: f64 = site.rows("SELECT sum(size) FROM nightdrop.file WHERE state = 'loaded'")[0]
        .parse()
        .unwrap();
    assert_eq!(
        is(&format!("nightdrop_loaded_bytes_total{jfk}")),
        Some(stored)
    );
    assert_eq!(
        is(&format!("nightdrop_job_as_of_timestamp_seconds{jfk}")),
        Some(1_359_612_000.0)
    );
    // From 2013 until now, nearly all of which they were not put.
    let years = 12.0 * 365.0 * 86_400.0;
    for (name, two) in [("put_lag", true), ("load_lag", false), ("lag", true)] {
        let of = |part: &str| {
            is(&format!(
                "nightdrop_{name}_seconds_{part}{{producer=\"jfk\"}}"
            ))
        };
        assert_eq!(of("count"), Some(2.0), "{name}");
        assert_eq!(of("sum") > Some(years), two, "{name}");
    }
    assert!(
        is("nightdrop_bucket_requests_total{call=\"list\"}") >= Some(1.0),
        "{page}"
    );
    assert!(
        is("nightdrop_bucket_requests_total{call=\"get\"}") >= Some(3.0),
        "{page}"
    );
    assert!(
        is("nightdrop_claimed_files_total{lane=\"batch\"}") >= Some(3.0),
        "{page}"
    );
    for server in ["bucket", "postgres"] {
        assert_eq!(
            is(&format!("nightdrop_server_usable{{server=\"{server}\"}}")),
            Some(1.0)
        );
        let open = format!("nightdrop_breaker_state{{server=\"{server}\",state=\"open\"}}");
        assert_eq!(is(&open), Some(0.0));
    }
    assert!(is("process_resident_memory_bytes") > Some(1e6), "{page}");
}

/// The names of metrics in a text, without what a histogram's series have behind theirs.
fn names(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'))
        .filter(|word| word.starts_with("nightdrop_") || word.starts_with("process_"))
        .map(|word| word.strip_suffix("_bucket").unwrap_or(word))
        .collect()
}

#[test]
fn alerts_dashboard_and_docs_name_metrics_that_are_there() {
    let (health, lines) = health();
    let mut site = Site::anywhere().configured(&lines);
    let gate = crate::crashes::gate_before_s3(&mut site);
    gate.refuse("/inbox/lga/");
    site.drop(&departures("2013-01-31T05:00:00Z"));
    site.drop(&departures("2013-01-31T06:00:00Z").with("row_count", json!(3)));
    site.drop(&message("lga", "fleet", "2013-01-31T06:00:00Z"));
    let _consumer = site.start(&["run"]);
    let textfile = site.folder.path().join("jfk.prom");
    let job = "[job.departures]\nsource = \"db\"\nquery = \"SELECT 1 AS n\"\nmode = \"append\"\n";
    let metrics = format!("[metrics]\ntextfile = \"{}\"\n", textfile.display());
    let config = site.producer_reading("ewr", &site.reports_as_source(), "none", &(metrics + job));
    let ran = Process::start("nightdrop-producer", &config, &["run", "departures"]);
    assert_eq!(ran.wait(PATIENCE).code, Some(0));
    let told = std::fs::read_to_string(textfile).unwrap();

    let mut page = String::new();
    until_within(READ_ANEW, "all to be there", || {
        page = scrape(&health);
        [
            "queue_files{",
            "kept_out_files{",
            "failed_passes_total{",
            "bucket_errors_total{",
            "job_paused{",
            "job_late{",
        ]
        .iter()
        .all(|name| page.contains(&format!("nightdrop_{name}")))
    });
    let shown: BTreeSet<&str> = names(&page).union(&names(&told)).copied().collect();
    for named in [
        include_str!("../../../compose/prometheus/nightdrop.rules.yaml"),
        include_str!("../../../compose/grafana/nightdrop.json"),
    ] {
        let unknown: Vec<_> = names(named).difference(&shown).copied().collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
    // The docs leave `nightdrop_` out, and end what is counted as Prometheus does.
    let docs = include_str!("../../../docs/operations.md");
    for name in shown
        .iter()
        .filter(|name| !name.starts_with("nightdrop_producer_"))
    {
        let name = name.strip_prefix("nightdrop_").unwrap_or(name);
        let part = ["_sum", "_count"].iter().any(|part| name.ends_with(part));
        let counter = page.contains(&format!("nightdrop_{name}_total{{"))
            || page.contains(&format!("nightdrop_{name}_total "))
            || page.contains(&format!("# TYPE nightdrop_{name} info"));
        assert!(
            part || counter || docs.contains(&format!("`{name}`")),
            "docs/operations.md doesn't have {name}"
        );
    }
}

#[test]
fn prometheus_sees_what_waits_and_since_when() {
    let (health, lines) = health();
    let site = Site::anywhere().configured(&lines);
    site.rest("jfk", "departures");
    let before = std::time::SystemTime::now();
    site.drop_all(&[1, 2, 3].map(|hour| departures(&format!("2013-01-31T0{hour}:00:00Z"))));
    let _consumer = site.start(&["run"]);
    let page = in_a_while(&health, "nightdrop_queue_files{producer=\"jfk\"}", 3.0);
    let oldest = value(
        &page,
        "nightdrop_queue_oldest_timestamp_seconds{producer=\"jfk\"}",
    )
    .unwrap();
    let age = nightdrop_runtime::metrics::unix_seconds(before) - oldest;
    // S3 says it in whole seconds.
    assert!((-60.0..2.0).contains(&age), "{age}");

    site.execute("DELETE FROM nightdrop.pause");
    until_within(READ_ANEW, "nothing to wait", || {
        value(&scrape(&health), "nightdrop_queue_files{producer=\"jfk\"}").is_none()
    });
}

#[test]
fn a_scrape_is_answered_while_postgres_is_away_or_hangs() {
    let mut postgres = Postgres::start().unwrap();
    let (health, lines) = health();
    let s3 = S3::shared(S3Kind::available().pop().unwrap()).unwrap();
    let site = Site::with(s3, &postgres).configured(&lines);
    let _consumer = site.start(&["run"]);
    in_a_while(&health, "nightdrop_server_usable{server=\"postgres\"}", 1.0);

    // Somebody has the ledger to himself.
    let held = site.hold("LOCK TABLE nightdrop.file IN ACCESS EXCLUSIVE MODE");
    let begun = Instant::now();
    for _ in 0..10 {
        assert!(value(&scrape(&health), "process_resident_memory_bytes").is_some());
    }
    // One of them asks and waits; the others have what there is.
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    drop(held);

    postgres.kill().unwrap();
    in_a_while(&health, "nightdrop_server_usable{server=\"postgres\"}", 0.0);
    let begun = Instant::now();
    scrape(&health);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_request_that_the_bucket_fails_is_counted_by_what_failed() {
    let (health, lines) = health();
    let mut site = Site::anywhere().configured(&lines);
    let gate = crate::crashes::gate_before_s3(&mut site);
    site.drop(&departures("2013-01-31T05:00:00Z"));
    gate.refuse("/inbox/jfk/");
    let _consumer = site.start(&["run"]);
    until("the GET to be counted", || {
        value(
            &scrape(&health),
            "nightdrop_bucket_errors_total{call=\"get\",fault=\"busy\"}",
        ) >= Some(1.0)
    });
    until("the pass to be counted", || {
        value(
            &scrape(&health),
            "nightdrop_failed_passes_total{lane=\"batch\"}",
        ) >= Some(1.0)
    });
}
