//! Moves of replicas and elections that cannot be, or are asked for in odd words: by the znodes of the old tools, and by request.

use interop::{Cluster, Kind};
use kafka_proto::messages::alter_partition_reassignments::{Request, RequestPartition, RequestTopic};
use kafka_proto::messages::list_partition_reassignments;

use super::nodes::{is_taken, tell};
use super::{Session, TOPIC};

const REASSIGN: &str = "/admin/reassign_partitions";
const ELECT: &str = "/admin/preferred_replica_election";

/// What there is of each topic that is to be moved.
const REPLICAS: &[usize] = &[1, 2];

pub(super) fn script(session: &mut Session) {
    by_znode(session);
    refused_here(session);
    by_request(session);
    elections(session);
    garbage(session);
}

/// An original sees no later node when one that it has left is deleted; a new controller does.
fn new_controller(session: &mut Session, after: &str) {
    session.cluster.znodes().unwrap().delete("/controller").unwrap();
    session.cluster.await_controller().unwrap();
    session.serves(&format!("{after} and a new controller"));
}

/// Each case has a topic of its own, `MOVED`: some go on for ever.
fn by_znode(session: &mut Session) {
    let fields = [
        // To brokers.
        r#""topic":"MOVED","partition":0,"replicas":[2,1]"#,
        r#""topic":"MOVED","partition":0,"replicas":[9]"#,
        r#""topic":"MOVED","partition":0,"replicas":[1,9]"#,
        r#""topic":"MOVED","partition":0,"replicas":[1,2,9,10]"#,
        r#""topic":"MOVED","partition":0,"replicas":null"#,
        r#""topic":"MOVED","partition":0"#,
        // Of partitions.
        r#""topic":"no-such-topic","partition":0,"replicas":[1]"#,
        r#""topic":"MOVED","partition":9,"replicas":[1]"#,
        r#""topic":"MOVED","partition":-1,"replicas":[1]"#,
        r#""topic":"MOVED","partition":"0","replicas":[2,1]"#,
        r#""topic":"MOVED","partition":" 0 ","replicas":[2,1]"#,
        r#""topic":"MOVED","partition":0.9,"replicas":[2,1]"#,
        r#""topic":"MOVED","partition":null,"replicas":[2,1]"#,
        r#""topic":"MOVED","replicas":[2,1]"#,
        r#""topic":"MOVED","partition":"","replicas":[2,1]"#,
        r#""topic":"MOVED","partition":"zero","replicas":[2,1]"#,
        r#""topic":"MOVED","partition":false,"replicas":[2,1]"#,
        r#""topic":"MOVED","partition":4294967296,"replicas":[2,1]"#,
        r#""partition":0,"replicas":[2,1]"#,
        r#""topic":7,"partition":0,"replicas":[2,1]"#,
        r#""topic":{},"partition":0,"replicas":[2,1]"#,
        // Of anything else.
        r#""topic":"MOVED","partition":0,"replicas":[2,1],"log_dirs":["any","any"]"#,
        r#""topic":"MOVED","partition":0,"replicas":[1]},{"topic":"MOVED","partition":0,"replicas":[2,1]"#,
    ];
    let mut nodes: Vec<_> =
        fields.iter().map(|fields| format!(r#"{{"version":1,"partitions":[{{{fields}}}]}}"#)).collect();
    let entry = r#"{"topic":"MOVED","partition":0,"replicas":[2,1]}"#;
    nodes.extend([
        r#"{"version":1,"partitions":[]}"#.to_owned(),
        r#"{"version":1,"partitions":null}"#.to_owned(),
        r#"{"version":1,"partitions":[null]}"#.to_owned(),
        r#"{"version":1,"partitions":[[]]}"#.to_owned(),
        format!(r#"{{"partitions":[{entry}]}}"#),
        format!(r#"{{"version":"1","partitions":[{entry}]}}"#),
        format!(r#"{{"version":7,"partitions":[{entry}]}}"#),
        format!(r#"{{"version":"one","partitions":[{entry}]}}"#),
        format!(r#"{{"version":1,"partitions":[{entry}],"more":1}}"#),
        format!(r#"{{"version":1,"partitions":[{entry}]}} and more"#),
    ]);
    for (number, node) in nodes.iter().enumerate() {
        let topic = format!("moved-{number}");
        session.cluster.create(&topic, &[REPLICAS]).unwrap();
        is_taken(session, &format!("{REASSIGN} {node}"), REASSIGN, &node.replace("MOVED", &topic));
        tell(session, &topic, node);
        new_controller(session, node);
    }
}

/// What the original takes on: behind no brokers, or texts for brokers, each of its controllers fails over what stands in the topic's node; the
/// node of one that is named twice stays for ever; a negative one never comes. Here a partition can't be held so, as by a request.
fn refused_here(session: &mut Session) {
    if session.kind == Kind::Theirs {
        return;
    }
    session.cluster.create("kept", &[REPLICAS]).unwrap();
    for (replicas, is_left) in [("[]", false), ("[1,1]", false), ("[-1]", false), (r#"["2","1"]"#, true)] {
        let node = format!(r#"{{"version":1,"partitions":[{{"topic":"kept","partition":0,"replicas":{replicas}}}]}}"#);
        let mut znodes = session.cluster.znodes().unwrap();
        znodes.create(REASSIGN, &node).unwrap();
        session.serves(replicas);
        assert_eq!(znodes.get(REASSIGN).unwrap().is_some(), is_left, "{replicas}");
        if is_left {
            znodes.delete(REASSIGN).unwrap();
        }
        assert_eq!(session.cluster.assignment("kept").unwrap(), [REPLICAS], "{replicas}");
    }
}

fn by_request(session: &mut Session) {
    session.cluster.create("asked", &[REPLICAS, REPLICAS]).unwrap();
    let one =
        |partition_index, replicas: &[i32]| RequestPartition { partition_index, replicas: Some(replicas.to_vec()) };
    for (topic, partitions) in [
        ("asked", vec![one(0, &[])]),
        ("asked", vec![one(0, &[1, 1])]),
        ("asked", vec![one(0, &[-1])]),
        ("asked", vec![one(0, &[9])]),
        ("asked", vec![one(0, &[1, 2, 3, 4])]),
        ("asked", vec![one(0, &[9, 1, 10])]),
        ("asked", vec![RequestPartition { partition_index: 0, replicas: None }]),
        ("asked", vec![one(9, &[1])]),
        ("no-such-topic", vec![one(0, &[1])]),
        ("no-such-topic", vec![one(0, &[9])]),
        ("asked", vec![one(0, &[9]), one(0, &[2, 1])]),
        ("asked", vec![one(1, &[2, 1]), one(0, &[9])]),
    ] {
        let what = format!("{topic} {partitions:?}");
        let topics = vec![RequestTopic { name: topic.into(), partitions }];
        let controller = session.cluster.await_controller().unwrap();
        let mut answer = session.cluster.ask(controller, &Request { timeout_ms: 5_000, topics }, 0).unwrap();
        answer.responses.iter_mut().for_each(|topic| topic.partitions.sort_by_key(|one| one.partition_index));
        session.note(&what, answer);
        let all = list_partition_reassignments::Request { timeout_ms: 5_000, topics: None };
        let mut listed = session.cluster.ask(controller, &all, 0).unwrap();
        listed.topics.sort_by(|one, other| one.name.cmp(&other.name));
        session.note(&format!("under way after {what}"), listed);
        session.serves(&what);
        tell(session, "asked", &what);
    }
}

fn elections(session: &mut Session) {
    session.cluster.create("elected", &[REPLICAS]).unwrap();
    let move_back = |cluster: &mut Cluster, replicas: &str| {
        let node =
            format!(r#"{{"version":1,"partitions":[{{"topic":"elected","partition":0,"replicas":{replicas}}}]}}"#);
        cluster.znodes().unwrap().create(REASSIGN, &node).unwrap();
        cluster.wait("a reassignment", |cluster| Ok(cluster.znodes()?.get(REASSIGN)?.is_none())).unwrap();
    };
    for (replicas, entries) in [
        ("[2,1]", r#"{"topic":"no-such-topic","partition":0}"#),
        ("[2,1]", r#"{"topic":"t","partition":9}"#),
        ("[2,1]", ""),
        ("[2,1]", r#"{"topic":"elected","partition":0},{"topic":"elected","partition":0}"#),
        ("[1,2]", r#"{"topic":"elected","partition":0},{"topic":"t","partition":9}"#),
        ("[2,1]", r#"{"topic":"elected","partition":0,"more":1}"#),
    ] {
        move_back(&mut session.cluster, replicas);
        let node = format!(r#"{{"version":1,"partitions":[{entries}]}}"#);
        is_taken(session, &format!("{ELECT} {node}"), ELECT, &node);
        tell(session, "elected", &node);
    }
    let node = format!(r#"{{"partitions":[{{"topic":"{TOPIC}","partition":0}}]}} and more"#);
    is_taken(session, &format!("{ELECT} {node}"), ELECT, &node);
}

/// What can't be read.
fn garbage(session: &mut Session) {
    for path in [REASSIGN, ELECT] {
        for data in [
            "",
            "{",
            "no json",
            "null",
            "[]",
            "7",
            "{}",
            r#"{"version":1}"#,
            r#"{"version":1,"partitions":[{"topic":"t","partition":"0"}]}"#,
            r#"{"version":1,"partitions":[{"topic":7,"partition":0}]}"#,
            r#"{"version":1,"partitions":[{"partition":0}]}"#,
        ] {
            is_taken(session, &format!("garbage at {path} {data}"), path, data);
            new_controller(session, data);
        }
    }
}
