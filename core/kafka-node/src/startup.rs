//! How a broker starts: paths, cluster id, own id, logs, groups' partitions, registration, office (upstream: `KafkaServer.startup`,
//! `KafkaZkClient.registerBroker`).
//!
//! Each step is one pipelined batch of znode operations, or jobs on disk threads; the next step is its continuation. A step over which
//! the session expires is done again in the next one. What ZooKeeper refuses ends the start: that a znode is not there is one thing, that it
//! can't be read another. A cluster id that does not fit ends it before anything is written: a tree that was lost is not taken for a new
//! one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::{Disk, Job, Next, Now, Slow, once};
use base64::Engine;
use config::{ApiVersion, BrokerSettings};
use kafka_control::znode::{self, BrokerRegistration, ClusterId, Endpoint, EntityConfig, TopicAssignment};
use kafka_control::{CreateMode, Failure, Operation, Outcome, Reply};
use kafka_log::{BrokerMetadata, Loading, LogConfig, LogError, ManagerConfig};
use parking_lot::Mutex;

use crate::broker::Broker;
use crate::metadata::GROUP_METADATA_TOPIC;
use crate::partitions::tell_metadata;
use crate::session_file;
use crate::surroundings::LogSurroundings;

const SERVER: &str = "kafka.server.KafkaServer";

/// How often a registration that another session holds is tried again.
const REGISTRATION_RETRY_MS: u64 = 100;

/// A log is flushed in the background when its oldest unflushed record is this old, or when so many bytes are unflushed: it
/// keeps recovery after a crash short, and costs one sync for gigabytes.
const BACKGROUND_FLUSH_MS: u64 = 60_000;
const BACKGROUND_FLUSH_BYTES: u64 = 1 << 30;

/// What a start works on until the broker serves.
pub(crate) struct Startup {
    loading: Loading,
    /// Settings of the topics whose logs are here; filled before the logs are loaded.
    topic_configs: Arc<Mutex<BTreeMap<String, LogConfig>>>,
}

/// Why a broker can't start; each is said in one line, and the process ends with 1.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `meta.properties` names another cluster.
    #[error(
        "The Cluster ID {found} doesn't match stored clusterId Some({stored}) in meta.properties. The broker is trying to join the wrong cluster. Configured zookeeper.connect may be wrong."
    )]
    InconsistentClusterId {
        /// In ZooKeeper.
        found: String,
        /// In `meta.properties`.
        stored: String,
    },
    /// `meta.properties` names a cluster, and ZooKeeper knows none: its tree was lost, or the address is wrong.
    #[error(
        "meta.properties says that this broker belongs to the cluster {stored}, but ZooKeeper at zookeeper.connect has no /cluster/id. If its data was lost, restore it; if this is to be a new cluster, remove meta.properties from the log directories."
    )]
    MissingClusterId {
        /// In `meta.properties`.
        stored: String,
    },
    /// The configured id is not the stored one.
    #[error(
        "Configured broker.id {configured} doesn't match stored broker.id {stored} in meta.properties. If you moved your data, make sure your configured broker.id matches. If you intend to create a new broker, you should remove all data in your data directories (log.dirs)."
    )]
    InconsistentBrokerId {
        /// By `broker.id`.
        configured: i32,
        /// In `meta.properties`.
        stored: i32,
    },
    /// The log directories are of several brokers or clusters.
    #[error(
        "BrokerMetadata is not consistent across log.dirs. This could happen if multiple brokers shared a log directory (log.dirs) or partial data was manually copied from another broker. Found:\n{found}"
    )]
    InconsistentMetadata {
        /// What was found, by directory.
        found: String,
    },
    /// No id is configured and none may be generated.
    #[error("broker.id is -1 and broker.id.generation.enable is false: set one of them")]
    NoBrokerId,
    /// Another session holds the registration, and lives.
    #[error("KeeperErrorCode = NodeExists")]
    AlreadyRegistered,
    /// Another broker advertises a configured endpoint.
    #[error(
        "requirement failed: Configured end points {endpoints} in advertised listeners are already registered by broker {broker}"
    )]
    EndpointTaken {
        /// As `host:port`, several with commas.
        endpoints: String,
        /// Who has it.
        broker: i32,
    },
    /// No server answered within `zookeeper.connection.timeout.ms`, which the file sets.
    #[error("Timed out waiting for connection while in state: CONNECTING")]
    ConnectionTimeout,
    /// `zookeeper.connect` is not a list of hosts.
    #[error("zookeeper.connect: {0}")]
    ConnectString(#[from] zk_client::ConnectStringError),
    /// The logs can't be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// ZooKeeper refused something that a start needs.
    #[error("ZooKeeper: {what}: {failure}")]
    ZooKeeper {
        /// What was asked.
        what: String,
        /// How it was refused.
        failure: Failure,
    },
}

impl StartError {
    /// The original's exception.
    pub const fn exception(&self) -> &'static str {
        match self {
            Self::InconsistentClusterId { .. } => "kafka.common.InconsistentClusterIdException",
            Self::InconsistentBrokerId { .. } => "kafka.common.InconsistentBrokerIdException",
            Self::InconsistentMetadata { .. } => "kafka.common.InconsistentBrokerMetadataException",
            Self::ConnectionTimeout => "kafka.zookeeper.ZooKeeperClientTimeoutException",
            Self::AlreadyRegistered => "org.apache.zookeeper.KeeperException$NodeExistsException",
            Self::Log(LogError::Metadata { reason, .. }) => reason.exception(),
            Self::EndpointTaken { .. } | Self::ConnectString(_) => "java.lang.IllegalArgumentException",
            Self::MissingClusterId { .. } | Self::NoBrokerId | Self::Log(_) | Self::ZooKeeper { .. } => {
                "org.apache.kafka.common.KafkaException"
            }
        }
    }

    /// Whether the original ends there with these words alone.
    pub const fn is_halt(&self) -> bool {
        matches!(self, Self::Log(LogError::Halted(_)))
    }

    /// Whether the broker's id is certain by then: from there on the original puts it in front of its lines.
    pub const fn is_behind_id(&self) -> bool {
        if matches!(self, Self::Log(LogError::Metadata { .. })) {
            return false;
        }
        matches!(self, Self::Log(_) | Self::AlreadyRegistered | Self::EndpointTaken { .. } | Self::ZooKeeper { .. })
    }
}

impl Startup {
    /// Takes the log directories' locks and reads what they say of themselves. This is done before ZooKeeper is asked anything.
    fn begin(broker: &Arc<Broker>, disk: Arc<dyn Disk>, now: Now) -> Result<Self, StartError> {
        let topic_configs: Arc<Mutex<BTreeMap<String, LogConfig>>> = Arc::default();
        let lookup = topic_configs.clone();
        let default = broker.log_config_of("");
        let of_topic = move |topic: &str| lookup.lock().get(topic).cloned().unwrap_or_else(|| default.clone());
        let config = manager_config(&broker.settings());
        let surroundings = Arc::new(LogSurroundings::new(broker));
        let random = broker.with_random(|random| base::Random::from_seed(random.next_u64()));
        let loading = Loading::begin(disk, surroundings, config, Arc::new(of_topic), random, now);
        let loading = loading.inspect_err(|error| {
            if let LogError::Metadata { path, reason } = error {
                tell_metadata(path, reason);
            }
        })?;
        Ok(Self { loading, topic_configs })
    }

    /// The metadata that all directories agree on.
    fn stored(&self) -> Result<Option<BrokerMetadata>, StartError> {
        let distinct: BTreeSet<_> = self
            .loading
            .metadata()
            .iter()
            .filter_map(|(_, metadata)| metadata.as_ref())
            .map(|metadata| (metadata.broker_id, metadata.cluster_id.clone()))
            .collect();
        if distinct.len() > 1 {
            let lines = self.loading.metadata().iter().filter_map(|(dir, metadata)| {
                let BrokerMetadata { broker_id, cluster_id } = metadata.as_ref()?;
                let cluster_id = cluster_id.as_deref().unwrap_or("None");
                let dir = dir.display();
                Some(format!("- {dir} -> BrokerMetadata(brokerId={broker_id}, clusterId={cluster_id})\n"))
            });
            return Err(StartError::InconsistentMetadata { found: lines.collect() });
        }
        Ok(distinct.into_iter().next().map(|(broker_id, cluster_id)| BrokerMetadata { broker_id, cluster_id }))
    }
}

impl Broker {
    /// Starts the broker: takes the log directories, then connects to ZooKeeper, where the start goes on by itself.
    pub fn start(self: &Arc<Self>, disk: Arc<dyn Disk>, now: Now) -> Result<(), StartError> {
        let startup = Startup::begin(self, disk.clone(), now)?;
        *self.startup.lock() = Some(startup);
        let session_file = session_file::path(&self.settings().log_dirs);
        let earlier = session_file.as_ref().and_then(|path| session_file::read(disk.as_ref(), path));
        *self.session_file.lock() = session_file.map(|path| (disk, path));
        tracing::info!(target: SERVER, "Connecting to zookeeper on {}", self.settings().zookeeper.connect);
        self.zookeeper_start(earlier, now)?;
        let timeout_ms = self.settings().zookeeper.connection_timeout_ms.and_then(|ms| u64::try_from(ms).ok());
        if let Some(timeout_ms) = timeout_ms {
            self.schedule(now.monotonic.plus_ms(timeout_ms), |broker, _| {
                if broker.startup.lock().is_some() && !broker.zookeeper_is_over() {
                    broker.host.fail(StartError::ConnectionTimeout.into());
                }
            });
        }
        Ok(())
    }

    /// A session is there: the first one lets the start go on, a later one takes the place of one that expired. A start that is still under
    /// way goes on with it, and registers when the logs are there.
    pub(crate) fn session_established(self: &Arc<Self>, session: i64, now: Now) {
        self.note_session();
        if let Some(startup) = self.startup.lock().take() {
            *self.start_session.lock() = Some(session);
            return self.start_with(startup);
        }
        let is_starting = self.start_session.lock().as_mut().map(|starting| *starting = session).is_some();
        if !is_starting {
            self.register(session, now);
        }
    }

    /// Keeps the session's key outside of this process, for its crash and for the start after it.
    fn note_session(self: &Arc<Self>) {
        let Some(key) = self.session_key() else { return };
        self.host.session_is(Some(&key));
        let broker = self.clone();
        self.host.submit(once(move |slow| {
            // Held while it is written, so that a stop cannot remove the note just before.
            let session_file = broker.session_file.lock();
            let Some((disk, path)) = session_file.as_ref() else { return };
            if let Err(error) = session_file::write(disk.as_ref(), path, &key, slow) {
                tracing::warn!(target: "kafka.server.KafkaServer", "can't note the session in {}: {error}", path.display());
            }
        }));
    }

    /// The session with ZooKeeper is there for the first time: the start proper.
    pub(crate) fn start_with(self: &Arc<Self>, startup: Startup) {
        let mut operations = vec![read(znode::CLUSTER_ID)];
        operations.extend(self.persistent_paths().into_iter().map(|path| create(path, None)));
        self.ask_in_any_session(operations, move |broker, outcomes, _| {
            broker.end_on_error(broker.take_cluster_id(startup, outcomes));
        });
    }

    /// Every path with its ancestors, each once.
    fn persistent_paths(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let wanted = znode::PERSISTENT_PATHS.iter().chain([&znode::CONFIG_BROKERS]);
        wanted.flat_map(|path| znode::ancestry(path)).filter(|path| seen.insert(*path)).map(str::to_owned).collect()
    }

    /// An error of one step ends the start.
    fn end_on_error(&self, step: Result<(), StartError>) {
        if let Err(error) = step {
            self.host.fail(error.into());
        }
    }

    fn take_cluster_id(self: &Arc<Self>, startup: Startup, outcomes: Vec<Outcome>) -> Result<(), StartError> {
        let stored = startup.stored()?.and_then(|metadata| metadata.cluster_id);
        let found = outcomes.into_iter().next().unwrap_or(Err(Failure::Other(0)));
        match (found, stored) {
            (Ok(Reply::Data(content, _)), stored) => {
                let found = cluster_id_of(content.as_deref())?;
                if let Some(stored) = stored.filter(|stored| *stored != found) {
                    return Err(StartError::InconsistentClusterId { found, stored });
                }
                self.set_cluster_id(found);
                self.choose_id(startup)
            }
            (Err(Failure::NoNode), Some(stored)) => Err(StartError::MissingClusterId { stored }),
            (Err(Failure::NoNode), None) => {
                let uuid = self.with_random(base::Random::bytes_16);
                let id = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(uuid);
                let operations = vec![
                    create("/cluster".to_owned(), None),
                    create(znode::CLUSTER_ID.to_owned(), Some(ClusterId(id).encode())),
                    read(znode::CLUSTER_ID),
                ];
                self.ask_in_any_session(operations, move |broker, mut outcomes, _| {
                    // Another broker may have been quicker: what stands there counts.
                    let last = outcomes.pop().into_iter().collect();
                    broker.end_on_error(broker.take_cluster_id(startup, last));
                });
                Ok(())
            }
            (other, _) => Err(refused(znode::CLUSTER_ID, Some(other))),
        }
    }

    /// The configured id, the stored one, or a new one made from the version of `/brokers/seqid`.
    fn choose_id(self: &Arc<Self>, startup: Startup) -> Result<(), StartError> {
        let settings = self.settings();
        let stored = startup.stored()?.map(|metadata| metadata.broker_id);
        match (settings.broker_id, stored) {
            (Some(configured), Some(stored)) if configured != stored => {
                Err(StartError::InconsistentBrokerId { configured, stored })
            }
            (Some(id), _) | (None, Some(id)) => {
                self.set_id(id);
                self.read_topic_configs(startup);
                Ok(())
            }
            (None, None) if settings.broker_id_generation => {
                let next = Operation::SetData {
                    path: znode::BROKER_SEQUENCE.to_owned(),
                    data: Some(bytes::Bytes::new()),
                    version: -1,
                };
                self.ask_in_any_session(vec![next], move |broker, outcomes, _| {
                    broker.end_on_error(broker.take_generated_id(startup, outcomes));
                });
                Ok(())
            }
            (None, None) => Err(StartError::NoBrokerId),
        }
    }

    fn take_generated_id(self: &Arc<Self>, startup: Startup, outcomes: Vec<Outcome>) -> Result<(), StartError> {
        match outcomes.into_iter().next() {
            Some(Ok(Reply::Stat(stat))) => {
                self.set_id(stat.version + self.settings().reserved_broker_id_max);
                self.read_topic_configs(startup);
                Ok(())
            }
            other => Err(refused(znode::BROKER_SEQUENCE, other)),
        }
    }

    /// The settings of all topics, read in one batch, so that logs are loaded with theirs.
    fn read_topic_configs(self: &Arc<Self>, startup: Startup) {
        let list = Operation::GetChildren { path: znode::CONFIG_TOPICS.to_owned(), watch: false };
        self.ask_in_any_session(vec![list], move |broker, outcomes, _| {
            let names = match children_of(znode::CONFIG_TOPICS, outcomes) {
                Ok(names) => names,
                Err(error) => return broker.host.fail(error.into()),
            };
            let operations = names.iter().map(|name| read(&znode::entity_config("topics", name))).collect();
            broker.ask_in_any_session(operations, move |broker, outcomes, _| {
                broker.end_on_error(broker.take_topic_configs(startup, names, outcomes));
            });
        });
    }

    fn take_topic_configs(
        self: &Arc<Self>,
        startup: Startup,
        names: Vec<String>,
        outcomes: Vec<Outcome>,
    ) -> Result<(), StartError> {
        for (name, outcome) in names.into_iter().zip(outcomes) {
            let Some(content) = content_of(&znode::entity_config("topics", &name), outcome)? else { continue };
            match EntityConfig::decode(&name, &content) {
                Ok(config) => {
                    let resolved = self.set_topic_overrides(&name, config);
                    startup.topic_configs.lock().insert(name, resolved);
                }
                // Empty for the original, too.
                Err(error) => tracing::error!(target: SERVER, "{error}"),
            }
        }
        self.load_logs(startup);
        Ok(())
    }

    /// Loads the logs on disk threads; the job that ends last goes on.
    fn load_logs(self: &Arc<Self>, startup: Startup) {
        let jobs = startup.loading.jobs();
        let left = Arc::new(AtomicUsize::new(jobs.len() + 1));
        let last = Arc::new(Mutex::new(Some(startup)));
        let broker = self.clone();
        let finish = Arc::new(move |slow: &Slow| {
            if left.fetch_sub(1, Ordering::AcqRel) == 1
                && let Some(startup) = last.lock().take()
            {
                broker.finish_loading(startup, slow);
            }
        });
        for job in jobs {
            self.host.submit(Box::new(Followed { job, finish: finish.clone() }));
        }
        self.host.submit(once(move |slow| finish(slow)));
    }

    fn finish_loading(self: &Arc<Self>, startup: Startup, slow: &Slow) {
        let now = self.host.now();
        let metadata = BrokerMetadata { broker_id: self.id(), cluster_id: self.cluster_id() };
        // What is noted already is not written again: a full disk does not keep a broker from starting.
        let is_noted = startup.loading.metadata().iter().all(|(_, found)| found.as_ref() == Some(&metadata));
        let loaded = startup.loading.finish(now, slow).and_then(|logs| {
            if !is_noted {
                logs.write_metadata(&metadata, now, slow)?;
            }
            Ok(logs)
        });
        match loaded {
            Ok(logs) => {
                self.set_logs(logs);
                self.look_at_others();
            }
            Err(error) => self.host.fail(StartError::from(error).into()),
        }
    }

    /// Two brokers at one address would each be taken for the other: the start ends where another has registered one of this broker's.
    fn look_at_others(self: &Arc<Self>) {
        let list = Operation::GetChildren { path: znode::BROKER_IDS.to_owned(), watch: false };
        self.ask_in_any_session(vec![list], move |broker, outcomes, _| {
            let names = match children_of(znode::BROKER_IDS, outcomes) {
                Ok(names) => names,
                Err(error) => return broker.host.fail(error.into()),
            };
            let others = names.iter().filter_map(|name| name.parse().ok()).filter(|id| *id != broker.id());
            let others: Vec<i32> = others.collect();
            let operations = others.iter().map(|id| read(&znode::broker(*id))).collect();
            broker.ask_in_any_session(operations, move |broker, outcomes, _| {
                let mut looks = others.into_iter().zip(outcomes).map(|(id, outcome)| broker.look_at(id, outcome));
                match looks.find_map(Result::err) {
                    Some(error) => broker.host.fail(error.into()),
                    None => broker.count_offsets_partitions(),
                }
            });
        });
    }

    /// Which partition of `__consumer_offsets` a group belongs to hangs on their number, which is looked up once.
    fn count_offsets_partitions(self: &Arc<Self>) {
        let operations = vec![read(&znode::topic(GROUP_METADATA_TOPIC))];
        self.ask_in_any_session(operations, move |broker, outcomes, now| {
            match broker.take_offsets_partitions(outcomes) {
                Ok(()) => broker.register_first(now),
                Err(error) => broker.host.fail(error.into()),
            }
        });
    }

    fn take_offsets_partitions(&self, outcomes: Vec<Outcome>) -> Result<(), StartError> {
        let path = znode::topic(GROUP_METADATA_TOPIC);
        let Some(outcome) = outcomes.into_iter().next() else { return Err(refused(&path, None)) };
        let Some(content) = content_of(&path, outcome)? else { return Ok(()) };
        let assignment = TopicAssignment::decode(GROUP_METADATA_TOPIC, &content)
            .map_err(|error| StartError::ZooKeeper { what: error.to_string(), failure: Failure::Other(0) })?;
        let count = i32::try_from(assignment.0.len()).unwrap_or(i32::MAX);
        if count > 0 {
            self.groups.set_partition_count(count);
        }
        Ok(())
    }

    /// Registers under the session that is there by now.
    fn register_first(self: &Arc<Self>, now: Now) {
        if let Some(session) = self.start_session.lock().take() {
            self.register(session, now);
        }
    }

    /// Refuses to be at an address that another broker has registered.
    fn look_at(&self, other: i32, outcome: Outcome) -> Result<(), StartError> {
        let Some(content) = content_of(&znode::broker(other), outcome)? else { return Ok(()) };
        let Ok(registration) = BrokerRegistration::decode(other, &content) else { return Ok(()) };
        let settings = self.settings();
        // What is filled in later, the host's own name or a free port, is compared with nobody's.
        let own = settings.listeners.advertised.iter().filter(|own| own.port != 0);
        let own = own.filter(|own| {
            let has = |endpoint: &Endpoint| Some(&endpoint.host) == own.host.as_ref() && endpoint.port == own.port;
            registration.endpoints.iter().any(has)
        });
        let taken: Vec<String> =
            own.map(|own| format!("{}:{}", own.host.as_deref().unwrap_or_default(), own.port)).collect();
        match taken.is_empty() {
            true => Ok(()),
            false => Err(StartError::EndpointTaken { endpoints: taken.join(","), broker: other }),
        }
    }

    /// Writes the registration; also after each expiry of the session. Not under a session that is over: the next one does it.
    pub(crate) fn register(self: &Arc<Self>, session: i64, now: Now) {
        if self.session_key().is_none_or(|key| key.id != session) {
            return;
        }
        let settings = self.settings();
        let registration = BrokerRegistration {
            id: self.id(),
            version: registration_version(settings.inter_broker_protocol),
            endpoints: self.advertised().to_vec(),
            rack: settings.rack.clone(),
            jmx_port: -1,
            timestamp_ms: now.wall_ms,
        };
        let path = znode::broker(self.id());
        let operations = vec![
            Operation::Multi(vec![
                Operation::Create { path: path.clone(), data: None, mode: CreateMode::Ephemeral },
                Operation::SetData { path: path.clone(), data: Some(registration.encode()), version: 0 },
            ]),
            Operation::Exists { path, watch: false },
        ];
        self.ask_zookeeper(operations, move |broker, outcomes, now| {
            let mut outcomes = outcomes.into_iter();
            match (outcomes.next(), outcomes.next()) {
                (Some(Ok(_)), Some(Ok(Reply::Stat(stat)))) => broker.registered(stat.czxid, session, now),
                // The answer to an earlier try was lost.
                (_, Some(Ok(Reply::Stat(stat)))) if stat.ephemeral_owner == session => {
                    broker.registered(stat.czxid, session, now);
                }
                (Some(Err(Failure::NodeExists)), exists) => {
                    let owner = match exists {
                        Some(Ok(Reply::Stat(stat))) => Some(stat.ephemeral_owner),
                        _ => None,
                    };
                    broker.wait_for_registration(owner, session, now);
                }
                (Some(Err(Failure::SessionExpired | Failure::ConnectionLoss)), _) | (None, _) => {}
                (Some(Err(failure)), _) => {
                    let what = znode::broker(broker.id());
                    broker.host.fail(StartError::ZooKeeper { what, failure }.into());
                }
                (Some(Ok(_)), _) => {}
            }
        });
    }

    fn registered(self: &Arc<Self>, epoch: i64, session: i64, now: Now) {
        *self.waits_to_register_since.lock() = None;
        self.set_epoch(epoch);
        tracing::info!(
            target: "kafka.zk.KafkaZkClient",
            "Registered broker {} at path {} with addresses: {}, czxid (broker epoch): {epoch}",
            self.id(),
            znode::broker(self.id()),
            self.advertised().iter().map(|endpoint| endpoint.connection_string()).collect::<Vec<_>>().join(","),
        );
        self.stand_for_controller(session, now);
        self.serve(now);
    }

    /// Another session (`owner`, unless it is gone by now) holds the registration: an earlier life of this broker, whose session runs
    /// out, or another broker.
    fn wait_for_registration(self: &Arc<Self>, owner: Option<i64>, session: i64, now: Now) {
        let timeout_ms = u64::try_from(self.settings().zookeeper.session_timeout_ms).unwrap_or(0);
        // The server rounds up to its ticks.
        let patience_ms = timeout_ms + timeout_ms / 2;
        let mut since = self.waits_to_register_since.lock();
        if since.is_none() {
            let path = znode::broker(self.id());
            let owner = owner.map_or_else(String::new, |owner| format!(" ('{owner}')"));
            tracing::info!(
                target: SERVER,
                "[KafkaServer id={}] {path} belongs to another session{owner}: that of an earlier life of this broker, or of another \
                 broker with the same broker.id. Waiting until it is over, {patience_ms} ms at most (one and a half times \
                 zookeeper.session.timeout.ms)",
                self.id()
            );
        }
        let waited_ms = now.monotonic.since(*since.get_or_insert(now.monotonic)).as_millis();
        if let Some(owner) = owner
            && waited_ms > u128::from(patience_ms)
        {
            tracing::error!(
                target: "kafka.zk.KafkaZkClient$CheckedEphemeral",
                "Error while creating ephemeral at {}, node already exists and owner '{owner}' does not match current session '{session}'",
                znode::broker(self.id())
            );
            return self.host.fail(StartError::AlreadyRegistered.into());
        }
        drop(since);
        self.schedule(now.monotonic.plus_ms(REGISTRATION_RETRY_MS), move |broker, now| broker.register(session, now));
    }
}

pub(crate) fn manager_config(settings: &BrokerSettings) -> ManagerConfig {
    let ms = |value: i64| u64::try_from(value).unwrap_or(0);
    ManagerConfig {
        dirs: settings.log_dirs.iter().map(PathBuf::from).collect(),
        recovery_threads: usize::try_from(settings.logs.recovery_threads_per_directory).unwrap_or(1),
        retention_check_ms: ms(settings.logs.retention_check_interval_ms),
        flush_check_ms: ms(settings.logs.flush_scheduler_interval_ms),
        recovery_checkpoint_ms: ms(settings.logs.recovery_point_checkpoint_interval_ms.into()),
        start_checkpoint_ms: ms(settings.logs.start_offset_checkpoint_interval_ms.into()),
        high_watermark_checkpoint_ms: ms(settings.replication.high_watermark_checkpoint_interval_ms),
        producer_expiration_ms: settings.logs.producer_id_expiration_ms.into(),
        background_flush_ms: BACKGROUND_FLUSH_MS,
        background_flush_bytes: BACKGROUND_FLUSH_BYTES,
    }
}

/// Which form of the registration a protocol level writes.
fn registration_version(level: ApiVersion) -> i32 {
    match level {
        _ if level >= ApiVersion::V2_7_IV0 => 5,
        _ if level >= ApiVersion::V0_10_0_IV1 => 4,
        _ => 2,
    }
}

/// A job of another, and what follows it.
struct Followed<F> {
    job: Box<dyn Job>,
    finish: Arc<F>,
}

impl<F: Fn(&Slow) + Send + Sync> Job for Followed<F> {
    fn step(&mut self, slow: &Slow) -> Next {
        let next = self.job.step(slow);
        if next == Next::Done {
            (self.finish)(slow);
        }
        next
    }
}

fn read(path: &str) -> Operation {
    Operation::GetData { path: path.to_owned(), watch: false }
}

/// The children's names in the answer to a list; none where nothing was made yet.
fn children_of(path: &str, outcomes: Vec<Outcome>) -> Result<Vec<String>, StartError> {
    match outcomes.into_iter().next() {
        Some(Ok(Reply::Children(names))) => Ok(names),
        Some(Err(Failure::NoNode)) => Ok(Vec::new()),
        other => Err(refused(path, other)),
    }
}

/// What stands in a znode; `None` if it is gone.
fn content_of(path: &str, outcome: Outcome) -> Result<Option<bytes::Bytes>, StartError> {
    match outcome {
        Ok(Reply::Data(content, _)) => Ok(Some(content.unwrap_or_default())),
        Err(Failure::NoNode) => Ok(None),
        other => Err(refused(path, Some(other))),
    }
}

fn refused(path: &str, outcome: Option<Outcome>) -> StartError {
    let failure = outcome.and_then(Result::err).unwrap_or(Failure::Other(0));
    StartError::ZooKeeper { what: path.to_owned(), failure }
}

fn create(path: String, data: Option<bytes::Bytes>) -> Operation {
    Operation::Create { path, data, mode: CreateMode::Persistent }
}

fn cluster_id_of(content: Option<&[u8]>) -> Result<String, StartError> {
    match ClusterId::decode(content.unwrap_or_default()) {
        Ok(ClusterId(id)) => Ok(id),
        Err(error) => Err(StartError::ZooKeeper { what: error.to_string(), failure: Failure::Other(0) }),
    }
}
