//! Writes our version of the fixtures in `tests/golden/records` to a folder, for `Check.java` there to read with
//! kafka-clients:
//! `cargo run -p kafka-proto --example write_records FOLDER`.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a tool for a check by hand; it writes files")]

use std::path::PathBuf;

use kafka_proto::record::{BuilderOptions, Codec, Header, Magic, RecordsBuilder, TimestampType, down_convert};

const BASE_TIME: i64 = 1_600_000_000_000;

fn build(magic: Magic, codec: Codec, repeat: usize, stamped: bool) -> Vec<u8> {
    let mut options = BuilderOptions::new(magic, codec);
    options.base_offset = 70;
    if stamped {
        options.timestamp_type = TimestampType::LogAppendTime;
        options.log_append_time_ms = BASE_TIME + 5000;
    }
    let mut builder = RecordsBuilder::new(options).unwrap();
    for i in 0..12 {
        let (key, value) = (format!("key-{i}"), format!("value {i};").repeat(repeat));
        let header = format!("header {i}");
        let headers = [Header { key: b"a", value: Some(header.as_bytes()) }, Header { key: b"", value: None }];
        builder
            .append(
                if magic == Magic::V0 { -1 } else { BASE_TIME + (i * 37) % 100 },
                (i % 3 != 2).then_some(key.as_bytes()),
                (i % 5 != 4).then_some(value.as_bytes()),
                if magic == Magic::V2 && i % 4 == 3 { &headers } else { &[] },
            )
            .unwrap();
    }
    Vec::from(builder.build().unwrap().bytes)
}

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap());
    let write = |name: String, bytes: &[u8]| std::fs::write(folder.join(name + ".bin"), bytes).unwrap();
    for magic in [Magic::V0, Magic::V1, Magic::V2] {
        for codec in Codec::ALL {
            if magic < Magic::V2 && codec == Codec::Zstd {
                continue;
            }
            let name = format!("v{}-{}", magic.byte(), codec.name());
            let small = build(magic, codec, 1, false);
            write(name.clone(), &small);
            if codec != Codec::None {
                write(format!("{name}-large"), &build(magic, codec, 1500, false));
            }
            if magic > Magic::V0 && matches!(codec, Codec::None | Codec::Gzip) {
                write(format!("{name}-logappendtime"), &build(magic, codec, 1, true));
            }
            if magic == Magic::V2 && codec != Codec::Zstd {
                for target in [Magic::V0, Magic::V1] {
                    let converted = down_convert(&small, target, 73, usize::MAX, 1 << 24).unwrap();
                    write(format!("{name}-to-v{}", target.byte()), &converted.bytes);
                }
            }
        }
    }
}
