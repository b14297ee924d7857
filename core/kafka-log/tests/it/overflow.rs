//! Segments whose offsets lie too far apart for their indexes, as old brokers' cleaners left them (KAFKA-6264).

use std::path::PathBuf;
use std::sync::Arc;

use base::{Disk, MemDisk, Random, Slow};
use bytes::Bytes;
use kafka_log::{Log, LogConfig};
use kafka_proto::record::{BuilderOptions, Codec, Magic, RecordsBuilder};

use crate::support::{DIR, Records, World, content, last_offsets, names, read, write};

const FAR: i64 = 1 << 31;

/// A batch of two records whose last one has this offset, which no checksum covers.
fn batch(last_offset: i64) -> Vec<u8> {
    let mut bytes = Records { count: 2, value_len: 40, ..Records::default() }.bytes().to_vec();
    bytes[..8].copy_from_slice(&(last_offset - 1).to_be_bytes());
    bytes
}

/// One that just fits, one that does not, one behind it, one that does not fit behind that one; holes between them.
fn lasts() -> Vec<i64> {
    vec![1, FAR - 1, FAR + 1, FAR + 900, 3 * FAR]
}

fn segment(lasts: &[i64]) -> Vec<u8> {
    lasts.iter().flat_map(|last| batch(*last)).collect()
}

fn log_name(base: i64) -> String {
    format!("t-0/{base:020}.log")
}

/// A disk with one segment of these bytes at offset 0, durable.
fn disk_with(segment: &[u8]) -> MemDisk {
    let disk = MemDisk::new();
    write(&disk, &log_name(0), segment);
    disk.sync_file_system(DIR.as_ref(), &Slow::allowed()).unwrap();
    disk
}

/// Base offsets of the segments, and the bytes of all of them in a row.
fn segments(disk: &dyn Disk) -> (Vec<i64>, Vec<u8>) {
    let logs: Vec<String> = names(disk, "t-0").into_iter().filter(|name| name.ends_with(".log")).collect();
    let bytes = logs.iter().flat_map(|name| content(disk, &format!("t-0/{name}"))).collect();
    (logs.iter().map(|name| name[..20].parse().unwrap()).collect(), bytes)
}

fn all_last_offsets(log: &Arc<Log>) -> Vec<i64> {
    let (mut found, mut offset) = (Vec::new(), log.offsets().log_start);
    while offset < log.offsets().log_end {
        let more = last_offsets(&read(log, offset).unwrap());
        offset = more.last().unwrap() + 1;
        found.extend(more);
    }
    found
}

fn no_leftovers(disk: &dyn Disk) {
    let names = names(disk, "t-0");
    assert!(!names.iter().any(|name| name.ends_with(".cleaned") || name.ends_with(".swap")), "{names:?}");
}

#[test]
fn an_overflowed_segment_is_split_into_segments_with_the_same_bytes() {
    for is_clean in [false, true] {
        let bytes = segment(&lasts());
        let disk = disk_with(&bytes);
        // After a clean stop it is found for want of an index.
        if is_clean {
            write(&disk, ".kafka_cleanshutdown", b"");
        }
        let config = LogConfig { index_interval_bytes: 1, ..LogConfig::default() };
        let world = World::on(&disk, &config);
        assert!(world.broker.failed.lock().unwrap().is_empty());
        let log = world.log(&config);
        assert_eq!(segments(&disk), (vec![0, FAR, 3 * FAR - 1], bytes));
        no_leftovers(&disk);
        assert_eq!(all_last_offsets(&log), lasts());
        assert_eq!((log.offsets().log_start, log.offsets().log_end), (0, 3 * FAR + 1));
        // The second batch of a segment is in its index: its last offset counts from the segment's base.
        assert_eq!(content(&disk, &format!("t-0/{FAR:020}.index"))[..4], 900_i32.to_be_bytes());
        let info = Records::default().append(&log, world.now).unwrap();
        assert_eq!(info.first_offset, 3 * FAR + 1);
    }
}

#[test]
fn a_segment_that_begins_before_its_first_batch_is_named_by_that_batch() {
    let bytes = segment(&[2 * FAR + 1, 2 * FAR + 7]);
    let disk = disk_with(&bytes);
    let config = LogConfig::default();
    let log = World::on(&disk, &config).log(&config);
    assert_eq!(segments(&disk), (vec![2 * FAR], bytes));
    assert_eq!(all_last_offsets(&log), [2 * FAR + 1, 2 * FAR + 7]);
}

#[test]
fn the_power_may_go_off_at_each_step_of_a_split() {
    // The last one begins before its first batch: nothing takes the place of its own name.
    for lasts in [lasts(), vec![2 * FAR, 2 * FAR + 5, 4 * FAR + 6]] {
        let bytes = segment(&lasts);
        let config = LogConfig::default();
        let mut interrupted = 0;
        for calls in 0.. {
            let mut ended = true;
            for seed in 0..4 {
                let disk = disk_with(&bytes);
                disk.power_off_after(calls);
                ended &= World::try_on(Arc::new(disk.clone()), &config).is_ok();
                match seed {
                    0 => disk.crash_losing_all(),
                    _ => disk.crash(&mut Random::from_seed(seed + 10 * calls)),
                }
                let log = World::on(&disk, &config).log(&config);
                assert_eq!(all_last_offsets(&log), lasts, "after {calls} calls, seed {seed}");
                assert_eq!(segments(&disk).1, bytes);
                no_leftovers(&disk);
            }
            if ended {
                break;
            }
            interrupted += 1;
        }
        assert!(interrupted > 10, "the power went off at {interrupted} steps only");
    }
}

#[test]
fn a_damaged_batch_begins_no_segment() {
    let mut bytes = segment(&[1, FAR + 1, 5 * FAR]);
    let good = segment(&[1, FAR + 1]);
    *bytes.last_mut().unwrap() ^= 1;
    let disk = disk_with(&bytes);
    let config = LogConfig::default();
    let log = World::on(&disk, &config).log(&config);
    assert_eq!(segments(&disk), (vec![0, FAR], good));
    assert_eq!(log.offsets().log_end, FAR + 2);
}

#[test]
fn a_compressed_message_of_magic_1_begins_a_segment_at_its_first_record() {
    let mut builder = RecordsBuilder::new(BuilderOptions::new(Magic::V1, Codec::Gzip)).unwrap();
    for number in 0..3 {
        builder.append(1_600_000_000_000 + number, None, Some(b"value"), &[]).unwrap();
    }
    let message: Bytes = builder.build().unwrap().bytes;
    let at = |last: i64| {
        let mut bytes = message.to_vec();
        bytes[..8].copy_from_slice(&last.to_be_bytes());
        bytes
    };
    let bytes = [at(2), at(FAR + 10)].concat();
    let disk = disk_with(&bytes);
    let config = LogConfig { message_magic: 1, ..LogConfig::default() };
    let log = World::on(&disk, &config).log(&config);
    assert_eq!(segments(&disk), (vec![0, FAR + 8], bytes));
    assert_eq!(log.offsets().log_end, FAR + 11);
}

/// What a start finds while a split was at its renames: without its first piece the others are dropped, with it the whole goes.
#[test]
fn a_swap_is_complete_with_its_first_piece() {
    let (first, second) = (segment(&[FAR + 1]), segment(&[3 * FAR + 1]));
    let config = LogConfig::default();
    for complete in [false, true] {
        let disk = MemDisk::new();
        let whole = [first.clone(), second.clone()].concat();
        write(&disk, &log_name(0), &whole);
        let state = if complete { "swap" } else { "cleaned" };
        write(&disk, &format!("{}.{state}", log_name(FAR)), &first);
        write(&disk, &format!("{}.swap", log_name(3 * FAR)), &second);
        let world = World::on(&disk, &config);
        assert_eq!(segments(&disk), (vec![FAR, 3 * FAR], whole));
        assert_eq!(all_last_offsets(&world.log(&config)), [FAR + 1, 3 * FAR + 1]);
        no_leftovers(&disk);
        let split =
            world.broker.lines.lock().unwrap().iter().any(|line| line.contains("Splitting overflowed segment 0"));
        assert_eq!(split, !complete, "a complete swap is taken up, an incomplete one is begun anew");
        assert!(disk.metadata(&PathBuf::from(DIR).join(log_name(0))).unwrap().is_none());
    }
}
