use super::*;
use crate::window::Every;

const TOP: &str = "producer = \"jfk\"\nstate_dir = \"/var/lib/nightdrop/jfk\"\n\
    [bucket]\nurl = \"s3://reports-inbox\"\n[source.ops]\nurl = \"postgres://report@db1/ops\"\n";

fn load(text: &str) -> Result<Config, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jfk.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(&path)
}

fn refusal(text: &str) -> String {
    let error = load(text).unwrap_err().to_string();
    // The folder's name is another each time.
    error[error.find("jfk.toml").unwrap()..].to_owned()
}

fn job(keys: &str) -> String {
    refusal(&format!("{TOP}[job.departures]\n{keys}\n"))
}

const WHOLE: &str = "source = \"ops\"\nquery = \"SELECT 1\"\nmode = \"append\"";

#[test]
fn what_is_left_out_has_a_default_that_a_production_site_would_keep() {
    let config = load(&format!("{TOP}[job.departures]\n{WHOLE}")).unwrap();
    assert_eq!(config.bucket.put_for, Duration::from_mins(15));
    assert_eq!(config.bucket.compress, Compression::Zstd);
    assert!(config.bucket.settings.keys.is_none());
    let job = &config.jobs[0];
    assert_eq!(job.timeout, Duration::from_mins(10));
    assert_eq!(job.min_rows, 0);
}

#[test]
fn a_textfile_is_one_that_node_exporter_finds() {
    let with = |path: &str| {
        TOP.replace(
            "[bucket]",
            &format!("[metrics]\ntextfile = \"{path}\"\n[bucket]"),
        )
    };
    let said = refusal(&with("/var/lib/node_exporter/jfk.txt"));
    insta::assert_snapshot!(said, @"jfk.toml: metrics.textfile: node_exporter reads files that end in .prom; write an absolute path to one in its folder");
    assert!(load(&with("/var/lib/node_exporter/jfk.prom")).is_ok());
}

#[test]
fn jobs_keep_the_file_s_order() {
    let config = load(&format!(
        "{TOP}[job.z]\n{WHOLE}\n[job.a]\n{WHOLE}\n[job.m]\n{WHOLE}"
    ))
    .unwrap();
    let jobs: Vec<_> = config.jobs.keys().map(Job::as_str).collect();
    assert_eq!(jobs, ["z", "a", "m"]);
}

#[test]
fn a_query_file_lies_beside_the_configuration_and_is_read_when_the_job_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jfk.toml");
    let keys = "source = \"ops\"\nquery_file = \"departures.sql\"\nmode = \"append\"";
    std::fs::write(&path, format!("{TOP}[job.departures]\n{keys}")).unwrap();
    let config = Config::load(&path).unwrap();
    let error = config.jobs[0].query(Part::Whole).unwrap_err().to_string();
    assert!(error.starts_with("query_file: cannot read "), "{error}");
    std::fs::write(folder.path().join("departures.sql"), "SELECT 2").unwrap();
    assert_eq!(config.jobs[0].query(Part::Whole).unwrap().sql, "SELECT 2");
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    insta::assert_snapshot!(
        job("source = \"ops\"\nqurey = \"SELECT 1\"\nmode = \"append\""),
        @r#"jfk.toml:9: unknown key "qurey" in [job.departures]; did you mean "query"?"#
    );
}

#[test]
fn keys_that_do_not_fit_each_other_are_named() {
    insta::assert_snapshot!(
        job("source = \"opps\"\nquery = \"SELECT 1\"\nmode = \"append\""),
        @"jfk.toml: job.departures.source: there is no [source.opps]; known are: ops"
    );
    insta::assert_snapshot!(
        job("source = \"ops\"\nmode = \"append\""),
        @r#"jfk.toml: job.departures.query: the job has no query; write query = "…" or query_file = "….sql""#
    );
    insta::assert_snapshot!(
        job(&format!("{WHOLE}\nquery_file = \"x.sql\"")),
        @"jfk.toml: job.departures.query_file: query is there too; leave one of them out"
    );
    insta::assert_snapshot!(
        job("source = \"ops\"\nquery = \"SELECT 1\"\nmode = \"upsert\""),
        @r#"jfk.toml: job.departures.primary_key: mode = "upsert" needs the columns that tell rows apart; write primary_key = ["…"]"#
    );
    insta::assert_snapshot!(
        job(&format!("{WHOLE}\nprimary_key = [\"id\"]")),
        @r#"jfk.toml: job.departures.primary_key: only mode = "upsert" has one; leave it out"#
    );
    insta::assert_snapshot!(
        refusal(&TOP.replace("/var/lib", "var/lib")),
        @"jfk.toml: state_dir: cron and systemd start in folders of their own; write an absolute path"
    );
    insta::assert_snapshot!(
        refusal(&TOP.replace("[source.ops]", "access_key = \"env:K\"\n[source.ops]")),
        @r#"jfk.toml: bucket.secret_key: access_key needs it; write "env:NAME" or "file:/path""#
    );
}

#[test]
fn a_value_of_the_wrong_kind_names_its_line() {
    insta::assert_snapshot!(
        job(&format!("{WHOLE}\ntypes = {{ fare = \"money\" }}")),
        @r#"jfk.toml:11: job.departures.types.fare: "money" is no type; write one of bool, int64, decimal, float64, string, bytes, date, time, timestamp, timestamptz, uuid, json"#
    );
    insta::assert_snapshot!(
        job(&format!("{WHOLE}\nparameters = [{{ type = \"date\", value = \"2013-02-30\" }}]")),
        @r#"jfk.toml:11: job.departures.parameters[0]: "2013-02-30" is no day: there is no day 30 in February of the year 2013; write one from 01 to 28"#
    );
    insta::assert_snapshot!(
        refusal(&format!("{TOP}[job.Departures]\n{WHOLE}")),
        @r#"jfk.toml:7: job.Departures: "Departures" can't name a job; write a small letter, then up to 47 small letters, digits and underscores"#
    );
}

#[test]
fn the_jobs_of_the_page_are_taken() {
    let page = include_str!("../../../docs/jobs.md");
    let blocks: Vec<_> = page
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split_once("```").unwrap().0)
        .collect();
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        load(&format!("{TOP}{block}")).unwrap();
    }
}

const INCREMENTAL: &str = "source = \"ops\"\nquery = \"SELECT 1\"";
const CURSOR: &str = "cursor = { lag = \"5m\" }\nparameters = [\"cursor.from\", \"cursor.to\"]";
const WINDOW: &str =
    "window = { every = \"1d\", column = \"day\" }\nparameters = [\"window.from\", \"window.to\"]";

#[test]
fn a_window_is_replaced_in_utc_unless_the_job_says_otherwise() {
    let config = load(&format!("{TOP}[job.departures]\n{INCREMENTAL}\n{WINDOW}")).unwrap();
    let job = &config.jobs[0];
    assert_eq!(job.mode, Mode::Replace { range: None });
    let Reads::Window(window) = &job.reads else {
        panic!("{:?}", job.reads)
    };
    assert_eq!(window.timezone, chrono_tz::UTC);
    assert_eq!(window.every, Every::Day);
}

#[test]
fn a_cursor_reads_from_a_start_up_to_a_lag() {
    let keys = CURSOR.replace("{ lag", "{ start = \"2013-01-01T00:00:00Z\", lag");
    let config = load(&format!(
        "{TOP}[job.departures]\n{INCREMENTAL}\n{keys}\nmode = \"append\""
    ))
    .unwrap();
    let Reads::Cursor(cursor) = &config.jobs[0].reads else {
        panic!("{:?}", config.jobs[0].reads)
    };
    assert_eq!(cursor.lag, Duration::from_mins(5));
    assert_eq!(
        cursor.start.unwrap().to_string(),
        "2013-01-01T00:00:00.000000Z"
    );
}

#[test]
fn keys_of_cursors_and_windows_that_do_not_fit_are_named() {
    let said = |keys: &str| job(&format!("{INCREMENTAL}\n{keys}"));
    insta::assert_snapshot!(said(&format!("{CURSOR}\nmode = \"append\"\nwindow = {{ every = \"1d\", column = \"day\" }}")), @"jfk.toml: job.departures.window: cursor is there too; leave one of them out");
    insta::assert_snapshot!(said(&format!("{CURSOR}\nmode = \"replace\"")), @r#"jfk.toml: job.departures.mode: what came since the last run is not all there is; write "append" or "upsert""#);
    insta::assert_snapshot!(said(CURSOR), @r#"jfk.toml: job.departures.mode: what are the rows to those that are there? write "append", "replace" or "upsert""#);
    insta::assert_snapshot!(said(&format!("{}\nmode = \"append\"", CURSOR.replace("5m", "0s"))), @r#"jfk.toml: job.departures.cursor.lag: what is committed while the query runs would never be read; write more than the longest transaction that writes takes, such as "5m""#);
    insta::assert_snapshot!(said(&format!("{}\nmode = \"append\"", CURSOR.replace(", \"cursor.to\"", ""))), @r#"jfk.toml: job.departures.parameters: the query must be told its cursor: `… WHERE x >= $1 AND x < $2` and parameters = ["cursor.from", "cursor.to"]; "cursor.to" is missing"#);
    insta::assert_snapshot!(said(&format!("{WINDOW}\nmode = \"append\"")), @r#"jfk.toml: job.departures.mode: the result of a window takes the place of what was said of its slot; write "replace", or leave it out"#);
    insta::assert_snapshot!(said(&WINDOW.replace("window.from", "cursor.from")), @r#"jfk.toml: job.departures.parameters: "cursor.from": the job has no cursor; leave it out, or write cursor = { … }"#);
    insta::assert_snapshot!(said("mode = \"append\"\ntimezone = \"UTC\""), @"jfk.toml: job.departures.timezone: only window and schedule have a time zone; leave it out");
}

#[test]
fn values_of_cursors_and_windows_that_are_none_name_their_line() {
    let said = |keys: &str| job(&format!("{INCREMENTAL}\nmode = \"append\"\n{keys}"));
    insta::assert_snapshot!(said("cursor = { start = \"2013-01-01\", lag = \"5m\" }"), @r#"jfk.toml:11: job.departures.cursor.start: "2013-01-01" has another form; write it as 2013-01-31T05:00:00.000000Z"#);
    insta::assert_snapshot!(said(&CURSOR.replace("cursor.to", "cursor.end")), @r#"jfk.toml:12: job.departures.parameters[1]: "cursor.end" is no parameter; write { type = "string", value = "cursor.end" }, or one of "cursor.from", "cursor.to", "window.from", "window.to""#);
    insta::assert_snapshot!(said(&WINDOW.replace("1d", "5h")), @r#"jfk.toml:11: job.departures.window.every: "5h" is no slot; write "1mo", "1w", "1d", or hours or minutes that divide the day, such as "6h", "1h", "15m""#);
    insta::assert_snapshot!(said(&format!("timezone = \"New York\"\n{WINDOW}")), @r#"jfk.toml:11: job.departures.timezone: "New York" is no time zone; write its IANA name, such as "Europe/Berlin""#);
    insta::assert_snapshot!(said("cursor = { start = \"2013-01-01T00:00:00Z\" }"), @r#"jfk.toml:11: job.departures.cursor: "lag" is missing"#);
}

#[test]
fn a_schedule_has_a_wall_clock_and_a_grace() {
    let keys = "schedule = \"0 5 * * *\"\ntimezone = \"Europe/Berlin\"\ngrace = \"1h\"";
    let config = load(&format!("{TOP}[job.departures]\n{WHOLE}\n{keys}")).unwrap();
    assert!(config.jobs[0].schedule.is_some());
    let said = |keys: &str| job(&format!("{WHOLE}\n{keys}"));
    insta::assert_snapshot!(said("grace = \"1h\""), @r#"jfk.toml: job.departures.grace: without a schedule no result is late; write schedule = "0 5 * * *", or leave it out"#);
    insta::assert_snapshot!(said("schedule = \"0 0 30 2 *\""), @"jfk.toml: job.departures.schedule: that never comes");
    assert!(
        said("schedule = \"5am\"")
            .starts_with("jfk.toml: job.departures.schedule: not five fields as in a crontab")
    );
}

#[test]
fn a_password_in_a_url_is_refused_and_not_printed() {
    insta::assert_snapshot!(
        refusal(&TOP.replace("report@", "report:hunter2@")),
        @r#"jfk.toml: source.ops.url: it holds a password; take it out and write password = "env:NAME" or "file:/path""#
    );
    insta::assert_snapshot!(
        refusal(&TOP.replace("postgres:", "oracle:")),
        @r#"jfk.toml: source.ops.url: "oracle" is no source; write postgres://, mysql:// or sqlite://"#
    );
}

#[test]
fn debug_shows_no_secret() {
    let text = TOP.replace(
        "[source.ops]",
        "access_key = \"env:PATH\"\nsecret_key = \"env:PATH\"\n[source.ops]",
    );
    let shown = format!("{:?}", load(&text).unwrap());
    assert!(!shown.contains(&std::env::var("PATH").unwrap()));
}
