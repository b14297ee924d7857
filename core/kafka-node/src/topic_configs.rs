//! What topics set for themselves, and what their logs live by (upstream: `TopicConfigHandler`, `LogConfig`).

use std::collections::BTreeMap;

use config::broker::ConfigEntry;
use config::topic::{Compression, TimestampType};
use config::{BrokerConfig, ErrorKind, TopicSettings};
use kafka_control::znode::EntityConfig;
use kafka_log::LogConfig;
use kafka_proto::ErrorCode;
use parking_lot::RwLock;

use crate::broker::Broker;
use crate::metadata::{GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC};
use crate::topics::TopicError;

/// What is set for each topic, as far as anything is.
#[derive(Default)]
pub(crate) struct TopicOverrides(RwLock<BTreeMap<String, BTreeMap<String, String>>>);

impl Broker {
    /// The settings of a topic's logs.
    pub(crate) fn log_config_of(&self, topic: &str) -> LogConfig {
        let overrides = self.topic_overrides.0.read();
        let empty = BTreeMap::new();
        resolve(&self.config(), topic, overrides.get(topic).unwrap_or(&empty))
    }

    /// Takes what ZooKeeper holds for a topic; its log, if there is one, follows.
    pub(crate) fn set_topic_overrides(&self, topic: &str, stored: EntityConfig) -> LogConfig {
        let resolved = resolve(&self.config(), topic, &stored.0);
        self.throttles.set_replicas(topic, &stored.0, self.id());
        let mut overrides = self.topic_overrides.0.write();
        if stored.0.is_empty() {
            overrides.remove(topic);
        } else {
            overrides.insert(topic.to_owned(), stored.0);
        }
        drop(overrides);
        for log in self.logs().into_iter().flat_map(kafka_log::LogManager::all_logs) {
            if log.partition().topic == topic {
                log.set_config(resolved.clone());
            }
        }
        resolved
    }

    /// The broker's own values changed: every log follows, under what its topic sets for itself.
    pub(crate) fn topic_defaults_changed(&self) {
        for log in self.logs().into_iter().flat_map(kafka_log::LogManager::all_logs) {
            log.set_config(self.log_config_of(&log.partition().topic));
        }
    }

    /// Forgets a topic that was deleted.
    pub(crate) fn forget_topic_overrides(&self, topic: &str) {
        self.topic_overrides.0.write().remove(topic);
        self.throttles.set_replicas(topic, &BTreeMap::new(), self.id());
    }

    /// Checks what a client wants to set for a topic.
    pub(crate) fn check_topic_configs(&self, overrides: &BTreeMap<String, String>) -> Result<(), TopicError> {
        let checked = TopicSettings::validate(overrides);
        checked.map_err(|error| TopicError::new(ErrorCode::INVALID_CONFIG, error.to_string()))
    }

    /// All settings of a topic with these overrides, as DescribeConfigs tells them.
    pub(crate) fn describe_topic_configs(&self, overrides: &BTreeMap<String, String>) -> Vec<ConfigEntry> {
        self.config().describe_topic(overrides).unwrap_or_default()
    }

    /// What the topics of groups and transactions are made with.
    pub(crate) fn internal_topic_configs(&self, topic: &str) -> BTreeMap<String, String> {
        let settings = self.settings();
        let mut configs = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
        let mut set = |key: &str, value: String| configs.insert(key.to_owned(), value);
        match topic {
            GROUP_METADATA_TOPIC => {
                set("segment.bytes", settings.offsets.topic_segment_bytes.to_string());
                set("compression.type", "producer".to_owned());
            }
            TRANSACTION_STATE_TOPIC => {
                set("unclean.leader.election.enable", "false".to_owned());
                set("compression.type", "uncompressed".to_owned());
                set("min.insync.replicas", settings.transactions.topic_min_in_sync_replicas.to_string());
                set("segment.bytes", settings.transactions.topic_segment_bytes.to_string());
            }
            _ => {}
        }
        configs
    }
}

/// What a topic's logs live by; an override that is wrong in ZooKeeper is left out, for a broker must not die of it.
fn resolve(config: &BrokerConfig, topic: &str, overrides: &BTreeMap<String, String>) -> LogConfig {
    let settings = config.settings();
    let resolved = TopicSettings::resolve(&settings.topic_defaults, overrides);
    log_config(&resolved.unwrap_or_else(|error| {
        let kind: ErrorKind = error.kind();
        tracing::error!(target: "kafka.log.LogConfig", "config of topic {topic} is ignored, {kind:?}: {error}");
        settings.topic.clone()
    }))
}

fn log_config(settings: &TopicSettings) -> LogConfig {
    let bytes = |value: i32| u32::try_from(value).unwrap_or(0);
    LogConfig {
        segment_bytes: bytes(settings.segment_bytes),
        segment_ms: settings.segment_ms,
        segment_jitter_ms: settings.segment_jitter_ms,
        segment_index_bytes: bytes(settings.index_bytes_max),
        flush_messages: settings.flush_messages,
        flush_ms: settings.flush_ms,
        retention_bytes: settings.retention_bytes,
        retention_ms: settings.retention_ms,
        message_bytes_max: bytes(settings.message_bytes_max),
        index_interval_bytes: bytes(settings.index_interval_bytes),
        file_delete_delay_ms: settings.file_delete_delay_ms,
        cleanup_delete: settings.delete,
        cleanup_compact: settings.compact,
        delete_retention_ms: settings.delete_retention_ms,
        compaction_lag_ms_min: settings.compaction_lag_ms_min,
        compaction_lag_ms_max: settings.compaction_lag_ms_max,
        cleanable_dirty_ratio_min: settings.cleanable_ratio_min,
        preallocate: settings.preallocate,
        message_magic: settings.message_format.record_version(),
        log_append_time: settings.timestamp_type == TimestampType::LogAppendTime,
        timestamp_difference_ms_max: settings.timestamp_difference_ms_max,
        compression: codec(settings.compression),
        unclean_leader_election: settings.unclean_leader_election,
        insync_replicas_min: bytes(settings.in_sync_replicas_min),
        message_downconversion: settings.down_conversion,
    }
}

/// The codec's number in a batch; `None` keeps the producer's.
const fn codec(compression: Compression) -> Option<u8> {
    match compression {
        Compression::Producer => None,
        Compression::Uncompressed => Some(0),
        Compression::Gzip => Some(1),
        Compression::Snappy => Some(2),
        Compression::Lz4 => Some(3),
        Compression::Zstd => Some(4),
    }
}
