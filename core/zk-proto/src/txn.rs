//! What rests in the transaction log, and what the leader sends to its followers.
//!
//! An entry is a header, a record whose form the header's type says, and a digest of the tree behind it (since 3.6.0).

use base::{DecodeError, Reader, Str};
use bytes::{BufMut, Bytes, BytesMut};

use crate::jute::{Jute, record};
use crate::{Acl, OpCode};

/// Who asked for a transaction, and its place in the order of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxnHeader {
    /// The session that asked.
    pub session_id: i64,
    /// The request's xid in that session.
    pub cxid: i32,
    /// The transaction's place: epoch in the high 32 bits, counter in the low.
    pub zxid: i64,
    /// When the leader took it up, milliseconds since 1970.
    pub time_ms: i64,
}

record! {
    /// A digest of the whole tree behind a transaction.
    #[derive(Copy)]
    pub struct TxnDigest {
        /// How it is computed; this is [`TxnDigest::VERSION`].
        pub version: i32,
        /// The sum of the nodes' digests.
        pub tree_digest: u64,
    }
}

impl TxnDigest {
    /// The digest of 3.6.0 and later.
    pub const VERSION: i32 = 2;
}

record! {
    /// `create`, `create2`. Entries of 3.4.0 and older lack the last field: −1 then.
    pub struct CreateTxn {
        /// Where, counter included.
        pub path: Str,
        /// The node's data.
        pub data: Option<Bytes>,
        /// The node's ACL, `auth` replaced.
        pub acl: Vec<Acl>,
        /// Whether the header's session owns it.
        pub ephemeral: bool,
        /// The parent's cversion with this child; −1: one more than it has.
        pub parent_cversion: i32,
    }
}

record! {
    /// `createTTL`.
    pub struct CreateTtlTxn {
        /// Where, counter included.
        pub path: Str,
        /// The node's data.
        pub data: Option<Bytes>,
        /// The node's ACL, `auth` replaced.
        pub acl: Vec<Acl>,
        /// The parent's cversion with this child.
        pub parent_cversion: i32,
        /// Time to live in milliseconds.
        pub ttl_ms: i64,
    }
}

record! {
    /// `createContainer`.
    pub struct CreateContainerTxn {
        /// Where.
        pub path: Str,
        /// The node's data.
        pub data: Option<Bytes>,
        /// The node's ACL, `auth` replaced.
        pub acl: Vec<Acl>,
        /// The parent's cversion with this child.
        pub parent_cversion: i32,
    }
}

record! {
    /// `delete`, `deleteContainer`.
    pub struct DeleteTxn {
        /// Which node.
        pub path: Str,
    }
}

record! {
    /// `setData`, and `reconfig`, which sets the data of `/zookeeper/config`.
    pub struct SetDataTxn {
        /// Which node.
        pub path: Str,
        /// The new data.
        pub data: Option<Bytes>,
        /// The new version.
        pub version: i32,
    }
}

record! {
    /// `check`: changes nothing.
    pub struct CheckVersionTxn {
        /// Which node.
        pub path: Str,
        /// One more than the version it had.
        pub version: i32,
    }
}

record! {
    /// `setACL`.
    pub struct SetAclTxn {
        /// Which node.
        pub path: Str,
        /// The new ACL, `auth` replaced.
        pub acl: Vec<Acl>,
        /// The new ACL version.
        pub version: i32,
    }
}

record! {
    /// `createSession`.
    #[derive(Copy)]
    pub struct CreateSessionTxn {
        /// The session timeout in milliseconds.
        pub timeout_ms: i32,
    }
}

record! {
    /// `closeSession` since 3.6.0.
    pub struct CloseSessionTxn {
        /// The ephemeral nodes that go with the session.
        pub paths_to_delete: Vec<Str>,
    }
}

record! {
    /// A request that failed: it has a zxid all the same.
    #[derive(Copy)]
    pub struct ErrorTxn {
        /// An [`crate::ErrorCode`].
        pub err: i32,
    }
}

/// A change of replicated state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a variant for each type, its record says the rest")]
pub enum Txn {
    Create(CreateTxn),
    Create2(CreateTxn),
    CreateContainer(CreateContainerTxn),
    CreateTtl(CreateTtlTxn),
    Delete(DeleteTxn),
    DeleteContainer(DeleteTxn),
    SetData(SetDataTxn),
    Reconfig(SetDataTxn),
    SetAcl(SetAclTxn),
    Check(CheckVersionTxn),
    CreateSession(CreateSessionTxn),
    /// `None`: written before 3.6.0, or with `closeSessionTxn.enabled=false`; the tree knows the session's nodes.
    CloseSession(Option<CloseSessionTxn>),
    Error(ErrorTxn),
    /// All parts or none, under one zxid. A failed one holds an [`Txn::Error`] for the part that failed and for those
    /// behind it.
    Multi(Vec<Txn>),
}

impl Txn {
    /// The type for the header.
    pub const fn op(&self) -> OpCode {
        match self {
            Self::Create(_) => OpCode::Create,
            Self::Create2(_) => OpCode::Create2,
            Self::CreateContainer(_) => OpCode::CreateContainer,
            Self::CreateTtl(_) => OpCode::CreateTtl,
            Self::Delete(_) => OpCode::Delete,
            Self::DeleteContainer(_) => OpCode::DeleteContainer,
            Self::SetData(_) => OpCode::SetData,
            Self::Reconfig(_) => OpCode::Reconfig,
            Self::SetAcl(_) => OpCode::SetAcl,
            Self::Check(_) => OpCode::Check,
            Self::CreateSession(_) => OpCode::CreateSession,
            Self::CloseSession(_) => OpCode::CloseSession,
            Self::Error(_) => OpCode::Error,
            Self::Multi(_) => OpCode::Multi,
        }
    }

    /// Appends the record, without its type.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Create(txn) | Self::Create2(txn) => txn.encode(out),
            Self::CreateContainer(txn) => txn.encode(out),
            Self::CreateTtl(txn) => txn.encode(out),
            Self::Delete(txn) | Self::DeleteContainer(txn) => txn.encode(out),
            Self::SetData(txn) | Self::Reconfig(txn) => txn.encode(out),
            Self::SetAcl(txn) => txn.encode(out),
            Self::Check(txn) => txn.encode(out),
            Self::CreateSession(txn) => txn.encode(out),
            Self::CloseSession(Some(txn)) => txn.encode(out),
            Self::CloseSession(None) => {}
            Self::Error(txn) => txn.encode(out),
            Self::Multi(parts) => encode_parts(parts, out),
        }
    }

    /// Reads the record that follows a header of type `op`.
    pub fn decode(op: i32, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let unknown = DecodeError::Value { what: "transaction type", value: i64::from(op), at: reader.position() };
        Ok(match OpCode::from_code(op).ok_or(unknown)? {
            OpCode::Create => Self::Create(decode_create(reader)?),
            OpCode::Create2 => Self::Create2(Jute::decode(reader)?),
            OpCode::Multi => Self::Multi(decode_parts(reader)?),
            OpCode::SetAcl => Self::SetAcl(Jute::decode(reader)?),
            OpCode::Reconfig => Self::Reconfig(Jute::decode(reader)?),
            OpCode::CreateSession => Self::CreateSession(Jute::decode(reader)?),
            OpCode::CloseSession => Self::CloseSession(decode_close_session(reader)),
            _ => Self::decode_part(op, reader)?,
        })
    }

    /// Reads a record that may also be a part of a multi.
    fn decode_part(op: i32, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let unknown = DecodeError::Value { what: "transaction type", value: i64::from(op), at: reader.position() };
        Ok(match OpCode::from_code(op).ok_or(unknown)? {
            OpCode::Create => Self::Create(Jute::decode(reader)?),
            OpCode::Create2 => Self::Create2(Jute::decode(reader)?),
            OpCode::CreateContainer => Self::CreateContainer(Jute::decode(reader)?),
            OpCode::CreateTtl => Self::CreateTtl(Jute::decode(reader)?),
            OpCode::Delete => Self::Delete(Jute::decode(reader)?),
            OpCode::DeleteContainer => Self::DeleteContainer(Jute::decode(reader)?),
            OpCode::SetData => Self::SetData(Jute::decode(reader)?),
            OpCode::Check => Self::Check(Jute::decode(reader)?),
            OpCode::Error => Self::Error(Jute::decode(reader)?),
            _ => return Err(unknown),
        })
    }
}

/// The parts as upstream's `MultiTxn`: each a type and its record in a buffer.
fn encode_parts(parts: &[Txn], out: &mut BytesMut) {
    out.put_i32(i32::try_from(parts.len()).expect("a multi came in one frame"));
    for part in parts {
        part.op().code().encode(out);
        let at = out.len();
        out.put_i32(0);
        part.encode(out);
        let length = i32::try_from(out.len() - at - 4).expect("a multi came in one frame");
        if let Some(field) = out.get_mut(at..at + 4) {
            field.copy_from_slice(&length.to_be_bytes());
        }
    }
}

fn decode_parts(reader: &mut Reader<'_>) -> Result<Vec<Txn>, DecodeError> {
    let parts = <Vec<Part>>::decode(reader)?;
    parts.iter().map(|part| Txn::decode_part(part.op, &mut Reader::new(&part.record))).collect()
}

record! {
    struct Part {
        pub op: i32,
        pub record: Bytes,
    }
}

fn decode_create(reader: &mut Reader<'_>) -> Result<CreateTxn, DecodeError> {
    let start = reader.clone();
    CreateTxn::decode(reader).or_else(|error| {
        *reader = start;
        match error {
            DecodeError::Truncated { .. } => Ok(CreateTxn {
                path: Jute::decode(reader)?,
                data: Jute::decode(reader)?,
                acl: Jute::decode(reader)?,
                ephemeral: Jute::decode(reader)?,
                parent_cversion: -1,
            }),
            error => Err(error),
        }
    })
}

/// Nothing, a digest alone, or a record. A digest that reads as a record names no paths: its first number, 2, is its version.
fn decode_close_session(reader: &mut Reader<'_>) -> Option<CloseSessionTxn> {
    let start = reader.clone();
    let is_record = |txn: &CloseSessionTxn| txn.paths_to_delete.iter().all(|path| path.starts_with('/'));
    let txn = CloseSessionTxn::decode(reader).ok().filter(is_record);
    if txn.is_none() {
        *reader = start;
    }
    txn
}

const DIGEST_BYTES: usize = 12;

/// One entry of the log, and the body of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnEntry {
    /// Who and when.
    pub header: TxnHeader,
    /// What.
    pub txn: Txn,
    /// The tree's digest behind it, unless digests are off.
    pub digest: Option<TxnDigest>,
}

impl Jute for TxnEntry {
    fn encode(&self, out: &mut BytesMut) {
        self.header.session_id.encode(out);
        self.header.cxid.encode(out);
        self.header.zxid.encode(out);
        self.header.time_ms.encode(out);
        self.txn.op().code().encode(out);
        self.txn.encode(out);
        if let Some(digest) = &self.digest {
            digest.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let header =
            TxnHeader { session_id: reader.i64()?, cxid: reader.i32()?, zxid: reader.i64()?, time_ms: reader.i64()? };
        let op = reader.i32()?;
        let txn = Txn::decode(op, reader)?;
        let digest = if reader.remaining() < DIGEST_BYTES { None } else { Some(TxnDigest::decode(reader)?) };
        Ok(Self { header, txn, digest })
    }
}
