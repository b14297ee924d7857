//! IncrementalAlterConfigs (key 44, versions 0 and 1): sets, deletes, appends to and subtracts from single keys (KIP-339); sets
//! the levels of this broker's loggers (KIP-412).

use std::collections::{BTreeMap, BTreeSet};

use base::Str;
use config::{Key, Kind, broker, topic};
use kafka_proto::ErrorCode;
use kafka_proto::messages::incremental_alter_configs::{Config, Outcome, Request, Resource as Altered, Response};

use crate::answer::Answer;
use crate::dispatch::Context;
use crate::entity_configs::Resource;
use crate::gather::Gather;
use crate::loggers;
use crate::topics::TopicError;

/// The numbers of `AlterConfigOp.OpType`.
pub(crate) const SET: i8 = 0;
pub(crate) const DELETE: i8 = 1;
pub(crate) const APPEND: i8 = 2;
pub(crate) const SUBTRACT: i8 = 3;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let validate_only = request.validate_only;
    let gather = Gather::new(Vec::new(), move |responses| answer.send(&Response { responses, ..Response::default() }));
    for altered in request.resources {
        let (kind, name) = (altered.resource_type, altered.resource_name.clone());
        let gather = gather.clone();
        let finish = move |result: Result<(), TopicError>| gather.add(outcome(kind, name, result));
        let resource = check(&altered.configs)
            .and_then(|()| Resource::altered(context.broker, altered.resource_type, &altered.resource_name));
        match resource {
            Err(error) => finish(Err(error)),
            Ok(resource @ Resource::BrokerLogger(_)) => {
                let loggers = context.broker.host.loggers();
                finish(loggers::alter(loggers, &resource, &altered.configs, validate_only));
            }
            Ok(resource) => context.broker.clone().read_stored(&resource.clone(), move |broker, stored| {
                match stored.and_then(|stored| change(&resource, stored, &altered)) {
                    Err(error) => finish(Err(error)),
                    Ok(configs) => {
                        broker.alter_configs(
                            &resource,
                            configs,
                            validate_only,
                            Box::new(move |_, result| finish(result)),
                        );
                    }
                }
            }),
        }
    }
}

fn check(configs: &[Config]) -> Result<(), TopicError> {
    let invalid = |text: String| Err(TopicError::new(ErrorCode::INVALID_REQUEST, text));
    let mut seen = BTreeSet::new();
    let repeated: BTreeSet<&str> =
        configs.iter().map(|config| &*config.name).filter(|name| !seen.insert(*name)).collect();
    if !repeated.is_empty() {
        return invalid(format!("Error due to duplicate config keys : {}", join(repeated)));
    }
    let nulls = configs.iter().filter(|config| config.value.is_none() && config.config_operation != DELETE);
    let nulls: Vec<String> =
        nulls.map(|config| format!("{}:{}", operation_name(config.config_operation), config.name)).collect();
    if !nulls.is_empty() {
        return invalid(format!("Null value not supported for : {}", nulls.join(",")));
    }
    Ok(())
}

/// The stored values with the operations done on them.
fn change(
    resource: &Resource,
    mut stored: BTreeMap<String, String>,
    altered: &Altered,
) -> Result<BTreeMap<String, String>, TopicError> {
    let find = match resource {
        Resource::Topic(_) => topic::find,
        _ => broker::keys::find,
    };
    for Config { name, config_operation, value } in &altered.configs {
        let value = value.as_deref().unwrap_or_default();
        match *config_operation {
            SET => {
                stored.insert(name.to_string(), value.to_owned());
            }
            DELETE => {
                stored.remove(&**name);
            }
            APPEND | SUBTRACT => {
                let appends = *config_operation == APPEND;
                let mut list = current_list(&stored, name, list_key(find(name), name, appends)?);
                if appends {
                    list.extend(value.split(',').map(str::to_owned));
                } else {
                    for gone in value.split(',') {
                        if let Some(index) = list.iter().position(|item| item == gone) {
                            list.remove(index);
                        }
                    }
                }
                stored.insert(name.to_string(), list.join(","));
            }
            other => {
                let text = format!("Unknown operation {other} for config key: {name}");
                return Err(TopicError::new(ErrorCode::INVALID_REQUEST, text));
            }
        }
    }
    Ok(stored)
}

fn list_key(key: Option<&'static Key>, name: &str, appends: bool) -> Result<&'static Key, TopicError> {
    let Some(key) = key else {
        return Err(TopicError::new(ErrorCode::INVALID_CONFIG, format!("Unknown topic config name: {name}")));
    };
    if key.kind != Kind::List {
        let what = if appends { "append" } else { "subtract" };
        let text = format!("Config value {what} is not allowed for config key: {name}");
        return Err(TopicError::new(ErrorCode::INVALID_REQUEST, text));
    }
    Ok(key)
}

/// What is stored, or else the default; an empty text is a list of one empty item, as Java splits it.
fn current_list(stored: &BTreeMap<String, String>, name: &str, key: &Key) -> Vec<String> {
    let default = || key.default_value().ok().map(|value| value.to_string()).unwrap_or_default();
    let text = stored.get(name).cloned().unwrap_or_else(default);
    text.split(',').map(str::to_owned).collect()
}

fn operation_name(operation: i8) -> &'static str {
    match operation {
        SET => "SET",
        DELETE => "DELETE",
        APPEND => "APPEND",
        SUBTRACT => "SUBTRACT",
        _ => "UNKNOWN",
    }
}

fn join<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(",")
}

fn outcome(resource_type: i8, resource_name: Str, result: Result<(), TopicError>) -> Outcome {
    let (error_code, error_message) = match result {
        Ok(()) => (ErrorCode::NONE, None),
        Err(error) => (error.code, error.message.map(Str::from)),
    };
    Outcome { error_code, error_message, resource_type, resource_name }
}
