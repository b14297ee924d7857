//! The originals' command-line tools, many in one JVM: see `clients/Originals.java`.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result};

use crate::clients::script;
use crate::originals::java;
use crate::process::Finished;

/// A JVM that runs one tool after the other.
pub struct OriginalTools {
    child: Child,
    questions: ChildStdin,
    answers: ChildStdout,
}

impl OriginalTools {
    /// Starts the JVM, with a log configuration for all tools.
    pub fn start(log4j: &std::path::Path) -> Result<Self> {
        let mut command = java()?;
        command.arg(format!("-Dlog4j.configuration=file:{}", log4j.display())).arg(script("Originals.java"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("can't start java")?;
        let questions = child.stdin.take().context("no standard input")?;
        let answers = child.stdout.take().context("no standard output")?;
        Ok(Self { child, questions, answers })
    }

    /// Runs the tool of a class to its end.
    pub fn run(&mut self, class: &str, arguments: &[String], input: &[u8]) -> Result<Finished> {
        let mut question = i32::try_from(arguments.len() + 1)?.to_be_bytes().to_vec();
        let texts = [class].into_iter().chain(arguments.iter().map(String::as_str)).map(str::as_bytes);
        for bytes in texts.chain([input]) {
            question.extend_from_slice(&i32::try_from(bytes.len())?.to_be_bytes());
            question.extend_from_slice(bytes);
        }
        self.questions.write_all(&question)?;
        self.questions.flush()?;
        let code = self.number()?;
        Ok(Finished { code, stdout: self.text()?, stderr: self.text()? })
    }

    fn number(&mut self) -> Result<i32> {
        let mut bytes = [0; 4];
        self.answers.read_exact(&mut bytes).context("the JVM has ended")?;
        Ok(i32::from_be_bytes(bytes))
    }

    fn text(&mut self) -> Result<String> {
        let mut bytes = vec![0; usize::try_from(self.number()?)?];
        self.answers.read_exact(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Drop for OriginalTools {
    fn drop(&mut self) {
        // It has nothing to save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
