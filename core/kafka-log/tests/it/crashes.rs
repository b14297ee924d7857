//! Crashes at arbitrary points: what was flushed is there, what remains is a prefix, indexes and producers agree with it.

use std::sync::Arc;

use base::{Disk, MemDisk, Random, Slow, SlowCall};
use kafka_log::{Log, LogConfig, Origin};

use crate::support::{Records, World, bytes_of, check, content, last_offsets, read, request};

/// One batch as it was appended: its last offset and its producer's sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Appended {
    first: i64,
    last: i64,
    timestamp: i64,
    producer: Option<(i64, i16, i32)>,
}

struct Run {
    disk: MemDisk,
    config: LogConfig,
    world: World,
    log: Arc<Log>,
    appended: Vec<Appended>,
    sequences: [i32; 3],
    flushed: i64,
    random: Random,
}

impl Run {
    fn start(seed: u64) -> Self {
        let disk = MemDisk::new();
        let mut random = Random::from_seed(seed);
        let config = LogConfig {
            segment_bytes: 600 + random.below(3000) as u32,
            index_interval_bytes: 60 + random.below(300) as u32,
            retention_ms: -1,
            ..LogConfig::default()
        };
        let world = World::on(&disk, &config);
        let log = world.log(&config);
        Self { disk, config, world, log, appended: Vec::new(), sequences: [0; 3], flushed: 0, random }
    }

    fn append(&mut self) {
        let count = 1 + self.random.below(5) as usize;
        let id = self.random.below(6) as usize;
        let producer = self.sequences.get(id).map(|sequence| (id as i64, 0, *sequence));
        let timestamp = self.world.now.wall_ms + self.random.below(1000) as i64;
        let value_len = self.random.below(90) as usize;
        let records = Records { count, value_len, timestamp, producer, ..Records::default() };
        let info = records.append(&self.log, self.world.now).unwrap();
        assert!(!info.duplicate);
        if let Some(sequence) = self.sequences.get_mut(id) {
            *sequence += count as i32;
        }
        self.appended.push(Appended { first: info.first_offset, last: info.last_offset, timestamp, producer });
    }

    fn truncate(&mut self) {
        let end = self.log.offsets().log_end;
        let offset = end - self.random.below(8).min(end as u64) as i64;
        let cut = self.world.logs.truncate_to(&[(self.log.clone(), offset)], self.world.now, &Slow::allowed());
        cut.into_iter().for_each(|result| assert!(result.is_ok()));
        self.appended.retain(|batch| batch.last < offset);
        self.flushed = self.flushed.min(self.end_of_records());
        self.recount();
    }

    /// Behind the last record.
    fn end_of_records(&self) -> i64 {
        self.appended.last().map_or(0, |batch| batch.last + 1)
    }

    fn recount(&mut self) {
        self.sequences = [0; 3];
        for batch in &self.appended {
            if let Some((id, _, sequence)) = batch.producer {
                self.sequences[id as usize] = sequence + (batch.last - batch.first) as i32 + 1;
            }
        }
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0..=30 => self.append(),
            31 | 32 => self.world.run_jobs(),
            33 => self.world.advance(1 + self.random.clone().below(70_000) as i64),
            34 => self.truncate(),
            _ => {
                self.log.flush(self.world.now, &Slow::allowed()).unwrap();
                self.flushed = self.log.offsets().log_end;
            }
        }
        self.flushed = self.flushed.max(self.log.recovery_point());
        assert_eq!(self.log.offsets().log_end, self.end_of_records());
    }

    fn crash(&mut self) {
        match self.random.below(4) {
            0 => self.disk.crash_losing_all(),
            1 => self.disk.kill(),
            _ => self.disk.crash(&mut self.random),
        }
        let now = self.world.now;
        self.world = World::on(&self.disk, &self.config);
        self.world.now = now;
        self.log = self.world.log(&self.config);
        let end = self.log.offsets().log_end;
        assert!(end >= self.flushed, "flushed to {}, found {end}", self.flushed);
        let kept = self.appended.partition_point(|batch| batch.last < end);
        self.appended.truncate(kept);
        self.flushed = 0;
        self.recount();
    }

    fn stop_cleanly(&mut self) {
        let end = self.end_of_records();
        self.world.logs.shutdown(&Slow::allowed());
        let now = self.world.now;
        self.disk.crash_losing_all();
        self.world = World::on(&self.disk, &self.config);
        self.world.now = now;
        self.log = self.world.log(&self.config);
        assert_eq!(self.log.offsets().log_end, end, "a clean stop loses nothing");
        self.flushed = end;
    }

    fn check(&self) {
        let end = self.log.offsets().log_end;
        let (mut found, mut offset) = (Vec::new(), 0);
        while offset < end {
            let fetched = read(&self.log, offset).unwrap();
            let lasts = last_offsets(&fetched);
            let Some(last) = lasts.last() else { break };
            offset = last + 1;
            found.extend(lasts);
        }
        let expected: Vec<i64> = self.appended.iter().map(|batch| batch.last).collect();
        assert_eq!(found, expected);
        for batch in &self.appended {
            for offset in [batch.first, batch.last] {
                let one = self.log.read(&kafka_log::ReadRequest { max_bytes: 1, ..request(offset) }).unwrap();
                assert_eq!(last_offsets(&one), [batch.last], "offset {offset}");
            }
            let found = self.log.offset_for_timestamp(batch.timestamp).unwrap().unwrap();
            assert!(found.timestamp >= batch.timestamp && found.offset <= batch.last);
        }
        self.check_producers();
    }

    /// Each producer's newest batch is known as a duplicate.
    fn check_producers(&self) {
        for id in 0..3 {
            let newest =
                self.appended.iter().rev().find(|batch| batch.producer.is_some_and(|(producer, ..)| producer == id));
            let Some(newest) = newest else { continue };
            let bytes =
                bytes_of(&self.log.read(&kafka_log::ReadRequest { max_bytes: 1, ..request(newest.first) }).unwrap());
            let mut again = bytes.to_vec();
            again[..8].copy_from_slice(&[0; 8]);
            let checked = check(&self.log, &again.into(), Origin::Client, self.world.now);
            let info = self.log.append_as_leader(checked, 0, Origin::Client, self.world.now).unwrap();
            assert!(info.duplicate, "producer {id}");
            assert_eq!((info.first_offset, info.last_offset), (newest.first, newest.last));
        }
    }
}

#[test]
fn crashes_lose_no_more_than_what_was_not_flushed() {
    for seed in 0..80 {
        let mut run = Run::start(seed);
        for _ in 0..4 {
            for _ in 0..run.random.below(60) {
                run.step();
            }
            run.check();
            if run.random.below(4) == 0 {
                run.stop_cleanly();
            } else {
                run.crash();
            }
            run.check();
        }
    }
}

/// What a truncation removed says what producers had written that is cut off. Behind what was flushed since, it would be believed.
#[test]
fn a_removed_snapshot_does_not_come_back_with_a_crash() {
    let disk = MemDisk::new();
    let config = LogConfig { segment_bytes: 400, ..LogConfig::default() };
    let mut world = World::on(&disk, &config);
    let log = world.log(&config);
    for sequence in 0..3 {
        let records = Records { value_len: 100, producer: Some((1, 0, sequence)), ..Records::default() };
        records.append(&log, world.now).unwrap();
    }
    log.flush(world.now, &Slow::allowed()).unwrap();
    assert_eq!(log.active_segment(), 2, "there is a snapshot at 2");
    let cut = world.logs.truncate_to(&[(log.clone(), 1)], world.now, &Slow::allowed());
    cut.into_iter().for_each(|result| assert!(result.is_ok()));
    let records = Records { count: 3, value_len: 1, producer: Some((2, 0, 0)), ..Records::default() };
    assert_eq!(records.append(&log, world.now).unwrap().last_offset, 3);
    log.flush(world.now, &Slow::allowed()).unwrap();
    world.advance(61_000);
    disk.crash_losing_all();
    let world = World::on(&disk, &config);
    let log = world.log(&config);
    assert_eq!(log.offsets().log_end, 4);
    assert!(records.append(&log, world.now).unwrap().duplicate);
    let next = Records { producer: Some((1, 0, 1)), ..Records::default() };
    assert!(!next.append(&log, world.now).unwrap().duplicate);
}

/// A producer sends again what it has no answer to, five batches at the most, to a leader that was a follower a moment ago.
#[test]
fn batches_before_the_last_one_are_known_behind_a_cut() {
    let config = LogConfig { segment_bytes: 400, ..LogConfig::default() };
    let world = World::on(&MemDisk::new(), &config);
    let log = world.log(&config);
    let batch = |sequence| Records { value_len: 100, producer: Some((1, 0, sequence)), ..Records::default() };
    for sequence in 0..8 {
        batch(sequence).append(&log, world.now).unwrap();
    }
    assert!(log.active_segment() > 4, "there are snapshots in front of the cut");
    world.logs.truncate_to(&[(log.clone(), 6)], world.now, &Slow::allowed()).pop().unwrap().unwrap();
    for sequence in 3..6 {
        let again = batch(sequence).append(&log, world.now).unwrap();
        assert_eq!((again.duplicate, again.last_offset), (true, i64::from(sequence)));
    }
    assert!(!batch(6).append(&log, world.now).unwrap().duplicate);
}

#[test]
fn epochs_of_many_partitions_share_their_syncs_and_survive_a_crash() {
    let disk = MemDisk::new();
    let config = LogConfig::default();
    let world = World::on(&disk, &config);
    let open = |number| {
        let partition = World::partition(number);
        world.logs.get_or_create(&partition, true, &config, world.now, &Slow::allowed()).unwrap()
    };
    let logs: Vec<_> = (0..40).map(open).collect();
    disk.sync_file_system(std::path::Path::new("/logs"), &Slow::allowed()).unwrap();
    logs.iter().for_each(|log| log.assign_epoch_start(3, 0));
    logs[7].assign_epoch_start(4, 0);
    disk.take_slow_calls();
    world.run_jobs();
    let syncs =
        |call: &SlowCall| matches!(call, SlowCall::SyncData(_) | SlowCall::SyncDir(_) | SlowCall::SyncFileSystem(_));
    assert_eq!(disk.take_slow_calls().iter().filter(|call| syncs(call)).count(), 2);
    disk.crash_losing_all();
    for number in 0..40 {
        let text = content(&disk, &format!("t-{number}/leader-epoch-checkpoint"));
        let epoch = if number == 7 { 4 } else { 3 };
        assert_eq!(String::from_utf8(text).unwrap(), format!("0\n1\n{epoch} 0\n"));
    }
}
