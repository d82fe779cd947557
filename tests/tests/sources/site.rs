//! A producer of one's own: a source, a folder to drop into, a state folder.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nightdrop_compose::{Database, binary};
use tempfile::TempDir;

use crate::message::Message;

pub(crate) struct Site {
    pub(crate) folder: TempDir,
    bucket: String,
    source: String,
    environment: Vec<(String, String)>,
}

/// How a program ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Site {
    /// Reads from `database`, drops into a folder.
    pub(crate) fn on(database: &Database) -> Self {
        let source = format!(
            "url = \"{}\"\npassword = \"env:SOURCE_PASSWORD\"",
            database.url
        );
        let mut site = Self::reading(&source);
        site.set("SOURCE_PASSWORD", &database.password);
        site
    }

    /// Reads from what `source` says, drops into a folder.
    pub(crate) fn reading(source: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("box")).unwrap();
        let bucket = format!(
            "url = \"file://{}/box\"\ncompress = \"none\"",
            folder.path().display()
        );
        Self {
            folder,
            bucket,
            source: source.to_owned(),
            environment: Vec::new(),
        }
    }

    /// In another folder.
    pub(crate) fn keeping(mut self, folder: TempDir) -> Self {
        self.folder = folder;
        self
    }

    /// Another `[bucket]`.
    pub(crate) fn dropping(mut self, bucket: &str) -> Self {
        bucket.clone_into(&mut self.bucket);
        self
    }

    /// Sets a variable for the programs that are started from now on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// The program, with one job named `job`: a query, and more keys.
    pub(crate) fn command(&self, words: &[&str], query: &str, keys: &str) -> Command {
        let root = self.folder.path();
        let mode = if keys.contains("mode =") {
            ""
        } else {
            "mode = \"append\"\n"
        };
        let config = format!(
            "producer = \"jfk\"\nstate_dir = \"{}/state\"\n[bucket]\n{}\n[source.ops]\n{}\n\
             [job.job]\nsource = \"ops\"\nquery_file = \"job.sql\"\n{mode}{keys}\n",
            root.display(),
            self.bucket,
            self.source
        );
        fs::write(root.join("jfk.toml"), config).unwrap();
        fs::write(root.join("job.sql"), query).unwrap();
        let mut command = Command::new(binary("nightdrop-producer").unwrap());
        command
            .arg("-c")
            .arg(root.join("jfk.toml"))
            .args(words)
            .envs(self.environment.iter().cloned())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, query: &str, keys: &str) -> Ended {
        self.command(&["run", "job"], query, keys)
            .output()
            .unwrap()
            .into()
    }

    /// Runs the job and gives what it dropped.
    pub(crate) fn result(&self, query: &str, keys: &str) -> Message {
        let ended = self.run(query, keys);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let mut files = self.files("box");
        assert_eq!(files.len(), 1);
        let file = files.remove(0);
        let message = Message::read(&file);
        fs::remove_file(file).unwrap();
        message
    }

    /// All files under a folder, but for word of failed runs.
    pub(crate) fn files(&self, under: &str) -> Vec<PathBuf> {
        let mut files = self.all_files(under);
        files.retain(|file| !tells_of_a_failure(file));
        files
    }

    /// What was dropped of runs that failed.
    pub(crate) fn failures(&self) -> Vec<serde_json::Value> {
        let mut files = self.all_files("box");
        files.retain(|file| tells_of_a_failure(file));
        files
            .iter()
            .map(|file| serde_json::from_slice(&fs::read(file).unwrap()).unwrap())
            .collect()
    }

    fn all_files(&self, under: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.path().join(under)];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(folder) else {
                continue;
            };
            for path in entries.map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push(path);
                }
            }
        }
        files.sort();
        files
    }
}

fn tells_of_a_failure(file: &Path) -> bool {
    const WORD: &[u8] = br#""type":"nightdrop.failed.v1""#;
    // It is short, and says so at its beginning; a result may be of any size.
    let mut head = Vec::new();
    fs::File::open(file)
        .and_then(|file| file.take(4096).read_to_end(&mut head))
        .is_ok_and(|_| head.windows(WORD.len()).any(|part| part == WORD))
}
