//! What a server needs to know as a member of an ensemble (`QuorumPeerConfig`, `QuorumPeer`).

use super::{Ensemble, PeerType};

/// Settings of a member. Absent when a server is on its own.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberSettings {
    /// `myid`.
    pub id: i64,
    /// The list of servers, this one among them.
    pub ensemble: Ensemble,
    /// `peerType`, or the role in the server's own line, which wins.
    pub peer_type: PeerType,
    /// `initLimit`: ticks to find and follow a leader.
    pub init_limit: i32,
    /// `syncLimit`: ticks that a learner may be silent.
    pub sync_limit: i32,
    /// `connectToLearnerMasterLimit`: ticks to connect to the leader; 0 = `initLimit`.
    pub connect_limit: i32,
    /// `quorumListenOnAllIPs`.
    pub listen_on_all_addresses: bool,
    /// `multiAddress.enabled`.
    pub multiple_addresses: bool,
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
    /// `zookeeper.leaderServes`: whether a leader takes clients.
    pub leader_serves: bool,
    /// `zookeeper.commitLogCount`: transactions kept in memory for learners.
    pub history_len: i32,
    /// `zookeeper.snapshotSizeFactor`: how much of the log, relative to a snapshot, may be sent instead of one.
    pub snapshot_size_factor: f64,
    /// `zookeeper.leader.maxConcurrentSnapSyncs`.
    pub snapshot_syncs_max: i32,
    /// `zookeeper.leader.maxConcurrentDiffSyncs`.
    pub diff_syncs_max: i32,
    /// `zookeeper.forceSnapshotSync`, for tests of peers.
    pub force_snapshot_sync: bool,
    /// `zookeeper.observer.syncEnabled`: whether an observer keeps a log.
    pub observer_keeps_log: bool,
    /// `zookeeper.observer.reconnectDelayMs`, at random up to this before a lost leader is looked for.
    pub observer_reconnect_delay_ms: i64,
    /// `zookeeper.observer.election.DelayMs`.
    pub observer_election_delay_ms: i64,
    /// `zookeeper.leader.maxTimeToWaitForEpoch` in milliseconds; -1 = `initLimit`.
    pub epoch_wait_ms_max: i64,
}
