//! Metadata, CreateTopics, CreatePartitions, DeleteTopics.

use kafka_proto::messages::{create_partitions, create_topics, delete_topics, metadata};

use super::Session;

pub(super) fn script(session: &mut Session<'_>) {
    of_metadata(session);
    creations(session);
    partitions(session);
    deletions(session);
}

fn metadata_request(names: Option<&[&str]>, allow_auto_topic_creation: bool) -> metadata::Request {
    let topic = |name: &&str| metadata::RequestTopic { name: (*name).into() };
    metadata::Request {
        topics: names.map(|names| names.iter().map(topic).collect()),
        allow_auto_topic_creation,
        ..metadata::Request::default()
    }
}

fn of_metadata(session: &mut Session<'_>) {
    let long = "a".repeat(250);
    let names =
        [&["t"][..], &[""], &["a b"], &["."], &[".."], &[&long], &["t", "t"], &["__consumer_offsets"], &["t\0"]];
    for names in names {
        for auto in [false, true] {
            // Versions that can't forbid it make a topic.
            session.ask(&format!("{names:?}, made if need be {auto}"), &metadata_request(Some(names), auto));
        }
    }
    let name = |number: usize| format!("nowhere-{number}");
    let many: Vec<String> = (0..2000).map(|number| name(number % 1500)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for version in [4, 9] {
        session.ask_at("many strangers", version, &metadata_request(Some(&many), false));
        session.ask_at("twice a stranger", version, &metadata_request(Some(&["nowhere", "t", "nowhere"]), false));
        session.ask_at("no topics", version, &metadata_request(Some(&[]), false));
    }
    for version in [8, 9] {
        let request = metadata::Request {
            include_cluster_authorized_operations: true,
            include_topic_authorized_operations: true,
            ..metadata_request(Some(&["t", "nowhere", "a b"]), false)
        };
        session.ask_at("authorized operations", version, &request);
    }
}

fn topic(name: &str, num_partitions: i32, replication_factor: i16) -> create_topics::RequestTopic {
    create_topics::RequestTopic {
        name: name.into(),
        num_partitions,
        replication_factor,
        ..create_topics::RequestTopic::default()
    }
}

fn create(topics: Vec<create_topics::RequestTopic>) -> create_topics::Request {
    create_topics::Request { topics, timeout_ms: 10_000, validate_only: false }
}

fn creations(session: &mut Session<'_>) {
    session.ask_at("a name with a dot", 5, &create(vec![topic("dot.ted", 1, 1)]));
    for name in ["", ".", "..", "a b", &"a".repeat(250), "t", "dot_ted", "__consumer_offsets", "a/b", "\u{e9}", "a\0b"]
    {
        session.ask(&format!("name {name:?}"), &create(vec![topic(name, 1, 1)]));
    }
    for (count, factor) in
        [(0, 1), (-1, 1), (-2, 1), (i32::MIN, 1), (1, 0), (1, -1), (1, -2), (1, 2), (1, i16::MAX), (-1, -1)]
    {
        session.ask_each(&format!("{count} partitions, {factor} replicas"), |version| {
            create(vec![topic(&format!("count-{count}-{factor}-{version}"), count, factor)])
        });
    }
    let assignment = |partition_index, broker_ids: &[i32]| create_topics::Assignment {
        partition_index,
        broker_ids: broker_ids.to_vec(),
    };
    let cases: [(&str, Vec<create_topics::Assignment>); 10] = [
        ("whole", vec![assignment(0, &[0]), assignment(1, &[0])]),
        ("from one", vec![assignment(1, &[0])]),
        ("gap", vec![assignment(0, &[0]), assignment(2, &[0])]),
        ("negative", vec![assignment(-1, &[0]), assignment(0, &[0])]),
        ("twice", vec![assignment(0, &[0]), assignment(0, &[0])]),
        ("none", vec![assignment(0, &[])]),
        ("same", vec![assignment(0, &[0, 0])]),
        ("unknown", vec![assignment(0, &[7])]),
        ("below", vec![assignment(0, &[-1])]),
        ("uneven", vec![assignment(0, &[0]), assignment(1, &[0, 7])]),
    ];
    for (what, assignments) in cases {
        for (count, factor) in [(-1, -1), (1, 1), (2, -1), (-1, 1)] {
            for version in [0, 6] {
                let name = format!("assigned-{what}-{count}-{factor}-{version}");
                let assignments = assignments.clone();
                let topic = create_topics::RequestTopic { assignments, ..topic(&name, count, factor) };
                // These are made, and never have a leader.
                let timeout_ms = if ["none", "unknown", "below"].contains(&what) { 200 } else { 10_000 };
                let request = create_topics::Request { timeout_ms, ..create(vec![topic]) };
                session.ask_at(&format!("assignment {what} with {count} and {factor}"), version, &request);
            }
        }
    }
    created_configs(session);
    created_together(session);
}

/// A key and its value.
type Config<'a> = (&'a str, Option<&'a str>);

fn created_configs(session: &mut Session<'_>) {
    let cases: [(&str, &[Config<'_>]); 11] = [
        ("null", &[("retention.ms", None)]),
        ("unknown", &[("no.such.key", Some("1"))]),
        ("unnamed", &[("", Some("1"))]),
        ("no-number", &[("retention.ms", Some("many"))]),
        ("too-small", &[("segment.bytes", Some("1"))]),
        ("too-large", &[("segment.bytes", Some("99999999999"))]),
        ("no-boolean", &[("preallocate", Some("maybe"))]),
        ("no-choice", &[("cleanup.policy", Some("burn"))]),
        ("empty", &[("cleanup.policy", Some(""))]),
        ("twice", &[("retention.ms", Some("1000")), ("retention.ms", Some("2000"))]),
        ("blank", &[("retention.ms", Some(" 1000 "))]),
    ];
    for (what, configs) in cases {
        let config = |(name, value): &Config<'_>| create_topics::RequestConfig {
            name: (*name).into(),
            value: value.map(Into::into),
        };
        session.ask_each(&format!("config {what}"), |version| {
            let configs = configs.iter().map(config).collect();
            create(vec![create_topics::RequestTopic { configs, ..topic(&format!("config-{what}-{version}"), 1, 1) }])
        });
    }
}

fn created_together(session: &mut Session<'_>) {
    session.ask_each("twice", |version| {
        let name = format!("twice-{version}");
        create(vec![topic(&name, 1, 1), topic(&name, 2, 1), topic(&format!("once-{version}"), 1, 1)])
    });
    for timeout_ms in [0, -1, i32::MIN] {
        // As the original waits for nothing, it answers that it did not see the end of it.
        let request = create_topics::Request { timeout_ms, ..create(vec![topic("", 1, 1), topic("t", 1, 1)]) };
        session.ask(&format!("timeout {timeout_ms}"), &request);
    }
    let validated = create_topics::Request {
        validate_only: true,
        ..create(vec![topic("validated", 3, 1), topic("t", 1, 1), topic("a b", 1, 1), topic("v", 1, 5)])
    };
    session.ask("validated only", &validated);
    session.ask("nothing", &create(Vec::new()));
}

fn partitions(session: &mut Session<'_>) {
    session.ask_at("made", 5, &create(vec![topic("p", 2, 1)]));
    let request = |name: &str, count, assignments: Option<&[&[i32]]>| {
        let assignment = |ids: &&[i32]| create_partitions::Assignment { broker_ids: ids.to_vec() };
        let topic = create_partitions::RequestTopic {
            name: name.into(),
            count,
            assignments: assignments.map(|assignments| assignments.iter().map(assignment).collect()),
        };
        create_partitions::Request { topics: vec![topic], timeout_ms: 10_000, validate_only: false }
    };
    // Not with i32::MIN, which is 2^31 - 2 partitions more in the original's arithmetic: it tries, until its heap is full.
    for count in [0, -1, -1000, 1, 2] {
        session.ask(&format!("{count} partitions"), &request("p", count, None));
    }
    let cases: [(&str, &[&[i32]]); 8] = [
        ("none", &[]),
        ("too few", &[&[0]]),
        ("too many", &[&[0], &[0], &[0]]),
        ("empty", &[&[], &[]]),
        ("same", &[&[0, 0], &[0, 0]]),
        ("unknown", &[&[7], &[7]]),
        ("uneven", &[&[0], &[0, 7]]),
        ("below", &[&[-1], &[0]]),
    ];
    for (what, assignments) in cases {
        session.ask(&format!("assignment {what}"), &request("p", 4, Some(assignments)));
    }
    for name in ["", "a b", "..", "nowhere"] {
        session.ask(&format!("of {name:?}"), &request(name, 3, None));
    }
    let mut twice = request("p", 3, None);
    twice.topics.push(create_partitions::RequestTopic { count: 4, ..twice.topics[0].clone() });
    twice.topics.push(create_partitions::RequestTopic { name: "nowhere".into(), ..twice.topics[0].clone() });
    session.ask("twice", &twice);
    for timeout_ms in [0, -1] {
        let request = create_partitions::Request { timeout_ms, validate_only: true, ..request("p", 3, None) };
        session.ask(&format!("validated only, timeout {timeout_ms}"), &request);
    }
    session.ask("nothing", &create_partitions::Request::default());
}

fn deletions(session: &mut Session<'_>) {
    let request = |names: &[&str], timeout_ms| delete_topics::Request {
        topic_names: names.iter().map(|name| (*name).into()).collect(),
        timeout_ms,
    };
    for names in [&[""][..], &["a b"], &[".."], &["nowhere"], &["nowhere", "nowhere", "other"], &[]] {
        for timeout_ms in [1_000, 0, -1, i32::MIN] {
            session.ask(&format!("{names:?}, timeout {timeout_ms}"), &request(names, timeout_ms));
        }
    }
    session.ask_each("twice", |version| request(&[&format!("once-{version}"), &format!("once-{version}")], 10_000));
}
