//! What a version can't carry: dropped where that is harmless, refused where it changes the meaning; and the protocol's
//! defaults in its place.

use base::{Reader, Str};
use bytes::{Bytes, BytesMut};
use kafka_proto::Message;
use kafka_proto::messages::{create_topics, fetch, join_group, metadata, offset_for_leader_epoch, produce};
use kafka_proto::wire::EncodeError;

fn encode(message: &impl Message, version: i16) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::new();
    message.encode(version, &mut out)?;
    Ok(out.freeze())
}

#[test]
fn a_value_that_changes_the_meaning_is_refused() {
    let declined = metadata::Request { allow_auto_topic_creation: false, ..Default::default() };
    let error = encode(&metadata::Request { topics: Some(Vec::new()), ..declined.clone() }, 3).unwrap_err();
    assert!(
        matches!(error, EncodeError::Unsupported { field: "allow_auto_topic_creation", version: 3, .. }),
        "{error}"
    );
    assert!(encode(&declined, 4).is_ok());
    let forgotten = fetch::ForgottenTopic { topic: Str::from_static("t"), partitions: vec![1] };
    let request = fetch::Request { forgotten_topics: vec![forgotten], ..Default::default() };
    assert!(encode(&request, 6).is_err());
    assert!(encode(&request, 7).is_ok());
    let cluster = fetch::Request { cluster_id: Some(Str::from_static("c")), ..Default::default() };
    assert!(matches!(encode(&cluster, 11), Err(EncodeError::Unsupported { field: "cluster_id", .. })));
    assert!(encode(&cluster, 12).is_ok());
}

#[test]
fn a_harmless_value_is_dropped() {
    let request =
        fetch::Request { max_bytes: 5, isolation_level: 1, rack_id: Str::from_static("r"), ..Default::default() };
    let encoded = encode(&request, 2).unwrap();
    let decoded = fetch::Request::decode(2, &mut Reader::new(&encoded)).unwrap();
    assert_eq!(decoded, fetch::Request::default());
    assert_eq!(decoded.max_bytes, i32::MAX);
}

#[test]
fn null_where_the_version_has_none_is_refused() {
    let all = metadata::Request { topics: None, ..Default::default() };
    assert!(matches!(encode(&all, 0), Err(EncodeError::Null { field: "topics", version: 0, .. })));
    assert!(encode(&all, 1).is_ok());
    let response = join_group::Response { protocol_name: None, ..Default::default() };
    assert!(matches!(encode(&response, 6), Err(EncodeError::Null { field: "protocol_name", .. })));
    assert!(encode(&response, 7).is_ok());
}

#[test]
fn absent_fields_have_the_protocols_defaults() {
    let old = encode(&metadata::Request { topics: Some(Vec::new()), ..Default::default() }, 0).unwrap();
    assert!(metadata::Request::decode(0, &mut Reader::new(&old)).unwrap().allow_auto_topic_creation);
    assert_eq!(offset_for_leader_epoch::Request::default().replica_id, -2);
    assert_eq!(create_topics::Request::default().timeout_ms, 60_000);
    assert_eq!(metadata::ResponseTopic::default().topic_authorized_operations, i32::MIN);
    assert_eq!(produce::ResponsePartition::default().log_append_time_ms, -1);
    assert_eq!(fetch::EpochEndOffset::default(), fetch::EpochEndOffset { epoch: -1, end_offset: -1 });
}

#[test]
fn text_of_more_than_32767_bytes_is_refused() {
    let topic = metadata::RequestTopic { name: "a".repeat(32_768).into() };
    let request = metadata::Request { topics: Some(vec![topic]), ..Default::default() };
    for version in [1, 9] {
        assert!(matches!(encode(&request, version), Err(EncodeError::Length { length: 32_768 })));
    }
}
