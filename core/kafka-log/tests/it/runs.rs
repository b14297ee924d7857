//! Appends that come together share a write, and are otherwise as if each came alone.

use base::{Fault, MemDisk, Random, Slow};
use kafka_log::validate::Checked;
use kafka_log::{AppendInfo, Log, LogConfig, LogError, Origin};

use crate::support::{DIR, Records, World, content, last_offsets, names, read};

/// Segments end by size, by time and by the length of their indexes.
fn tight() -> LogConfig {
    LogConfig {
        segment_bytes: 2000,
        segment_ms: 5_000,
        index_interval_bytes: 150,
        segment_index_bytes: 96,
        retention_ms: -1,
        ..LogConfig::default()
    }
}

fn append_all(log: &Log, world: &World, run: &[Records]) -> Vec<Result<AppendInfo, LogError>> {
    let checked: Vec<Checked> = run.iter().map(|records| records.checked(log, Origin::Client, world.now)).collect();
    log.append_all_as_leader(checked.into_iter(), 0, Origin::Client, world.now)
}

/// Plain batches, batches of idempotent producers in order, again and behind gaps, and some too large for a segment.
fn mixed(count: usize, random: &mut Random) -> Vec<Records> {
    let mut sequences = [0; 3];
    let mut timestamp = 1_600_000_000_000;
    let mut record = || {
        timestamp += if random.below(20) == 0 { 6_000 } else { random.below(30) as i64 };
        let records = 1 + random.below(4) as usize;
        let producer = random.below(6) as usize;
        let producer = sequences.get_mut(producer).map(|next: &mut i32| {
            let sequence = match random.below(6) {
                0 => (*next - records as i32).max(0),
                1 => *next + 5,
                _ => *next,
            };
            *next = (*next).max(if sequence == *next { sequence + records as i32 } else { 0 });
            (producer as i64, 0, sequence)
        });
        let value_len = if random.below(15) == 0 { 2100 } else { 10 + random.below(90) as usize };
        Records { count: records, value_len, timestamp, producer, ..Records::default() }
    };
    (0..count).map(|_| record()).collect()
}

#[test]
fn a_run_leaves_the_same_answers_and_files_as_appends_one_by_one() {
    let (mut duplicates, mut refused, mut segments) = (0, 0, 0);
    for seed in 0..30 {
        let mut random = Random::from_seed(seed);
        let all = mixed(80, &mut random);
        let (one_by_one, together) = (World::on(&MemDisk::new(), &tight()), World::on(&MemDisk::new(), &tight()));
        let (log, other) = (one_by_one.log(&tight()), together.log(&tight()));
        let expected: Vec<_> = all.iter().map(|records| records.append(&log, one_by_one.now)).collect();
        let mut results = Vec::new();
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let (run, behind) = rest.split_at(rest.len().min(1 + random.below(12) as usize));
            results.extend(append_all(&other, &together, run));
            rest = behind;
        }
        let told = |results: &[Result<AppendInfo, LogError>]| -> Vec<_> {
            results.iter().map(|result| result.as_ref().map_err(ToString::to_string).copied()).collect()
        };
        assert_eq!(told(&results), told(&expected), "seed {seed}");
        duplicates += results.iter().flatten().filter(|info| info.duplicate).count();
        refused += results.iter().filter(|result| result.is_err()).count();
        segments += log.segment_count();
        one_by_one.logs.shutdown(&Slow::allowed());
        together.logs.shutdown(&Slow::allowed());
        let files = names(together.disk.as_ref(), "t-0");
        assert_eq!(files, names(one_by_one.disk.as_ref(), "t-0"), "seed {seed}");
        for name in files.iter().map(|name| format!("t-0/{name}")) {
            let (found, wanted) = (content(together.disk.as_ref(), &name), content(one_by_one.disk.as_ref(), &name));
            assert!(found == wanted, "seed {seed}: {name}");
        }
    }
    assert!(duplicates > 20 && refused > 100 && segments > 200, "{duplicates}, {refused}, {segments}");
}

#[test]
fn duplicates_within_a_run_tell_of_the_first_append() {
    let world = World::on(&MemDisk::new(), &LogConfig::default());
    let log = world.log(&LogConfig::default());
    Records::default().append(&log, world.now).unwrap();
    let batch = |sequence| Records { count: 2, producer: Some((5, 0, sequence)), ..Records::default() };
    let results = append_all(&log, &world, &[batch(0), batch(0), batch(2), batch(9), batch(2), batch(4)]);
    let offsets: Vec<_> =
        results.iter().map(|result| result.as_ref().ok().map(|info| (info.first_offset, info.duplicate))).collect();
    let expected = [Some((1, false)), Some((1, true)), Some((3, false)), None, Some((3, true)), Some((5, false))];
    assert_eq!(offsets, expected);
    assert!(matches!(results[3], Err(LogError::OutOfOrderSequence { .. })));
    assert_eq!(last_offsets(&read(&log, 0).unwrap()), [0, 2, 4, 6]);
}

#[test]
fn a_full_disk_refuses_all_of_a_write() {
    let disk = MemDisk::new();
    let world = World::on(&disk, &LogConfig::default());
    let log = world.log(&LogConfig::default());
    let batch = |sequence| Records { producer: Some((5, 0, sequence)), ..Records::default() };
    batch(0).append(&log, world.now).unwrap();
    // Room for the first and a half.
    disk.set_free_bytes(Some(batch(1).bytes().len() as u64 * 3 / 2));
    let results = append_all(&log, &world, &[batch(1), batch(1), batch(2)]);
    assert!(results.iter().all(|result| matches!(result, Err(LogError::AppendsRefused { .. }))), "{results:?}");
    assert_eq!((log.offsets().log_end, last_offsets(&read(&log, 0).unwrap())), (1, vec![0]));
    disk.set_free_bytes(None);
    world.run_jobs();
    let results = append_all(&log, &world, &[batch(1), batch(2)]);
    let infos: Vec<_> = results.iter().map(|result| result.as_ref().unwrap()).collect();
    assert!(infos.iter().all(|info| !info.duplicate), "what was not written is not known");
    assert_eq!((infos[0].first_offset, infos[1].first_offset), (1, 2));
    assert_eq!(last_offsets(&read(&log, 0).unwrap()), [0, 1, 2]);
}

/// What went into a segment that could be written is acknowledged, and nothing behind it.
#[test]
fn a_disk_that_fails_in_the_middle_of_a_run_fails_what_is_not_written() {
    let disk = MemDisk::new();
    let size = Records::default().bytes().len() as u32;
    let config = LogConfig { segment_bytes: 4 * size + size / 2, ..tight() };
    let world = World::on(&disk, &config);
    let log = world.log(&config);
    for _ in 0..3 {
        Records::default().append(&log, world.now).unwrap();
    }
    assert_eq!(log.segment_count(), 1, "one more fits");
    disk.inject(format!("{DIR}/t-0/00000000000000000004.log"), Fault::Write);
    let results = append_all(&log, &world, &[Records::default(), Records::default(), Records::default()]);
    assert_eq!(results[0].as_ref().unwrap().first_offset, 3);
    assert!(matches!(results[1], Err(LogError::Storage { .. })), "{results:?}");
    assert!(matches!(results[2], Err(LogError::Closed { .. })), "{results:?}");
    assert_eq!(log.offsets().log_end, 4);
    assert_eq!(*world.broker.failed.lock().unwrap(), [std::path::PathBuf::from(DIR)]);
}

#[test]
fn a_failed_write_fails_all_that_share_it() {
    let disk = MemDisk::new();
    let world = World::on(&disk, &LogConfig::default());
    let log = world.log(&LogConfig::default());
    Records::default().append(&log, world.now).unwrap();
    disk.inject(format!("{DIR}/t-0"), Fault::Write);
    let results = append_all(&log, &world, &[Records::default(), Records::default()]);
    assert!(results.iter().all(|result| matches!(result, Err(LogError::Storage { .. }))), "{results:?}");
    assert_eq!(log.offsets().log_end, 1);
    assert!(matches!(Records::default().append(&log, world.now), Err(LogError::Closed { .. })));
}
