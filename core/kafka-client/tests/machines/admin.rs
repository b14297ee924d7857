//! Calls find their broker, and find it again.

use base::Str;
use kafka_client::{Admin, AdminConfig, CallOptions, Interest, To, TopicPartition};
use kafka_proto::messages::{
    alter_partition_reassignments, create_topics, delete_groups, elect_leaders, find_coordinator, list_offset,
    list_partition_reassignments, metadata, update_features,
};
use kafka_proto::{AnyRequest, AnyResponse, ApiKey, ErrorCode};

use crate::world::{Reply, World};

fn world(script: impl FnMut(&AnyRequest, i16) -> Option<Reply> + 'static) -> World<Admin> {
    World::new(Admin::new(AdminConfig::new([("bootstrap.servers", "one:1")]).unwrap().0, 1), script)
}

fn created(code: ErrorCode) -> Reply {
    let topic = create_topics::ResponseTopic { name: Str::from_static("t"), error_code: code, ..Default::default() };
    create_topics::Response { topics: vec![topic], ..Default::default() }.into()
}

#[test]
fn a_controller_that_moved_is_found_again() {
    let mut answers = vec![ErrorCode::NONE, ErrorCode::NOT_CONTROLLER];
    let mut world = world(move |request, _| {
        matches!(request, AnyRequest::CreateTopics(_)).then(|| created(answers.pop().unwrap()))
    });
    world.machine.call(To::Controller, create_topics::Request::default(), world.now);
    world.run(2_000);
    let Some((_, Ok(AnyResponse::CreateTopics(response)))) = world.machine.next_result() else { panic!("no answer") };
    assert_eq!(response.topics[0].error_code, ErrorCode::NONE);
    assert_eq!(world.asked(ApiKey::CreateTopics).len(), 2);
}

/// Each answer says in its own place that its broker is no controller any more.
#[test]
fn what_the_controller_is_asked_is_asked_again() {
    let code = ErrorCode::NOT_CONTROLLER;
    let asked: [(AnyRequest, Reply); 4] = [
        (
            elect_leaders::Request::default().into(),
            elect_leaders::Response { error_code: code, ..Default::default() }.into(),
        ),
        (
            alter_partition_reassignments::Request::default().into(),
            alter_partition_reassignments::Response { error_code: code, ..Default::default() }.into(),
        ),
        (
            list_partition_reassignments::Request::default().into(),
            list_partition_reassignments::Response { error_code: code, ..Default::default() }.into(),
        ),
        (
            update_features::Request::default().into(),
            update_features::Response { error_code: code, ..Default::default() }.into(),
        ),
    ];
    for (request, refusal) in asked {
        let key = request.key();
        let mut refusals = vec![refusal];
        let mut world =
            world(move |request, _| (request.key() == key).then(|| refusals.pop().unwrap_or(Reply::Silence)));
        world.machine.call(To::Controller, request, world.now);
        world.run(1_000);
        assert_eq!(world.asked(key).len(), 2, "{key:?}");
        assert!(world.machine.next_result().is_none());
    }
}

#[test]
fn other_errors_are_the_callers() {
    let mut world = world(|request, _| {
        matches!(request, AnyRequest::CreateTopics(_)).then(|| created(ErrorCode::TOPIC_ALREADY_EXISTS))
    });
    world.machine.call(To::Controller, create_topics::Request::default(), world.now);
    world.run(2_000);
    let Some((_, Ok(AnyResponse::CreateTopics(response)))) = world.machine.next_result() else { panic!("no answer") };
    assert_eq!(response.topics[0].error_code, ErrorCode::TOPIC_ALREADY_EXISTS);
}

#[test]
fn coordinators_are_found_first_and_again_when_they_moved() {
    let mut answers = vec![ErrorCode::NONE, ErrorCode::NOT_COORDINATOR];
    let mut finds = vec![ErrorCode::NONE, ErrorCode::NONE, ErrorCode::COORDINATOR_NOT_AVAILABLE];
    let mut world = world(move |request, _| match request {
        AnyRequest::FindCoordinator(_) => {
            Some(find_coordinator::Response { error_code: finds.pop().unwrap(), ..Default::default() }.into())
        }
        AnyRequest::DeleteGroups(_) => {
            let outcome =
                delete_groups::Outcome { group_id: Str::from_static("g"), error_code: answers.pop().unwrap() };
            Some(delete_groups::Response { results: vec![outcome], ..Default::default() }.into())
        }
        _ => None,
    });
    let request = delete_groups::Request { group_names: vec![Str::from_static("g")] };
    world.machine.call(To::Coordinator(Str::from_static("g")), request, world.now);
    world.run(3_000);
    let Some((_, Ok(AnyResponse::DeleteGroups(response)))) = world.machine.next_result() else { panic!("no answer") };
    assert_eq!(response.results[0].error_code, ErrorCode::NONE);
    assert_eq!((world.asked(ApiKey::FindCoordinator).len(), world.asked(ApiKey::DeleteGroups).len()), (3, 2));
}

#[test]
fn leaders_are_looked_up() {
    let mut world = world(|request, _| {
        matches!(request, AnyRequest::ListOffset(_)).then(|| list_offset::Response::default().into())
    });
    world.machine.call(To::Leader(TopicPartition::new("t", 1)), list_offset::Request::default(), world.now);
    world.run(1_000);
    assert!(matches!(world.machine.next_result(), Some((_, Ok(_)))));
    world.machine.describe_cluster(Interest::All);
    world.run(1_000);
    assert_eq!(world.machine.cluster().topics.len(), 2);
}

#[test]
fn a_call_that_takes_too_long_says_what_it_was() {
    let mut world = world(|request, _| matches!(request, AnyRequest::FindCoordinator(_)).then_some(Reply::Silence));
    let start = world.now.wall_ms;
    let request = delete_groups::Request { group_names: vec![Str::from_static("g")] };
    let options = CallOptions { timeout_ms: Some(500), ..CallOptions::named("deleteConsumerGroups") };
    world.machine.call_with(To::Coordinator(Str::from_static("g")), request, options, world.now);
    world.run(1_000);
    let Some((_, Err(error))) = world.machine.next_result() else { panic!("no error") };
    let (deadline, next) = (start + 500, start + 600);
    assert_eq!(
        error.to_string(),
        format!(
            "Call(callName=findCoordinator, deadlineMs={deadline}, tries=1, nextAllowedTryMs={next}) timed out at {deadline} \
             after 1 attempt(s)"
        )
    );
    assert_eq!(error.cause().unwrap().to_string(), "Timed out waiting for a node assignment. Call: findCoordinator");
}

#[test]
fn what_is_asked_again_is_the_callers_to_say() {
    let unknown = |response: &AnyResponse| match response {
        AnyResponse::Metadata(response) => {
            response.topics.iter().map(|topic| topic.error_code).find(|code| code.is_error())
        }
        _ => None,
    };
    let mut left = 3;
    let mut world = world(move |request, _| match request {
        AnyRequest::Metadata(request) if request.topics.as_ref().is_some_and(|topics| !topics.is_empty()) => {
            let mut answer = crate::world::described(request);
            left -= 1;
            if left > 0 {
                answer.topics[0].error_code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
            }
            Some(answer.into())
        }
        _ => None,
    });
    let topic = metadata::RequestTopic { name: Str::from_static("t") };
    let request = metadata::Request { topics: Some(vec![topic]), ..Default::default() };
    let options = CallOptions { try_again: unknown, ..CallOptions::named("metadata") };
    let start = world.now.monotonic;
    world.machine.call_with(To::Any, request, options, world.now);
    world.run(150);
    assert!(world.machine.next_result().is_none(), "twice unknown");
    world.run(1_000);
    let Some((_, Ok(AnyResponse::Metadata(response)))) = world.machine.next_result() else { panic!("no answer") };
    assert!(response.topics[0].error_code.is_none() && world.now.monotonic > start);
}
