//! Settings of clients, from the property keys of the Java clients (`ProducerConfig`, `ConsumerConfig`,
//! `AdminClientConfig` of 2.7.1). Unknown keys warn, as there; keys of JVM matters are accepted without effect; what needs
//! TLS or SASL is refused until those exist, rather than talked in the clear.

use std::fmt::Display;
use std::str::FromStr;

use base::Str;
use kafka_proto::record::Codec;

use crate::assignor::Strategy;

/// What every client needs.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// `bootstrap.servers`: addresses to find the first broker at.
    pub bootstrap: Vec<(Str, u16)>,
    /// `client.id`.
    pub client_id: Str,
    /// In front of each warning, as `[Producer clientId=console-producer] `.
    pub log_prefix: String,
    /// `request.timeout.ms`.
    pub request_timeout_ms: u64,
    /// `socket.connection.setup.timeout.ms`.
    pub connect_timeout_ms: u64,
    /// `reconnect.backoff.ms`.
    pub reconnect_backoff_ms: u64,
    /// `reconnect.backoff.max.ms`.
    pub reconnect_backoff_max_ms: u64,
    /// `retry.backoff.ms`.
    pub retry_backoff_ms: u64,
    /// `metadata.max.age.ms`.
    pub metadata_max_age_ms: u64,
    /// `max.in.flight.requests.per.connection`.
    pub in_flight_max: usize,
    /// `allow.auto.create.topics`.
    pub allow_auto_create: bool,
}

/// Settings of a producer.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// Connections.
    pub network: NetworkConfig,
    /// `acks`: 0, 1 or -1 for `all`.
    pub acks: i16,
    /// `batch.size` in bytes.
    pub batch_bytes: usize,
    /// `linger.ms`.
    pub linger_ms: u64,
    /// `compression.type`.
    pub codec: Codec,
    /// `retries`.
    pub retries: u32,
    /// `delivery.timeout.ms`.
    pub delivery_timeout_ms: u64,
    /// `max.request.size` in bytes.
    pub request_bytes_max: usize,
    /// `buffer.memory` in bytes.
    pub buffer_bytes: usize,
    /// `max.block.ms`.
    pub block_ms_max: u64,
    /// `enable.idempotence`.
    pub idempotent: bool,
    /// `partitioner.class`.
    pub partitioner: crate::partitioner::Kind,
}

/// Where a consumer starts without a committed offset: `auto.offset.reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    /// At the first record there is.
    Earliest,
    /// Behind the last record.
    Latest,
    /// Nowhere: an error.
    None,
}

/// Settings of a consumer.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// Connections.
    pub network: NetworkConfig,
    /// `group.id`.
    pub group_id: Option<Str>,
    /// `group.instance.id`: makes the member static.
    pub group_instance_id: Option<Str>,
    /// `session.timeout.ms`.
    pub session_timeout_ms: u64,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval_ms: u64,
    /// `max.poll.interval.ms`.
    pub poll_interval_ms_max: u64,
    /// `max.poll.records`.
    pub poll_records_max: usize,
    /// `partition.assignment.strategy`.
    pub strategies: Vec<Strategy>,
    /// `enable.auto.commit`.
    pub auto_commit: bool,
    /// `auto.commit.interval.ms`.
    pub auto_commit_interval_ms: u64,
    /// `auto.offset.reset`.
    pub offset_reset: OffsetReset,
    /// `isolation.level`: 0 `read_uncommitted`, 1 `read_committed`.
    pub isolation_level: i8,
    /// `fetch.min.bytes`.
    pub fetch_bytes_min: i32,
    /// `fetch.max.bytes`.
    pub fetch_bytes_max: i32,
    /// `fetch.max.wait.ms`.
    pub fetch_wait_ms_max: i32,
    /// `max.partition.fetch.bytes`.
    pub partition_bytes_max: i32,
    /// `check.crcs`.
    pub check_crcs: bool,
    /// `exclude.internal.topics`.
    pub exclude_internal: bool,
    /// `client.rack`.
    pub rack: Str,
    /// `default.api.timeout.ms`.
    pub api_timeout_ms: u64,
}

/// Why properties are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// Properties that are being read: each key once, and what is left at the end is unknown.
struct Keys {
    entries: Vec<(String, String)>,
    warnings: Vec<String>,
}

/// Keys that have no meaning without a JVM, or are for the user's classes. They are accepted without effect.
const ACCEPTED: [&str; 18] = [
    "key.serializer",
    "value.serializer",
    "key.deserializer",
    "value.deserializer",
    "interceptor.classes",
    "metric.reporters",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
    "send.buffer.bytes",
    "receive.buffer.bytes",
    "client.dns.lookup",
    "connections.max.idle.ms",
    "security.providers",
    "metadata.max.idle.ms",
    "socket.connection.setup.timeout.max.ms",
    "internal.leave.group.on.close",
    "internal.throw.on.fetch.stable.offset.unsupported",
];

impl Keys {
    fn new<'a>(properties: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let entries = properties.into_iter().map(|(key, value)| (key.to_owned(), value.trim().to_owned()));
        Self { entries: entries.collect(), warnings: Vec::new() }
    }

    /// The last value of a key, as later properties go over earlier ones.
    fn text(&mut self, key: &str) -> Option<String> {
        let value = self.entries.iter().rfind(|(name, _)| name == key).map(|(_, value)| value.clone());
        self.entries.retain(|(name, _)| name != key);
        value
    }

    fn number<T: FromStr + PartialOrd + Display + Copy>(
        &mut self,
        key: &str,
        default: T,
        min: T,
    ) -> Result<T, ConfigError> {
        let Some(text) = self.text(key) else { return Ok(default) };
        let number: T = text.parse().map_err(|_| {
            ConfigError(format!(
                "Invalid value {text} for configuration {key}: Not a number of type {}",
                type_name::<T>()
            ))
        })?;
        if number < min {
            return Err(ConfigError(format!(
                "Invalid value {text} for configuration {key}: Value must be at least {min}"
            )));
        }
        Ok(number)
    }

    fn flag(&mut self, key: &str, default: bool) -> Result<bool, ConfigError> {
        match self.text(key).map(|text| text.to_ascii_lowercase()).as_deref() {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(text) => Err(ConfigError(format!(
                "Invalid value {text} for configuration {key}: Expected value to be either true or false"
            ))),
        }
    }

    /// A value of a list, by name.
    fn choice<T: Copy>(&mut self, key: &str, default: T, choices: &[(&str, T)]) -> Result<T, ConfigError> {
        let Some(text) = self.text(key) else { return Ok(default) };
        let known = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        known.ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            ConfigError(format!(
                "Invalid value {text} for configuration {key}: String must be one of: {}",
                names.join(", ")
            ))
        })
    }

    fn network(
        &mut self,
        kind: &str,
        client_id_default: &str,
        in_flight_max: usize,
    ) -> Result<NetworkConfig, ConfigError> {
        self.refuse_security()?;
        let bootstrap = self.text("bootstrap.servers").unwrap_or_default();
        let client_id =
            self.text("client.id").filter(|id| !id.is_empty()).unwrap_or_else(|| client_id_default.to_owned());
        Ok(NetworkConfig {
            bootstrap: parse_bootstrap(&bootstrap)?,
            log_prefix: format!("[{kind} clientId={client_id}] "),
            client_id: client_id.into(),
            request_timeout_ms: self.number("request.timeout.ms", 30_000, 0)?,
            connect_timeout_ms: self.number("socket.connection.setup.timeout.ms", 10_000, 0)?,
            reconnect_backoff_ms: self.number("reconnect.backoff.ms", 50, 0)?,
            reconnect_backoff_max_ms: self.number("reconnect.backoff.max.ms", 1_000, 0)?,
            retry_backoff_ms: self.number("retry.backoff.ms", 100, 0)?,
            metadata_max_age_ms: self.number("metadata.max.age.ms", 300_000, 0)?,
            in_flight_max: self.number("max.in.flight.requests.per.connection", in_flight_max, 1)?,
            allow_auto_create: self.flag("allow.auto.create.topics", true)?,
        })
    }

    /// What asks for a protection that we can't give yet is an error, never dropped.
    fn refuse_security(&mut self) -> Result<(), ConfigError> {
        match self.text("security.protocol").as_deref() {
            None | Some("PLAINTEXT") => {}
            Some(protocol) => {
                return Err(ConfigError(format!("security.protocol {protocol} is not supported yet: use PLAINTEXT")));
            }
        }
        // Without such a protocol these have no effect in the original either.
        self.entries.retain(|(key, _)| !key.starts_with("ssl.") && !key.starts_with("sasl."));
        Ok(())
    }

    /// The unknown keys, as warnings in the original's words.
    fn finish(mut self) -> Vec<String> {
        for (key, _) in self.entries.iter().filter(|(key, _)| !ACCEPTED.contains(&key.as_str())) {
            self.warnings.push(format!("The configuration '{key}' was supplied but isn't a known config."));
        }
        self.warnings
    }
}

fn type_name<T>() -> &'static str {
    match size_of::<T>() {
        4 => "INT",
        _ => "LONG",
    }
}

/// Addresses of a list `host:port,host:port`.
pub fn parse_bootstrap(list: &str) -> Result<Vec<(Str, u16)>, ConfigError> {
    let invalid = |url: &str| ConfigError(format!("Invalid url in bootstrap.servers: {url}"));
    let urls = list.split(',').map(str::trim).filter(|url| !url.is_empty());
    let addresses: Result<Vec<_>, _> = urls
        .map(|url| {
            let (host, port) = url.rsplit_once(':').ok_or_else(|| invalid(url))?;
            let host = host.rsplit_once("//").map_or(host, |(_, host)| host);
            let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            let port = port.parse().map_err(|_| invalid(url))?;
            if host.is_empty() { Err(invalid(url)) } else { Ok((Str::copied(host), port)) }
        })
        .collect();
    match addresses {
        Ok(addresses) if addresses.is_empty() => {
            Err(ConfigError("No resolvable bootstrap urls given in bootstrap.servers".to_owned()))
        }
        other => other,
    }
}

impl ProducerConfig {
    /// Settings and warnings of properties; later entries go over earlier ones.
    pub fn new<'a>(
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(Self, Vec<String>), ConfigError> {
        let mut keys = Keys::new(properties);
        if let Some(id) = keys.text("transactional.id").filter(|id| !id.is_empty()) {
            let why = "transactions are not served yet: remove the key, or use the original tool";
            return Err(ConfigError(format!("transactional.id={id}: {why}")));
        }
        keys.text("transaction.timeout.ms");
        let idempotent = keys.flag("enable.idempotence", false)?;
        let acks_given = keys.text("acks");
        let acks = match acks_given.as_deref() {
            None if idempotent => -1,
            None | Some("1") => 1,
            Some("all" | "-1") => -1,
            Some("0") => 0,
            Some(other) => {
                return Err(ConfigError(format!(
                    "Invalid value {other} for configuration acks: String must be one of: all, -1, 0, 1"
                )));
            }
        };
        if idempotent && acks != -1 {
            return Err(ConfigError("Must set acks to all in order to use the idempotent producer.".to_owned()));
        }
        let codecs = Codec::ALL.map(|codec| (codec.name(), codec));
        let config = Self {
            network: keys.network("Producer", "producer-1", 5)?,
            acks,
            batch_bytes: keys.number("batch.size", 16_384, 0)?,
            linger_ms: keys.number("linger.ms", 0, 0)?,
            codec: keys.choice("compression.type", Codec::None, &codecs)?,
            retries: keys.number("retries", i32::MAX as u32, 0)?,
            delivery_timeout_ms: keys.number("delivery.timeout.ms", 120_000, 0)?,
            request_bytes_max: keys.number("max.request.size", 1_048_576, 0)?,
            buffer_bytes: keys.number("buffer.memory", 33_554_432, 0)?,
            block_ms_max: keys.number("max.block.ms", 60_000, 0)?,
            idempotent,
            partitioner: crate::partitioner::Kind::from_class(keys.text("partitioner.class").as_deref())?,
        };
        if config.delivery_timeout_ms < config.linger_ms + config.network.request_timeout_ms {
            return Err(ConfigError(
                "delivery.timeout.ms should be equal to or larger than linger.ms + request.timeout.ms".to_owned(),
            ));
        }
        Ok((config, keys.finish()))
    }
}

impl ConsumerConfig {
    /// Settings and warnings of properties; later entries go over earlier ones.
    pub fn new<'a>(
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(Self, Vec<String>), ConfigError> {
        let mut keys = Keys::new(properties);
        let group_id = keys.text("group.id").filter(|id| !id.is_empty());
        let instance_id = keys.text("group.instance.id").filter(|id| !id.is_empty());
        let default_id =
            format!("consumer-{}-{}", group_id.as_deref().unwrap_or("null"), instance_id.as_deref().unwrap_or("1"));
        let strategies = keys.text("partition.assignment.strategy");
        let auto_commit = keys.flag("enable.auto.commit", group_id.is_some())?;
        if auto_commit && group_id.is_none() {
            return Err(ConfigError(
                "enable.auto.commit cannot be set to true when default group id (null) is used.".to_owned(),
            ));
        }
        let mut config = Self {
            network: keys.network("Consumer", &default_id, 100)?,
            group_id: group_id.as_deref().map(Str::copied),
            group_instance_id: instance_id.map(Str::from),
            session_timeout_ms: keys.number("session.timeout.ms", 10_000, 1)?,
            heartbeat_interval_ms: keys.number("heartbeat.interval.ms", 3_000, 1)?,
            poll_interval_ms_max: keys.number("max.poll.interval.ms", 300_000, 1)?,
            poll_records_max: keys.number("max.poll.records", 500, 1)?,
            strategies: Strategy::from_classes(strategies.as_deref())?,
            auto_commit,
            auto_commit_interval_ms: keys.number("auto.commit.interval.ms", 5_000, 0)?,
            offset_reset: keys.choice(
                "auto.offset.reset",
                OffsetReset::Latest,
                &[("latest", OffsetReset::Latest), ("earliest", OffsetReset::Earliest), ("none", OffsetReset::None)],
            )?,
            isolation_level: keys.choice("isolation.level", 0, &[("read_committed", 1), ("read_uncommitted", 0)])?,
            fetch_bytes_min: keys.number("fetch.min.bytes", 1, 0)?,
            fetch_bytes_max: keys.number("fetch.max.bytes", 52_428_800, 0)?,
            fetch_wait_ms_max: keys.number("fetch.max.wait.ms", 500, 0)?,
            partition_bytes_max: keys.number("max.partition.fetch.bytes", 1_048_576, 0)?,
            check_crcs: keys.flag("check.crcs", true)?,
            exclude_internal: keys.flag("exclude.internal.topics", true)?,
            rack: keys.text("client.rack").unwrap_or_default().into(),
            api_timeout_ms: keys.number("default.api.timeout.ms", 60_000, 0)?,
        };
        if let Some(group) = &config.group_id {
            config.network.log_prefix = format!("[Consumer clientId={}, groupId={group}] ", config.network.client_id);
        }
        Ok((config, keys.finish()))
    }
}

/// Settings of an admin client.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// Connections.
    pub network: NetworkConfig,
    /// `retries`.
    pub retries: u32,
    /// `default.api.timeout.ms`.
    pub api_timeout_ms: u64,
}

impl AdminConfig {
    /// Settings and warnings of properties; later entries go over earlier ones.
    pub fn new<'a>(
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(Self, Vec<String>), ConfigError> {
        let mut keys = Keys::new(properties);
        let mut network = keys.network("AdminClient", "adminclient-1", 100)?;
        network.allow_auto_create = false;
        let config = Self {
            network,
            retries: keys.number("retries", i32::MAX as u32, 0)?,
            api_timeout_ms: keys.number("default.api.timeout.ms", 60_000, 0)?,
        };
        Ok((config, keys.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producer_defaults_and_rules() {
        let (config, warnings) =
            ProducerConfig::new([("bootstrap.servers", "a:1, [::1]:2,PLAINTEXT://c:3"), ("foo", "1")]).unwrap();
        let hosts: Vec<_> = config.network.bootstrap.iter().map(|(host, port)| (&**host, *port)).collect();
        assert_eq!(hosts, [("a", 1), ("::1", 2), ("c", 3)]);
        assert_eq!((config.acks, config.batch_bytes, config.retries), (1, 16_384, 2_147_483_647));
        assert_eq!(warnings, ["The configuration 'foo' was supplied but isn't a known config."]);
        let base = ("bootstrap.servers", "a:1");
        assert!(ProducerConfig::new([base, ("acks", "1"), ("enable.idempotence", "true")]).is_err());
        assert_eq!(ProducerConfig::new([base, ("enable.idempotence", "true")]).unwrap().0.acks, -1);
        assert_eq!(ProducerConfig::new([base, ("acks", "0"), ("acks", "all")]).unwrap().0.acks, -1);
        assert!(ProducerConfig::new([base, ("security.protocol", "SSL")]).is_err());
        assert!(ProducerConfig::new([base, ("linger.ms", "-1")]).is_err());
        assert!(ProducerConfig::new([base, ("compression.type", "lzma")]).is_err());
        assert!(ProducerConfig::new([("bootstrap.servers", "")]).is_err());
        assert!(ProducerConfig::new([("bootstrap.servers", "nocolon")]).is_err());
    }

    #[test]
    fn consumer_defaults_and_rules() {
        let base = ("bootstrap.servers", "a:1");
        let (config, _) = ConsumerConfig::new([base, ("group.id", "g")]).unwrap();
        assert!(config.auto_commit);
        assert_eq!(&*config.network.client_id, "consumer-g-1");
        let (config, _) = ConsumerConfig::new([base, ("group.id", "g"), ("group.instance.id", "i")]).unwrap();
        assert_eq!(&*config.network.client_id, "consumer-g-i");
        assert_eq!(config.strategies, [Strategy::Range]);
        assert!(!ConsumerConfig::new([base]).unwrap().0.auto_commit);
        assert!(ConsumerConfig::new([base, ("enable.auto.commit", "true")]).is_err());
        assert!(ConsumerConfig::new([base, ("auto.offset.reset", "newest")]).is_err());
    }
}
