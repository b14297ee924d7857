//! Bodies of responses. `delete`, `ping`, `auth`, `setWatches`, `checkWatches`, `removeWatches` and `closeSession` are
//! answered by a header alone.

use base::{DecodeError, Reader, Str};
use bytes::{Bytes, BytesMut};

use crate::jute::{Jute, record};
use crate::multi::MultiResponse;
use crate::{Acl, OpCode, Stat};

record! {
    /// `create`, `sync`.
    pub struct PathResponse {
        /// The path, with its counter if it was sequential.
        pub path: Str,
    }
}

record! {
    /// `create2`, `createContainer`, `createTTL`.
    pub struct Create2Response {
        /// The path, with its counter if it was sequential.
        pub path: Str,
        /// The new node's metadata.
        pub stat: Stat,
    }
}

record! {
    /// `exists`, `setData`, `setACL`, `check`.
    pub struct StatResponse {
        /// The node's metadata.
        pub stat: Stat,
    }
}

record! {
    /// `getData`, `reconfig`.
    pub struct GetDataResponse {
        /// The node's data.
        pub data: Option<Bytes>,
        /// Its metadata.
        pub stat: Stat,
    }
}

record! {
    /// `getChildren`.
    pub struct GetChildrenResponse {
        /// Names without their parent's path, in no order.
        pub children: Vec<Str>,
    }
}

record! {
    /// `getChildren2`.
    pub struct GetChildren2Response {
        /// Names without their parent's path, in no order.
        pub children: Vec<Str>,
        /// The parent's metadata.
        pub stat: Stat,
    }
}

record! {
    /// `getACL`.
    pub struct GetAclResponse {
        /// The ACL; hashes of passwords are masked for those who may not set it.
        pub acl: Vec<Acl>,
        /// The node's metadata.
        pub stat: Stat,
    }
}

record! {
    /// `getAllChildrenNumber`.
    #[derive(Copy)]
    pub struct GetAllChildrenNumberResponse {
        /// How many nodes are below the path.
        pub total_number: i32,
    }
}

record! {
    /// `getEphemerals`.
    pub struct GetEphemeralsResponse {
        /// The session's ephemeral nodes below the prefix.
        pub ephemerals: Vec<Str>,
    }
}

record! {
    /// `addWatch`, and a failed part of a multi.
    #[derive(Copy)]
    pub struct ErrorResponse {
        /// An [`crate::ErrorCode`].
        pub err: i32,
    }
}

record! {
    /// `sasl`.
    pub struct SaslResponse {
        /// The mechanism's next message.
        pub token: Bytes,
    }
}

/// A response's body by the op of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a variant for each form, its record says the rest")]
pub enum Response {
    /// A header alone.
    Empty,
    Path(PathResponse),
    Create2(Create2Response),
    Stat(StatResponse),
    GetData(GetDataResponse),
    GetChildren(GetChildrenResponse),
    GetChildren2(GetChildren2Response),
    GetAcl(GetAclResponse),
    GetAllChildrenNumber(GetAllChildrenNumberResponse),
    GetEphemerals(GetEphemeralsResponse),
    Multi(MultiResponse),
    Error(ErrorResponse),
    Sasl(SaslResponse),
}

impl Response {
    /// Reads the body that answers a request with `op` without an error.
    pub fn decode(op: OpCode, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match op {
            OpCode::Create | OpCode::Sync => Self::Path(Jute::decode(reader)?),
            OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => Self::Create2(Jute::decode(reader)?),
            OpCode::Exists | OpCode::SetData | OpCode::SetAcl | OpCode::Check => Self::Stat(Jute::decode(reader)?),
            OpCode::GetData | OpCode::Reconfig => Self::GetData(Jute::decode(reader)?),
            OpCode::GetChildren => Self::GetChildren(Jute::decode(reader)?),
            OpCode::GetChildren2 => Self::GetChildren2(Jute::decode(reader)?),
            OpCode::GetAcl => Self::GetAcl(Jute::decode(reader)?),
            OpCode::GetAllChildrenNumber => Self::GetAllChildrenNumber(Jute::decode(reader)?),
            OpCode::GetEphemerals => Self::GetEphemerals(Jute::decode(reader)?),
            OpCode::Multi | OpCode::MultiRead => Self::Multi(Jute::decode(reader)?),
            OpCode::AddWatch => Self::Error(Jute::decode(reader)?),
            OpCode::Sasl => Self::Sasl(Jute::decode(reader)?),
            _ => Self::Empty,
        })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Empty => {}
            Self::Path(body) => body.encode(out),
            Self::Create2(body) => body.encode(out),
            Self::Stat(body) => body.encode(out),
            Self::GetData(body) => body.encode(out),
            Self::GetChildren(body) => body.encode(out),
            Self::GetChildren2(body) => body.encode(out),
            Self::GetAcl(body) => body.encode(out),
            Self::GetAllChildrenNumber(body) => body.encode(out),
            Self::GetEphemerals(body) => body.encode(out),
            Self::Multi(body) => body.encode(out),
            Self::Error(body) => body.encode(out),
            Self::Sasl(body) => body.encode(out),
        }
    }
}
