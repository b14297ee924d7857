//! Records of `__consumer_offsets` and `__transaction_state` in the words of `OffsetsMessageFormatter`,
//! `GroupMetadataMessageFormatter` and `TransactionLogMessageFormatter`.

use base::{DecodeError, Reader, Str};
use bytes::Bytes;
use kafka_client::ConsumedRecord;
use kafka_coord::record::{CommittedOffset, GroupValue, Key, MemberValue};

use crate::console::Thrown;
use crate::java;

/// From this version on values of groups have a field for the instance id, which shows even when it is null.
const GROUP_INSTANCE_ID_SINCE: i16 = 3;
const TRANSACTION_STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

/// A line about a committed offset; `None` for other records.
pub(super) fn offset_line(record: &ConsumedRecord) -> Result<Option<String>, Thrown> {
    let Some(Key::Offset { group, place }) = key(record)? else { return Ok(None) };
    let value = match &record.value {
        None => "NULL".to_owned(),
        Some(value) => offset_text(&CommittedOffset::decode(value).map_err(malformed)?),
    };
    Ok(Some(format!("[{group},{},{}]::{value}\n", place.topic, place.partition)))
}

/// A line about a group; `None` for other records.
pub(super) fn group_line(record: &ConsumedRecord) -> Result<Option<String>, Thrown> {
    let Some(Key::Group(group)) = key(record)? else { return Ok(None) };
    let value = match &record.value {
        None => "NULL".to_owned(),
        Some(value) => {
            let version = Reader::new(value).i16().map_err(malformed)?;
            group_text(&group, &GroupValue::decode(value).map_err(malformed)?, version >= GROUP_INSTANCE_ID_SINCE)
        }
    };
    Ok(Some(format!("{group}::{value}\n")))
}

/// A line about a transactional id; `None` for a record without a key.
pub(super) fn transaction_line(record: &ConsumedRecord) -> Result<Option<String>, Thrown> {
    let Some(key) = &record.key else { return Ok(None) };
    let mut reader = Reader::new(key);
    if reader.i16().map_err(malformed)? != 0 {
        return Err(malformed("Unknown version from the transaction log message"));
    }
    let id = string(&mut reader).map_err(malformed)?;
    let value = match &record.value {
        None => "NULL".to_owned(),
        Some(value) => transaction_text(&id, value)?,
    };
    Ok(Some(format!("{id}::{value}\n")))
}

fn key(record: &ConsumedRecord) -> Result<Option<Key>, Thrown> {
    record.key.as_ref().map(Key::decode).transpose().map_err(malformed)
}

fn malformed(error: impl std::fmt::Display) -> Thrown {
    Thrown::new("org.apache.kafka.common.KafkaException", error)
}

fn offset_text(value: &CommittedOffset) -> String {
    let epoch =
        if value.leader_epoch < 0 { "Optional.empty".to_owned() } else { format!("Optional[{}]", value.leader_epoch) };
    let expires = option(value.expire_timestamp_ms.as_ref());
    format!(
        "OffsetAndMetadata(offset={}, leaderEpoch={epoch}, metadata={}, commitTimestamp={}, expireTimestamp={expires})",
        value.offset, value.metadata, value.commit_timestamp_ms
    )
}

fn group_text(group: &Str, value: &GroupValue, has_instance_ids: bool) -> String {
    let state = if value.members.is_empty() { "Empty" } else { "Stable" };
    let protocol_type = Some(&value.protocol_type).filter(|kind| !kind.is_empty());
    let protocol = value.protocol.as_deref().unwrap_or("null");
    // Scala's hash map keeps the order of Java's.
    let members = java::hash_order(value.members.iter().collect(), |member: &&MemberValue| &member.member_id);
    let members: Vec<String> = members.iter().map(|member| member_text(member, protocol, has_instance_ids)).collect();
    format!(
        "GroupMetadata(groupId={group}, generation={}, protocolType={}, currentState={state}, members=HashMap({}))",
        value.generation,
        option(protocol_type),
        members.join(", ")
    )
}

fn member_text(member: &MemberValue, protocol: &str, has_instance_id: bool) -> String {
    let instance = match &member.group_instance_id {
        None if has_instance_id => "Some(null)".to_owned(),
        id => option(id.as_ref()),
    };
    format!(
        "{0} -> MemberMetadata(memberId={0}, groupInstanceId={instance}, clientId={1}, clientHost={2}, \
         sessionTimeoutMs={3}, rebalanceTimeoutMs={4}, supportedProtocols=List({protocol}), )",
        member.member_id, member.client_id, member.client_host, member.session_timeout_ms, member.rebalance_timeout_ms
    )
}

fn transaction_text(id: &Str, value: &Bytes) -> Result<String, Thrown> {
    let mut reader = Reader::new(value);
    if reader.i16().map_err(malformed)? != 0 {
        return Err(malformed("Unknown version from the transaction log message value"));
    }
    read_transaction(id, &mut reader).map_err(malformed)
}

fn read_transaction(id: &Str, reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    let (producer_id, epoch, timeout_ms) = (reader.i64()?, reader.i16()?, reader.i32()?);
    let state = usize::try_from(reader.i8()?).ok().and_then(|state| TRANSACTION_STATES.get(state)).unwrap_or(&"?");
    let mut partitions = Vec::new();
    // No allocation by a count: the reader ends before a false one does.
    for _ in 0..reader.i32()? {
        let topic = string(reader)?;
        for _ in 0..reader.i32()? {
            partitions.push(format!("{topic}-{}", reader.i32()?));
        }
    }
    let (updated_ms, started_ms) = (reader.i64()?, reader.i64()?);
    Ok(format!(
        "TransactionMetadata(transactionalId={id}, producerId={producer_id}, producerEpoch={epoch}, \
         txnTimeoutMs={timeout_ms}, state={state}, pendingState=None, topicPartitions=HashSet({}), \
         txnStartTimestamp={started_ms}, txnLastUpdateTimestamp={updated_ms})",
        partitions.join(", ")
    ))
}

fn string(reader: &mut Reader<'_>) -> Result<Str, DecodeError> {
    let length = usize::try_from(reader.i16()?).unwrap_or(0);
    reader.str(length)
}

/// A Scala `Option`.
fn option(value: Option<&impl std::fmt::Display>) -> String {
    value.map_or_else(|| "None".to_owned(), |value| format!("Some({value})"))
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;
    use kafka_client::TopicPartition;
    use kafka_coord::record::{self, ValueVersions};

    use super::*;

    fn record(key: Bytes, value: Option<Bytes>) -> ConsumedRecord {
        ConsumedRecord {
            partition: TopicPartition::new(Str::copied("internal"), 0),
            offset: 0,
            timestamp_ms: -1,
            timestamp_type: None,
            key: Some(key),
            value,
            headers: Vec::new(),
        }
    }

    #[test]
    fn offsets_as_the_original_shows_them() {
        let place = record::TopicPartition { topic: Str::copied("p"), partition: 0 };
        let key = Key::Offset { group: Str::copied("g1"), place }.encode().unwrap();
        let value = CommittedOffset {
            offset: 3,
            leader_epoch: -1,
            metadata: Str::EMPTY,
            commit_timestamp_ms: 1_795_474_159_132,
            expire_timestamp_ms: None,
        };
        let value = value.encode(ValueVersions::CURRENT).unwrap();
        assert_eq!(
            offset_line(&record(key.clone(), Some(value))).unwrap().unwrap(),
            "[g1,p,0]::OffsetAndMetadata(offset=3, leaderEpoch=Optional.empty, metadata=, \
             commitTimestamp=1795474159132, expireTimestamp=None)\n"
        );
        assert_eq!(offset_line(&record(key.clone(), None)).unwrap().unwrap(), "[g1,p,0]::NULL\n");
        assert_eq!(group_line(&record(key, None)).unwrap(), None);
        assert!(offset_line(&record(Bytes::from_static(b"\0"), None)).is_err());
    }

    #[test]
    fn groups_as_the_original_shows_them() {
        let key = Key::Group(Str::copied("g1")).encode().unwrap();
        let member = MemberValue {
            member_id: Str::copied("m-1"),
            group_instance_id: None,
            client_id: Str::copied("m"),
            client_host: Str::copied("/127.0.0.1"),
            rebalance_timeout_ms: 300_000,
            session_timeout_ms: 10_000,
            subscription: Bytes::new(),
            assignment: Bytes::new(),
        };
        let value = GroupValue {
            protocol_type: Str::copied("consumer"),
            generation: 1,
            protocol: Some(Str::copied("range")),
            leader: Some(Str::copied("m-1")),
            state_timestamp_ms: 5,
            members: vec![member],
        };
        let value = value.encode(ValueVersions::CURRENT).unwrap();
        assert_eq!(
            group_line(&record(key.clone(), Some(value))).unwrap().unwrap(),
            "g1::GroupMetadata(groupId=g1, generation=1, protocolType=Some(consumer), currentState=Stable, \
             members=HashMap(m-1 -> MemberMetadata(memberId=m-1, groupInstanceId=Some(null), clientId=m, \
             clientHost=/127.0.0.1, sessionTimeoutMs=10000, rebalanceTimeoutMs=300000, \
             supportedProtocols=List(range), )))\n"
        );
        assert_eq!(offset_line(&record(key, None)).unwrap(), None);
    }

    #[test]
    fn transactions_as_the_original_shows_them() {
        let mut key = Vec::new();
        key.put_i16(0);
        key.put_i16(2);
        key.put_slice(b"tx");
        let mut value = Vec::new();
        value.put_i16(0);
        value.put_i64(7);
        value.put_i16(1);
        value.put_i32(60_000);
        value.put_i8(1);
        value.put_i32(1);
        value.put_i16(1);
        value.put_slice(b"p");
        value.put_i32(1);
        value.put_i32(3);
        value.put_i64(20);
        value.put_i64(10);
        let record = record(key.into(), Some(value.into()));
        assert_eq!(
            transaction_line(&record).unwrap().unwrap(),
            "tx::TransactionMetadata(transactionalId=tx, producerId=7, producerEpoch=1, txnTimeoutMs=60000, \
             state=Ongoing, pendingState=None, topicPartitions=HashSet(p-3), txnStartTimestamp=10, \
             txnLastUpdateTimestamp=20)\n"
        );
    }
}
