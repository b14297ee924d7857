//! Starts what is measured on free ports of loopback, each with its data in a folder of its own, and ends it by its id.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::requests::kafka::Client;
use crate::requests::zookeeper::Session;

/// A server that takes longer does not come.
const START_MAX: Duration = Duration::from_secs(180);
const STOP_MAX: Duration = Duration::from_secs(60);
/// A broker's folder, and its log directory in it.
const BROKER: &str = "kafka";
const LOGS: &str = "logs";
/// How often a starting server is asked.
const PROBE: Duration = Duration::from_micros(500);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Jackdaw,
    Jvm,
    Bare,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Jackdaw, Self::Jvm, Self::Bare];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Jackdaw => "jackdaw",
            Self::Jvm => "jvm",
            Self::Bare => "bare",
        }
    }
}

/// Which of the two systems a server is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    ZooKeeper,
    Kafka,
}

/// Where the programs are.
pub(crate) struct Programs {
    jackdaw: PathBuf,
    originals: PathBuf,
}

impl Programs {
    /// Builds Jackdaw, unless `JACKDAW_BINARY` names one, and finds the originals, as far as they are wanted.
    pub(crate) fn find(kinds: &[Kind]) -> Result<Self> {
        let given = std::env::var_os("JACKDAW_BINARY").map(PathBuf::from);
        let build = given.is_none() && kinds.contains(&Kind::Jackdaw);
        let jackdaw =
            given.map_or_else(|| Ok(std::env::current_exe()?.with_file_name("jackdaw")), std::path::absolute)?;
        let programs = Self { jackdaw, originals: originals_folder() };
        if build {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let mut build = Command::new(cargo);
            build.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--release", "--package", "jackdaw"]);
            ensure!(build.status().context("can't start cargo")?.success(), "jackdaw does not build");
        }
        if kinds.contains(&Kind::Jackdaw) {
            ensure!(programs.jackdaw.exists(), "no {}: run `cargo xtask bench`", programs.jackdaw.display());
        }
        if kinds.contains(&Kind::Jvm) {
            let folder = programs.originals.display();
            ensure!(
                programs.originals.is_dir(),
                "the JVM originals are not in {folder}: run `cargo xtask interop`, which fetches them, or leave them \
                 out with --servers jackdaw,bare"
            );
        }
        Ok(programs)
    }

    /// A JVM with the originals on its class path and the options of their own start scripts.
    pub(crate) fn java(&self, heap: &[&str]) -> Command {
        let mut command = Command::new("java");
        command.args(heap).args(["-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"]);
        command.args(["-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"]);
        command.args(["-XX:MaxInlineLevel=15", "-Djava.awt.headless=true"]);
        command.arg("-cp").arg(self.originals.join("*"));
        command
    }
}

/// What `cargo xtask interop` fills.
fn originals_folder() -> PathBuf {
    let cache = std::env::var_os("JACKDAW_INTEROP_CACHE").map(PathBuf::from).unwrap_or_else(|| {
        let home = std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from);
        home.join(".cache/jackdaw/interop")
    });
    cache.join("originals/libs")
}

/// A running server.
pub(crate) struct Server {
    process: Process,
    pub(crate) port: u16,
    /// From the start of the process to its first answer.
    pub(crate) start_up: Duration,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// `kill -9`, without waiting for its end.
    pub(crate) fn begin_to_die(&mut self) -> Result<()> {
        Ok(self.process.0.kill()?)
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.process.0.kill()?;
        self.process.0.wait()?;
        Ok(())
    }

    /// Ends it as a service manager does, and waits.
    pub(crate) fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw).context("no pid")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let start = Instant::now();
        while self.process.0.try_wait()?.is_none() {
            ensure!(start.elapsed() < STOP_MAX, "process {} does not stop", self.pid());
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// Ended with its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A broker and the ZooKeeper server that it needs, both of one kind.
pub(crate) struct Broker {
    // Dropped first: a broker without its ZooKeeper would complain.
    pub(crate) server: Server,
    _zookeeper: Option<Server>,
}

/// Starts the bare loop of an ensemble with its data in `folder`.
pub(crate) fn bare_ensemble(folder: &Path) -> Result<Server> {
    std::fs::create_dir_all(folder)?;
    bare("ensemble", folder)
}

/// Starts a ZooKeeper server with its data in `folder`; returns when it answers.
pub(crate) fn zookeeper(kind: Kind, programs: &Programs, folder: &Path) -> Result<Server> {
    std::fs::create_dir_all(folder)?;
    if kind == Kind::Bare {
        return bare("zookeeper", folder);
    }
    let port = free_port()?;
    std::fs::create_dir_all(folder.join("data"))?;
    std::fs::write(folder.join("zoo.cfg"), zookeeper_lines(folder, port))?;
    zookeeper_with(kind, programs, folder, port)?.wait()
}

/// The `zoo.cfg` of a server on its own.
pub(crate) fn zookeeper_lines(folder: &Path, port: u16) -> String {
    let data = folder.join("data");
    let data = data.display();
    format!(
        "dataDir={data}\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime=2000\nmaxClientCnxns=0\n\
         admin.enableServer=false\n4lw.commands.whitelist=*\n"
    )
}

/// Starts a ZooKeeper server by the `zoo.cfg` in `folder`, which says that clients come to `port`.
pub(crate) fn zookeeper_with(kind: Kind, programs: &Programs, folder: &Path, port: u16) -> Result<Starting> {
    let command = match kind {
        Kind::Jvm => {
            let mut command = programs.java(&["-Xmx1000m"]);
            command.arg(log_settings(folder)?).arg("org.apache.zookeeper.server.quorum.QuorumPeerMain");
            command
        }
        _ => jackdaw(programs, "zookeeper-server-start"),
    };
    Starting::new(command, &folder.join("zoo.cfg"), folder, port, System::ZooKeeper)
}

/// Starts a broker with its data in `folder`, and a ZooKeeper server for it; returns when it names a controller.
pub(crate) fn broker(kind: Kind, programs: &Programs, folder: &Path) -> Result<Broker> {
    if kind == Kind::Bare {
        std::fs::create_dir_all(folder)?;
        return Ok(Broker { server: bare("kafka", folder)?, _zookeeper: None });
    }
    let zookeeper = zookeeper(kind, programs, &folder.join("zookeeper"))?;
    let server = broker_alone(kind, programs, &folder.join(BROKER), zookeeper.port)?;
    Ok(Broker { server, _zookeeper: Some(zookeeper) })
}

/// The log directory of [`broker`] with the same folder.
pub(crate) fn broker_logs(folder: &Path) -> PathBuf {
    logs(&folder.join(BROKER))
}

/// The log directory of a broker with its data in `folder`.
pub(crate) fn logs(folder: &Path) -> PathBuf {
    folder.join(LOGS)
}

/// Starts a broker that uses a running ZooKeeper server.
pub(crate) fn broker_alone(kind: Kind, programs: &Programs, folder: &Path, zookeeper_port: u16) -> Result<Server> {
    let at = BrokerAt { id: 0, port: free_port()?, zookeeper_port, descriptors_max: None };
    broker_with(kind, programs, folder, at)?.wait()
}

/// Who a broker is and where it is found.
#[derive(Clone, Copy)]
pub(crate) struct BrokerAt {
    pub(crate) id: i32,
    pub(crate) port: u16,
    pub(crate) zookeeper_port: u16,
    /// Its limit of open files, if not this process's.
    pub(crate) descriptors_max: Option<u32>,
}

/// Starts a broker with its data in `folder`, without waiting for it.
pub(crate) fn broker_with(kind: Kind, programs: &Programs, folder: &Path, at: BrokerAt) -> Result<Starting> {
    let BrokerAt { id, port, zookeeper_port, descriptors_max } = at;
    std::fs::create_dir_all(folder)?;
    let file = folder.join("server.properties");
    let logs = logs(folder);
    let logs = logs.display();
    std::fs::write(
        &file,
        format!(
            "broker.id={id}\nlisteners=PLAINTEXT://127.0.0.1:{port}\nzookeeper.connect=127.0.0.1:{zookeeper_port}\n\
             log.dirs={logs}\noffsets.topic.replication.factor=1\nlog.segment.delete.delay.ms=1000\n"
        ),
    )?;
    let command = match kind {
        Kind::Jvm => {
            let mut command = programs.java(&["-Xmx1G", "-Xms1G"]);
            command.arg(log_settings(folder)?).arg("kafka.Kafka");
            command
        }
        _ => jackdaw(programs, "kafka-server-start"),
    };
    let command = match descriptors_max {
        Some(most) => limited(&command, most),
        None => command,
    };
    Starting::new(command, &file, folder, port, System::Kafka)
}

/// The same command, which may open so many files.
fn limited(command: &Command, descriptors_max: u32) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("ulimit -n {descriptors_max}; exec \"$0\" \"$@\""));
    shell.arg(command.get_program()).args(command.get_args());
    shell
}

fn jackdaw(programs: &Programs, name: &str) -> Command {
    let mut command = Command::new(&programs.jackdaw);
    command.arg(name);
    command
}

/// The originals log warnings alone, to nowhere.
fn log_settings(folder: &Path) -> Result<String> {
    let file = folder.join("log4j.properties");
    std::fs::write(
        &file,
        "log4j.rootLogger=WARN, stderr\nlog4j.appender.stderr=org.apache.log4j.ConsoleAppender\n\
         log4j.appender.stderr.Target=System.err\nlog4j.appender.stderr.layout=org.apache.log4j.PatternLayout\n\
         log4j.appender.stderr.layout.ConversionPattern=%d %p %m (%c)%n\n",
    )?;
    Ok(format!("-Dlog4j.configuration=file:{}", file.display()))
}

/// A server that was started and has not answered yet.
pub(crate) struct Starting {
    process: Process,
    system: System,
    port: u16,
    start: Instant,
    folder: PathBuf,
}

impl Starting {
    fn new(mut command: Command, file: &Path, folder: &Path, port: u16, system: System) -> Result<Self> {
        let console = std::fs::File::create(folder.join("console"))?;
        command.arg(file).current_dir(folder).stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console);
        let start = Instant::now();
        let process = Process(command.spawn().with_context(|| format!("can't start {command:?}"))?);
        Ok(Self { process, system, port, start, folder: folder.to_owned() })
    }

    /// Waits for its first answer.
    pub(crate) fn wait(self) -> Result<Server> {
        let Self { mut process, system, port, start, folder } = self;
        loop {
            let ready = match system {
                // `ruok` is no sign: the original answers it before it takes sessions.
                System::ZooKeeper => Session::open(port).map(|_| true),
                System::Kafka => Client::connect(port).and_then(|mut client| client.names_a_controller()),
            };
            if matches!(ready, Ok(true)) {
                return Ok(Server { process, port, start_up: start.elapsed() });
            }
            if let Some(status) = process.0.try_wait()? {
                let said = std::fs::read_to_string(folder.join("console")).unwrap_or_default();
                bail!("the server in {} ended with {status}:\n{said}", folder.display());
            }
            ensure!(
                start.elapsed() < START_MAX,
                "the server in {} gave no answer within {START_MAX:?}",
                folder.display()
            );
            thread::sleep(PROBE);
        }
    }
}

/// This program once more, as the bare loop.
fn bare(system: &str, folder: &Path) -> Result<Server> {
    let start = Instant::now();
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("bare").arg(system).arg(folder).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut process = Process(command.spawn()?);
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().context("no output")?).read_line(&mut line)?;
    let port = line.trim().parse().context("the bare loop did not say its port")?;
    Ok(Server { process, port, start_up: start.elapsed() })
}

/// A port that nobody listens at, another one each time. It is none of those that the system gives to connections: a server that is started
/// again may find such a one taken.
pub(crate) fn free_port() -> Result<u16> {
    const PORTS: std::ops::Range<u32> = 10_000..30_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in PORTS {
        let number = std::process::id().wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(PORTS.start + number % (PORTS.end - PORTS.start))?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port is free on loopback")
}
