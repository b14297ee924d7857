//! Records of log and snapshot files; their order and seals belong to `zk-store`.

use base::Str;
use bytes::Bytes;

use crate::jute::record;
use crate::{Acl, StatPersisted};

record! {
    /// The first 16 bytes of a log or snapshot.
    #[derive(Copy)]
    pub struct FileHeader {
        /// [`LOG_MAGIC`] or [`SNAPSHOT_MAGIC`].
        pub magic: i32,
        /// Always 2.
        pub version: i32,
        /// 0 in a log, −1 in a snapshot.
        pub dbid: i64,
    }
}

/// `ZKLG`.
pub const LOG_MAGIC: i32 = i32::from_be_bytes(*b"ZKLG");
/// `ZKSN`.
pub const SNAPSHOT_MAGIC: i32 = i32::from_be_bytes(*b"ZKSN");

record! {
    /// A session in a snapshot.
    #[derive(Copy)]
    pub struct SessionRecord {
        /// Its id.
        pub id: i64,
        /// Its timeout in milliseconds.
        pub timeout_ms: i32,
    }
}

record! {
    /// An ACL in a snapshot; nodes refer to it.
    pub struct AclRecord {
        /// The number that nodes refer to it by, from 1.
        pub index: i64,
        /// The ACL.
        pub acl: Vec<Acl>,
    }
}

/// The ACL index of a node that is open to anyone.
pub const OPEN_ACL_INDEX: i64 = -1;

record! {
    /// A znode in a snapshot. The root's path is empty; the path `/` alone ends the list.
    pub struct NodeRecord {
        /// Its whole path.
        pub path: Str,
        /// Its data.
        pub data: Option<Bytes>,
        /// [`OPEN_ACL_INDEX`] or that of an [`AclRecord`].
        pub acl_index: i64,
        /// Its metadata.
        pub stat: StatPersisted,
    }
}
