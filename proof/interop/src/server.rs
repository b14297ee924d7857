//! A Jackdaw of one process: ZooKeeper and a broker.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::originals::RARE_CONTAINER_LOOKS;

/// A running `jackdaw dev`.
pub struct Jackdaw {
    child: Child,
    data: PathBuf,
    zookeeper_port: u16,
    kafka_port: u16,
}

/// The binary that `cargo xtask interop` built, or `JACKDAW_BINARY`.
pub fn binary() -> PathBuf {
    if let Some(binary) = std::env::var_os("JACKDAW_BINARY") {
        return binary.into();
    }
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
        let mut lines = BufReader::new(stdout).lines();
        let Some(first) = lines.next() else {
            child.wait()?;
            bail!("jackdaw dev ended before it said where it listens");
        };
        let first = first?;
        let ports = (port_behind(&first, "ZooKeeper listens on "), port_behind(&first, "Kafka on "));
        // Whatever it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let (Some(zookeeper_port), Some(kafka_port)) = ports else {
            child.kill()?;
            child.wait()?;
            bail!("jackdaw dev does not say where it listens: {first}");
        };
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
        terminate(&mut self.child)
    }
}

impl Drop for Jackdaw {
    fn drop(&mut self) {
        // Already gone after a stop: then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server of ours alone, started with its configuration file as an operator does.
pub struct Server {
    child: Child,
}

impl Server {
    /// Starts a broker with a `server.properties`; returns when it serves.
    pub fn broker(properties: &Path) -> Result<Self> {
        Self::broker_with(&[], properties)
    }

    /// The same with properties of Java, `name=value`.
    pub fn broker_with(java: &[String], properties: &Path) -> Result<Self> {
        Self::start("kafka-server-start", java, properties, "started (kafka.server.KafkaServer)")
    }

    /// Starts a ZooKeeper server with a `zoo.cfg`; returns when it serves.
    pub fn zookeeper(config: &Path) -> Result<Self> {
        Self::zookeeper_with(&[], config)
    }

    /// The same with properties, `name=value`.
    pub fn zookeeper_with(properties: &[String], config: &Path) -> Result<Self> {
        let last_line = "started (org.apache.zookeeper.server.ZooKeeperServer)";
        Self::start("zookeeper-server-start", properties, config, last_line)
    }

    fn start(command: &str, properties: &[String], config: &Path, last_line: &str) -> Result<Self> {
        let mut child = Command::new(binary())
            .arg(command)
            .arg(config)
            .env_remove("LOG_DIR")
            .env("JVMFLAGS", RARE_CONTAINER_LOOKS)
            .env("KAFKA_OPTS", properties.iter().map(|property| format!("-D{property} ")).collect::<String>())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .with_context(|| format!("can't start jackdaw {command}"))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut seen = Vec::new();
        let started = lines.by_ref().map_while(Result::ok).any(|line| {
            let started = line.contains(last_line);
            seen.push(line);
            started
        });
        if !started {
            let status = child.wait()?;
            bail!("jackdaw {command} ended with {status} before it started:\n{}", seen.join("\n"));
        }
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child })
    }

    /// Stops it by SIGTERM and waits for its end.
    pub fn stop(mut self) -> Result<()> {
        terminate(&mut self.child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone: then there is nothing to end. SIGKILL, as a crash.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of loopback that was free a moment ago, for servers that must be told theirs.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// SIGTERM, to a server of ours or of a JVM, and its end with the exit code of that.
pub(crate) fn terminate(child: &mut Child) -> Result<()> {
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?;
    if !status.success() {
        bail!("can't signal process {}", child.id());
    }
    let status = child.wait()?;
    if status.code() != Some(143) {
        bail!("the process ended with {status} on SIGTERM");
    }
    Ok(())
}

/// The port of `localhost:PORT` behind these words.
fn port_behind(line: &str, words: &str) -> Option<u16> {
    let (_, address) = line.split_once(words)?;
    let digits: String = address.strip_prefix("localhost:")?.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
