//! The JVM originals: their servers, and their command-line tools by class name.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::clients::cache;
use crate::process::{Finished, run};
use crate::server::terminate;

/// Which original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginalKind {
    /// ZooKeeper 3.6.3.
    ZooKeeper,
    /// Kafka 2.7.1.
    Kafka,
}

/// A running original.
pub struct Original {
    child: Child,
}

/// Servers that are compared step by step must not delete containers and TTL nodes each at its own minute.
pub(crate) const RARE_CONTAINER_LOOKS: &str = "-Dznode.container.checkIntervalMs=3600000";

/// A JVM is up within this time, or not at all.
const START_MAX: Duration = Duration::from_secs(120);

impl Original {
    /// Starts a server with a configuration file; returns when `port` of loopback takes connections.
    pub fn start(kind: OriginalKind, config: &Path, port: u16) -> Result<Self> {
        Self::start_with(&[], kind, config, port)
    }

    fn start_with(properties: &[String], kind: OriginalKind, config: &Path, port: u16) -> Result<Self> {
        let class = match kind {
            OriginalKind::ZooKeeper => "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            OriginalKind::Kafka => "kafka.Kafka",
        };
        let mut command = java()?;
        command.args(properties.iter().map(|property| format!("-D{property}")));
        command.arg(class).arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut original = Self { child: command.spawn()? };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = original.child.try_wait()? {
                bail!("{class} ended with {status}");
            }
            if start.elapsed() > START_MAX {
                bail!("{class} did not listen within {START_MAX:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(original)
    }

    /// As [`Original::start`], of a ZooKeeper server that is alone; returns when it grants sessions. It listens before that:
    /// who connects then is closed, or waits for half a minute.
    pub fn zookeeper(config: &Path, port: u16) -> Result<Self> {
        Self::zookeeper_with(&[], config, port)
    }

    /// The same with properties, `name=value`.
    pub fn zookeeper_with(properties: &[String], config: &Path, port: u16) -> Result<Self> {
        let original = Self::start_with(properties, OriginalKind::ZooKeeper, config, port)?;
        let start = Instant::now();
        while !ask(port, "srvr").is_ok_and(|answer| answer.contains("Mode:")) {
            if start.elapsed() > START_MAX {
                bail!("ZooKeeper did not serve within {START_MAX:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(original)
    }

    /// Stops it by SIGTERM and waits for its end.
    pub fn stop(mut self) -> Result<()> {
        terminate(&mut self.child)
    }

    /// Runs one of the original tools.
    pub fn tool(class: &str, arguments: &[&str], input: &[u8]) -> Result<Finished> {
        run(&mut Self::tool_command(class, arguments)?, input)
    }

    /// The same, to be started beside a test.
    pub fn tool_command(class: &str, arguments: &[&str]) -> Result<Command> {
        let mut command = java()?;
        command.arg(class).args(arguments);
        Ok(command)
    }

    /// The same with properties, `name=value`.
    pub fn tool_with(properties: &[String], class: &str, arguments: &[&str], input: &[u8]) -> Result<Finished> {
        let properties = properties.iter().map(|property| format!("-D{property}"));
        run(java()?.args(properties).arg(class).args(arguments), input)
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server answers to a four-letter word.
fn ask(port: u16, word: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

pub(crate) fn java() -> Result<Command> {
    let mut command = Command::new("java");
    command.args([
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-Dzookeeper.4lw.commands.whitelist=*",
        "-Dzookeeper.admin.enableServer=false",
        RARE_CONTAINER_LOOKS,
    ]);
    command.arg("-cp").arg(class_path()?);
    Ok(command)
}

/// The class path of the originals.
pub fn class_path() -> Result<PathBuf> {
    Ok(cache()?.join("originals/libs/*"))
}
