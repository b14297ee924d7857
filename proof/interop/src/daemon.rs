//! A server's process, one after the other on the same data, with one file for what all of them log.

use std::cell::Cell;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::server::terminate;

/// Nothing takes longer, on a busy machine with several JVMs that start.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(60);

/// Which program a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Jackdaw.
    Ours,
    /// The original: ZooKeeper 3.6.3 or Kafka 2.7.1.
    Theirs,
}

/// A place for a process. Dropping it ends the process.
pub(crate) struct Daemon {
    name: String,
    log: PathBuf,
    child: Option<Child>,
    /// It is frozen or cut off: whoever asks it waits in vain.
    is_silent: Cell<bool>,
}

impl Daemon {
    /// `name` is for errors.
    pub(crate) fn new(name: String, log: PathBuf) -> Self {
        Self { name, log, child: None, is_silent: Cell::new(false) }
    }

    pub(crate) fn start(&mut self, command: &mut Command) -> Result<()> {
        if self.child.is_some() {
            bail!("{} is running", self.name);
        }
        let log = File::options().create(true).append(true).open(&self.log)?;
        let errors = log.try_clone()?;
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        self.child = Some(child.with_context(|| format!("can't start {}: {command:?}", self.name))?);
        self.is_silent.set(false);
        Ok(())
    }

    pub(crate) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Whether it runs and can be asked.
    pub(crate) fn answers(&self) -> bool {
        self.is_running() && !self.is_silent.get()
    }

    /// It can't be asked from now on, or can again.
    pub(crate) fn set_silent(&self, is_silent: bool) {
        self.is_silent.set(is_silent);
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let mut child = self.taken()?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// SIGTERM, and the end that it leads to.
    pub(crate) fn stop(&mut self) -> Result<()> {
        terminate(&mut self.taken()?).with_context(|| self.end_of_log())
    }

    fn taken(&mut self) -> Result<Child> {
        self.child.take().with_context(|| format!("{} does not run", self.name))
    }

    /// SIGSTOP: it does nothing more; its connections stay.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.set_silent(true);
        self.signal("-STOP")
    }

    /// SIGCONT.
    pub(crate) fn go_on(&self) -> Result<()> {
        self.set_silent(false);
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let process = self.process()?;
        if !Command::new("kill").args([signal, &process.to_string()]).status()?.success() {
            bail!("can't signal {}", self.name);
        }
        Ok(())
    }

    pub(crate) fn process(&self) -> Result<u32> {
        Ok(self.child.as_ref().with_context(|| format!("{} does not run", self.name))?.id())
    }

    /// Whether the process has ended by itself; it can be started again when that was told.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let ended = self.child.as_mut().map(Child::try_wait).transpose()?.flatten();
        if ended.is_some() {
            self.child = None;
        }
        Ok(ended)
    }

    /// What all processes have logged so far.
    pub(crate) fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }

    /// The last lines of that; nothing before the first start.
    pub(crate) fn end_of_log(&self) -> String {
        let log = self.log().unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(40).collect();
        let lines: Vec<_> = lines.into_iter().rev().collect();
        format!("--- {}\n{}\n", self.name, lines.join("\n"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Looks until a condition holds, that a server has ended, or the time is over: both are errors, with the logs' ends behind them.
pub(crate) fn wait<T>(
    servers: &mut T,
    what: &str,
    mut holds: impl FnMut(&T) -> Result<bool>,
    mut ended: impl FnMut(&mut T) -> Result<Option<String>>,
    log_ends: impl Fn(&T) -> String,
) -> Result<()> {
    let start = Instant::now();
    loop {
        if holds(servers).with_context(|| log_ends(servers))? {
            return Ok(());
        }
        if let Some(ended) = ended(servers)? {
            bail!("{ended}, {what} was awaited\n{}", log_ends(servers));
        }
        if start.elapsed() > WAIT_MAX {
            bail!("{what} did not come within {WAIT_MAX:?}\n{}", log_ends(servers));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
