//! Handshakes, lost connections, nonsense.

use kafka_client::{Admin, AdminConfig, ClientError, To};
use kafka_proto::messages::{api_versions, list_groups};
use kafka_proto::{AnyRequest, AnyResponse, ApiKey, ErrorCode};

use crate::world::{Reply, World, all_apis};

fn world(script: impl FnMut(&AnyRequest, i16) -> Option<Reply> + 'static) -> World<Admin> {
    let config =
        AdminConfig::new([("bootstrap.servers", "one:1,two:2"), ("default.api.timeout.ms", "20000")]).unwrap().0;
    World::new(Admin::new(config, 1), script)
}

fn groups(request: &AnyRequest) -> Option<Reply> {
    matches!(request, AnyRequest::ListGroups(_)).then(|| list_groups::Response::default().into())
}

#[test]
fn an_older_broker_is_spoken_to_in_its_versions() {
    let mut handshakes = Vec::new();
    let (sender, seen) = std::sync::mpsc::channel();
    let mut world = world(move |request, version| {
        if !matches!(request, AnyRequest::ApiVersions(_)) {
            return groups(request);
        }
        sender.send(version).unwrap();
        let mut answer = all_apis();
        for api in &mut answer.api_keys {
            api.max_version = api.max_version.min(2);
        }
        if version > 2 {
            answer.error_code = ErrorCode::UNSUPPORTED_VERSION;
            answer.api_keys.retain(|api| api.api_key == ApiKey::ApiVersions.code());
        }
        Some(answer.into())
    });
    world.machine.call(To::Any, list_groups::Request::default(), world.now);
    world.run(1_000);
    assert!(matches!(world.machine.next_result(), Some((_, Ok(AnyResponse::ListGroups(_))))));
    handshakes.extend(seen.try_iter());
    assert_eq!(handshakes[..2], [3, 2]);
    assert_eq!(world.requests[0].1, 2);
}

#[test]
fn an_api_that_the_broker_lacks_is_an_error() {
    let mut world = world(|request, _| {
        let AnyRequest::ApiVersions(_) = request else { return None };
        let mut answer = all_apis();
        answer.api_keys.retain(|api| api.api_key != ApiKey::ListGroups.code());
        Some(answer.into())
    });
    world.machine.call(To::Any, list_groups::Request::default(), world.now);
    world.run(1_000);
    assert!(matches!(world.machine.next_result(), Some((_, Err(ClientError::UnsupportedApi(ApiKey::ListGroups))))));
}

#[test]
fn what_a_version_cannot_say_is_an_error() {
    let mut world = world(|request, _| {
        let AnyRequest::ApiVersions(_) = request else { return None };
        let keys = [(ApiKey::ListGroups, 2), (ApiKey::Metadata, 5)];
        let api = |(key, last): (ApiKey, i16)| api_versions::ApiVersion {
            api_key: key.code(),
            min_version: 0,
            max_version: last,
        };
        Some(api_versions::Response { api_keys: keys.map(api).to_vec(), ..Default::default() }.into())
    });
    let filtered = list_groups::Request { states_filter: vec!["Stable".into()] };
    world.machine.call(To::Any, filtered, world.now);
    world.run(1_000);
    assert!(matches!(world.machine.next_result(), Some((_, Err(ClientError::Unsupported(_))))));
}

#[test]
fn refused_connections_are_tried_again_more_and_more_slowly() {
    let mut world = world(|request, _| groups(request));
    world.refusing = true;
    world.machine.call(To::Any, list_groups::Request::default(), world.now);
    world.run(10_000);
    let tries = world.connects.len();
    assert!((10..=80).contains(&tries), "{tries} in ten seconds");
    assert!(world.connects.contains(&("one".to_owned(), 1)) && world.connects.contains(&("two".to_owned(), 2)));
    assert!(
        world.warnings[0].contains("could not be established. Broker may not be available."),
        "{:?}",
        world.warnings[0]
    );
    world.refusing = false;
    world.run(2_000);
    assert!(matches!(world.machine.next_result(), Some((_, Ok(_)))));
}

#[test]
fn nobody_to_ask_is_a_time_out() {
    let mut world = world(|_, _| None);
    world.refusing = true;
    world.machine.call(To::Any, list_groups::Request::default(), world.now);
    world.run(21_000);
    let Some((_, Err(error))) = world.machine.next_result() else { panic!("no error") };
    assert!(error.to_string().starts_with("Call(callName=listGroups, deadlineMs="), "{error}");
    assert_eq!(error.cause().unwrap().to_string(), "Timed out waiting for a node assignment. Call: listGroups");
    assert_eq!(error.exception(), "org.apache.kafka.common.errors.TimeoutException");
}

#[test]
fn a_lost_answer_is_asked_for_again() {
    let mut lost = 2;
    let mut world = world(move |request, _| {
        let AnyRequest::ListGroups(_) = request else { return None };
        lost -= 1;
        if lost >= 0 { Some(Reply::Close) } else { groups(request) }
    });
    world.machine.call(To::Any, list_groups::Request::default(), world.now);
    world.run(5_000);
    assert!(matches!(world.machine.next_result(), Some((_, Ok(_)))));
    assert_eq!(world.asked(ApiKey::ListGroups).len(), 3);
}

#[test]
fn nonsense_ends_the_connection_and_nothing_else() {
    for nonsense in [&[0xff, 0xff, 0xff, 0xff][..], &[0, 0, 0, 4, 0, 0, 0, 99], &[0, 0, 0, 3, 0, 0, 0], &[0, 0, 0, 0]] {
        let mut first = true;
        let mut world = world(move |request, _| {
            let AnyRequest::ListGroups(_) = request else { return None };
            if std::mem::take(&mut first) { Some(Reply::Bytes(nonsense)) } else { groups(request) }
        });
        world.machine.call(To::Any, list_groups::Request::default(), world.now);
        world.run(5_000);
        assert!(matches!(world.machine.next_result(), Some((_, Ok(_)))), "{nonsense:?}");
    }
}

#[test]
fn a_silent_broker_is_left() {
    let mut silent = true;
    let config = [("bootstrap.servers", "one:1"), ("request.timeout.ms", "1000")];
    let admin = Admin::new(AdminConfig::new(config).unwrap().0, 1);
    let mut world = World::new(admin, move |request, _| {
        let AnyRequest::ListGroups(_) = request else { return None };
        if std::mem::take(&mut silent) { Some(Reply::Silence) } else { groups(request) }
    });
    world.machine.call(To::Any, list_groups::Request::default(), world.now);
    world.run(900);
    assert!(world.machine.next_result().is_none());
    world.run(1_000);
    assert!(matches!(world.machine.next_result(), Some((_, Ok(_)))));
}
