//! Sessions, ephemeral nodes, watches and writes on an ensemble while a test does to it what it wants; then the account.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::clients::{python, python_command};
use crate::ensemble::Ensemble;

const SCRIPT: &str = "zookeeper_ensemble.py";
/// Acknowledged writes that show that an ensemble serves.
const PROGRESS: usize = 30;

/// A load that goes on until its account is asked for, or it is dropped.
pub struct Load {
    child: Child,
    told: std::io::Lines<BufReader<ChildStdout>>,
    book: PathBuf,
    stop: PathBuf,
}

impl Load {
    /// Begins on the members that run.
    pub fn begin(ensemble: &Ensemble, session_timeout_s: u32) -> Result<Self> {
        let (book, stop) = (ensemble.path("book"), ensemble.path("stop"));
        let mut command = python_command(SCRIPT)?;
        command.args(["load", &ensemble.hosts()]).args([&book, &stop]);
        command.env("SESSION_TIMEOUT", session_timeout_s.to_string());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let told = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let mut load = Self { child, told, book, stop };
        match load.told.next() {
            Some(Ok(line)) if line == "loaded" => Ok(load),
            _ => bail!("no load: {}\n{}", load.errors()?, ensemble.log_ends()),
        }
    }

    /// Writes that were acknowledged so far.
    pub fn acknowledged(&self) -> Result<usize> {
        Ok(std::fs::read(&self.book)?.iter().filter(|byte| **byte == b'\n').count())
    }

    /// Waits until more writes are acknowledged: still, or again.
    pub fn goes_on(&self, ensemble: &mut Ensemble, after: &str) -> Result<()> {
        let before = self.acknowledged()?;
        ensemble.wait(after, |_| Ok(self.acknowledged()? >= before + PROGRESS))
    }

    /// Ends the load: no session, ephemeral node or watch was lost, each member that runs has every acknowledged write, and all
    /// have the same tree. How many writes were acknowledged.
    pub fn account(mut self, ensemble: &Ensemble) -> Result<usize> {
        std::fs::write(&self.stop, "")?;
        let rest: Vec<String> = self.told.by_ref().map_while(Result::ok).collect();
        let errors = self.errors()?;
        let expired = ensemble.logged("xpir")?;
        ensure!(self.child.wait()?.success(), "{rest:?} {errors}\n{expired}\n{}", ensemble.log_ends());
        let (hosts, book) = (ensemble.hosts(), self.book.to_str().context("a path that is no text")?.to_owned());
        for arguments in [vec!["check", &hosts, &book], vec!["dump", &hosts]] {
            let told = python(SCRIPT, &arguments)?.success().with_context(|| ensemble.log_ends())?;
            println!("{}", told.trim_end());
        }
        self.acknowledged()
    }

    fn errors(&mut self) -> Result<String> {
        let mut errors = String::new();
        self.child.stderr.take().context("no standard error")?.read_to_string(&mut errors)?;
        Ok(errors)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
