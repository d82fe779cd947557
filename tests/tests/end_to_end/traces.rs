//! One result's way as one trace, from the query to the DELETE, in a collector that the test plays.

mod collector;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::message::departures;
use crate::process::{Ended, Process};
use crate::site::{PATIENCE, Site};

use collector::{Collector, Span};

type Environment<'e> = [(&'static str, &'e str)];

impl Collector {
    /// What has a program send here what a test can read.
    fn environment(&self) -> [(&'static str, &str); 2] {
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &self.endpoint),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ]
    }
}

fn run(program: &str, config: &Path, words: &[&str], environment: &Environment<'_>) -> Ended {
    let mut command = Command::new(nightdrop_compose::binary(program).unwrap());
    command
        .arg("-c")
        .arg(config)
        .args(words)
        .envs(environment.iter().copied());
    Process::spawn(&mut command).wait(PATIENCE)
}

/// The same, and it ended well.
fn well(program: &str, config: &Path, words: &[&str], environment: &Environment<'_>) -> Ended {
    let ended = run(program, config, words, environment);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended
}

const JOBS: &str = "
[job.departures]
source = \"db\"
query = \"SELECT 'UA' AS carrier, 1545::bigint AS flight\"
mode = \"append\"

[job.weather]
source = \"db\"
query = \"SELECT n, repeat('sun', 10) AS sky FROM generate_series(1, 1000) n\"
mode = \"append\"
";

#[test]
fn one_trace_spans_query_put_fetch_load_and_delete_by_three_processes() {
    let collector = Collector::start();
    let traced = collector.environment();
    // The second result is read as a stream.
    let mut site = Site::anywhere().configured("[load]\nstream_above = \"1KiB\"\n");
    let jfk = site.producer_reading("jfk", &site.reports_as_source(), "none", JOBS);
    well("nightdrop-producer", &jfk, &["run", "--all"], &traced);
    // One consumer loads, another deletes.
    site.in_bucket = "delete_after = \"1h\"".into();
    well("nightdrop-consumer", &site.config(), &["once"], &traced);
    assert!(!site.is_inbox_empty());
    site.in_bucket = String::new();
    well("nightdrop-consumer", &site.config(), &["once"], &traced);
    assert!(site.is_inbox_empty());

    let spans = collector.spans();
    let mut ids = Vec::new();
    for job in ["departures", "weather"] {
        let of = |name: &str| -> &Span {
            let mut found = spans
                .iter()
                .filter(|span| span.name == name && span.is_of(job));
            let one = found.next();
            assert_eq!(found.count(), 0, "{name} twice");
            one.unwrap_or_else(|| panic!("no {name} of {job} in {spans:#?}"))
        };
        let root = of("run");
        let its = (root.parent.as_str(), root.service.as_str());
        assert_eq!(its, ("", "nightdrop-producer"));
        let mut last = root.begin;
        for (name, service) in [
            ("query", "nightdrop-producer"),
            ("put", "nightdrop-producer"),
            ("fetch", "nightdrop-consumer"),
            ("load", "nightdrop-consumer"),
            ("delete", "nightdrop-consumer"),
        ] {
            let span = of(name);
            let is = (&span.trace, &span.parent, span.service.as_str());
            assert_eq!(is, (&root.trace, &root.id, service), "{name}");
            let in_order = last <= span.begin && span.begin <= span.end;
            assert!(in_order, "{name}: {spans:#?}");
            assert_eq!(span.failed, None, "{name}");
            last = span.begin;
        }
        ids.push(&root.trace);
    }
    assert_ne!(ids[0], ids[1], "each result has a trace of its own");
}

#[test]
fn a_put_that_a_later_run_makes_up_for_is_in_the_trace_of_its_query() {
    let collector = Collector::start();
    let traced = collector.environment();
    let site = Site::anywhere();
    let jfk = site.producer_reading("jfk", &site.reports_as_source(), "zstd", JOBS);
    let there = std::fs::read_to_string(&jfk).unwrap();
    let away = site.folder.path().join("away.toml");
    let text = there
        .replace(&site.inbox.endpoint, "http://127.0.0.1:1")
        .replace("[bucket]\n", "[bucket]\nput_for = \"1ms\"\n");
    std::fs::write(&away, text).unwrap();
    let ended = run("nightdrop-producer", &away, &["run", "departures"], &traced);
    assert_eq!(ended.code, Some(74), "{ended:?}");
    well("nightdrop-producer", &jfk, &["drain"], &traced);

    let spans = collector.spans();
    let query = spans.iter().find(|span| span.name == "query").unwrap();
    let puts = spans.iter().filter(|span| span.name == "put");
    let puts: Vec<_> = puts
        .map(|put| (put.trace == query.trace, put.failed.as_deref()))
        .collect();
    assert_eq!(
        puts,
        [(true, Some("unreachable")), (true, None)],
        "{spans:#?}"
    );
}

#[test]
fn a_result_that_came_without_a_trace_begins_one_where_it_is_fetched() {
    let collector = Collector::start();
    let site = Site::anywhere();
    site.drop(&departures("2013-01-31T05:00:00Z"));
    // As the standard has it: protobuf, unless somebody says otherwise.
    let traced = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str())];
    well("nightdrop-consumer", &site.config(), &["once"], &traced);
    let traceparent = &site.rows("SELECT traceparent FROM nightdrop.file")[0];
    let trace = traceparent.split('-').nth(1).unwrap();
    let bytes: Vec<u8> = (0..16)
        .map(|at| u8::from_str_radix(&trace[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let sent = collector.protobuf();
    let times = sent.windows(16).filter(|window| *window == bytes).count();
    assert_eq!(times, 3, "fetch, load and delete");
}

#[test]
fn a_trace_shows_where_it_ended_and_no_value_of_a_source_or_a_file() {
    let collector = Collector::start();
    let traced = collector.environment();
    let site = Site::anywhere();
    let source = site.reports_as_source();
    let jobs = JOBS.replace("1545::bigint", "'swordfish'::bigint");
    let jfk = site.producer_reading("jfk", &source, "none", &jobs);
    let ended = run("nightdrop-producer", &jfk, &["run", "departures"], &traced);
    assert_eq!(ended.code, Some(65), "{ended:?}");
    assert!(ended.stderr.contains("swordfish"), "{}", ended.stderr);

    // Once that the job has a table, and once that the table refuses what there is of it.
    well("nightdrop-producer", &jfk, &["run", "weather"], &traced);
    well("nightdrop-consumer", &site.config(), &["once"], &traced);
    let jobs = JOBS.replace("repeat('sun', 10)", "n > 7");
    let jfk = site.producer_reading("jfk", &source, "none", &jobs);
    well("nightdrop-producer", &jfk, &["run", "weather"], &traced);
    well("nightdrop-consumer", &site.config(), &["once"], &traced);
    // The run that failed left word of it, too.
    assert_eq!(
        site.states(),
        ["noted|failed", "loaded|null", "parked|changed_type"]
    );

    let spans = collector.spans();
    let failed: Vec<_> = spans
        .iter()
        .filter_map(|span| Some((span.name.as_str(), span.failed.as_deref()?)))
        .collect();
    let ended = "exit code 65; the log says why";
    assert_eq!(
        failed,
        [("query", ended), ("run", ended), ("load", "changed_type")]
    );
    assert!(!format!("{spans:?}").contains("swordfish"));
}

#[test]
fn without_the_environment_no_result_has_a_trace() {
    let site = Site::anywhere();
    let jfk = site.producer_reading("jfk", &site.reports_as_source(), "none", JOBS);
    well("nightdrop-producer", &jfk, &["run", "departures"], &[]);
    site.once();
    let traces = site.rows("SELECT traceparent FROM nightdrop.file");
    assert_eq!(traces, ["null"]);
}

/// Both programs do their work, say it, and end.
fn undisturbed_by(endpoint: &str, says: &str) {
    let site = Site::anywhere();
    let jfk = site.producer_reading("jfk", &site.reports_as_source(), "none", JOBS);
    let traced = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        // Longer than the test waits for the end of a program.
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "600000"),
    ];
    for ended in [
        well("nightdrop-producer", &jfk, &["run", "departures"], &traced),
        well("nightdrop-consumer", &site.config(), &["once"], &traced),
    ] {
        assert!(ended.stderr.contains(says), "{}", ended.stderr);
    }
    assert_eq!(site.rows("SELECT count(*) FROM jfk.departures"), ["1"]);
}

#[test]
fn a_collector_that_is_away_delays_nobody() {
    undisturbed_by("http://127.0.0.1:1", "traces are lost, and nothing else");
}

#[test]
fn a_collector_that_never_answers_delays_the_end_by_two_seconds_and_no_more() {
    // Connected by the system, and never spoken to.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    undisturbed_by(&endpoint, "the last traces could not be sent");
}

#[test]
fn an_address_that_is_none_is_an_error_in_the_log_and_the_work_is_done() {
    undisturbed_by("not an address", "no traces are sent");
}
