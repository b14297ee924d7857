//! Appends, high watermark and reads at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::{MemDisk, Slow};
use kafka_log::{Bound, LogConfig, LogError, ReadRequest};

use crate::support::{Records, World, last_offsets, request};

/// Two writers, one that moves the high watermark, one that flushes and cuts the front off, three readers: every read is a row of
/// whole batches without a hole, up to its bound.
#[test]
#[expect(clippy::disallowed_methods, reason = "the point is that threads meet; the core itself starts none")]
fn readers_see_whole_batches_in_order_while_others_write() {
    let config = LogConfig { segment_bytes: 4000, index_interval_bytes: 200, retention_ms: -1, ..LogConfig::default() };
    let world = Arc::new(World::on(&MemDisk::new(), &config));
    let log = world.log(&config);
    let stop = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    for writer in 0..2 {
        let (log, now) = (log.clone(), world.now);
        threads.push(std::thread::spawn(move || {
            for number in 0..1500 {
                Records { count: 1 + (number + writer) % 4, ..Records::default() }.append(&log, now).unwrap();
            }
        }));
    }
    let mut others = Vec::new();
    for bound in [Bound::LogEnd, Bound::HighWatermark, Bound::LastStable] {
        let (log, stop) = (log.clone(), stop.clone());
        others.push(std::thread::spawn(move || {
            let mut next = 0;
            let mut reads = 0_u64;
            while !stop.load(Ordering::Relaxed) || reads == 0 {
                reads += 1;
                match log.read(&ReadRequest { bound, max_bytes: 2000, ..request(next) }) {
                    Ok(fetched) => {
                        let lasts = last_offsets(&fetched);
                        assert!(lasts.windows(2).all(|pair| pair[1] > pair[0] && pair[1] <= pair[0] + 4));
                        assert!(lasts.first().is_none_or(|first| *first >= next && *first < next + 4));
                        assert!(lasts.last().is_none_or(|last| *last < fetched.offsets.log_end));
                        next = lasts.last().map_or(next, |last| last + 1);
                    }
                    Err(LogError::OffsetOutOfRange { log_start_offset, .. }) => next = next.max(log_start_offset),
                    Err(error) => panic!("{error}"),
                }
            }
        }));
    }
    let upkeep = {
        let (log, stop, world) = (log.clone(), stop.clone(), world.clone());
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let offsets = log.offsets();
                assert!(offsets.log_start <= offsets.last_stable);
                assert!(offsets.last_stable <= offsets.high_watermark && offsets.high_watermark <= offsets.log_end);
                log.increment_high_watermark(offsets.log_end);
                world.run_jobs();
                log.flush(world.now, &Slow::allowed()).unwrap();
            }
        })
    };
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    stop.store(true, Ordering::Relaxed);
    others.into_iter().for_each(|thread| thread.join().unwrap());
    upkeep.join().unwrap();
    assert_eq!(log.offsets().log_end, 2 * 375 * (1 + 2 + 3 + 4));
    assert!(world.broker.failed.lock().unwrap().is_empty());
}
