//! What the servers of a run are set to: times short, memory small, so that much happens in a few seconds.

use std::io;

use anyhow::{Context, Result};
use base::Random;
use config::{Properties, ZooKeeperSettings};
use zk_node::ServerConfig;

/// A server's number, as in `server.N`.
pub(crate) type ServerId = u64;

/// The port of a `server.N` line that learners dial.
pub(crate) const QUORUM_PORT: u16 = 2888;
pub(crate) const DATA: &str = "/data";
pub(crate) const TICK_MS: u64 = 200;
/// What clients ask for.
pub(crate) const SESSION_TIMEOUT_MS: i32 = 1_600;

/// What the seed draws for all servers of a run.
pub(crate) struct Draw {
    history_len: i32,
    snapshot_count: u32,
    purges: bool,
    /// Whether the last of five or more servers has no vote.
    observes: bool,
    /// Whether new sessions are known to their server alone.
    pub(crate) local_sessions: bool,
}

impl Draw {
    pub(crate) fn new(seed: u64, random: &mut Random) -> Self {
        Self {
            history_len: one_of(random, [3, 20, 500]),
            snapshot_count: one_of(random, [30, 100, 1000]),
            purges: random.below(3) == 0,
            observes: random.below(3) == 0,
            local_sessions: seed % 4 == 3,
        }
    }
}

/// One of several, all alike.
pub(crate) fn one_of<T: Copy, const N: usize>(random: &mut Random, of: [T; N]) -> T {
    *of.get(random.below(N as u64) as usize).expect("below their number")
}

/// The settings of server `id` of `servers`, as its `zoo.cfg` would give them.
pub(crate) fn server(id: ServerId, servers: ServerId, draw: &Draw) -> Result<ServerConfig> {
    let mut text = format!(
        "tickTime={TICK_MS}\ninitLimit=6\nsyncLimit=4\ndataDir={DATA}\nclientPort=2181\nmaxClientCnxns=0\n\
         preAllocSize=4\n4lw.commands.whitelist=srvr\nsnapCount={}\n\
         localSessionsEnabled={}\nlocalSessionsUpgradingEnabled=true\n",
        draw.snapshot_count, draw.local_sessions
    );
    for other in 1..=servers {
        let is_observer = draw.observes && servers >= 5 && other == servers;
        let role = if is_observer { ":observer" } else { "" };
        text.push_str(&format!("server.{other}=s{other}:{QUORUM_PORT}:3888{role}\n"));
        if is_observer && other == id {
            text.push_str("peerType=observer\n");
        }
    }
    let mut read = |path: &str| match path {
        "zoo.cfg" => Ok(text.clone().into_bytes()),
        "/data/myid" => Ok(id.to_string().into_bytes()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let loaded = ZooKeeperSettings::load("zoo.cfg", &Properties::new(), &mut read).context("the servers' zoo.cfg")?;
    let mut config = ServerConfig::from(&loaded.settings);
    let member = config.member.as_mut().context("a member of an ensemble")?;
    member.history_len = draw.history_len;
    (member.notification_interval_ms_min, member.notification_interval_ms_max) = (50, 400);
    config.snapshot_count = draw.snapshot_count;
    config.preallocation = 4096;
    config.purge_interval_ms = draw.purges.then_some(400);
    Ok(config)
}
