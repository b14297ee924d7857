//! A history by chance on one partition: what is produced, in either format, what is read of it by offset and by time, and what is
//! deleted, with segments that are soon full. The records that are read are the same bytes.

use base::Random;
use bytes::Bytes;
use kafka_proto::messages::{create_topics, delete_records, fetch, list_offset, offset_for_leader_epoch, produce};
use kafka_proto::record::{BuilderOptions, Codec, Magic, RecordsBuilder};

use super::Session;

const TOPIC: &str = "history";
const STEPS: usize = 1200;
const CONFIGS: [(&str, &str); 5] = [
    ("segment.bytes", "3000"),
    ("index.interval.bytes", "300"),
    ("retention.ms", "-1"),
    ("compression.type", "producer"),
    ("file.delete.delay.ms", "600000"),
];

pub(super) fn script(session: &mut Session<'_>) {
    for seed in 1..=2 {
        History { session, random: Random::from_seed(seed), topic: format!("{TOPIC}-{seed}"), end: 0 }.run();
    }
}

struct History<'a, 'b> {
    session: &'a mut Session<'b>,
    random: Random,
    topic: String,
    /// At least the log's end.
    end: u64,
}

impl History<'_, '_> {
    fn run(&mut self) {
        let config =
            |(name, value): (&str, &str)| create_topics::RequestConfig { name: name.into(), value: Some(value.into()) };
        let topic = create_topics::RequestTopic {
            name: self.topic.as_str().into(),
            num_partitions: 1,
            replication_factor: 1,
            configs: CONFIGS.map(config).to_vec(),
            ..create_topics::RequestTopic::default()
        };
        let request = create_topics::Request { topics: vec![topic], timeout_ms: 10_000, validate_only: false };
        self.session.ask_at("made", 5, &request);
        for step in 0..STEPS {
            // Segments that lie before the log's start go when a broker has run for half a minute, and until then hide what is looked for
            // by time.
            let may_delete = step > STEPS / 2;
            match self.random.below(10) {
                0..=4 => self.produce(step),
                5..=7 => self.fetch(step),
                8 => self.list(step, !may_delete),
                _ if may_delete && self.random.below(4) == 0 => self.delete(step),
                _ => self.epoch(step),
            }
        }
    }

    fn below(&mut self, bound: u64) -> i64 {
        self.random.below(bound) as i64
    }

    /// An offset in the log, or near it.
    fn offset(&mut self) -> i64 {
        let end = self.end;
        self.below(end + 4) - 2
    }

    /// Not in order; some are so far apart that a segment is too old for the next.
    fn timestamp(&mut self) -> i64 {
        let far = if self.random.below(20) == 0 { 1_000_000_000 } else { 1_000 };
        1_600_000_000_000 + self.below(far)
    }

    fn produce(&mut self, step: usize) {
        let old = self.random.below(4) == 0;
        let (magic, version) = if old { (Magic::V1, 2) } else { (Magic::V2, 3 + self.below(6) as i16) };
        // Old messages are stored in the new format: compressed again, by compressors that are not the same.
        let codecs = [Codec::None, Codec::Gzip, Codec::Lz4];
        let codec = if old { Codec::None } else { codecs[self.random.below(3) as usize] };
        let mut builder = RecordsBuilder::new(BuilderOptions::new(magic, codec)).unwrap();
        for _ in 0..=self.random.below(4) {
            let value = vec![b'a' + self.below(26) as u8; self.random.below(200) as usize];
            let key = (self.random.below(2) == 0).then_some(&b"key"[..]);
            builder.append(self.timestamp(), key, Some(&value), &[]).unwrap();
            self.end += 1;
        }
        let partition = produce::RequestPartition { partition_index: 0, records: Some(builder.build().unwrap().bytes) };
        let topic = produce::RequestTopic { name: self.topic.as_str().into(), partitions: vec![partition] };
        let request = produce::Request { transactional_id: None, acks: 1, timeout_ms: 5_000, topics: vec![topic] };
        self.session.ask_at(&format!("step {step}"), version, &request);
    }

    fn fetch(&mut self, step: usize) {
        let partition = fetch::RequestPartition {
            partition_index: 0,
            current_leader_epoch: -1,
            fetch_offset: self.offset(),
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: 1 << self.random.below(14),
        };
        let request = fetch::Request {
            replica_id: -1,
            max_wait_ms: 0,
            min_bytes: 1,
            max_bytes: 1 << self.random.below(14),
            isolation_level: self.below(2) as i8,
            session_epoch: -1,
            topics: vec![fetch::RequestTopic { topic: self.topic.as_str().into(), partitions: vec![partition] }],
            ..fetch::Request::default()
        };
        let version = 4 + self.below(9) as i16;
        let Some(response) = self.session.ask_at(&format!("step {step}"), version, &request) else { return };
        let records = response.topics[0].partitions[0].records.clone().unwrap_or_default();
        let bytes: Bytes = records.to_bytes().unwrap();
        self.session.note(&format!("records of step {step}"), "Fetch", version, &format!("{bytes:?}"));
    }

    fn list(&mut self, step: usize, by_time: bool) {
        let version = 1 + self.below(5) as i16;
        let timestamp = match self.random.below(8) {
            2.. if by_time => self.timestamp(),
            number => -1 - (number % 2) as i64,
        };
        let partition = list_offset::RequestPartition {
            partition_index: 0,
            current_leader_epoch: -1,
            timestamp,
            max_num_offsets: 1,
        };
        let topic = list_offset::RequestTopic { name: self.topic.as_str().into(), partitions: vec![partition] };
        let request = list_offset::Request { replica_id: -1, isolation_level: 0, topics: vec![topic] };
        self.session.ask_at(&format!("step {step} {timestamp}"), version, &request);
    }

    fn delete(&mut self, step: usize) {
        // Of the older half, or there would be nothing to read.
        let offset = self.offset() / 2;
        let partition = delete_records::RequestPartition { partition_index: 0, offset };
        let topic = delete_records::RequestTopic { name: self.topic.as_str().into(), partitions: vec![partition] };
        let request = delete_records::Request { topics: vec![topic], timeout_ms: 5_000 };
        self.session.ask_at(&format!("step {step} {offset}"), self.random.below(3) as i16, &request);
    }

    fn epoch(&mut self, step: usize) {
        let leader_epoch = self.below(3) as i32 - 1;
        let partition = offset_for_leader_epoch::RequestPartition {
            partition_index: 0,
            current_leader_epoch: self.below(2) as i32 - 1,
            leader_epoch,
        };
        let topic =
            offset_for_leader_epoch::RequestTopic { name: self.topic.as_str().into(), partitions: vec![partition] };
        let request = offset_for_leader_epoch::Request { replica_id: -1, topics: vec![topic] };
        self.session.ask_at(&format!("step {step}"), self.random.below(4) as i16, &request);
    }
}
