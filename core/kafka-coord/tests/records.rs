//! Records byte by byte as the original writes them.
//!
//! `golden/records.txt` was printed by a small Java program that calls Kafka 2.7.1's `GroupMetadataManager` (`offsetCommitKey`,
//! `groupMetadataKey`, `offsetCommitValue`, `groupMetadataValue`) at the named `inter.broker.protocol.version`s.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use base::Str;
use bytes::Bytes;
use kafka_coord::record::{CommittedOffset, GroupValue, Key, MemberValue, TopicPartition, ValueVersions};
use proptest::prelude::*;

fn golden(name: &str) -> Bytes {
    let line = include_str!("golden/records.txt").lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    let hex = line.unwrap_or_else(|| panic!("{name}"));
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn offset() -> CommittedOffset {
    CommittedOffset {
        offset: 42,
        leader_epoch: 5,
        metadata: "note".into(),
        commit_timestamp_ms: 1000,
        expire_timestamp_ms: None,
    }
}

fn group(instance: Option<&str>) -> GroupValue {
    GroupValue {
        protocol_type: "consumer".into(),
        generation: 3,
        protocol: Some("range".into()),
        leader: Some("m-1".into()),
        state_timestamp_ms: 777,
        members: vec![MemberValue {
            member_id: "m-1".into(),
            group_instance_id: instance.map(Str::from),
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            rebalance_timeout_ms: 60_000,
            session_timeout_ms: 10_000,
            subscription: Bytes::from_static(&[1, 2, 3]),
            assignment: Bytes::from_static(&[9, 8]),
        }],
    }
}

const fn versions(offset: i16, group: i16) -> ValueVersions {
    ValueVersions { offset, group }
}

#[test]
fn keys_are_those_of_the_original() {
    let place = TopicPartition { topic: "topic".into(), partition: 7 };
    let offset = Key::Offset { group: "my-group".into(), place };
    for (name, key) in [("offset_key", offset), ("group_key", Key::Group("my-group".into()))] {
        assert_eq!(key.encode().unwrap(), golden(name));
        assert_eq!(Key::decode(&golden(name)).unwrap(), key);
    }
    let mut old = golden("offset_key").to_vec();
    old[1] = 0;
    assert!(matches!(Key::decode(&old.into()), Ok(Key::Offset { .. })));
    assert!(Key::decode(&Bytes::from_static(&[0, 3, 0, 0])).is_err());
}

#[test]
fn offsets_are_those_of_the_original() {
    for (name, version) in [("offset_2.0-IV1", 1), ("offset_2.1-IV0", 2), ("offset_2.7-IV2", 3)] {
        assert_eq!(offset().encode(versions(version, 3)).unwrap(), golden(name), "{name}");
        let leader_epoch = if version == 3 { 5 } else { -1 };
        assert_eq!(CommittedOffset::decode(&golden(name)).unwrap(), CommittedOffset { leader_epoch, ..offset() });
    }
    let expiring = CommittedOffset { expire_timestamp_ms: Some(2000), ..offset() };
    assert_eq!(expiring.encode(ValueVersions::CURRENT).unwrap(), golden("offset_expiring"));
    let read = CommittedOffset::decode(&golden("offset_expiring")).unwrap();
    assert_eq!(read, CommittedOffset { leader_epoch: -1, ..expiring });
    // Version 0 has one time.
    let mut oldest = golden("offset_2.1-IV0").to_vec();
    oldest[1] = 0;
    assert_eq!(CommittedOffset::decode(&oldest.into()).unwrap(), CommittedOffset { leader_epoch: -1, ..offset() });
}

#[test]
fn groups_are_those_of_the_original() {
    let levels = [("0.10.0-IV1", 0), ("2.0-IV1", 1), ("2.1-IV0", 2), ("2.7-IV2", 3)];
    for (prefix, instance) in [("static", Some("inst")), ("group", None)] {
        for (level, version) in levels {
            let bytes = golden(&format!("{prefix}_{level}"));
            assert_eq!(group(instance).encode(versions(3, version)).unwrap(), bytes, "{prefix} {level}");
            let mut expected = group(instance.filter(|_| version >= 3));
            if version < 2 {
                expected.state_timestamp_ms = -1;
            }
            if version < 1 {
                expected.members[0].rebalance_timeout_ms = 10_000;
            }
            assert_eq!(GroupValue::decode(&bytes).unwrap(), expected);
        }
    }
}

#[test]
fn what_the_format_cannot_say_is_an_error() {
    let long = Str::from("x".repeat(40_000));
    assert!(Key::Group(long).encode().is_err());
    // A count of members that nothing follows.
    let mut lie = golden("group_2.7-IV2")[..39].to_vec();
    lie.extend(i32::MAX.to_be_bytes());
    assert!(GroupValue::decode(&lie.into()).is_err());
}

proptest! {
    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let bytes = Bytes::from(bytes);
        let _ = Key::decode(&bytes);
        let _ = CommittedOffset::decode(&bytes);
        let _ = GroupValue::decode(&bytes);
    }
}
