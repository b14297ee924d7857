//! Changing what topics and brokers set for themselves (upstream: `AdminManager.alterConfigs`, `AdminZkClient.changeConfigs`).
//!
//! A change replaces the whole config znode, then announces it below `/config/changes`, so that every broker takes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::broker::Scope;
use config::{ConfigError, ErrorKind};
use kafka_control::znode::{self, ConfigChange, EntityConfig};
use kafka_control::{CreateMode, Failure, Operation, Reply};
use kafka_proto::ErrorCode;

use crate::broker::Broker;
use crate::topic_name;
use crate::topics::TopicError;

/// Whose config it is (upstream: `ConfigResource`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Topic(String),
    /// `None`: what is set for all brokers.
    Broker(Option<i32>),
    /// Log levels of this broker's loggers, by the name under which it was asked for.
    BrokerLogger(String),
}

/// The numbers of `ConfigResource.Type`.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
pub(crate) const BROKER_LOGGER: i8 = 8;

/// Called with the result of a change.
pub(crate) type Done = Box<dyn FnOnce(&Arc<Broker>, Result<(), TopicError>) + Send>;

impl Resource {
    /// Reads a resource that is to be described: a topic, this broker, or what is set for all brokers.
    pub(crate) fn described(broker: &Broker, kind: i8, name: &str) -> Result<Self, TopicError> {
        let other = match kind {
            BROKER_LOGGER if name.is_empty() => return Err(invalid("Broker id must not be empty")),
            kind if !matches!(kind, TOPIC | BROKER | BROKER_LOGGER) => {
                return Err(invalid(ErrorCode::INVALID_REQUEST.message()));
            }
            BROKER_LOGGER => " but",
            _ => " or empty string, but",
        };
        Self::read(broker, kind, name, other, &format!(" for resource {name}"))
    }

    /// Reads a resource that is to be changed. The broker's loggers may be named by nothing.
    pub(crate) fn altered(broker: &Broker, kind: i8, name: &str) -> Result<Self, TopicError> {
        Self::read(broker, kind, name, ", but", "")
    }

    /// `other` and `of_what` are the words of the messages in which describing and changing differ.
    fn read(broker: &Broker, kind: i8, name: &str, other: &str, of_what: &str) -> Result<Self, TopicError> {
        match kind {
            TOPIC => return Ok(Self::Topic(name.to_owned())),
            BROKER if name.is_empty() => return Ok(Self::Broker(None)),
            BROKER_LOGGER if name.is_empty() => return Ok(Self::BrokerLogger(String::new())),
            BROKER | BROKER_LOGGER => {}
            _ => return Err(invalid(format!("Unexpected resource type {}{of_what}", type_name(kind)))),
        }
        let Ok(id) = name.parse::<i32>() else {
            return Err(invalid(format!("Broker id must be an integer, but it is: {name}")));
        };
        if id != broker.id() {
            let own = broker.id();
            return Err(invalid(format!("Unexpected broker id, expected {own}{other} received {name}")));
        }
        Ok(if kind == BROKER { Self::Broker(Some(id)) } else { Self::BrokerLogger(name.to_owned()) })
    }

    /// As the original's messages show it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Topic(name) => format!("ConfigResource(type=TOPIC, name='{name}')"),
            Self::Broker(None) => "ConfigResource(type=BROKER, name='')".to_owned(),
            Self::Broker(Some(id)) => format!("ConfigResource(type=BROKER, name='{id}')"),
            Self::BrokerLogger(name) => format!("ConfigResource(type=BROKER_LOGGER, name='{name}')"),
        }
    }

    /// The answer to a value that the original's `ConfigException` refuses.
    pub(crate) fn bad_value(&self, why: impl std::fmt::Display) -> TopicError {
        invalid(format!("Invalid config value for resource {}: {why}", self.shown()))
    }

    fn entity(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Topic(name) => Some(("topics", name.clone())),
            Self::Broker(None) => Some(("brokers", "<default>".to_owned())),
            Self::Broker(Some(id)) => Some(("brokers", id.to_string())),
            Self::BrokerLogger(_) => None,
        }
    }
}

fn invalid(text: impl Into<String>) -> TopicError {
    TopicError::new(ErrorCode::INVALID_REQUEST, text)
}

fn type_name(kind: i8) -> &'static str {
    match kind {
        TOPIC => "TOPIC",
        BROKER => "BROKER",
        BROKER_LOGGER => "BROKER_LOGGER",
        _ => "UNKNOWN",
    }
}

impl Broker {
    /// What is stored for a topic or broker now.
    pub(crate) fn read_stored(
        self: &Arc<Self>,
        resource: &Resource,
        then: impl FnOnce(&Arc<Self>, Result<BTreeMap<String, String>, TopicError>) + Send + 'static,
    ) {
        let Some((kind, name)) = resource.entity() else { return then(self, Ok(BTreeMap::new())) };
        let path = znode::entity_config(kind, &name);
        let read = Operation::GetData { path: path.clone(), watch: false };
        self.ask_zookeeper(vec![read], move |broker, outcomes, _| {
            let stored = match outcomes.into_iter().next() {
                Some(Ok(Reply::Data(content, _))) => {
                    EntityConfig::decode(&path, content.as_deref().unwrap_or_default())
                        .map(|stored| stored.0)
                        .map_err(|error| TopicError::new(ErrorCode::UNKNOWN_SERVER_ERROR, error.to_string()))
                }
                Some(Err(Failure::NoNode)) => Ok(BTreeMap::new()),
                other => Err(unexpected(other.and_then(Result::err))),
            };
            then(broker, stored);
        });
    }

    /// Checks the whole of what is to be stored, and stores and announces it.
    pub(crate) fn alter_configs(
        self: &Arc<Self>,
        resource: &Resource,
        configs: BTreeMap<String, String>,
        validate_only: bool,
        then: Done,
    ) {
        if let Err(error) = self.check_configs(resource, &configs) {
            return then(self, Err(error));
        }
        let Some((kind, name)) = resource.entity().filter(|_| !validate_only) else { return then(self, Ok(())) };
        let path = znode::entity_config(kind, &name);
        let data = Some(EntityConfig(configs).encode());
        let change = ConfigChange { entity_path: format!("{kind}/{name}") };
        let operations = vec![
            Operation::SetData { path: path.clone(), data: data.clone(), version: -1 },
            Operation::Create { path, data, mode: CreateMode::Persistent },
            Operation::Create {
                path: znode::config_change_prefix(),
                data: Some(change.encode()),
                mode: CreateMode::PersistentSequential,
            },
        ];
        self.ask_zookeeper(operations, move |broker, outcomes, _| {
            let mut outcomes = outcomes.into_iter();
            let result = match (outcomes.next(), outcomes.next(), outcomes.next()) {
                // Replaced or made, and announced.
                (Some(Ok(_)), _, Some(Ok(_))) | (_, Some(Ok(_)), Some(Ok(_))) => Ok(()),
                (_, _, announced) => Err(unexpected(announced.and_then(Result::err))),
            };
            then(broker, result);
        });
    }

    fn check_configs(&self, resource: &Resource, configs: &BTreeMap<String, String>) -> Result<(), TopicError> {
        match resource {
            Resource::Topic(topic) => {
                if self.metadata.read().topic(topic).is_none() {
                    let text = format!("The topic '{topic}' does not exist.");
                    return Err(TopicError::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, text));
                }
                let checked = config::TopicSettings::validate(configs);
                checked.map_err(|error| refusal(resource, &error))
            }
            Resource::Broker(id) => {
                let scope = if id.is_some() { Scope::Broker } else { Scope::Default };
                let checked = self.config().validate_update(scope, configs);
                checked.map(drop).map_err(|error| refusal(resource, &error))
            }
            Resource::BrokerLogger(_) => Err(invalid("levels of loggers are changed one by one")),
        }
    }

    /// Checks a topic's name and that the broker knows it, for a description.
    pub(crate) fn check_described_topic(&self, topic: &str) -> Result<(), TopicError> {
        topic_name::validate(topic).map_err(|text| TopicError::new(ErrorCode::INVALID_TOPIC_EXCEPTION, text))?;
        if self.metadata.read().topic(topic).is_none() {
            // Empty and not null, as of the original: its tools print it.
            return Err(TopicError { code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message: Some(String::new()) });
        }
        Ok(())
    }
}

/// Ill-typed values are INVALID_REQUEST, unknown names INVALID_CONFIG, as the exceptions of the original are mapped.
fn refusal(resource: &Resource, error: &ConfigError) -> TopicError {
    match error.kind() {
        ErrorKind::InvalidConfiguration => TopicError::new(ErrorCode::INVALID_CONFIG, error.message()),
        ErrorKind::NotServed => TopicError::new(ErrorCode::INVALID_CONFIG, error.to_string()),
        ErrorKind::Config | ErrorKind::IllegalArgument => resource.bad_value(error.message()),
    }
}

fn unexpected(failure: Option<Failure>) -> TopicError {
    TopicError { code: ErrorCode::UNKNOWN_SERVER_ERROR, message: failure.map(|failure| failure.to_string()) }
}
