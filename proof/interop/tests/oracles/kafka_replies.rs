//! The same requests, byte for byte, to a JVM broker and to ours, each with a ZooKeeper of its own kind: the replies are equal but for
//! ids, ports and folders. What differs on purpose is named where it is passed over.

use std::collections::BTreeMap;

use base::Str;
use bytes::Bytes;
use kafka_proto::ErrorCode;
use kafka_proto::messages::{
    api_versions, delete_groups, describe_configs, describe_groups, heartbeat, join_group, leave_group, list_groups,
    offset_commit, offset_delete, offset_fetch, sync_group,
};

use crate::kafka_side::{Client, Side, versions};

/// What was asked, and what was answered, in order.
#[derive(Default)]
struct Transcript {
    lines: Vec<String>,
    /// Ids of members by their first mention.
    members: BTreeMap<String, String>,
}

impl Transcript {
    fn note(&mut self, what: &str, version: i16, reply: &dyn std::fmt::Debug) {
        let mut text = format!("{what} v{version}: {reply:?}");
        for (id, name) in &self.members {
            text = text.replace(id, name);
        }
        self.lines.push(text);
    }

    fn member(&mut self, id: &Str) {
        let (name, uuid) = id.split_at(id.len() - 37);
        assert!(["script", "instance"].contains(&name) && uuid.starts_with('-'), "a name and a UUID: {id}");
        let name = format!("<member {}>", self.members.len());
        self.members.entry(id.to_string()).or_insert(name);
    }
}

fn assert_equal(ours: &[String], theirs: &[String]) {
    let differ = ours.iter().zip(theirs).filter(|(ours, theirs)| ours != theirs);
    let report: Vec<String> = differ.map(|(ours, theirs)| format!("ours:   {ours}\ntheirs: {theirs}")).collect();
    assert!(report.is_empty(), "{} replies differ:\n{}", report.len(), report.join("\n"));
    assert_eq!(ours.len(), theirs.len());
}

#[test]
fn replies_are_those_of_the_original() {
    let (theirs, ours) = (Side::start(false), Side::start(true));
    compare_api_versions(&ours, &theirs);
    let both = |script: fn(&Side) -> Vec<String>| (script(&ours), script(&theirs));
    let ((our_configs, their_configs), (our_groups, their_groups)) = (both(configs), both(groups));
    assert_equal(&[our_configs, our_groups].concat(), &[their_configs, their_groups].concat());
}

/// Each API that we advertise has the original's versions; what we lack is what docs/compatibility.md says.
fn compare_api_versions(ours: &Side, theirs: &Side) {
    let page = include_str!("../../../../docs/compatibility.md");
    let (mut our_client, mut their_client) = (ours.connect(), theirs.connect());
    for version in versions::<api_versions::Request>() {
        let request =
            api_versions::Request { client_software_name: "script".into(), client_software_version: "1".into() };
        let (ours, theirs) = (our_client.ask(&request, version), their_client.ask(&request, version));
        for row in &theirs.api_keys {
            match ours.api_keys.iter().find(|own| own.api_key == row.api_key) {
                Some(own) => assert_eq!(own, row, "v{version}"),
                None => {
                    let start = format!("| {} |", row.api_key);
                    let line = page.lines().find(|line| line.starts_with(&start)).unwrap();
                    let state = line.rsplit('|').nth(1).unwrap().trim();
                    assert!(!state.starts_with("served"), "{line}");
                }
            }
        }
        assert!(ours.api_keys.iter().all(|own| theirs.api_keys.contains(own)), "v{version}");
        let rest = |reply: api_versions::Response| api_versions::Response { api_keys: Vec::new(), ..reply };
        assert_eq!(rest(ours), rest(theirs), "v{version}");
    }
}

fn configs(side: &Side) -> Vec<String> {
    let mut client = side.connect();
    let mut lines = Vec::new();
    for (resource_type, resource_name) in [(4, "0"), (4, ""), (2, "t"), (2, "nowhere"), (4, "1"), (4, "x"), (8, "")] {
        for version in versions::<describe_configs::Request>() {
            let resource = describe_configs::Resource {
                resource_type,
                resource_name: resource_name.into(),
                configuration_keys: None,
            };
            // The texts of the documentation are our own.
            let request = describe_configs::Request {
                resources: vec![resource],
                include_synonyms: version > 0,
                include_documentation: false,
            };
            let mut outcome = client.ask(&request, version).results.remove(0);
            let mut rows = std::mem::take(&mut outcome.configs);
            rows.sort_by(|one, other| one.name.cmp(&other.name));
            // 2.7 forgot to fill the field of version 0, which earlier versions did, as we do.
            rows.iter_mut().for_each(|row| row.is_default = false);
            lines.push(format!("v{version} {outcome:?}"));
            lines.extend(rows.iter().map(|row| format!("v{version} {resource_name} {row:?}")));
        }
    }
    let port = |line: String| {
        // The port of its own ZooKeeper.
        let connect = line.split_once("value: Some(\"127.0.0.1:").map(|(before, _)| before.to_owned());
        connect.filter(|_| line.contains("\"zookeeper.connect\"")).unwrap_or(line)
    };
    lines.into_iter().map(|line| port(side.plain(&line))).collect()
}

fn join_request(group: &str, member_id: &str, instance: Option<&str>, version: i16) -> join_group::Request {
    join_group::Request {
        group_id: group.into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: if version > 0 { 20_000 } else { -1 },
        member_id: member_id.into(),
        group_instance_id: instance.filter(|_| version >= 5).map(Str::from),
        protocol_type: "consumer".into(),
        protocols: vec![
            join_group::Protocol { name: "range".into(), metadata: Bytes::from_static(b"one") },
            join_group::Protocol { name: "other".into(), metadata: Bytes::from_static(b"two") },
        ],
    }
}

/// One member's life in a group of its own for each version of JoinGroup; all other group APIs at every version on the way.
fn groups(side: &Side) -> Vec<String> {
    let mut transcript = Transcript::default();
    let mut client = side.connect();
    for version in versions::<join_group::Request>() {
        for instance in [None, Some("instance")] {
            if instance.is_none() || version >= 5 {
                let group = format!("group-{version}-{}", instance.unwrap_or("dynamic"));
                life(&mut client, &mut transcript, &group, instance, version);
            }
        }
    }
    strangers(&mut client, &mut transcript);
    let plain = |line: &String| side.plain(line);
    transcript.lines.iter().map(plain).collect()
}

fn life(client: &mut Client, transcript: &mut Transcript, group: &str, instance: Option<&str>, version: i16) {
    let mut joined = client.ask(&join_request(group, "", instance, version), version);
    transcript.member(&joined.member_id);
    transcript.note("join", version, &joined);
    if joined.error_code == ErrorCode::MEMBER_ID_REQUIRED {
        joined = client.ask(&join_request(group, &joined.member_id, instance, version), version);
        transcript.note("join again", version, &joined);
    }
    let member = joined.member_id.clone();
    for sync_version in versions::<sync_group::Request>() {
        for generation_id in [joined.generation_id, 77] {
            let assignment = Bytes::from_static(b"\0\0\0\0\0\0\0\0\0\0");
            let request = sync_group::Request {
                group_id: group.into(),
                generation_id,
                member_id: member.clone(),
                group_instance_id: instance.filter(|_| sync_version >= 3).map(Str::from),
                protocol_type: Some("consumer".into()).filter(|_| sync_version >= 5),
                protocol_name: Some("range".into()).filter(|_| sync_version >= 5),
                assignments: vec![sync_group::Assignment { member_id: member.clone(), assignment }],
            };
            transcript.note("sync", sync_version, &client.ask(&request, sync_version));
        }
    }
    for beat_version in versions::<heartbeat::Request>() {
        for (member_id, generation_id) in
            [(member.clone(), joined.generation_id), (member.clone(), 9), ("nobody".into(), joined.generation_id)]
        {
            let group_instance_id = instance.filter(|_| beat_version >= 3).map(Str::from);
            let request = heartbeat::Request { group_id: group.into(), generation_id, member_id, group_instance_id };
            transcript.note("heartbeat", beat_version, &client.ask(&request, beat_version));
        }
    }
    offsets(client, transcript, group, &member, joined.generation_id);
    describe(client, transcript, group);
    let delete = delete_groups::Request { group_names: vec![group.into()] };
    transcript.note("delete", 2, &client.ask(&delete, 2));
    let leave_version = version.min(*versions::<leave_group::Request>().end());
    let mut members = vec![leave_group::RequestMember { member_id: member.clone(), group_instance_id: None }];
    members.push(leave_group::RequestMember { member_id: "nobody".into(), group_instance_id: None });
    members.push(leave_group::RequestMember { member_id: "".into(), group_instance_id: Some("no such".into()) });
    let is_batch = leave_version >= 3;
    let leave = leave_group::Request {
        group_id: group.into(),
        member_id: if is_batch { "".into() } else { member },
        members: if is_batch { members } else { Vec::new() },
    };
    transcript.note("leave", leave_version, &client.ask(&leave, leave_version));
    describe(client, transcript, group);
    let topics = vec![offset_delete::RequestTopic {
        name: "t".into(),
        partitions: vec![
            offset_delete::RequestPartition { partition_index: 0 },
            offset_delete::RequestPartition { partition_index: 9 },
        ],
    }];
    transcript.note("offset delete", 0, &client.ask(&offset_delete::Request { group_id: group.into(), topics }, 0));
    for delete_version in versions::<delete_groups::Request>() {
        transcript.note("delete", delete_version, &client.ask(&delete, delete_version));
    }
    describe(client, transcript, group);
}

fn offsets(client: &mut Client, transcript: &mut Transcript, group: &str, member: &Str, generation_id: i32) {
    // Version 0 keeps offsets in ZooKeeper and knows no members; 1 has a time of its own.
    for version in versions::<offset_commit::Request>() {
        for generation_id in [generation_id, 55] {
            let partition = |partition_index| offset_commit::RequestPartition {
                partition_index,
                committed_offset: i64::from(version) + 100,
                committed_leader_epoch: -1,
                commit_timestamp: -1,
                committed_metadata: Some("note".into()),
            };
            let topics = ["t", "nowhere"].map(|name| offset_commit::RequestTopic {
                name: name.into(),
                partitions: vec![partition(0), partition(1)],
            });
            let request = offset_commit::Request {
                group_id: group.into(),
                generation_id: if version > 0 { generation_id } else { -1 },
                member_id: if version > 0 { member.clone() } else { "".into() },
                retention_time_ms: -1,
                topics: topics.to_vec(),
                ..offset_commit::Request::default()
            };
            let mut reply = client.ask(&request, version);
            // The original answers in the order of its hashes.
            reply.topics.sort_by(|one, other| one.name.cmp(&other.name));
            transcript.note("commit", version, &reply);
        }
    }
    for version in versions::<offset_fetch::Request>() {
        let wanted = vec![offset_fetch::RequestTopic { name: "t".into(), partition_indexes: vec![0, 1, 7] }];
        for topics in [Some(wanted), None] {
            if topics.is_some() || version >= 2 {
                let request = offset_fetch::Request { group_id: group.into(), topics, require_stable: version >= 7 };
                let mut reply = client.ask(&request, version);
                // So here.
                for topic in &mut reply.topics {
                    topic.partitions.sort_by_key(|partition| partition.partition_index);
                }
                transcript.note("fetch offsets", version, &reply);
            }
        }
    }
}

fn describe(client: &mut Client, transcript: &mut Transcript, group: &str) {
    for version in versions::<describe_groups::Request>() {
        let request =
            describe_groups::Request { groups: vec![group.into()], include_authorized_operations: version >= 3 };
        transcript.note("describe", version, &client.ask(&request, version));
    }
    for version in versions::<list_groups::Request>() {
        let filters = if version >= 4 {
            vec![Vec::new(), vec!["Stable".into()], vec!["stable".into()]]
        } else {
            vec![Vec::new()]
        };
        for states_filter in filters {
            let mut reply = client.ask(&list_groups::Request { states_filter }, version);
            reply.groups.sort_by(|one, other| one.group_id.cmp(&other.group_id));
            transcript.note("list", version, &reply);
        }
    }
}

/// Requests about groups that are none, and joins that are refused.
fn strangers(client: &mut Client, transcript: &mut Transcript) {
    let mut refused = |what: &str, change: fn(&mut join_group::Request)| {
        let mut request = join_request("refused", "", None, 3);
        change(&mut request);
        let reply = client.ask(&request, 3);
        transcript.note(what, 3, &reply);
    };
    refused("a session too short", |request| request.session_timeout_ms = 1);
    refused("a session too long", |request| request.session_timeout_ms = i32::MAX);
    refused("no group", |request| request.group_id = "".into());
    refused("an unknown member", |request| request.member_id = "nobody".into());
    refused("no protocols", |request| request.protocols.clear());
    refused("no type", |request| request.protocol_type = "".into());
    describe(client, transcript, "never");
    let delete = delete_groups::Request { group_names: vec!["never".into(), "".into()] };
    let mut reply = client.ask(&delete, 2);
    reply.results.sort_by(|one, other| one.group_id.cmp(&other.group_id));
    transcript.note("delete", 2, &reply);
    let fetch = offset_fetch::Request { group_id: "never".into(), topics: None, require_stable: true };
    transcript.note("fetch offsets", 7, &client.ask(&fetch, 7));
}
