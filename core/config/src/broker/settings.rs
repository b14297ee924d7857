//! [`BrokerSettings`]: what a broker runs by, each value typed, units in its name.

use std::collections::BTreeMap;

use super::keys;
use super::listeners::{Listeners, is_host_pattern, parse_map};
use super::values::Values;
use crate::error::{ConfigError, ErrorKind};
use crate::properties::{Properties, comment_hint};
use crate::topic::{TopicDefaults, TopicSettings};
use crate::value::FromValue;
use crate::version::ApiVersion;
use crate::zookeeper::TlsSettings;

/// A struct for each part of the broker; each field is one key, with the key's type.
macro_rules! sections {
    ($($(#[$meta:meta])* $section:ident { $($field:ident: $type:ty = $key:literal,)* })*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Debug, PartialEq)]
            pub struct $section { $(#[doc = concat!("`", $key, "`")] pub $field: $type,)* }

            impl $section {
                fn read(values: &Values) -> Self {
                    Self { $($field: values.get($key),)* }
                }
            }
        )*
        /// Each field of a section: the section's type, the field, its key.
        #[cfg(test)]
        pub(super) const SECTION_FIELDS: &[(&str, &str, &str)] =
            &[$($((stringify!($section), stringify!($field), $key),)*)*];
    };
}

sections! {
    /// How ZooKeeper is reached.
    ZooKeeperClient {
        connect: String = "zookeeper.connect",
        session_timeout_ms: i32 = "zookeeper.session.timeout.ms",
        connection_timeout_ms: Option<i32> = "zookeeper.connection.timeout.ms",
        in_flight_max: i32 = "zookeeper.max.in.flight.requests",
    }

    /// Connections and requests.
    Network {
        send_buffer_bytes: i32 = "socket.send.buffer.bytes",
        receive_buffer_bytes: i32 = "socket.receive.buffer.bytes",
        request_bytes_max: i32 = "socket.request.max.bytes",
        queued_requests_max: i32 = "queued.max.requests",
        queued_bytes_max: i64 = "queued.max.request.bytes",
        connections_per_ip_max: i32 = "max.connections.per.ip",
        connections_max: i32 = "max.connections",
        connections_per_second_max: i32 = "max.connection.creation.rate",
        quota_samples: i32 = "quota.window.num",
        quota_sample_s: i32 = "quota.window.size.seconds",
        idle_ms_max: i64 = "connections.max.idle.ms",
        failed_login_delay_ms: i32 = "connection.failed.authentication.delay.ms",
        network_threads: i32 = "num.network.threads",
        io_threads: i32 = "num.io.threads",
        background_threads: i32 = "background.threads",
    }

    /// Logs as a whole; what a topic may set for itself is in [`BrokerSettings::topic_defaults`].
    Logs {
        retention_check_interval_ms: i64 = "log.retention.check.interval.ms",
        flush_scheduler_interval_ms: i64 = "log.flush.scheduler.interval.ms",
        recovery_point_checkpoint_interval_ms: i32 = "log.flush.offset.checkpoint.interval.ms",
        start_offset_checkpoint_interval_ms: i32 = "log.flush.start.offset.checkpoint.interval.ms",
        recovery_threads_per_directory: i32 = "num.recovery.threads.per.data.dir",
        producer_id_expiration_ms: i32 = "transactional.id.expiration.ms",
        cleaner_enabled: bool = "log.cleaner.enable",
        cleaner_threads: i32 = "log.cleaner.threads",
        cleaner_dedupe_buffer_bytes: i64 = "log.cleaner.dedupe.buffer.size",
        cleaner_dedupe_load_factor: f64 = "log.cleaner.io.buffer.load.factor",
        cleaner_io_buffer_bytes: i32 = "log.cleaner.io.buffer.size",
        cleaner_io_bytes_per_second_max: f64 = "log.cleaner.io.max.bytes.per.second",
        cleaner_backoff_ms: i64 = "log.cleaner.backoff.ms",
    }

    /// Topics as a whole.
    Topics {
        partitions: i32 = "num.partitions",
        replication_factor: i32 = "default.replication.factor",
        auto_create: bool = "auto.create.topics.enable",
        delete: bool = "delete.topic.enable",
    }

    /// Replicas and leaders.
    Replication {
        high_watermark_checkpoint_interval_ms: i64 = "replica.high.watermark.checkpoint.interval.ms",
        selector_class: Option<String> = "replica.selector.class",
        lag_ms_max: i64 = "replica.lag.time.max.ms",
        socket_timeout_ms: i32 = "replica.socket.timeout.ms",
        socket_receive_buffer_bytes: i32 = "replica.socket.receive.buffer.bytes",
        fetch_bytes_max: i32 = "replica.fetch.max.bytes",
        fetch_response_bytes_max: i32 = "replica.fetch.response.max.bytes",
        fetch_bytes_min: i32 = "replica.fetch.min.bytes",
        fetch_wait_ms_max: i32 = "replica.fetch.wait.max.ms",
        fetch_backoff_ms: i32 = "replica.fetch.backoff.ms",
        fetchers: i32 = "num.replica.fetchers",
        quota_samples: i32 = "replication.quota.window.num",
        quota_sample_s: i32 = "replication.quota.window.size.seconds",
        movers: Option<i32> = "num.replica.alter.log.dirs.threads",
        move_quota_samples: i32 = "alter.log.dirs.replication.quota.window.num",
        move_quota_sample_s: i32 = "alter.log.dirs.replication.quota.window.size.seconds",
        request_timeout_ms: i32 = "request.timeout.ms",
        controller_socket_timeout_ms: i32 = "controller.socket.timeout.ms",
        connection_setup_timeout_ms: i64 = "socket.connection.setup.timeout.ms",
        connection_setup_timeout_ms_max: i64 = "socket.connection.setup.timeout.max.ms",
        auto_rebalance_leaders: bool = "auto.leader.rebalance.enable",
        leader_imbalance_percent: i32 = "leader.imbalance.per.broker.percentage",
        leader_imbalance_check_interval_s: i64 = "leader.imbalance.check.interval.seconds",
        controlled_shutdown: bool = "controlled.shutdown.enable",
        controlled_shutdown_retries_max: i32 = "controlled.shutdown.max.retries",
        controlled_shutdown_backoff_ms: i64 = "controlled.shutdown.retry.backoff.ms",
    }

    /// Group members.
    Groups {
        session_timeout_ms_min: i32 = "group.min.session.timeout.ms",
        session_timeout_ms_max: i32 = "group.max.session.timeout.ms",
        initial_rebalance_delay_ms: i32 = "group.initial.rebalance.delay.ms",
        members_max: i32 = "group.max.size",
    }

    /// Committed offsets and their topic.
    Offsets {
        metadata_bytes_max: i32 = "offset.metadata.max.bytes",
        load_buffer_bytes: i32 = "offsets.load.buffer.size",
        topic_replication_factor: i16 = "offsets.topic.replication.factor",
        topic_partitions: i32 = "offsets.topic.num.partitions",
        topic_segment_bytes: i32 = "offsets.topic.segment.bytes",
        topic_compression_codec: i32 = "offsets.topic.compression.codec",
        retention_minutes: i32 = "offsets.retention.minutes",
        retention_check_interval_ms: i64 = "offsets.retention.check.interval.ms",
        commit_timeout_ms: i32 = "offsets.commit.timeout.ms",
        commit_required_acks: i16 = "offsets.commit.required.acks",
    }

    /// Transactions and their topic.
    Transactions {
        timeout_ms_max: i32 = "transaction.max.timeout.ms",
        topic_min_in_sync_replicas: i32 = "transaction.state.log.min.isr",
        topic_load_buffer_bytes: i32 = "transaction.state.log.load.buffer.size",
        topic_replication_factor: i16 = "transaction.state.log.replication.factor",
        topic_partitions: i32 = "transaction.state.log.num.partitions",
        topic_segment_bytes: i32 = "transaction.state.log.segment.bytes",
        abort_timed_out_interval_ms: i32 = "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        remove_expired_interval_ms: i32 = "transaction.remove.expired.transaction.cleanup.interval.ms",
    }

    /// Fetches.
    Fetches {
        sessions_max: i32 = "max.incremental.fetch.session.cache.slots",
        reply_bytes_max: i32 = "fetch.max.bytes",
    }
}

/// Limits of the connections to one listener: those with its prefix, or else the broker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// `max.connections`: at the same time.
    pub connections_max: i32,
    /// `max.connection.creation.rate`: new ones in a second.
    pub per_second_max: i32,
}

impl ListenerLimits {
    /// Those of a listener that nobody limits.
    pub const NONE: Self = Self { connections_max: i32::MAX, per_second_max: i32::MAX };

    fn resolve(listener: &str, values: &Values, originals: &Properties) -> Result<Self, ConfigError> {
        let prefix = format!("listener.name.{}.", listener.to_lowercase());
        let number = |name: &str| match (keys::find(name), originals.get(&format!("{prefix}{name}"))) {
            (Some(key), Some(text)) => key.parse(text).map(|value| i32::from_value(&value).unwrap_or(i32::MAX)),
            _ => Ok(values.get(name)),
        };
        let connections_max = number("max.connections")?;
        Ok(Self { connections_max, per_second_max: number("max.connection.creation.rate")? })
    }
}

/// What a broker runs by: one snapshot, replaced as a whole when a dynamic value changes.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerSettings {
    /// `broker.id`; none: read it from `meta.properties` or let ZooKeeper generate it.
    pub broker_id: Option<i32>,
    /// `reserved.broker.max.id`: generated ids begin above it.
    pub reserved_broker_id_max: i32,
    /// `broker.id.generation.enable`
    pub broker_id_generation: bool,
    /// `broker.rack`
    pub rack: Option<String>,
    /// `log.dirs`, or `log.dir`; one at least.
    pub log_dirs: Vec<String>,
    /// Where to listen, what to advertise.
    pub listeners: Listeners,
    /// `max.connections.per.ip.overrides`: host to count.
    pub connections_per_ip_overrides: BTreeMap<String, i32>,
    /// Limits of each listener, by its name.
    pub listener_limits: BTreeMap<String, ListenerLimits>,
    /// `inter.broker.protocol.version`
    pub inter_broker_protocol: ApiVersion,
    /// What a topic has that sets nothing for itself.
    pub topic_defaults: TopicDefaults,
    /// The same as settings.
    pub topic: TopicSettings,
    /// How ZooKeeper is reached.
    pub zookeeper: ZooKeeperClient,
    /// `zookeeper.ssl.*`: TLS with ZooKeeper, if it is spoken.
    pub zookeeper_tls: Option<TlsSettings>,
    /// `jackdaw.guardian.enable`: a process beside the broker notices its end.
    pub guardian: bool,
    /// Connections and requests.
    pub network: Network,
    /// Logs as a whole.
    pub logs: Logs,
    /// Topics as a whole.
    pub topics: Topics,
    /// Replicas and leaders.
    pub replication: Replication,
    /// Group members.
    pub groups: Groups,
    /// Committed offsets.
    pub offsets: Offsets,
    /// Transactions.
    pub transactions: Transactions,
    /// Fetches.
    pub fetches: Fetches,
    /// Every value by its key.
    pub values: Values,
}

impl BrokerSettings {
    /// Resolves and checks (`new KafkaConfig(props)`), in the original's order.
    pub(super) fn resolve(originals: &Properties) -> Result<Self, ConfigError> {
        let values = Values::read(originals)?;
        let connections_per_ip_overrides = connections_per_ip_overrides(&values)?;
        let log_dirs = values.get::<Option<String>>("log.dirs").unwrap_or_else(|| values.get("log.dir"));
        let log_dirs: Vec<String> =
            log_dirs.split(',').map(str::trim).filter(|folder| !folder.is_empty()).map(str::to_owned).collect();
        let codec = values.get::<i32>("offsets.topic.compression.codec");
        if !(0..=4).contains(&codec) {
            return Err(ConfigError::config(format!("{codec} is an unknown compression codec")));
        }
        let topic_defaults = TopicDefaults::from_broker(&values);
        super::check::before_listeners(&values, &log_dirs)?;
        let listeners = Listeners::resolve(&values, originals)?;
        listeners.check()?;
        super::check::after_listeners(&values, &listeners)?;
        check_hosts(&values, &connections_per_ip_overrides)?;
        super::check::idle(&values)?;
        let limits = |listener: &String| {
            ListenerLimits::resolve(listener, &values, originals).map(|limits| (listener.clone(), limits))
        };
        let names = listeners.listeners.iter().map(|endpoint| &endpoint.listener);
        let listener_limits = names.map(limits).collect::<Result<_, _>>()?;
        Ok(Self {
            broker_id: Some(values.get("broker.id")).filter(|id| *id >= 0),
            reserved_broker_id_max: values.get("reserved.broker.max.id"),
            broker_id_generation: values.get("broker.id.generation.enable"),
            rack: values.get("broker.rack"),
            log_dirs,
            listeners,
            listener_limits,
            connections_per_ip_overrides,
            inter_broker_protocol: version(&values, "inter.broker.protocol.version"),
            topic: topic_defaults.settings()?,
            topic_defaults,
            zookeeper: ZooKeeperClient::read(&values),
            zookeeper_tls: TlsSettings::of_kafka(&|name| originals.get(name).map(|text| text.trim().to_owned()))
                .map_err(ConfigError::config)?,
            guardian: ours(originals, "jackdaw.guardian.enable")?,
            network: Network::read(&values),
            logs: Logs::read(&values),
            topics: Topics::read(&values),
            replication: Replication::read(&values),
            groups: Groups::read(&values),
            offsets: Offsets::read(&values),
            transactions: Transactions::read(&values),
            fetches: Fetches::read(&values),
            values,
        })
    }
}

/// The value of a key of ours, which stands outside of the original's values.
fn ours<T: FromValue>(originals: &Properties, name: &str) -> Result<T, ConfigError> {
    let key = keys::find(name).expect("the registry has the keys that are asked for here");
    let value = originals.get(name).map_or_else(|| key.default_value(), |text| key.parse(text))?;
    Ok(T::from_value(&value).expect("the registry has this key with this type"))
}

/// A version that the registry has checked.
pub(super) fn version(values: &Values, key: &str) -> ApiVersion {
    ApiVersion::parse(&values.get::<String>(key)).expect("the registry checks versions")
}

fn connections_per_ip_overrides(values: &Values) -> Result<BTreeMap<String, i32>, ConfigError> {
    const KEY: &str = "max.connections.per.ip.overrides";
    let pairs = parse_map(KEY, &values.get::<String>(KEY))?;
    let number = |(host, count): (String, String)| match count.parse() {
        Ok(number) => Ok((host, number)),
        Err(_) => {
            let message = format!("For input string: \"{count}\"");
            Err(ConfigError::new(ErrorKind::IllegalArgument, message)
                .hint(format!(" (in {KEY}){}", comment_hint(&count))))
        }
    };
    pairs.into_iter().map(number).collect()
}

fn check_hosts(values: &Values, overrides: &BTreeMap<String, i32>) -> Result<(), ConfigError> {
    const KEY: &str = "max.connections.per.ip.overrides";
    if values.get::<i32>("max.connections.per.ip") == 0 && overrides.is_empty() {
        return Err(ConfigError::requirement(format_args!(
            "max.connections.per.ip can be set to zero only if {KEY} property is set."
        )));
    }
    let bad: Vec<_> = overrides.keys().filter(|host| !is_host_pattern(host)).map(String::as_str).collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(ConfigError::new(ErrorKind::IllegalArgument, format!("{KEY} contains invalid addresses : {}", bad.join(","))))
}
