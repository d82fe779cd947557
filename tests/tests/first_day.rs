//! The README's way from nothing to a first producer, command by command as it is printed: in a folder of its own, on
//! servers of its own.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "in a test, a panic is the report, and its name says what it shows"
)]

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use nightdrop_compose::{Postgres, S3, S3Kind, binary};
use url::Url;

const README: &str = include_str!("../../README.md");

/// The blocks whose fence has these words.
fn blocks(info: &str) -> Vec<&'static str> {
    README
        .split(&format!("```{info}\n"))
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

/// What is printed for one machine, for the servers and folders of this one.
struct Place {
    folder: tempfile::TempDir,
    minio: S3,
    postgres: Postgres,
}

impl Place {
    fn here(&self, text: &str) -> String {
        let root = self.folder.path().display();
        let owner = self.minio.inbox().unwrap().root();
        let at = Url::parse(&self.postgres.superuser().url).unwrap();
        let address = format!("127.0.0.1:{}", at.port().unwrap());
        text.replace("/root/nightdrop", &format!("{root}/owners"))
            .replace("/etc/nightdrop", &format!("{root}/etc"))
            .replace("/var/lib/nightdrop", &format!("{root}/var"))
            .replace("/usr/local/bin/", "")
            // There is no journal where a test runs.
            .replace("systemd-cat -t nightdrop-producer ", "")
            .replace("http://127.0.0.1:9000", self.minio.endpoint())
            .replace("@127.0.0.1/", &format!("@{address}/"))
            .replace("%s minioadmin", &format!("%s {}", owner.secret_key))
            .replace("minioadmin", &owner.access_key)
    }

    /// In one shell, as a person would, but that the first failure ends it.
    fn shell(&self, script: &str) -> Output {
        let programs =
            ["nightdrop-producer", "nightdrop-consumer"].map(|name| binary(name).unwrap());
        let mut path = std::env::var("PATH").unwrap();
        for program in &programs {
            path = format!("{}:{path}", program.parent().unwrap().display());
        }
        let psql = self.postgres.program("psql").unwrap();
        write!(path, ":{}", psql.parent().unwrap().display()).unwrap();
        write!(path, ":{}/go/bin", std::env::var("HOME").unwrap()).unwrap();
        let superuser = self.postgres.superuser();
        let at = Url::parse(&superuser.url).unwrap();
        Command::new("bash")
            .args(["-euo", "pipefail", "-c", &self.here(script)])
            .env("PATH", path)
            .env("MC_CONFIG_DIR", self.folder.path().join("mc"))
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", at.port().unwrap().to_string())
            .env("PGUSER", at.username())
            .env("PGPASSWORD", &superuser.password)
            .env("nightdrop", concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    fn done(&self, script: &str) -> String {
        let ended = self.shell(script);
        assert!(ended.status.success(), "{script}\n{ended:?}");
        String::from_utf8(ended.stdout).unwrap()
    }
}

#[test]
fn from_nothing_to_a_first_producer_on_its_schedule() {
    if !S3Kind::available().contains(&S3Kind::Minio) {
        return;
    }
    let place = Place {
        folder: tempfile::tempdir().unwrap(),
        minio: S3::start(S3Kind::Minio).unwrap(),
        postgres: Postgres::start_with(&[]).unwrap(),
    };
    let steps = blocks("sh first-day");
    let [secrets, bucket, reports, source, result] = steps[..] else {
        panic!("{} steps", steps.len())
    };
    place.done(secrets);
    for file in ["jfk.toml", "consumer.toml"] {
        let text = place.here(blocks(&format!("toml file={file}"))[0]);
        std::fs::write(place.folder.path().join("etc").join(file), text).unwrap();
    }
    let folder = "cd /etc/nightdrop\n";
    for step in [bucket, reports, source] {
        place.done(&format!("{folder}{step}"));
    }
    let said = place.done(&format!("{folder}{result}"));
    assert!(said.contains("1545"), "{said}");
    assert!(!said.contains("could not prove"), "{said}");

    let cron = blocks("cron file=/etc/cron.d/nightdrop")[0];
    let command = cron.split_once("nightdrop  ").unwrap().1;
    place.done(command);
    place.done(&format!("{folder}nightdrop-consumer -c consumer.toml once\nnightdrop-consumer -c consumer.toml check"));
    secrets_are_nobodys_else(&place.folder.path().join("etc/secrets"));
    what_owns_is_not_where_the_service_reads(place.folder.path());
    let kept = place.done("mc ilm rule ls --json drop/reports-inbox");
    assert!(kept.contains("\"NoncurrentDays\":35"), "{kept}");
}

fn secrets_are_nobodys_else(folder: &Path) {
    for file in std::fs::read_dir(folder).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}

/// All below `etc` becomes readable to the service's user.
fn what_owns_is_not_where_the_service_reads(folder: &Path) {
    let mode = folder
        .join("owners")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0);
    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    let owners: Vec<String> = std::fs::read_dir(folder.join("owners"))
        .unwrap()
        .map(|file| text(&file.unwrap().path()).trim().to_owned())
        .collect();
    assert_eq!(owners.len(), 3, "two secrets, and a file that names one");
    let read = ["etc", "etc/secrets", "etc/policies"];
    for file in read
        .iter()
        .flat_map(|below| std::fs::read_dir(folder.join(below)).unwrap())
    {
        let path = file.unwrap().path();
        let found = path.is_file() && owners.contains(&text(&path).trim().to_owned());
        assert!(!found, "{}", path.display());
    }
}
