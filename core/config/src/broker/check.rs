//! Rules over several keys: `KafkaConfig.validateValues`, in its order and words.

use super::listeners::Listeners;
use super::settings::version;
use super::values::Values;
use crate::error::ConfigError;
use crate::topic::Compression;
use crate::version::ApiVersion;

/// Fails with the original's `requirement failed: ...` unless `holds`.
fn require(holds: bool, message: &str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::requirement(message)) }
}

/// The rules that stand before those of listeners.
pub(super) fn before_listeners(values: &Values, log_dirs: &[String]) -> Result<(), ConfigError> {
    let int = |key: &str| values.get::<i32>(key);
    let long = |key: &str| values.get::<i64>(key);
    let id = int("broker.id");
    if values.get("broker.id.generation.enable") {
        let holds = (-1..=int("reserved.broker.max.id")).contains(&id);
        require(holds, "broker.id must be equal or greater than -1 and not greater than reserved.broker.max.id")?;
    } else {
        require(id >= 0, "broker.id must be equal or greater than 0")?;
    }
    let time = Times::of(values);
    require(time.roll_ms >= 1, "log.roll.ms must be equal or greater than 1")?;
    require(time.roll_jitter_ms >= 0, "log.roll.jitter.ms must be equal or greater than 0")?;
    let retention = time.retention_ms >= 1 || time.retention_ms == -1;
    require(retention, "log.retention.ms must be unlimited (-1) or, equal or greater than 1")?;
    require(!log_dirs.is_empty(), "At least one log directory must be defined via log.dirs or log.dir.")?;
    // The original divides by the number of threads; no threads are an ArithmeticException there.
    let per_thread = long("log.cleaner.dedupe.buffer.size").checked_div(i64::from(int("log.cleaner.threads")));
    let per_thread =
        per_thread.ok_or_else(|| ConfigError::config("/ by zero").hint(" (log.cleaner.threads must be at least 1)"))?;
    require(per_thread > 1024 * 1024, "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.")?;
    let wait = int("replica.fetch.wait.max.ms");
    require(
        wait <= int("replica.socket.timeout.ms"),
        "replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to prevent unnecessary socket timeouts",
    )?;
    require(
        i64::from(wait) <= long("replica.lag.time.max.ms"),
        "replica.fetch.wait.max.ms should always be less than or equal to replica.lag.time.max.ms to prevent frequent changes in ISR",
    )?;
    let acks = values.get::<i16>("offsets.commit.required.acks");
    require(
        (-1..=values.get::<i16>("offsets.topic.replication.factor")).contains(&acks),
        "offsets.commit.required.acks must be greater or equal -1 and less or equal to offsets.topic.replication.factor",
    )?;
    let compression = values.get::<String>("compression.type");
    match Compression::parse(&compression) {
        Some(_) => Ok(()),
        None => Err(ConfigError::requirement(format_args!(
            "compression.type : {compression} is not valid. Valid options are {}",
            Compression::NAMES.join(",")
        ))
        .hint(crate::properties::comment_hint(&compression))),
    }
}

/// The rules that stand behind those of listeners, up to those of connections.
pub(super) fn after_listeners(values: &Values, listeners: &Listeners) -> Result<(), ConfigError> {
    let protocol = version(values, "inter.broker.protocol.version");
    let format_text = values.get::<String>("log.message.format.version");
    let magic = version(values, "log.message.format.version").record_version();
    let message = format!(
        "log.message.format.version {format_text} can only be used when inter.broker.protocol.version is set to version {} or higher",
        ApiVersion::first_with(magic).short_name()
    );
    require(protocol.record_version() >= magic, &message)?;
    let zstd = values.get::<i32>("offsets.topic.compression.codec") == 4;
    // As the original: it compares record versions, so 0.11.0 is enough.
    require(
        !zstd || protocol.record_version() >= ApiVersion::V2_1_IV0.record_version(),
        "offsets.topic.compression.codec zstd can only be used when inter.broker.protocol.version is set to version 2.1 or higher",
    )?;
    let sasl = listeners.inter_broker_protocol.uses_sasl();
    let mechanism = values.get::<String>("sasl.mechanism.inter.broker.protocol");
    let message = format!(
        "Only GSSAPI mechanism is supported for inter-broker communication with SASL when inter.broker.protocol.version is set to {}",
        values.get::<String>("inter.broker.protocol.version")
    );
    require(!sasl || protocol >= ApiVersion::V0_10_0_IV1 || mechanism == "GSSAPI", &message)?;
    require(
        !sasl || values.get::<Vec<String>>("sasl.enabled.mechanisms").contains(&mechanism),
        "sasl.mechanism.inter.broker.protocol must be included in sasl.enabled.mechanisms when SASL is used for inter-broker communication",
    )?;
    let queued = values.get::<i64>("queued.max.request.bytes");
    require(
        queued <= 0 || queued >= i64::from(values.get::<i32>("socket.request.max.bytes")),
        "queued.max.request.bytes must be larger or equal to socket.request.max.bytes",
    )
}

/// The last rule.
pub(super) fn idle(values: &Values) -> Result<(), ConfigError> {
    let idle = values.get::<i64>("connections.max.idle.ms");
    let delay = values.get::<i32>("connection.failed.authentication.delay.ms");
    let message = format!(
        "connection.failed.authentication.delay.ms={delay} should always be less than connections.max.idle.ms={idle} to prevent failed authentication responses from timing out"
    );
    require(idle < 0 || i64::from(delay) < idle, &message)
}

/// Times that may be written in three units; the finer one is stronger.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) roll_ms: i64,
    pub(crate) roll_jitter_ms: i64,
    pub(crate) retention_ms: i64,
    pub(crate) flush_ms: i64,
}

impl Times {
    pub(crate) fn of(values: &Values) -> Self {
        const HOUR_MS: i64 = 3_600_000;
        let hours = |key: &str| i64::from(values.get::<i32>(key)) * HOUR_MS;
        let ms = |key: &str| values.get::<Option<i64>>(key);
        let minutes = values.get::<Option<i32>>("log.retention.minutes").map(|minutes| i64::from(minutes) * 60_000);
        let retention = ms("log.retention.ms").or(minutes).unwrap_or_else(|| hours("log.retention.hours"));
        Self {
            roll_ms: ms("log.roll.ms").unwrap_or_else(|| hours("log.roll.hours")),
            roll_jitter_ms: ms("log.roll.jitter.ms").unwrap_or_else(|| hours("log.roll.jitter.hours")),
            retention_ms: if retention < 0 { -1 } else { retention },
            flush_ms: ms("log.flush.interval.ms").unwrap_or_else(|| values.get("log.flush.scheduler.interval.ms")),
        }
    }
}
