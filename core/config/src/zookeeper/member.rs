//! What a server needs to know as a member of an ensemble (`QuorumPeerConfig`, `QuorumPeer`).

use super::error::Problem;
use super::raw::Raw;
use super::{CONFIG, Ensemble, HostPort, PeerType, QuorumSasl, QuorumTls, tls};
use crate::notice::Notice;

const DATABASE: &str = "org.apache.zookeeper.server.ZKDatabase";
/// Shortest history that is kept for learners that come back.
const HISTORY_LEN_MIN: i32 = 500;
/// The greatest server id that fits the owner of a node with a time to live.
const EXTENDED_ID_MAX: i64 = 0xfe;

/// Settings of a member. Absent when a server is on its own.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberSettings {
    /// `myid`.
    pub id: i64,
    /// The list of servers, this one among them.
    pub ensemble: Ensemble,
    /// A later list that was proposed and is not known to be in force; with `reconfigEnabled`.
    pub next: Option<Ensemble>,
    /// Where lists of servers are kept, with `reconfigEnabled`.
    pub files: Option<ListFiles>,
    /// Where clients are served.
    pub client: Option<HostPort>,
    /// `standaloneEnabled`: an ensemble has two voters at least.
    pub standalone_enabled: bool,
    /// `peerType`, or the role in the server's own line, which wins.
    pub peer_type: PeerType,
    /// `initLimit`: ticks to find and follow a leader.
    pub init_limit: i32,
    /// `syncLimit`: ticks that a learner may be silent.
    pub sync_limit: i32,
    /// `connectToLearnerMasterLimit`: ticks to connect to the leader; 0 = `initLimit`.
    pub connect_limit: i32,
    /// `localSessionsEnabled`: new sessions are known to this server alone.
    pub local_sessions: bool,
    /// `localSessionsUpgradingEnabled`: those that make an ephemeral node become known to all.
    pub local_session_upgrades: bool,
    /// `observerMasterPort`: a follower feeds observers here, and an observer looks for such a follower.
    pub observer_master_port: Option<u16>,
    /// `zookeeper.observerMaster.sizeLimit` in bytes: transactions that such a follower keeps in memory.
    pub observer_master_bytes: usize,
    /// `zookeeper.observer.reconnectDelayMs`: what an observer waits at most before it goes to its leader, or to a master that it has
    /// tried before.
    pub observer_reconnect_delay_ms: u64,
    /// `zookeeper.observer.election.DelayMs`: what an observer waits at most before it looks for a leader again.
    pub observer_election_delay_ms: u64,
    /// `quorumListenOnAllIPs`.
    pub listen_on_all_addresses: bool,
    /// `multiAddress.enabled`.
    pub multiple_addresses: bool,
    /// Logins between servers, if they log in.
    pub sasl: Option<QuorumSasl>,
    /// TLS between servers, if it is spoken.
    pub tls: Option<QuorumTls>,
    /// `zookeeper.tcpKeepAlive`
    pub keep_alive: bool,
    /// `zookeeper.electionPortBindRetry`: tries to bind the ports for other servers; 0 = without end.
    pub bind_tries_max: i32,
    /// `zookeeper.cnxTimeout` in milliseconds: to connect to another server's election port.
    pub election_connect_timeout_ms: i64,
    /// `zookeeper.fastleader.minNotificationInterval` in milliseconds.
    pub notification_interval_ms_min: i64,
    /// `zookeeper.fastleader.maxNotificationInterval` in milliseconds.
    pub notification_interval_ms_max: i64,
    /// `zookeeper.commitLogCount`: transactions kept in memory for learners.
    pub history_len: i32,
    /// `zookeeper.leader.maxConcurrentSnapSyncs`.
    pub snapshot_syncs_max: i32,
    /// `zookeeper.forceSnapshotSync`, for tests of peers.
    pub force_snapshot_sync: bool,
    /// `zookeeper.leaderServes`: a leader takes clients.
    pub leader_serves: bool,
    /// `zookeeper.db.autocreate`: a server that finds no data takes that for an empty tree. If not, it has no history, unless
    /// there is a file `initialize`.
    pub creates_tree: bool,
    /// `zookeeper.leader.maxTimeToWaitForEpoch` in milliseconds; -1 = `initLimit`.
    pub epoch_wait_ms_max: i64,
    /// `zookeeper.testingonly.initialZxid`: counter of transactions at which a new leader begins.
    pub initial_counter: u32,
}

/// The files in which a server keeps its lists of servers: beside `zoo.cfg`, under its name with a suffix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListFiles {
    /// `zoo.cfg` itself. The host makes the path absolute.
    pub path: String,
    /// The list is still in `zoo.cfg`.
    pub is_inline: bool,
}

impl ListFiles {
    /// The list of this version (`QuorumPeer.makeDynamicConfigFilename`).
    #[must_use]
    pub fn dynamic(&self, version: i64) -> String {
        format!("{}.dynamic.{version:x}", self.path)
    }

    /// The list that was proposed (`QuorumPeer.getNextDynamicConfigFilename`).
    #[must_use]
    pub fn next(&self) -> String {
        format!("{}.dynamic.next", self.path)
    }

    /// `zoo.cfg` as it was when the list was still in it.
    #[must_use]
    pub fn backup(&self) -> String {
        format!("{}.bak", self.path)
    }
}

impl MemberSettings {
    /// From what was written, for the server `id` of `ensemble`: the checks of `QuorumPeerConfig.checkValidity` and of
    /// `QuorumPeer.start`.
    pub(super) fn new(
        raw: &Raw,
        id: Option<i64>,
        ensemble: &Ensemble,
        notices: &mut Vec<Notice>,
    ) -> Result<Self, Problem> {
        let [init_limit, sync_limit] = ["initLimit", "syncLimit"].map(|key| match raw.int(key)? {
            0 => Err(Problem::illegal(format!("{key} is not set"))),
            limit if limit < 0 => Err(Problem::illegal(format!("{key} must be positive, but is {limit}"))),
            limit => Ok(limit),
        });
        let (init_limit, sync_limit) = (init_limit?, sync_limit?);
        let id = id.ok_or_else(|| Problem::illegal("myid file is missing"))?;
        let own = ensemble.servers.get(&id);
        let own = own.ok_or_else(|| Problem::unexpected(format!("My id {id} not in the peer list")))?;
        if raw.boolean("zookeeper.extendedTypesEnabled")? && id > EXTENDED_ID_MAX {
            return Err(Problem::unexpected(format!(
                "extendedTypesEnabled is true but Server ID is too large. Cannot be larger than {EXTENDED_ID_MAX}"
            )));
        }
        Ok(Self {
            id,
            peer_type: own.peer_type,
            ensemble: ensemble.clone(),
            next: None,
            files: None,
            client: None,
            standalone_enabled: raw.boolean("standaloneEnabled")?,
            init_limit,
            sync_limit,
            connect_limit: raw.int("connectToLearnerMasterLimit")?,
            local_sessions: raw.boolean("localSessionsEnabled")?,
            local_session_upgrades: raw.boolean("localSessionsUpgradingEnabled")?,
            observer_master_port: observer_master_port(raw)?,
            observer_master_bytes: usize::try_from(raw.int("zookeeper.observerMaster.sizeLimit")?).unwrap_or(0),
            observer_reconnect_delay_ms: delay_ms(raw, "zookeeper.observer.reconnectDelayMs")?,
            observer_election_delay_ms: delay_ms(raw, "zookeeper.observer.election.DelayMs")?,
            listen_on_all_addresses: raw.boolean("quorumListenOnAllIPs")?,
            multiple_addresses: raw.boolean("multiAddress.enabled")?,
            sasl: None,
            tls: tls::quorum(raw, notices)?,
            keep_alive: raw.boolean("zookeeper.tcpKeepAlive")?,
            bind_tries_max: bind_tries(raw, notices)?,
            election_connect_timeout_ms: raw.int("zookeeper.cnxTimeout")?.into(),
            notification_interval_ms_min: raw.int("zookeeper.fastleader.minNotificationInterval")?.into(),
            notification_interval_ms_max: raw.int("zookeeper.fastleader.maxNotificationInterval")?.into(),
            history_len: history_len(raw, notices)?,
            snapshot_syncs_max: raw.int("zookeeper.leader.maxConcurrentSnapSyncs")?,
            force_snapshot_sync: raw.boolean("zookeeper.forceSnapshotSync")?,
            leader_serves: raw.yes_or_no("zookeeper.leaderServes")?,
            creates_tree: raw.boolean("zookeeper.db.autocreate")?,
            epoch_wait_ms_max: raw.int("zookeeper.leader.maxTimeToWaitForEpoch")?.into(),
            initial_counter: initial_counter(raw)?,
        })
    }
}

/// More than 32 bits would reach into the epoch.
fn initial_counter(raw: &Raw) -> Result<u32, Problem> {
    const KEY: &str = "zookeeper.testingonly.initialZxid";
    let counter = raw.long(KEY)?;
    u32::try_from(counter).map_err(|_| Problem::unexpected(format!("{KEY} is no number of 32 bits: {counter}")))
}

/// Zero or less is none. One that is no port makes the original end when its part begins.
fn observer_master_port(raw: &Raw) -> Result<Option<u16>, Problem> {
    match raw.int("observerMasterPort")? {
        ..=0 => Ok(None),
        port => u16::try_from(port).map(Some).map_err(|_| Problem::unexpected(format!("port out of range:{port}"))),
    }
}

/// A delay below zero is none.
fn delay_ms(raw: &Raw, key: &str) -> Result<u64, Problem> {
    Ok(u64::try_from(raw.long(key)?).unwrap_or(0))
}

fn bind_tries(raw: &Raw, notices: &mut Vec<Notice>) -> Result<i32, Problem> {
    const KEY: &str = "zookeeper.electionPortBindRetry";
    const DEFAULT: i32 = 3;
    let tries = raw.int(KEY)?;
    if tries < 0 {
        let text =
            format!("'{KEY}' contains invalid value: {tries}(must be >= 0). Use default value of {DEFAULT} instead.");
        notices.push(Notice::info(CONFIG, text));
        return Ok(DEFAULT);
    }
    Ok(tries)
}

fn history_len(raw: &Raw, notices: &mut Vec<Notice>) -> Result<i32, Problem> {
    let len = raw.int("zookeeper.commitLogCount")?;
    if len < HISTORY_LEN_MIN {
        let text = format!(
            "The configured commitLogCount {len} is less than the recommended {HISTORY_LEN_MIN}, going to use the recommended one"
        );
        notices.push(Notice::warn(DATABASE, text));
    }
    Ok(len.max(HISTORY_LEN_MIN))
}
