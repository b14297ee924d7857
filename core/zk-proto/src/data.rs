//! Records of the module `org.apache.zookeeper.data`: ids, ACLs, stats.

use std::ops::BitOr;

use base::{DecodeError, Reader, Str};
use bytes::BytesMut;

use crate::jute::{Jute, record};

record! {
    /// Who: a scheme (`world`, `auth`, `digest`, `ip`, `x509`, `sasl`, `super`) and what it knows the client by.
    #[derive(PartialOrd, Ord, Hash)]
    pub struct Id {
        /// The authentication scheme.
        pub scheme: Str,
        /// The scheme's own name of the client, such as `user:hash`.
        pub id: Str,
    }
}

impl Id {
    /// An id of the program text.
    pub const fn from_static(scheme: &'static str, id: &'static str) -> Self {
        Self { scheme: Str::from_static(scheme), id: Str::from_static(id) }
    }

    /// The same id in memory of its own, see [`Str::copied`].
    #[must_use]
    pub fn copied(&self) -> Self {
        Self { scheme: Str::copied(&self.scheme), id: Str::copied(&self.id) }
    }
}

/// A set of permissions. Bits without a meaning are kept, as in the original.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Perms(pub i32);

impl Perms {
    /// May read data and children.
    pub const READ: Self = Self(1);
    /// May set data.
    pub const WRITE: Self = Self(1 << 1);
    /// May create children.
    pub const CREATE: Self = Self(1 << 2);
    /// May delete children.
    pub const DELETE: Self = Self(1 << 3);
    /// May set the ACL.
    pub const ADMIN: Self = Self(1 << 4);
    /// All five.
    pub const ALL: Self = Self(31);

    /// Whether any of `other`'s bits is set here.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Perms {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Jute for Perms {
    fn encode(&self, out: &mut BytesMut) {
        self.0.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.i32().map(Self)
    }
}

record! {
    /// One entry of an access control list.
    #[derive(PartialOrd, Ord, Hash)]
    pub struct Acl {
        /// What is allowed.
        pub perms: Perms,
        /// To whom.
        pub id: Id,
    }
}

impl Acl {
    /// Everything to anyone.
    pub const OPEN: Self = Self { perms: Perms::ALL, id: Id::from_static("world", "anyone") };
    /// Reading to anyone.
    pub const READ: Self = Self { perms: Perms::READ, id: Id::from_static("world", "anyone") };
}

record! {
    /// A znode's metadata as clients see it: 68 bytes.
    #[derive(Copy, Default)]
    pub struct Stat {
        /// Zxid that created it.
        pub czxid: i64,
        /// Zxid that last changed its data.
        pub mzxid: i64,
        /// Creation, milliseconds since 1970.
        pub ctime: i64,
        /// Last change of data, milliseconds since 1970.
        pub mtime: i64,
        /// Changes of data.
        pub version: i32,
        /// Changes of children: creations and deletions.
        pub cversion: i32,
        /// Changes of the ACL.
        pub aversion: i32,
        /// Owning session of an ephemeral node, else 0 (also for container and TTL nodes).
        pub ephemeral_owner: i64,
        /// Length of the data in bytes.
        pub data_length: i32,
        /// Number of children.
        pub num_children: i32,
        /// Zxid that last changed its children.
        pub pzxid: i64,
    }
}

record! {
    /// A znode's metadata as it is kept: 60 bytes. The digest covers these bytes.
    #[derive(Copy, Default)]
    pub struct StatPersisted {
        /// Zxid that created it.
        pub czxid: i64,
        /// Zxid that last changed its data.
        pub mzxid: i64,
        /// Creation, milliseconds since 1970.
        pub ctime: i64,
        /// Last change of data, milliseconds since 1970.
        pub mtime: i64,
        /// Changes of data.
        pub version: i32,
        /// Children ever created.
        pub cversion: i32,
        /// Changes of the ACL.
        pub aversion: i32,
        /// See [`crate::EphemeralType`].
        pub ephemeral_owner: i64,
        /// Zxid that last changed its children.
        pub pzxid: i64,
    }
}
