//! Batches of records of all three formats, compressed by each codec; the checks of Produce.

use base::Str;
use bytes::Bytes;
use kafka_log::validate::{self, Append};
use kafka_log::{LogConfig, Origin, TopicPartition};
use kafka_proto::record::{
    Batch, BatchView, Batches, BuilderOptions, Codec, EndTransactionMarker, InnerMessage, LegacyMessage, Magic,
    RecordError, RecordsBuilder, decompress, down_convert, inner_messages,
};

use super::choice;

/// What a batch may decompress to here.
pub(crate) const OUTPUT_MAX: u64 = 1 << 20;

pub(crate) const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const MAGICS: [Magic; 3] = [Magic::V0, Magic::V1, Magic::V2];

pub(crate) fn batches(input: &[u8]) {
    for view in Batches::new(input).map_while(Result::ok) {
        let _ = view.verify();
        let _ = (view.last_offset(), view.max_timestamp(), view.timestamp_type(), view.codec());
        match &view {
            BatchView::V2(batch) => read(batch),
            BatchView::Legacy(message) => read_legacy(message),
        }
    }
    for magic in MAGICS {
        let _ = down_convert(input, magic, 0, 1 << 16, OUTPUT_MAX);
    }
}

fn read(batch: &Batch<'_>) {
    let _ = (batch.last_sequence(), EndTransactionMarker::of_batch(batch));
    if let Ok(mut records) = batch.records(OUTPUT_MAX) {
        while let Ok(Some(record)) = records.next() {
            record.headers.iter().for_each(drop);
        }
    }
    if let Ok(records) = batch.records(OUTPUT_MAX) {
        let _ = records.outlines(|_| {});
    }
}

fn read_legacy(message: &LegacyMessage<'_>) {
    let _ = inner_messages(message, OUTPUT_MAX, |inner: InnerMessage<'_>| {
        let _ = inner.message.key_value();
        Ok::<(), RecordError>(())
    });
}

/// The first byte chooses codec and format.
pub(crate) fn compression(input: &[u8]) {
    let Some((choice, compressed)) = choice(input) else { return };
    let (codec, magic) = (CODECS[choice % CODECS.len()], MAGICS[choice / CODECS.len() % MAGICS.len()]);
    if let Ok(output) = decompress(codec, magic, compressed, OUTPUT_MAX) {
        assert!(output.len() as u64 <= OUTPUT_MAX);
    }
}

/// Produce's checks, with the checksums put right so that what lies behind them is reached.
pub(crate) fn produce_checks(input: &[u8]) {
    let Some((choice, records)) = choice(input) else { return };
    let records = Bytes::from(with_checksums(records));
    let config = LogConfig {
        log_append_time: choice & 1 == 1,
        message_magic: [0, 1, 2, 2][choice >> 1 & 3],
        ..LogConfig::default()
    };
    let partition = TopicPartition::new(Str::from_static("t"), 0);
    for (origin, produce_version) in [(Origin::Client, 8), (Origin::Client, 2), (Origin::Replication, 8)] {
        let append = Append { partition: &partition, origin, produce_version, zstd_allowed: true, now_ms: 1 << 40 };
        if let Ok(checked) = validate::check(&records, &config, &append) {
            let _ = checked.assign(i64::from(u32::MAX), 7);
        }
    }
}

fn with_checksums(records: &[u8]) -> Vec<u8> {
    let mut fixed = records.to_vec();
    let mut at = 0;
    for view in Batches::new(records).map_while(Result::ok) {
        let (place, checksum) = match &view {
            BatchView::V2(batch) => (17, batch.computed_checksum()),
            BatchView::Legacy(message) => (12, message.computed_checksum()),
        };
        fixed[at + place..at + place + 4].copy_from_slice(&checksum.to_be_bytes());
        at += view.size();
    }
    fixed
}

fn batch(magic: Magic, codec: Codec, transactional: bool) -> Vec<u8> {
    let mut options = BuilderOptions::new(magic, codec);
    if transactional {
        (options.producer_id, options.producer_epoch, options.base_sequence) = (1, 0, 0);
        options.transactional = true;
    }
    let mut builder = RecordsBuilder::new(options).expect("these options go together");
    for number in 0..3 {
        builder.append(1_600_000_000_000 + number, Some(b"key"), Some(b"a value, a value"), &[]).expect("it is small");
    }
    builder.build().expect("it has records").bytes.to_vec()
}

/// Batches of each format and codec. The codecs that a format lacks stay out.
pub(crate) fn plain_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for magic in MAGICS {
        for codec in CODECS {
            if magic == Magic::V2 || codec != Codec::Zstd {
                seeds.push(batch(magic, codec, false));
            }
        }
    }
    seeds.push(batch(Magic::V2, Codec::None, true));
    seeds
}

/// The same behind a byte that chooses.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let plain = plain_seeds();
    let chosen = plain.iter().map(|seed| [&[6], &seed[..]].concat()).collect::<Vec<_>>();
    plain.into_iter().chain(chosen).collect()
}

pub(crate) fn compressed_seeds() -> Vec<Vec<u8>> {
    let body = |codec: Codec| batch(Magic::V2, codec, false).split_off(61);
    CODECS.iter().enumerate().map(|(at, codec)| [vec![(at + 10) as u8], body(*codec)].concat()).collect()
}
