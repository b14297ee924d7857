//! Records of log and snapshot files; their order and seals belong to `zk-store`.

use base::Str;
use bytes::{BufMut, Bytes, BytesMut};

use crate::jute::{Jute, put_length, put_str, record};
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

/// A [`NodeRecord`] whose parts lie where they are: for whoever writes it at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeView<'a> {
    /// See [`NodeRecord::path`].
    pub path: &'a str,
    /// See [`NodeRecord::data`].
    pub data: Option<&'a [u8]>,
    /// See [`NodeRecord::acl_index`].
    pub acl_index: i64,
    /// See [`NodeRecord::stat`].
    pub stat: StatPersisted,
}

impl NodeView<'_> {
    /// Appends what the record's jute form is.
    pub fn encode(&self, out: &mut BytesMut) {
        put_str(out, self.path);
        match self.data {
            Some(data) => {
                put_length(out, data.len());
                out.put_slice(data);
            }
            None => out.put_i32(-1),
        }
        self.acl_index.encode(out);
        self.stat.encode(out);
    }
}

impl NodeRecord {
    /// The record, not copied.
    pub fn view(&self) -> NodeView<'_> {
        let Self { path, data, acl_index, stat } = self;
        NodeView { path, data: data.as_deref(), acl_index: *acl_index, stat: *stat }
    }
}

impl From<NodeView<'_>> for NodeRecord {
    fn from(view: NodeView<'_>) -> Self {
        let NodeView { path, data, acl_index, stat } = view;
        Self { path: Str::from(path), data: data.map(Bytes::copy_from_slice), acl_index, stat }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_written_as_its_record() {
        for data in [None, Some(Bytes::new()), Some(Bytes::from_static(b"data"))] {
            let stat = StatPersisted { czxid: 1, pzxid: 9, version: 3, ..StatPersisted::default() };
            let record = NodeRecord { path: Str::from("/a/\u{1F600}"), data, acl_index: 5, stat };
            let mut out = BytesMut::new();
            record.view().encode(&mut out);
            assert_eq!(out, record.to_bytes());
            assert_eq!(NodeRecord::from(record.view()), record);
        }
    }
}
