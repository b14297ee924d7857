//! AlterConfigs (key 33, versions 0 and 1): replaces all that a topic or this broker sets for itself. Deprecated since KIP-339,
//! and still what older tools send.

use std::collections::BTreeMap;

use base::Str;
use kafka_proto::ErrorCode;
use kafka_proto::messages::alter_configs::{Outcome, Request, Resource as Altered, Response};

use crate::answer::Answer;
use crate::dispatch::Context;
use crate::entity_configs::{BROKER_LOGGER, Resource};
use crate::gather::Gather;
use crate::topics::TopicError;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let gather = Gather::new(Vec::new(), move |responses| answer.send(&Response { responses, ..Response::default() }));
    for altered in request.resources {
        let (kind, name) = (altered.resource_type, altered.resource_name.clone());
        let gather = gather.clone();
        let finish = move |result: Result<(), TopicError>| gather.add(outcome(kind, name, result));
        match read(context, altered) {
            Err(error) => finish(Err(error)),
            Ok((resource, configs)) => {
                let then = Box::new(move |_: &_, result| finish(result));
                context.broker.alter_configs(&resource, configs, request.validate_only, then);
            }
        }
    }
}

fn read(context: &Context<'_>, altered: Altered) -> Result<(Resource, BTreeMap<String, String>), TopicError> {
    if altered.resource_type == BROKER_LOGGER {
        let text = "AlterConfigs is deprecated and does not support the resource type BROKER_LOGGER";
        return Err(TopicError::new(ErrorCode::INVALID_REQUEST, text));
    }
    let resource = Resource::altered(context.broker, altered.resource_type, &altered.resource_name)?;
    let nulls: Vec<&str> =
        altered.configs.iter().filter(|config| config.value.is_none()).map(|config| config.name.as_str()).collect();
    if !nulls.is_empty() {
        let text = format!("Null value not supported for : {}", nulls.join(","));
        return Err(TopicError::new(ErrorCode::INVALID_REQUEST, text));
    }
    let configs =
        altered.configs.into_iter().filter_map(|config| Some((config.name.to_string(), config.value?.to_string())));
    Ok((resource, configs.collect()))
}

fn outcome(resource_type: i8, resource_name: Str, result: Result<(), TopicError>) -> Outcome {
    let (error_code, error_message) = match result {
        Ok(()) => (ErrorCode::NONE, None),
        Err(error) => (error.code, error.message.map(Str::from)),
    };
    Outcome { error_code, error_message, resource_type, resource_name }
}
