//! The records of a magic 2 batch: walking, writing, control records (upstream: `DefaultRecord`, `ControlRecordType`,
//! `EndTransactionMarker`).

use super::compression::{Decoder, Window};
use super::cursor::{Cursor, put_varint, put_varlong, varint_len, varlong_len};
use super::{Batch, Codec, Magic, RecordError};

const INCOMPLETE: RecordError = RecordError::Count("premature EOF reached");
const LEFT_OVER: RecordError = RecordError::Count("records still remaining in file");
const SIZE: RecordError = RecordError::Invalid("Invalid record size: the fields do not fill the record");
const HEADER_COUNT: RecordError = RecordError::Invalid("Found invalid number of record headers");
const HEADER_KEY: RecordError = RecordError::Invalid("Invalid negative header key size");

/// A compressed record larger than this is stepped over in pieces when only its outline is asked for.
const OUTLINE_WINDOW_MAX: usize = 32 * 1024;
/// Attributes, timestamp delta, offset delta and the key's length take at most so many bytes.
const OUTLINE_START_MAX: usize = 1 + 10 + 5 + 5;

/// A record header (KIP-82).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8 by convention; not checked.
    pub key: &'a [u8],
    /// `None` is null.
    pub value: Option<&'a [u8]>,
}

/// The headers of a record as encoded: count and fields, checked when the record was read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    count: usize,
    encoded: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Number of headers.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The headers in order.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let mut rest = Cursor(self.encoded);
        (0..self.count).map_while(move |_| read_header(&mut rest).ok())
    }
}

fn read_header<'a>(rest: &mut Cursor<'a>) -> Result<Header<'a>, RecordError> {
    let key = rest.nullable()?.ok_or(HEADER_KEY)?;
    Ok(Header { key, value: rest.nullable()? })
}

/// A record of a magic 2 batch, borrowed from the batch or from the window it was decompressed into.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Distance to the batch's base timestamp: [`Batch::timestamp`] makes it absolute.
    pub timestamp_delta: i64,
    /// Distance to the batch's base offset.
    pub offset_delta: i32,
    /// `None` is null.
    pub key: Option<&'a [u8]>,
    /// `None` is null: a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers in order.
    pub headers: Headers<'a>,
}

/// What validation looks at: a record without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Distance to the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Distance to the batch's base offset.
    pub offset_delta: i32,
    /// Length of the key, negative for null.
    pub key_len: i32,
    /// Length of the value, negative for null.
    pub value_len: i32,
    /// Length of the whole record with its length field.
    pub size: usize,
}

impl<'a> Record<'a> {
    /// Reads the fields of a record; `body` is exactly what its length field covers.
    fn parse(body: &'a [u8]) -> Result<Self, RecordError> {
        let mut rest = Cursor(body);
        // The attributes of a record have no use yet.
        rest.u8()?;
        let (timestamp_delta, offset_delta) = (rest.varlong()?, rest.varint()?);
        let (key, value) = (rest.nullable()?, rest.nullable()?);
        let count = usize::try_from(rest.varint()?).map_err(|_| HEADER_COUNT)?;
        let encoded = rest.0;
        for _ in 0..count {
            read_header(&mut rest)?;
        }
        if rest.len() > 0 {
            return Err(SIZE);
        }
        Ok(Self { timestamp_delta, offset_delta, key, value, headers: Headers { count, encoded } })
    }
}

impl Outline {
    /// Steps over one record of a batch that is not compressed; behind the last one there must be nothing.
    #[inline(always)]
    fn step(rest: &mut Cursor<'_>, is_last: bool) -> Result<Self, RecordError> {
        let start = rest.len();
        if start == 0 {
            return Err(INCOMPLETE);
        }
        let length = usize::try_from(rest.varint()?).map_err(|_| SIZE)?;
        let body = rest.take(length).map_err(|_| INCOMPLETE)?;
        if is_last && rest.len() > 0 {
            return Err(LEFT_OVER);
        }
        Self::parse(body, start - rest.len())
    }

    #[inline(always)]
    fn parse(body: &[u8], size: usize) -> Result<Self, RecordError> {
        let mut rest = Cursor(body);
        rest.u8()?;
        let (timestamp_delta, offset_delta) = (rest.varlong()?, rest.varint()?);
        let key_len = skip(&mut rest)?;
        let value_len = skip(&mut rest)?;
        let count = rest.varint()?;
        if count != 0 {
            skip_headers(&mut rest, count)?;
        }
        if rest.len() > 0 {
            return Err(SIZE);
        }
        Ok(Self { timestamp_delta, offset_delta, key_len, value_len, size })
    }
}

#[inline]
fn skip(rest: &mut Cursor<'_>) -> Result<i32, RecordError> {
    let length = rest.varint()?;
    if let Ok(length) = usize::try_from(length) {
        rest.take(length)?;
    }
    Ok(length)
}

#[cold]
fn skip_headers(rest: &mut Cursor<'_>, count: i32) -> Result<(), RecordError> {
    if count < 0 {
        return Err(HEADER_COUNT);
    }
    for _ in 0..count {
        read_header(rest)?;
    }
    Ok(())
}

/// Where a reader's bytes come from.
enum Source<'a> {
    /// The batch itself.
    Plain(Cursor<'a>),
    /// A window that a decoder fills.
    Stream { decoder: Decoder<'a>, window: Window },
}

impl Source<'_> {
    /// What can be seen without more input.
    fn seen(&self) -> &[u8] {
        match self {
            Self::Plain(rest) => rest.0,
            Self::Stream { window, .. } => window.bytes(),
        }
    }

    /// Tries to have `length` bytes in sight; `false` if the data ends before.
    fn ensure(&mut self, length: usize) -> Result<bool, RecordError> {
        match self {
            Self::Plain(rest) => Ok(rest.len() >= length),
            Self::Stream { decoder, window } => {
                while window.bytes().len() < length {
                    if !decoder.fill(window)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    fn consume(&mut self, length: usize) {
        match self {
            Self::Plain(rest) => rest.0 = rest.0.get(length..).unwrap_or_default(),
            Self::Stream { window, .. } => window.consume(length),
        }
    }
}

/// Walks the records of one batch: as many as its header counts, and nothing behind them.
///
/// It lends each record until the next call, since a compressed batch is seen through a window only.
pub struct RecordReader<'a> {
    source: Source<'a>,
    left: i32,
}

impl<'a> RecordReader<'a> {
    pub(super) fn new(batch: &Batch<'a>, output_max: u64) -> Result<Self, RecordError> {
        let left = batch.count();
        if left < 0 {
            return Err(RecordError::Invalid("Found invalid record count in magic v2 batch"));
        }
        let source = match batch.codec()? {
            Codec::None => Source::Plain(Cursor(batch.body())),
            // The original does not look at the body of a batch without records.
            _ if left == 0 => Source::Plain(Cursor(&[])),
            codec => {
                let decoder = Decoder::new(codec, Magic::V2, batch.body(), output_max)?;
                Source::Stream { decoder, window: Window::new() }
            }
        };
        Ok(Self { source, left })
    }

    /// The next record.
    #[expect(clippy::should_implement_trait, reason = "it lends: Iterator can't")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, RecordError> {
        let Some((prefix, length)) = self.start_record()? else { return Ok(None) };
        if !self.source.ensure(prefix + length)? {
            return Err(INCOMPLETE);
        }
        if self.left == 0 {
            self.expect_end(prefix + length)?;
        }
        let body = match &mut self.source {
            Source::Plain(rest) => rest.take(prefix + length)?,
            Source::Stream { window, .. } => window.take(prefix + length),
        };
        Record::parse(body.get(prefix..).unwrap_or_default()).map(Some)
    }

    /// The next record without its bytes.
    #[inline]
    pub fn next_outline(&mut self) -> Result<Option<Outline>, RecordError> {
        let Source::Plain(rest) = &mut self.source else { return self.next_outline_of_stream() };
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        Outline::step(rest, self.left == 0).map(Some)
    }

    /// Hands the outline of each record that is left to `visit`: [`RecordReader::next_outline`] for a hot path.
    #[inline]
    pub fn outlines(mut self, mut visit: impl FnMut(&Outline)) -> Result<(), RecordError> {
        if let Source::Plain(rest) = self.source {
            // A cursor of its own stays in registers.
            let mut rest = rest;
            for left in (0..self.left).rev() {
                visit(&Outline::step(&mut rest, left == 0)?);
            }
            return Ok(());
        }
        while let Some(outline) = self.next_outline_of_stream()? {
            visit(&outline);
        }
        Ok(())
    }

    fn next_outline_of_stream(&mut self) -> Result<Option<Outline>, RecordError> {
        let Some((prefix, length)) = self.start_record()? else { return Ok(None) };
        let size = prefix + length;
        let outline = if length <= OUTLINE_WINDOW_MAX {
            if !self.source.ensure(size)? {
                return Err(INCOMPLETE);
            }
            let body = self.source.seen().get(prefix..size).ok_or(INCOMPLETE)?;
            let outline = Outline::parse(body, size)?;
            self.source.consume(size);
            outline
        } else {
            self.source.consume(prefix);
            Pieces { source: &mut self.source, left: length }.outline(size)?
        };
        if self.left == 0 {
            self.expect_end(0)?;
        }
        Ok(Some(outline))
    }

    /// Counts a record off and reads its length field without consuming it: (bytes of the field, length of the rest).
    fn start_record(&mut self) -> Result<Option<(usize, usize)>, RecordError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        // A short end is found by the varint.
        self.source.ensure(5)?;
        let mut rest = Cursor(self.source.seen());
        if rest.len() == 0 {
            return Err(INCOMPLETE);
        }
        let before = rest.len();
        let length = usize::try_from(rest.varint()?).map_err(|_| SIZE)?;
        Ok(Some((before - rest.len(), length)))
    }

    /// Fails unless the data ends after `length` bytes in sight.
    fn expect_end(&mut self, length: usize) -> Result<(), RecordError> {
        if self.source.ensure(length + 1)? { Err(LEFT_OVER) } else { Ok(()) }
    }
}

/// Steps over a large record in pieces.
struct Pieces<'s, 'a> {
    source: &'s mut Source<'a>,
    /// Bytes of the record that have not been consumed.
    left: usize,
}

impl Pieces<'_, '_> {
    fn outline(mut self, size: usize) -> Result<Outline, RecordError> {
        let (timestamp_delta, offset_delta) = self.read(OUTLINE_START_MAX, |rest| {
            rest.u8()?;
            Ok((rest.varlong()?, rest.varint()?))
        })?;
        let key_len = self.skip()?;
        let value_len = self.skip()?;
        let count = self.read(5, |rest| rest.varint())?;
        if count < 0 {
            return Err(HEADER_COUNT);
        }
        for _ in 0..count {
            if self.skip()? < 0 {
                return Err(HEADER_KEY);
            }
            self.skip()?;
        }
        if self.left > 0 {
            return Err(SIZE);
        }
        Ok(Outline { timestamp_delta, offset_delta, key_len, value_len, size })
    }

    /// Reads something of at most `length_max` bytes.
    fn read<T>(
        &mut self,
        length_max: usize,
        read: impl FnOnce(&mut Cursor<'_>) -> Result<T, RecordError>,
    ) -> Result<T, RecordError> {
        let length = length_max.min(self.left);
        if !self.source.ensure(length)? {
            return Err(INCOMPLETE);
        }
        let mut rest = Cursor(self.source.seen().get(..length).ok_or(INCOMPLETE)?);
        let value = read(&mut rest)?;
        let read = length - rest.len();
        self.source.consume(read);
        self.left -= read;
        Ok(value)
    }

    /// Steps over a length and that many bytes; the length.
    fn skip(&mut self) -> Result<i32, RecordError> {
        let length = self.read(5, |rest| rest.varint())?;
        let mut skip = usize::try_from(length).unwrap_or(0);
        self.left = self.left.checked_sub(skip).ok_or(SIZE)?;
        while skip > 0 {
            if !self.source.ensure(1)? {
                return Err(INCOMPLETE);
            }
            let step = skip.min(self.source.seen().len());
            self.source.consume(step);
            skip -= step;
        }
        Ok(length)
    }
}

fn nullable_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint_len(bytes.len() as i32) + bytes.len())
}

fn body_len<'a>(
    offset_delta: i32,
    timestamp_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: impl ExactSizeIterator<Item = Header<'a>>,
) -> usize {
    let fields = 1 + varlong_len(timestamp_delta) + varint_len(offset_delta) + nullable_len(key) + nullable_len(value);
    let count = varint_len(headers.len() as i32);
    fields + count + headers.map(|header| nullable_len(Some(header.key)) + nullable_len(header.value)).sum::<usize>()
}

/// Length of a record as [`write_record`] writes it.
pub fn record_len(
    offset_delta: i32,
    timestamp_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[Header<'_>],
) -> usize {
    let body = body_len(offset_delta, timestamp_delta, key, value, headers.iter().copied());
    varint_len(body as i32) + body
}

/// Appends a record to `out`; returns its length.
pub fn write_record(
    out: &mut Vec<u8>,
    offset_delta: i32,
    timestamp_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[Header<'_>],
) -> usize {
    let start = out.len();
    put_varint(out, body_len(offset_delta, timestamp_delta, key, value, headers.iter().copied()) as i32);
    out.push(0);
    put_varlong(out, timestamp_delta);
    put_varint(out, offset_delta);
    put_nullable(out, key);
    put_nullable(out, value);
    put_varint(out, headers.len() as i32);
    for header in headers {
        put_nullable(out, Some(header.key));
        put_nullable(out, header.value);
    }
    out.len() - start
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            put_varint(out, bytes.len() as i32);
            out.extend_from_slice(bytes);
        }
        None => put_varint(out, -1),
    }
}

/// What a control record says; the type stands in its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlType {
    /// The transaction is aborted.
    Abort,
    /// The transaction is committed.
    Commit,
    /// One that this version does not know: passed over.
    Other(i16),
}

impl ControlType {
    /// Reads the key of a control record: version (i16), type (i16). Newer versions may add fields behind.
    pub fn from_key(key: &[u8]) -> Result<Self, RecordError> {
        let mut rest = Cursor(key);
        let short = |_| RecordError::Invalid("Invalid value size found for end control record key");
        let version = i16::from_be_bytes(rest.array().map_err(short)?);
        let kind = i16::from_be_bytes(rest.array().map_err(short)?);
        if version < 0 {
            return Err(RecordError::Invalid("Invalid version found for control record. May indicate data corruption"));
        }
        Ok(match kind {
            0 => Self::Abort,
            1 => Self::Commit,
            other => Self::Other(other),
        })
    }
}

/// The record that ends a producer's transaction in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTransactionMarker {
    /// Whether the transaction is committed; else it is aborted.
    pub commit: bool,
    /// Epoch of the transaction coordinator that wrote it: fences older coordinators.
    pub coordinator_epoch: i32,
}

impl EndTransactionMarker {
    /// The marker in a control batch, read from its first record; `None` if it is another kind of control record.
    pub fn of_batch(batch: &Batch<'_>) -> Result<Option<Self>, RecordError> {
        // A marker is tiny; a control batch that is not has no use.
        let mut reader = batch.records(64 * 1024)?;
        match reader.next()? {
            Some(record) => Self::from_record(record.key, record.value),
            None => Ok(None),
        }
    }

    /// The marker in a control record; `None` if it is another kind.
    pub fn from_record(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Option<Self>, RecordError> {
        let commit = match ControlType::from_key(key.unwrap_or_default())? {
            ControlType::Commit => true,
            ControlType::Abort => false,
            ControlType::Other(_) => return Ok(None),
        };
        let mut rest = Cursor(value.unwrap_or_default());
        let short = |_| RecordError::Invalid("Invalid value size found for end transaction marker");
        let version = i16::from_be_bytes(rest.array().map_err(short)?);
        let coordinator_epoch = i32::from_be_bytes(rest.array().map_err(short)?);
        if version < 0 {
            return Err(RecordError::Invalid(
                "Invalid version found for end transaction marker. May indicate data corruption",
            ));
        }
        Ok(Some(Self { commit, coordinator_epoch }))
    }

    /// Key of the control record: version 0, type.
    pub const fn key(&self) -> [u8; 4] {
        [0, 0, 0, self.commit as u8]
    }

    /// Value of the control record: version 0, coordinator epoch.
    pub const fn value(&self) -> [u8; 6] {
        let [a, b, c, d] = self.coordinator_epoch.to_be_bytes();
        [0, 0, a, b, c, d]
    }
}
