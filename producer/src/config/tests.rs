use super::*;

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
    let error = config.jobs[0].query().unwrap_err().to_string();
    assert!(error.starts_with("query_file: cannot read "), "{error}");
    std::fs::write(folder.path().join("departures.sql"), "SELECT 2").unwrap();
    assert_eq!(config.jobs[0].query().unwrap().sql, "SELECT 2");
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
        @r#"jfk.toml:11: job.departures.parameters: "2013-02-30" is no day: there is no day 30 in February of the year 2013; write one from 01 to 28"#
    );
    insta::assert_snapshot!(
        refusal(&format!("{TOP}[job.Departures]\n{WHOLE}")),
        @r#"jfk.toml:7: job.Departures: "Departures" can't name a job; write a small letter, then up to 47 small letters, digits and underscores"#
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
