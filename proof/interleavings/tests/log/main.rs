//! One partition's log under thousands of chosen orders of its threads: what was acknowledged is read and outlives a crash
//! once it is flushed, reads are rows of whole batches, and nothing locks up.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod disk;
#[path = "../../../../core/kafka-log/tests/it/support.rs"]
#[allow(dead_code, reason = "the tests of the crate itself use all of it")]
mod support;

use std::sync::{Arc, Mutex};

use base::{MemDisk, Part, Slow};
use kafka_log::{AppendInfo, Bound, Fetched, Log, LogConfig, LogError, ReadRequest};
use kafka_proto::record::{BatchView, Batches};
use shuttle::Runner;
use shuttle::scheduler::PctScheduler;
use shuttle::thread::{self, JoinHandle};

use disk::Yielding;
use support::{Records, at};

const ORDERS: usize = 300;

/// Two batches to a segment.
fn config() -> LogConfig {
    LogConfig { segment_bytes: 200, index_interval_bytes: 60, retention_ms: -1, ..LogConfig::default() }
}

/// A broker's logs, one of them open.
struct World {
    world: support::World,
    log: Arc<Log>,
}

impl World {
    fn on(disk: &MemDisk, config: &LogConfig) -> Arc<Self> {
        let world = support::World::try_on(Arc::new(Yielding::new(disk)), config).unwrap();
        let log = world.log(config);
        Arc::new(Self { world, log })
    }

    /// Appends a batch of so many records.
    fn append(&self, count: usize) -> Result<AppendInfo, LogError> {
        Records { count, ..Records::default() }.append(&self.log, at(0))
    }

    fn append_ones(&self, times: usize) {
        for _ in 0..times {
            self.append(1).unwrap();
        }
    }

    fn read(&self, offset: i64, bound: Bound) -> Result<Fetched, LogError> {
        self.log.read(&ReadRequest { offset, max_bytes: 160, min_one_message: true, bound, cached_only: false })
    }

    /// Every batch from the log's start to its end, as (first, last) offsets.
    fn all(&self) -> Vec<(i64, i64)> {
        let mut next = self.log.offsets().log_start;
        let mut all = Vec::new();
        while next < self.log.offsets().log_end {
            let batches = batches(&self.read(next, Bound::LogEnd).unwrap()).expect("nobody cuts the log now");
            next = batches.last().expect("there is more up to the end").1 + 1;
            all.extend(batches);
        }
        all
    }

    /// All threads are done: what they left is done, too. What is in the log then outlives a crash.
    fn settle(&self, disk: &MemDisk) -> Vec<(i64, i64)> {
        self.world.run_jobs();
        self.log.flush(at(0), &Slow::allowed()).unwrap();
        assert_eq!(self.log.recovery_point(), self.log.offsets().log_end);
        assert!(self.world.broker.failed.lock().unwrap().is_empty());
        let all = self.all();
        self.world.logs.checkpoint_high_watermarks(&Slow::allowed());
        disk.crash_losing_all();
        let after = Self::on(disk, &self.log.config());
        assert_eq!(after.log.offsets().log_end, self.log.offsets().log_end);
        let start = self.log.offsets().log_start;
        let again: Vec<_> = after.all().into_iter().filter(|(first, _)| *first >= start).collect();
        assert_eq!(again, all);
        all
    }
}

/// The whole batches that were fetched, checksums checked; `None` if the file was cut since, which ends the connection of who
/// fetched them.
fn batches(fetched: &Fetched) -> Option<Vec<(i64, i64)>> {
    let mut bytes = Vec::new();
    for part in &fetched.records {
        let Part::Range { file, position, length } = part else { panic!("records are ranges of files") };
        let mut range = vec![0; *length as usize];
        if file.read_at(&mut range, *position).unwrap() < range.len() {
            return None;
        }
        bytes.extend_from_slice(&range);
    }
    let batches = Batches::new(&bytes).map(|batch| {
        let BatchView::V2(batch) = batch.unwrap() else { panic!("batches are appended as they are stored") };
        batch.verify().unwrap();
        (batch.base_offset(), batch.last_offset())
    });
    Some(batches.collect())
}

/// A thread that reads on from 0, so many times. A read is a row of whole batches, up to its bound; what lies before the
/// log's start is told.
fn reader(world: &Arc<World>, bound: Bound, times: usize) -> JoinHandle<()> {
    reader_of(world, bound, times, false)
}

/// The same, of a log that may be cut.
fn reader_of_a_cut_log(world: &Arc<World>, bound: Bound, times: usize) -> JoinHandle<()> {
    reader_of(world, bound, times, true)
}

fn reader_of(world: &Arc<World>, bound: Bound, times: usize, may_be_cut: bool) -> JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || {
        let mut next = 0;
        for _ in 0..times {
            match world.read(next, bound) {
                Ok(fetched) => {
                    let Some(batches) = batches(&fetched) else {
                        assert!(may_be_cut, "a range lies inside of its file");
                        continue;
                    };
                    assert!(batches.first().is_none_or(|(first, last)| *first <= next && *last >= next));
                    assert!(batches.windows(2).all(|pair| pair[1].0 == pair[0].1 + 1), "{batches:?}");
                    let end = match bound {
                        Bound::LogEnd => fetched.offsets.log_end,
                        Bound::HighWatermark | Bound::LastStable => fetched.offsets.high_watermark,
                    };
                    assert!(batches.last().is_none_or(|(_, last)| *last < end));
                    next = batches.last().map_or(next, |(_, last)| last + 1);
                }
                Err(LogError::OffsetOutOfRange { log_start_offset, log_end_offset, .. }) => {
                    assert!(next < log_start_offset || next > log_end_offset);
                    next = log_start_offset;
                }
                Err(error) => panic!("{error}"),
            }
        }
    })
}

/// A thread that raises the high watermark to the log's end, so many times, and looks at the order of the offsets.
fn raiser(world: &Arc<World>, times: usize) -> JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || {
        for _ in 0..times {
            let offsets = world.log.offsets();
            assert!(offsets.log_start <= offsets.last_stable && offsets.last_stable <= offsets.high_watermark);
            assert!(offsets.high_watermark <= offsets.log_end);
            world.log.increment_high_watermark(offsets.log_end);
        }
    })
}

/// A disk thread: jobs and flushes.
fn disk_thread(world: &Arc<World>, times: usize) -> JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || {
        for _ in 0..times {
            world.world.run_jobs();
            // A log that was closed is flushed already.
            let _ = world.log.flush(at(0), &Slow::allowed());
        }
    })
}

/// Retention, and later the removal of the files.
fn retention(world: &World) {
    for ms in [600_000, 700_000] {
        world.world.logs.tick(at(ms));
        world.world.run_jobs();
    }
}

fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn orders(seed: u64, run: impl Fn() + Send + Sync + Copy + 'static) {
    shuttle::check_random_with_seed(run, seed, ORDERS);
    let few_changes = PctScheduler::new_from_seed(seed, 3, ORDERS);
    Runner::new(few_changes, shuttle::Config::default()).run(run);
}

#[test]
fn appends_and_rolls_meet_reads_and_flushes() {
    orders(1, || {
        let disk = MemDisk::new();
        let world = World::on(&disk, &config());
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let writers = [1, 2].map(|count| {
            let (world, acknowledged) = (Arc::clone(&world), Arc::clone(&acknowledged));
            thread::spawn(move || {
                for _ in 0..3 {
                    let info = world.append(count).unwrap();
                    acknowledged.lock().unwrap().push((info.first_offset, info.last_offset));
                }
            })
        });
        let others = [
            reader(&world, Bound::LogEnd, 4),
            reader(&world, Bound::HighWatermark, 4),
            raiser(&world, 4),
            disk_thread(&world, 3),
        ];
        join(writers.into_iter().chain(others));
        let mut acknowledged = acknowledged.lock().unwrap().clone();
        acknowledged.sort_unstable();
        assert_eq!(world.settle(&disk), acknowledged);
        assert_eq!(acknowledged.last().unwrap().1, 8);
    });
}

/// What is read is written.
#[test]
fn an_append_meets_a_read() {
    orders(8, || {
        let disk = MemDisk::new();
        let world = World::on(&disk, &LogConfig { segment_bytes: 4000, ..config() });
        world.append_ones(1);
        let reader = reader(&world, Bound::LogEnd, 2);
        world.append_ones(1);
        join([reader]);
        assert_eq!(world.settle(&disk), [(0, 0), (1, 1)]);
    });
}

#[test]
fn a_truncation_meets_appends_reads_and_flushes() {
    orders(2, || {
        let disk = MemDisk::new();
        let world = World::on(&disk, &config());
        world.append_ones(6);
        let cut = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let cut = world.world.logs.truncate_to(&[(Arc::clone(&world.log), 3)], at(0), &Slow::allowed());
                assert!(cut.into_iter().all(|cut| cut.unwrap()));
            })
        };
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let writer = {
            let (world, acknowledged) = (Arc::clone(&world), Arc::clone(&acknowledged));
            thread::spawn(move || {
                for _ in 0..4 {
                    match world.append(1) {
                        Ok(info) => acknowledged.lock().unwrap().push(info.first_offset),
                        Err(LogError::AppendsRefused { .. }) => thread::yield_now(),
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        };
        let others = [
            reader_of_a_cut_log(&world, Bound::LogEnd, 4),
            reader_of_a_cut_log(&world, Bound::HighWatermark, 3),
            raiser(&world, 3),
            disk_thread(&world, 3),
        ];
        join([cut, writer].into_iter().chain(others));
        let acknowledged = acknowledged.lock().unwrap();
        // What came before the truncation is gone, what came after it is there.
        let after: Vec<i64> = match acknowledged.iter().position(|offset| *offset == 3) {
            Some(first) => acknowledged[first..].to_vec(),
            None => Vec::new(),
        };
        let expected: Vec<_> = (0..3).chain(after).map(|offset| (offset, offset)).collect();
        assert_eq!(world.settle(&disk), expected);
    });
}

#[test]
fn deleted_records_and_segments_meet_appends_and_reads() {
    orders(3, || {
        let disk = MemDisk::new();
        // The size of two segments.
        let world = World::on(&disk, &LogConfig { retention_bytes: 320, file_delete_delay_ms: 0, ..config() });
        world.append_ones(6);
        world.log.increment_high_watermark(6);
        let deletes = {
            let world = Arc::clone(&world);
            thread::spawn(move || assert!(world.log.increment_log_start_offset(1).is_ok()))
        };
        let retention = {
            let world = Arc::clone(&world);
            thread::spawn(move || retention(&world))
        };
        let writer = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.append_ones(3))
        };
        let others = [reader(&world, Bound::LogEnd, 4), reader(&world, Bound::HighWatermark, 4), raiser(&world, 2)];
        join([deletes, retention, writer].into_iter().chain(others));
        let all = world.settle(&disk);
        assert!((1..=6).contains(&all.first().unwrap().0), "{all:?}");
        assert_eq!(all.last(), Some(&(8, 8)));
    });
}

/// A flush that began before a truncation knows nothing of what came after it.
#[test]
fn a_flush_meets_a_truncation() {
    orders(6, || {
        let disk = MemDisk::new();
        let world = World::on(&disk, &LogConfig { segment_bytes: 4000, ..config() });
        world.append_ones(3);
        let flush = disk_thread(&world, 1);
        let cut = world.world.logs.truncate_to(&[(Arc::clone(&world.log), 1)], at(0), &Slow::allowed());
        assert!(cut.into_iter().all(|cut| cut.unwrap()));
        join([flush]);
        assert!(world.log.recovery_point() <= 1);
        world.append_ones(1);
        assert_eq!(world.settle(&disk), [(0, 0), (1, 1)]);
    });
}

/// All of it is old enough to go, and a record comes.
#[test]
fn an_append_meets_the_retention_of_the_last_segment() {
    orders(7, || {
        let disk = MemDisk::new();
        let world = World::on(&disk, &LogConfig { retention_ms: 1, segment_bytes: 4000, ..config() });
        world.append_ones(2);
        world.log.increment_high_watermark(2);
        let writer = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.append_ones(1))
        };
        retention(&world);
        join([writer]);
        let all = world.settle(&disk);
        assert!(all == [(2, 2)] || all == [(0, 0), (1, 1), (2, 2)], "{all:?}");
    });
}

#[test]
fn a_truncation_meets_retention() {
    orders(5, || {
        let disk = MemDisk::new();
        let world = World::on(&disk, &LogConfig { retention_bytes: 160, file_delete_delay_ms: 0, ..config() });
        world.append_ones(6);
        world.log.increment_high_watermark(6);
        let cut = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let cut = world.world.logs.truncate_to(&[(Arc::clone(&world.log), 1)], at(0), &Slow::allowed());
                assert!(cut.iter().all(Result::is_ok));
            })
        };
        let retention = {
            let world = Arc::clone(&world);
            thread::spawn(move || retention(&world))
        };
        join([cut, retention, reader_of_a_cut_log(&world, Bound::LogEnd, 3), disk_thread(&world, 1)]);
        let end = world.log.offsets().log_end;
        assert_eq!(world.append(1).unwrap().first_offset, end);
        let all = world.settle(&disk);
        assert!(all == [(1, 1)] || all == [(0, 0), (1, 1)], "{all:?}");
    });
}

#[test]
fn a_clean_stop_meets_appends() {
    orders(4, || {
        let disk = MemDisk::new();
        let world = World::on(&disk, &config());
        let acknowledged = Arc::new(Mutex::new(0));
        let writer = {
            let (world, acknowledged) = (Arc::clone(&world), Arc::clone(&acknowledged));
            thread::spawn(move || {
                while let Ok(info) = world.append(1) {
                    *acknowledged.lock().unwrap() = info.last_offset + 1;
                    if info.last_offset == 4 {
                        break;
                    }
                }
            })
        };
        let stop = {
            let world = Arc::clone(&world);
            thread::spawn(move || drop(world.world.logs.shutdown(&Slow::allowed())))
        };
        join([writer, stop, reader(&world, Bound::LogEnd, 0), disk_thread(&world, 2)]);
        assert!(world.world.broker.failed.lock().unwrap().is_empty());
        disk.crash_losing_all();
        let after = World::on(&disk, &config());
        assert_eq!(after.log.offsets().log_end, *acknowledged.lock().unwrap());
    });
}
