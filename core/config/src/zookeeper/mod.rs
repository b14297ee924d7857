//! ZooKeeper's configuration: `zoo.cfg` and `-D` properties to [`ZooKeeperSettings`], by the rules and in the words of
//! `QuorumPeerConfig` of 3.6.3.
//!
//! One rule is ours: a number or a boolean that is none refuses the start, where the original takes a boolean for
//! false, and a property for its default, without a word.

mod error;
pub mod keys;
mod member;
mod raw;
mod reconfig;
mod sasl;
mod servers;
mod tls;

pub use error::ZooKeeperError;
pub use member::{ListFiles, MemberSettings};
pub use reconfig::{ReconfigError, static_file};
pub use sasl::{QuorumSasl, SaslSettings, client_login};
pub use servers::{Ensemble, HostPort, PeerType, Server};
pub use tls::{ClientAuth, ClientTls, QuorumTls, Secret, StoreFile, TlsSettings};

use std::collections::BTreeSet;
use std::io;

use crate::notice::Notice;
use crate::properties::Properties;
use error::Problem;
use raw::Raw;
use sasl::LoginFile;
use servers::port_number;

const CONFIG: &str = "org.apache.zookeeper.server.quorum.QuorumPeerConfig";
const MAIN: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";

/// Reads a whole file for the resolver, which itself meets no file system.
pub type ReadFile<'a> = &'a mut dyn FnMut(&str) -> io::Result<Vec<u8>>;

/// What a ZooKeeper server runs by: every value resolved and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ZooKeeperSettings {
    /// The file it came from, as named on the command line; none when it came from arguments.
    pub file: Option<String>,
    /// `dataDir`
    pub data_dir: String,
    /// `dataLogDir`, or `dataDir`.
    pub data_log_dir: String,
    /// Where clients are served in plain text; `0.0.0.0` is all addresses. None: nowhere.
    pub client_address: Option<HostPort>,
    /// TLS for clients, if they are served that way.
    pub client_tls: Option<ClientTls>,
    /// `clientPortListenBacklog`; none: the system's.
    pub client_listen_backlog: Option<i32>,
    /// `tickTime`
    pub tick_time_ms: i32,
    /// `minSessionTimeout`, or two ticks.
    pub session_timeout_ms_min: i32,
    /// `maxSessionTimeout`, or twenty ticks.
    pub session_timeout_ms_max: i32,
    /// `maxClientCnxns`: connections of one address; 0 or less: no limit.
    pub connections_per_address_max: i32,
    /// `zookeeper.maxCnxns`: connections of all; 0 or less: no limit.
    pub connections_max: i32,
    /// The first line of `dataDir/myid`, a number.
    pub my_id: Option<i64>,
    /// The list of servers.
    pub ensemble: Ensemble,
    /// What makes it a member of an ensemble, if it is one.
    pub member: Option<MemberSettings>,
    /// `reconfigEnabled`
    pub reconfig_enabled: bool,
    /// `autopurge.*`
    pub purge: Purge,
    /// Limits on requests.
    pub limits: Limits,
    /// Logs and snapshots.
    pub storage: Storage,
    /// Who may do what.
    pub access: Access,
    /// Containers, nodes with a time to live.
    pub nodes: Nodes,
    /// New sessions per time.
    pub connection_throttle: ConnectionThrottle,
    /// `zookeeper.nio.sessionlessCnxnTimeout`
    pub sessionless_connection_timeout_ms: i32,
}

/// `autopurge.*`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purge {
    /// Snapshots to keep, 3 at least.
    pub snapshots_retained: i32,
    /// Hours between purges; 0 or less: never.
    pub interval_hours: i32,
}

/// Limits on requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `jute.maxbuffer`: bytes of a request.
    pub request_bytes_max: i32,
    /// `zookeeper.jute.maxbuffer.extrasize`
    pub transaction_extra_bytes: i32,
    /// `zookeeper.globalOutstandingLimit`
    pub outstanding_max: i32,
    /// `zookeeper.request_throttle_max_requests`; 0: none.
    pub throttle_requests_max: i32,
    /// `zookeeper.request_throttle_stall_time`
    pub throttle_stall_ms: i32,
    /// `zookeeper.request_throttle_drop_stale`
    pub throttle_drop_stale: bool,
    /// `zookeeper.request_stale_connection_check`
    pub stale_connection_check: bool,
    /// `zookeeper.request_stale_latency_check`
    pub stale_latency_check: bool,
    /// `zookeeper.largeRequestMaxBytes`: of all large requests together.
    pub large_request_bytes_max: i32,
    /// `zookeeper.largeRequestThreshold`; -1: no request is large.
    pub large_request_bytes_from: i32,
}

/// How a snapshot file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotCompression {
    /// Plain.
    None,
    /// `.gz`
    Gzip,
    /// `.snappy`
    Snappy,
}

/// Logs and snapshots.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// `zookeeper.snapCount`, 2 at least.
    pub snapshot_transactions: i32,
    /// `zookeeper.snapSizeLimitInKb` in bytes; none: size takes no snapshot.
    pub snapshot_log_bytes: Option<u64>,
    /// `zookeeper.snapshot.compression.method`
    pub snapshot_compression: SnapshotCompression,
    /// `zookeeper.snapshot.trust.empty`
    pub trust_empty_snapshot: bool,
    /// `zookeeper.preAllocSize` in bytes.
    pub preallocate_bytes: u64,
    /// `zookeeper.txnLogSizeLimitInKb` in bytes.
    pub log_bytes_max: Option<u64>,
    /// `zookeeper.forceSync`
    pub force_sync: bool,
    /// `zookeeper.fsync.warningthresholdms`
    pub sync_warning_ms: i64,
    /// `zookeeper.flushDelay`
    pub flush_delay_ms: i64,
    /// `zookeeper.maxWriteQueuePollTime`
    pub flush_poll_ms: i64,
    /// `zookeeper.maxBatchSize`; 0 or less: no limit.
    pub batch_max: i32,
    /// `zookeeper.datadir.autocreate`
    pub create_folders: bool,
    /// `zookeeper.digest.enabled`
    pub digest: bool,
    /// `zookeeper.closeSessionTxn.enabled`
    pub close_session_lists_ephemerals: bool,
}

/// Who may do what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// `zookeeper.skipACL`
    pub skip_acl: bool,
    /// `zookeeper.enableEagerACLCheck`
    pub eager_check: bool,
    /// `zookeeper.DigestAuthenticationProvider.superDigest`
    pub super_digest: Option<String>,
    /// The scheme `x509` is known.
    pub x509: bool,
    /// `zookeeper.X509AuthenticationProvider.superUser`
    pub x509_super_user: Option<String>,
    /// Logins by SASL.
    pub sasl: SaslSettings,
    /// Four-letter words that are answered; always with `srvr`.
    pub words: Words,
    /// `readonlymode.enabled`: a member without a leader serves reads.
    pub read_only_mode: bool,
}

/// `zookeeper.4lw.commands.whitelist`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// `*`
    All,
    /// These.
    Only(BTreeSet<String>),
}

impl Words {
    /// Is this word answered?
    #[must_use]
    pub fn allow(&self, word: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(words) => words.contains(word),
        }
    }
}

/// Containers, nodes with a time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nodes {
    /// `zookeeper.extendedTypesEnabled`
    pub extended_types: bool,
    /// `zookeeper.emulate353TTLNodes`
    pub emulate_353_ttl: bool,
    /// `znode.container.checkIntervalMs`
    pub container_check_interval_ms: i32,
    /// `znode.container.maxPerMinute`
    pub containers_per_minute_max: i32,
    /// `znode.container.maxNeverUsedIntervalMs`; 0: never.
    pub container_never_used_ms: i64,
}

/// `zookeeper.connection_throttle_*` (`BlueThrottle`)
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "each field is the property of its name")]
pub struct ConnectionThrottle {
    pub tokens: i32,
    pub fill_time_ms: i32,
    pub fill_count: i32,
    pub freeze_time_ms: i32,
    pub drop_increase: f64,
    pub drop_decrease: f64,
    pub decrease_ratio: f64,
    pub weight_enabled: bool,
    pub global_session_weight: i32,
    pub local_session_weight: i32,
    pub renew_session_weight: i32,
}

/// Settings and the log lines that came with them.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What the server runs by.
    pub settings: ZooKeeperSettings,
    /// Lines for the log, in order.
    pub notices: Vec<Notice>,
}

impl ZooKeeperSettings {
    /// Reads `path` and what it points to (`myid`, the dynamic file). `java` holds the `-D` properties of the command
    /// line; a key of the file is stronger.
    ///
    /// # Errors
    /// [`ZooKeeperError`] in the original's words.
    pub fn load(path: &str, java: &Properties, read: ReadFile<'_>) -> Result<Loaded, ZooKeeperError> {
        let mut notices = vec![Notice::info(CONFIG, format!("Reading configuration from: {path}"))];
        warn_if_relative(path, &mut notices);
        match Self::load_noting(path, java, read, &mut notices) {
            Ok(settings) => Ok(Loaded { settings, notices }),
            Err(error) => Err(error.with_notices(notices)),
        }
    }

    fn load_noting(
        path: &str,
        java: &Properties,
        read: ReadFile<'_>,
        notices: &mut Vec<Notice>,
    ) -> Result<Self, ZooKeeperError> {
        let text = read(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Problem::illegal(format!("{path} file is missing")).at(path),
            _ => Problem::unreadable(path, &error).at(path),
        })?;
        let file = Properties::parse(&text).map_err(|error| Problem::illegal(error.to_string()).at(path))?;
        let raw = Raw::new(file, java, notices).map_err(|problem| problem.at(path))?;
        let logins = LoginFile::read(&raw, read).map_err(|problem| problem.at(path))?;
        let mut settings = settings(&raw, logins.as_ref(), notices).map_err(|problem| problem.at(path))?;
        settings.file = Some(path.to_owned());
        match raw.text("dynamicConfigFile") {
            Some(dynamic) => {
                join_ensemble(&mut settings, &raw, &dynamic_file(&dynamic, &raw, read)?, read, notices)
                    .map_err(|problem| problem.at(&dynamic))?;
            }
            None => {
                let ensemble = raw.ensemble().map_err(|problem| problem.at(path))?;
                join_ensemble(&mut settings, &raw, &ensemble, read, notices).map_err(|problem| problem.at(path))?;
            }
        }
        if let Some(member) = &mut settings.member {
            member.sasl = sasl::quorum(&raw, logins.as_ref()).map_err(|problem| problem.at(path))?;
        }
        Ok(settings)
    }

    /// The arguments `port dataDir [tickTime] [maxClientCnxns]` of a server without a file (`ServerConfig.parse`).
    ///
    /// # Errors
    /// [`ZooKeeperError::is_usage`] errors for a wrong number of arguments or a number that is none.
    pub fn from_arguments(arguments: &[&str], java: &Properties) -> Result<Loaded, ZooKeeperError> {
        if !(2..=4).contains(&arguments.len()) {
            return Err(ZooKeeperError::usage(format!("Invalid number of arguments:[{}]", arguments.join(", "))));
        }
        let names = ["clientPort", "dataDir", "tickTime", "maxClientCnxns"];
        let mut file: Properties = names.iter().zip(arguments).map(|(name, value)| (*name, *value)).collect();
        if arguments.len() < 4 {
            file.set("maxClientCnxns", "0");
        }
        let mut notices = Vec::new();
        let usage = |problem: Problem| ZooKeeperError::usage(problem.at("the arguments").to_string());
        let raw = Raw::new(file, java, &mut notices).map_err(usage)?;
        sasl::refuse_without_file(&raw).map_err(usage)?;
        let settings = settings(&raw, None, &mut notices).map_err(usage)?;
        Ok(Loaded { settings, notices })
    }
}

/// Everything but the list of servers, in the order of the original's checks.
fn settings(raw: &Raw, logins: Option<&LoginFile>, notices: &mut Vec<Notice>) -> Result<ZooKeeperSettings, Problem> {
    raw.check_words()?;
    let purge = purge(raw, notices)?;
    let data_dir = raw.text("dataDir").ok_or_else(|| Problem::illegal("dataDir is not set"))?;
    let data_log_dir = raw.text("dataLogDir").unwrap_or_else(|| data_dir.clone());
    for folder in [raw.text("dataDir"), raw.text("dataLogDir")].into_iter().flatten() {
        warn_if_relative(&folder, notices);
    }
    let client_address = client_address(raw, notices)?;
    let client_tls = tls::client(raw, notices)?;
    let observers = match raw.int("observerMasterPort")? {
        ..=0 => "observerMasterPort is not set".to_owned(),
        port => format!("observerMasterPort is {port}"),
    };
    notices.push(Notice::info(CONFIG, observers));
    let tick_time_ms = raw.int("tickTime")?;
    if tick_time_ms == 0 {
        return Err(Problem::illegal("tickTime is not set"));
    }
    if tick_time_ms < 0 {
        return Err(Problem::illegal(format!("tickTime must be positive, but is {tick_time_ms}")));
    }
    let ticks = |key: &str, count: i32| {
        Ok(Some(raw.int(key)?).filter(|ms| *ms != -1).unwrap_or_else(|| tick_time_ms.wrapping_mul(count)))
    };
    let session_timeout_ms_min = ticks("minSessionTimeout", 2)?;
    let session_timeout_ms_max = ticks("maxSessionTimeout", 20)?;
    if session_timeout_ms_min > session_timeout_ms_max {
        return Err(Problem::illegal("minSessionTimeout must not be larger than maxSessionTimeout"));
    }
    if let Some(class) = raw.text("metricsProvider.className") {
        notices.push(Notice::info(CONFIG, format!("metricsProvider.className is {class}")));
    }
    Ok(ZooKeeperSettings {
        file: None,
        data_dir,
        data_log_dir,
        client_address,
        access: access(raw, client_tls.as_ref(), logins)?,
        client_tls,
        client_listen_backlog: Some(raw.int("clientPortListenBacklog")?).filter(|backlog| *backlog != -1),
        tick_time_ms,
        session_timeout_ms_min,
        session_timeout_ms_max,
        connections_per_address_max: raw.int("maxClientCnxns")?,
        connections_max: raw.int("zookeeper.maxCnxns")?,
        my_id: None,
        ensemble: Ensemble::default(),
        member: None,
        reconfig_enabled: raw.boolean("reconfigEnabled")?,
        purge,
        limits: limits(raw, notices)?,
        storage: storage(raw, notices)?,
        nodes: nodes(raw)?,
        connection_throttle: connection_throttle(raw)?,
        sessionless_connection_timeout_ms: raw.int("zookeeper.nio.sessionlessCnxnTimeout")?,
    })
}

fn purge(raw: &Raw, notices: &mut Vec<Notice>) -> Result<Purge, Problem> {
    let mut snapshots_retained = raw.int("autopurge.snapRetainCount")?;
    if snapshots_retained < 3 {
        notices.push(Notice::warn(
            CONFIG,
            format!("Invalid autopurge.snapRetainCount: {snapshots_retained}. Defaulting to 3"),
        ));
        snapshots_retained = 3;
    }
    Ok(Purge { snapshots_retained, interval_hours: raw.int("autopurge.purgeInterval")? })
}

fn client_address(raw: &Raw, notices: &mut Vec<Notice>) -> Result<Option<HostPort>, Problem> {
    let port = raw.int("clientPort")?;
    let host = raw.text("clientPortAddress");
    if port == 0 {
        notices.push(Notice::info(CONFIG, "clientPort is not set"));
        return match host {
            Some(_) => Err(Problem::illegal("clientPortAddress is set but clientPort is not set")),
            None => Ok(None),
        };
    }
    let address = HostPort { host: host.unwrap_or_else(|| "0.0.0.0".to_owned()), port: port_number(port)? };
    notices.push(Notice::info(CONFIG, format!("clientPortAddress is {}:{}", address.host, address.port)));
    Ok(Some(address))
}

fn limits(raw: &Raw, notices: &mut Vec<Notice>) -> Result<Limits, Problem> {
    const SERVER: &str = "org.apache.zookeeper.server.ZooKeeperServer";
    let request_bytes_max = raw.int("jute.maxbuffer")?;
    let mut large_request_bytes_max = raw.int("zookeeper.largeRequestMaxBytes")?;
    if large_request_bytes_max <= 0 {
        let text = format!(
            "Invalid max bytes for all large requests {large_request_bytes_max}. It should be a positive number."
        );
        notices.push(Notice::warn(SERVER, text));
        large_request_bytes_max = 100 * 1024 * 1024;
    }
    Ok(Limits {
        request_bytes_max,
        transaction_extra_bytes: if raw.is_set("zookeeper.jute.maxbuffer.extrasize") {
            raw.int("zookeeper.jute.maxbuffer.extrasize")?
        } else {
            request_bytes_max
        },
        outstanding_max: raw.int("zookeeper.globalOutstandingLimit")?,
        throttle_requests_max: raw.int("zookeeper.request_throttle_max_requests")?,
        throttle_stall_ms: raw.int("zookeeper.request_throttle_stall_time")?,
        throttle_drop_stale: raw.boolean("zookeeper.request_throttle_drop_stale")?,
        stale_connection_check: raw.boolean("zookeeper.request_stale_connection_check")?,
        stale_latency_check: raw.boolean("zookeeper.request_stale_latency_check")?,
        large_request_bytes_max,
        large_request_bytes_from: raw.int("zookeeper.largeRequestThreshold")?,
    })
}

fn storage(raw: &Raw, notices: &mut Vec<Notice>) -> Result<Storage, Problem> {
    let mut snapshot_transactions = raw.int("zookeeper.snapCount")?;
    if snapshot_transactions < 2 {
        let text = "SnapCount should be 2 or more. Now, snapCount is reset to 2";
        notices.push(Notice::warn("org.apache.zookeeper.server.ZooKeeperServer", text));
        snapshot_transactions = 2;
    }
    let kilobytes = |key: &str| {
        Ok(u64::try_from(raw.long(key)?).ok().filter(|size| *size > 0).map(|size| size.saturating_mul(1024)))
    };
    let flush_delay_ms = raw.long("zookeeper.flushDelay")?;
    let poll = "zookeeper.maxWriteQueuePollTime";
    Ok(Storage {
        snapshot_transactions,
        snapshot_log_bytes: kilobytes("zookeeper.snapSizeLimitInKb")?,
        snapshot_compression: match raw.text("zookeeper.snapshot.compression.method").as_deref() {
            None | Some("") => SnapshotCompression::None,
            Some("gz") => SnapshotCompression::Gzip,
            Some("snappy") => SnapshotCompression::Snappy,
            Some(other) => {
                return Err(raw.bad(
                    "zookeeper.snapshot.compression.method",
                    other,
                    "the methods are gz, snappy and none at all",
                ));
            }
        },
        trust_empty_snapshot: raw.boolean("zookeeper.snapshot.trust.empty")?,
        preallocate_bytes: kilobytes("zookeeper.preAllocSize")?.unwrap_or(0),
        log_bytes_max: kilobytes("zookeeper.txnLogSizeLimitInKb")?,
        force_sync: raw.yes_or_no("zookeeper.forceSync")?,
        sync_warning_ms: raw.long(
            if raw.is_set("fsync.warningthresholdms") && !raw.is_set("zookeeper.fsync.warningthresholdms") {
                "fsync.warningthresholdms"
            } else {
                "zookeeper.fsync.warningthresholdms"
            },
        )?,
        flush_delay_ms,
        flush_poll_ms: if raw.is_set(poll) { raw.long(poll)? } else { flush_delay_ms / 3 },
        batch_max: raw.int("zookeeper.maxBatchSize")?,
        create_folders: raw.boolean("zookeeper.datadir.autocreate")?,
        digest: raw.boolean("zookeeper.digest.enabled")?,
        close_session_lists_ephemerals: raw.boolean("zookeeper.closeSessionTxn.enabled")?,
    })
}

fn access(raw: &Raw, client_tls: Option<&ClientTls>, logins: Option<&LoginFile>) -> Result<Access, Problem> {
    let list = raw.text("zookeeper.4lw.commands.whitelist").unwrap_or_default();
    let mut words: BTreeSet<String> =
        list.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let all = words.contains("*");
    words.insert("srvr".to_owned());
    let read_only_mode = raw.boolean("readonlymode.enabled")?;
    if read_only_mode {
        words.insert("isro".to_owned());
    }
    Ok(Access {
        skip_acl: raw.yes_or_no("zookeeper.skipACL")?,
        eager_check: raw.boolean("zookeeper.enableEagerACLCheck")?,
        super_digest: raw.text("zookeeper.DigestAuthenticationProvider.superDigest"),
        x509: tls::has_x509(raw, client_tls),
        x509_super_user: raw.text("zookeeper.X509AuthenticationProvider.superUser"),
        sasl: sasl::clients(raw, logins)?,
        words: if all { Words::All } else { Words::Only(words) },
        read_only_mode,
    })
}

fn nodes(raw: &Raw) -> Result<Nodes, Problem> {
    Ok(Nodes {
        extended_types: raw.boolean("zookeeper.extendedTypesEnabled")?,
        emulate_353_ttl: raw.boolean("zookeeper.emulate353TTLNodes")?,
        container_check_interval_ms: raw.int("znode.container.checkIntervalMs")?,
        containers_per_minute_max: raw.int("znode.container.maxPerMinute")?,
        container_never_used_ms: raw.long("znode.container.maxNeverUsedIntervalMs")?,
    })
}

fn connection_throttle(raw: &Raw) -> Result<ConnectionThrottle, Problem> {
    let int = |name: &str| raw.int(&format!("zookeeper.connection_throttle_{name}"));
    let double = |name: &str| raw.double(&format!("zookeeper.connection_throttle_{name}"));
    Ok(ConnectionThrottle {
        tokens: int("tokens")?,
        fill_time_ms: int("fill_time")?,
        fill_count: int("fill_count")?,
        freeze_time_ms: int("freeze_time")?,
        drop_increase: double("drop_increase")?,
        drop_decrease: double("drop_decrease")?,
        decrease_ratio: double("decrease_ratio")?,
        weight_enabled: raw.boolean("zookeeper.connection_throttle_weight_enabled")?,
        global_session_weight: int("global_session_weight")?,
        local_session_weight: int("local_session_weight")?,
        renew_session_weight: int("renew_session_weight")?,
    })
}

/// The list of servers in a file of its own; its name's suffix is its version.
fn dynamic_file(path: &str, raw: &Raw, read: ReadFile<'_>) -> Result<Ensemble, ZooKeeperError> {
    let text = read(path).map_err(|error| Problem::unreadable(path, &error).at(path))?;
    let mut file = Properties::parse(&text).map_err(|error| Problem::illegal(error.to_string()).at(path))?;
    if file.get("version").is_some() {
        return Err(Problem::config("dynamic file shouldn't have version inside").at(path));
    }
    if let Some((_, suffix)) = path.rsplit_once('.').filter(|(_, suffix)| i64::from_str_radix(suffix, 16).is_ok()) {
        file.set("version", suffix);
    }
    let multiple_addresses = raw.boolean("multiAddress.enabled").map_err(|problem| problem.at(path))?;
    Ensemble::parse(&file, true, multiple_addresses).map_err(|problem| problem.at(path))
}

/// What the list of servers makes of this one (`setupQuorumPeerConfig`): alone, or part of an ensemble.
fn join_ensemble(
    settings: &mut ZooKeeperSettings,
    raw: &Raw,
    ensemble: &Ensemble,
    read: ReadFile<'_>,
    notices: &mut Vec<Notice>,
) -> Result<(), Problem> {
    let standalone_allowed = raw.boolean("standaloneEnabled")?;
    let (voters, observers) = (ensemble.voters().count(), ensemble.observers().count());
    let distributed = voters > 1 || !standalone_allowed;
    match voters {
        0 if !standalone_allowed => {
            return Err(Problem::illegal("standaloneEnabled = false then number of participants should be >0"));
        }
        0 if observers > 0 => return Err(Problem::illegal("Observers w/o participants is an invalid configuration")),
        1 if standalone_allowed => {
            notices.push(Notice::error(CONFIG, "Invalid configuration, only one server specified (ignoring)"));
            if observers > 0 {
                return Err(Problem::illegal("Observers w/o quorum is an invalid configuration"));
            }
        }
        0 => {}
        1 | 2 => {
            let text = "No server failure will be tolerated. You need at least 3 servers.";
            notices.push(Notice::warn(CONFIG, text));
        }
        even if even % 2 == 0 => {
            let text = "Non-optimial configuration, consider an odd number of servers.";
            notices.push(Notice::warn(CONFIG, text));
        }
        _ => {}
    }
    settings.my_id = my_id(&settings.data_dir, read)?;
    take_client_address(settings, ensemble)?;
    warn_of_peer_type(raw, settings.my_id, ensemble, notices)?;
    if distributed {
        let mut member = MemberSettings::new(raw, settings.my_id, ensemble, notices)?;
        if let Some(path) = settings.file.clone().filter(|_| settings.reconfig_enabled) {
            let is_inline = raw.text("dynamicConfigFile").is_none();
            member.next = if is_inline { None } else { next_list(&path, raw, read)? };
            member.files = Some(ListFiles { path, is_inline });
        }
        member.client.clone_from(&settings.client_address);
        settings.member = Some(member);
    } else {
        notices.push(Notice::warn(MAIN, "Either no config or no quorum defined in config, running in standalone mode"));
    }
    settings.ensemble = ensemble.clone();
    Ok(())
}

/// The list of servers has the last word on who votes (`setupPeerType`).
fn warn_of_peer_type(
    raw: &Raw,
    id: Option<i64>,
    ensemble: &Ensemble,
    notices: &mut Vec<Notice>,
) -> Result<(), Problem> {
    let name = |peer_type| match peer_type {
        PeerType::Participant => "PARTICIPANT",
        PeerType::Observer => "OBSERVER",
    };
    let written = PeerType::parse(&raw.text("peerType").unwrap_or_default())?;
    let own = id.and_then(|id| ensemble.servers.get(&id));
    let listed = own.map_or(PeerType::Participant, |own| own.peer_type);
    if written != listed {
        let (listed, written) = (name(listed), name(written));
        let text = format!(
            "Peer type from servers list ({listed}) doesn't match peerType ({written}). Defaulting to servers list."
        );
        notices.push(Notice::warn(CONFIG, text));
    }
    Ok(())
}

/// The file beside `zoo.cfg` with a list of servers that was proposed and is not known to be in force. Only a server whose
/// list is in a file of its own has one (`QuorumPeerConfig.parse`).
fn next_list(path: &str, raw: &Raw, read: ReadFile<'_>) -> Result<Option<Ensemble>, Problem> {
    let text = match read(&format!("{path}.dynamic.next")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Problem::unreadable(&format!("{path}.dynamic.next"), &error)),
    };
    let next = Properties::parse(&text).map_err(|error| Problem::illegal(error.to_string()))?;
    Ensemble::parse(&next, true, raw.boolean("multiAddress.enabled")?).map(Some)
}

/// The first line of `dataDir/myid`; a server of its own needs none.
fn my_id(data_dir: &str, read: ReadFile<'_>) -> Result<Option<i64>, Problem> {
    let path = format!("{}/myid", data_dir.trim_end_matches('/'));
    let text = match read(&path) {
        Ok(text) => text,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(Problem::unreadable(&path, &error)),
    };
    let text = String::from_utf8_lossy(&text);
    let line = text.split(['\n', '\r']).next().filter(|_| !text.is_empty()).unwrap_or("null");
    line.parse().map(Some).map_err(|_| Problem::illegal(format!("serverid {line} is not a number")))
}

/// A client address in this server's line is the one, and must agree with `clientPort` (`setupClientPort`).
fn take_client_address(settings: &mut ZooKeeperSettings, ensemble: &Ensemble) -> Result<(), Problem> {
    let Some(listed) = settings.my_id.and_then(|id| Some((id, ensemble.servers.get(&id)?.client.clone()?))) else {
        return Ok(());
    };
    let (id, listed) = listed;
    if let Some(own) = &settings.client_address {
        let any = matches!(own.host.as_str(), "0.0.0.0" | "::");
        if (any && own.port != listed.port) || (!any && *own != listed) {
            return Err(Problem::config(format!(
                "client address for this server (id = {id}) in static config file is {}:{} is different from client address found in dynamic file: {}:{}",
                own.host, own.port, listed.host, listed.port
            )));
        }
    }
    settings.client_address = Some(listed);
    Ok(())
}

/// `VerifyingFileFactory`: a path that starts with neither `/` nor `./` may be a mistake.
fn warn_if_relative(path: &str, notices: &mut Vec<Notice>) {
    if !path.starts_with('/') && !path.starts_with("./") {
        notices.push(Notice::warn(CONFIG, format!("{path} is relative. Prepend ./ to indicate that you're sure!")));
    }
}

#[cfg(test)]
mod tests;
