//! A consumer that is ended between any two steps of a file's way, in both lanes: the next one finds out what became of
//! it, and in the end each result is in the reports once.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use nightdrop_compose::{S3Kind, binary_with_fail_points};
use serde_json::{Value, json};

use crate::crashes::many_rows;
use crate::message::{Message, message};
use crate::process::{Ended, Process};
use crate::site::{PATIENCE, Site};
use crate::told;

/// By which way files go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Batch,
    Stream,
}

/// What a consumer finds when it is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// Two results each of an `append`, a `replace` and an `upsert`.
    Results,
    /// The same, and a bad file.
    Bad,
    /// The same, while another consumer has the jobs that are locked.
    Busy,
    /// A file that is stored small and turns out to be large.
    Large,
}

const BOTH: &[Lane] = &[Lane::Batch, Lane::Stream];
const BATCH: &[Lane] = &[Lane::Batch];
const STREAM: &[Lane] = &[Lane::Stream];

/// Where it is ended, how often it passes there before, in which lanes, and what it finds.
const STEPS: [(&str, usize, &[Lane], Scene); 31] = [
    ("list: answered", 0, BOTH, Scene::Results),
    ("page: recorded", 0, BOTH, Scene::Results),
    ("page: committed", 0, BOTH, Scene::Results),
    ("claim: committed", 0, BOTH, Scene::Results),
    ("file: fetched", 0, BOTH, Scene::Results),
    ("file: head decoded", 0, STREAM, Scene::Results),
    ("file: decoded", 0, BOTH, Scene::Results),
    ("table: settled", 0, BOTH, Scene::Results),
    ("table: committed", 0, BOTH, Scene::Results),
    ("load: begun", 0, BOTH, Scene::Results),
    ("load: files locked", 0, BOTH, Scene::Results),
    ("load: job locked", 0, BOTH, Scene::Results),
    ("replace: older rows deleted", 0, BOTH, Scene::Results),
    // The second one replaces rows of the first.
    ("replace: older rows deleted", 1, BOTH, Scene::Results),
    ("copy: begun", 0, BOTH, Scene::Results),
    ("copy: under way", 0, BOTH, Scene::Results),
    ("copy: finished", 0, BOTH, Scene::Results),
    ("upsert: merged", 0, BOTH, Scene::Results),
    ("load: verdicts written", 0, BOTH, Scene::Results),
    ("load: committed", 0, BOTH, Scene::Results),
    ("park: bytes kept", 0, BOTH, Scene::Bad),
    ("park: verdicts written", 0, BOTH, Scene::Bad),
    ("park: committed", 0, BOTH, Scene::Bad),
    ("delete: ledger read", 0, BOTH, Scene::Results),
    ("delete: answered", 0, BOTH, Scene::Results),
    ("delete: confirmed", 0, BOTH, Scene::Results),
    ("delete: committed", 0, BOTH, Scene::Results),
    ("claim: put off", 0, BATCH, Scene::Busy),
    ("claim: to be given back", 0, BOTH, Scene::Busy),
    ("claim: given back", 0, BOTH, Scene::Busy),
    ("claim: sent to the streams", 0, BATCH, Scene::Large),
];

/// The names of the fail points in a folder of sources.
fn fail_points(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(fail_points(&path));
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            let calls = text.split("failpoint(\"").skip(1);
            names.extend(calls.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
    names
}

#[test]
fn each_fail_point_of_the_consumer_has_its_kill() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../consumer/src");
    let of_files = STEPS.iter().map(|(point, ..)| *point);
    let of_alarms = told::alarms::KILLS.map(|(point, _)| point);
    let killed: BTreeSet<String> = of_files.chain(of_alarms).map(str::to_owned).collect();
    assert_eq!(fail_points(&sources), killed);
}

#[test]
fn a_consumer_that_is_ended_at_any_step_leaves_each_result_in_the_reports_once() {
    let kinds = S3Kind::available();
    let kills: Vec<(usize, Kill)> = STEPS
        .iter()
        .flat_map(|&(point, passes, lanes, scene)| {
            lanes.iter().map(move |&lane| Kill {
                point,
                passes,
                lane,
                scene,
            })
        })
        .enumerate()
        .collect();
    let left = Mutex::new(kills.into_iter());
    // Most of each is waiting for the dead consumer's lease to run out.
    std::thread::scope(|scope| {
        for worker in 0..6 {
            let kind = kinds[worker % kinds.len()];
            let left = &left;
            scope.spawn(move || {
                let sites = sites(kind);
                loop {
                    let Some((number, kill)) = left.lock().unwrap().next() else {
                        break;
                    };
                    kill.run(&sites[usize::from(kill.lane == Lane::Stream)], number);
                }
            });
        }
    });
}

/// One for files that go in batches, one for the same as streams.
fn sites(kind: S3Kind) -> [Site; 2] {
    ["", "stream_above = \"0B\"\n"]
        .map(|more| Site::on(kind).configured(&format!("[load]\nlease = \"1s\"\n{more}")))
}

#[derive(Clone, Copy, Debug)]
struct Kill {
    point: &'static str,
    passes: usize,
    lane: Lane,
    scene: Scene,
}

impl Kill {
    fn run(self, site: &Site, number: usize) {
        let jobs = Jobs::of(number);
        for result in jobs.results() {
            site.drop(&result);
        }
        let held = match self.scene {
            Scene::Results => None,
            Scene::Bad => {
                site.drop(&jobs.bad());
                None
            }
            Scene::Large => {
                let (key, packed) = jobs.large().gzipped();
                site.drop_as(&key, &packed);
                None
            }
            Scene::Busy => {
                // Known from an earlier result: what is locked is there.
                site.once();
                for result in jobs.later() {
                    site.drop(&result);
                }
                Some(site.hold("SELECT FROM nightdrop.job FOR UPDATE"))
            }
        };
        let ended = self.end(site);
        // SIGABRT, by which a fail point ends a process: no destructor runs.
        assert_eq!(
            ended.signal,
            Some(6),
            "{self:?} was never reached: {ended:?}"
        );
        drop(held);
        // What its sessions have locked is passed over until then.
        site.wait_for_the_end_of_sessions();
        let again = site.once();
        jobs.check(site, self, &again);
    }

    /// Runs a consumer into its end.
    fn end(self, site: &Site) -> Ended {
        let mut command = Command::new(binary_with_fail_points("nightdrop-consumer").unwrap());
        let action = match self.passes {
            0 => "return".to_owned(),
            passes => format!("{passes}*off->return"),
        };
        command
            .arg("-c")
            .arg(site.config())
            .arg("run")
            .env("FAILPOINTS", format!("{}={action}", self.point));
        Process::spawn(&mut command).wait(PATIENCE)
    }
}

/// The jobs of one kill: others' results are not theirs.
struct Jobs {
    number: usize,
    append: String,
    replace: String,
    upsert: String,
}

impl Jobs {
    /// Whatever comes first by name is loaded first: with the number, another mode does.
    fn of(number: usize) -> Self {
        let name = |place: usize| format!("{}_{number}", ["a", "b", "c"][(number + place) % 3]);
        Self {
            number,
            append: name(0),
            replace: name(1),
            upsert: name(2),
        }
    }

    fn result(job: &str, minute: u32, mode: &str, rows: &Value) -> Message {
        let time = format!("2013-01-31T05:{minute:02}:00Z");
        let result = message("jfk", job, &time)
            .with("mode", json!(mode))
            .rows(rows);
        if mode == "upsert" {
            result.with("primary_key", json!(["flight"]))
        } else {
            result
        }
    }

    fn both(job: &str, mode: &str) -> [Message; 2] {
        [
            Self::result(job, 1, mode, &json!([["UA", 1], ["UA", 2]])),
            Self::result(job, 2, mode, &json!([["AA", 2], ["AA", 3]])),
        ]
    }

    fn results(&self) -> Vec<Message> {
        [
            Self::both(&self.append, "append"),
            Self::both(&self.replace, "replace"),
            Self::both(&self.upsert, "upsert"),
        ]
        .concat()
    }

    /// A third result of the jobs that are locked while they are loaded.
    fn later(&self) -> Vec<Message> {
        [(&self.replace, "replace"), (&self.upsert, "upsert")]
            .map(|(job, mode)| Self::result(job, 3, mode, &json!([["AA", 2], ["AA", 3]])))
            .to_vec()
    }

    fn bad(&self) -> Message {
        Self::result(&self.append, 4, "append", &json!([["UA", "not a number"]]))
    }

    /// More rows than a batch takes of one file.
    fn large(&self) -> Message {
        let job = format!("large_{}", self.number);
        Self::result(&job, 5, "append", &many_rows(60_000))
    }

    /// Everything is there once, and nothing is left to do.
    fn check(&self, site: &Site, kill: Kill, again: &Ended) {
        // What was listed again after it was deleted is no file of its own.
        let mine = format!("FROM nightdrop.file WHERE job ~ '_{}$'", self.number);
        let mut expected = vec!["6|0".to_owned()];
        match kill.scene {
            Scene::Results => {}
            Scene::Bad => expected = vec!["7|1".to_owned()],
            Scene::Busy => expected = vec!["8|0".to_owned()],
            Scene::Large => {
                expected = vec!["7|0".to_owned()];
                let large = format!(
                    "SELECT count(*), count(DISTINCT flight) FROM jfk.large_{}",
                    self.number
                );
                assert_eq!(site.rows(&large), ["60000|60000"], "{kill:?}");
            }
        }
        let told = || {
            let all = site.rows(&format!("SELECT * {mine} ORDER BY id"));
            format!("{kill:?}\n{all:#?}\n{}", again.stderr)
        };
        let counts = format!("SELECT count(*), count(*) FILTER (WHERE state = 'parked') {mine}");
        assert_eq!(site.rows(&counts), expected, "{}", told());
        // Of results that replace one another the older one need not have been first.
        let undecided = format!(
            "SELECT key, state {mine} AND (gone_at IS NULL OR token IS NOT NULL OR NOT (state IN ('loaded', 'parked')
             OR (state = 'superseded' AND mode = 'replace')))"
        );
        assert_eq!(site.rows(&undecided), Vec::<String>::new(), "{}", told());
        if kill.scene == Scene::Bad {
            let kept = format!(
                "SELECT count(*), sum(octet_length(bytes)) = max(f.size) FROM nightdrop.parked p JOIN nightdrop.file f ON f.id = p.file WHERE f.job ~ '_{}$'",
                self.number
            );
            assert_eq!(site.rows(&kept), ["1|true"], "{}", told());
        }
        assert_eq!(site.keys(), Vec::<String>::new(), "{}", told());

        let rows = |job: &str| {
            site.rows(&format!(
                "SELECT carrier, flight FROM jfk.{job} ORDER BY 2, 1"
            ))
        };
        assert_eq!(
            rows(&self.append),
            ["UA|1", "AA|2", "UA|2", "AA|3"],
            "{kill:?}"
        );
        assert_eq!(rows(&self.replace), ["AA|2", "AA|3"], "{kill:?}");
        assert_eq!(rows(&self.upsert), ["UA|1", "AA|2", "AA|3"], "{kill:?}");
    }
}
