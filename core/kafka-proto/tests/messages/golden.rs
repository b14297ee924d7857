//! Bytes of Kafka's own clients 2.7.1: `tests/golden/Messages.java` sets every field by its name, we do the same.

use base::{Reader, Str};
use bytes::{Bytes, BytesMut};
use kafka_proto::messages::{
    alter_isr, api_versions, end_quorum_epoch, fetch, join_group, leader_and_isr, list_offset, metadata, offset_commit,
    produce, update_metadata,
};
use kafka_proto::wire::Records;
use kafka_proto::{ErrorCode, Message};

const VECTORS: &str = include_str!("../golden/messages.txt");

/// Checks `message` against every vector of `name`, encoding always and decoding where the version carries all of it.
fn check(name: &str, message: &(impl Message + PartialEq + std::fmt::Debug)) {
    let mut versions = 0;
    for line in VECTORS.lines() {
        let [vector, version, hex] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        if vector != name {
            continue;
        }
        let version = version.parse().unwrap();
        let bytes: Vec<u8> = hex
            .as_bytes()
            .chunks(2)
            .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap())
            .collect();
        let bytes = Bytes::from(bytes);
        assert_eq!(encode(message, version), bytes, "{name} version {version}");
        let mut reader = Reader::new(&bytes);
        let decoded = decode(message, version, &mut reader);
        reader.finish().unwrap();
        assert_eq!(encode(&decoded, version), bytes, "{name} version {version}");
        versions += 1;
    }
    assert!(versions > 0, "no vector of {name}");
}

fn encode(message: &impl Message, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    message.encode(version, &mut out).unwrap();
    out.freeze()
}

fn decode<M: Message>(_: &M, version: i16, reader: &mut Reader<'_>) -> M {
    M::decode(version, reader).unwrap()
}

fn text(text: &'static str) -> Str {
    Str::from_static(text)
}

fn some(value: &'static str) -> Option<Str> {
    Some(Str::from_static(value))
}

#[test]
fn quorum_and_isr() {
    let partitions = vec![end_quorum_epoch::RequestPartition {
        partition_index: 1,
        replica_id: 2,
        leader_id: 3,
        leader_epoch: 4,
        preferred_successors: vec![5, 6],
    }];
    let topics = vec![end_quorum_epoch::RequestTopic { topic_name: text("t"), partitions }];
    check("end_quorum_epoch_request", &end_quorum_epoch::Request { cluster_id: some("c"), topics });
    check("end_quorum_epoch_request_null", &end_quorum_epoch::Request::default());
    let partitions = vec![alter_isr::RequestPartition {
        partition_index: 3,
        leader_epoch: 4,
        new_isr: vec![5, 6],
        current_isr_version: 7,
    }];
    let topics = vec![alter_isr::RequestTopic { name: text("t"), partitions }];
    check("alter_isr_request", &alter_isr::Request { broker_id: 1, broker_epoch: 2, topics });
    let partitions = vec![alter_isr::ResponsePartition {
        partition_index: 3,
        error_code: ErrorCode(4),
        leader_id: 5,
        leader_epoch: 6,
        isr: vec![7, 8],
        current_isr_version: 9,
    }];
    let topics = vec![alter_isr::ResponseTopic { name: text("t"), partitions }];
    check("alter_isr_response", &alter_isr::Response { throttle_time_ms: 1, error_code: ErrorCode(2), topics });
}

#[test]
fn produce() {
    let partitions = vec![produce::RequestPartition { partition_index: 3, records: Some(Bytes::from_static(&[1, 2])) }];
    let topics = vec![produce::RequestTopic { name: text("t"), partitions }];
    check("produce_request", &produce::Request { transactional_id: None, acks: -1, timeout_ms: 2, topics });
    let partitions = vec![produce::ResponsePartition {
        partition_index: 1,
        error_code: ErrorCode(2),
        base_offset: 3,
        log_append_time_ms: 4,
        log_start_offset: 5,
        record_errors: vec![produce::RecordError { batch_index: 6, error_message: some("n") }],
        error_message: some("m"),
    }];
    let topics = vec![produce::ResponseTopic { name: text("t"), partitions }];
    check("produce_response", &produce::Response { topics, throttle_time_ms: 7 });
}

#[test]
fn fetch_requests() {
    let partition = fetch::RequestPartition {
        partition_index: 6,
        current_leader_epoch: 7,
        fetch_offset: 8,
        log_start_offset: 9,
        partition_max_bytes: 10,
        ..Default::default()
    };
    let request = fetch::Request {
        replica_id: -1,
        max_wait_ms: 1,
        min_bytes: 2,
        max_bytes: 3,
        isolation_level: 1,
        topics: vec![fetch::RequestTopic { topic: text("t"), partitions: vec![partition] }],
        ..Default::default()
    };
    check("fetch_request", &request);
    let partition = fetch::RequestPartition { partition_index: 6, last_fetched_epoch: 11, ..Default::default() };
    let request = fetch::Request {
        cluster_id: some("c"),
        replica_id: 2,
        session_id: 4,
        session_epoch: 5,
        topics: vec![fetch::RequestTopic { topic: text("t"), partitions: vec![partition] }],
        forgotten_topics: vec![fetch::ForgottenTopic { topic: text("u"), partitions: vec![12] }],
        rack_id: text("r"),
        ..Default::default()
    };
    check("fetch_request_session", &request);
}

#[test]
fn fetch_responses() {
    let partition = fetch::ResponsePartition {
        partition_index: 4,
        error_code: ErrorCode(5),
        high_watermark: 6,
        last_stable_offset: 7,
        log_start_offset: 8,
        aborted_transactions: Some(vec![fetch::AbortedTransaction { producer_id: 9, first_offset: 10 }]),
        records: Some(Records::from(Bytes::from_static(&[1, 2, 3]))),
        ..Default::default()
    };
    let topics = vec![fetch::ResponseTopic { topic: text("t"), partitions: vec![partition] }];
    check("fetch_response", &fetch::Response { throttle_time_ms: 1, topics, ..Default::default() });
    let partition = fetch::ResponsePartition {
        partition_index: 4,
        diverging_epoch: fetch::EpochEndOffset { epoch: 5, end_offset: 6 },
        current_leader: fetch::LeaderAndEpoch { leader_id: 7, leader_epoch: 8 },
        aborted_transactions: None,
        preferred_read_replica: 9,
        records: Some(Records::EMPTY),
        ..Default::default()
    };
    let topics = vec![fetch::ResponseTopic { topic: text("t"), partitions: vec![partition] }];
    let response = fetch::Response { error_code: ErrorCode(2), session_id: 3, topics, ..Default::default() };
    check("fetch_response_epochs", &response);
}

#[test]
fn list_offset() {
    let partition = list_offset::RequestPartition {
        partition_index: 1,
        current_leader_epoch: 2,
        timestamp: 3,
        ..Default::default()
    };
    let topics = vec![list_offset::RequestTopic { name: text("t"), partitions: vec![partition] }];
    check("list_offset_request", &list_offset::Request { replica_id: -1, isolation_level: 1, topics });
}

#[test]
fn metadata() {
    check("metadata_request_all", &metadata::Request { topics: None, ..Default::default() });
    let partition = metadata::ResponsePartition {
        error_code: ErrorCode(4),
        partition_index: 5,
        leader_id: 6,
        leader_epoch: 7,
        replica_nodes: vec![8],
        isr_nodes: vec![9],
        offline_replicas: vec![10],
    };
    let topic = metadata::ResponseTopic {
        error_code: ErrorCode(3),
        name: text("t"),
        is_internal: true,
        partitions: vec![partition],
        ..Default::default()
    };
    let response = metadata::Response {
        throttle_time_ms: 11,
        brokers: vec![metadata::Broker { node_id: 1, host: text("h"), port: 2, rack: some("r") }],
        cluster_id: some("c"),
        controller_id: 12,
        topics: vec![topic],
        ..Default::default()
    };
    check("metadata_response", &response);
}

#[test]
fn controller_requests() {
    let state = leader_and_isr::PartitionState {
        partition_index: 1,
        controller_epoch: 2,
        leader: 3,
        leader_epoch: 4,
        isr: vec![5],
        zk_version: 6,
        replicas: vec![7],
        adding_replicas: vec![8],
        removing_replicas: vec![9],
        is_new: true,
        ..Default::default()
    };
    let request = leader_and_isr::Request {
        controller_id: 10,
        controller_epoch: 11,
        broker_epoch: 12,
        topic_states: vec![leader_and_isr::TopicState { topic_name: text("t"), partition_states: vec![state] }],
        live_leaders: vec![leader_and_isr::LiveLeader { broker_id: 13, host_name: text("h"), port: 14 }],
        ..Default::default()
    };
    check("leader_and_isr_request", &request);
    let state = update_metadata::PartitionState {
        partition_index: 4,
        controller_epoch: 5,
        leader: 6,
        leader_epoch: 7,
        isr: vec![8],
        zk_version: 9,
        replicas: vec![10],
        offline_replicas: vec![11],
        ..Default::default()
    };
    let endpoint = update_metadata::Endpoint { port: 13, host: text("h"), listener: text("L"), security_protocol: 3 };
    let broker =
        update_metadata::LiveBroker { broker_id: 12, endpoints: vec![endpoint], rack: some("r"), ..Default::default() };
    let request = update_metadata::Request {
        controller_id: 1,
        controller_epoch: 2,
        broker_epoch: 3,
        topic_states: vec![update_metadata::TopicState { topic_name: text("t"), partition_states: vec![state] }],
        live_brokers: vec![broker],
        ..Default::default()
    };
    check("update_metadata_request", &request);
}

#[test]
fn groups() {
    let partition = offset_commit::RequestPartition {
        partition_index: 2,
        committed_offset: 3,
        committed_leader_epoch: 4,
        committed_metadata: some("d"),
        ..Default::default()
    };
    let request = offset_commit::Request {
        group_id: text("g"),
        generation_id: 1,
        member_id: text("m"),
        group_instance_id: some("i"),
        topics: vec![offset_commit::RequestTopic { name: text("t"), partitions: vec![partition] }],
        ..Default::default()
    };
    check("offset_commit_request", &request);
    let request = join_group::Request {
        group_id: text("g"),
        session_timeout_ms: 1,
        rebalance_timeout_ms: 2,
        member_id: text("m"),
        group_instance_id: None,
        protocol_type: text("consumer"),
        protocols: vec![join_group::Protocol { name: text("range"), metadata: Bytes::from_static(&[1]) }],
    };
    check("join_group_request", &request);
    let member =
        join_group::Member { member_id: text("n"), group_instance_id: some("i"), metadata: Bytes::from_static(&[4]) };
    let response = join_group::Response {
        throttle_time_ms: 1,
        error_code: ErrorCode(2),
        generation_id: 3,
        protocol_type: some("consumer"),
        protocol_name: some("range"),
        leader: text("l"),
        member_id: text("m"),
        members: vec![member],
    };
    check("join_group_response", &response);
}

#[test]
fn api_versions() {
    let request = api_versions::Request { client_software_name: text("n"), client_software_version: text("v") };
    check("api_versions_request", &request);
    let response = api_versions::Response {
        error_code: ErrorCode(8),
        api_keys: vec![api_versions::ApiVersion { api_key: 1, min_version: 2, max_version: 3 }],
        throttle_time_ms: 9,
        supported_features: vec![api_versions::SupportedFeature { name: text("f"), min_version: 4, max_version: 5 }],
        finalized_features_epoch: 10,
        finalized_features: vec![api_versions::FinalizedFeature {
            name: text("g"),
            max_version_level: 6,
            min_version_level: 7,
        }],
    };
    check("api_versions_response", &response);
}
