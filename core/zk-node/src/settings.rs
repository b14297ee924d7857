//! The resolved settings of one server: every value checked and in its unit. `zoo.cfg` and the `zookeeper.*` properties
//! are read elsewhere.

use std::path::PathBuf;

/// Settings of one server. [`ServerConfig::new`] gives the original's defaults.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// `clientPort` as bound, for the `conf` command; -1 if there is none.
    pub client_port: i32,
    /// `secureClientPort` as bound, for the `conf` command; -1 if there is none.
    pub secure_client_port: i32,
    /// `clientPortListenBacklog`, for the `conf` command; -1 = the system's default.
    pub client_port_listen_backlog: i32,
    /// `dataDir` without `version-2`: where snapshots are.
    pub data_dir: PathBuf,
    /// `dataLogDir` without `version-2`: where the transaction log is.
    pub data_log_dir: PathBuf,
    /// `tickTime`: the unit of session expiry.
    pub tick_time_ms: u32,
    /// `minSessionTimeout`, resolved (2 ticks by default).
    pub session_timeout_min_ms: i32,
    /// `maxSessionTimeout`, resolved (20 ticks by default).
    pub session_timeout_max_ms: i32,

    /// `maxClientCnxns`: connections from one address; 0 = any number.
    pub connections_per_address_max: u32,
    /// `maxCnxns`: connections in all; 0 = any number.
    pub connections_max: u32,
    /// `nio.sessionlessCnxnTimeout`: how long a connection may live without a session.
    pub sessionless_timeout_ms: u32,
    /// `jute.maxbuffer`: the longest frame that is taken, in bytes.
    pub frame_length_max: u32,
    /// `globalOutstandingLimit`: requests under way at which connections with requests under way are read no more.
    pub outstanding_max: usize,
    /// `request_throttle_max_requests`: requests under way at which new ones wait unread; 0 = no limit.
    pub in_process_max: usize,
    /// `largeRequestThreshold`: a request longer than this is large; `None` = none is.
    pub large_request_threshold: Option<u32>,
    /// `largeRequestMaxBytes`: what all large requests under way may weigh together.
    pub large_request_bytes_max: usize,
    /// `connection_throttle_*`: how fast sessions may be made.
    pub connection_throttle: ConnectionThrottle,

    /// `4lw.commands.whitelist` as written: names between commas, or `*`.
    pub four_letter_words: String,
    /// `readonlymode.enabled`: allows the command `isro` (the mode itself belongs to ensembles).
    pub read_only_mode: bool,
    /// The lines of `envi`, in the order of output.
    pub environment: Vec<(String, String)>,

    /// `forceSync`: whether a write is acknowledged only when it is on the device.
    pub force_sync: bool,
    /// `fsync.warningthresholdms`: a slower sync is worth a warning.
    pub fsync_warning_ms: u64,
    /// `preAllocSize` in bytes: how far ahead the log is filled with zeros.
    pub preallocation: u64,
    /// `txnLogSizeLimitInKb` in bytes: a longer log file is rolled; `None` = never by size.
    pub log_file_length_max: Option<u64>,
    /// `snapCount`: transactions between snapshots, at least 2.
    pub snapshot_count: u32,
    /// `snapSizeLimitInKb` in bytes: log bytes between snapshots; `None` = not by size.
    pub snapshot_log_bytes: Option<u64>,
    /// `autopurge.snapRetainCount`, at least 3.
    pub purge_retain_count: u32,
    /// `autopurge.purgeInterval` in milliseconds; `None` = never.
    pub purge_interval_ms: Option<u64>,
    /// `snapshot.trust.empty`: start with a log alone.
    pub trust_empty_snapshot: bool,
    /// `digest.enabled`: transactions and snapshots carry the digest of the tree.
    pub digest: bool,
    /// `closeSessionTxn.enabled`: a closeSession transaction lists what it deletes.
    pub close_session_paths: bool,

    /// `extendedTypesEnabled`: TTL nodes.
    pub extended_types: bool,
    /// `emulate353TTLNodes`: TTL nodes in the form of 3.5.3.
    pub emulate_353_ttl: bool,
    /// `skipACL`: every access is allowed.
    pub skip_acl: bool,
    /// `DigestAuthenticationProvider.superDigest`: `super:<digest>` of the user that may do everything.
    pub super_digest: Option<String>,
    /// `enableEagerACLCheck`: an ensemble's follower checks before it forwards; without effect here.
    pub sasl_required: bool,
    /// `znode.container.checkIntervalMs`: how often empty containers and outdated TTL nodes are looked for.
    pub container_check_interval_ms: u64,
    /// `znode.container.maxPerMinute`: how many of them are deleted in a minute.
    pub container_per_minute_max: u32,
    /// `znode.container.maxNeverUsedIntervalMs`: a container that never had a child goes after this; `None` = never.
    pub container_never_used_ms: Option<u64>,
}

impl ServerConfig {
    /// The original's defaults for a server that keeps its data in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            client_port: -1,
            secure_client_port: -1,
            client_port_listen_backlog: -1,
            data_log_dir: data_dir.clone(),
            data_dir,
            tick_time_ms: 3000,
            session_timeout_min_ms: 6000,
            session_timeout_max_ms: 60_000,
            connections_per_address_max: 60,
            connections_max: 0,
            sessionless_timeout_ms: 10_000,
            frame_length_max: 0xf_ffff,
            outstanding_max: 1000,
            in_process_max: 0,
            large_request_threshold: None,
            large_request_bytes_max: 100 * 1024 * 1024,
            connection_throttle: ConnectionThrottle::default(),
            four_letter_words: String::new(),
            read_only_mode: false,
            environment: Vec::new(),
            force_sync: true,
            fsync_warning_ms: 1000,
            preallocation: 64 * 1024 * 1024,
            log_file_length_max: None,
            snapshot_count: 100_000,
            snapshot_log_bytes: Some(4_194_304 * 1024),
            purge_retain_count: 3,
            purge_interval_ms: None,
            trust_empty_snapshot: false,
            digest: true,
            close_session_paths: true,
            extended_types: false,
            emulate_353_ttl: false,
            skip_acl: false,
            super_digest: None,
            sasl_required: false,
            container_check_interval_ms: 60_000,
            container_per_minute_max: 10_000,
            container_never_used_ms: None,
        }
    }
}

/// `connection_throttle_*`: a bucket of tokens for new and renewed sessions (upstream `BlueThrottle`).
#[derive(Clone, Debug)]
pub struct ConnectionThrottle {
    /// `_tokens`: size of the bucket; 0 = no throttle.
    pub tokens: u32,
    /// `_fill_time`: how often it is filled, in milliseconds.
    pub fill_time_ms: u64,
    /// `_fill_count`: by how many tokens.
    pub fill_count: u32,
    /// `_freeze_time`: shortest time between two changes of the chance to be dropped; `None` = nothing is dropped by chance.
    pub freeze_time_ms: Option<u64>,
    /// `_drop_increase`: what an empty bucket adds to that chance.
    pub drop_increase: f64,
    /// `_drop_decrease`: what a full enough bucket takes away.
    pub drop_decrease: f64,
    /// `_decrease_ratio`: how empty, of 1, is still full enough.
    pub decrease_ratio: f64,
    /// `_weight_enabled` with `_global_session_weight` and `_renew_session_weight`: tokens for a new and for a renewed
    /// session; 1 and 1 without weights.
    pub weights: Option<(u32, u32)>,
}

impl Default for ConnectionThrottle {
    fn default() -> Self {
        Self {
            tokens: 0,
            fill_time_ms: 1,
            fill_count: 1,
            freeze_time_ms: None,
            drop_increase: 0.02,
            drop_decrease: 0.002,
            decrease_ratio: 0.0,
            weights: None,
        }
    }
}
