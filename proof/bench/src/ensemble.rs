//! Three ZooKeeper servers of one kind that agree, each with ports and a folder of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::requests::zookeeper::Session;
use crate::servers::{self, Kind, Programs, Server};
use crate::usage::resident_bytes;

pub(crate) const SERVERS: usize = 3;

/// An ensemble that finds no leader within this time does not come.
const LEADER_MAX: Duration = Duration::from_secs(60);
/// How long a client waits for one answer of a server that may have lost its leader.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two attempts of a client.
const PAUSE: Duration = Duration::from_millis(1);

/// The servers; all are ended with it.
pub(crate) struct Ensemble<'a> {
    kind: Kind,
    programs: &'a Programs,
    members: Vec<Member>,
}

struct Member {
    folder: PathBuf,
    port: u16,
    server: Option<Server>,
}

impl<'a> Ensemble<'a> {
    /// Lays three servers out in `folder`, each with a copy of this snapshot, if there is one, as its data.
    pub(crate) fn new(kind: Kind, programs: &'a Programs, folder: &Path, snapshot: Option<&Path>) -> Result<Self> {
        let mut lines = String::new();
        for id in 1..=SERVERS {
            let (quorum, election) = (servers::free_port()?, servers::free_port()?);
            lines.push_str(&format!("server.{id}=127.0.0.1:{quorum}:{election}\n"));
        }
        let mut members = Vec::new();
        for id in 1..=SERVERS {
            let folder = folder.join(id.to_string());
            let version = folder.join("data/version-2");
            std::fs::create_dir_all(&version)?;
            if let Some(snapshot) = snapshot {
                std::fs::copy(snapshot, version.join(snapshot.file_name().context("a snapshot has a name")?))?;
            }
            std::fs::write(folder.join("data/myid"), id.to_string())?;
            let port = servers::free_port()?;
            let config = format!("{}initLimit=10\nsyncLimit=5\n{lines}", servers::zookeeper_lines(&folder, port));
            std::fs::write(folder.join("zoo.cfg"), config)?;
            members.push(Member { folder, port, server: None });
        }
        Ok(Self { kind, programs, members })
    }

    /// The bare loop, which is one process and runs already.
    pub(crate) fn bare(programs: &'a Programs, folder: &Path) -> Result<Self> {
        let server = servers::bare_ensemble(folder)?;
        let member = Member { folder: folder.to_owned(), port: server.port, server: Some(server) };
        Ok(Self { kind: Kind::Bare, programs, members: vec![member] })
    }

    /// Starts all at once; how long it took until each granted a session.
    pub(crate) fn start(&mut self) -> Result<Duration> {
        let mut starting = Vec::new();
        for member in &self.members {
            starting.push(servers::zookeeper_with(self.kind, self.programs, &member.folder, member.port)?);
        }
        let mut longest = Duration::ZERO;
        for (member, starting) in self.members.iter_mut().zip(starting) {
            let server = starting.wait()?;
            longest = longest.max(server.start_up);
            member.server = Some(server);
        }
        self.leader()?;
        Ok(longest)
    }

    /// Starts one again; how long it took until it granted a session.
    pub(crate) fn start_one(&mut self, at: usize) -> Result<Duration> {
        let (kind, programs) = (self.kind, self.programs);
        let member = self.member(at)?;
        let server = servers::zookeeper_with(kind, programs, &member.folder, member.port)?.wait()?;
        let start_up = server.start_up;
        member.server = Some(server);
        Ok(start_up)
    }

    /// Stops all in good order.
    pub(crate) fn stop(&mut self) -> Result<()> {
        (0..SERVERS).try_for_each(|at| self.stop_one(at))
    }

    /// Stops one in good order.
    pub(crate) fn stop_one(&mut self, at: usize) -> Result<()> {
        self.member(at)?.server.take().context("it does not run")?.stop()
    }

    /// Removes what a server that does not run has stored.
    pub(crate) fn forget(&mut self, at: usize) -> Result<()> {
        Ok(std::fs::remove_dir_all(self.member(at)?.folder.join("data/version-2"))?)
    }

    /// Which server leads.
    pub(crate) fn leader(&self) -> Result<usize> {
        let start = Instant::now();
        loop {
            let leads = |member: &Member| srvr(member.port).is_ok_and(|told| told.contains("Mode: leader"));
            if let Some(at) = self.members.iter().position(leads) {
                return Ok(at);
            }
            ensure!(start.elapsed() < LEADER_MAX, "no leader within {LEADER_MAX:?}");
            thread::sleep(PAUSE);
        }
    }

    /// Where clients of the servers that run come to.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.members.iter().filter(|member| member.server.is_some()).map(|member| member.port).collect()
    }

    /// Sessions, in turn at each server.
    pub(crate) fn sessions(&self, count: usize) -> Result<Vec<Session>> {
        let ports = self.ports();
        ports.iter().cycle().take(count).map(|port| Session::open(*port)).collect()
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.members.iter().filter_map(|member| member.server.as_ref().map(Server::pid)).collect()
    }

    /// Resident memory of a server, the mean of all.
    pub(crate) fn memory(&self) -> Result<u64> {
        let pids = self.pids();
        let all: u64 = pids.iter().map(|pid| resident_bytes(*pid)).sum::<Result<u64>>()?;
        Ok(all / pids.len().max(1) as u64)
    }

    /// Kills the leader: how long it takes until a client's write, of a session that it begins then at one of the others, is
    /// acknowledged. The killed one is started again behind that.
    pub(crate) fn fail_over(&mut self, path: &str) -> Result<Duration> {
        let leader = self.leader()?;
        let before = Session::open(self.member(leader)?.port)?.set(path)?;
        let mut killed = self.member(leader)?.server.take().context("it does not run")?;
        let ports = self.ports();
        let start = Instant::now();
        killed.begin_to_die()?;
        let is_over = AtomicBool::new(false);
        let first = thread::scope(|scope| -> Result<Duration> {
            let attempts: Vec<_> = ports
                .iter()
                .map(|port| scope.spawn(|| first_write(*port, path, before >> 32, start, &is_over)))
                .collect();
            let results =
                attempts.into_iter().map(|attempt| attempt.join().map_err(|_| anyhow!("a client panicked"))?);
            let times = results.collect::<Result<Vec<_>>>()?;
            times.into_iter().flatten().min().context("no write was acknowledged")
        })?;
        killed.kill()?;
        self.start_one(leader)?;
        Ok(first)
    }

    fn member(&mut self, at: usize) -> Result<&mut Member> {
        self.members.get_mut(at).context("there are three")
    }
}

/// Tries until a write is acknowledged in a later epoch, here or by another server.
fn first_write(port: u16, path: &str, epoch: i64, start: Instant, is_over: &AtomicBool) -> Result<Option<Duration>> {
    while !is_over.load(Ordering::Relaxed) {
        let written = Session::open_within(port, PATIENCE).and_then(|mut session| session.set(path));
        if written.is_ok_and(|zxid| zxid >> 32 > epoch) {
            is_over.store(true, Ordering::Relaxed);
            return Ok(Some(start.elapsed()));
        }
        if start.elapsed() > LEADER_MAX {
            bail!("no write was acknowledged within {LEADER_MAX:?}");
        }
        thread::sleep(PAUSE);
    }
    Ok(None)
}

fn srvr(port: u16) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"srvr")?;
    let mut told = String::new();
    stream.read_to_string(&mut told)?;
    Ok(told)
}
