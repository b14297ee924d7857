//! The process's loggers, told and changed by DescribeConfigs and IncrementalAlterConfigs (upstream: `Log4jController`; KIP-412).

use std::collections::BTreeMap;

use kafka_proto::ErrorCode;
use kafka_proto::messages::incremental_alter_configs::Config;

use crate::api::incremental_alter_configs::{APPEND, DELETE, SET, SUBTRACT};
use crate::entity_configs::Resource;
use crate::topics::TopicError;

/// The logger above all others.
pub(crate) const ROOT: &str = "root";

/// The levels that may be set, in the order of the original's message.
const LEVELS: [&str; 6] = ["TRACE", "ERROR", "INFO", "FATAL", "DEBUG", "WARN"];

/// Loggers by the names of the original's classes, and their levels.
pub trait Loggers: Send + Sync {
    /// Each logger with the name of its level; one that has none of its own is shown with that of `root`, which is among them.
    fn levels(&self) -> BTreeMap<String, String>;

    /// Gives a logger that exists a level, one of log4j's names in capitals, or takes its own away.
    fn set_level(&self, logger: &str, level: Option<&str>);
}

/// A process that writes no log.
pub(crate) struct Nowhere;

impl Loggers for Nowhere {
    fn levels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(ROOT.to_owned(), "OFF".to_owned())])
    }

    fn set_level(&self, _: &str, _: Option<&str>) {}
}

/// Does what a request asks of the loggers: all of it or, if some of it is not allowed, nothing.
pub(crate) fn alter(
    loggers: &dyn Loggers,
    resource: &Resource,
    configs: &[Config],
    validate_only: bool,
) -> Result<(), TopicError> {
    let known = loggers.levels();
    let changes = configs.iter().map(|config| check(&known, resource, config)).collect::<Result<Vec<_>, _>>()?;
    if !validate_only {
        for (logger, level) in changes {
            loggers.set_level(logger, level);
        }
    }
    Ok(())
}

type Change<'a> = (&'a str, Option<&'a str>);

fn check<'a>(
    known: &BTreeMap<String, String>,
    resource: &Resource,
    config: &'a Config,
) -> Result<Change<'a>, TopicError> {
    let refused = |text: String| TopicError::new(ErrorCode::INVALID_REQUEST, text);
    let logger = config.name.as_str();
    match config.config_operation {
        SET | DELETE if !known.contains_key(logger) => {
            Err(resource.bad_value(format_args!("Logger {logger} does not exist!")))
        }
        SET => {
            let level = config.value.as_deref().unwrap_or_default();
            if !LEVELS.contains(&level) {
                return Err(resource.bad_value(format_args!(
                    "Cannot set the log level of {logger} to {level} as it is not a supported log level. Valid log levels are {}",
                    LEVELS.join(", ")
                )));
            }
            Ok((logger, Some(level)))
        }
        DELETE if logger == ROOT => Err(refused(format!("Removing the log level of the {ROOT} logger is not allowed"))),
        DELETE => Ok((logger, None)),
        APPEND => Err(refused("APPEND operation is not allowed for the BROKER_LOGGER resource".to_owned())),
        SUBTRACT => Err(refused("SUBTRACT operation is not allowed for the BROKER_LOGGER resource".to_owned())),
        other => Err(refused(format!("Unknown operation {other} for config key: {logger}"))),
    }
}
