//! CreatePartitions (key 37, versions 0 to 3): grows topics and waits until this broker knows the new leaders.
//!
//! Only the controller serves it. A topic named twice is refused, and so is one that is queued for deletion; all are, where some brokers name
//! a rack and some do not, even with assignments given.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Now, Str};
use kafka_control::AssignmentError;
use kafka_proto::ErrorCode;
use kafka_proto::messages::create_partitions::{Outcome, Request, RequestTopic, Response};

use crate::answer::Answer;
use crate::broker::Broker;
use crate::dispatch::Context;
use crate::gather::Gather;
use crate::topic_waits::TopicWaits;
use crate::topics::TopicError;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let is_controller = context.broker.active_controller_epoch().is_some();
    let gather = Gather::new(Vec::new(), move |results| answer.send(&Response { results, ..Response::default() }));
    let mut counts: BTreeMap<Str, usize> = BTreeMap::new();
    if is_controller && context.broker.lacks_racks() {
        context.broker.tell_of_racks(&AssignmentError::Racks, "growth of topics");
        for topic in request.topics {
            gather.add(outcome(topic.name, Err(TopicError { code: ErrorCode::UNKNOWN_SERVER_ERROR, message: None })));
        }
        return;
    }
    for topic in &request.topics {
        *counts.entry(topic.name.clone()).or_default() += 1;
    }
    for topic in request.topics {
        if !is_controller {
            gather.add(outcome(topic.name, Err(TopicError { code: ErrorCode::NOT_CONTROLLER, message: None })));
            continue;
        }
        match counts.remove(&topic.name) {
            Some(1) if context.broker.is_queued_for_deletion(&topic.name) => {
                let error = TopicError::new(ErrorCode::INVALID_TOPIC_EXCEPTION, "The topic is queued for deletion.");
                gather.add(outcome(topic.name, Err(error)));
            }
            Some(1) => {
                let gather = gather.clone();
                let (timeout_ms, validate_only) = (request.timeout_ms, request.validate_only);
                grow(context.broker, topic, timeout_ms, validate_only, context.now, move |outcome| gather.add(outcome));
            }
            Some(_) => {
                let error = TopicError::new(ErrorCode::INVALID_REQUEST, "Duplicate topic in request.");
                gather.add(outcome(topic.name, Err(error)));
            }
            None => {}
        }
    }
}

fn grow(
    broker: &Arc<Broker>,
    topic: RequestTopic,
    timeout_ms: i32,
    validate_only: bool,
    now: Now,
    then: impl FnOnce(Outcome) + Send + 'static,
) {
    let RequestTopic { name, count, assignments } = topic;
    let given = assignments.map(|given| given.into_iter().map(|one| one.broker_ids).collect());
    broker.add_partitions(name.to_string(), count, given, validate_only, move |broker, result| {
        let partitions = match result {
            Ok(partitions) => partitions,
            Err(error) => return then(outcome(name, Err(error))),
        };
        if validate_only {
            return then(outcome(name, Ok(())));
        }
        let timed_out = TopicError { code: ErrorCode::REQUEST_TIMED_OUT, message: None };
        let Some(timeout_ms) = u64::try_from(timeout_ms).ok().filter(|timeout_ms| *timeout_ms > 0) else {
            return then(outcome(name, Err(timed_out)));
        };
        let topic = name.to_string();
        let has_leaders = move |metadata: &crate::metadata::Metadata| {
            let is_led =
                |number| metadata.partition(&topic, number).is_some_and(|state| state.leader_and_isr.leader >= 0);
            (0..partitions).all(is_led)
        };
        TopicWaits::wait(broker, timeout_ms, now, has_leaders, move |_, ready| {
            then(outcome(name, if ready { Ok(()) } else { Err(timed_out) }));
        });
    });
}

fn outcome(name: Str, result: Result<(), TopicError>) -> Outcome {
    let (error_code, error_message) = match result {
        Ok(()) => (ErrorCode::NONE, None),
        Err(error) => (error.code, error.message.map(Str::from)),
    };
    Outcome { name, error_code, error_message }
}
