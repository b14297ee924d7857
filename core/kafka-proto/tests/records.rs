//! Record batches against bytes that kafka-clients 2.7.1 wrote, round trips of all formats and codecs, and hostile
//! input.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests; fixtures are files"
)]

use std::collections::BTreeMap;
use std::path::Path;

use kafka_proto::record::{
    BatchView, Batches, BuilderOptions, Codec, Encoder, EndTransactionMarker, Header, Magic, RecordError,
    RecordsBuilder, TimestampType, decompress, down_convert, end_transaction_batch, inner_messages, set_message_offset,
};
use proptest::prelude::*;

const BASE_TIME: i64 = 1_600_000_000_000;
const LIMIT: u64 = 1 << 24;

/// A record as all formats have it; absent parts are null.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plain {
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// All records of a buffer, checksums verified, by the walk that hands out bytes; the walk over outlines must agree.
fn read(buffer: &[u8], limit: u64) -> Result<Vec<Plain>, RecordError> {
    let mut all = Vec::new();
    for view in Batches::new(buffer) {
        let view = view?;
        view.verify()?;
        match view {
            BatchView::V2(batch) => {
                let mut records = batch.records(limit)?;
                let mut outlines = batch.records(limit)?;
                while let Some(record) = records.next()? {
                    let outline = outlines.next_outline()?.unwrap();
                    let length = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i32);
                    assert_eq!(
                        (
                            outline.offset_delta,
                            outline.timestamp_delta,
                            outline.key_len.max(-1),
                            outline.value_len.max(-1)
                        ),
                        (record.offset_delta, record.timestamp_delta, length(record.key), length(record.value))
                    );
                    let headers =
                        record.headers.iter().map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect();
                    all.push(Plain {
                        offset: batch.base_offset() + i64::from(record.offset_delta),
                        timestamp: batch.timestamp(record.timestamp_delta),
                        key: record.key.map(<[u8]>::to_vec),
                        value: record.value.map(<[u8]>::to_vec),
                        headers,
                    });
                }
                assert_eq!(outlines.next_outline()?, None);
            }
            BatchView::Legacy(message) => inner_messages(&message, limit, |inner| {
                inner.message.verify()?;
                let (key, value) = inner.message.key_value()?;
                all.push(Plain {
                    offset: inner.offset,
                    timestamp: inner.timestamp,
                    key: key.map(<[u8]>::to_vec),
                    value: value.map(<[u8]>::to_vec),
                    headers: Vec::new(),
                });
                Ok::<(), RecordError>(())
            })?,
        }
    }
    Ok(all)
}

/// Record `i` of the fixtures, as `Golden.java` makes it.
fn expected(i: usize, magic: Magic, repeat: usize, log_append_time: bool) -> Plain {
    let text = format!("value {i};").repeat(repeat);
    let timestamp = match magic {
        Magic::V0 => -1,
        _ if log_append_time => BASE_TIME + 5000,
        _ => BASE_TIME + (i as i64 * 37) % 100,
    };
    let headers = if magic == Magic::V2 && i % 4 == 3 {
        vec![(b"a".to_vec(), Some(format!("header {i}").into_bytes())), (Vec::new(), None)]
    } else {
        Vec::new()
    };
    Plain {
        offset: 70 + i as i64,
        timestamp,
        key: (i % 3 != 2).then(|| format!("key-{i}").into_bytes()),
        value: (i % 5 != 4).then(|| text.into_bytes()),
        headers,
    }
}

fn fixtures() -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/records");
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "bin") {
            all.insert(path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap());
        }
    }
    assert_eq!(all.len(), 38);
    all
}

fn magic_of(name: &str) -> Magic {
    Magic::from_byte(name.as_bytes()[1] - b'0').unwrap()
}

fn append(builder: &mut RecordsBuilder, record: &Plain) {
    let headers: Vec<Header<'_>> =
        record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
    builder
        .append_at(record.offset, record.timestamp, record.key.as_deref(), record.value.as_deref(), &headers)
        .unwrap();
}

#[test]
fn batches_of_the_original_are_read() {
    for (name, bytes) in fixtures() {
        if name.contains("-to-") || name.contains("marker") {
            continue;
        }
        let (magic, repeat) = (magic_of(&name), if name.ends_with("large") { 1500 } else { 1 });
        let log_append_time = name.ends_with("logappendtime");
        let wanted: Vec<Plain> = (0..12).map(|i| expected(i, magic, repeat, log_append_time)).collect();
        assert!(read(&bytes, LIMIT).unwrap() == wanted, "{name}");
        let codec = name.split('-').nth(1).unwrap();
        for view in Batches::new(&bytes) {
            assert_eq!(view.unwrap().codec().unwrap().name(), codec, "{name}");
        }
    }
}

#[test]
fn uncompressed_batches_equal_the_originals_to_the_byte() {
    let fixtures = fixtures();
    for (name, magic) in [("v0-none", Magic::V0), ("v1-none", Magic::V1), ("v2-none", Magic::V2)] {
        for log_append_time in [false, true] {
            let name = if log_append_time { format!("{name}-logappendtime") } else { name.to_owned() };
            let Some(wanted) = fixtures.get(&name) else { continue };
            let mut options = BuilderOptions::new(magic, Codec::None);
            options.base_offset = 70;
            if log_append_time {
                options.timestamp_type = TimestampType::LogAppendTime;
                options.log_append_time_ms = BASE_TIME + 5000;
            }
            let mut builder = RecordsBuilder::new(options).unwrap();
            (0..12).for_each(|i| append(&mut builder, &expected(i, magic, 1, false)));
            assert_eq!(builder.estimated_len(), wanted.len(), "{name}");
            assert_eq!(builder.build().unwrap().bytes, wanted, "{name}");
        }
    }
    let mut builder = RecordsBuilder::new(BuilderOptions {
        base_offset: 70,
        producer_id: 4711,
        producer_epoch: 3,
        base_sequence: i32::MAX - 5,
        transactional: true,
        leader_epoch: 9,
        ..BuilderOptions::new(Magic::V2, Codec::None)
    })
    .unwrap();
    (0..12).for_each(|i| append(&mut builder, &expected(i, Magic::V2, 1, false)));
    let built = builder.build().unwrap().bytes;
    assert_eq!(built, fixtures["v2-none-transactional"]);
    let Some(Ok(BatchView::V2(batch))) = Batches::new(&built).next() else { panic!("one batch") };
    assert_eq!((batch.base_sequence(), batch.last_sequence()), (i32::MAX - 5, 5));
}

#[test]
fn transaction_markers_equal_the_originals() {
    let fixtures = fixtures();
    for (name, commit) in [("v2-commit-marker", true), ("v2-abort-marker", false)] {
        let wanted = &fixtures[name];
        let Some(Ok(BatchView::V2(batch))) = Batches::new(wanted).next() else { panic!("one batch") };
        let marker = EndTransactionMarker { commit, coordinator_epoch: 12 };
        assert_eq!(EndTransactionMarker::of_batch(&batch).unwrap(), Some(marker));
        assert!(batch.is_control() && batch.is_transactional());
        let mut header = kafka_proto::record::BatchHeader::of(&batch);
        header.set_base_offset(0);
        header.set_leader_epoch(-1);
        let ours = end_transaction_batch(4711, 3, BASE_TIME, &marker).unwrap();
        assert_eq!(ours[..61], header.bytes()[..]);
        assert_eq!(ours[61..], wanted[61..]);
    }
}

#[test]
fn down_conversion_equals_the_originals() {
    let fixtures = fixtures();
    for codec in ["none", "gzip", "snappy", "lz4"] {
        let source = &fixtures[&format!("v2-{codec}")];
        for magic in [Magic::V0, Magic::V1] {
            let wanted = &fixtures[&format!("v2-{codec}-to-v{}", magic.byte())];
            let converted = down_convert(source, magic, 73, usize::MAX, LIMIT).unwrap();
            assert_eq!(converted.consumed, source.len());
            if codec == "none" {
                assert_eq!(&converted.bytes, wanted);
            }
            let records = read(&converted.bytes, LIMIT).unwrap();
            assert_eq!(records, read(wanted, LIMIT).unwrap());
            assert_eq!(records.first().unwrap().offset, if codec == "none" { 73 } else { 70 });
            // A second conversion, from magic 1 to 0, takes the other way.
            let again = down_convert(&converted.bytes, Magic::V0, 73, usize::MAX, LIMIT).unwrap();
            assert_eq!(again.consumed, converted.bytes.len());
            let timeless: Vec<Plain> = records.into_iter().map(|record| Plain { timestamp: -1, ..record }).collect();
            assert_eq!(read(&again.bytes, LIMIT).unwrap(), timeless);
        }
    }
}

#[test]
fn down_conversion_stops_at_its_limit_and_at_zstd() {
    let fixtures = fixtures();
    let mut log = fixtures["v2-none"].clone();
    log.extend_from_slice(&fixtures["v2-commit-marker"]);
    log.extend_from_slice(&fixtures["v2-gzip"]);
    log.extend_from_slice(&fixtures["v2-zstd"]);
    let first = down_convert(&log, Magic::V1, 0, 1, LIMIT).unwrap();
    // The first batch and the marker, which leaves nothing: the marker's size counts before it is seen to be one.
    assert_eq!(first.consumed, 312);
    let rest = down_convert(&log[first.consumed..], Magic::V1, 0, usize::MAX, LIMIT).unwrap();
    assert_eq!(rest.consumed, 78 + 240);
    let last = down_convert(&log[first.consumed + rest.consumed..], Magic::V1, 0, usize::MAX, LIMIT);
    assert!(matches!(last, Err(RecordError::UnsupportedCompression(_))));
}

fn walk_all(bytes: &[u8]) {
    let _ = read(bytes, 1 << 20);
    for view in Batches::new(bytes).map_while(Result::ok) {
        // Past the checksum too.
        match view {
            BatchView::V2(batch) => {
                if let Ok(mut records) = batch.records(1 << 20) {
                    while let Ok(Some(_)) = records.next_outline() {}
                }
                let _ = EndTransactionMarker::of_batch(&batch);
            }
            BatchView::Legacy(message) => {
                let _ = inner_messages(&message, 1 << 20, |_| Ok::<(), RecordError>(()));
            }
        }
    }
    let _ = down_convert(bytes, Magic::V0, 0, 1 << 20, 1 << 20);
}

#[test]
fn truncated_and_flipped_input_is_refused_in_peace() {
    for (name, bytes) in fixtures() {
        if name.ends_with("large") {
            continue;
        }
        for length in 0..bytes.len() {
            // A buffer may end anywhere; what is whole is handed out.
            assert!(read(&bytes[..length], LIMIT).is_ok(), "{name} cut at {length}");
            let mut short = bytes[..length].to_vec();
            if length > 12 {
                // Now the batch says that it is that short.
                short[8..12].copy_from_slice(&((length - 12) as i32).to_be_bytes());
                walk_all(&short);
            }
        }
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bad = bytes.clone();
                bad[at] ^= flip;
                walk_all(&bad);
            }
        }
    }
}

#[test]
fn bombs_stop_at_the_limit() {
    let zeros = vec![0; 32 << 20];
    for codec in Codec::ALL {
        let mut compressed = Vec::new();
        let mut encoder = Encoder::new(codec, Magic::V2);
        encoder.write(&zeros, &mut compressed);
        encoder.finish(&mut compressed);
        assert_eq!(
            decompress(codec, Magic::V2, &compressed, 1 << 20),
            Err(RecordError::TooLarge { max: 1 << 20 }),
            "{codec:?}"
        );
        assert_eq!(decompress(codec, Magic::V2, &compressed, 32 << 20).unwrap().len(), 32 << 20, "{codec:?}");
    }
    // A raw snappy block that claims four gigabytes in five bytes, bare and in a frame.
    let mut claim = vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    assert!(decompress(Codec::Snappy, Magic::V2, &claim, LIMIT).is_err());
    let mut framed = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x06".to_vec();
    framed.append(&mut claim);
    assert!(decompress(Codec::Snappy, Magic::V2, &framed, LIMIT).is_err());
}

#[test]
fn a_record_larger_than_the_window_is_stepped_over() {
    let value = vec![7; 3 << 20];
    for codec in Codec::ALL {
        let mut builder = RecordsBuilder::new(BuilderOptions::new(Magic::V2, codec)).unwrap();
        let header = Header { key: &value, value: Some(&value) };
        builder.append(BASE_TIME, Some(b"k"), Some(&value), &[header]).unwrap();
        builder.append(BASE_TIME, Some(&value), None, &[]).unwrap();
        let built = builder.build().unwrap();
        let records = read(&built.bytes, LIMIT).unwrap();
        assert_eq!(records.len(), 2);
        assert!(records[0].value.as_deref() == Some(&value) && records[1].key.as_deref() == Some(&value));
    }
}

#[test]
fn the_lz4_frame_of_magic_0_has_its_known_wrong_checksum_and_reads_either() {
    let fixtures = fixtures();
    let body = |bytes: &[u8], at: usize| bytes[at..at + 7].to_vec();
    let written = |magic| {
        let mut output = Vec::new();
        let mut encoder = Encoder::new(Codec::Lz4, magic);
        encoder.write(b"x", &mut output);
        encoder.finish(&mut output);
        output[..7].to_vec()
    };
    assert_eq!(body(&fixtures["v0-lz4"], 26), written(Magic::V0));
    assert_eq!(body(&fixtures["v1-lz4"], 34), written(Magic::V1));
    assert_eq!(body(&fixtures["v2-lz4"], 61), written(Magic::V2));
    assert_ne!(written(Magic::V0), written(Magic::V1));
    let value = &fixtures["v1-lz4"][34..];
    assert!(decompress(Codec::Lz4, Magic::V0, value, LIMIT).is_ok());
    let value = &fixtures["v0-lz4"][26..];
    assert!(decompress(Codec::Lz4, Magic::V1, value, LIMIT).is_err());
}

#[test]
fn wrapper_offsets_of_old_clients() {
    let fixtures = fixtures();
    let offsets = |offset: i64| {
        let mut bytes = fixtures["v1-gzip"].clone();
        set_message_offset(&mut bytes, offset);
        read(&bytes, LIMIT).map(|records| (records[0].offset, records[11].offset))
    };
    assert_eq!(offsets(81), Ok((70, 81)));
    assert_eq!(offsets(11), Ok((0, 11)));
    assert_eq!(offsets(0), Ok((0, 11)), "librdkafka's wrappers of offset 0");
    assert_eq!(offsets(5), Err(RecordError::WrapperOffset { wrapper: 5, inner: 11 }));
}

fn arbitrary_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (any::<u8>(), 0..70_000_usize).prop_map(|(byte, length)| vec![byte; length]),
        1 => prop::collection::vec(any::<u8>(), 40_000..70_000),
    ]
}

fn arbitrary_record() -> impl Strategy<Value = Plain> {
    let nullable = || prop::option::of(arbitrary_bytes());
    let headers = prop::collection::vec((arbitrary_bytes(), prop::option::of(arbitrary_bytes())), 0..3);
    (1..5_i64, -1..i64::MAX / 2, nullable(), nullable(), headers)
        .prop_map(|(offset, timestamp, key, value, headers)| Plain { offset, timestamp, key, value, headers })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_built_is_read_back(
        mut records in prop::collection::vec(arbitrary_record(), 1..12),
        codec in prop::sample::select(Codec::ALL.to_vec()),
        magic in 0..3_u8,
        base_offset in 0..i64::MAX / 2,
    ) {
        let magic = Magic::from_byte(magic).unwrap();
        prop_assume!(magic == Magic::V2 || codec != Codec::Zstd);
        let mut options = BuilderOptions::new(magic, codec);
        options.base_offset = base_offset;
        let mut builder = RecordsBuilder::new(options).unwrap();
        let mut offset = base_offset;
        for record in &mut records {
            // Gaps, as compaction leaves them; relative offsets of magic 1 count from the first record.
            offset += if offset == base_offset { 0 } else { record.offset };
            record.offset = offset;
            offset += 1;
            if magic < Magic::V2 {
                record.headers.clear();
            }
            append(&mut builder, record);
            if magic == Magic::V0 {
                record.timestamp = -1;
            }
        }
        let built = builder.build().unwrap();
        prop_assert_eq!(built.count as usize, records.len());
        prop_assert_eq!(built.last_offset, records.last().unwrap().offset);
        prop_assert_eq!(built.max_timestamp, records.iter().map(|record| record.timestamp).max().unwrap());
        let read = read(&built.bytes, u64::MAX).unwrap();
        prop_assert!(read == records);
    }

    #[test]
    fn any_bytes_are_refused_or_read_in_peace(bytes in prop::collection::vec(any::<u8>(), 0..400), magic in 0..4_u8, codec in 0..8_u8) {
        walk_all(&bytes);
        // With a header that leads to the body.
        let mut framed = vec![0; 61];
        framed[8..12].copy_from_slice(&((49 + bytes.len()) as i32).to_be_bytes());
        framed[16] = magic;
        framed[17] = codec;
        framed[22] = codec;
        framed[60] = 3;
        framed.extend_from_slice(&bytes);
        walk_all(&framed);
        for codec in Codec::ALL {
            let _ = decompress(codec, Magic::V2, &bytes, 1 << 16);
        }
    }
}
