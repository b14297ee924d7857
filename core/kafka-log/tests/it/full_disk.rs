//! Starts, and cuts, on a disk without a free byte: what is there is served, and nothing of it is harmed.

use std::sync::Arc;

use base::{Disk, Fault, MemDisk, Slow};
use kafka_log::{Log, LogConfig, LogError, Origin};

use crate::support::{DIR, Records, World, content, last_offsets, read};

const BATCHES: i64 = 3_000;

/// An index entry for each batch but the first, and several segments.
fn config() -> LogConfig {
    LogConfig { index_interval_bytes: 1, segment_bytes: 100_000, retention_ms: -1, ..LogConfig::default() }
}

fn append(log: &Log, world: &World, number: i64) -> Result<i64, LogError> {
    let records = Records { timestamp: 1_600_000_000_000 + number * 10, ..Records::default() };
    records.append(log, world.now).map(|info| info.first_offset)
}

/// Appends, and ends as by `kill -9`: the last index entries of each file were in memory alone.
fn killed(disk: &MemDisk) {
    let world = World::on(disk, &config());
    let log = world.log(&config());
    for number in 0..BATCHES {
        append(&log, &world, number).unwrap();
    }
    disk.kill();
}

fn assert_whole(log: &Log) {
    let mut next = 0;
    while next < BATCHES {
        for last in last_offsets(&read(log, next).unwrap()) {
            assert!(last == next || last + 1 == next || last < next, "{last} comes behind {next}");
            next = next.max(last + 1);
        }
    }
    for number in (0..BATCHES).step_by(97) {
        let found = log.offset_for_timestamp(1_600_000_000_000 + number * 10).unwrap().unwrap();
        assert_eq!(found.offset, number);
    }
}

fn index_name(log: &Log) -> String {
    format!("t-0/{:020}.index", log.active_segment())
}

fn start(disk: &MemDisk) -> (World, Arc<Log>) {
    let world = World::on(disk, &config());
    let log = world.log(&config());
    (world, log)
}

#[test]
fn a_killed_broker_serves_reads_and_takes_appends_once_there_is_room() {
    let disk = MemDisk::new();
    killed(&disk);
    disk.set_free_bytes(Some(0));
    let (world, log) = start(&disk);
    assert!(world.broker.failed.lock().unwrap().is_empty());
    assert_whole(&log);
    assert!(content(&disk, &index_name(&log)).is_empty(), "its entries are in memory");
    assert!(matches!(append(&log, &world, BATCHES), Err(LogError::AppendsRefused { .. })));
    assert!(log.flush(world.now, &Slow::allowed()).is_err());
    assert_eq!(log.recovery_point(), 0, "what is in memory is not durable");

    disk.set_free_bytes(None);
    world.run_jobs();
    assert_eq!(append(&log, &world, BATCHES).unwrap(), BATCHES);
    log.flush(world.now, &Slow::allowed()).unwrap();
    assert_eq!(log.recovery_point(), BATCHES + 1);
    assert!(!content(&disk, &index_name(&log)).is_empty());
}

#[test]
fn a_start_after_a_start_on_a_full_disk_recovers_again() {
    let disk = MemDisk::new();
    killed(&disk);
    for free in [0, 3_000, 9_000, 0] {
        disk.set_free_bytes(Some(free));
        let (world, log) = start(&disk);
        assert_whole(&log);
        world.logs.shutdown(&Slow::allowed());
        assert!(disk.metadata(format!("{DIR}/.kafka_cleanshutdown").as_ref()).unwrap().is_none(), "no clean stop");
        disk.kill();
    }
    disk.set_free_bytes(None);
    let (world, log) = start(&disk);
    assert_whole(&log);
    world.logs.shutdown(&Slow::allowed());
    disk.kill();
    assert_whole(&start(&disk).1);
}

#[test]
fn an_index_that_is_missing_and_has_no_room_is_built_by_the_next_start() {
    let disk = MemDisk::new();
    killed(&disk);
    let (world, _) = start(&disk);
    world.logs.shutdown(&Slow::allowed());
    disk.kill();
    for file in ["00000000000000000000.index", "00000000000000000000.timeindex"] {
        disk.remove_file(format!("{DIR}/t-0/{file}").as_ref(), &Slow::allowed()).unwrap();
    }
    disk.set_free_bytes(Some(0));
    assert!(matches!(World::try_on(Arc::new(disk.clone()), &config()), Err(LogError::Halted(_))));
    disk.kill();
    disk.set_free_bytes(None);
    assert_whole(&start(&disk).1);
}

#[test]
fn a_directory_that_is_new_needs_no_room() {
    let disk = MemDisk::new();
    disk.set_free_bytes(Some(0));
    let (world, log) = start(&disk);
    assert!(matches!(append(&log, &world, 0), Err(LogError::AppendsRefused { .. })));
}

/// Cutting off what a failed write left may itself need room, on file systems that keep what was there before.
#[test]
fn appends_go_on_after_a_cut_that_had_no_room() {
    let disk = MemDisk::new();
    let (mut world, log) = start(&disk);
    append(&log, &world, 0).unwrap();
    disk.set_free_bytes(Some(10));
    disk.inject(DIR, Fault::NoRoom);
    assert!(matches!(append(&log, &world, 1), Err(LogError::AppendsRefused { .. })));
    world.run_jobs();
    assert!(matches!(append(&log, &world, 1), Err(LogError::AppendsRefused { .. })));
    assert!(matches!(cut(&world, &log, 0), Err(LogError::AppendsRefused { .. })), "one cut at a time");
    disk.set_free_bytes(None);
    world.advance(3_000);
    assert!(matches!(append(&log, &world, 1), Err(LogError::AppendsRefused { .. })), "the rest is still there");
    disk.heal();
    world.advance(1_000);
    assert_eq!(append(&log, &world, 1).unwrap(), 1);
    assert!(world.broker.failed.lock().unwrap().is_empty());
    disk.kill();
    assert_eq!(start(&disk).1.offsets().log_end, 2);
}

fn append_in(log: &Log, world: &World, epoch: i32) -> i64 {
    let records = Records::default().checked(log, Origin::Client, world.now);
    log.append_as_leader(records, epoch, Origin::Client, world.now).unwrap().first_offset
}

fn cut(world: &World, log: &Arc<Log>, to: i64) -> Result<bool, LogError> {
    world.logs.truncate_to(&[(log.clone(), to)], world.now, &Slow::allowed()).pop().unwrap()
}

/// What is known to be good must not lie behind the cut, or the next crash takes for good whatever stands there by then.
#[test]
fn a_log_is_not_cut_before_its_recovery_point_is_lowered_on_the_disk() {
    let disk = MemDisk::new();
    let (mut world, log) = start(&disk);
    (0..10).for_each(|_| _ = append_in(&log, &world, 0));
    log.flush(world.now, &Slow::allowed()).unwrap();
    world.advance(61_000);
    disk.set_free_bytes(Some(0));
    assert!(matches!(cut(&world, &log, 5), Err(LogError::AppendsRefused { .. })));
    assert_eq!(log.offsets().log_end, 10);
    let restart = world.logs.truncate_fully_and_start_at(&log, 20, world.now, &Slow::allowed());
    assert!(matches!(restart, Err(LogError::AppendsRefused { .. })));
    assert_eq!(log.offsets().log_end, 10);
    assert!(world.broker.failed.lock().unwrap().is_empty());

    disk.set_free_bytes(None);
    world.run_jobs();
    assert_eq!(append_in(&log, &world, 0), 10, "it takes appends again");
    assert!(cut(&world, &log, 5).unwrap());
    assert_eq!(append_in(&log, &world, 0), 5);
}

/// Its epochs wait for room; those on the disk do no harm meanwhile.
#[test]
fn a_log_is_cut_though_its_epochs_have_no_room() {
    let disk = MemDisk::new();
    let (world, log) = start(&disk);
    (0..3).for_each(|epoch| _ = append_in(&log, &world, epoch));
    world.run_jobs();
    let epochs = || String::from_utf8(content(&disk, "t-0/leader-epoch-checkpoint")).unwrap();
    assert_eq!(epochs(), "0\n3\n0 0\n1 1\n2 2\n");
    disk.set_free_bytes(Some(0));
    assert!(cut(&world, &log, 1).unwrap());
    assert_eq!((log.offsets().log_end, log.latest_epoch()), (1, Some(0)));
    assert_eq!(epochs(), "0\n3\n0 0\n1 1\n2 2\n");
    assert!(world.broker.failed.lock().unwrap().is_empty());

    disk.set_free_bytes(None);
    assert_eq!(append_in(&log, &world, 3), 1);
    // Killed before they were written.
    disk.kill();
    let (world, log) = start(&disk);
    assert_eq!(log.latest_epoch(), Some(3));
    assert_eq!(log.end_offset_for_epoch(2).map(|end| (end.epoch, end.offset)), Some((0, 1)));
    log.flush(world.now, &Slow::allowed()).unwrap();
    assert_eq!(epochs(), "0\n2\n0 0\n3 1\n");
}
