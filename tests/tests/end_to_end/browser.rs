//! The status page in a real browser, where Chromium, Node and what `tests/browser/package.json` names are installed:
//! with real results of three producers, wide and on a phone, light and dark, judged by axe-core. With
//! `NIGHTDROP_SHOTS=FOLDER` it leaves pictures there.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chrono::{DateTime, Days, Utc};
use serde_json::{Value, json};

use crate::message::{Message, departures, message};
use crate::outages::health;
use crate::pages::{ask, failed};
use crate::site::{Site, until};

const TOKEN: &str = "a token that only the browser test has";

fn program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Node's way to its packages: `NODE_PATH`, which `.ci/run` sets, or beside the script, where `npm ci` puts them.
fn packages() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/node_modules");
    let folders = std::env::var_os("NODE_PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .chain([beside])
        .find(|folder| folder.join("playwright-core").is_dir() && folder.join("axe-core").is_dir())
}

/// The flights that left New York in January 2013, by airport and day.
fn flights() -> BTreeMap<(String, u64), Vec<Value>> {
    let mut days: BTreeMap<_, Vec<Value>> = BTreeMap::new();
    for line in include_str!("../../../examples/data/flights.csv")
        .lines()
        .skip(1)
    {
        let cell: Vec<&str> = line.split(',').collect();
        let whose = (cell[12].to_ascii_lowercase(), cell[2].parse().unwrap());
        let number = |cell: &str| cell.parse::<i64>().ok();
        days.entry(whose).or_default().push(json!([
            cell[9],
            number(cell[10]),
            cell[13],
            number(cell[5])
        ]));
    }
    days
}

fn columns() -> Value {
    json!([
        {"name": "carrier", "type": "string", "description": "IATA's two letters"},
        {"name": "flight", "type": "int64", "description": "Its number, as the carrier gives it"},
        {"name": "dest", "type": "string", "description": "Where it went: FAA's code"},
        {"name": "dep_delay", "type": "int64"}
    ])
}

fn text(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A month's flights, as if it were the last: each day's come at five the morning after.
fn month(now: DateTime<Utc>) -> Vec<Message> {
    let five = now.date_naive().and_hms_opt(5, 0, 0).unwrap().and_utc();
    let morning = if five < now {
        five
    } else {
        five - Days::new(1)
    };
    let results = flights().into_iter().map(|((airport, day), rows)| {
        // Newark's source has been silent for two days.
        let late = if airport == "ewr" { 2 } else { 0 };
        let as_of = morning - Days::new(31 - day + late);
        message(&airport, "departures", &text(as_of))
            .with("columns", columns())
            .with(
                "next_by",
                json!(text(as_of + Days::new(1) + chrono::TimeDelta::minutes(40))),
            )
            .rows(&json!(rows))
    });
    results.collect()
}

/// Three producers: one well, one late, one with a file that is parked and a run that failed.
fn fill(site: &Site, now: DateTime<Utc>) {
    site.drop_all(&month(now));
    let hour = |back: u64| text(now - chrono::TimeDelta::hours(back.try_into().unwrap()));
    let weather = |back| {
        message("lga", "weather", &hour(back))
            .with("mode", json!("upsert"))
            .with("primary_key", json!(["carrier"]))
    };
    site.drop_all(&[30, 24, 18, 12].map(weather));
    site.drop(&weather(6).with("row_count", json!(3)));
    site.drop(
        &departures(&hour(3))
            .with("next_by", json!(hour(0)))
            .with(
                "columns",
                json!([
                    {"name": "carrier", "type": "string"}, {"name": "flight", "type": "string"}
                ]),
            )
            .rows(&json!([["UA", "1545"]])),
    );
    let run = message("lga", "fleet", &hour(2));
    site.drop_as(
        &run.key(),
        failed(&run, "the source refused the credentials of report@db1").as_bytes(),
    );
    site.rest("jfk", "fleet");
    site.drop_all(&[4, 3, 2].map(|back| message("jfk", "fleet", &hour(back))));
}

#[test]
fn in_a_browser_the_pages_are_pleasant_for_everyone() {
    let found = (program("chromium"), program("node"), packages());
    let (Some(chromium), Some(node), Some(packages)) = found else {
        // A machine of one's own needs none of them; where everything has to hold, they are there.
        assert!(std::env::var_os("CI").is_none(), "{found:?}");
        eprintln!("not looked at: Chromium, Node, or `npm ci` in tests/browser is missing");
        return;
    };
    let (address, lines) = health();
    let mut site = Site::anywhere();
    let token = site.folder.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    site = site.configured(&format!("{lines}token = \"file:{}\"\n", token.display()));
    let now = Utc::now();
    fill(&site, now);
    let _consumer = site.start(&["run"]);
    until("all to be loaded but what waits", || {
        site.rows("SELECT state, count(*) FROM nightdrop.file GROUP BY state ORDER BY state")
            == ["loaded|97", "noted|1", "parked|2", "waiting|3"]
    });
    // Each came when it was as of, and was loaded soon after.
    site.execute(
        "UPDATE nightdrop.job SET created_at = '2000-01-01';
         UPDATE nightdrop.file SET listed_at = as_of + interval '3 s', put_at = as_of + interval '2 s' WHERE state <> 'waiting';
         UPDATE nightdrop.file SET decided_at = as_of + (6 + id * id % 41) * interval '1 s' WHERE state <> 'waiting'",
    );
    let file = |state: &str| {
        site.rows(&format!(
            "SELECT max(id) FROM nightdrop.file WHERE state = '{state}'"
        ))
        .concat()
    };
    let basic = "Basic OmEgdG9rZW4gdGhhdCBvbmx5IHRoZSBicm93c2VyIHRlc3QgaGFz";
    until("the page to know of it", || {
        let page = ask(&address, "/", &[("Authorization", basic)]).body;
        page.contains(">late</span>") && page.contains(" 3 waiting")
    });

    let shots = std::env::var("NIGHTDROP_SHOTS").ok();
    let wanted = json!({
        "chromium": chromium, "base": format!("http://{address}"), "user": "", "password": TOKEN, "shots": shots,
        "pages": [
            {"name": "overview", "path": "/"},
            {"name": "job", "path": "/jobs/ewr/departures"},
            {"name": "job-parked", "path": "/jobs/lga/weather"},
            {"name": "file-parked", "path": format!("/files/{}", file("parked"))},
            {"name": "file-loaded", "path": format!("/files/{}", file("loaded"))},
            {"name": "file-waiting", "path": format!("/files/{}", file("waiting"))},
        ],
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/look.cjs");
    let mut looking = Command::new(node)
        .arg(script)
        .env("NODE_PATH", packages)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = looking.stdin.take().unwrap();
    stdin.write_all(wanted.to_string().as_bytes()).unwrap();
    drop(stdin);
    let looked = looking.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&looked.stdout);
    assert!(looked.status.success(), "{said}");
    assert_eq!(said, "6 pages looked at in 4 ways, 0 things wrong\n");
}
