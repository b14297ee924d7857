//! The verdicts of `check` against those of Kafka 2.7.1's log, over a table of good and bad records, and what is
//! stored.
//!
//! `golden/verdicts.txt` was printed by `golden/Verdicts.java`, compiled and run with the jars of Kafka 2.7.1.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::tests_outside_test_module,
    reason = "tests"
)]

use base::Str;
use bytes::Bytes;
use kafka_log::validate::{Append, InvalidRecords, check};
use kafka_log::{LogConfig, Origin, TopicPartition};
use kafka_proto::record::{
    BatchView, Batches, BuilderOptions, Codec, LegacyMessage, Magic, RecordsBuilder, inner_messages,
};

const NOW: i64 = 1_600_000_000_000;
const FIRST: i64 = 1000;
const EPOCH: i32 = 5;

/// Where ours differs on purpose: part of the case's name, the original's code, ours, why.
const DIFFERENT: &[(&str, &str, &str, &str)] = &[
    ("zstd", "-1", "76", "zstd in an old format has a code of its own"),
    ("offset", "-1", "ok", "it forgets that it skipped the keys it needs to write the batch anew"),
    ("offset", "ok", "ok", "it stores offset deltas that are not consecutive; ours writes the batch anew"),
    ("chance 259", "-1", "ok", "offset deltas again"),
    ("varint", "-1", "87", "an exception nobody catches"),
    ("body cut at its start none", "-1", "87", "a null pointer"),
    ("garbage none", "-1", "87", "a null pointer"),
    ("chance 65", "-1", "87", "a null pointer"),
    ("chance 203", "-1", "87", "a key longer than its message"),
    ("size huge", "-1", "87", "an overflow"),
    ("size 14 magic 2", "-1", "2", "an index out of bounds"),
    ("gzip", "-1", "87", "malformed deflate data ends early instead"),
    ("gzip", "-1", "2", "malformed deflate data becomes malformed messages instead"),
    ("chance 103", "87", "2", "an inner message of unknown magic is refused before it is compared"),
    ("bytes behind the body zstd", "ok", "-1", "it takes bytes behind a frame if they are too few for a header"),
];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The topic's settings and the request's, from `key=value` pairs.
fn settings(text: &str) -> (LogConfig, i16, Origin) {
    let (mut config, mut version, mut origin) = (LogConfig::default(), 8, Origin::Client);
    for (key, value) in text.split(',').filter_map(|pair| pair.split_once('=')) {
        match key {
            "version" => version = value.parse().unwrap(),
            "origin" => origin = Origin::Coordinator,
            "compression.type" => {
                config.compression = match value {
                    "producer" => None,
                    "uncompressed" => Some(0),
                    name => Some(Codec::from_name(name).unwrap().id()),
                }
            }
            "message.format.version" => {
                config.message_magic = match value {
                    "0.9.0" => 0,
                    "0.10.2" => 1,
                    _ => 2,
                }
            }
            "message.timestamp.type" => config.log_append_time = true,
            "message.timestamp.difference.max.ms" => config.timestamp_difference_ms_max = value.parse().unwrap(),
            "cleanup.policy" => config.cleanup_compact = true,
            "max.message.bytes" => config.message_bytes_max = value.parse().unwrap(),
            other => panic!("unknown setting {other}"),
        }
    }
    (config, version, origin)
}

/// What became of the records, in the table's words.
struct Outcome {
    verdict: String,
    stored: Vec<u8>,
    invalid: Option<InvalidRecords>,
}

fn append(text: &str, records: &[u8]) -> Outcome {
    let (config, produce_version, origin) = settings(text);
    let partition = TopicPartition::new(Str::from_static("t"), 0);
    let append = Append { partition: &partition, origin, produce_version, zstd_allowed: true, now_ms: NOW };
    let records = Bytes::copy_from_slice(records);
    match check(&records, &config, &append).and_then(|checked| checked.assign(FIRST, EPOCH)) {
        Ok(prepared) => {
            let offset = prepared.offset_of_max_timestamp();
            let verdict = format!("ok\t{}\t{offset}", prepared.max_timestamp());
            let stored = prepared.slices().concat();
            assert_eq!(stored.len(), prepared.size());
            let sizes: usize = prepared.batches().iter().map(|batch| batch.size).sum();
            assert_eq!(sizes, stored.len());
            Outcome { verdict, stored, invalid: None }
        }
        Err(error) => {
            let errors = error.details().map(|(records, _)| {
                let each: Vec<String> =
                    records.iter().map(|record| format!("{}:{}", record.batch_index, record.message)).collect();
                each.join("|")
            });
            let verdict = format!("error\t{}\t{}", error.code(), errors.unwrap_or_default());
            Outcome { verdict, stored: Vec::new(), invalid: Some(error) }
        }
    }
}

/// A batch without what compression decides: header fields and records.
fn content(bytes: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    for view in Batches::new(bytes) {
        let view = view.unwrap();
        view.verify().unwrap();
        match view {
            BatchView::V2(batch) => {
                let mut header = batch.header().to_vec();
                header[8..12].fill(0);
                header[17..21].fill(0);
                all.push(format!("{header:?}"));
                let mut records = batch.records(1 << 24).unwrap();
                while let Some(record) = records.next().unwrap() {
                    all.push(format!("{record:?}"));
                }
            }
            BatchView::Legacy(message) => {
                let (magic, codec) = (message.magic(), message.codec().unwrap());
                let kind = message.timestamp_type();
                all.push(format!("{} {magic:?} {codec:?} {kind:?} {}", message.offset(), message.timestamp()));
                inner_messages(&message, 1 << 24, |inner| {
                    let plain: LegacyMessage<'_> = inner.message;
                    all.push(format!("{} {:?}", inner.offset, plain.bytes()));
                    Ok::<(), kafka_proto::record::RecordError>(())
                })
                .unwrap();
            }
        }
    }
    all
}

/// Compressors differ; everything else has to be the same.
fn equal(ours: &[u8], theirs: &[u8]) -> bool {
    if ours == theirs {
        return true;
    }
    let compressed = |bytes| Batches::new(bytes).all(|view| view.unwrap().codec().unwrap() != Codec::None);
    compressed(ours) && compressed(theirs) && content(ours) == content(theirs)
}

#[test]
fn verdicts_and_stored_bytes_are_those_of_the_original() {
    let table = include_str!("golden/verdicts.txt");
    let (mut cases, mut wrong, mut used) = (0, Vec::new(), vec![0; DIFFERENT.len()]);
    for line in table.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let (name, text, records) = (fields[0], fields[1], bytes(fields[2]));
        let ours = append(text, &records);
        cases += 1;
        let right = if fields[3] == "ok" {
            ours.verdict == format!("ok\t{}\t{}", fields[5], fields[6]) && equal(&ours.stored, &bytes(fields[4]))
        } else {
            ours.verdict == fields[3..].join("\t")
        };
        if right {
            continue;
        }
        let code = if fields[3] == "ok" { "ok" } else { fields[4] };
        let our_code = ours.invalid.as_ref().map_or("ok".to_owned(), |error| error.code().to_string());
        let known = DIFFERENT
            .iter()
            .position(|(part, theirs, our, _)| name.contains(part) && *theirs == code && *our == our_code);
        match known {
            Some(index) => used[index] += 1,
            None => wrong.push(format!(
                "{name} [{text}]: {} but {} ({:?})",
                fields[3..].join(" "),
                ours.verdict,
                ours.invalid
            )),
        }
    }
    assert_eq!(cases, 1038);
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
    let unused: Vec<_> = DIFFERENT.iter().zip(&used).filter(|(_, used)| **used == 0).collect();
    assert!(unused.is_empty(), "differences that no longer exist: {unused:?}");
}

fn good(name: &str) -> Vec<u8> {
    let table = include_str!("golden/verdicts.txt");
    let line = table.lines().find(|line| line.starts_with(&format!("{name}\t"))).unwrap();
    bytes(line.split('\t').nth(2).unwrap())
}

fn check_as(
    records: &Bytes,
    config: &LogConfig,
    origin: Origin,
) -> Result<kafka_log::validate::Checked, InvalidRecords> {
    let partition = TopicPartition::new(Str::from_static("t"), 0);
    check(
        records,
        config,
        &Append { partition: &partition, origin, produce_version: 8, zstd_allowed: true, now_ms: NOW },
    )
}

#[test]
fn the_records_stay_where_the_request_put_them() {
    for codec in Codec::ALL {
        let records = Bytes::from(good(&format!("good v2 {} to producer 2.7", codec.name())));
        let config = LogConfig { log_append_time: true, ..LogConfig::default() };
        let prepared = check_as(&records, &config, Origin::Client).unwrap().assign(i64::MAX - 9, EPOCH).unwrap();
        let [head, body] = prepared.slices();
        assert_eq!((head.len(), body.as_ptr()), (61, records[61..].as_ptr()));
        assert_eq!(prepared.batches()[0].last_offset, i64::MAX - 7);
    }
}

#[test]
fn a_followers_records_are_kept_with_their_offsets() {
    let config = LogConfig { message_bytes_max: 1, ..LogConfig::default() };
    let mut log = Vec::new();
    for (first, codec) in [(3, "gzip"), (10, "none"), (20, "zstd")] {
        let mut batch = good(&format!("good v2 {codec} to producer 2.7"));
        batch[..8].copy_from_slice(&i64::to_be_bytes(first));
        batch[12..16].copy_from_slice(&i32::to_be_bytes(4));
        log.extend_from_slice(&batch);
    }
    let whole = log.len();
    log.extend_from_slice(&good("good v2 none to producer 2.7")[..70]);
    let records = Bytes::from(log.clone());
    let prepared = check_as(&records, &config, Origin::Replication).unwrap().keep_offsets();
    assert_eq!(prepared.slices(), [&[], &records[..whole]]);
    let offsets: Vec<_> = prepared.batches().iter().map(|batch| (batch.base_offset, batch.last_offset)).collect();
    assert_eq!(offsets, [(3, 5), (10, 12), (20, 22)]);
    assert!(prepared.batches().iter().all(|batch| batch.leader_epoch == 4));
    assert_eq!((prepared.max_timestamp(), prepared.offset_of_max_timestamp()), (NOW + 7, 5));

    let twice = Bytes::from([&log[..whole], &log[..whole]].concat());
    let error = check_as(&twice, &config, Origin::Replication).unwrap_err();
    assert_eq!(error, InvalidRecords::OutOfOrder { last_offset: 5, previous: 22 });
    log[whole - 1] ^= 1;
    assert_eq!(check_as(&Bytes::from(log), &config, Origin::Replication).unwrap_err().code(), 2);
}

#[test]
fn a_bomb_is_walked_in_little_memory_and_refused_when_it_is_to_be_written_anew() {
    let value = vec![0; 8 << 20];
    let mut builder = RecordsBuilder::new(BuilderOptions::new(Magic::V2, Codec::Zstd)).unwrap();
    for _ in 0..40 {
        builder.append(NOW, Some(b"k"), Some(&value), &[]).unwrap();
    }
    let records = builder.build().unwrap().bytes;
    assert!(records.len() < 100_000);
    // 320 MiB are more than is ever walked.
    assert_eq!(check_as(&records, &LogConfig::default(), Origin::Client).unwrap_err().code(), 87);
    let mut builder = RecordsBuilder::new(BuilderOptions::new(Magic::V2, Codec::Zstd)).unwrap();
    for _ in 0..4 {
        builder.append(NOW, Some(b"k"), Some(&value), &[]).unwrap();
    }
    let records = builder.build().unwrap().bytes;
    assert!(check_as(&records, &LogConfig::default(), Origin::Client).is_ok());
    let plain = LogConfig { compression: Some(0), ..LogConfig::default() };
    assert_eq!(check_as(&records, &plain, Origin::Client).unwrap_err().code(), 10);
}

#[test]
fn many_bad_records_are_not_all_named() {
    let mut builder = RecordsBuilder::new(BuilderOptions::new(Magic::V2, Codec::None)).unwrap();
    for _ in 0..50_000 {
        builder.append(NOW, None, None, &[]).unwrap();
    }
    let records = builder.build().unwrap().bytes;
    let compacted = LogConfig { cleanup_compact: true, ..LogConfig::default() };
    let error = check_as(&records, &compacted, Origin::Client).unwrap_err();
    let (named, message) = error.details().unwrap();
    assert_eq!((named.len(), named[9_999].batch_index), (10_000, 9_999));
    assert_eq!(message, "One or more records have been rejected");
}
