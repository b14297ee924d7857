//! The APIs of groups, FindCoordinator.

use base::Str;
use bytes::Bytes;
use kafka_proto::messages::{
    delete_groups, describe_groups, find_coordinator, heartbeat, join_group, leave_group, list_groups, offset_commit,
    offset_delete, offset_fetch, sync_group,
};

use super::Session;

const TIMEOUTS: [i32; 8] = [0, -1, i32::MIN, 1, 5_999, 6_000, 1_800_001, i32::MAX];

pub(super) fn script(session: &mut Session<'_>) {
    coordinators(session);
    joins(session);
    members(session);
    commits(session);
    offset_fetches(session);
    others(session);
}

fn coordinators(session: &mut Session<'_>) {
    for key in ["", "g", "a b", "\0", &"k".repeat(1000)] {
        for key_type in [0, 2, 7, -1, 127, -128] {
            let request = find_coordinator::Request { key: key.into(), key_type };
            session.ask(&format!("type {key_type} of {} characters", key.len()), &request);
        }
    }
}

fn protocol(name: &str, metadata: &'static [u8]) -> join_group::Protocol {
    join_group::Protocol { name: name.into(), metadata: Bytes::from_static(metadata) }
}

fn join(group: &str) -> join_group::Request {
    join_group::Request {
        group_id: group.into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 20_000,
        member_id: "".into(),
        group_instance_id: None,
        protocol_type: "consumer".into(),
        protocols: vec![protocol("range", b"one"), protocol("other", b"two")],
    }
}

fn joins(session: &mut Session<'_>) {
    // The original never answers: one wait is enough.
    let mut twice = join("a protocol twice");
    twice.protocols = vec![protocol("range", b"one"), protocol("range", b"two")];
    session.ask_at("a protocol twice", 3, &twice);
    let mut ask = |what: String, change: &dyn Fn(&mut join_group::Request)| {
        session.ask_each(&what, |version| {
            // A group of its own, whose only member joins at once.
            let mut request = join(&format!("{what} v{version}"));
            change(&mut request);
            request
        });
    };
    for timeout in TIMEOUTS {
        ask(format!("session timeout {timeout}"), &|request| request.session_timeout_ms = timeout);
        if timeout <= 6_000 {
            ask(format!("rebalance timeout {timeout}"), &|request| request.rebalance_timeout_ms = timeout);
        }
    }
    ask("no group".to_owned(), &|request| request.group_id = "".into());
    ask(format!("long group {}", "g".repeat(1000)), &|_| ());
    ask("no type".to_owned(), &|request| request.protocol_type = "".into());
    ask("no protocols".to_owned(), &|request| request.protocols.clear());
    ask("protocols of no name".to_owned(), &|request| request.protocols = vec![protocol("", b"one")]);
    ask("no metadata".to_owned(), &|request| request.protocols = vec![protocol("range", b"")]);
    for member in ["nobody", " ", "script-00000000-0000-0000-0000-000000000000"] {
        ask(format!("member {member:?}"), &|request| request.member_id = member.into());
    }
    for instance in ["", " ", "a b", ".", "..", "i", &"i".repeat(250)] {
        ask(format!("instance {instance:?}"), &|request| {
            request.group_instance_id = Some(instance.into());
        });
        ask(format!("instance {instance:?} of an unknown member"), &|request| {
            (request.group_instance_id, request.member_id) = (Some(instance.into()), "nobody".into());
        });
    }
}

/// A group with one member, and what it, strangers and others say to it.
fn members(session: &mut Session<'_>) {
    let lasting = join_group::Request { session_timeout_ms: 1_800_000, ..join("alive") };
    let first = session.client.try_ask(&lasting, 3).unwrap();
    let member = first.member_id.clone();
    for (what, change) in [
        ("other type", (|request: &mut join_group::Request| request.protocol_type = "connect".into()) as fn(&mut _)),
        ("no common protocol", |request| request.protocols = vec![protocol("third", b"three")]),
        ("no protocols", |request| request.protocols.clear()),
        ("no type", |request| request.protocol_type = "".into()),
    ] {
        let mut request = join("alive");
        change(&mut request);
        session.ask(&format!("{what} in a group that is alive"), &request);
    }
    for (what, generation_id, member_id) in [
        ("unknown member", 1, Str::from("nobody")),
        ("no member", 1, Str::from("")),
        ("old generation", 0, member.clone()),
        ("no generation", -1, member.clone()),
        ("later generation", i32::MAX, member.clone()),
        ("itself", 1, member.clone()),
    ] {
        for group in ["alive", "", "never"] {
            let what = format!("{what} of {group:?}");
            let beat = heartbeat::Request {
                group_id: group.into(),
                generation_id,
                member_id: member_id.clone(),
                group_instance_id: None,
            };
            session.ask(&what, &beat);
            for instance in ["", "i"] {
                let beat = heartbeat::Request { group_instance_id: Some(instance.into()), ..beat.clone() };
                session.ask(&format!("{what}, instance {instance:?}"), &beat);
            }
            syncs(session, &what, group, generation_id, &member_id);
        }
    }
    let assignment = |member_id: &Str, assignment| sync_group::Assignment { member_id: member_id.clone(), assignment };
    let stranger = sync_group::Request {
        group_id: "alive".into(),
        generation_id: 1,
        member_id: member.clone(),
        assignments: vec![
            assignment(&"nobody".into(), Bytes::from_static(b"x")),
            assignment(&member, Bytes::from_static(b"one")),
            assignment(&member, Bytes::from_static(b"two")),
        ],
        ..sync_group::Request::default()
    };
    session.ask("assignments twice and for strangers", &stranger);
    leaves(session, &member);
}

fn syncs(session: &mut Session<'_>, what: &str, group: &str, generation_id: i32, member_id: &Str) {
    let sync = sync_group::Request {
        group_id: group.into(),
        generation_id,
        member_id: member_id.clone(),
        protocol_type: Some("connect".into()),
        protocol_name: Some("none".into()),
        ..sync_group::Request::default()
    };
    let is_itself = what.starts_with("itself of \"alive\"");
    if !is_itself {
        session.ask(what, &sync);
    }
    // Before version 5 this would be its true assignment.
    session.ask_at(&format!("{what}, other protocols"), 5, &sync);
    for instance in ["", "i"] {
        let sync = sync_group::Request { group_instance_id: Some(instance.into()), ..sync.clone() };
        session.ask_at(&format!("{what}, instance {instance:?}"), 5, &sync);
    }
}

fn leaves(session: &mut Session<'_>, member: &Str) {
    let leave = |group: &str, members: &[(&str, Option<&str>)]| leave_group::Request {
        group_id: group.into(),
        member_id: members.first().map_or("", |(member, _)| member).into(),
        members: members
            .iter()
            .map(|(member, instance)| leave_group::RequestMember {
                member_id: (*member).into(),
                group_instance_id: instance.map(Str::from),
            })
            .collect(),
    };
    for version in 0..=4 {
        for group in ["alive", "", "never"] {
            for (what, members) in [
                ("nobody", &[("nobody", None)][..]),
                ("no id", &[("", None)]),
                ("no members", &[]),
                ("an instance", &[("", Some("i")), ("nobody", Some("i")), ("", Some(""))]),
            ] {
                let mut request = leave(group, members);
                match version >= 3 {
                    true => request.member_id = "".into(),
                    false => request.members.clear(),
                }
                session.ask_at(&format!("{what} leaves {group:?}"), version, &request);
            }
        }
    }
    let mut twice = leave("alive", &[(member, None), (member, None), ("nobody", None)]);
    twice.member_id = "".into();
    if let Ok(mut left) = session.client.try_ask(&twice, 4) {
        left.members.iter_mut().for_each(|left| {
            left.member_id = if left.member_id == *member { "<id>".into() } else { left.member_id.clone() }
        });
        session.note("leaves twice", "LeaveGroup", 4, &format!("{left:?}"));
    }
}

fn commit(group: &str, change: impl FnOnce(&mut offset_commit::Request)) -> offset_commit::Request {
    let partition = offset_commit::RequestPartition {
        partition_index: 0,
        committed_offset: 5,
        committed_leader_epoch: -1,
        commit_timestamp: -1,
        committed_metadata: Some("".into()),
    };
    let mut request = offset_commit::Request {
        group_id: group.into(),
        generation_id: -1,
        member_id: "".into(),
        group_instance_id: None,
        retention_time_ms: -1,
        topics: vec![offset_commit::RequestTopic { name: "t".into(), partitions: vec![partition] }],
    };
    change(&mut request);
    request
}

fn commits(session: &mut Session<'_>) {
    let mut ask = |what: &str, change: &dyn Fn(&mut offset_commit::Request)| {
        session.ask(what, &commit("commits", change));
        let fetch = offset_fetch::Request { group_id: "commits".into(), topics: None, require_stable: false };
        session.ask_at(&format!("behind {what}"), 7, &fetch);
    };
    for offset in [-1, -2, i64::MIN, i64::MAX] {
        ask(&format!("offset {offset}"), &|request| request.topics[0].partitions[0].committed_offset = offset);
    }
    for epoch in [-2, 0, 7, i32::MIN, i32::MAX] {
        ask(&format!("epoch {epoch}"), &|request| request.topics[0].partitions[0].committed_leader_epoch = epoch);
    }
    for partition in [-1, 7, i32::MIN, i32::MAX] {
        ask(&format!("partition {partition}"), &|request| request.topics[0].partitions[0].partition_index = partition);
    }
    for len in [4096, 4097, 30_000] {
        ask(&format!("metadata of {len}"), &|request| {
            request.topics[0].partitions[0].committed_metadata = Some("m".repeat(len).into());
        });
    }
    ask("metadata in two bytes each", &|request| {
        request.topics[0].partitions[0].committed_metadata = Some("\u{e9}".repeat(4096).into());
    });
    ask("null metadata", &|request| request.topics[0].partitions[0].committed_metadata = None);
    for time in [0, -2, i64::MIN, i64::MAX] {
        if time != 0 && time != i64::MIN {
            ask(&format!("retention {time}"), &|request| request.retention_time_ms = time);
        }
        ask(&format!("timestamp {time}"), &|request| request.topics[0].partitions[0].commit_timestamp = time);
    }
    for topic in ["", "a b", "..", "nowhere", "__consumer_offsets"] {
        ask(&format!("topic {topic:?}"), &|request| request.topics[0].name = topic.into());
    }
    ask("a partition twice", &|request| {
        let again = request.topics[0].partitions[0].clone();
        request.topics[0].partitions.push(offset_commit::RequestPartition { committed_offset: 6, ..again });
    });
    ask("a topic twice", &|request| request.topics.push(request.topics[0].clone()));
    ask("no topics", &|request| request.topics.clear());
    for (generation, member, instance) in [
        (5, "", None),
        (-1, "nobody", None),
        (5, "nobody", None),
        (-2, "", None),
        (-1, "", Some("i")),
        (5, "nobody", Some("i")),
    ] {
        for group in ["commits", "never"] {
            ask(&format!("generation {generation}, member {member:?}, instance {instance:?} of {group}"), &|request| {
                (request.group_id, request.generation_id, request.member_id) =
                    (group.into(), generation, member.into());
                request.group_instance_id = instance.map(Str::from);
            });
        }
    }
    session.ask("no group", &commit("", |_| ()));
}

fn offset_fetches(session: &mut Session<'_>) {
    let topic = |name: &str, partitions: &[i32]| offset_fetch::RequestTopic {
        name: name.into(),
        partition_indexes: partitions.to_vec(),
    };
    for group in ["", "never", "commits", " "] {
        for (what, topics) in [
            ("all", None),
            ("no topics", Some(vec![])),
            ("no partitions", Some(vec![topic("t", &[])])),
            ("strangers", Some(vec![topic("", &[0]), topic("a b", &[-1]), topic("nowhere", &[i32::MAX])])),
            ("twice", Some(vec![topic("t", &[0, 0, -1]), topic("t", &[0, 1])])),
        ] {
            let request = offset_fetch::Request { group_id: group.into(), topics, require_stable: false };
            session.ask(&format!("{what} of {group:?}"), &request);
            session.ask_at(
                &format!("{what} of {group:?}, stable"),
                7,
                &offset_fetch::Request { require_stable: true, ..request },
            );
        }
    }
}

fn others(session: &mut Session<'_>) {
    let names = |names: &[&str]| names.iter().map(|name| Str::from(*name)).collect::<Vec<_>>();
    for groups in [&[""][..], &["never", "never"], &["commits", " ", ""], &[]] {
        let request = describe_groups::Request { groups: names(groups), include_authorized_operations: false };
        session.ask(&format!("{groups:?}"), &request);
        let request = describe_groups::Request { include_authorized_operations: true, ..request };
        session.ask(&format!("{groups:?} with operations"), &request);
        session.ask(&format!("{groups:?}"), &delete_groups::Request { group_names: names(groups) });
    }
    for states in [&["Rubbish"][..], &[""], &["Stable", "Stable", "Dead"]] {
        session.ask_at(&format!("{states:?}"), 4, &list_groups::Request { states_filter: names(states) });
    }
    for group in ["", "never", "alive"] {
        for (name, partition_index) in [("t", 0), ("t", -1), ("nowhere", 0), ("", 0)] {
            let partition = offset_delete::RequestPartition { partition_index };
            let topic =
                offset_delete::RequestTopic { name: name.into(), partitions: vec![partition.clone(), partition] };
            let request = offset_delete::Request { group_id: group.into(), topics: vec![topic.clone(), topic] };
            session.ask(&format!("{name:?} {partition_index} of {group:?}"), &request);
        }
        session
            .ask(&format!("nothing of {group:?}"), &offset_delete::Request { group_id: group.into(), topics: vec![] });
    }
}
