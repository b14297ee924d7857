//! Records written anew, because the topic stores them with another codec or format than they came in, or because their
//! offsets are not consecutive.

use kafka_proto::record::{
    Batch, BatchHeader, BatchView, Batches, BuilderOptions, Built, Codec, HEADER_LEN, Header, LegacyMessage, Magic,
    RecordsBuilder, inner_messages,
};

use smallvec::SmallVec;

use super::prepared::{BatchInfo, Checked, Content, Infos};
use super::{DECOMPRESSED_LEN_MAX, InvalidRecords, Rules};

/// Records that are stored without a batch around them may take this much in one append.
const PLAIN_LEN_MAX: usize = 64 << 20;

/// Writes the records of a batch of magic 2 anew.
pub(super) fn batch(batch: &Batch<'_>, rules: &Rules<'_>) -> Result<Checked, InvalidRecords> {
    let mut writer = Writer::new(rules, |options| {
        options.producer_id = batch.producer_id();
        options.producer_epoch = batch.producer_epoch();
        options.base_sequence = batch.base_sequence();
        options.transactional = batch.is_transactional();
    })?;
    let mut records = batch.records(DECOMPRESSED_LEN_MAX)?;
    while let Some(record) = records.next()? {
        let headers: SmallVec<[Header<'_>; 4]> = record.headers.iter().collect();
        writer.append(batch.timestamp(record.timestamp_delta), record.key, record.value, &headers)?;
    }
    writer.finish()
}

/// Writes messages of magic 0 or 1 anew.
pub(super) fn messages(messages: &[LegacyMessage<'_>], rules: &Rules<'_>) -> Result<Checked, InvalidRecords> {
    let mut writer = Writer::new(rules, |_| {})?;
    for message in messages {
        inner_messages(message, DECOMPRESSED_LEN_MAX, |inner| {
            let (key, value) = inner.message.key_value()?;
            writer.append(inner.timestamp, key, value, &[])
        })?;
    }
    writer.finish()
}

/// A builder that stops as soon as its batch is too large.
struct Writer {
    builder: RecordsBuilder,
    size_max: u32,
    /// The codec to use once offsets are known, with magic 0.
    later: Option<Codec>,
    plain: bool,
}

impl Writer {
    fn new(rules: &Rules<'_>, set: impl FnOnce(&mut BuilderOptions)) -> Result<Self, InvalidRecords> {
        // Inner offsets of magic 0 are absolute: the messages stay plain until those are known.
        let later = (rules.magic == Magic::V0 && rules.target != Codec::None).then_some(rules.target);
        if later == Some(Codec::Zstd) {
            return Err(InvalidRecords::UnsupportedCompression(
                "ZStandard compression needs message format 0.11 or later",
            ));
        }
        let codec = if later.is_some() { Codec::None } else { rules.target };
        let mut options = BuilderOptions::new(rules.magic, codec);
        options.timestamp_type = rules.timestamp_type;
        options.log_append_time_ms = rules.append.now_ms;
        set(&mut options);
        let plain = rules.magic < Magic::V2 && codec == Codec::None;
        Ok(Self { builder: RecordsBuilder::new(options)?, size_max: rules.config.message_bytes_max, later, plain })
    }

    fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), InvalidRecords> {
        self.builder.append(timestamp, key, value, headers)?;
        let size = self.builder.written_len();
        let limit = if self.plain { PLAIN_LEN_MAX } else { self.size_max as usize };
        if size > limit {
            return Err(InvalidRecords::TooLarge { size, size_max: self.size_max });
        }
        Ok(())
    }

    fn finish(self) -> Result<Checked, InvalidRecords> {
        let Self { builder, size_max, later, .. } = self;
        let Some(built) = builder.build() else { return Ok(Checked::empty()) };
        match later {
            Some(codec) => Ok(compressed_later(built, codec, size_max)),
            None => ready(built, size_max),
        }
    }
}

fn ready(built: Built, size_max: u32) -> Result<Checked, InvalidRecords> {
    let Built { bytes, count, max_timestamp, offset_of_max_timestamp, .. } = built;
    let mut infos = Infos::new();
    let mut header = None;
    for view in Batches::new(&bytes) {
        let view = view?;
        if view.size() > size_max as usize {
            return Err(InvalidRecords::TooLarge { size: view.size(), size_max });
        }
        infos.push(BatchInfo::of(&view)?);
        if let BatchView::V2(batch) = view {
            header = Some(BatchHeader::of(&batch));
        }
    }
    if let [only] = infos.as_mut_slice() {
        // A wrapper doesn't say where it starts.
        only.base_offset = only.last_offset - i64::from(count - 1);
    }
    let content = match header {
        Some(header) => Content::Batch { header, body: bytes.slice(HEADER_LEN..) },
        None => Content::Messages(Vec::from(bytes)),
    };
    Ok(Checked::new(content, infos, max_timestamp, offset_of_max_timestamp))
}

fn compressed_later(built: Built, codec: Codec, size_max: u32) -> Checked {
    let last = built.last_offset;
    let messages = Vec::from(built.bytes);
    let mut infos = Infos::new();
    if let Some(Ok(view)) = Batches::new(&messages).next()
        && let Ok(mut info) = BatchInfo::of(&view)
    {
        info.base_offset = 0;
        info.last_offset = last;
        infos.push(info);
    }
    let content = Content::Inner { messages, codec, size_max };
    Checked::new(content, infos, built.max_timestamp, last)
}
