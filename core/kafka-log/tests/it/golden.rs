//! Directories written by Kafka 2.7.1 (`tests/golden`, made by `Gen.java` there): opened, read, recovered, and written again byte by
//! byte.

use std::collections::BTreeMap;
use std::io::Read;

use base::{MemDisk, Slow, Str};
use bytes::Bytes;
use kafka_log::{Bound, LogConfig, Origin, ReadRequest, TopicPartition};
use kafka_proto::record::{BatchView, Batches};

use crate::support::{World, bytes_of, check, content, last_offsets, names, read, request, write};

type Files = BTreeMap<String, Vec<u8>>;

fn golden(archive: &[u8]) -> Files {
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(archive).read_to_end(&mut tar).unwrap();
    let (mut files, mut at) = (Files::new(), 0);
    while tar[at] != 0 {
        let text = |from: usize, len: usize| {
            let field = &tar[at + from..at + from + len];
            String::from_utf8(field.iter().copied().take_while(|byte| *byte != 0 && *byte != b' ').collect()).unwrap()
        };
        let (name, size) = (text(0, 100), usize::from_str_radix(&text(124, 12), 8).unwrap());
        if !name.ends_with('/') {
            files.insert(name.trim_start_matches("./").to_owned(), tar[at + 512..at + 512 + size].to_vec());
        }
        at += 512 + size.next_multiple_of(512);
    }
    files
}

fn clean() -> Files {
    golden(include_bytes!("../golden/clean.tar.gz"))
}

fn unclean() -> Files {
    golden(include_bytes!("../golden/unclean.tar.gz"))
}

fn config(topic: &str) -> LogConfig {
    let message_magic = if topic.starts_with("v0") {
        0
    } else if topic.starts_with("v1") {
        1
    } else {
        2
    };
    LogConfig {
        segment_bytes: 2000,
        index_interval_bytes: 150,
        segment_index_bytes: 2400,
        retention_ms: -1,
        message_magic,
        ..LogConfig::default()
    }
}

fn opened(files: &Files) -> World {
    let disk = MemDisk::new();
    for (name, content) in files {
        write(&disk, name, content);
    }
    World::on(&disk, &config(""))
}

const ENDS: [(&str, i64); 10] = [
    ("comp-gzip", 160),
    ("comp-lz4", 160),
    ("comp-snappy", 160),
    ("comp-zstd", 160),
    ("idem", 73),
    ("plain", 120),
    ("txn", 68),
    ("v0", 25),
    ("v1", 25),
    ("v1-gzip", 60),
];

fn partition(topic: &str) -> TopicPartition {
    TopicPartition::new(Str::copied(topic), 0)
}

/// The content of the segments of a topic, in a row.
fn log_bytes(files: &Files, topic: &str) -> Vec<u8> {
    let prefix = format!("{topic}-0/");
    files
        .iter()
        .filter(|(name, _)| name.starts_with(&prefix) && name.ends_with(".log"))
        .flat_map(|(_, content)| content.clone())
        .collect()
}

#[test]
fn what_the_original_wrote_is_read() {
    for (files, is_clean) in [(clean(), true), (unclean(), false)] {
        let world = opened(&files);
        assert_eq!(world.broker.lines.lock().unwrap().iter().any(|line| line.contains("Recovering")), !is_clean);
        for (topic, end) in ENDS {
            let log = world.logs.get(&partition(topic)).unwrap();
            assert_eq!(log.offsets().log_end, end, "{topic}");
            log.update_high_watermark(end);
            let (mut found, mut offset) = (Vec::new(), 0);
            while offset < end {
                let fetched = read(&log, offset).unwrap();
                offset = last_offsets(&fetched).last().unwrap() + 1;
                found.extend_from_slice(&bytes_of(&fetched));
            }
            assert_eq!(found, log_bytes(&files, topic), "{topic}");
            if topic != "v0" {
                let first = log.offset_for_timestamp(1_600_000_000_000).unwrap().unwrap();
                assert_eq!(first.offset, 0, "{topic}");
            }
            assert!(log.offset_for_timestamp(i64::MAX).unwrap().is_none());
        }
        let txn = world.logs.get(&partition("txn")).unwrap();
        assert_eq!(txn.offsets().last_stable, 68);
        let fetched = txn.read(&ReadRequest { bound: Bound::LastStable, ..request(0) }).unwrap();
        let aborted = fetched.aborted_transactions.unwrap();
        assert!(!aborted.is_empty() && aborted.iter().all(|one| one.first_offset < 5), "{aborted:?}");
        let all: usize =
            files.iter().filter(|(name, _)| name.ends_with(".txnindex")).map(|(_, content)| content.len() / 34).sum();
        assert_eq!(all, 8, "six of the first producer, two of the second");
    }
}

/// Every append of the original, made again by us, gives the same files.
#[test]
fn the_same_appends_give_the_same_files() {
    let files = clean();
    for topic in ["plain", "idem", "txn", "comp-gzip", "comp-lz4", "comp-snappy", "comp-zstd", "v0", "v1"] {
        let world = World::on(&MemDisk::new(), &config(topic));
        let log =
            world.logs.get_or_create(&partition(topic), true, &config(topic), world.now, &Slow::allowed()).unwrap();
        let bytes = log_bytes(&files, topic);
        for batch in Batches::new(&bytes) {
            let batch = batch.unwrap();
            let (copy, is_control) = match &batch {
                BatchView::V2(batch) => ([&batch.header()[..], batch.body()].concat(), batch.is_control()),
                BatchView::Legacy(message) => (message.bytes().to_vec(), false),
            };
            let mut copy = copy;
            copy[..8].copy_from_slice(&[0; 8]);
            let origin = if is_control { Origin::Coordinator } else { Origin::Client };
            let checked = check(&log, &Bytes::from(copy), origin, world.now);
            let info = log.append_as_leader(checked, 0, origin, world.now).unwrap();
            assert_eq!(info.last_offset, batch.last_offset(), "{topic}");
            log.increment_high_watermark(info.log_end_offset);
            world.run_jobs();
        }
        world.logs.shutdown(&Slow::allowed());
        let dir = format!("{topic}-0/");
        for (name, expected) in files.iter().filter(|(name, _)| name.starts_with(&dir)) {
            assert_eq!(content(world.disk.as_ref(), name), *expected, "{name}");
        }
        let ours: Vec<String> =
            names(world.disk.as_ref(), &dir).into_iter().filter(|name| !name.ends_with(".snapshot")).collect();
        let theirs: Vec<String> = files
            .keys()
            .filter_map(|name| name.strip_prefix(&dir))
            .filter(|name| !name.ends_with(".snapshot"))
            .map(str::to_owned)
            .collect();
        assert_eq!(ours, theirs);
    }
}

/// Recovery of what a running broker had on disk gives the indexes that it had after its clean stop.
#[test]
fn recovery_rebuilds_the_indexes() {
    let (before, after) = (unclean(), clean());
    let world = opened(&before);
    world.logs.shutdown(&Slow::allowed());
    for (name, expected) in &after {
        if name.ends_with(".log") || name.ends_with(".index") || name.ends_with(".txnindex") {
            assert_eq!(content(world.disk.as_ref(), name), *expected, "{name}");
        }
    }
}
