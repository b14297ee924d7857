//! The levels of the broker's loggers, by DescribeConfigs and IncrementalAlterConfigs. The words are those of Kafka 2.7.1.

use kafka_proto::ErrorCode;
use kafka_proto::messages::{alter_configs, describe_configs, incremental_alter_configs};

use crate::world::{Client, World};

const BROKER_LOGGER: i8 = 8;
const APIS: &str = "kafka.server.KafkaApis";

fn describe(world: &mut World, client: &mut Client, name: &str) -> describe_configs::Outcome {
    let resource = describe_configs::Resource {
        resource_type: BROKER_LOGGER,
        resource_name: name.into(),
        configuration_keys: None,
    };
    let request = describe_configs::Request { resources: vec![resource], ..describe_configs::Request::default() };
    world.ask(client, &request, 3).results.remove(0)
}

fn levels(world: &mut World, client: &mut Client) -> Vec<(String, String)> {
    let described = describe(world, client, "0");
    assert_eq!(described.error_code, ErrorCode::NONE);
    let rows = described.configs.iter().map(|row| {
        assert_eq!((row.config_source, row.read_only, row.is_sensitive, row.config_type), (6, false, false, 0));
        (row.name.to_string(), row.value.as_deref().unwrap().to_owned())
    });
    rows.collect()
}

/// What is done, on which logger, with which level.
type Change<'a> = (i8, &'a str, &'a str);

/// Changes done on the broker of this name: the code, and the words.
fn alter(world: &mut World, client: &mut Client, name: &str, changes: &[Change<'_>]) -> (ErrorCode, Option<String>) {
    let configs = changes.iter().map(|(config_operation, logger, level)| incremental_alter_configs::Config {
        name: (*logger).into(),
        config_operation: *config_operation,
        value: (!level.is_empty()).then(|| (*level).into()),
    });
    let resource = incremental_alter_configs::Resource {
        resource_type: BROKER_LOGGER,
        resource_name: name.into(),
        configs: configs.collect(),
    };
    let request = incremental_alter_configs::Request { resources: vec![resource], validate_only: false };
    let outcome = world.ask(client, &request, 1).responses.remove(0);
    (outcome.error_code, outcome.error_message.map(|text| text.to_string()))
}

#[test]
fn levels_are_told_set_and_taken_back() {
    let mut world = World::new("");
    let mut client = world.connect();
    let pair = |name: &str, level: &str| (name.to_owned(), level.to_owned());
    assert_eq!(levels(&mut world, &mut client), [pair(APIS, "INFO"), pair("root", "INFO")]);
    let done = alter(&mut world, &mut client, "0", &[(0, APIS, "DEBUG"), (0, "root", "WARN")]);
    assert_eq!(done, (ErrorCode::NONE, None));
    assert_eq!(levels(&mut world, &mut client), [pair(APIS, "DEBUG"), pair("root", "WARN")]);
    // As in the original, the broker may be left out here.
    assert_eq!(alter(&mut world, &mut client, "", &[(1, APIS, "")]), (ErrorCode::NONE, None));
    assert_eq!(levels(&mut world, &mut client), [pair(APIS, "INFO"), pair("root", "WARN")]);
}

#[test]
fn what_is_not_allowed_changes_nothing() {
    let mut world = World::new("");
    let mut client = world.connect();
    let before = levels(&mut world, &mut client);
    let value = "Invalid config value for resource ConfigResource(type=BROKER_LOGGER, name='0'): ";
    let of_level = format!(
        "{value}Cannot set the log level of root to LOUD as it is not a supported log level. Valid log levels are \
         TRACE, ERROR, INFO, FATAL, DEBUG, WARN"
    );
    let cases: [(&str, &[Change<'_>], &str); 7] = [
        ("0", &[(0, APIS, "DEBUG"), (0, "nobody", "DEBUG")], &format!("{value}Logger nobody does not exist!")),
        ("0", &[(0, "root", "LOUD")], &of_level),
        ("0", &[(1, "root", "")], "Removing the log level of the root logger is not allowed"),
        ("0", &[(2, APIS, "INFO")], "APPEND operation is not allowed for the BROKER_LOGGER resource"),
        ("0", &[(3, APIS, "INFO")], "SUBTRACT operation is not allowed for the BROKER_LOGGER resource"),
        ("1", &[(0, APIS, "INFO")], "Unexpected broker id, expected 0, but received 1"),
        ("me", &[(0, APIS, "INFO")], "Broker id must be an integer, but it is: me"),
    ];
    for (name, changes, words) in cases {
        let refused = alter(&mut world, &mut client, name, changes);
        assert_eq!(refused, (ErrorCode::INVALID_REQUEST, Some(words.to_owned())));
    }
    assert_eq!(levels(&mut world, &mut client), before);
}

#[test]
fn others_loggers_are_not_told() {
    let mut world = World::new("");
    let mut client = world.connect();
    for (name, words) in [
        ("", "Broker id must not be empty"),
        ("1", "Unexpected broker id, expected 0 but received 1"),
        ("me", "Broker id must be an integer, but it is: me"),
    ] {
        let described = describe(&mut world, &mut client, name);
        assert_eq!(described.error_code, ErrorCode::INVALID_REQUEST);
        assert_eq!(described.error_message.as_deref(), Some(words));
    }
    let resource = alter_configs::Resource {
        resource_type: BROKER_LOGGER,
        resource_name: "0".into(),
        ..alter_configs::Resource::default()
    };
    let request = alter_configs::Request { resources: vec![resource], validate_only: false };
    let refused = world.ask(&mut client, &request, 1).responses.remove(0);
    let words = "AlterConfigs is deprecated and does not support the resource type BROKER_LOGGER";
    assert_eq!((refused.error_code, refused.error_message.as_deref()), (ErrorCode::INVALID_REQUEST, Some(words)));
}
