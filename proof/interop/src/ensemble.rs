//! An ensemble whose members are of either kind, each with an address of its own: of loopback, or of a network namespace.
//!
//! A member is ended by its process id and started again, as the same kind or the other, on the same data. What it logs is kept
//! in a file and told when something is waited for in vain.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::addresses::addresses;
use crate::daemon::{self, Daemon, Kind, WAIT_MAX};
use crate::disks::{FullDisk, SlowSyncs, SmallDisk};
use crate::folder::TestFolder;
use crate::network::Network;
use crate::originals::java;
use crate::server::binary;

/// Servers that agree, numbered from 1. All are ended with it.
pub struct Ensemble {
    members: Vec<Member>,
    disks: Vec<SmallDisk>,
    network: Option<Arc<Network>>,
    folder: TestFolder,
    may_differ: bool,
}

struct Member {
    id: usize,
    address: String,
    folder: PathBuf,
    daemon: Daemon,
}

const CLIENT_PORT: u16 = 2181;

impl Ensemble {
    /// Lays out `count` members with empty data; `lines` are more of `zoo.cfg`. None is started.
    pub fn new(count: usize, lines: &str) -> Result<Self> {
        Self::with_observers(count, 0, lines)
    }

    /// The same, with observers behind the voters.
    pub fn with_observers(voters: usize, observers: usize, lines: &str) -> Result<Self> {
        Self::laid_out(&addresses(voters + observers)?, voters, lines)
    }

    /// The same with members whose links can be cut and whose disks have so many bytes.
    pub fn with_faults(count: usize, lines: &str, disk_bytes: u64) -> Result<Self> {
        Self::within(Arc::new(Network::new(count)?), count, lines, disk_bytes)
    }

    /// Members that have two addresses in the list of servers, first the one that can be taken from them.
    pub fn with_second_addresses(count: usize) -> Result<Self> {
        let network = Arc::new(Network::new(count)?);
        let ensemble = Self::within(Arc::clone(&network), count, "", 256 << 20)?;
        for member in 1..=count {
            network.add_second_address(member)?;
            for id in 1..=count {
                let line = ensemble.line(member)?;
                let both = line.replacen('=', &format!("={}:2888:3888|", network.second_address(member)), 1);
                ensemble.reconfigure(id, &line, &both)?;
            }
        }
        Ok(ensemble)
    }

    /// The same as the first members of a network that has more.
    pub(crate) fn within(network: Arc<Network>, count: usize, lines: &str, disk_bytes: u64) -> Result<Self> {
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
        let folder = TestFolder::new()?;
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
            let daemon = Daemon::new(format!("server {id}"), folder.join("server.log"));
            members.push(Member { id, address, folder, daemon });
        }
        Ok(Self { members, disks: Vec::new(), network: None, folder, may_differ: false })
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
        command.arg(member.folder.join("zoo.cfg")).current_dir(&member.folder);
        member.daemon.start(&mut command)
    }

    /// Ends a member as `kill -9` does.
    pub fn kill(&mut self, id: usize) -> Result<()> {
        self.member_mut(id)?.daemon.kill()
    }

    /// Ends a member by SIGTERM and waits for its end.
    pub fn stop(&mut self, id: usize) -> Result<()> {
        self.member_mut(id)?.daemon.stop()
    }

    /// SIGSTOP: the member does nothing more, until it goes on or is killed; its connections stay.
    pub fn freeze(&self, id: usize) -> Result<()> {
        self.member(id)?.daemon.freeze()
    }

    /// SIGCONT.
    pub fn go_on(&self, id: usize) -> Result<()> {
        self.member(id)?.daemon.go_on()
    }

    /// Pulls the cable of a member.
    pub fn cut(&self, id: usize) -> Result<()> {
        self.member(id)?.daemon.set_silent(true);
        self.network.as_ref().context("its links can't be cut")?.cut(id)
    }

    /// Puts it in again.
    pub fn heal(&self, id: usize) -> Result<()> {
        self.member(id)?.daemon.set_silent(false);
        self.network.as_ref().context("its links can't be cut")?.heal(id)
    }

    /// A member has its second address no more: what is sent there is lost.
    pub fn remove_second_address(&self, id: usize) -> Result<()> {
        self.network.as_ref().context("it has one address")?.remove_second_address(id)
    }

    /// How many ends of connections between leader and learners members hold by second addresses.
    pub fn links_by_second_addresses(&self) -> Result<usize> {
        let network = self.network.as_ref().context("they have one address")?;
        let second: Vec<_> = self.members.iter().map(|member| network.second_address(member.id)).collect();
        let is_second = |end: &str| {
            let parsed = kernel_address(end);
            parsed.is_some_and(|(address, port)| port == 2888 && second.contains(&address))
        };
        let mut count = 0;
        for member in self.members.iter().filter(|member| member.daemon.is_running()) {
            for table in ["tcp", "tcp6"] {
                let table = fs::read_to_string(format!("/proc/{}/net/{table}", member.daemon.process()?))?;
                let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
                count += lines.filter(|fields| matches!(fields[..], [_, local, remote, "01", ..] if is_second(local) || is_second(remote))).count();
            }
        }
        Ok(count)
    }

    /// Each sync of the member's log takes so much longer, until the guard is dropped.
    pub fn slow_syncs(&self, id: usize, delay: Duration) -> Result<SlowSyncs> {
        SlowSyncs::of(self.member(id)?.daemon.process()?, delay)
    }

    /// Leaves no byte free on a member's disk, until the guard is dropped.
    pub fn fill_disk(&self, id: usize) -> Result<FullDisk> {
        FullDisk::fill(&self.data(id)?)
    }

    /// Waits until a member has ended by itself; its exit code.
    pub fn await_end(&mut self, id: usize) -> Result<Option<i32>> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.member_mut(id)?.daemon.ended()? {
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
        let status = fs::read_to_string(format!("/proc/{}/status", self.member(id)?.daemon.process()?))?;
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

    /// Those of all members that can be asked, between commas.
    pub fn hosts(&self) -> String {
        let answering = self.members.iter().filter(|member| member.daemon.answers());
        answering.map(|member| format!("{}:{CLIENT_PORT}", member.address)).collect::<Vec<_>>().join(",")
    }

    /// What a member has logged so far.
    pub fn log(&self, id: usize) -> Result<String> {
        self.member(id)?.daemon.log()
    }

    /// Whether the member's transaction logs hold these bytes.
    pub fn has_logged(&self, id: usize, bytes: &[u8]) -> Result<bool> {
        Ok(self.logs_with(id, bytes)?.next().is_some())
    }

    /// Puts other bytes of the same length where these stand first in the member's transaction logs.
    pub fn change_log(&self, id: usize, from: &[u8], to: &[u8]) -> Result<()> {
        let (path, offset) = self.logs_with(id, from)?.next().context("no log has them")?;
        Ok(File::options().write(true).open(path)?.write_all_at(to, offset)?)
    }

    /// The transaction logs that have these bytes, and where they do first.
    fn logs_with(&self, id: usize, bytes: &[u8]) -> Result<impl Iterator<Item = (PathBuf, u64)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.member(id)?.folder.join("data/version-2"))? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log.")) {
                let offset = fs::read(&path)?.windows(bytes.len()).position(|window| window == bytes);
                found.extend(offset.map(|offset| (path, offset as u64)));
            }
        }
        Ok(found.into_iter())
    }

    /// Waits until all members that run serve, one of them as the leader; its id.
    pub fn await_leader(&mut self) -> Result<usize> {
        self.await_leader_without(0)
    }

    /// The same, but for a member that is out of reach.
    pub fn await_leader_without(&mut self, out_of_reach: usize) -> Result<usize> {
        let mut leader = 0;
        self.wait("a leader that all follow", |ensemble| {
            let running = ensemble.members.iter().filter(|member| member.daemon.is_running());
            let modes: Vec<_> =
                running.filter(|member| member.id != out_of_reach).map(|member| (member.id, member.mode())).collect();
            let leaders: Vec<_> = modes.iter().filter(|(_, mode)| mode == "leader" || mode == "standalone").collect();
            let others = modes.iter().filter(|(_, mode)| mode == "follower" || mode == "observer").count();
            if let [(id, _)] = leaders.as_slice() {
                leader = *id;
            }
            Ok(leaders.len() == 1 && others + 1 == modes.len())
        })?;
        Ok(leader)
    }

    /// Waits for a condition; a member that ends meanwhile, or the time that passes, is an error with the logs' ends.
    pub fn wait(&mut self, what: &str, holds: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        daemon::wait(self, what, holds, Self::ended, Self::log_ends)
    }

    /// A member that has ended by itself.
    fn ended(&mut self) -> Result<Option<String>> {
        for member in &mut self.members {
            if let Some(status) = member.daemon.ended()? {
                return Ok(Some(format!("server {} ended with {status}", member.id)));
            }
        }
        Ok(None)
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

    /// What members told of a tree that is not as their leader's: each transaction has a digest of the tree behind it.
    pub fn digest_mismatches(&self) -> Result<String> {
        let mut found = self.logged("First digest mismatch on txn")? + &self.logged("Digests are not matching")?;
        // An original that failed at its leader's COMMIT and came back (ZOOKEEPER-4394) has logged what it was sent twice, and tells
        // so when it starts. The tree is right in the end; it is not in between.
        let repeated = |member: &&Member| self.log(member.id).is_ok_and(|log| log.contains("(highestZxid) > "));
        for member in self.members.iter().filter(repeated) {
            let at_start =
                |line: &&str| line.starts_with(&format!("server {}: ", member.id)) && line.contains("[main:");
            found = found.lines().filter(|line| !at_start(line)).map(|line| format!("{line}\n")).collect();
        }
        for member in self.members.iter().filter(|member| member.daemon.answers() && !repeated(member)) {
            // One that does not serve tells no figures; what it has found stands in its log.
            let figure = self.figure(member.id, "zk_digest_mismatches_count").unwrap_or_default();
            if let Some(count) = figure.filter(|count| count != "0") {
                found.push_str(&format!("server {}: {count} in its figures\n", member.id));
            }
        }
        Ok(found)
    }

    /// The test makes trees differ: otherwise the end of an ensemble in which some did is a failure.
    pub fn lets_trees_differ(&mut self) {
        self.may_differ = true;
    }

    /// The last lines of all logs.
    pub fn log_ends(&self) -> String {
        let end = |member: &Member| format!("{}({:?})\n", member.daemon.end_of_log(), member.mode());
        self.members.iter().map(end).collect()
    }

    fn member(&self, id: usize) -> Result<&Member> {
        self.members.iter().find(|member| member.id == id).with_context(|| format!("there is no server {id}"))
    }

    fn member_mut(&mut self, id: usize) -> Result<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id).with_context(|| format!("there is no server {id}"))
    }
}

/// An address of version 4 and its port as `/proc/net/tcp` and `tcp6` have them: `0100007F:0B48`, behind the prefix of a mapped one.
fn kernel_address(text: &str) -> Option<(String, u16)> {
    let (address, port) = text.split_once(':')?;
    let last = address.get(address.len().checked_sub(8)?..)?;
    let address = u32::from_str_radix(last, 16).ok()?.swap_bytes();
    Some((Ipv4Addr::from_bits(address).to_string(), u16::from_str_radix(port, 16).ok()?))
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        // A test that has failed tells of itself.
        if !self.may_differ && !std::thread::panicking() {
            let found = self.digest_mismatches().expect("logs can be read");
            assert!(found.is_empty(), "trees differ: {found}\n{}", self.log_ends());
        }
    }
}

impl Member {
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
