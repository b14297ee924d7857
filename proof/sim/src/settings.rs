//! What the servers of a run are set to: times short, memory small, so that much happens in a few seconds.

use std::io;
use std::path::Path;

use anyhow::Result;
use base::{Disk, MemDisk, Random, Slow};
use config::zookeeper::Ensemble;
use config::{Properties, ZooKeeperSettings};
use zk_node::ServerConfig;

pub(crate) use crate::lists::QUORUM_PORT;
use crate::lists::Shape;

/// A server's number, as in `server.N`.
pub(crate) type ServerId = u64;

/// The port of a follower that observers dial.
pub(crate) const OBSERVERS_PORT: u16 = 2889;
pub(crate) const DATA: &str = "/data";
/// Where logs and snapshots are.
pub(crate) const LOG_DIR: &str = "/data/version-2";
pub(crate) const TICK_MS: u64 = 200;
/// What clients ask for.
pub(crate) const SESSION_TIMEOUT_MS: i32 = 1_600;

const ZOO_CFG: &str = "/conf/zoo.cfg";
const MY_ID: &str = "/data/myid";
/// A list of servers that was proposed and is not known to be in force.
pub(crate) const NEXT_LIST: &str = "/conf/zoo.cfg.dynamic.next";

/// What the seed draws for all servers of a run.
#[derive(Clone, Copy)]
pub(crate) struct Draw {
    history_len: i32,
    snapshot_count: u32,
    purges: bool,
    /// Whether the last of five or more servers have no vote.
    observes: bool,
    /// Whether new sessions are known to their server alone.
    pub(crate) local_sessions: bool,
    /// Whether clients change the list of servers.
    pub(crate) reconfigures: bool,
    /// Whether followers feed the observer.
    relays: bool,
    /// Whether servers without a leader serve reads.
    pub(crate) read_only: bool,
    /// Whether there are nodes with access control lists. (With lists of servers, there is no check.)
    pub(crate) guards: bool,
    /// What lists of servers are like.
    pub(crate) shape: Shape,
    /// Decides about the first list's groups.
    groups: u64,
}

impl Draw {
    pub(crate) fn new(seed: u64, servers: ServerId, random: &mut Random) -> Self {
        let relays = seed / 4 % 2 == 1;
        let reconfigures = random.below(3) == 0;
        Self {
            history_len: one_of(random, [3, 20, 500]),
            snapshot_count: one_of(random, [30, 100, 1000]),
            purges: random.below(3) == 0,
            observes: random.below(3) == 0 || relays,
            local_sessions: seed % 4 == 3,
            reconfigures,
            relays,
            read_only: random.below(2) == 0,
            guards: !reconfigures && random.below(2) == 0,
            shape: Shape { grouped: servers > 3 && random.below(3) == 0, moves: reconfigures && random.below(2) == 0 },
            groups: random.next_u64(),
        }
    }

    /// Nothing special: servers that clusters have beside them.
    pub(crate) fn plain(random: &mut Random) -> Self {
        Self {
            history_len: one_of(random, [3, 20, 500]),
            snapshot_count: one_of(random, [30, 100, 1000]),
            purges: false,
            observes: false,
            local_sessions: false,
            reconfigures: false,
            relays: false,
            read_only: false,
            guards: false,
            shape: Shape::default(),
            groups: 0,
        }
    }

    /// How many of the last servers have no vote.
    const fn observers(&self, servers: ServerId) -> ServerId {
        match (servers, self.observes) {
            (7.., true) if self.relays => 2,
            (5.., true) => 1,
            _ => 0,
        }
    }

    /// All of it but the list of servers.
    fn zoo_cfg(&self) -> String {
        let relays = match self.relays {
            true => format!("observerMasterPort={OBSERVERS_PORT}\nobserver.election.DelayMs=50\n"),
            false => "observer.election.DelayMs=0\n".to_owned(),
        };
        let reconfig = if self.reconfigures { "reconfigEnabled=true\nskipACL=yes\n" } else { "" };
        // Else it stands in the server's line.
        let client = if self.shape.moves { "" } else { "clientPort=2181\n" };
        format!(
            "tickTime={TICK_MS}\ninitLimit=6\nsyncLimit=4\ndataDir={DATA}\n{client}maxClientCnxns=0\n\
             preAllocSize=4\n4lw.commands.whitelist=srvr\nsnapCount={}\n{reconfig}{relays}\
             localSessionsEnabled={}\nlocalSessionsUpgradingEnabled=true\n",
            self.snapshot_count, self.local_sessions
        )
    }
}

/// One of several, all alike.
pub(crate) fn one_of<T: Copy, const N: usize>(random: &mut Random, of: [T; N]) -> T {
    *of.get(random.below(N as u64) as usize).expect("below their number")
}

/// The `zoo.cfg` of server `id` of `servers`.
fn zoo_cfg(id: ServerId, servers: ServerId, draw: &Draw) -> String {
    let mut text = draw.zoo_cfg();
    // One server alone is no ensemble.
    let others = (1..=servers).filter(|_| servers > 1);
    let is_voter = |id: ServerId| id <= servers - draw.observers(servers);
    let listed: Vec<_> = others.map(|other| (other, is_voter(other), 0)).collect();
    for line in draw.shape.lines(&listed, &mut Random::from_seed(draw.groups)) {
        text.push_str(&line);
        text.push('\n');
    }
    if !is_voter(id) {
        text.push_str("peerType=observer\n");
    }
    text
}

/// Puts the files of server `id` of `servers` on its disk.
pub(crate) fn install(disk: &MemDisk, id: ServerId, servers: ServerId, draw: &Draw) -> io::Result<()> {
    let slow = Slow::allowed();
    for dir in ["/conf", DATA] {
        disk.create_dir_all(Path::new(dir))?;
    }
    disk.sync_dir(Path::new("/"), &slow)?;
    disk.replace(Path::new(MY_ID), id.to_string().as_bytes(), &slow)?;
    disk.replace(Path::new(ZOO_CFG), zoo_cfg(id, servers, draw).as_bytes(), &slow)
}

/// A server that the others have left out of their list, and that finds so at its start, comes as one that wants to join.
pub(crate) fn rejoin(disk: &MemDisk, id: ServerId, list: &str, draw: &Draw) -> io::Result<()> {
    let own = match list.contains(&format!("server.{id}=")) {
        true => String::new(),
        false => format!("server.{id}={}\n", draw.shape.line(id, false, 0)),
    };
    let text = format!("{}{list}\n{own}", draw.zoo_cfg());
    disk.replace(Path::new(ZOO_CFG), text.as_bytes(), &Slow::allowed())
}

/// The list of servers on a disk and its version, if it has one: without a version it was never in force.
pub(crate) fn list(disk: &MemDisk) -> Option<(i64, String)> {
    let read = |path: &str| disk.read(Path::new(path), u64::MAX).ok();
    let zoo_cfg = Properties::parse(&read(ZOO_CFG)?).ok()?;
    let file = zoo_cfg.get("dynamicConfigFile")?;
    let version = i64::from_str_radix(file.rsplit('.').next()?, 16).ok()?;
    Some((version, String::from_utf8(read(file)?).ok()?))
}

/// A list that was proposed and is not known to be in force.
pub(crate) fn next_list(disk: &MemDisk) -> Option<Ensemble> {
    let text = String::from_utf8(disk.read(Path::new(NEXT_LIST), u64::MAX).ok()?).ok()?;
    Ensemble::from_text(&text, true, false).ok()
}

/// The settings that a server finds on its disk.
pub(crate) fn load(disk: &MemDisk, draw: &Draw) -> Result<ServerConfig> {
    let mut read = |path: &str| match disk.metadata(Path::new(path))? {
        Some(_) => disk.read(Path::new(path), u64::MAX),
        None => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let mut java = Properties::new();
    java.set("readonlymode.enabled", draw.read_only.to_string());
    let loaded = ZooKeeperSettings::load(ZOO_CFG, &java, &mut read)?;
    let mut config = ServerConfig::from(&loaded.settings);
    if let Some(member) = config.member.as_mut() {
        member.history_len = draw.history_len;
        (member.notification_interval_ms_min, member.notification_interval_ms_max) = (50, 400);
    }
    config.snapshot_count = draw.snapshot_count;
    config.preallocation = 4096;
    config.purge_interval_ms = draw.purges.then_some(400);
    Ok(config)
}
