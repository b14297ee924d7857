//! A topic's configuration: 26 keys, whose defaults are the broker's (`kafka.log.LogConfig` of 2.7.1).

mod keys;

use std::collections::BTreeMap;

use crate::broker::{Times, Values};
use crate::error::{ConfigError, ErrorKind};
use crate::key::Key;
use crate::value::{FromValue, Value};
use crate::version::ApiVersion;

/// All keys that a topic may set.
#[must_use]
pub fn all() -> &'static [Key] {
    keys::KEYS
}

/// The entry of a topic's key.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    keys::KEYS.iter().find(|key| key.name == name)
}

/// What a topic's logs live by.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicSettings {
    /// `segment.bytes`
    pub segment_bytes: i32,
    /// `segment.ms`
    pub segment_ms: i64,
    /// `segment.jitter.ms`
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`
    pub index_bytes_max: i32,
    /// `index.interval.bytes`
    pub index_interval_bytes: i32,
    /// `flush.messages`
    pub flush_messages: i64,
    /// `flush.ms`
    pub flush_ms: i64,
    /// `retention.bytes`; negative: no limit.
    pub retention_bytes: i64,
    /// `retention.ms`; -1: for ever.
    pub retention_ms: i64,
    /// `max.message.bytes`
    pub message_bytes_max: i32,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`
    pub compaction_lag_ms_min: i64,
    /// `max.compaction.lag.ms`
    pub compaction_lag_ms_max: i64,
    /// `file.delete.delay.ms`
    pub file_delete_delay_ms: i64,
    /// `min.cleanable.dirty.ratio`
    pub cleanable_ratio_min: f64,
    /// `cleanup.policy` has `compact`.
    pub compact: bool,
    /// `cleanup.policy` has `delete`.
    pub delete: bool,
    /// `unclean.leader.election.enable`
    pub unclean_leader_election: bool,
    /// `min.insync.replicas`
    pub in_sync_replicas_min: i32,
    /// `compression.type`
    pub compression: Compression,
    /// `preallocate`
    pub preallocate: bool,
    /// `message.format.version`
    pub message_format: ApiVersion,
    /// `message.timestamp.type`
    pub timestamp_type: TimestampType,
    /// `message.timestamp.difference.max.ms`
    pub timestamp_difference_ms_max: i64,
    /// `leader.replication.throttled.replicas`
    pub leader_throttled_replicas: Vec<String>,
    /// `follower.replication.throttled.replicas`
    pub follower_throttled_replicas: Vec<String>,
    /// `message.downconversion.enable`
    pub down_conversion: bool,
}

impl TopicSettings {
    /// The broker's defaults with a topic's overrides over them (`LogConfig.fromProps`). Unknown names pass: they may
    /// stand in ZooKeeper.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for the first ill-typed or forbidden value.
    pub fn resolve(defaults: &TopicDefaults, overrides: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        Ok(Self::of(&defaults.with(overrides)?))
    }

    /// Checks what a client wants to set (`LogConfig.validate`): names, values, and that the shortest compaction lag is
    /// not above the longest (counted from the registry's defaults, as in the original, not the broker's).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] or [`ErrorKind::Config`], in the original's words.
    pub fn validate(overrides: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        let invalid = |message: String| Err(ConfigError::new(ErrorKind::InvalidConfiguration, message));
        if let Some(name) = overrides.keys().find(|name| find(name).is_none()) {
            return invalid(format!("Unknown topic config name: {name}"));
        }
        let registry = keys::KEYS.iter().map(|key| Ok((key.name, key.default_value()?)));
        let settings =
            Self::of(&TopicDefaults { by_name: registry.collect::<Result<_, ConfigError>>()? }.with(overrides)?);
        let (min, max) = (settings.compaction_lag_ms_min, settings.compaction_lag_ms_max);
        if min > max {
            return invalid(format!(
                "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
            ));
        }
        Ok(())
    }

    /// Milliseconds after which a segment rolls: a compacted topic must not keep records from the cleaner for longer
    /// than `max.compaction.lag.ms`.
    #[must_use]
    pub fn segment_ms_max(&self) -> i64 {
        if self.compact && self.compaction_lag_ms_max > 0 {
            self.compaction_lag_ms_max.min(self.segment_ms)
        } else {
            self.segment_ms
        }
    }

    fn of(values: &BTreeMap<&'static str, Value>) -> Self {
        let read = Typed(values);
        let policy: Vec<String> = read.get("cleanup.policy");
        let has = |name: &str| policy.iter().any(|text| text.eq_ignore_ascii_case(name));
        Self {
            segment_bytes: read.get("segment.bytes"),
            segment_ms: read.get("segment.ms"),
            segment_jitter_ms: read.get("segment.jitter.ms"),
            index_bytes_max: read.get("segment.index.bytes"),
            index_interval_bytes: read.get("index.interval.bytes"),
            flush_messages: read.get("flush.messages"),
            flush_ms: read.get("flush.ms"),
            retention_bytes: read.get("retention.bytes"),
            retention_ms: read.get("retention.ms"),
            message_bytes_max: read.get("max.message.bytes"),
            delete_retention_ms: read.get("delete.retention.ms"),
            compaction_lag_ms_min: read.get("min.compaction.lag.ms"),
            compaction_lag_ms_max: read.get("max.compaction.lag.ms"),
            file_delete_delay_ms: read.get("file.delete.delay.ms"),
            cleanable_ratio_min: read.get("min.cleanable.dirty.ratio"),
            compact: has("compact"),
            delete: has("delete"),
            unclean_leader_election: read.get("unclean.leader.election.enable"),
            in_sync_replicas_min: read.get("min.insync.replicas"),
            compression: Compression::parse(&read.get::<String>("compression.type"))
                .expect("the registry or the broker checks it"),
            preallocate: read.get("preallocate"),
            message_format: ApiVersion::parse(&read.get::<String>("message.format.version"))
                .expect("the registry checks it"),
            timestamp_type: TimestampType::parse(&read.get::<String>("message.timestamp.type")),
            timestamp_difference_ms_max: read.get("message.timestamp.difference.max.ms"),
            leader_throttled_replicas: read.get("leader.replication.throttled.replicas"),
            follower_throttled_replicas: read.get("follower.replication.throttled.replicas"),
            down_conversion: read.get("message.downconversion.enable"),
        }
    }
}

/// What a topic has that sets nothing for itself: the broker's values under the topic's names
/// (`KafkaServer.copyKafkaConfigToLog`).
#[derive(Clone, Debug, PartialEq)]
pub struct TopicDefaults {
    by_name: BTreeMap<&'static str, Value>,
}

impl TopicDefaults {
    pub(crate) fn from_broker(values: &Values) -> Self {
        let times = Times::of(values);
        let of = |key: &'static Key| match key.name {
            "segment.ms" => Value::Long(times.roll_ms),
            "segment.jitter.ms" => Value::Long(times.roll_jitter_ms),
            "retention.ms" => Value::Long(times.retention_ms),
            "flush.ms" => Value::Long(times.flush_ms),
            "message.format.version" => full_version(values),
            _ => key
                .broker_synonym
                .and_then(|name| values.value(name))
                .cloned()
                .unwrap_or_else(|| Value::List(Vec::new())),
        };
        Self { by_name: keys::KEYS.iter().map(|key| (key.name, of(key))).collect() }
    }

    /// The defaults alone as settings.
    ///
    /// # Errors
    /// When the broker's own value breaks a topic's rule.
    pub(crate) fn settings(&self) -> Result<TopicSettings, ConfigError> {
        TopicSettings::resolve(self, &BTreeMap::new())
    }

    /// All values, with a topic's overrides read and checked over the defaults.
    pub(crate) fn with(
        &self,
        overrides: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<&'static str, Value>, ConfigError> {
        let mut values = self.by_name.clone();
        for key in keys::KEYS {
            if let Some(text) = overrides.get(key.name) {
                values.insert(key.name, key.parse(text)?);
            } else if let Some(value) = values.get(key.name) {
                key.check(value)?;
            }
        }
        Ok(values)
    }
}

fn full_version(values: &Values) -> Value {
    let text = values.value("log.message.format.version").and_then(Value::as_str).unwrap_or_default();
    Value::String(ApiVersion::parse(text).map_or_else(|_| text.to_owned(), |version| version.name().to_owned()))
}

/// `compression.type` of a topic or broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As the producer sent it.
    Producer,
    /// None.
    Uncompressed,
    /// gzip
    Gzip,
    /// snappy
    Snappy,
    /// lz4
    Lz4,
    /// zstd
    Zstd,
}

impl Compression {
    /// All names, in the order in which messages list them.
    pub const NAMES: [&str; 6] = ["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];

    /// Reads a name in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_lowercase().as_str() {
            "producer" => Self::Producer,
            "uncompressed" => Self::Uncompressed,
            "gzip" => Self::Gzip,
            "snappy" => Self::Snappy,
            "lz4" => Self::Lz4,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }
}

/// `message.timestamp.type`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's clock.
    CreateTime,
    /// The broker's clock.
    LogAppendTime,
}

impl TimestampType {
    fn parse(text: &str) -> Self {
        if text == "LogAppendTime" { Self::LogAppendTime } else { Self::CreateTime }
    }
}

/// Values of all topic keys, typed by the registry.
struct Typed<'a>(&'a BTreeMap<&'static str, Value>);

impl Typed<'_> {
    fn get<T: FromValue>(&self, name: &str) -> T {
        self.0.get(name).and_then(T::from_value).expect("every topic key has a value of its type")
    }
}

#[cfg(test)]
mod tests;
