//! Appends, reads, rolls, truncation, retention, time lookups.

use base::{Disk, Fault, MemDisk, Slow};
use kafka_log::{Bound, EpochOffset, LogConfig, LogError, Origin, ReadRequest};
use kafka_proto::record::{EndTransactionMarker, end_transaction_batch};

use crate::support::{DIR, Records, World, at, bytes_of, check, content, last_offsets, names, read, request, write};

fn small() -> LogConfig {
    LogConfig { segment_bytes: 1000, index_interval_bytes: 100, retention_ms: -1, ..LogConfig::default() }
}

#[test]
fn offsets_follow_each_other_and_come_back_at_every_position() {
    let world = World::on(&MemDisk::new(), &small());
    let log = world.log(&small());
    let mut ends = Vec::new();
    for count in [1, 3, 2, 7, 1, 1, 4, 2, 5, 1, 3, 3] {
        let info = Records { count, ..Records::default() }.append(&log, world.now).unwrap();
        assert_eq!(info.last_offset, info.first_offset + count as i64 - 1);
        assert_eq!(info.log_end_offset, info.last_offset + 1);
        ends.push(info.last_offset);
    }
    assert!(log.segment_count() > 1, "several segments");
    for offset in 0..=*ends.last().unwrap() {
        let fetched = read(&log, offset).unwrap();
        let first = *ends.iter().find(|end| **end >= offset).unwrap();
        assert_eq!(last_offsets(&fetched)[0], first, "offset {offset}");
    }
    let end = log.offsets().log_end;
    assert!(read(&log, end).unwrap().records.is_empty());
    assert!(matches!(read(&log, end + 1), Err(LogError::OffsetOutOfRange { .. })));
    assert!(matches!(read(&log, -1), Err(LogError::OffsetOutOfRange { .. })));
}

#[test]
fn reads_are_cut_by_bytes_and_bounds() {
    let world = World::on(&MemDisk::new(), &LogConfig::default());
    let log = world.log(&LogConfig::default());
    let size = Records::default().bytes().len() as u32;
    for _ in 0..10 {
        Records::default().append(&log, world.now).unwrap();
    }
    let fetch = |request: ReadRequest| log.read(&request).unwrap();
    let cut = fetch(ReadRequest { max_bytes: size * 2 + 5, ..request(3) });
    assert_eq!(bytes_of(&cut).len() as u32, size * 2 + 5, "cut anywhere");
    let one = fetch(ReadRequest { max_bytes: 5, ..request(3) });
    assert_eq!(last_offsets(&one), [3], "the first batch comes whole");
    assert!(!one.first_batch_incomplete);
    let part = fetch(ReadRequest { max_bytes: 5, min_one_message: false, ..request(3) });
    assert_eq!((bytes_of(&part).len(), part.first_batch_incomplete), (5, true));
    let none = fetch(ReadRequest { max_bytes: 0, min_one_message: false, ..request(3) });
    assert!(none.records.is_empty());
    // Up to the high watermark.
    let bounded = |offset| fetch(ReadRequest { bound: Bound::HighWatermark, ..request(offset) });
    assert!(bounded(0).records.is_empty());
    assert_eq!(log.increment_high_watermark(4), Some(0));
    assert_eq!(last_offsets(&bounded(1)), [1, 2, 3]);
    assert!(bounded(4).records.is_empty());
    assert!(bounded(7).records.is_empty(), "behind the bound and before the end is no error");
    assert_eq!(log.increment_high_watermark(3), None);
    assert_eq!(log.increment_high_watermark(99), Some(4));
    assert_eq!(log.offsets().high_watermark, 10);
    assert_eq!(log.update_high_watermark(2), 2);
    assert_eq!(last_offsets(&bounded(0)), [0, 1]);
}

#[test]
fn duplicates_tell_of_the_first_append() {
    let mut world = World::on(&MemDisk::new(), &LogConfig::default());
    let log = world.log(&LogConfig::default());
    let batch = |sequence| Records {
        count: 2,
        producer: Some((5, 0, sequence)),
        timestamp: at(77).wall_ms + i64::from(sequence),
        ..Records::default()
    };
    batch(0).append(&log, world.now).unwrap();
    let first = batch(2).append(&log, world.now).unwrap();
    world.advance(5);
    let again = batch(2).append(&log, world.now).unwrap();
    assert!(again.duplicate && !first.duplicate);
    assert_eq!((again.first_offset, again.last_offset, again.log_append_time), (2, 3, at(80).wall_ms));
    assert_eq!(log.offsets().log_end, 4);
    assert!(matches!(batch(9).append(&log, world.now), Err(LogError::OutOfOrderSequence { .. })));
    // The state outlives a clean stop.
    world.logs.shutdown(&Slow::allowed());
    let world = World { ..World::try_on(world.disk, &LogConfig::default()).unwrap() };
    let log = world.log(&LogConfig::default());
    assert!(batch(2).append(&log, world.now).unwrap().duplicate);
    assert!(!batch(4).append(&log, world.now).unwrap().duplicate);
}

#[test]
fn transactions_hold_back_read_committed() {
    let world = World::on(&MemDisk::new(), &small());
    let log = world.log(&small());
    let data = |id, sequence| Records {
        count: 2,
        producer: Some((id, 0, sequence)),
        transactional: true,
        ..Records::default()
    };
    let end = |id, commit| {
        let batch = end_transaction_batch(id, 0, 5, &EndTransactionMarker { commit, coordinator_epoch: 1 }).unwrap();
        let checked = check(&log, &batch, Origin::Coordinator, world.now);
        log.append_as_leader(checked, 0, Origin::Coordinator, world.now).unwrap()
    };
    let committed = |offset| log.read(&ReadRequest { bound: Bound::LastStable, ..request(offset) }).unwrap();
    data(1, 0).append(&log, world.now).unwrap();
    Records::default().append(&log, world.now).unwrap();
    data(2, 0).append(&log, world.now).unwrap();
    log.increment_high_watermark(5);
    assert_eq!(log.offsets().last_stable, 0);
    assert!(committed(0).records.is_empty());
    end(1, false);
    assert_eq!(log.offsets().last_stable, 0, "the marker is above the high watermark");
    log.increment_high_watermark(6);
    assert_eq!(log.offsets().last_stable, 3);
    let fetched = committed(0);
    assert_eq!(last_offsets(&fetched), [1, 2]);
    let aborted = fetched.aborted_transactions.unwrap();
    assert_eq!(aborted.iter().map(|one| (one.producer_id, one.first_offset)).collect::<Vec<_>>(), [(1, 0)]);
    end(2, true);
    log.increment_high_watermark(7);
    assert_eq!(log.offsets().last_stable, 7);
    assert_eq!(committed(5).aborted_transactions.unwrap().len(), 1, "overlaps with the marker");
    assert_eq!(committed(6).aborted_transactions.unwrap().len(), 0);
    // All of it is found again, by recovery and by a clean start.
    for clean in [false, true] {
        if clean {
            world.logs.shutdown(&Slow::allowed());
        }
        let copy = MemDisk::new();
        for name in names(world.disk.as_ref(), "t-0") {
            let name = format!("t-0/{name}");
            write(&copy, &name, &content(world.disk.as_ref(), &name));
        }
        if clean {
            write(&copy, ".kafka_cleanshutdown", b"");
        }
        let again = World::on(&copy, &small());
        let log = again.log(&small());
        log.update_high_watermark(7);
        let fetched = log.read(&ReadRequest { bound: Bound::LastStable, ..request(0) }).unwrap();
        assert_eq!(fetched.offsets.last_stable, 7, "clean: {clean}");
        assert_eq!(fetched.aborted_transactions.unwrap().len(), 1, "clean: {clean}");
    }
}

#[test]
fn a_follower_takes_what_it_is_given_and_truncates_to_epochs() {
    let world = World::on(&MemDisk::new(), &small());
    let leader = world.log(&small());
    for epoch in 0..4 {
        for count in [2, 3] {
            let checked = Records { count, ..Records::default() }.checked(&leader, Origin::Client, world.now);
            leader.append_as_leader(checked, epoch, Origin::Client, world.now).unwrap();
        }
    }
    assert_eq!(leader.end_offset_for_epoch(1), Some(EpochOffset { epoch: 1, offset: 10 }));
    assert_eq!(leader.end_offset_for_epoch(3), Some(EpochOffset { epoch: 3, offset: 20 }));
    let follower = World::on(&MemDisk::new(), &small());
    let log = follower.log(&small());
    while log.offsets().log_end < 20 {
        let bytes = bytes_of(&leader.read(&ReadRequest { max_bytes: 300, ..request(log.offsets().log_end) }).unwrap());
        log.append_as_follower(&bytes, follower.now).unwrap();
    }
    assert_eq!(log.latest_epoch(), Some(3));
    let again = bytes_of(&read(&leader, 15).unwrap());
    assert!(matches!(log.append_as_follower(&again, follower.now), Err(LogError::UnexpectedAppendOffset { .. })));
    log.update_high_watermark(20);
    let results = follower.logs.truncate_to(&[(log.clone(), 9)], follower.now, &Slow::allowed());
    assert!(matches!(results[..], [Ok(true)]));
    let offsets = log.offsets();
    assert_eq!((offsets.log_end, offsets.high_watermark), (7, 7));
    assert_eq!(log.latest_epoch(), Some(1));
    assert_eq!(last_offsets(&read(&log, 0).unwrap()), [1, 4, 6], "the batch of 7 to 9 is gone whole");
    log.append_as_follower(&bytes_of(&read(&leader, 10).unwrap()), follower.now).unwrap();
    follower.logs.truncate_fully_and_start_at(&log, 100, follower.now, &Slow::allowed()).unwrap();
    let offsets = log.offsets();
    assert_eq!((offsets.log_start, offsets.log_end, log.latest_epoch()), (100, 100, None));
    Records::default().append(&log, follower.now).unwrap();
    assert_eq!(last_offsets(&read(&log, 100).unwrap()), [100]);
    assert!(matches!(read(&log, 99), Err(LogError::OffsetOutOfRange { .. })));
}

#[test]
fn times_are_found_to_the_record() {
    let world = World::on(&MemDisk::new(), &small());
    let log = world.log(&small());
    for number in 0..50 {
        Records { count: 3, timestamp: 1_000 + number * 10, ..Records::default() }.append(&log, world.now).unwrap();
    }
    let find = |timestamp| log.offset_for_timestamp(timestamp).unwrap().map(|found| (found.timestamp, found.offset));
    assert_eq!(find(0), Some((1_000, 0)));
    assert_eq!(find(1_001), Some((1_001, 1)));
    assert_eq!(find(1_003), Some((1_010, 3)));
    assert_eq!(find(1_492), Some((1_492, 149)));
    assert_eq!(find(1_493), None);
    log.update_high_watermark(150);
    assert!(log.increment_log_start_offset(20).unwrap());
    assert_eq!(log.earliest().offset, 20);
    assert_eq!(find(1_001), Some((1_062, 20)), "of the same segment, behind the log's start");
}

/// After a start and after a truncation, an append finds all it needs in memory: it may not wait for a device.
#[test]
fn the_first_append_reads_nothing() {
    let config = LogConfig { index_interval_bytes: 1, segment_bytes: 1000, ..LogConfig::default() };
    let disk = MemDisk::new();
    let world = World::on(&disk, &config);
    let log = world.log(&config);
    for _ in 0..30 {
        Records::default().append(&log, world.now).unwrap();
    }
    world.logs.shutdown(&Slow::allowed());
    let world = World::on(&disk, &config);
    let log = world.log(&config);
    for cut in [30, 4] {
        world.logs.truncate_to(&[(log.clone(), cut)], world.now, &Slow::allowed())[0].as_ref().unwrap();
        disk.inject(DIR, Fault::Read);
        assert_eq!(Records::default().append(&log, world.now).unwrap().first_offset, cut);
        disk.heal();
    }
}

#[test]
fn retention_by_time_size_and_start() {
    let mut world = World::on(&MemDisk::new(), &small());
    let log = world.log(&small());
    for number in 0..60 {
        Records { timestamp: world.now.wall_ms + number, ..Records::default() }.append(&log, world.now).unwrap();
    }
    log.update_high_watermark(60);
    world.run_jobs();
    let segments = log.segment_count();
    assert!(segments >= 4);
    log.increment_log_start_offset(log.active_segment() - 1).unwrap();
    world.advance(400_000);
    assert_eq!(log.segment_count(), 2, "those before the start are gone");
    assert!(names(world.disk.as_ref(), "t-0").iter().all(|name| !name.ends_with(".deleted")), "and their files");
    log.set_config(LogConfig { retention_bytes: 0, ..small() });
    world.advance(400_000);
    let offsets = log.offsets();
    assert_eq!(
        (log.segment_count(), log.size(), offsets.log_start, offsets.log_end),
        (1, 0, 60, 60),
        "a new one, empty"
    );
    Records { timestamp: world.now.wall_ms, ..Records::default() }.append(&log, world.now).unwrap();
    log.update_high_watermark(61);
    log.set_config(LogConfig { retention_ms: 1_000_000, cleanup_compact: true, ..small() });
    world.advance(2_000_000);
    assert_eq!(log.offsets().log_start, 60, "a compacted log is never cut");
    assert_eq!(
        world.broker.lines.lock().unwrap().iter().filter(|line| line.contains("cleanup.policy=compact")).count(),
        1
    );
    world.broker.starts_moved.lock().unwrap().clear();
    log.set_config(LogConfig { retention_ms: 1_000_000, ..small() });
    world.advance(400_000);
    assert_eq!(log.offsets().log_start, 61);
    assert_eq!(*world.broker.starts_moved.lock().unwrap(), [log.partition().clone()], "followers are to hear of it");
}

#[test]
fn a_full_disk_refuses_appends_and_keeps_reading() {
    let disk = MemDisk::new();
    let world = World::on(&disk, &LogConfig::default());
    let log = world.log(&LogConfig::default());
    for _ in 0..5 {
        Records::default().append(&log, world.now).unwrap();
    }
    disk.set_free_bytes(Some(20));
    assert!(matches!(Records::default().append(&log, world.now), Err(LogError::AppendsRefused { .. })));
    assert!(
        matches!(Records::default().append(&log, world.now), Err(LogError::AppendsRefused { .. })),
        "until it is cut off"
    );
    assert_eq!(last_offsets(&read(&log, 0).unwrap()), [0, 1, 2, 3, 4]);
    world.run_jobs();
    assert!(matches!(Records::default().append(&log, world.now), Err(LogError::AppendsRefused { .. })), "still full");
    disk.set_free_bytes(None);
    world.run_jobs();
    assert_eq!(Records::default().append(&log, world.now).unwrap().first_offset, 5);
    assert_eq!(last_offsets(&read(&log, 0).unwrap()), [0, 1, 2, 3, 4, 5]);
    assert!(world.broker.failed.lock().unwrap().is_empty());
    let lines = world.broker.lines.lock().unwrap();
    let told: Vec<_> = lines.iter().filter(|line| line.contains("The disk")).collect();
    assert_eq!(told.len(), 2, "full, and no longer so: {told:?}");
}

#[test]
fn a_failed_disk_takes_its_directory_offline() {
    let disk = MemDisk::new();
    let world = World::on(&disk, &LogConfig::default());
    let log = world.log(&LogConfig::default());
    Records::default().append(&log, world.now).unwrap();
    disk.inject(DIR, Fault::Sync);
    assert!(log.flush(world.now, &Slow::allowed()).is_err());
    assert_eq!(log.recovery_point(), 0, "a failed sync is not believed");
    assert_eq!(*world.broker.failed.lock().unwrap(), [std::path::PathBuf::from(DIR)]);
    assert_eq!(world.logs.directory_offline(DIR.as_ref()).0, [World::partition(0)]);
    assert!(matches!(Records::default().append(&log, world.now), Err(LogError::Closed { .. })));
    assert!(matches!(read(&log, 0), Err(LogError::Closed { .. })));
    let created =
        world.logs.get_or_create(&World::partition(1), false, &LogConfig::default(), world.now, &Slow::allowed());
    assert!(matches!(created, Err(LogError::Offline { .. })));
    world.logs.shutdown(&Slow::allowed());
    disk.heal();
    assert!(disk.metadata(format!("{DIR}/.kafka_cleanshutdown").as_ref()).unwrap().is_none(), "no clean stop");
}

#[test]
fn partitions_are_deleted_by_renaming_first() {
    let mut world = World::on(&MemDisk::new(), &LogConfig::default());
    let log = world.log(&LogConfig::default());
    Records::default().append(&log, world.now).unwrap();
    let results = world.logs.delete(&[World::partition(0), World::partition(7)], world.now, &Slow::allowed());
    assert!(results.iter().all(|(_, result)| result.is_ok()));
    assert!(world.logs.get(&World::partition(0)).is_none());
    assert!(names(world.disk.as_ref(), "").iter().any(|name| name.starts_with("t-0.") && name.ends_with("-delete")));
    let again = world.log(&LogConfig::default());
    assert_eq!(again.offsets().log_end, 0, "a new one of the same name");
    world.advance(59_000);
    assert!(names(world.disk.as_ref(), "").iter().any(|name| name.ends_with("-delete")));
    world.advance(2_000);
    assert!(!names(world.disk.as_ref(), "").iter().any(|name| name.ends_with("-delete")));
}

#[test]
fn the_epochs_of_a_partition_that_is_gone_are_not_written() {
    let world = World::on(&MemDisk::new(), &LogConfig::default());
    world.log(&LogConfig::default()).assign_epoch_start(1, 0);
    world.logs.delete(&[World::partition(0)], world.now, &Slow::allowed());
    for folder in names(world.disk.as_ref(), "").iter().filter(|name| name.ends_with("-delete")) {
        world.disk.remove_dir_all(format!("{DIR}/{folder}").as_ref(), &Slow::allowed()).unwrap();
    }
    world.run_jobs();
    assert!(world.broker.failed.lock().unwrap().is_empty(), "{:?}", world.broker.lines.lock().unwrap());
}

#[test]
fn a_second_process_is_refused() {
    let disk = MemDisk::new();
    let _first = World::on(&disk, &LogConfig::default());
    let Err(error) = World::try_on(std::sync::Arc::new(disk), &LogConfig::default()) else { panic!("locked") };
    assert!(error.to_string().contains("Failed to acquire lock on file .lock in /logs"), "{error}");
}

#[test]
fn flush_messages_asks_for_a_flush_before_the_acknowledgement() {
    let config = LogConfig { flush_messages: 2, ..LogConfig::default() };
    let world = World::on(&MemDisk::new(), &config);
    let log = world.log(&config);
    assert!(!Records::default().append(&log, at(1)).unwrap().flush_wanted);
    assert!(Records::default().append(&log, at(1)).unwrap().flush_wanted);
    assert_eq!(log.recovery_point(), 0);
    world.run_jobs();
    assert_eq!(log.recovery_point(), 2);
}

#[test]
fn what_is_not_in_the_page_cache_is_told_before_anybody_waits() {
    let disk = MemDisk::new();
    let config = LogConfig { index_interval_bytes: 100, ..LogConfig::default() };
    let world = World::on(&disk, &config);
    let log = world.log(&config);
    for _ in 0..40 {
        Records { count: 10, value_len: 1000, ..Records::default() }.append(&log, world.now).unwrap();
    }
    log.flush(world.now, &Slow::allowed()).unwrap();
    let cached = |offset| log.read(&ReadRequest { cached_only: true, ..request(offset) });
    assert_eq!(last_offsets(&cached(205).unwrap()).first(), Some(&209));
    disk.evict();
    assert!(matches!(cached(205), Err(LogError::Cold)), "the log");
    // The look-up alone does not bring the range.
    let fetched = read(&log, 205).unwrap();
    assert!(matches!(cached(205), Err(LogError::Cold)), "the range");
    bytes_of(&fetched);
    assert_eq!(last_offsets(&cached(205).unwrap()).first(), Some(&209));
    assert!(matches!(cached(0), Err(LogError::Cold)), "others stay as they are");
}

#[test]
fn a_segment_that_was_not_looked_at_is_cold() {
    let disk = MemDisk::new();
    let world = World::on(&disk, &small());
    let log = world.log(&small());
    for _ in 0..30 {
        Records { count: 10, ..Records::default() }.append(&log, world.now).unwrap();
    }
    assert!(log.segment_count() > 2, "old segments");
    world.logs.shutdown(&Slow::allowed());
    drop(log);
    disk.kill();
    let world = World::on(&disk, &small());
    let log = world.log(&small());
    let cached = |offset| log.read(&ReadRequest { cached_only: true, ..request(offset) });
    assert!(matches!(cached(15), Err(LogError::Cold)));
    read(&log, 15).unwrap();
    assert_eq!(last_offsets(&cached(15).unwrap()).first(), Some(&19));
}

#[test]
fn a_log_without_records_leaves_no_snapshot() {
    let world = World::on(&MemDisk::new(), &small());
    drop(world.log(&small()));
    world.logs.shutdown(&Slow::allowed());
    let names = names(world.disk.as_ref(), "t-0");
    assert!(!names.iter().any(|name| name.ends_with(".snapshot")), "{names:?}");
}
