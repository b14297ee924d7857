//! One broker: what its parts share, and the doors through which the host reaches it.
//!
//! Everything here is called from any thread. Nothing waits: what can't be answered at once is parked, and completed by the
//! event it waits for, or by a timer.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

use base::{Disk, FileLock, Monotonic, Now, Random, TimerKey, Timers};
use config::{BrokerConfig, BrokerSettings};
use kafka_control::znode::Endpoint;
use kafka_log::LogManager;
use kafka_replica::Purgatory;
use parking_lot::{Mutex, RwLock};

use crate::api::delete_records::WaitingDelete;
use crate::api::fetch::{Complete as _, WaitingFetch};
use crate::api::produce::{Complete as _, WaitingProduce};
use crate::connection::{Client, Closed, Connection};
use crate::connections::{Connections, Place};
use crate::control::Control;
use crate::fetch_sessions::FetchSessions;
use crate::groups::Groups;
use crate::host::Host;
use crate::metadata::Metadata;
use crate::notifications::Notifications;
use crate::partitions::Partitions;
use crate::producer_ids::ProducerIds;
use crate::replication::{IsrChanges, Moves, Replication, Throttles};
use crate::startup::Startup;
use crate::topic_configs::TopicOverrides;
use crate::topic_waits::TopicWaits;
use crate::zookeeper::ZooKeeper;

/// What runs when a timer is due.
pub(crate) type Alarm = Box<dyn FnOnce(&Arc<Broker>, Now) + Send>;

/// A broker, shared by all event loops.
pub struct Broker {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) metadata: RwLock<Metadata>,
    pub(crate) zookeeper: ZooKeeper,
    pub(crate) control: Control,
    pub(crate) topic_waits: TopicWaits,
    pub(crate) connections: Connections,
    random: Mutex<Random>,
    pub(crate) partitions: Partitions,
    pub(crate) replication: Replication,
    pub(crate) isr_changes: IsrChanges,
    pub(crate) moves: Moves,
    pub(crate) throttles: Arc<Throttles>,
    pub(crate) produces: Purgatory<WaitingProduce>,
    pub(crate) fetches: Purgatory<WaitingFetch>,
    pub(crate) deletes: Purgatory<WaitingDelete>,
    pub(crate) fetch_sessions: FetchSessions,
    pub(crate) topic_overrides: TopicOverrides,
    config: RwLock<Arc<BrokerConfig>>,
    /// `advertised.listeners`, with the ports that were bound.
    advertised: Vec<Endpoint>,
    logs: OnceLock<LogManager>,
    /// What a start works on until there is a session.
    pub(crate) startup: Mutex<Option<Startup>>,
    /// The session, from the start's beginning until it registers.
    pub(crate) start_session: Mutex<Option<i64>>,
    /// Where the session's key is noted.
    pub(crate) session_file: Mutex<Option<(Arc<dyn Disk>, PathBuf)>>,
    /// Of directories whose logs are shut down, until the session is closed.
    pub(crate) directory_locks: Mutex<Vec<Box<dyn FileLock>>>,
    pub(crate) notifications: Notifications,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) groups: Groups,
    /// Version of `/feature` (KIP-584); -1 until it is known.
    features_epoch: AtomicI64,
    /// Since when the registration is tried, if another session holds it.
    pub(crate) waits_to_register_since: Mutex<Option<Monotonic>>,
    /// `broker.id`, or the generated one; -1 until it is known.
    id: AtomicI32,
    /// Czxid of the registration; -1 before it.
    epoch: AtomicI64,
    cluster_id: RwLock<Option<String>>,
    timers: Mutex<Timers<Alarm>>,
}

impl Broker {
    /// A broker that serves nothing yet; `start` begins.
    ///
    /// `advertised` are the endpoints of `advertised.listeners`, a port of 0 replaced by the one that was bound.
    pub fn new(config: BrokerConfig, advertised: Vec<Endpoint>, host: Arc<dyn Host>, random: Random) -> Arc<Self> {
        Arc::new(Self {
            host,
            metadata: RwLock::default(),
            zookeeper: ZooKeeper::default(),
            control: Control::default(),
            topic_waits: TopicWaits::default(),
            connections: Connections::default(),
            random: Mutex::new(random),
            partitions: Partitions::default(),
            replication: Replication::default(),
            isr_changes: IsrChanges::default(),
            moves: Moves::default(),
            throttles: Arc::default(),
            produces: Purgatory::default(),
            fetches: Purgatory::default(),
            deletes: Purgatory::default(),
            fetch_sessions: FetchSessions::default(),
            topic_overrides: TopicOverrides::default(),
            id: AtomicI32::new(config.settings().broker_id.unwrap_or(-1)),
            epoch: AtomicI64::new(-1),
            cluster_id: RwLock::new(None),
            config: RwLock::new(Arc::new(config)),
            advertised,
            logs: OnceLock::new(),
            startup: Mutex::default(),
            start_session: Mutex::default(),
            session_file: Mutex::default(),
            directory_locks: Mutex::default(),
            notifications: Notifications::default(),
            producer_ids: ProducerIds::default(),
            groups: Groups::default(),
            features_epoch: AtomicI64::new(-1),
            waits_to_register_since: Mutex::default(),
            timers: Mutex::default(),
        })
    }

    /// A client connected to a listener: how many milliseconds the listener rests before it lets it in, since others came just before
    /// (`max.connection.creation.rate`).
    pub fn connection_delay_ms(&self, listener_name: &str, now: Now) -> u64 {
        self.connections.came(listener_name, &self.settings(), now)
    }

    /// Lets a client in, or refuses it (`max.connections.per.ip`). Pending while there are `max.connections`, of all listeners or this
    /// one; the waker is called when it is worth another try. The listener accepts no other meanwhile.
    pub fn poll_admit(
        &self,
        listener_name: &str,
        address: IpAddr,
        waker: &Waker,
        now: Now,
    ) -> Poll<Result<Place, Closed>> {
        self.connections.poll_admit(listener_name, address, &self.settings(), waker, now)
    }

    /// A client that was let in is set up. The waker is called, from any thread, when an answer of the connection is ready.
    pub fn accept(
        self: &Arc<Self>,
        listener: usize,
        listener_name: String,
        peer: SocketAddr,
        place: Place,
        waker: Waker,
        now: Now,
    ) -> Connection {
        let client = Client { listener, listener_name, peer, software: Mutex::default() };
        Connection::new(self.clone(), client, place, waker, now)
    }

    /// Runs what is due; call it when the alarm that [`Host::alarm`] asked for goes off.
    pub fn tick(self: &Arc<Self>, now: Now) {
        loop {
            let due = self.timers.lock().pop_due(now.monotonic);
            match due {
                Some(alarm) => alarm(self, now),
                None => break,
            }
        }
        self.produces.expire(now.monotonic, WaitingProduce::complete);
        self.fetches.expire(now.monotonic, |fetch| fetch.complete(self));
        self.deletes.expire(now.monotonic, WaitingDelete::complete);
        Groups::expire_waits(self, now);
        let logs = self.logs().map(|logs| logs.tick(now));
        let timers = self.timers.lock().next_deadline();
        let waits = [
            self.produces.next_deadline(),
            self.fetches.next_deadline(),
            self.deletes.next_deadline(),
            self.groups.next_deadline(),
        ];
        if let Some(next) = waits.into_iter().chain([logs, timers]).flatten().min() {
            self.host.alarm(next);
        }
    }

    /// How many fetches wait for records.
    pub fn fetches_waiting(&self) -> usize {
        self.fetches.len()
    }

    /// The epoch in which this broker leads a partition, and who is in sync as far as it knows; `None` if it does not lead.
    pub fn leads(&self, topic: &str, partition: i32) -> Option<(i32, Vec<i32>)> {
        self.partitions.existing(topic, partition)?.leads()
    }

    /// Where a partition's log begins on this broker, and its high watermark; `None` if it has no log of it.
    pub fn log_start_and_high_watermark(&self, topic: &str, partition: i32) -> Option<(i64, i64)> {
        let offsets = self.partitions.existing(topic, partition)?.log().offsets();
        Some((offsets.log_start, offsets.high_watermark))
    }

    /// The broker's id; -1 until it is known.
    pub fn id(&self) -> i32 {
        self.id.load(Ordering::Acquire)
    }

    /// Czxid of the broker's registration; -1 before it.
    pub fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(crate) fn set_id(&self, id: i32) {
        self.id.store(id, Ordering::Release);
    }

    pub(crate) fn set_epoch(&self, epoch: i64) {
        self.epoch.store(epoch, Ordering::Release);
    }

    pub(crate) fn features_epoch(&self) -> i64 {
        self.features_epoch.load(Ordering::Acquire)
    }

    pub(crate) fn set_features_epoch(&self, epoch: i64) {
        self.features_epoch.store(epoch, Ordering::Release);
    }

    pub(crate) fn cluster_id(&self) -> Option<String> {
        self.cluster_id.read().clone()
    }

    pub(crate) fn set_cluster_id(&self, id: String) {
        *self.cluster_id.write() = Some(id);
    }

    /// What was configured, in its layers.
    pub(crate) fn config(&self) -> Arc<BrokerConfig> {
        self.config.read().clone()
    }

    pub(crate) fn set_config(&self, config: BrokerConfig) {
        let settings = config.settings().clone();
        *self.config.write() = Arc::new(config);
        self.connections.limits_changed(&settings);
    }

    /// What the broker runs by.
    pub(crate) fn settings(&self) -> Arc<BrokerSettings> {
        self.config.read().settings().clone()
    }

    pub(crate) fn advertised(&self) -> &[Endpoint] {
        &self.advertised
    }

    /// The logs; `None` until they are loaded.
    pub(crate) fn logs(&self) -> Option<&LogManager> {
        self.logs.get()
    }

    pub(crate) fn set_logs(&self, logs: LogManager) {
        // A broker loads its logs once; a second set of them would be a second start.
        let _ = self.logs.set(logs);
    }

    /// Draws from the broker's chance.
    pub(crate) fn with_random<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut self.random.lock())
    }

    /// Runs `alarm` at `deadline` or soon after, unless it is cancelled.
    pub(crate) fn schedule(
        &self,
        deadline: Monotonic,
        alarm: impl FnOnce(&Arc<Self>, Now) + Send + 'static,
    ) -> TimerKey {
        let mut timers = self.timers.lock();
        let is_earliest = timers.next_deadline().is_none_or(|next| deadline < next);
        let key = timers.insert(deadline, Box::new(alarm));
        drop(timers);
        if is_earliest {
            self.host.alarm(deadline);
        }
        key
    }

    /// Drops a timer; nothing happens if it has run.
    pub(crate) fn cancel(&self, key: TimerKey) {
        // Taken out under the lock, dropped after it: what the closure holds may want the lock too.
        let alarm = self.timers.lock().cancel(key);
        drop(alarm);
    }
}
