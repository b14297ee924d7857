//! A Jackdaw of one process: ZooKeeper and a broker.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// A running `jackdaw dev`.
pub struct Jackdaw {
    child: Child,
    data: PathBuf,
    zookeeper_port: u16,
    kafka_port: u16,
}

/// The binary that `cargo xtask interop` built.
pub(crate) fn binary() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"));
    target.join("release/jackdaw")
}

impl Jackdaw {
    /// Starts on free ports with its data in `data`.
    pub fn start(data: &Path) -> Result<Self> {
        Self::start_on(data, 0, 0)
    }

    fn start_on(data: &Path, zookeeper_port: u16, kafka_port: u16) -> Result<Self> {
        let mut child = Command::new(binary())
            .arg("dev")
            .arg("--data-dir")
            .arg(data)
            .args(["--zookeeper-port", &zookeeper_port.to_string(), "--kafka-port", &kafka_port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("can't start jackdaw dev")?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut ports = (None, None);
        let mut lines = BufReader::new(stdout).lines();
        while ports.0.is_none() || ports.1.is_none() {
            let Some(line) = lines.next() else {
                child.wait()?;
                bail!("jackdaw dev ended before it said where it listens");
            };
            let line = line?;
            ports.0 = ports.0.or_else(|| port_behind(&line, "ZooKeeper"));
            ports.1 = ports.1.or_else(|| port_behind(&line, "Kafka"));
        }
        // Whatever it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let (Some(zookeeper_port), Some(kafka_port)) = ports else { bail!("no ports") };
        Ok(Self { child, data: data.to_path_buf(), zookeeper_port, kafka_port })
    }

    /// `localhost:PORT` of the ZooKeeper server.
    pub fn zookeeper(&self) -> String {
        format!("localhost:{}", self.zookeeper_port)
    }

    /// `localhost:PORT` of the broker.
    pub fn kafka(&self) -> String {
        format!("localhost:{}", self.kafka_port)
    }

    /// Stops as Ctrl-C does, waits, and starts again on the same ports and data.
    pub fn restart(mut self) -> Result<Self> {
        let (data, zookeeper_port, kafka_port) = (self.data.clone(), self.zookeeper_port, self.kafka_port);
        self.stop()?;
        drop(self);
        Self::start_on(&data, zookeeper_port, kafka_port)
    }

    /// As `kill -9`, then a start on the same ports and data.
    pub fn crash(mut self) -> Result<Self> {
        let (data, zookeeper_port, kafka_port) = (self.data.clone(), self.zookeeper_port, self.kafka_port);
        self.child.kill()?;
        self.child.wait()?;
        drop(self);
        Self::start_on(&data, zookeeper_port, kafka_port)
    }

    fn stop(&mut self) -> Result<()> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        if !status.success() {
            bail!("can't signal jackdaw");
        }
        let status = self.child.wait()?;
        // 143 is what a JVM ends with on SIGTERM.
        if status.code() != Some(143) {
            bail!("jackdaw ended with {status} on SIGTERM");
        }
        Ok(())
    }
}

impl Drop for Jackdaw {
    fn drop(&mut self) {
        // Already gone after a stop: then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A broker of ours alone, started with a `server.properties` as an operator does.
pub struct Broker {
    child: Child,
}

impl Broker {
    /// Starts it; returns when `port` of loopback answers.
    pub fn start(properties: &Path, port: u16) -> Result<Self> {
        let mut child = Command::new(binary())
            .arg("kafka-server-start")
            .arg(properties)
            .env("LOG_DIR", properties.with_extension("logs"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("can't start jackdaw kafka-server-start")?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let started =
            lines.by_ref().map_while(Result::ok).any(|line| line.contains("started (kafka.server.KafkaServer)"));
        if !started {
            child.wait()?;
            bail!("the broker on port {port} ended before it started");
        }
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Already gone: then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The port in `localhost:PORT`, in a line that begins with `what`.
fn port_behind(line: &str, what: &str) -> Option<u16> {
    let rest = line.trim_start().strip_prefix(what)?;
    let (_, address) = rest.split_once("localhost:")?;
    let digits: String = address.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
