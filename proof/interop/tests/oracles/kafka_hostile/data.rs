//! Produce, Fetch, ListOffset, DeleteRecords, OffsetForLeaderEpoch, InitProducerId, DescribeLogDirs, ApiVersions.

use base::Str;
use bytes::Bytes;
use kafka_proto::messages::{
    api_versions, create_topics, delete_records, describe_log_dirs, fetch, init_producer_id, list_offset,
    offset_for_leader_epoch, produce,
};
use kafka_proto::record::{BuilderOptions, Codec, Magic, RecordsBuilder};

use super::Session;

const NUMBERS: [i32; 6] = [-1, -2, i32::MIN, i32::MAX, 0, 7];
const OFFSETS: [i64; 9] = [-1, -2, -3, i64::MIN, i64::MAX, 0, 9, 10, 11];

pub(super) fn script(session: &mut Session<'_>) {
    for name in ["h", "d"] {
        let topic = create_topics::RequestTopic {
            name: name.into(),
            num_partitions: 2,
            replication_factor: 1,
            // Compressed bytes are the compressor's.
            configs: vec![create_topics::RequestConfig {
                name: "compression.type".into(),
                value: Some("producer".into()),
            }],
            ..create_topics::RequestTopic::default()
        };
        let request = create_topics::Request { topics: vec![topic], timeout_ms: 10_000, validate_only: false };
        session.ask_at("made", 5, &request);
        session.ask_at("filled", 8, &produce_request(name, 0, Some(records(10)), -1));
    }
    produces(session);
    fetches(session);
    fetch_sessions(session);
    list_offsets(session);
    epochs(session);
    delete(session);
    others(session);
}

fn records(count: i64) -> Bytes {
    let mut builder = RecordsBuilder::new(BuilderOptions::new(Magic::V2, Codec::None)).unwrap();
    // Retention must not take them: far in the future.
    (0..count).for_each(|number| builder.append(4_000_000_000_000 + number, None, Some(b"value"), &[]).unwrap());
    builder.build().unwrap().bytes
}

fn produce_request(topic: &str, partition: i32, records: Option<Bytes>, acks: i16) -> produce::Request {
    let partition = produce::RequestPartition { partition_index: partition, records };
    produce::Request {
        transactional_id: None,
        acks,
        timeout_ms: 5_000,
        topics: vec![produce::RequestTopic { name: topic.into(), partitions: vec![partition] }],
    }
}

fn produces(session: &mut Session<'_>) {
    for acks in [2, -2, i16::MIN, i16::MAX] {
        session.ask(&format!("acks {acks}"), &produce_request("h", 0, Some(records(1)), acks));
    }
    for partition in [-1, 7, i32::MAX] {
        session.ask(&format!("partition {partition}"), &produce_request("h", partition, Some(records(1)), 1));
    }
    for topic in ["", "a b", "..", "nowhere", &"a".repeat(250)] {
        session.ask(&format!("topic {topic:?}"), &produce_request(topic, 0, Some(records(1)), 1));
    }
    session.ask("null records", &produce_request("h", 1, None, 1));
    session.ask("no records", &produce_request("h", 1, Some(Bytes::new()), 1));
    session.ask("no batch", &produce_request("h", 1, Some(Bytes::from_static(b"rubbish")), 1));
    session.ask("zeros", &produce_request("h", 1, Some(Bytes::from_static(&[0; 100])), 1));
    session.ask("ones", &produce_request("h", 1, Some(Bytes::from_static(&[0xff; 100])), 1));
    let nothing = produce::Request { acks: 1, ..produce::Request::default() };
    session.ask("nothing", &nothing);
    let mut late = produce_request("h", 1, Some(records(1)), -1);
    for timeout_ms in [0, -1, i32::MIN] {
        late.timeout_ms = timeout_ms;
        session.ask_at(&format!("timeout {timeout_ms}"), 8, &late);
    }
    let mut twice = produce_request("t", 1, Some(records(1)), 1);
    twice.topics.push(twice.topics[0].clone());
    session.ask_at("a topic twice", 8, &twice);
    let mut twice = produce_request("t", 1, Some(records(1)), 1);
    let again = twice.topics[0].partitions[0].clone();
    twice.topics[0].partitions.push(again);
    session.ask_at("a partition twice", 8, &twice);
}

fn fetch_request(change: impl FnOnce(&mut fetch::Request, &mut fetch::RequestPartition)) -> fetch::Request {
    let mut partition = fetch::RequestPartition {
        partition_index: 0,
        current_leader_epoch: -1,
        fetch_offset: 0,
        last_fetched_epoch: -1,
        log_start_offset: -1,
        partition_max_bytes: 1 << 20,
    };
    let mut request = fetch::Request {
        replica_id: -1,
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![fetch::RequestTopic { topic: "h".into(), partitions: Vec::new() }],
        ..fetch::Request::default()
    };
    change(&mut request, &mut partition);
    if let Some(topic) = request.topics.first_mut() {
        topic.partitions.insert(0, partition);
    }
    request
}

fn fetches(session: &mut Session<'_>) {
    let mut ask = |what: String, change: &dyn Fn(&mut fetch::Request, &mut fetch::RequestPartition)| {
        session.ask(&what, &fetch_request(change));
    };
    for number in NUMBERS {
        ask(format!("max bytes {number}"), &|request, _| request.max_bytes = number);
        ask(format!("min bytes {number}"), &|request, _| request.min_bytes = number);
        ask(format!("partition max bytes {number}"), &|_, partition| partition.partition_max_bytes = number);
        ask(format!("partition {number}"), &|_, partition| partition.partition_index = number);
        ask(format!("leader epoch {number}"), &|_, partition| partition.current_leader_epoch = number);
        ask(format!("last epoch {number}"), &|_, partition| partition.last_fetched_epoch = number);
        if number < 1 {
            ask(format!("wait {number} for more"), &|request, partition| {
                (request.max_wait_ms, partition.fetch_offset) = (number, 10);
            });
        }
        if number < 0 {
            ask(format!("replica {number}"), &|request, _| request.replica_id = number);
        }
    }
    for offset in OFFSETS {
        ask(format!("offset {offset}"), &|_, partition| partition.fetch_offset = offset);
        ask(format!("log start {offset}"), &|_, partition| partition.log_start_offset = offset);
    }
    for level in [-1, 2, 7, i8::MIN] {
        ask(format!("isolation level {level}"), &|request, _| request.isolation_level = level);
    }
    for topic in ["", "a b", "..", "nowhere"] {
        ask(format!("topic {topic:?}"), &|request, _| request.topics[0].topic = topic.into());
    }
    ask("no topics".to_owned(), &|request, _| request.topics.clear());
    ask("a topic twice".to_owned(), &|request, partition| {
        let again = fetch::RequestTopic { topic: "h".into(), partitions: vec![partition.clone()] };
        request.topics.push(again);
    });
    ask("a partition twice".to_owned(), &|request, partition| {
        request.topics[0].partitions.push(fetch::RequestPartition { fetch_offset: 5, ..partition.clone() });
    });
    ask("a rack".to_owned(), &|request, _| request.rack_id = "nowhere".into());
    ask("a cluster".to_owned(), &|request, _| request.cluster_id = Some("nowhere".into()));
}

fn fetch_sessions(session: &mut Session<'_>) {
    for (id, epoch) in [(12_345, 1), (12_345, 0), (12_345, -1), (0, 5), (-7, 1), (i32::MAX, i32::MAX), (0, i32::MIN)] {
        let request = fetch_request(|request, _| (request.session_id, request.session_epoch) = (id, epoch));
        session.ask(&format!("session {id} epoch {epoch}"), &request);
    }
    let forgotten = |topic: &str, partition| fetch::ForgottenTopic { topic: topic.into(), partitions: vec![partition] };
    let request = fetch_request(|request, _| {
        request.session_epoch = 0;
        request.forgotten_topics = vec![forgotten("h", 0), forgotten("nowhere", -1)];
    });
    session.ask("a session that forgets what it asks for", &request);
    // In a session: the id is that of the side.
    let begin = fetch_request(|request, partition| (request.session_epoch, partition.fetch_offset) = (0, 10));
    let Ok(begun) = session.client.try_ask(&begin, 12) else { return };
    for (epoch, partition) in [(1, 0), (1, 0), (7, 0), (2, -5), (3, 1), (4, 9)] {
        let request = fetch_request(|request, asked| {
            (request.session_id, request.session_epoch) = (begun.session_id, epoch);
            (asked.partition_index, asked.fetch_offset) = (partition, 10);
            request.forgotten_topics = vec![forgotten("h", partition - 1)];
        });
        session.ask_at(&format!("its epoch {epoch}, partition {partition}"), 12, &request);
    }
}

fn list_offset_request(change: impl FnOnce(&mut list_offset::Request)) -> list_offset::Request {
    let partition = list_offset::RequestPartition {
        partition_index: 0,
        current_leader_epoch: -1,
        timestamp: -1,
        max_num_offsets: 1,
    };
    let mut request = list_offset::Request {
        replica_id: -1,
        isolation_level: 0,
        topics: vec![list_offset::RequestTopic { name: "h".into(), partitions: vec![partition] }],
    };
    change(&mut request);
    request
}

fn list_offsets(session: &mut Session<'_>) {
    for timestamp in OFFSETS.into_iter().chain([4_000_000_000_005]) {
        for max_num_offsets in [1, 0, -1, 10] {
            let request = list_offset_request(|request| {
                let asked = &mut request.topics[0].partitions[0];
                (asked.timestamp, asked.max_num_offsets) = (timestamp, max_num_offsets);
            });
            let what = format!("timestamp {timestamp}, at most {max_num_offsets}");
            match max_num_offsets {
                1 => session.ask(&what, &request),
                _ => drop(session.ask_at(&what, 0, &request)),
            }
        }
    }
    for number in NUMBERS {
        let of_partition = |change: fn(&mut list_offset::RequestPartition, i32)| {
            list_offset_request(|request| change(&mut request.topics[0].partitions[0], number))
        };
        session.ask(&format!("partition {number}"), &of_partition(|asked, number| asked.partition_index = number));
        session.ask(&format!("epoch {number}"), &of_partition(|asked, number| asked.current_leader_epoch = number));
        session.ask(&format!("replica {number}"), &list_offset_request(|request| request.replica_id = number));
    }
    for level in [-1, 2, 7, i8::MIN] {
        let request = list_offset_request(|request| request.isolation_level = level);
        session.ask(&format!("isolation level {level}"), &request);
    }
    for topic in ["", "a b", "..", "nowhere"] {
        let request = list_offset_request(|request| request.topics[0].name = topic.into());
        session.ask(&format!("topic {topic:?}"), &request);
    }
    let twice = list_offset_request(|request| {
        let again = request.topics[0].partitions[0].clone();
        request.topics[0].partitions.push(again);
    });
    session.ask("a partition twice", &twice);
    let twice = list_offset_request(|request| request.topics.push(request.topics[0].clone()));
    session.ask("a topic twice", &twice);
    session.ask("nothing", &list_offset_request(|request| request.topics.clear()));
}

fn epochs(session: &mut Session<'_>) {
    let request = |topic: &str, partition_index, current_leader_epoch, leader_epoch| {
        let partition =
            offset_for_leader_epoch::RequestPartition { partition_index, current_leader_epoch, leader_epoch };
        let topic = offset_for_leader_epoch::RequestTopic { name: topic.into(), partitions: vec![partition] };
        offset_for_leader_epoch::Request { replica_id: -1, topics: vec![topic] }
    };
    for number in NUMBERS {
        session.ask(&format!("epoch {number}"), &request("h", 0, -1, number));
        session.ask(&format!("current epoch {number}"), &request("h", 0, number, 0));
        session.ask(&format!("partition {number}"), &request("h", number, -1, 0));
        session.ask(
            &format!("replica {number}"),
            &offset_for_leader_epoch::Request { replica_id: number, ..request("h", 0, -1, 0) },
        );
    }
    for topic in ["", "a b", "nowhere"] {
        session.ask(&format!("topic {topic:?}"), &request(topic, 0, -1, 0));
    }
    let mut twice = request("h", 0, -1, 0);
    twice.topics.push(twice.topics[0].clone());
    session.ask("a topic twice", &twice);
}

fn delete_request(topic: &str, partitions: &[(i32, i64)], timeout_ms: i32) -> delete_records::Request {
    let partitions = partitions
        .iter()
        .map(|(partition_index, offset)| delete_records::RequestPartition {
            partition_index: *partition_index,
            offset: *offset,
        })
        .collect();
    delete_records::Request {
        topics: vec![delete_records::RequestTopic { name: topic.into(), partitions }],
        timeout_ms,
    }
}

fn delete(session: &mut Session<'_>) {
    for offset in [-2, -3, i64::MIN, i64::MAX, 11, 0, 3, 2, 3] {
        session.ask(&format!("up to {offset}"), &delete_request("d", &[(0, offset)], 1_000));
    }
    for timeout_ms in [0, -1, i32::MIN, i32::MAX] {
        session.ask(&format!("timeout {timeout_ms}"), &delete_request("d", &[(0, 4)], timeout_ms));
    }
    for partition in [-1, 7, i32::MIN, i32::MAX] {
        session.ask(&format!("partition {partition}"), &delete_request("d", &[(partition, 0)], 1_000));
    }
    for topic in ["", "a b", "..", "nowhere", "__consumer_offsets"] {
        session.ask(&format!("topic {topic:?}"), &delete_request(topic, &[(0, 0)], 1_000));
    }
    session.ask("twice", &delete_request("d", &[(0, 5), (0, 6)], 1_000));
    session.ask("all, and of an empty one", &delete_request("d", &[(0, -1), (1, -1)], 1_000));
    session.ask("nothing", &delete_records::Request::default());
}

fn others(session: &mut Session<'_>) {
    for transaction_timeout_ms in NUMBERS {
        for (producer_id, producer_epoch) in [(-1, -1), (5, -1), (-1, 5), (5, 5), (i64::MIN, i16::MIN), (i64::MAX, 0)] {
            let request = init_producer_id::Request {
                transactional_id: None,
                transaction_timeout_ms,
                producer_id,
                producer_epoch,
            };
            session.ask(&format!("timeout {transaction_timeout_ms} id {producer_id} epoch {producer_epoch}"), &request);
        }
    }
    let empty = init_producer_id::Request { transactional_id: Some("".into()), ..Default::default() };
    session.ask("an empty transactional id", &empty);
    let of = |topic: &str, partitions: &[i32]| describe_log_dirs::RequestTopic {
        topic: topic.into(),
        partition_indexes: partitions.to_vec(),
    };
    for (what, topics) in [
        ("no topics", vec![]),
        ("strangers", vec![of("nowhere", &[0]), of("", &[0]), of("a b", &[-1]), of("h", &[-1, 7])]),
        ("no partitions", vec![of("h", &[])]),
        ("twice", vec![of("h", &[0, 0]), of("h", &[0, 1])]),
    ] {
        session.ask(what, &describe_log_dirs::Request { topics: Some(topics) });
    }
    for name in ["", " ", "a b", "-x", "x-", "x!", "x.y-z", "\u{e9}", ".", "x\n", &"x".repeat(1000)] {
        for (name, version) in [(name, "1"), ("script", name)] {
            let request = api_versions::Request {
                client_software_name: Str::from(name),
                client_software_version: Str::from(version),
            };
            session.ask(&format!("software {name:?} {version:?}"), &request);
        }
    }
}
