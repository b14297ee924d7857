//! The resolved settings of one server: every value checked and in its unit. `zoo.cfg` and the `zookeeper.*` properties
//! are read elsewhere.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use config::ZooKeeperSettings;
use config::zookeeper::{MemberSettings, SaslSettings, SnapshotCompression, Words};
use zk_store::Compression;

/// Settings of one server. [`ServerConfig::new`] gives the original's defaults.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// What makes it a member of an ensemble; `None` when it is alone.
    pub member: Option<MemberSettings>,
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
    /// `jute.maxbuffer.extrasize`: how much longer than a frame a transaction may be, in bytes.
    pub entry_length_extra: u32,
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
    /// `readonlymode.enabled`: a member without a leader serves reads; the command `isro` is allowed.
    pub read_only_mode: bool,
    /// The lines of `envi`, in the order of output.
    pub environment: Vec<(String, String)>,

    /// Counts the process's file descriptors, for `mntr`.
    pub descriptors: fn() -> Descriptors,
    /// What the host's TLS handshakes come to, for `mntr`.
    pub handshakes: Arc<HandshakeCounts>,

    /// `datadir.autocreate`: missing folders are made.
    pub create_folders: bool,
    /// `forceSync`: whether a write is acknowledged only when it is on the device.
    pub force_sync: bool,
    /// `fsync.warningthresholdms`: a slower sync is worth a warning.
    pub fsync_warning_ms: u64,
    /// `flushDelay`: how long a write may wait so that more are synced together; 0 = not at all.
    pub flush_delay_ms: u64,
    /// `maxBatchSize`: so many writes wait no longer.
    pub batch_max: u64,
    /// `preAllocSize` in bytes: how far ahead the log is filled with zeros.
    pub preallocation: u64,
    /// `txnLogSizeLimitInKb` in bytes: a longer log file is rolled; `None` = never by size.
    pub log_file_length_max: Option<u64>,
    /// `snapshot.compression.method`.
    pub compression: Compression,
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
    /// `reconfigEnabled`: a `reconfig` is answered with another error.
    pub reconfig: bool,
    /// `skipACL`: every access is allowed.
    pub skip_acl: bool,
    /// `DigestAuthenticationProvider.superDigest`: `super:<digest>` of the user that may do everything.
    pub super_digest: Option<String>,
    /// Ids of the scheme `x509` are taken: clients may show certificates.
    pub x509: bool,
    /// `X509AuthenticationProvider.superUser`: the subject of the certificate of who may do everything.
    pub x509_super_user: Option<String>,
    /// Logins by SASL.
    pub sasl: SaslSettings,
    /// `znode.container.checkIntervalMs`: how often empty containers and outdated TTL nodes are looked for.
    pub container_check_interval_ms: u64,
    /// `znode.container.maxPerMinute`: how many of them are deleted in a minute.
    pub container_per_minute_max: u32,
    /// `znode.container.maxNeverUsedIntervalMs`: a container that never had a child goes after this; `None` = never.
    pub container_never_used_ms: Option<i64>,
}

impl ServerConfig {
    /// The original's defaults for a server that keeps its data in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            member: None,
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
            entry_length_extra: 0xf_ffff,
            outstanding_max: 1000,
            in_process_max: 0,
            large_request_threshold: None,
            large_request_bytes_max: 100 * 1024 * 1024,
            connection_throttle: ConnectionThrottle::default(),
            four_letter_words: String::new(),
            read_only_mode: false,
            environment: Vec::new(),
            descriptors: || Descriptors { open: 0, max: 0 },
            handshakes: Arc::default(),
            create_folders: true,
            force_sync: true,
            flush_delay_ms: 0,
            batch_max: 1000,
            fsync_warning_ms: 1000,
            preallocation: 64 * 1024 * 1024,
            log_file_length_max: None,
            compression: Compression::None,
            snapshot_count: 100_000,
            snapshot_log_bytes: Some(4_194_304 * 1024),
            purge_retain_count: 3,
            purge_interval_ms: None,
            trust_empty_snapshot: false,
            digest: true,
            close_session_paths: true,
            extended_types: false,
            reconfig: false,
            skip_acl: false,
            super_digest: None,
            x509: false,
            x509_super_user: None,
            sasl: SaslSettings::default(),
            container_check_interval_ms: 60_000,
            container_per_minute_max: 10_000,
            container_never_used_ms: None,
        }
    }

    /// `localSessionsEnabled`, which says nothing to a server on its own.
    pub(crate) fn local_sessions(&self) -> bool {
        self.member.as_ref().is_some_and(|member| member.local_sessions)
    }

    /// `localSessionsUpgradingEnabled`.
    pub(crate) fn upgrades_local_sessions(&self) -> bool {
        self.member.as_ref().is_some_and(|member| member.local_session_upgrades)
    }

    /// Whether a request of this length counts as a large one.
    pub(crate) fn is_large(&self, length: usize) -> bool {
        self.large_request_threshold.is_some_and(|threshold| length > threshold as usize)
    }
}

/// From what `zoo.cfg` and the properties say. What only the host knows is left as it is by default: `secure_client_port`,
/// `environment`, `descriptors`, `handshakes`, and `client_port` if it is 0.
impl From<&ZooKeeperSettings> for ServerConfig {
    fn from(settings: &ZooKeeperSettings) -> Self {
        let ZooKeeperSettings { limits, storage, access, nodes, .. } = settings;
        let local_sessions = settings.member.as_ref().is_some_and(|member| member.local_sessions);
        Self {
            member: settings.member.clone(),
            client_port: settings.client_address.as_ref().map_or(-1, |address| i32::from(address.port)),
            client_port_listen_backlog: settings.client_listen_backlog.unwrap_or(-1),
            data_log_dir: (&settings.data_log_dir).into(),
            tick_time_ms: unsigned(settings.tick_time_ms),
            session_timeout_min_ms: settings.session_timeout_ms_min,
            session_timeout_max_ms: settings.session_timeout_ms_max,
            connections_per_address_max: unsigned(settings.connections_per_address_max),
            connections_max: unsigned(settings.connections_max),
            sessionless_timeout_ms: unsigned(settings.sessionless_connection_timeout_ms),
            frame_length_max: unsigned(limits.request_bytes_max),
            entry_length_extra: unsigned(limits.transaction_extra_bytes),
            outstanding_max: unsigned(limits.outstanding_max) as usize,
            in_process_max: unsigned(limits.throttle_requests_max) as usize,
            large_request_threshold: u32::try_from(limits.large_request_bytes_from).ok(),
            large_request_bytes_max: unsigned(limits.large_request_bytes_max) as usize,
            connection_throttle: ConnectionThrottle::of(&settings.connection_throttle, local_sessions),
            four_letter_words: match &access.words {
                Words::All => "*".to_owned(),
                Words::Only(words) => words.iter().map(String::as_str).collect::<Vec<_>>().join(","),
            },
            force_sync: storage.force_sync,
            create_folders: storage.create_folders,
            flush_delay_ms: u64::try_from(storage.flush_delay_ms).unwrap_or(0),
            batch_max: u64::try_from(storage.batch_max).ok().filter(|max| *max > 0).unwrap_or(u64::MAX),
            fsync_warning_ms: u64::try_from(storage.sync_warning_ms).unwrap_or(0),
            preallocation: storage.preallocate_bytes,
            log_file_length_max: storage.log_bytes_max,
            compression: match storage.snapshot_compression {
                SnapshotCompression::None => Compression::None,
                SnapshotCompression::Gzip => Compression::Gzip,
                SnapshotCompression::Snappy => Compression::Snappy,
            },
            snapshot_count: unsigned(storage.snapshot_transactions),
            snapshot_log_bytes: storage.snapshot_log_bytes,
            purge_retain_count: unsigned(settings.purge.snapshots_retained),
            purge_interval_ms: u64::try_from(settings.purge.interval_hours)
                .ok()
                .filter(|hours| *hours > 0)
                .map(|hours| hours * 3_600_000),
            trust_empty_snapshot: storage.trust_empty_snapshot,
            digest: storage.digest,
            close_session_paths: storage.close_session_lists_ephemerals,
            extended_types: nodes.extended_types,
            reconfig: settings.reconfig_enabled,
            skip_acl: access.skip_acl,
            read_only_mode: access.read_only_mode,
            super_digest: access.super_digest.clone(),
            x509: access.x509,
            x509_super_user: access.x509_super_user.clone(),
            sasl: access.sasl.clone(),
            container_check_interval_ms: u64::from(unsigned(nodes.container_check_interval_ms)),
            container_per_minute_max: unsigned(nodes.containers_per_minute_max),
            container_never_used_ms: Some(nodes.container_never_used_ms).filter(|ms| *ms != 0),
            ..Self::new(&settings.data_dir)
        }
    }
}

/// Settings below zero mean none, as 0 does.
fn unsigned(setting: i32) -> u32 {
    u32::try_from(setting).unwrap_or(0)
}

/// TLS handshakes with clients, counted by the host.
#[derive(Debug, Default)]
pub struct HandshakeCounts {
    /// How many are under way.
    pub under_way: AtomicU64,
    /// How many have failed.
    pub failed: AtomicU64,
    /// How many were refused, as too many were under way.
    pub refused: AtomicU64,
}

/// File descriptors of the process.
#[derive(Clone, Copy, Debug)]
pub struct Descriptors {
    /// How many are open.
    pub open: u64,
    /// How many may be.
    pub max: u64,
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
    /// `_weight_enabled`: what a session takes; one token each without weights.
    pub weights: Option<Weights>,
}

/// Tokens for sessions, by what they cost the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// `_global_session_weight`, which the size of the bucket and its filling are counted in.
    pub unit: u32,
    /// For a new session: that, or `_local_session_weight` where new ones are local.
    pub new: u32,
    /// `_renew_session_weight`.
    pub renewed: u32,
}

impl Weights {
    /// One that is 0 or less is the default, and none is below that of a local session.
    fn of(settings: &config::zookeeper::ConnectionThrottle, local_sessions: bool) -> Self {
        let weight = |setting: i32, default| match setting {
            ..=0 => default,
            setting => unsigned(setting.max(settings.local_session_weight)),
        };
        let unit = weight(settings.global_session_weight, 3);
        let local = weight(settings.local_session_weight, 1);
        let new = if local_sessions { local } else { unit };
        Self { unit, new, renewed: weight(settings.renew_session_weight, 2) }
    }
}

impl ConnectionThrottle {
    fn of(settings: &config::zookeeper::ConnectionThrottle, local_sessions: bool) -> Self {
        Self {
            tokens: unsigned(settings.tokens),
            fill_time_ms: u64::from(unsigned(settings.fill_time_ms)),
            fill_count: unsigned(settings.fill_count),
            freeze_time_ms: u64::try_from(settings.freeze_time_ms).ok(),
            drop_increase: settings.drop_increase,
            drop_decrease: settings.drop_decrease,
            decrease_ratio: settings.decrease_ratio,
            weights: settings.weight_enabled.then(|| Weights::of(settings, local_sessions)),
        }
    }
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

#[cfg(test)]
mod tests {
    use config::Properties;

    use super::*;

    #[test]
    fn a_configuration_that_says_little_gives_the_defaults() {
        let loaded =
            ZooKeeperSettings::from_arguments(&["2181", "/data", "3000", "60"], &Properties::default()).unwrap();
        let resolved = format!("{:?}", ServerConfig::from(&loaded.settings));
        let defaults = ServerConfig { client_port: 2181, ..ServerConfig::new("/data") };
        let defaults = ServerConfig { four_letter_words: "srvr".to_owned(), ..defaults };
        // The descriptors' counter is told as an address, which differs.
        let told = |text: &str| text.split("descriptors").next().map(str::to_owned);
        assert_eq!(told(&resolved), told(&format!("{defaults:?}")));
        let storage = |text: &str| text.split_once("create_folders").map(|(_, rest)| rest.to_owned());
        assert_eq!(storage(&resolved), storage(&format!("{defaults:?}")));
    }
}
