//! A broker's requests.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base::{Random, Str};
use bytes::Bytes;
use kafka_proto::messages::{create_topics, delete_topics, fetch, metadata, produce};
use kafka_proto::record::{BatchView, Batches, BuilderOptions, Codec, Magic, RecordsBuilder};
use kafka_proto::{ErrorCode, Request, frame};

use crate::load::ErrorCodeAt;

/// Topics are named alike in length, so that all answers lie alike.
pub(crate) const TOPIC: &str = "bench-000";
pub(crate) const PRODUCE_VERSION: i16 = 8;
pub(crate) const FETCH_VERSION: i16 = 11;
pub(crate) const FETCH_BYTES: usize = 1 << 20;
const METADATA_VERSION: i16 = 5;
const CLIENT: &str = "bench";
/// How long a broker waits for a new topic's leaders before it answers: below a client's patience.
const CREATION_MS: i32 = 10_000;

/// Header (key, version, correlation id, client id), transactional id, acks, timeout, and the counts, name, index and
/// length around the records.
pub(crate) const RECORDS_BEHIND_FRAME_START: usize = 8 + 2 + CLIENT.len() + 2 + 2 + 4 + 4 + 2 + TOPIC.len() + 12;

/// Length, correlation id, count, name, count, index.
pub(crate) const PRODUCE_ERROR_AT: ErrorCodeAt =
    ErrorCodeAt { offset: 4 + 4 + 4 + 2 + TOPIC.len() + 4 + 4, bytes: 2, frame_bytes_min: 40 };

/// Length, correlation id, throttle time, error, session, count, name, count, index.
pub(crate) const FETCH_ERROR_AT: ErrorCodeAt = ErrorCodeAt {
    offset: 4 + 4 + 4 + 2 + 4 + 4 + 2 + TOPIC.len() + 4 + 4,
    bytes: 2,
    frame_bytes_min: FETCH_BYTES - (128 << 10),
};

/// A topic's name.
pub(crate) fn topic(number: usize) -> String {
    format!("bench-{number:03}")
}

/// A produce of one batch with `count` records of `value_bytes` each.
pub(crate) fn produce(topic: &str, partition_index: i32, acks: i16, batch: Bytes) -> Result<Vec<u8>> {
    let partition = produce::RequestPartition { partition_index, records: Some(batch) };
    let topic = produce::RequestTopic { name: Str::from(topic), partitions: vec![partition] };
    encode(&produce::Request { transactional_id: None, acks, timeout_ms: 30_000, topics: vec![topic] }, PRODUCE_VERSION)
}

/// A batch of records whose values are words of a small vocabulary: they compress about as text does.
pub(crate) fn batch(count: usize, value_bytes: usize, codec: Codec) -> Result<Bytes> {
    let mut random = Random::from_seed(7);
    let mut builder = RecordsBuilder::new(BuilderOptions::new(Magic::V2, codec))?;
    let now = chrono::Utc::now().timestamp_millis();
    for _ in 0..count {
        builder.append(now, None, Some(&words(&mut random, value_bytes)), &[])?;
    }
    Ok(builder.build().context("a batch has records")?.bytes)
}

fn words(random: &mut Random, bytes: usize) -> Vec<u8> {
    let mut text = String::with_capacity(bytes + 8);
    while text.len() < bytes {
        text.push_str(&format!("{:x} ", random.below(4096) * 2_654_435_761 % 0xfff_ffff));
    }
    text.truncate(bytes);
    text.into_bytes()
}

/// A fetch of [`FETCH_BYTES`] from offset 0.
pub(crate) fn fetch_from_start(topic: &str, partition: i32) -> Result<Vec<u8>> {
    encode(&fetch_request(topic, partition, 0, FETCH_BYTES), FETCH_VERSION)
}

fn fetch_request(topic: &str, partition_index: i32, offset: u64, bytes: usize) -> fetch::Request {
    let bytes = i32::try_from(bytes).expect("a fetch is below 2 GiB");
    let partition = fetch::RequestPartition {
        partition_index,
        current_leader_epoch: -1,
        fetch_offset: i64::try_from(offset).expect("offsets are below 2^63"),
        last_fetched_epoch: -1,
        log_start_offset: -1,
        partition_max_bytes: bytes,
    };
    fetch::Request {
        replica_id: -1,
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: bytes,
        topics: vec![fetch::RequestTopic { topic: Str::from(topic), partitions: vec![partition] }],
        ..Default::default()
    }
}

fn encode<R: Request>(request: &R, version: i16) -> Result<Vec<u8>> {
    Ok(frame::request_bytes(request, version, 1, Some(&Str::from_static(CLIENT)))?.to_vec())
}

/// A connection for requests one at a time.
pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream })
    }

    fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        let answer = self.exchange(&encode(request, version)?)?;
        Ok(frame::decode_response::<R>(version, &answer)?.1)
    }

    /// Sends a request that is encoded, with its length; the answer without.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<Bytes> {
        self.stream.write_all(request)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut answer)?;
        Ok(answer.into())
    }

    /// The connection, ready for requests.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Whether the broker knows a controller and itself.
    pub(crate) fn names_a_controller(&mut self) -> Result<bool> {
        let (controller, brokers) = self.brokers()?;
        Ok(controller >= 0 && brokers > 0)
    }

    /// The controller's id, -1 if the broker knows of none, and how many brokers it knows.
    pub(crate) fn brokers(&mut self) -> Result<(i32, usize)> {
        let request = metadata::Request { topics: Some(Vec::new()), ..Default::default() };
        let answer = self.call(&request, METADATA_VERSION)?;
        Ok((answer.controller_id, answer.brokers.len()))
    }

    /// A topic's partitions by index, as the broker knows them; none if it does not.
    pub(crate) fn partitions(&mut self, topic: &str) -> Result<Vec<metadata::ResponsePartition>> {
        let request = metadata::Request {
            topics: Some(vec![metadata::RequestTopic { name: Str::from(topic) }]),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        let mut answer = self.call(&request, METADATA_VERSION)?;
        let mut partitions = answer.topics.pop().context("no topic")?.partitions;
        partitions.sort_unstable_by_key(|partition| partition.partition_index);
        Ok(partitions)
    }

    /// Creates a topic and waits until each partition has a leader.
    pub(crate) fn create_topic(&mut self, name: &str, partitions: i32) -> Result<()> {
        self.begin_topic(name, partitions, 1)?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            let known = self.partitions(name)?;
            let led = known.iter().filter(|partition| partition.leader_id >= 0);
            if led.count() == usize::try_from(partitions)? {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("topic {name} has no leaders")
    }

    /// Has the controller, which this broker is, create a topic. Its leaders may come later.
    pub(crate) fn begin_topic(&mut self, name: &str, partitions: i32, replication_factor: i16) -> Result<()> {
        let topic = create_topics::RequestTopic {
            name: Str::from(name),
            num_partitions: partitions,
            replication_factor,
            assignments: Vec::new(),
            configs: Vec::new(),
        };
        let request = create_topics::Request { topics: vec![topic], timeout_ms: CREATION_MS, validate_only: false };
        let answer = self.call(&request, 3)?;
        let error = answer.topics.first().context("no outcome")?.error_code;
        ensure!(matches!(error, ErrorCode::NONE | ErrorCode::REQUEST_TIMED_OUT), "topic {name}: {error:?}");
        Ok(())
    }

    /// Deletes a topic, so that its data does not fill the disk.
    pub(crate) fn delete_topic(&mut self, name: &str) -> Result<()> {
        let request = delete_topics::Request { topic_names: vec![Str::from(name)], timeout_ms: 30_000 };
        let answer = self.call(&request, 3)?;
        let error = answer.responses.first().context("no outcome")?.error_code;
        ensure!(error == ErrorCode::NONE, "deleting {name}: {error:?}");
        Ok(())
    }

    /// Produces to a partition and waits for the answer.
    pub(crate) fn produce_once(&mut self, request: &[u8]) -> Result<()> {
        let answer = self.exchange(request)?;
        let (_, answer) = frame::decode_response::<produce::Request>(PRODUCE_VERSION, &answer)?;
        let error = answer.topics.first().and_then(|topic| topic.partitions.first()).map(|outcome| outcome.error_code);
        ensure!(error == Some(ErrorCode::NONE), "produce: {error:?}");
        Ok(())
    }

    /// Waits for records at `offset` of partition 0; the offset behind those that came, or `offset` if none did.
    pub(crate) fn fetch_behind(&mut self, topic: &str, offset: u64) -> Result<u64> {
        let answer = self.call(&fetch_request(topic, 0, offset, 1 << 20), FETCH_VERSION)?;
        let partition = answer.topics.first().and_then(|topic| topic.partitions.first()).context("no partition")?;
        ensure!(partition.error_code == ErrorCode::NONE, "fetch: {:?}", partition.error_code);
        let Some(records) = &partition.records else { return Ok(offset) };
        let records = records.to_bytes()?;
        let mut behind = offset;
        for batch in Batches::new(&records) {
            let BatchView::V2(batch) = batch? else { bail!("a batch of old magic") };
            behind = u64::try_from(batch.last_offset())? + 1;
        }
        Ok(behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_lie_where_the_bare_loop_looks() {
        let batch = batch(3, 100, Codec::None).unwrap();
        let request = produce(TOPIC, 0, -1, batch.clone()).unwrap();
        assert_eq!(&request[4 + RECORDS_BEHIND_FRAME_START..], &batch[..]);
        assert_eq!(topic(7).len(), TOPIC.len());
    }

    #[test]
    fn records_compress_but_not_to_nothing() {
        let plain = batch(100, 100, Codec::None).unwrap().len();
        for codec in [Codec::Lz4, Codec::Zstd] {
            let packed = batch(100, 100, codec).unwrap().len();
            assert!(packed < plain * 9 / 10 && packed > plain / 5, "{codec:?}: {packed} of {plain}");
        }
    }
}
