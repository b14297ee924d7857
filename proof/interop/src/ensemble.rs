//! An ensemble whose members are of either kind, each with an address of its own: of loopback, or of a network namespace.
//!
//! A member is ended by its process id and started again, as the same kind or the other, on the same data. What it logs is kept
//! in a file and told when something is waited for in vain.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::network::Network;
use crate::originals::java;
use crate::server::{binary, terminate};

/// Which program a member runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Jackdaw.
    Ours,
    /// ZooKeeper 3.6.3.
    Theirs,
}

/// Servers that agree, numbered from 1. All are ended with it.
pub struct Ensemble {
    members: Vec<Member>,
    disks: Vec<SmallDisk>,
    network: Option<Network>,
    folder: tempfile::TempDir,
}

struct Member {
    id: usize,
    address: String,
    folder: PathBuf,
    running: Option<Child>,
}

/// Nothing takes longer, on a busy machine with several JVMs that start.
const WAIT_MAX: Duration = Duration::from_secs(60);
const CLIENT_PORT: u16 = 2181;

impl Ensemble {
    /// Lays out `count` members with empty data; `lines` are more of `zoo.cfg`. None is started.
    pub fn new(count: usize, lines: &str) -> Result<Self> {
        Self::with_observers(count, 0, lines)
    }

    /// The same, with observers behind the voters.
    pub fn with_observers(voters: usize, observers: usize, lines: &str) -> Result<Self> {
        static SERIAL: AtomicU16 = AtomicU16::new(0);
        let count = voters + observers;
        // Addresses of this process and this ensemble: ports need not be looked for, and nobody else has them. Behind the 127
        // stand 12 bits for the process, 9 for the ensemble, 3 for the member.
        let serial = usize::from(SERIAL.fetch_add(1, Ordering::Relaxed));
        let process = 16 + std::process::id() as usize % 4000;
        let address = |id: usize| {
            let number = process << 12 | serial << 3 | id;
            format!("127.{}.{}.{}", number >> 16, number >> 8 & 0xff, number & 0xff)
        };
        if count > 7 || serial >= 1 << 9 {
            bail!("no address is left");
        }
        Self::laid_out(&(1..=count).map(address).collect::<Vec<_>>(), voters, lines)
    }

    /// The same with members whose links can be cut and whose disks have so many bytes.
    pub fn with_faults(count: usize, lines: &str, disk_bytes: u64) -> Result<Self> {
        let network = Network::new(count)?;
        let addresses: Vec<_> = (1..=count).map(|id| network.address(id)).collect();
        let mut ensemble = Self::laid_out(&addresses, count, lines)?;
        ensemble.network = Some(network);
        for id in 1..=count {
            let data = ensemble.member(id)?.folder.join("data");
            ensemble.disks.push(SmallDisk::mount(&data, disk_bytes)?);
            fs::write(data.join("myid"), format!("{id}\n"))?;
        }
        Ok(ensemble)
    }

    fn laid_out(addresses: &[String], voters: usize, lines: &str) -> Result<Self> {
        let numbered = || (1..).zip(addresses);
        let folder = tempfile::tempdir()?;
        let role = |id| if id > voters { ":observer" } else { "" };
        let servers: String =
            numbered().map(|(id, address)| format!("server.{id}={address}:2888:3888{}\n", role(id))).collect();
        let mut members = Vec::new();
        for (id, address) in numbered() {
            let (folder, address) = (folder.path().join(id.to_string()), address.clone());
            fs::create_dir_all(folder.join("data"))?;
            fs::write(folder.join("data/myid"), format!("{id}\n"))?;
            let data = folder.join("data");
            let config = format!(
                "dataDir={}\nclientPort={CLIENT_PORT}\nclientPortAddress={address}\ntickTime=500\ninitLimit=20\nsyncLimit=6\n\
                 admin.enableServer=false\n4lw.commands.whitelist=*\npreAllocSize=64\n{servers}{lines}",
                data.display()
            );
            fs::write(folder.join("zoo.cfg"), config)?;
            members.push(Member { id, address, folder, running: None });
        }
        Ok(Self { members, disks: Vec::new(), network: None, folder })
    }

    /// Adds lines to one member's `zoo.cfg`; they win over what it says already.
    pub fn configure(&self, id: usize, lines: &str) -> Result<()> {
        let mut file = File::options().append(true).open(self.member(id)?.folder.join("zoo.cfg"))?;
        Ok(file.write_all(lines.as_bytes())?)
    }

    /// A path for a file of the test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Another text in a member's `zoo.cfg`, in place of one that is there.
    pub fn reconfigure(&self, id: usize, from: &str, to: &str) -> Result<()> {
        let path = self.member(id)?.folder.join("zoo.cfg");
        let config = fs::read_to_string(&path)?;
        if !config.contains(from) {
            bail!("no '{from}' in the configuration of server {id}:\n{config}");
        }
        Ok(fs::write(path, config.replace(from, to))?)
    }

    /// The line of a member in the list of servers.
    pub fn line(&self, id: usize) -> Result<String> {
        Ok(format!("server.{id}={}:2888:3888\n", self.member(id)?.address))
    }

    /// Where a member keeps its data.
    pub fn data(&self, id: usize) -> Result<PathBuf> {
        Ok(self.member(id)?.folder.join("data"))
    }

    /// Starts a member as this kind. It may take a while until it serves.
    pub fn start(&mut self, id: usize, kind: Kind) -> Result<()> {
        self.start_with(id, kind, &[])
    }

    /// The same with properties of Java's command line: `-Dname=value`.
    pub fn start_with(&mut self, id: usize, kind: Kind, properties: &[&str]) -> Result<()> {
        if self.member(id)?.running.is_some() {
            bail!("server {id} is running");
        }
        let mut command = match kind {
            Kind::Ours => {
                let mut command = Command::new(binary());
                command.arg("zookeeper-server-start");
                command
            }
            Kind::Theirs => {
                let log = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/zookeeper-log4j.properties");
                let mut command = java()?;
                // A start counts here, not what a compiler makes of a long run.
                command.args(["-XX:TieredStopAtLevel=1", &format!("-Dlog4j.configuration=file:{}", log.display())]);
                command.args(properties).arg("org.apache.zookeeper.server.quorum.QuorumPeerMain");
                command
            }
        };
        if let Some(network) = &self.network {
            command = network.within(id, &command);
        }
        // The original's own command line has the properties already.
        command.env_remove("LOG_DIR").env("KAFKA_OPTS", properties.join(" "));
        let member = self.member_mut(id)?;
        let log = File::options().create(true).append(true).open(member.log())?;
        command.arg(member.folder.join("zoo.cfg")).current_dir(&member.folder);
        let errors = log.try_clone()?;
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        member.running = Some(child.with_context(|| format!("can't start server {id} as {kind:?}"))?);
        Ok(())
    }

    /// Ends a member as `kill -9` does.
    pub fn kill(&mut self, id: usize) -> Result<()> {
        let mut child = self.member_mut(id)?.running.take().context("it does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Ends a member by SIGTERM and waits for its end.
    pub fn stop(&mut self, id: usize) -> Result<()> {
        let mut child = self.member_mut(id)?.running.take().context("it does not run")?;
        terminate(&mut child)
    }

    /// SIGSTOP: the member does nothing more, until it goes on or is killed; its connections stay.
    pub fn freeze(&self, id: usize) -> Result<()> {
        self.signal(id, "-STOP")
    }

    /// SIGCONT.
    pub fn go_on(&self, id: usize) -> Result<()> {
        self.signal(id, "-CONT")
    }

    fn signal(&self, id: usize, signal: &str) -> Result<()> {
        let process = self.process(id)?;
        let status = Command::new("kill").args([signal, &process.to_string()]).status()?;
        if !status.success() {
            bail!("can't signal process {process}");
        }
        Ok(())
    }

    fn process(&self, id: usize) -> Result<u32> {
        Ok(self.member(id)?.running.as_ref().context("it does not run")?.id())
    }

    /// Pulls the cable of a member.
    pub fn cut(&self, id: usize) -> Result<()> {
        self.network.as_ref().context("its links can't be cut")?.cut(id)
    }

    /// Puts it in again.
    pub fn heal(&self, id: usize) -> Result<()> {
        self.network.as_ref().context("its links can't be cut")?.heal(id)
    }

    /// Each sync of the member's log takes so much longer, until the guard is dropped.
    pub fn slow_syncs(&self, id: usize, delay: Duration) -> Result<SlowSyncs> {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"]);
        command.arg("-e").arg(format!("inject=fdatasync,fsync:delay_enter={}", delay.as_micros()));
        command.arg("-p").arg(self.process(id)?.to_string());
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(SlowSyncs(child.context("slow disks need Debian's package strace")?))
    }

    /// Leaves no byte free on a member's disk, until the guard is dropped.
    pub fn fill_disk(&self, id: usize) -> Result<FullDisk> {
        FullDisk::fill(self.member(id)?.folder.join("data/ballast"))
    }

    /// Waits until a member has ended by itself; its exit code.
    pub fn await_end(&mut self, id: usize) -> Result<Option<i32>> {
        let start = Instant::now();
        loop {
            let member = self.member_mut(id)?;
            let child = member.running.as_mut().context("it does not run")?;
            if let Some(status) = child.try_wait()? {
                member.running = None;
                return Ok(status.code());
            }
            if start.elapsed() > WAIT_MAX {
                bail!("server {id} did not end within {WAIT_MAX:?}\n{}", self.log_ends());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether a member serves, in whatever role.
    pub fn serves(&self, id: usize) -> Result<bool> {
        Ok(!self.member(id)?.mode().is_empty())
    }

    /// The resident memory of a member, in bytes.
    pub fn memory(&self, id: usize) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process(id)?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// Connects to the port of a member that its own kind uses: 2888 as a leader's learner, 3888 as a voter.
    pub fn connect(&self, id: usize, port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect((self.member(id)?.address.as_str(), port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(stream)
    }

    /// Changes a member's `zoo.cfg`, before it is started.
    pub fn rewrite(&self, id: usize, edit: impl FnOnce(&str) -> String) -> Result<()> {
        let path = self.member(id)?.folder.join("zoo.cfg");
        let text = edit(&fs::read_to_string(&path)?);
        Ok(fs::write(path, text)?)
    }

    /// A path in the member's folder.
    pub fn member_path(&self, id: usize, name: &str) -> Result<PathBuf> {
        Ok(self.member(id)?.folder.join(name))
    }

    /// What a file of the member's folder holds.
    pub fn file(&self, id: usize, name: &str) -> Result<String> {
        let path = self.member_path(id, name)?;
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// Its address.
    pub fn address(&self, id: usize) -> Result<&str> {
        Ok(&self.member(id)?.address)
    }

    /// A figure of a member's `mntr`; nothing if it tells none of this name.
    pub fn figure(&self, id: usize, name: &str) -> Result<Option<String>> {
        let text = self.member(id)?.word("mntr")?;
        Ok(text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t')).map(str::to_owned))
    }

    /// `address:port` for clients.
    pub fn host(&self, id: usize) -> Result<String> {
        Ok(format!("{}:{CLIENT_PORT}", self.member(id)?.address))
    }

    /// Those of all members that run, between commas.
    pub fn hosts(&self) -> String {
        let running = self.members.iter().filter(|member| member.running.is_some());
        running.map(|member| format!("{}:{CLIENT_PORT}", member.address)).collect::<Vec<_>>().join(",")
    }

    /// What a member has logged so far.
    pub fn log(&self, id: usize) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.member(id)?.log())?).into_owned())
    }

    /// Whether the member's transaction logs hold these bytes.
    pub fn has_logged(&self, id: usize, bytes: &[u8]) -> Result<bool> {
        let folder = self.member(id)?.folder.join("data/version-2");
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let is_log = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log."));
            if is_log && fs::read(path)?.windows(bytes.len()).any(|window| window == bytes) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Waits until all members that run serve, one of them as the leader; its id.
    pub fn await_leader(&mut self) -> Result<usize> {
        self.await_leader_without(0)
    }

    /// The same, but for a member that is out of reach.
    pub fn await_leader_without(&mut self, out_of_reach: usize) -> Result<usize> {
        let mut leader = 0;
        self.wait("a leader that all follow", |ensemble| {
            let running = ensemble.members.iter().filter(|member| member.running.is_some());
            let modes: Vec<_> =
                running.filter(|member| member.id != out_of_reach).map(|member| (member.id, member.mode())).collect();
            let leaders: Vec<_> = modes.iter().filter(|(_, mode)| mode == "leader").collect();
            let others = modes.iter().filter(|(_, mode)| mode == "follower" || mode == "observer").count();
            if let [(id, _)] = leaders.as_slice() {
                leader = *id;
            }
            Ok(leaders.len() == 1 && others + 1 == modes.len())
        })?;
        Ok(leader)
    }

    /// Waits for a condition; a member that ends meanwhile, or the time that passes, is an error with the logs' ends.
    pub fn wait(&mut self, what: &str, mut holds: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let start = Instant::now();
        loop {
            if holds(self)? {
                return Ok(());
            }
            let mut ended = None;
            for member in &mut self.members {
                if let Some(status) = member.running.as_mut().map(Child::try_wait).transpose()?.flatten() {
                    ended = Some((member.id, status));
                }
            }
            if let Some((id, status)) = ended {
                bail!("server {id} ended with {status}, {what} was awaited\n{}", self.log_ends());
            }
            if start.elapsed() > WAIT_MAX {
                bail!("{what} did not come within {WAIT_MAX:?}\n{}", self.log_ends());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The lines of all logs that have this in them.
    pub fn logged(&self, words: &str) -> Result<String> {
        let mut found = String::new();
        for member in &self.members {
            // One that was never started has none.
            for line in self.log(member.id).unwrap_or_default().lines().filter(|line| line.contains(words)) {
                found.push_str(&format!("server {}: {line}\n", member.id));
            }
        }
        Ok(found)
    }

    /// The last lines of all logs.
    pub fn log_ends(&self) -> String {
        let end = |member: &Member| {
            let log = fs::read(member.log()).unwrap_or_default();
            let log = String::from_utf8_lossy(&log).into_owned();
            let lines: Vec<_> = log.lines().rev().take(40).collect();
            let lines: Vec<_> = lines.into_iter().rev().collect();
            format!("--- server {} ({:?})\n{}\n", member.id, member.mode(), lines.join("\n"))
        };
        self.members.iter().map(end).collect()
    }

    fn member(&self, id: usize) -> Result<&Member> {
        self.members.iter().find(|member| member.id == id).with_context(|| format!("there is no server {id}"))
    }

    fn member_mut(&mut self, id: usize) -> Result<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id).with_context(|| format!("there is no server {id}"))
    }
}

impl Member {
    fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// What `srvr` says it is; nothing while it does not serve.
    fn mode(&self) -> String {
        let text = self.word("srvr").unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("Mode: ")).unwrap_or_default().to_owned()
    }

    fn word(&self, word: &str) -> Result<String> {
        let address = format!("{}:{CLIENT_PORT}", self.address).parse()?;
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(word.as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }
}

/// A file system of its own, in memory. Unmounted with it.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path, bytes: u64) -> Result<Self> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(folder);
        if !command.status().context("can't run mount")?.success() {
            bail!("can't mount a small disk: that needs root");
        }
        Ok(Self(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: what a killed server held open goes with it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// See [`Ensemble::fill_disk`].
pub struct FullDisk(PathBuf);

impl FullDisk {
    fn fill(path: PathBuf) -> Result<Self> {
        let mut file = File::create(&path)?;
        let full = Self(path);
        for length in [1 << 16, 1] {
            while file.write_all(&vec![0; length]).is_ok() {}
        }
        Ok(full)
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// See [`Ensemble::slow_syncs`].
pub struct SlowSyncs(Child);

impl Drop for SlowSyncs {
    fn drop(&mut self) {
        // It lets go of the server when it is asked to end.
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(child) = &mut self.running {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
