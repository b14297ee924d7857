//! Moves between log directories: folders and checkpoints at each step, and crashes at every call that reaches the disk.

use std::path::Path;
use std::sync::{Arc, Mutex};

use base::{Disk, Fault, MemDisk, Random, Slow};
use kafka_log::{FolderKind, Log, LogConfig, LogError, MetadataError, TopicPartition, parse_folder};

use crate::support::{Records, World, bytes_of, last_offsets, read};

const DIRS: [&str; 2] = ["/a", "/b"];

fn config() -> LogConfig {
    LogConfig { segment_bytes: 300, retention_ms: -1, ..LogConfig::default() }
}

fn open(disk: &MemDisk) -> World {
    World::try_on_dirs(Arc::new(disk.clone()), &config(), &DIRS).unwrap()
}

fn name() -> TopicPartition {
    World::partition(0)
}

/// A log of a few batches in the first directory.
fn world(disk: &MemDisk, batches: usize) -> (World, Arc<Log>) {
    let world = open(disk);
    world.logs.prefer(&name(), Path::new("/a"));
    let log = world.log(&config());
    append(&world, &log, batches);
    (world, log)
}

fn append(world: &World, log: &Log, batches: usize) {
    for _ in 0..batches {
        let sequence = i32::try_from(log.offsets().log_end).unwrap();
        let records = Records { count: 2, producer: Some((7, 0, sequence)), ..Records::default() };
        records.append(log, world.now).unwrap();
    }
}

fn start_copy(world: &World, log: &Log) -> Result<Arc<Log>, LogError> {
    let to = if log.log_dir() == Path::new("/a") { "/b" } else { "/a" };
    world.logs.prefer(&name(), Path::new(to));
    world.logs.create_future(&name(), &config(), world.now, &Slow::allowed())
}

/// Copies until the copy ends where the log does.
fn copy(world: &World, log: &Log, future: &Arc<Log>) -> Result<(), LogError> {
    let log_start = log.offsets().log_start;
    if future.offsets().log_end < log_start {
        world.logs.truncate_fully_and_start_at(future, log_start, world.now, &Slow::allowed())?;
    }
    while future.offsets().log_end < log.offsets().log_end {
        future.append_as_follower(&bytes_of(&read(log, future.offsets().log_end)?), world.now)?;
    }
    future.update_high_watermark(log.offsets().high_watermark);
    Ok(())
}

/// A log of ten batches whose copy has all of it, and its name.
fn swapping(disk: &MemDisk) -> (World, Arc<Log>, Arc<Log>) {
    let (world, log) = world(disk, 10);
    let future = start_copy(&world, &log).unwrap();
    copy(&world, &log, &future).unwrap();
    assert!(world.logs.begin_swap(&future, 0, world.now, &Slow::allowed()).unwrap());
    (world, log, future)
}

/// All steps of a move, with records that come in between; false if the copy did not become the log.
fn finish(world: &World, log: &Arc<Log>, future: &Arc<Log>) -> Result<(), LogError> {
    let slow = &Slow::allowed();
    copy(world, log, future)?;
    assert!(world.logs.begin_swap(future, log.truncations().unwrap(), world.now, slow)?);
    // The disk takes no more if the power is off.
    let sequence = i32::try_from(log.offsets().log_end).unwrap();
    Records { producer: Some((7, 0, sequence)), ..Records::default() }.append(log, world.now)?;
    copy(world, log, future)?;
    let (old, new) = world.logs.swap(&name(), log.truncations().unwrap()).expect("nothing was cut");
    world.logs.end_swap(&old, &new, world.now, slow)
}

fn folders(disk: &MemDisk, dir: &str) -> Vec<FolderKind> {
    let entries = disk.list(Path::new(dir)).unwrap();
    entries.iter().filter(|entry| entry.metadata.is_dir).map(|entry| parse_folder(&entry.name).unwrap().1).collect()
}

fn text(disk: &MemDisk, path: &str) -> String {
    String::from_utf8(disk.read(Path::new(path), 1 << 20).unwrap()).unwrap()
}

/// The last offset of each batch, from the log's start on.
fn batches(log: &Log) -> Vec<i64> {
    let (mut found, mut offset) = (Vec::new(), log.offsets().log_start);
    while offset < log.offsets().log_end {
        found.extend(last_offsets(&read(log, offset).unwrap()));
        offset = found.last().unwrap() + 1;
    }
    found
}

#[test]
fn a_copy_takes_the_logs_place_while_records_come() {
    let disk = MemDisk::new();
    let (mut world, log) = world(&disk, 20);
    log.update_high_watermark(40);
    log.increment_log_start_offset(4).unwrap();
    let future = start_copy(&world, &log).unwrap();
    assert_eq!((folders(&disk, "/a"), folders(&disk, "/b")), (vec![FolderKind::Current], vec![FolderKind::Future]));
    log.assign_epoch_start(5, 40);
    finish(&world, &log, &future).unwrap();
    let moved = world.logs.get(&name()).unwrap();
    assert!(Arc::ptr_eq(&moved, &future) && world.logs.future(&name()).is_none());
    assert_eq!((folders(&disk, "/a"), folders(&disk, "/b")), (vec![FolderKind::Deleted], vec![FolderKind::Current]));
    assert_eq!(moved.dir(), Path::new("/b/t-0"));
    assert_eq!((moved.offsets(), moved.latest_epoch()), (log.offsets(), log.latest_epoch()));
    assert_eq!(batches(&moved).last(), Some(&40));
    // A read of the old one may be under way.
    assert_eq!(batches(&log), batches(&moved));
    assert_eq!(text(&disk, "/a/recovery-point-offset-checkpoint"), "0\n0\n");
    assert_eq!(text(&disk, "/b/recovery-point-offset-checkpoint"), "0\n1\nt 0 41\n");
    assert_eq!(text(&disk, "/b/replication-offset-checkpoint"), "0\n1\nt 0 40\n");
    // It begins with its first segment: there is nothing to remember.
    assert_eq!(text(&disk, "/b/log-start-offset-checkpoint"), "0\n0\n");
    assert!(disk.list(Path::new("/b/t-0")).unwrap().iter().all(|file| file.name != "takes-the-place"));
    // What the producers did is known: this is the last batch again.
    let again = Records { producer: Some((7, 0, 40)), ..Records::default() }.append(&moved, world.now).unwrap();
    assert!(again.duplicate);
    world.advance(61_000);
    assert!(folders(&disk, "/a").is_empty());
    append(&world, &moved, 3);
    let all = batches(&moved);
    world.logs.shutdown(&Slow::allowed());
    let world = open(&disk);
    assert_eq!(batches(&world.logs.get(&name()).unwrap()), all);
}

#[test]
fn a_copy_that_lacks_something_stays_a_copy() {
    let disk = MemDisk::new();
    let (world, log) = world(&disk, 10);
    let future = start_copy(&world, &log).unwrap();
    copy(&world, &log, &future).unwrap();
    let slow = &Slow::allowed();
    assert!(world.logs.begin_swap(&future, log.truncations().unwrap(), world.now, slow).unwrap());
    append(&world, &log, 1);
    assert!(world.logs.swap(&name(), log.truncations().unwrap()).is_none(), "it ends before the log");
    copy(&world, &log, &future).unwrap();
    let cuts = log.truncations().unwrap();
    world.logs.truncate_to(&[(log.clone(), 18)], world.now, slow).pop().unwrap().unwrap();
    Records { count: 4, value_len: 3, ..Records::default() }.append(&log, world.now).unwrap();
    assert_eq!(log.offsets().log_end, future.offsets().log_end);
    assert!(world.logs.swap(&name(), cuts).is_none(), "the log was cut: the copy has other records");
    world.logs.give_up_swap(&future, slow).unwrap();
    assert_eq!((folders(&disk, "/a"), folders(&disk, "/b")), (vec![FolderKind::Current], vec![FolderKind::Future]));
    drop(world);
    disk.kill();
    let world = open(&disk);
    assert_eq!(world.logs.future(&name()).unwrap().offsets().log_end, 22);
    assert_eq!(batches(&world.logs.get(&name()).unwrap()), batches(&log_of_four(&world)));
}

#[test]
fn a_log_that_is_being_cut_has_no_count_of_cuts() {
    let disk = MemDisk::new();
    let (world, log) = world(&disk, 10);
    let (seen, watched) = (Arc::new(Mutex::new(Vec::new())), log.clone());
    let seen_by = Arc::clone(&seen);
    *world.broker.listener.lock().unwrap() = Some(Box::new(move |line| {
        if line.contains("Truncating to offset") {
            seen_by.lock().unwrap().push((watched.truncations(), watched.offsets().log_end));
        }
    }));
    world.logs.truncate_to(&[(log.clone(), 18)], world.now, &Slow::allowed()).pop().unwrap().unwrap();
    // The cut was counted when the end was still the old one: a copy with that end agrees with nothing.
    assert_eq!(*seen.lock().unwrap(), [(None, 20)]);
    assert_eq!((log.truncations(), log.offsets().log_end), (Some(1), 18));
}

#[test]
fn a_copy_of_before_a_cut_does_not_get_the_logs_name() {
    let disk = MemDisk::new();
    let (world, log) = world(&disk, 10);
    let future = start_copy(&world, &log).unwrap();
    copy(&world, &log, &future).unwrap();
    let (slow, cuts) = (&Slow::allowed(), log.truncations().unwrap());
    world.logs.truncate_to(&[(log.clone(), 18)], world.now, slow).pop().unwrap().unwrap();
    assert!(!world.logs.begin_swap(&future, cuts, world.now, slow).unwrap());
    assert_eq!(folders(&disk, "/b"), [FolderKind::Future]);
}

#[test]
fn an_exchange_is_ended_when_the_disk_has_room_again() {
    let disk = MemDisk::new();
    let (world, log, _) = swapping(&disk);
    let slow = &Slow::allowed();
    log.assign_epoch_start(5, 20);
    let (old, new) = world.logs.swap(&name(), 0).unwrap();
    disk.set_free_bytes(Some(0));
    // The epoch is to be written.
    world.logs.end_swap(&old, &new, world.now, slow).unwrap_err();
    disk.set_free_bytes(None);
    assert_eq!((folders(&disk, "/a"), folders(&disk, "/b")), (vec![FolderKind::Current], vec![FolderKind::Current]));
    assert!(world.broker.failed.lock().unwrap().is_empty());
    // Meanwhile no copy is made that would need the name.
    assert!(matches!(start_copy(&world, &new), Err(LogError::Offline { .. })));
    world.logs.end_swap(&old, &new, world.now, slow).unwrap();
    assert_eq!((folders(&disk, "/a"), folders(&disk, "/b")), (vec![FolderKind::Deleted], vec![FolderKind::Current]));
    start_copy(&world, &new).unwrap();
}

/// Else a topic of that name that is made later would begin with the records of this one.
#[test]
fn a_partition_is_deleted_whole_between_an_exchange_and_its_end() {
    let disk = MemDisk::new();
    let (world, ..) = swapping(&disk);
    let slow = &Slow::allowed();
    let exchanged = world.logs.swap(&name(), 0);
    assert!(exchanged.is_some());
    world.logs.delete(&[name()], world.now, slow).pop().unwrap().1.unwrap();
    assert_eq!((folders(&disk, "/a"), folders(&disk, "/b")), (vec![FolderKind::Deleted], vec![FolderKind::Deleted]));
}

#[test]
fn a_copy_with_the_logs_name_stays_a_copy_while_the_log_is_where_nobody_can_look() {
    let disk = MemDisk::new();
    let (world, log, future) = swapping(&disk);
    append(&world, &log, 1);
    drop((world, log, future));
    disk.kill();
    disk.inject("/a", Fault::Read);
    let world = open(&disk);
    assert!(world.logs.get(&name()).is_none(), "it lacks a record");
    assert_eq!(folders(&disk, "/b"), [FolderKind::Future]);
    drop(world);
    disk.kill();
    disk.heal();
    let world = open(&disk);
    assert_eq!(world.logs.get(&name()).unwrap().offsets().log_end, 22);
    assert_eq!(world.logs.future(&name()).unwrap().offsets().log_end, 20);
}

/// The log that was cut at 18 and got one batch of four.
fn log_of_four(world: &World) -> Arc<Log> {
    let log = world.logs.get(&name()).unwrap();
    assert_eq!(batches(&log), [1, 3, 5, 7, 9, 11, 13, 15, 17, 21]);
    log
}

#[test]
fn a_deleted_partition_takes_its_copy_along() {
    let disk = MemDisk::new();
    let (world, log) = world(&disk, 3);
    start_copy(&world, &log).unwrap();
    let deleted = world.logs.delete(&[name()], world.now, &Slow::allowed());
    assert!(deleted.iter().all(|(_, result)| result.is_ok()));
    assert_eq!((folders(&disk, "/a"), folders(&disk, "/b")), (vec![FolderKind::Deleted], vec![FolderKind::Deleted]));
    assert!(world.logs.future(&name()).is_none());
}

#[test]
fn a_copy_that_is_given_up_is_deleted_alone() {
    let disk = MemDisk::new();
    let (world, log) = world(&disk, 3);
    start_copy(&world, &log).unwrap();
    assert!(world.logs.delete_future(&name(), world.now, &Slow::allowed()).unwrap());
    assert!(!world.logs.delete_future(&name(), world.now, &Slow::allowed()).unwrap());
    assert_eq!((folders(&disk, "/a"), folders(&disk, "/b")), (vec![FolderKind::Current], vec![FolderKind::Deleted]));
    // The wish is fulfilled, and is no wish for the next log.
    assert!(world.logs.create_future(&name(), &config(), world.now, &Slow::allowed()).is_err());
}

#[test]
fn a_directory_that_fails_takes_logs_and_copies_along() {
    for (failed, is_copy) in [("/a", false), ("/b", true)] {
        let disk = MemDisk::new();
        let (world, log) = world(&disk, 3);
        start_copy(&world, &log).unwrap();
        let (logs, copies) = world.logs.directory_offline(Path::new(failed));
        assert_eq!((logs.len(), copies.len()), if is_copy { (0, 1) } else { (1, 0) });
        assert_eq!((world.logs.get(&name()).is_some(), world.logs.future(&name()).is_some()), (is_copy, !is_copy));
        // Another copy may lie where nobody can look.
        world.logs.prefer(&name(), Path::new("/b"));
        let created =
            world.logs.create_future(&TopicPartition::new("u".into(), 0), &config(), world.now, &Slow::allowed());
        assert!(matches!(created, Err(LogError::Offline { .. })));
    }
}

#[test]
fn a_named_directory_takes_the_next_log_of_the_partition() {
    let disk = MemDisk::new();
    let world = open(&disk);
    for (number, dir) in [(0, "/b"), (1, "/b"), (2, "/b")] {
        let name = World::partition(number);
        world.logs.prefer(&name, Path::new(dir));
        let log = world.logs.get_or_create(&name, true, &config(), world.now, &Slow::allowed()).unwrap();
        assert_eq!(log.log_dir(), Path::new(dir));
    }
    let other = world.logs.get_or_create(&World::partition(3), true, &config(), world.now, &Slow::allowed()).unwrap();
    assert_eq!(other.log_dir(), Path::new("/a"), "the emptiest");
    assert_eq!(world.logs.directory("/b"), Some(("/b".into(), true)));
    assert_eq!(world.logs.directory("/b/"), None, "as the original compares");
}

/// Runs a move with the power off after so many calls. Whether it came to its end before.
fn move_until(calls: u64, crash: impl Fn(&MemDisk), keeps_all: bool) -> bool {
    let disk = MemDisk::new();
    let (world, log) = world(&disk, 12);
    log.flush(world.now, &Slow::allowed()).unwrap();
    log.update_high_watermark(24);
    disk.power_off_after(calls);
    let future = start_copy(&world, &log);
    let finished = future.and_then(|future| finish(&world, &log, &future)).is_ok();
    let before = world.logs.get(&name()).map_or(24, |log| log.offsets().log_end);
    drop((world, log));
    crash(&disk);
    let world = open(&disk);
    let log = world.logs.get(&name()).unwrap_or_else(|| panic!("{calls}: no log"));
    let all: Vec<i64> = (0..12).map(|batch| batch * 2 + 1).collect();
    let found = batches(&log);
    assert_eq!(found.get(..12), Some(&all[..]), "{calls}: {:?} {:?}", folders(&disk, "/a"), folders(&disk, "/b"));
    if keeps_all {
        assert_eq!(log.offsets().log_end, before, "{calls}");
    }
    // Going on leads to the end in any case.
    append(&world, &log, 2);
    if log.log_dir() == Path::new("/a") {
        let future = world.logs.future(&name()).map_or_else(|| start_copy(&world, &log), Ok).unwrap();
        world.logs.truncate_to(&[(future.clone(), 0)], world.now, &Slow::allowed()).pop().unwrap().unwrap();
        finish(&world, &log, &future).unwrap();
    }
    assert!(world.logs.future(&name()).is_none());
    let log = world.logs.get(&name()).unwrap();
    assert_eq!(log.dir(), Path::new("/b/t-0"));
    assert!(batches(&log).windows(2).all(|pair| pair[0] < pair[1]), "{calls}: nothing twice");
    assert!(
        !folders(&disk, "/a").contains(&FolderKind::Current) && !folders(&disk, "/a").contains(&FolderKind::Future)
    );
    drop((world, log));
    disk.kill();
    assert_eq!(open(&disk).logs.get(&name()).unwrap().dir(), Path::new("/b/t-0"), "{calls}");
    finished
}

#[test]
fn a_move_that_was_cut_off_at_any_call_goes_on_or_is_finished() {
    let crash = |disk: &MemDisk| disk.crash_losing_all();
    assert!((0..500).any(|calls| move_until(calls, crash, false)), "the move takes fewer calls");
    let kill = |disk: &MemDisk| {
        disk.kill();
        disk.power_off_after(u64::MAX);
    };
    assert!((0..500).any(|calls| move_until(calls, kill, true)));
    for seed in 0..5 {
        let crash = |disk: &MemDisk| disk.crash(&mut Random::from_seed(seed));
        assert!((0..500).any(|calls| move_until(calls, crash, false)));
    }
}

/// Renames a folder, as the original does between its two renames.
fn rename(disk: &MemDisk, from: &str, to: &str) {
    disk.rename(Path::new(from), Path::new(to), &Slow::allowed()).unwrap();
}

#[test]
fn two_folders_of_the_originals_are_told_apart_if_one_holds_the_other() {
    for (more_in_old, kept) in [(false, "/a"), (true, "/a")] {
        let disk = MemDisk::new();
        let (world, log) = world(&disk, 6);
        let future = start_copy(&world, &log).unwrap();
        copy(&world, &log, &future).unwrap();
        if more_in_old {
            append(&world, &log, 1);
        }
        let folder = future.dir().to_string_lossy().into_owned();
        drop((world, log, future));
        disk.kill();
        rename(&disk, &folder, "/b/t-0");
        let world = open(&disk);
        let log = world.logs.get(&name()).unwrap();
        assert_eq!(log.offsets().log_end, if more_in_old { 14 } else { 12 });
        assert_eq!(log.log_dir(), Path::new(kept));
        assert_eq!(folders(&disk, "/b"), [FolderKind::Deleted]);
        assert!(world.logs.future(&name()).is_none());
    }
}

#[test]
fn two_folders_of_which_neither_holds_the_other_end_the_start() {
    let disk = MemDisk::new();
    let (world, log) = world(&disk, 6);
    let future = start_copy(&world, &log).unwrap();
    copy(&world, &log, &future).unwrap();
    // Each has records of its own.
    let checked = Records::default().checked(&log, kafka_log::Origin::Client, world.now);
    log.append_as_leader(checked, 1, kafka_log::Origin::Client, world.now).unwrap();
    let checked = Records { count: 5, ..Records::default() }.checked(&log, kafka_log::Origin::Client, world.now);
    future.append_as_leader(checked, 2, kafka_log::Origin::Client, world.now).unwrap();
    let folder = future.dir().to_string_lossy().into_owned();
    world.logs.shutdown(&Slow::allowed());
    drop((world, log, future));
    rename(&disk, &folder, "/b/t-0");
    let Err(LogError::Start(said)) = World::try_on_dirs(Arc::new(disk), &config(), &DIRS) else { panic!("it started") };
    assert!(said.starts_with("Duplicate log directories for t-0 are found in both "), "{said}");
}

#[test]
fn two_copies_end_the_start_and_one_beside_its_log_is_of_no_use() {
    let disk = MemDisk::new();
    let (world, log) = world(&disk, 2);
    let future = start_copy(&world, &log).unwrap();
    drop((world, log));
    disk.kill();
    let beside = format!("/a/{}", future.dir().file_name().unwrap().to_string_lossy());
    rename(&disk, &future.dir().to_string_lossy(), &beside);
    let world = open(&disk);
    assert!(world.logs.future(&name()).is_none());
    assert_eq!(folders(&disk, "/a"), [FolderKind::Current, FolderKind::Deleted]);
    let log = world.logs.get(&name()).unwrap();
    start_copy(&world, &log).unwrap();
    drop((world, log));
    disk.kill();
    disk.create_dir_all(Path::new("/b/t-0.0123456789abcdef0123456789abcdef-future")).unwrap();
    let Err(LogError::Start(said)) = World::try_on_dirs(Arc::new(disk), &config(), &DIRS) else { panic!("it started") };
    assert!(said.starts_with("Duplicate log directories found: "), "{said}");
}

#[test]
fn a_directory_of_a_later_release_is_left_out_and_one_of_nobody_ends_the_start() {
    let disk = MemDisk::new();
    drop(open(&disk));
    disk.kill();
    let write = |text: &str| {
        disk.replace(Path::new("/b/meta.properties"), text.as_bytes(), &Slow::allowed()).unwrap();
        World::try_on_dirs(Arc::new(disk.clone()), &config(), &DIRS)
    };
    let world = write("version=1\nbroker.id=1\n").unwrap();
    assert_eq!(world.logs.directories(), [("/a".into(), true), ("/b".into(), false)]);
    drop(world);
    disk.kill();
    let Err(LogError::Metadata { reason, .. }) = write("version=0\n") else { panic!("it started") };
    assert_eq!(reason, MetadataError::Missing("broker.id"));
}
