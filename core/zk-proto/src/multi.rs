//! Framing of `multi` and `multiRead`: a header before each part, and one that says that all is done.

use base::{DecodeError, Reader};
use bytes::BytesMut;

use crate::OpCode;
use crate::jute::{Jute, record};
use crate::requests::{
    CheckVersionRequest, CreateRequest, CreateTtlRequest, DeleteRequest, ReadRequest, SetDataRequest,
};
use crate::responses::{
    Create2Response, ErrorResponse, GetChildrenResponse, GetDataResponse, PathResponse, StatResponse,
};

record! {
    /// Before each part.
    #[derive(Copy)]
    pub struct MultiHeader {
        /// The part's [`OpCode`]; −1 for a failed part, and at the end.
        pub op: i32,
        /// Whether no part follows.
        pub done: bool,
        /// The part's error; −1 in requests, and at the end.
        pub err: i32,
    }
}

impl MultiHeader {
    /// Behind the last part.
    pub const END: Self = Self { op: -1, done: true, err: -1 };

    /// Appends the header of a part.
    pub fn of(op: OpCode, err: i32, out: &mut BytesMut) {
        Self { op: op.code(), done: false, err }.encode(out);
    }
}

/// One part of a multi.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a variant for each op, its record says the rest")]
pub enum Op {
    Create(CreateRequest),
    Create2(CreateRequest),
    CreateContainer(CreateRequest),
    CreateTtl(CreateTtlRequest),
    Delete(DeleteRequest),
    SetData(SetDataRequest),
    Check(CheckVersionRequest),
    GetChildren(ReadRequest),
    GetData(ReadRequest),
}

impl Op {
    /// Its op code.
    pub const fn op(&self) -> OpCode {
        match self {
            Self::Create(_) => OpCode::Create,
            Self::Create2(_) => OpCode::Create2,
            Self::CreateContainer(_) => OpCode::CreateContainer,
            Self::CreateTtl(_) => OpCode::CreateTtl,
            Self::Delete(_) => OpCode::Delete,
            Self::SetData(_) => OpCode::SetData,
            Self::Check(_) => OpCode::Check,
            Self::GetChildren(_) => OpCode::GetChildren,
            Self::GetData(_) => OpCode::GetData,
        }
    }

    /// The path it is about.
    pub fn path(&self) -> &str {
        match self {
            Self::Create(body) | Self::Create2(body) | Self::CreateContainer(body) => &body.path,
            Self::CreateTtl(body) => &body.path,
            Self::Delete(body) => &body.path,
            Self::SetData(body) => &body.path,
            Self::Check(body) => &body.path,
            Self::GetChildren(body) | Self::GetData(body) => &body.path,
        }
    }

    /// Whether it belongs into a `multiRead`.
    pub const fn is_read(&self) -> bool {
        matches!(self, Self::GetChildren(_) | Self::GetData(_))
    }
}

/// A request of several parts, all of them writes or all of them reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Multi {
    /// The parts in order.
    pub ops: Vec<Op>,
}

impl Jute for Multi {
    fn encode(&self, out: &mut BytesMut) {
        for op in &self.ops {
            MultiHeader::of(op.op(), -1, out);
            match op {
                Op::Create(body) | Op::Create2(body) | Op::CreateContainer(body) => body.encode(out),
                Op::CreateTtl(body) => body.encode(out),
                Op::Delete(body) => body.encode(out),
                Op::SetData(body) => body.encode(out),
                Op::Check(body) => body.encode(out),
                Op::GetChildren(body) | Op::GetData(body) => body.encode(out),
            }
        }
        MultiHeader::END.encode(out);
    }

    /// Fails on other ops, and on reads beside writes.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut ops: Vec<Op> = Vec::new();
        loop {
            let at = reader.position();
            let header = MultiHeader::decode(reader)?;
            if header.done {
                return Ok(Self { ops });
            }
            let refused = DecodeError::Value { what: "op in a multi", value: i64::from(header.op), at };
            let op = match OpCode::from_code(header.op) {
                Some(OpCode::Create) => Op::Create(Jute::decode(reader)?),
                Some(OpCode::Create2) => Op::Create2(Jute::decode(reader)?),
                Some(OpCode::CreateContainer) => Op::CreateContainer(Jute::decode(reader)?),
                Some(OpCode::CreateTtl) => Op::CreateTtl(Jute::decode(reader)?),
                Some(OpCode::Delete) => Op::Delete(Jute::decode(reader)?),
                Some(OpCode::SetData) => Op::SetData(Jute::decode(reader)?),
                Some(OpCode::Check) => Op::Check(Jute::decode(reader)?),
                Some(OpCode::GetChildren) => Op::GetChildren(Jute::decode(reader)?),
                Some(OpCode::GetData) => Op::GetData(Jute::decode(reader)?),
                _ => return Err(refused),
            };
            if ops.first().is_some_and(|first| first.is_read() != op.is_read()) {
                return Err(refused);
            }
            ops.push(op);
        }
    }
}

/// The outcome of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a variant for each op, its record says the rest")]
pub enum OpResult {
    Create(PathResponse),
    /// Also of `createContainer` and `createTTL`.
    Create2(Create2Response),
    Delete,
    SetData(StatResponse),
    Check,
    GetChildren(GetChildrenResponse),
    GetData(GetDataResponse),
    /// In a failed multi every part has this: 0 before the part that failed, −2 behind it.
    Error(ErrorResponse),
}

/// The outcomes of all parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MultiResponse {
    /// In the order of the request.
    pub results: Vec<OpResult>,
}

impl Jute for MultiResponse {
    fn encode(&self, out: &mut BytesMut) {
        for result in &self.results {
            match result {
                OpResult::Create(body) => {
                    MultiHeader::of(OpCode::Create, 0, out);
                    body.encode(out);
                }
                OpResult::Create2(body) => {
                    MultiHeader::of(OpCode::Create2, 0, out);
                    body.encode(out);
                }
                OpResult::Delete => MultiHeader::of(OpCode::Delete, 0, out),
                OpResult::SetData(body) => {
                    MultiHeader::of(OpCode::SetData, 0, out);
                    body.encode(out);
                }
                OpResult::Check => MultiHeader::of(OpCode::Check, 0, out),
                OpResult::GetChildren(body) => {
                    MultiHeader::of(OpCode::GetChildren, 0, out);
                    body.encode(out);
                }
                OpResult::GetData(body) => {
                    MultiHeader::of(OpCode::GetData, 0, out);
                    body.encode(out);
                }
                OpResult::Error(body) => {
                    MultiHeader::of(OpCode::Error, body.err, out);
                    body.encode(out);
                }
            }
        }
        MultiHeader::END.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut results = Vec::new();
        loop {
            let at = reader.position();
            let header = MultiHeader::decode(reader)?;
            if header.done {
                return Ok(Self { results });
            }
            results.push(match OpCode::from_code(header.op) {
                Some(OpCode::Create) => OpResult::Create(Jute::decode(reader)?),
                Some(OpCode::Create2) => OpResult::Create2(Jute::decode(reader)?),
                Some(OpCode::Delete) => OpResult::Delete,
                Some(OpCode::SetData) => OpResult::SetData(Jute::decode(reader)?),
                Some(OpCode::Check) => OpResult::Check,
                Some(OpCode::GetChildren) => OpResult::GetChildren(Jute::decode(reader)?),
                Some(OpCode::GetData) => OpResult::GetData(Jute::decode(reader)?),
                Some(OpCode::Error) => OpResult::Error(Jute::decode(reader)?),
                _ => return Err(DecodeError::Value { what: "result in a multi", value: i64::from(header.op), at }),
            });
        }
    }
}
