//! A producer as cron would have it: one run after the other, each of which may be killed or stopped.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nightdrop_schema::Timestamptz;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;

use crate::consumers::tail;
use crate::message::{Message, message};
use crate::process::{Ended, Process};
use crate::site::{PATIENCE, Site};
use crate::sources::{DAYS, LOGS, STEP, Source};
use crate::weather::{Storm, within};

/// What a run may end with while it blows: well, source or bucket away, its job's lock not free yet.
const PASSING: [i32; 4] = [0, 69, 74, 75];

pub struct Producer {
    pub name: &'static str,
    pub source: Source,
    config: PathBuf,
    folder: PathBuf,
    /// Messages that were written so far, each with its number in its rows.
    pub notes: i64,
    /// One that is to be put once more, for its `put` did not end well.
    pending: Option<PathBuf>,
    /// Whether a window was asked for, and whether that ended well.
    pub days: Vec<Asked>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    #[default]
    Never,
    /// Maybe dropped.
    Begun,
    Dropped,
}

impl Producer {
    pub fn new(site: &Site, source: Source) -> Self {
        let (name, root) = (source.producer, site.folder.path());
        let folder = root.join(name);
        std::fs::create_dir(&folder).unwrap();
        let keys = site.keys_of(name);
        let mut secrets = vec![("access", keys.access_key), ("secret", keys.secret_key)];
        secrets.extend(source.password.clone().map(|password| ("source", password)));
        for (file, secret) in secrets {
            std::fs::write(folder.join(file), secret).unwrap();
        }
        let at = folder.display();
        let mut text = format!(
            "producer = \"{name}\"\nstate_dir = \"{at}/state\"\n\n[bucket]\nurl = \"{}\"\nendpoint = \"{}\"\nregion = \"{}\"\n\
             access_key = \"file:{at}/access\"\nsecret_key = \"file:{at}/secret\"\nput_for = \"3s\"\n\n[source.db]\nurl = \"{}\"\n",
            site.inbox.url(),
            site.inbox.endpoint,
            site.inbox.region,
            source.url,
        );
        if source.password.is_some() {
            writeln!(text, "password = \"file:{at}/source\"").unwrap();
        }
        text.push_str(&source.jobs);
        let config = folder.join("producer.toml");
        std::fs::write(&config, text).unwrap();
        Self {
            name,
            source,
            config,
            folder,
            notes: 0,
            pending: None,
            days: vec![Asked::default(); usize::try_from(DAYS).unwrap()],
        }
    }

    /// The first run of each job that reads on from where it stopped.
    pub fn begin(&mut self) {
        let start = moment(self.source.first);
        for job in (0..LOGS)
            .map(|log| format!("log_{log}"))
            .chain(["latest".into()])
        {
            let begun = Instant::now();
            loop {
                let ended = self.start(&["run", &job, "--start", &start]).wait(PATIENCE);
                match ended.code {
                    Some(0) => break,
                    // The source's clock has not come to the first row yet.
                    Some(69) if begun.elapsed() < PATIENCE => {}
                    _ => panic!("{}: {ended:?}", self.name),
                }
            }
        }
    }

    fn start(&self, words: &[&str]) -> Process {
        Process::start("nightdrop-producer", &self.config, words)
    }

    /// Runs one thing after the other while it blows; then empties the spool.
    pub fn blow(&mut self, storm: &Storm) {
        let mut dice = storm.dice(self.name);
        while storm.is_blowing() {
            match dice.random_range(0..10) {
                0..2 => self.put(&mut dice, storm),
                2..5 => self.days(&mut dice, storm),
                _ => {
                    self.run(&["run", "--all"], &mut dice, storm);
                }
            }
        }
        self.finish(storm);
    }

    /// What was begun is finished, once everything is there again.
    fn finish(&mut self, storm: &Storm) {
        let begun = Instant::now();
        let pending = self.pending.take().map(|path| path.display().to_string());
        let put: Vec<&str> = pending.iter().flat_map(|path| ["put", path]).collect();
        for words in [&put[..], &["drain"], &["run", "--all"]] {
            while !words.is_empty() && !storm.has_failed() {
                let ended = self.start(words).wait(PATIENCE);
                if ended.code == Some(0) {
                    break;
                }
                if !may_pass(&ended) || begun.elapsed() > PATIENCE {
                    storm.fail(format!(
                        "{} {words:?} when it was calm: {ended:?}",
                        self.name
                    ));
                }
            }
        }
        storm.note(format!("{} has dropped all", self.name));
    }

    /// Runs the producer, and may kill or stop it. Gives whether it ended well.
    fn run(&self, words: &[&str], dice: &mut StdRng, storm: &Storm) -> bool {
        let name = self.name;
        let fate: f64 = dice.random();
        let after = within(dice, 0.0..1.5);
        let time = within(dice, 0.2..2.0);
        let mut process = self.start(words);
        if fate < 0.45 {
            let begun = Instant::now();
            while process.is_running() && begun.elapsed() < after {
                std::thread::park_timeout(Duration::from_millis(10));
            }
            if process.is_running() && storm.is_blowing() {
                let what = words.join(" ");
                if fate < 0.3 {
                    storm.note(format!("{name} killed in {what}"));
                    process.kill();
                    return false;
                }
                storm.note(format!("{name} stopped in {what}"));
                process.signal("STOP");
                storm.pass(time);
                process.signal("CONT");
            }
        }
        let ended = process.wait(PATIENCE);
        if !may_pass(&ended) {
            let said = tail(&ended.stderr);
            storm.fail(format!(
                "{name} {words:?} ended with {:?}:\n{said}",
                ended.code
            ));
        }
        ended.code == Some(0)
    }

    /// Drops a message that somebody else wrote; again and again, until that ends well.
    fn put(&mut self, dice: &mut StdRng, storm: &Storm) {
        let path = self.pending.take().unwrap_or_else(|| self.write_note());
        let words = path.display().to_string();
        if !self.run(&["put", &words], dice, storm) {
            self.pending = Some(path);
        }
    }

    fn write_note(&mut self) -> PathBuf {
        self.notes += 1;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_micros();
        let time = moment(i64::try_from(now).unwrap());
        let note: Message = message(self.name, "notes", &time)
            .with(
                "columns",
                json!([{"name": "note", "type": "int64"}, {"name": "part", "type": "int64"}]),
            )
            .rows(&json!([[self.notes, 0], [self.notes, 1], [self.notes, 2]]));
        let path = self.folder.join(format!("note-{}.json", self.notes));
        std::fs::write(&path, note.body()).unwrap();
        path
    }

    /// Asks for some days' windows.
    fn days(&mut self, dice: &mut StdRng, storm: &Storm) {
        let from = dice.random_range(0..DAYS);
        let to = (from + dice.random_range(1..=8)).min(DAYS);
        let day = |day: i64| format!("2013-01-{:02}", day + 1);
        let well = self.run(
            &["run", "days", "--from", &day(from), "--to", &day(to)],
            dice,
            storm,
        );
        let asked = if well { Asked::Dropped } else { Asked::Begun };
        for day in from..to {
            let known = &mut self.days[usize::try_from(day).unwrap()];
            *known = asked.max(*known);
        }
    }

    /// Up to which row a job that reads on from where it stopped has read, by its own word.
    pub fn read_up_to(&self, job: &str) -> i64 {
        let path = self.folder.join(format!("state/watermark/{job}.json"));
        let saved: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert!(saved["announced"].is_null(), "{saved}");
        let watermark = Timestamptz::parse(saved["watermark"].as_str().unwrap()).unwrap();
        // Half-open: a row of that very instant is not read yet.
        (watermark.unix_micros().unwrap() - self.source.first - 1).div_euclid(STEP)
    }

    /// Files that wait in the spool.
    pub fn spool(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for job in std::fs::read_dir(self.folder.join("state/spool")).unwrap() {
            files.extend(
                std::fs::read_dir(job.unwrap().path())
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        files
    }
}

fn may_pass(ended: &Ended) -> bool {
    ended.code.is_some_and(|code| PASSING.contains(&code))
}

fn moment(micros: i64) -> String {
    Timestamptz::from_unix_micros(micros).unwrap().to_string()
}
