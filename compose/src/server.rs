//! One server process: started in a folder of its own, ended with this process at the latest.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::home;

/// How long a server has to answer, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a server is started with, the first time and each time after.
pub(crate) struct Start {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(&'static str, String)>,
    /// The signal that ends it at once and lets it give back what outlives a process (shared
    /// memory).
    pub(crate) ends_by: &'static str,
    pub(crate) refuses_root: bool,
}

pub(crate) struct Server {
    start: Start,
    folder: PathBuf,
    /// None between `kill` and `restart`.
    child: Option<Child>,
}

impl Server {
    /// Starts a server whose files are in `folder`, which [`home::folder`] gave.
    pub(crate) fn start(folder: PathBuf, start: Start) -> Result<Self> {
        let mut server = Self {
            start,
            folder,
            child: None,
        };
        server.spawn()?;
        Ok(server)
    }

    fn spawn(&mut self) -> Result<()> {
        // The shell notes its own id, which the server takes over: there is no moment when it runs
        // unknown to the janitor. The file is opened here, as the user that we are.
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"echo "$0 $$" && exec "$@" >&2"#, self.start.ends_by])
            .arg(&self.start.program)
            .args(&self.start.arguments)
            .envs(
                self.start
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(home::create(&home::run_file(&self.folder), false)?)
            .stderr(home::create(&home::log_file(&self.folder), true)?)
            .process_group(0);
        if self.start.refuses_root {
            as_nobody(&mut command)?;
        }
        let child = command
            .spawn()
            .with_context(|| format!("can't start {}", self.start.program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until `answers` says Ok, asking again and again. Fails when the server ends before, or
    /// takes a minute.
    pub(crate) fn wait(&mut self, mut answers: impl FnMut() -> Result<()>) -> Result<()> {
        let since = Instant::now();
        loop {
            let Err(error) = answers() else { return Ok(()) };
            let child = self.child.as_mut().context("it was killed")?;
            if let Some(status) = child.try_wait()? {
                bail!("{self} ended by itself ({status}): {}", self.last_words());
            }
            if since.elapsed() > PATIENCE {
                return Err(error.context(format!("{self} does not answer: {}", self.last_words())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process id of the server.
    pub(crate) fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("the server was killed")?.id())
    }

    /// Ends the server and its children by SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        }
        Ok(fs::remove_file(home::run_file(&self.folder))?)
    }

    /// Stops the server and its children in their tracks (SIGSTOP): connections stay open and
    /// nobody answers.
    pub(crate) fn stop(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a stopped server go on (SIGCONT).
    pub(crate) fn cont(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Starts the server again on the same files and port, killing it first where it still runs.
    pub(crate) fn restart(&mut self) -> Result<()> {
        if self.child.is_some() {
            self.kill()?;
        }
        self.spawn()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid()?;
        // The parent first: a Postgres that sees a child die by SIGKILL would start its own
        // recovery.
        let children = children(pid);
        for pid in std::iter::once(pid).chain(children) {
            let pid = i32::try_from(pid)
                .ok()
                .and_then(Pid::from_raw)
                .context("no process id")?;
            match kill_process(pid, signal) {
                // A child that ended in the meantime.
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error).with_context(|| format!("can't signal {self}")),
            }
        }
        Ok(())
    }

    /// The end of the server's log.
    fn last_words(&self) -> String {
        let log = fs::read(home::log_file(&self.folder)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.start.program.file_name().unwrap_or_default();
        write!(f, "{}", name.to_string_lossy())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let end = format!(
            "kill -s {0} {1}; kill -s CONT {1}",
            self.start.ends_by,
            child.id()
        );
        // What fails here is left to the janitor.
        drop(Command::new("sh").args(["-c", &end]).status());
        drop(child.wait());
        drop(fs::remove_file(home::run_file(&self.folder)));
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Runs a program that prepares a server (`initdb`), as the user that the server will be.
pub(crate) fn prepare(mut command: Command, refuses_root: bool) -> Result<()> {
    if refuses_root {
        as_nobody(&mut command)?;
    }
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't start {program}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(anyhow!(
        "{program} failed: {}",
        String::from_utf8_lossy(&said).trim()
    ))
}

/// Makes `folder` belong to the user that a server which refuses root runs as.
pub(crate) fn give(folder: &Path) -> Result<()> {
    if home::is_root() {
        let (user, group) = home::nobody()?;
        std::os::unix::fs::chown(folder, Some(user), Some(group))?;
    }
    Ok(())
}

fn as_nobody(command: &mut Command) -> Result<()> {
    if home::is_root() {
        let (user, group) = home::nobody()?;
        command.uid(user).gid(group);
    }
    Ok(())
}

/// The children of a process, where the system tells (Linux).
fn children(pid: u32) -> Vec<u32> {
    fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_ascii_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}
