//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs.

use base::Str;
use kafka_proto::messages::{alter_configs, create_topics, describe_configs, incremental_alter_configs};

use super::Session;

const RESOURCES: [(i8, &str); 22] = [
    (0, ""),
    (0, "c"),
    (1, "c"),
    (2, ""),
    (2, "a b"),
    (2, ".."),
    (2, "nowhere"),
    (3, "c"),
    (4, "x"),
    (4, "1"),
    (4, "-1"),
    (4, " 0"),
    (4, "99999999999"),
    (5, "c"),
    (7, "0"),
    (8, ""),
    (8, "x"),
    (8, "1"),
    (9, "c"),
    (16, ""),
    (127, "c"),
    (-128, "c"),
];

pub(super) fn script(session: &mut Session<'_>) {
    let topic = create_topics::RequestTopic {
        name: "c".into(),
        num_partitions: 1,
        replication_factor: 1,
        ..create_topics::RequestTopic::default()
    };
    let request = create_topics::Request { topics: vec![topic], timeout_ms: 10_000, validate_only: false };
    session.ask_at("made", 5, &request);
    descriptions(session);
    alterations(session);
    increments(session);
    session.ask_at("what has come of it", 3, &describe(&[(2, "c"), (4, ""), (4, "0")], None));
}

fn describe(resources: &[(i8, &str)], keys: Option<&[&str]>) -> describe_configs::Request {
    let resource = |(resource_type, name): &(i8, &str)| describe_configs::Resource {
        resource_type: *resource_type,
        resource_name: (*name).into(),
        configuration_keys: keys.map(|keys| keys.iter().map(|key| Str::from(*key)).collect()),
    };
    describe_configs::Request { resources: resources.iter().map(resource).collect(), ..Default::default() }
}

fn descriptions(session: &mut Session<'_>) {
    for resource in RESOURCES {
        session.ask(&format!("{resource:?}"), &describe(&[resource], Some(&["retention.ms"])));
    }
    for keys in [&[][..], &["no.such.key"], &[""], &["retention.ms", "retention.ms"], &["log.dirs", "retention.ms"]] {
        for resource in [(2, "c"), (4, "0"), (4, "")] {
            session.ask(&format!("{resource:?} {keys:?}"), &describe(&[resource], Some(keys)));
        }
    }
    session.ask(
        "twice",
        &describe(&[(2, "c"), (2, "c"), (4, "0"), (4, "0"), (4, "x"), (4, "x")], Some(&["retention.ms"])),
    );
    session.ask("nothing", &describe(&[], None));
}

/// A resource with its changes.
type Change<'a> = (i8, &'a str, &'a [(&'a str, Option<&'a str>)]);

fn alter(changes: &[Change<'_>], validate_only: bool) -> alter_configs::Request {
    let config = |(name, value): &(&str, Option<&str>)| alter_configs::Config {
        name: (*name).into(),
        value: value.map(Str::from),
    };
    let resource = |(resource_type, name, configs): &Change<'_>| alter_configs::Resource {
        resource_type: *resource_type,
        resource_name: (*name).into(),
        configs: configs.iter().map(config).collect(),
    };
    alter_configs::Request { resources: changes.iter().map(resource).collect(), validate_only }
}

const VALUES: [(&str, Option<&str>); 22] = [
    ("retention.ms", None),
    ("retention.ms", Some("")),
    ("retention.ms", Some("many")),
    ("retention.ms", Some("1.5")),
    ("retention.ms", Some("-2")),
    ("retention.ms", Some(" 70000 ")),
    ("retention.ms", Some("9223372036854775808")),
    ("segment.bytes", Some("13")),
    ("segment.bytes", Some("2147483648")),
    ("min.cleanable.dirty.ratio", Some("1.5")),
    ("min.cleanable.dirty.ratio", Some("NaN")),
    ("min.cleanable.dirty.ratio", Some("half")),
    ("preallocate", Some("TRUE")),
    ("preallocate", Some("maybe")),
    ("cleanup.policy", Some("")),
    ("cleanup.policy", Some("delete,burn")),
    ("cleanup.policy", Some(" compact , delete ")),
    ("message.format.version", Some("9.9")),
    ("leader.replication.throttled.replicas", Some("rubbish")),
    ("no.such.key", Some("1")),
    ("", Some("1")),
    ("compression.type", Some("GZIP")),
];

const BROKER_VALUES: [(&str, Option<&str>); 12] = [
    ("log.retention.ms", Some("many")),
    ("log.cleaner.threads", Some("0")),
    ("log.cleaner.threads", None),
    ("log.cleaner.threads", Some("100")),
    ("broker.id", Some("7")),
    ("log.dirs", Some("/nowhere")),
    ("no.such.key", Some("1")),
    ("", Some("1")),
    ("listeners", Some("rubbish")),
    ("max.connections", Some("-1")),
    ("num.io.threads", Some("1000")),
    ("listener.name.none.ssl.keystore.type", Some("JKS")),
];

fn alterations(session: &mut Session<'_>) {
    for (resource_type, name) in RESOURCES {
        for validate_only in [true, false] {
            let request = alter(&[(resource_type, name, &[("retention.ms", Some("7000"))])], validate_only);
            session.ask(&format!("{:?}, validated only {validate_only}", (resource_type, name)), &request);
        }
    }
    for value in VALUES {
        session.ask(&format!("{value:?}"), &alter(&[(2, "c", &[value])], false));
    }
    for value in BROKER_VALUES {
        for name in ["0", ""] {
            session.ask(&format!("of broker {name:?} {value:?}"), &alter(&[(4, name, &[value])], true));
        }
    }
    let twice: [(&str, Option<&str>); 2] = [("retention.ms", Some("7001")), ("retention.ms", Some("7002"))];
    session.ask("a key twice", &alter(&[(2, "c", &twice)], false));
    let (one, other) = ([twice[0]], [twice[1]]);
    session.ask_at("a resource twice", 1, &alter(&[(2, "c", &one), (2, "c", &other), (2, "nowhere", &one)], false));
    session.ask("no changes", &alter(&[(2, "c", &[])], false));
    session.ask("nothing", &alter(&[], false));
}

fn increment(
    resource: (i8, &str),
    changes: &[(&str, i8, Option<&str>)],
    validate_only: bool,
) -> incremental_alter_configs::Request {
    let config = |(name, config_operation, value): &(&str, i8, Option<&str>)| incremental_alter_configs::Config {
        name: (*name).into(),
        config_operation: *config_operation,
        value: value.map(Str::from),
    };
    let (resource_type, name) = resource;
    let resource = incremental_alter_configs::Resource {
        resource_type,
        resource_name: name.into(),
        configs: changes.iter().map(config).collect(),
    };
    incremental_alter_configs::Request { resources: vec![resource], validate_only }
}

fn increments(session: &mut Session<'_>) {
    for resource in RESOURCES {
        for validate_only in [true, false] {
            let request = increment(resource, &[("retention.ms", 0, Some("8000"))], validate_only);
            session.ask(&format!("{resource:?}, validated only {validate_only}"), &request);
        }
    }
    for (name, value) in VALUES {
        for operation in [0, 1, 2, 3] {
            session.ask(
                &format!("{name:?} {operation} {value:?}"),
                &increment((2, "c"), &[(name, operation, value)], false),
            );
        }
    }
    for (name, value) in BROKER_VALUES {
        for (broker, operation) in [("0", 0), ("", 0), ("0", 1), ("0", 2)] {
            let request = increment((4, broker), &[(name, operation, value)], true);
            session.ask(&format!("of broker {broker:?} {name:?} {operation} {value:?}"), &request);
        }
    }
    for operation in [-1, 4, 127, -128] {
        let request = increment((2, "c"), &[("retention.ms", operation, Some("8001"))], false);
        session.ask(&format!("operation {operation}"), &request);
    }
    let cases: [&[(&str, i8, Option<&str>)]; 6] = [
        &[("retention.ms", 0, Some("1")), ("retention.ms", 1, None)],
        &[("cleanup.policy", 2, Some("compact")), ("cleanup.policy", 3, Some("delete"))],
        &[("cleanup.policy", 2, Some("compact"))],
        &[("cleanup.policy", 3, Some("nothing,of,it"))],
        &[("cleanup.policy", 3, Some("compact,delete"))],
        &[],
    ];
    for changes in cases {
        session.ask(&format!("{changes:?}"), &increment((2, "c"), changes, false));
    }
    let mut twice = increment((2, "c"), &[("retention.ms", 0, Some("8002"))], false);
    twice.resources.push(twice.resources[0].clone());
    session.ask("a resource twice", &twice);
    for (name, operation, value) in
        [("root", 0, "LOUD"), ("no.such", 0, "INFO"), ("root", 1, ""), ("", 0, "INFO"), ("root", 2, "INFO")]
    {
        let request = increment((8, "0"), &[(name, operation, Some(value))], true);
        session.ask(&format!("logger {name:?} {operation} {value:?}"), &request);
    }
}
