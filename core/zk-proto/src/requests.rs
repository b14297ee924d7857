//! Bodies of requests. Ping, close session and set watches' answer have none.

use base::{DecodeError, Reader, Str};
use bytes::{Bytes, BytesMut};

use crate::jute::{Jute, record};
use crate::multi::Multi;
use crate::{Acl, OpCode};

record! {
    /// `create`, `create2`, `createContainer`.
    pub struct CreateRequest {
        /// Where.
        pub path: Str,
        /// The node's data.
        pub data: Option<Bytes>,
        /// The node's ACL; `auth` stands for the client's own ids.
        pub acl: Vec<Acl>,
        /// A [`crate::CreateMode`].
        pub flags: i32,
    }
}

record! {
    /// `createTTL`.
    pub struct CreateTtlRequest {
        /// Where.
        pub path: Str,
        /// The node's data.
        pub data: Option<Bytes>,
        /// The node's ACL.
        pub acl: Vec<Acl>,
        /// A [`crate::CreateMode`].
        pub flags: i32,
        /// Time to live in milliseconds.
        pub ttl_ms: i64,
    }
}

record! {
    /// `delete`.
    pub struct DeleteRequest {
        /// Which node.
        pub path: Str,
        /// The version it must have; −1 for any.
        pub version: i32,
    }
}

record! {
    /// `exists`, `getData`, `getChildren`, `getChildren2`.
    pub struct ReadRequest {
        /// Which node.
        pub path: Str,
        /// Whether to leave a watch.
        pub watch: bool,
    }
}

record! {
    /// `setData`.
    pub struct SetDataRequest {
        /// Which node.
        pub path: Str,
        /// The new data.
        pub data: Option<Bytes>,
        /// The version it must have; −1 for any.
        pub version: i32,
    }
}

record! {
    /// `sync`, `getACL`, `getAllChildrenNumber`, `getEphemerals` (there a prefix).
    pub struct PathRequest {
        /// Which node.
        pub path: Str,
    }
}

record! {
    /// `setACL`.
    pub struct SetAclRequest {
        /// Which node.
        pub path: Str,
        /// The new ACL.
        pub acl: Vec<Acl>,
        /// The ACL version it must have; −1 for any.
        pub version: i32,
    }
}

record! {
    /// `check`: nothing happens unless the version is right.
    pub struct CheckVersionRequest {
        /// Which node.
        pub path: Str,
        /// The version it must have; −1 for any.
        pub version: i32,
    }
}

record! {
    /// `reconfig`.
    pub struct ReconfigRequest {
        /// Servers to add, comma separated.
        pub joining_servers: Option<Str>,
        /// Ids of servers to remove, comma separated.
        pub leaving_servers: Option<Str>,
        /// All servers of the new configuration; excludes the other two.
        pub new_members: Option<Str>,
        /// The configuration it must replace; −1 for any.
        pub current_config_id: i64,
    }
}

record! {
    /// `setWatches`: what a client watched before it reconnected.
    pub struct SetWatchesRequest {
        /// The newest zxid the client has seen: later changes fire at once.
        pub relative_zxid: i64,
        /// Paths with data watches.
        pub data_watches: Vec<Str>,
        /// Paths watched for being made.
        pub exist_watches: Vec<Str>,
        /// Paths with child watches.
        pub child_watches: Vec<Str>,
    }
}

record! {
    /// `setWatches2`.
    pub struct SetWatches2Request {
        /// The newest zxid the client has seen: later changes fire at once.
        pub relative_zxid: i64,
        /// Paths with data watches.
        pub data_watches: Vec<Str>,
        /// Paths watched for being made.
        pub exist_watches: Vec<Str>,
        /// Paths with child watches.
        pub child_watches: Vec<Str>,
        /// Paths with persistent watches.
        pub persistent_watches: Vec<Str>,
        /// Paths with persistent recursive watches.
        pub persistent_recursive_watches: Vec<Str>,
    }
}

record! {
    /// `addWatch`.
    pub struct AddWatchRequest {
        /// Which node.
        pub path: Str,
        /// An [`crate::AddWatchMode`].
        pub mode: i32,
    }
}

record! {
    /// `checkWatches`, `removeWatches`.
    pub struct WatchesRequest {
        /// Which node.
        pub path: Str,
        /// A [`crate::WatcherType`].
        pub watcher_type: i32,
    }
}

record! {
    /// `auth`.
    pub struct AuthRequest {
        /// Always 0.
        pub auth_type: i32,
        /// The scheme, such as `digest`.
        pub scheme: Str,
        /// The scheme's credentials, such as `user:password`.
        pub auth: Bytes,
    }
}

record! {
    /// `sasl`.
    pub struct SaslRequest {
        /// The mechanism's next message.
        pub token: Bytes,
    }
}

/// A request's body by its op.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a variant for each op, its record says the rest")]
pub enum Request {
    Create(CreateRequest),
    Create2(CreateRequest),
    CreateContainer(CreateRequest),
    CreateTtl(CreateTtlRequest),
    Delete(DeleteRequest),
    /// The path alone, without a length.
    DeleteContainer(Bytes),
    Exists(ReadRequest),
    GetData(ReadRequest),
    SetData(SetDataRequest),
    GetAcl(PathRequest),
    SetAcl(SetAclRequest),
    GetChildren(ReadRequest),
    GetChildren2(ReadRequest),
    GetAllChildrenNumber(PathRequest),
    GetEphemerals(PathRequest),
    Sync(PathRequest),
    Ping,
    Check(CheckVersionRequest),
    Multi(Multi),
    MultiRead(Multi),
    Reconfig(ReconfigRequest),
    SetWatches(SetWatchesRequest),
    SetWatches2(SetWatches2Request),
    AddWatch(AddWatchRequest),
    CheckWatches(WatchesRequest),
    RemoveWatches(WatchesRequest),
    Auth(AuthRequest),
    Sasl(SaslRequest),
    CloseSession,
}

impl Request {
    /// Reads the body that follows a header with `op`. `notification`, `error` and `createSession` are no requests: an
    /// error here, as are numbers without an [`OpCode`]. Bytes behind the body are passed over, as in the original.
    pub fn decode(op: i32, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let unknown = DecodeError::Value { what: "op code", value: i64::from(op), at: reader.position() };
        Ok(match OpCode::from_code(op).ok_or(unknown)? {
            OpCode::Create => Self::Create(Jute::decode(reader)?),
            OpCode::Create2 => Self::Create2(Jute::decode(reader)?),
            OpCode::CreateContainer => Self::CreateContainer(Jute::decode(reader)?),
            OpCode::CreateTtl => Self::CreateTtl(Jute::decode(reader)?),
            OpCode::Delete => Self::Delete(Jute::decode(reader)?),
            OpCode::DeleteContainer => Self::DeleteContainer(reader.bytes(reader.remaining())?),
            OpCode::Exists => Self::Exists(Jute::decode(reader)?),
            OpCode::GetData => Self::GetData(Jute::decode(reader)?),
            OpCode::SetData => Self::SetData(Jute::decode(reader)?),
            OpCode::GetAcl => Self::GetAcl(Jute::decode(reader)?),
            OpCode::SetAcl => Self::SetAcl(Jute::decode(reader)?),
            OpCode::GetChildren => Self::GetChildren(Jute::decode(reader)?),
            OpCode::GetChildren2 => Self::GetChildren2(Jute::decode(reader)?),
            OpCode::GetAllChildrenNumber => Self::GetAllChildrenNumber(Jute::decode(reader)?),
            OpCode::GetEphemerals => Self::GetEphemerals(Jute::decode(reader)?),
            OpCode::Sync => Self::Sync(Jute::decode(reader)?),
            OpCode::Ping => Self::Ping,
            OpCode::Check => Self::Check(Jute::decode(reader)?),
            OpCode::Multi => Self::Multi(Jute::decode(reader)?),
            OpCode::MultiRead => Self::MultiRead(Jute::decode(reader)?),
            OpCode::Reconfig => Self::Reconfig(Jute::decode(reader)?),
            OpCode::SetWatches => Self::SetWatches(Jute::decode(reader)?),
            OpCode::SetWatches2 => Self::SetWatches2(Jute::decode(reader)?),
            OpCode::AddWatch => Self::AddWatch(Jute::decode(reader)?),
            OpCode::CheckWatches => Self::CheckWatches(Jute::decode(reader)?),
            OpCode::RemoveWatches => Self::RemoveWatches(Jute::decode(reader)?),
            OpCode::Auth => Self::Auth(Jute::decode(reader)?),
            OpCode::Sasl => Self::Sasl(Jute::decode(reader)?),
            OpCode::CloseSession => Self::CloseSession,
            OpCode::Notification | OpCode::Error | OpCode::CreateSession => return Err(unknown),
        })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Create(body) | Self::Create2(body) | Self::CreateContainer(body) => body.encode(out),
            Self::CreateTtl(body) => body.encode(out),
            Self::Delete(body) => body.encode(out),
            Self::DeleteContainer(path) => out.extend_from_slice(path),
            Self::Exists(body) | Self::GetData(body) | Self::GetChildren(body) | Self::GetChildren2(body) => {
                body.encode(out);
            }
            Self::SetData(body) => body.encode(out),
            Self::GetAcl(body) | Self::GetAllChildrenNumber(body) | Self::GetEphemerals(body) | Self::Sync(body) => {
                body.encode(out);
            }
            Self::SetAcl(body) => body.encode(out),
            Self::Check(body) => body.encode(out),
            Self::Multi(body) | Self::MultiRead(body) => body.encode(out),
            Self::Reconfig(body) => body.encode(out),
            Self::SetWatches(body) => body.encode(out),
            Self::SetWatches2(body) => body.encode(out),
            Self::AddWatch(body) => body.encode(out),
            Self::CheckWatches(body) | Self::RemoveWatches(body) => body.encode(out),
            Self::Auth(body) => body.encode(out),
            Self::Sasl(body) => body.encode(out),
            Self::Ping | Self::CloseSession => {}
        }
    }

    /// The op for the header.
    pub const fn op(&self) -> OpCode {
        match self {
            Self::Create(_) => OpCode::Create,
            Self::Create2(_) => OpCode::Create2,
            Self::CreateContainer(_) => OpCode::CreateContainer,
            Self::CreateTtl(_) => OpCode::CreateTtl,
            Self::Delete(_) => OpCode::Delete,
            Self::DeleteContainer(_) => OpCode::DeleteContainer,
            Self::Exists(_) => OpCode::Exists,
            Self::GetData(_) => OpCode::GetData,
            Self::SetData(_) => OpCode::SetData,
            Self::GetAcl(_) => OpCode::GetAcl,
            Self::SetAcl(_) => OpCode::SetAcl,
            Self::GetChildren(_) => OpCode::GetChildren,
            Self::GetChildren2(_) => OpCode::GetChildren2,
            Self::GetAllChildrenNumber(_) => OpCode::GetAllChildrenNumber,
            Self::GetEphemerals(_) => OpCode::GetEphemerals,
            Self::Sync(_) => OpCode::Sync,
            Self::Ping => OpCode::Ping,
            Self::Check(_) => OpCode::Check,
            Self::Multi(_) => OpCode::Multi,
            Self::MultiRead(_) => OpCode::MultiRead,
            Self::Reconfig(_) => OpCode::Reconfig,
            Self::SetWatches(_) => OpCode::SetWatches,
            Self::SetWatches2(_) => OpCode::SetWatches2,
            Self::AddWatch(_) => OpCode::AddWatch,
            Self::CheckWatches(_) => OpCode::CheckWatches,
            Self::RemoveWatches(_) => OpCode::RemoveWatches,
            Self::Auth(_) => OpCode::Auth,
            Self::Sasl(_) => OpCode::Sasl,
            Self::CloseSession => OpCode::CloseSession,
        }
    }
}
