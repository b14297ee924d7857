//! Records that were found good, before and after they are given their offsets.

use bytes::Bytes;
use kafka_proto::record::{
    BatchHeader, BatchView, Batches, BuilderOptions, Codec, EndTransactionMarker, Magic, NO_LEADER_EPOCH,
    NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, RecordsBuilder, set_message_offset,
};
use smallvec::SmallVec;

use super::InvalidRecords;

/// What the log needs to know of a batch. Offsets count from the append's first one until [`Checked::assign`] has
/// made them absolute; those of a follower's append are absolute from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchInfo {
    /// Record format.
    pub magic: Magic,
    /// Offset of the first record. Of a compressed message set that a leader sent, the last offset: the first stands
    /// inside.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// Epoch of the leader, -1 with magic 0 and 1.
    pub leader_epoch: i32,
    /// Largest timestamp, -1 if none.
    pub max_timestamp: i64,
    /// Producer, -1 if none.
    pub producer_id: i64,
    /// Its epoch, -1 if none.
    pub producer_epoch: i16,
    /// Sequence of the first record, -1 if none.
    pub base_sequence: i32,
    /// Sequence of the last record, -1 if none.
    pub last_sequence: i32,
    /// Whether the batch is part of a transaction.
    pub transactional: bool,
    /// Whether it is a control batch.
    pub control: bool,
    /// The end of a transaction, if it is that.
    pub marker: Option<EndTransactionMarker>,
    /// Size in bytes.
    pub size: usize,
}

impl BatchInfo {
    /// What a batch says of itself.
    pub fn of(view: &BatchView<'_>) -> Result<Self, InvalidRecords> {
        let mut info = Self {
            magic: view.magic(),
            base_offset: view.last_offset(),
            last_offset: view.last_offset(),
            leader_epoch: NO_LEADER_EPOCH,
            max_timestamp: view.max_timestamp(),
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            last_sequence: NO_SEQUENCE,
            transactional: false,
            control: false,
            marker: None,
            size: view.size(),
        };
        if let BatchView::V2(batch) = view {
            info.base_offset = batch.base_offset();
            info.leader_epoch = batch.leader_epoch();
            info.producer_id = batch.producer_id();
            info.producer_epoch = batch.producer_epoch();
            info.base_sequence = batch.base_sequence();
            info.last_sequence = batch.last_sequence();
            info.transactional = batch.is_transactional();
            info.control = batch.is_control();
            if info.control {
                info.marker = EndTransactionMarker::of_batch(batch)?;
            }
        }
        Ok(info)
    }
}

pub(super) type Infos = SmallVec<[BatchInfo; 1]>;

/// The bytes, as far as they are known without the offsets.
#[derive(Debug)]
pub(super) enum Content {
    /// A batch of magic 2: offset and epoch go into the header.
    Batch { header: BatchHeader, body: Bytes },
    /// Messages of magic 0 or 1, whose offsets are patched in place.
    Messages(Vec<u8>),
    /// Messages of magic 0 that are compressed once their offsets, which stand inside, are known.
    Inner { messages: Vec<u8>, codec: Codec, size_max: u32 },
    /// Batches whose offsets stay.
    Kept(Bytes),
}

/// Records that were found good.
#[derive(Debug)]
pub struct Checked {
    content: Content,
    batches: Infos,
    max_timestamp: i64,
    offset_of_max_timestamp: i64,
}

impl Checked {
    pub(super) const fn new(
        content: Content,
        batches: Infos,
        max_timestamp: i64,
        offset_of_max_timestamp: i64,
    ) -> Self {
        Self { content, batches, max_timestamp, offset_of_max_timestamp }
    }

    pub(super) fn empty() -> Self {
        Self::new(Content::Kept(Bytes::new()), Infos::new(), -1, -1)
    }

    /// The batches in order. Empty for a request of Produce v2 or older without a whole message: nothing is appended
    /// then.
    pub fn batches(&self) -> &[BatchInfo] {
        &self.batches
    }

    /// How many offsets the records take.
    pub fn offset_count(&self) -> i64 {
        match (self.batches.first(), self.batches.last()) {
            (Some(first), Some(last)) => last.last_offset - first.base_offset + 1,
            _ => 0,
        }
    }

    /// Gives the records their offsets from `first_offset` on, and their epoch. Short, for use under the partition's
    /// lock.
    ///
    /// Fails only for compressed records of magic 0, which become too large when their offsets are written inside.
    pub fn assign(self, first_offset: i64, leader_epoch: i32) -> Result<Prepared, InvalidRecords> {
        let Self { content, mut batches, max_timestamp, mut offset_of_max_timestamp } = self;
        if matches!(content, Content::Kept(_)) {
            return Ok(Self { content, batches, max_timestamp, offset_of_max_timestamp }.keep_offsets());
        }
        for info in &mut batches {
            info.base_offset += first_offset;
            info.last_offset += first_offset;
        }
        if offset_of_max_timestamp >= 0 {
            offset_of_max_timestamp += first_offset;
        }
        let mut head = None;
        let body = match content {
            Content::Batch { mut header, body } => {
                header.set_base_offset(first_offset);
                header.set_leader_epoch(leader_epoch);
                for info in &mut batches {
                    info.leader_epoch = leader_epoch;
                }
                head = Some(header);
                body
            }
            Content::Messages(mut bytes) => {
                let mut rest = bytes.as_mut_slice();
                for info in &batches {
                    let (message, behind) = rest.split_at_mut_checked(info.size).unwrap_or_default();
                    set_message_offset(message, info.last_offset);
                    rest = behind;
                }
                Bytes::from(bytes)
            }
            Content::Inner { messages, codec, size_max } => {
                let bytes = compress_inner(&messages, codec, first_offset)?;
                if bytes.len() > size_max as usize {
                    return Err(InvalidRecords::TooLarge { size: bytes.len(), size_max });
                }
                for info in &mut batches {
                    info.size = bytes.len();
                }
                bytes
            }
            Content::Kept(bytes) => bytes,
        };
        Ok(Prepared { head, body, batches, max_timestamp, offset_of_max_timestamp })
    }

    /// Leaves the offsets as they are: for followers.
    pub fn keep_offsets(self) -> Prepared {
        let Self { content, batches, max_timestamp, offset_of_max_timestamp } = self;
        let (head, body) = match content {
            Content::Batch { header, body } => (Some(header), body),
            Content::Messages(bytes) | Content::Inner { messages: bytes, .. } => (None, Bytes::from(bytes)),
            Content::Kept(bytes) => (None, bytes),
        };
        Prepared { head, body, batches, max_timestamp, offset_of_max_timestamp }
    }
}

/// Compresses plain messages of magic 0, numbered from `first_offset` on, into one wrapper.
fn compress_inner(messages: &[u8], codec: Codec, first_offset: i64) -> Result<Bytes, InvalidRecords> {
    let mut builder =
        RecordsBuilder::new(BuilderOptions { base_offset: first_offset, ..BuilderOptions::new(Magic::V0, codec) })?;
    for view in Batches::new(messages) {
        if let BatchView::Legacy(message) = view? {
            let (key, value) = message.key_value()?;
            builder.append(message.timestamp(), key, value, &[])?;
        }
    }
    Ok(builder.build().map(|built| built.bytes).unwrap_or_default())
}

/// Records ready to be written: two slices behind each other, in one vectored write.
#[derive(Debug)]
pub struct Prepared {
    head: Option<BatchHeader>,
    body: Bytes,
    batches: Infos,
    max_timestamp: i64,
    offset_of_max_timestamp: i64,
}

impl Prepared {
    /// The bytes to write; the first slice may be empty.
    pub fn slices(&self) -> [&[u8]; 2] {
        [self.head.as_ref().map_or(&[], |head| head.bytes()), &self.body]
    }

    /// Number of bytes to write.
    pub fn size(&self) -> usize {
        self.slices().iter().map(|slice| slice.len()).sum()
    }

    /// The batches in order, offsets absolute.
    pub fn batches(&self) -> &[BatchInfo] {
        &self.batches
    }

    /// Largest timestamp of all, -1 if none.
    pub const fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// Offset that the time index names for it, -1 if none: of the record, or, where the record is not known without
    /// decompressing, of its batch's last record.
    pub const fn offset_of_max_timestamp(&self) -> i64 {
        self.offset_of_max_timestamp
    }
}
