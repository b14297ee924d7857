//! What checking an append costs: `cargo run --release -p kafka-log --example check_speed`.
//!
//! Prints nanoseconds for a batch of 100 records of 100 bytes, for each codec, beside the bare checksum and the walk
//! alone.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "it measures time; it is no part of the core"
)]

use std::hint::black_box;
use std::time::Instant;

use base::Str;
use bytes::Bytes;
use kafka_log::validate::{Append, check};
use kafka_log::{LogConfig, Origin, TopicPartition};
use kafka_proto::record::{Batch, BuilderOptions, Codec, Magic, RecordsBuilder};

const NOW: i64 = 1_600_000_000_000;

fn batch(codec: Codec, records: usize, value_len: usize) -> Bytes {
    let mut builder = RecordsBuilder::new(BuilderOptions::new(Magic::V2, codec)).unwrap();
    let mut random = base::Random::from_seed(7);
    for _ in 0..records {
        // Half of each value compresses, as text does.
        let value: Vec<u8> =
            (0..value_len).map(|at| if at % 2 == 0 { b'a' + random.below(26) as u8 } else { b'e' }).collect();
        builder.append(NOW, None, Some(&value), &[]).unwrap();
    }
    builder.build().unwrap().bytes
}

/// The best of several rounds, in nanoseconds a call.
fn time(mut call: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..600 {
        // Short rounds, so that some meet no other load.
        let calls = 20;
        let start = Instant::now();
        for _ in 0..calls {
            call();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    best
}

fn main() {
    let partition = TopicPartition::new(Str::from_static("t"), 0);
    let append =
        Append { partition: &partition, origin: Origin::Client, produce_version: 8, zstd_allowed: true, now_ms: NOW };
    println!(
        "{:>8} {:>8} {:>8} {:>10} {:>10} {:>10} {:>10}",
        "records", "codec", "bytes", "crc", "walk", "check", "stamped"
    );
    for (records, value_len) in [(1, 100), (100, 100), (100, 1000)] {
        for codec in Codec::ALL {
            let bytes = batch(codec, records, value_len);
            let config = LogConfig::default();
            let stamping = LogConfig { log_append_time: true, ..LogConfig::default() };
            let checksum = time(|| {
                black_box(crc32c::crc32c(black_box(&bytes[21..])));
            });
            let walk = time(|| {
                let batch = Batch::new(black_box(&bytes)).unwrap();
                let mut bytes = 0;
                batch.records(u64::MAX).unwrap().outlines(|outline| bytes += outline.size).unwrap();
                black_box(bytes);
            });
            let whole = |config: &LogConfig| {
                time(|| {
                    let checked = check(black_box(&bytes), config, &append).unwrap();
                    black_box(checked.assign(77, 3).unwrap());
                })
            };
            let (checked, stamped) = (whole(&config), whole(&stamping));
            println!(
                "{records:>8} {:>8} {:>8} {checksum:>10.0} {walk:>10.0} {checked:>10.0} {stamped:>10.0}",
                codec.name(),
                bytes.len()
            );
        }
    }
}
