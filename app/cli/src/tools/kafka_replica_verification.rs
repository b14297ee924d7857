//! `kafka-replica-verification.sh` (`kafka.tools.ReplicaVerificationTool`): reads all replicas of topics at once, up to their high
//! watermarks, and tells where they differ and how far the slowest is behind. It goes on until it is ended.
//!
//! The brokers are asked in rounds, as by the original's fetchers, which wait for each other.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_client::{CallOptions, ClientError, To, TopicPartition};
use kafka_proto::messages::{fetch, list_offset};
use kafka_proto::record::{BatchView, Batches};
use kafka_proto::{AnyRequest, AnyResponse, ErrorCode};

use super::kafka_console_producer::are_valid;
use super::kafka_topics::topic_filter;
use crate::console::{Console, Stop, Thrown};
use crate::java;
use crate::kafka_admin::{KafkaAdmin, mismatched, thrown};
use crate::options::{Parsed, Parser, Row};

const OPTIONS: [Row; 6] = [
    Row::taking(
        "broker-list",
        "String",
        "hostname:port,...,hostname:port",
        "REQUIRED: The list of hostname and port of the server to connect to.",
    ),
    Row::taking("fetch-size", "Integer", "bytes", "The fetch size of each request.").or("1048576"),
    Row::taking("max-wait-ms", "Integer", "ms", "The max amount of time each fetch request waits.").or("1000"),
    Row::taking(
        "topic-white-list",
        "String",
        "Java regex (String)",
        "White list of topics to verify replica consistency. Defaults to all topics.",
    )
    .or(".*"),
    Row::taking("time", "Long", "timestamp/-1(latest)/-2(earliest)", "Timestamp for getting the initial offsets.")
        .or("-1"),
    Row::taking("report-interval-ms", "Long", "ms", "The reporting interval.").or("30000"),
];
const LOGGER: &str = "kafka.tools.ReplicaVerificationTool$";
/// A reader with this id is served by followers too.
const DEBUGGING_CONSUMER: i32 = -2;
/// How long a broker has for an answer.
const ANSWER_MS: u64 = 30_000;

/// Runs the command.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let mut parser = Parser::with_help("Print usage information.", "Print version information and exit.");
    parser.accept_all(&OPTIONS);
    let parsed = parser.parse(arguments)?;
    parsed.help_or_version("Validate that all replicas for a set of topics have the same data.")?;
    parsed.check_required(&["broker-list"])?;
    let options = Options::of(&parsed)?;
    if !are_valid(&options.servers) {
        return Err(parsed.usage("Please provide valid host:port like host1:9091,host2:9092\n "));
    }
    let Some(mut verification) = Verification::begin(options, console)? else { return Ok(1) };
    console.line(format_args!("{}: verification process is started.", time()));
    loop {
        console.flush();
        verification.fetch();
        if let Err(Mismatch) = verification.verify(console) {
            return Ok(1);
        }
    }
}

struct Options {
    servers: String,
    fetch_bytes: i32,
    wait_ms_max: i32,
    topics: regex_lite::Regex,
    time: i64,
    report_interval: Duration,
}

impl Options {
    fn of(parsed: &Parsed) -> Result<Self, Thrown> {
        let topics = topic_filter(parsed.value("topic-white-list")?.unwrap_or_default())?;
        let report_ms: i64 = parsed.number("report-interval-ms")?.unwrap_or_default();
        Ok(Self {
            servers: parsed.value("broker-list")?.unwrap_or_default().to_owned(),
            fetch_bytes: parsed.number("fetch-size")?.unwrap_or_default(),
            wait_ms_max: parsed.number("max-wait-ms")?.unwrap_or_default(),
            topics,
            time: parsed.number("time")?.unwrap_or_default(),
            report_interval: Duration::from_millis(u64::try_from(report_ms).unwrap_or(0)),
        })
    }
}

/// Replicas have different offsets: nothing more can be compared.
#[derive(Debug, PartialEq, Eq)]
struct Mismatch;

/// What a replica answered of a partition.
#[derive(Clone, Debug)]
struct Fetched {
    high_watermark: i64,
    records: Bytes,
}

/// One partition: where all replicas agree up to, and what each has behind that.
#[derive(Debug)]
struct Place {
    partition: TopicPartition,
    offset: i64,
    /// By broker.
    replicas: BTreeMap<i32, Option<Fetched>>,
}

struct Verification {
    admin: KafkaAdmin,
    options: Options,
    places: Vec<Place>,
    reported: Instant,
}

impl Verification {
    /// Looks up the topics and where to begin; nothing if there are no topics.
    fn begin(options: Options, console: &mut Console<'_>) -> Result<Option<Self>, Stop> {
        let mut admin = KafkaAdmin::new(None, &[("bootstrap.servers", &options.servers)])?;
        let executed = |error: ClientError| Thrown::executed(thrown(error));
        let listed = admin.metadata("listTopics", None).map_err(executed)?;
        let topics = listed.topics.into_iter().filter(|topic| options.topics.is_match(&topic.name));
        let mut places = Vec::new();
        for topic in topics {
            ClientError::check(topic.error_code).map_err(executed)?;
            for found in topic.partitions {
                let partition = TopicPartition::new(topic.name.clone(), found.partition_index);
                let replicas = found.replica_nodes.into_iter().map(|id| (id, None)).collect();
                places.push(Place { partition, offset: 0, replicas });
            }
        }
        if places.is_empty() {
            console.log(
                "ERROR",
                "No topics found. [topic-white-list] if specified, is either filtering out all topics or there is no topic.",
                LOGGER,
            );
            return Ok(None);
        }
        for place in &mut places {
            place.offset =
                first_offset(&mut admin, &place.partition, options.time).map_err(|error| thrown(error).uncaught())?;
        }
        let places = java::hash_order_by(places, |place| java::topic_partition_hash(&place.partition));
        admin.set_timeout_ms(ANSWER_MS);
        Ok(Some(Self { admin, options, places, reported: Instant::now() }))
    }

    /// Reads from all brokers; one that does not answer has nothing.
    fn fetch(&mut self) {
        let brokers: BTreeSet<i32> = self.places.iter().flat_map(|place| place.replicas.keys()).copied().collect();
        let calls = brokers.iter().map(|id| (To::Node(*id), self.request(*id))).collect();
        let answers = self.admin.call_all("fetch", calls);
        for (broker, answer) in brokers.into_iter().zip(answers) {
            let mut answered = BTreeMap::new();
            if let Ok(AnyResponse::Fetch(response)) = answer {
                for topic in response.topics {
                    for partition in topic.partitions {
                        let name = TopicPartition::new(topic.topic.clone(), partition.partition_index);
                        let records = partition.records.unwrap_or_default().to_bytes().unwrap_or_default();
                        answered.insert(name, Fetched { high_watermark: partition.high_watermark, records });
                    }
                }
            }
            for place in &mut self.places {
                if let Some(replica) = place.replicas.get_mut(&broker) {
                    *replica = answered.remove(&place.partition);
                }
            }
        }
    }

    fn request(&self, broker: i32) -> AnyRequest {
        let mut topics: BTreeMap<base::Str, Vec<fetch::RequestPartition>> = BTreeMap::new();
        for place in self.places.iter().filter(|place| place.replicas.contains_key(&broker)) {
            topics.entry(place.partition.topic.clone()).or_default().push(fetch::RequestPartition {
                partition_index: place.partition.partition,
                fetch_offset: place.offset,
                log_start_offset: 0,
                partition_max_bytes: self.options.fetch_bytes,
                ..Default::default()
            });
        }
        let topics = topics.into_iter().map(|(topic, partitions)| fetch::RequestTopic { topic, partitions }).collect();
        let (max_wait_ms, min_bytes) = (self.options.wait_ms_max, 1);
        fetch::Request { replica_id: DEBUGGING_CONSUMER, max_wait_ms, min_bytes, topics, ..Default::default() }.into()
    }

    /// Compares what was read, and reports from time to time.
    fn verify(&mut self, console: &mut Console<'_>) -> Result<(), Mismatch> {
        let mut slowest: Option<(i64, usize)> = None;
        for (at, place) in self.places.iter_mut().enumerate() {
            place.verify(console)?;
            let lag = place.high_watermark() - place.offset;
            if lag > slowest.map_or(-1, |(lag, _)| lag) {
                slowest = Some((lag, at));
            }
        }
        if self.reported.elapsed() > self.options.report_interval {
            let (lag, place) = slowest.map_or((-1, None), |(lag, at)| (lag, self.places.get(at)));
            let partition = place.map_or_else(|| "null".to_owned(), |place| place.partition.to_string());
            let (offset, count) = (place.map_or(-1, |place| place.offset), self.places.len());
            console.line(format_args!(
                "{}: max lag is {lag} for partition {partition} at offset {offset} among {count} partitions",
                time()
            ));
            self.reported = Instant::now();
        }
        Ok(())
    }
}

impl Place {
    /// The highest that a replica told.
    fn high_watermark(&self) -> i64 {
        self.replicas
            .values()
            .map(|replica| replica.as_ref().map_or(-1, |fetched| fetched.high_watermark))
            .max()
            .unwrap_or(-1)
    }

    /// Goes on batch by batch as long as all replicas have one below their high watermarks.
    fn verify(&mut self, console: &mut Console<'_>) -> Result<(), Mismatch> {
        let Self { partition, offset, replicas } = self;
        let mut readers: Vec<(i32, i64, Batches<'_>)> = replicas
            .iter()
            .map(|(id, fetched)| match fetched {
                Some(fetched) => (*id, fetched.high_watermark, Batches::new(&fetched.records)),
                None => (*id, -1, Batches::new(&[])),
            })
            .collect();
        loop {
            let mut first: Option<(i32, i64, u32)> = None;
            let mut all_have_one = true;
            for (id, high_watermark, batches) in &mut readers {
                let batch = batches.next().and_then(Result::ok).filter(|batch| batch.last_offset() < *high_watermark);
                let Some(batch) = batch else {
                    all_have_one = false;
                    continue;
                };
                let (last, checksum) = (batch.last_offset(), checksum(&batch));
                let Some((other, other_last, other_checksum)) = first else {
                    first = Some((*id, last, checksum));
                    continue;
                };
                if other_last != last {
                    console.line(format_args!(
                        "{}: partition {partition}: replica {other}'s offset {other_last} doesn't match replica {id}'s offset \
                         {last}",
                        time()
                    ));
                    return Err(Mismatch);
                }
                if other_checksum != checksum {
                    console.line(format_args!(
                        "{}: partition {partition} has unmatched checksum at offset {last}; replica {other}'s checksum \
                         {other_checksum}; replica {id}'s checksum {checksum}",
                        time()
                    ));
                }
            }
            match first {
                Some((_, last, _)) if all_have_one => *offset = last + 1,
                _ => return Ok(()),
            }
        }
    }
}

fn checksum(batch: &BatchView<'_>) -> u32 {
    match batch {
        BatchView::V2(batch) => batch.checksum(),
        BatchView::Legacy(message) => message.checksum(),
    }
}

/// Where the records of a time begin, as the partition's leader says.
fn first_offset(admin: &mut KafkaAdmin, partition: &TopicPartition, timestamp: i64) -> Result<i64, ClientError> {
    let asked = list_offset::RequestPartition {
        partition_index: partition.partition,
        timestamp,
        ..list_offset::RequestPartition::default()
    };
    let topics = vec![list_offset::RequestTopic { name: partition.topic.clone(), partitions: vec![asked] }];
    let request = list_offset::Request { replica_id: -1, topics, ..list_offset::Request::default() };
    let options = CallOptions { try_again: stale_leader, ..CallOptions::named("listOffsets") };
    let AnyResponse::ListOffset(answer) = admin.call_with(options, To::Leader(partition.clone()), request)? else {
        return Err(mismatched());
    };
    let found = answer.topics.into_iter().flat_map(|topic| topic.partitions).next().ok_or_else(mismatched)?;
    ClientError::check(found.error_code)?;
    Ok(found.offset)
}

fn stale_leader(response: &AnyResponse) -> Option<ErrorCode> {
    let AnyResponse::ListOffset(answer) = response else { return None };
    let codes = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
    codes.into_iter().find(|code| code.invalidates_metadata())
}

/// The time as the tool writes it in front of its lines.
fn time() -> impl std::fmt::Display {
    chrono::Local::now().format("%Y-%m-%d %H:%M:%S,%3f")
}

#[cfg(test)]
mod tests {
    use kafka_proto::record::{Codec, HeaderFields, TimestampType};

    use super::*;

    /// A batch of one record's length, with one offset.
    fn batch(offset: i64, body: &[u8]) -> Vec<u8> {
        let fields = HeaderFields {
            base_offset: offset,
            leader_epoch: 0,
            codec: Codec::None,
            timestamp_type: TimestampType::CreateTime,
            transactional: false,
            control: false,
            last_offset_delta: 0,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            count: 1,
        };
        [&fields.header(body).bytes()[..], body].concat()
    }

    fn verify(replicas: [&[Vec<u8>]; 2]) -> (Result<(), Mismatch>, i64, String) {
        let fetched = |batches: &[Vec<u8>]| Some(Fetched { high_watermark: 2, records: batches.concat().into() });
        let replicas = [(1, fetched(replicas[0])), (2, fetched(replicas[1]))].into();
        let mut place = Place { partition: TopicPartition::new("t", 0), offset: 0, replicas };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let result = place.verify(&mut Console { input: None, out: &mut out, err: &mut err });
        let told = String::from_utf8(out).unwrap();
        (result, place.offset, told.split_once(": ").map(|(_, told)| told.to_owned()).unwrap_or_default())
    }

    #[test]
    fn replicas_agree_up_to_the_high_watermark() {
        let same = [batch(0, b"a"), batch(1, b"b"), batch(2, b"c")];
        assert_eq!(verify([&same, &same]), (Ok(()), 2, String::new()));
        assert_eq!(verify([&same, &same[..1]]), (Ok(()), 1, String::new()));
    }

    #[test]
    fn what_differs_is_told() {
        let (one, other) = ([batch(0, b"a")], [batch(0, b"b")]);
        let (result, offset, told) = verify([&one, &other]);
        assert_eq!((result, offset), (Ok(()), 1));
        assert!(told.starts_with("partition t-0 has unmatched checksum at offset 0; replica 1's checksum "), "{told}");
        let told = "partition t-0: replica 1's offset 0 doesn't match replica 2's offset 1\n".to_owned();
        assert_eq!(verify([&one, &[batch(1, b"a")]]), (Err(Mismatch), 0, told));
    }

    #[test]
    fn help_is_the_originals() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let help = run(&[], &mut Console { input: None, out: &mut out, err: &mut err }).unwrap_err();
        assert_eq!(help.err, include_str!("../../tests/golden/kafka-replica-verification-help.txt"));
    }
}
