//! Command lines with a limit on their time.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A client that takes longer hangs.
const TIME_MAX: Duration = Duration::from_secs(120);

/// What a command came to.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// The standard output, if the command succeeded.
    pub fn success(self) -> Result<String> {
        if self.code != 0 {
            bail!("exit code {}\nstdout:\n{}\nstderr:\n{}", self.code, self.stdout, self.stderr);
        }
        Ok(self.stdout)
    }
}

/// Runs a command to its end, with `input` on its standard input.
pub fn run(command: &mut Command, input: &[u8]) -> Result<Finished> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("can't start {command:?}"))?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let mut stdout = child.stdout.take().context("no standard output")?;
    let mut stderr = child.stderr.take().context("no standard error")?;
    let input = input.to_vec();
    // A client that ends early closes the pipe: what it says counts, not that.
    let writer = std::thread::spawn(move || stdin.write_all(&input).ok());
    let read = |stream: &mut dyn Read| {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map(|_| String::from_utf8_lossy(&bytes).into_owned())
    };
    let out = std::thread::spawn(move || read(&mut stdout));
    let err = std::thread::spawn(move || read(&mut stderr));
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > TIME_MAX {
            child.kill()?;
            child.wait()?;
            bail!("{command:?} took longer than {TIME_MAX:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    writer.join().ok();
    let join = |thread: std::thread::JoinHandle<std::io::Result<String>>| -> Result<String> {
        Ok(thread.join().map_err(|_| anyhow::anyhow!("a reader panicked"))??)
    };
    Ok(Finished { code: status.code().unwrap_or(-1), stdout: join(out)?, stderr: join(err)? })
}
