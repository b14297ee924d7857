//! What the controller asks of ZooKeeper, and what it is told: plain data, so that this crate knows no client.

use bytes::Bytes;

/// How long a created znode lives and how it is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateMode {
    /// Until it is deleted.
    Persistent,
    /// Until the session ends.
    Ephemeral,
    /// As `Persistent`, with ten digits of the parent's counter behind the name.
    PersistentSequential,
}

/// One operation on a znode. Paths are without the chroot, which the client adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Makes a znode; `data: None` is ZooKeeper's null.
    Create {
        /// Absolute path.
        path: String,
        /// Content.
        data: Option<Bytes>,
        /// Life and name.
        mode: CreateMode,
    },
    /// Removes a znode; version -1 matches any.
    Delete {
        /// Absolute path.
        path: String,
        /// Expected data version.
        version: i32,
    },
    /// Replaces the content; version -1 matches any.
    SetData {
        /// Absolute path.
        path: String,
        /// New content.
        data: Option<Bytes>,
        /// Expected data version.
        version: i32,
    },
    /// Fails a multi unless the znode has this data version.
    Check {
        /// Absolute path.
        path: String,
        /// Expected data version.
        version: i32,
    },
    /// Reads the content.
    GetData {
        /// Absolute path.
        path: String,
        /// Whether a data watch is left.
        watch: bool,
    },
    /// Reads the stat; with `watch`, leaves a watch even where there is no znode.
    Exists {
        /// Absolute path.
        path: String,
        /// Whether a watch is left.
        watch: bool,
    },
    /// Reads the children's names.
    GetChildren {
        /// Absolute path.
        path: String,
        /// Whether a child watch is left.
        watch: bool,
    },
    /// All of them or none, under one zxid.
    Multi(Vec<Operation>),
}

impl Operation {
    /// Whether no server takes it, see [`Failure::TooLarge`].
    pub fn is_too_large(&self) -> bool {
        self.data_len() > ZNODE_BYTES_MAX
    }

    fn data_len(&self) -> usize {
        match self {
            Self::Create { data, .. } | Self::SetData { data, .. } => data.as_ref().map_or(0, Bytes::len),
            Self::Multi(operations) => operations.iter().map(Self::data_len).sum(),
            Self::Delete { .. } | Self::Check { .. } | Self::GetData { .. } => 0,
            Self::Exists { .. } | Self::GetChildren { .. } => 0,
        }
    }
}

/// The part of a znode's stat that Kafka reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZnodeStat {
    /// Transaction that made it; a broker's epoch.
    pub czxid: i64,
    /// Transaction that wrote its content last.
    pub mzxid: i64,
    /// When it was made, milliseconds since 1970.
    pub ctime_ms: i64,
    /// Data version, for compare-and-set.
    pub version: i32,
    /// Session that owns it, 0 for a persistent one.
    pub ephemeral_owner: i64,
}

/// What a successful operation answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Made; with the name it got.
    Created(String),
    /// Deleted, or checked.
    Done,
    /// The stat after a write, or of `Exists`.
    Stat(ZnodeStat),
    /// Content and stat.
    Data(Option<Bytes>, ZnodeStat),
    /// Names of the children, sorted, without their parent's path.
    Children(Vec<String>),
    /// One reply for each operation of a multi.
    Multi(Vec<Reply>),
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// There is no such znode (-101).
    #[error("no node")]
    NoNode,
    /// There is one already (-110).
    #[error("node exists")]
    NodeExists,
    /// A [`Operation::Check`] of a multi found another version: for the controller, another one holds the office.
    #[error("fenced by a check")]
    Fenced,
    /// It has another version (-103).
    #[error("bad version")]
    BadVersion,
    /// It has children (-111).
    #[error("not empty")]
    NotEmpty,
    /// The session may not (-102).
    #[error("no authentication")]
    NoAuth,
    /// The connection broke and the broker is stopping. Otherwise the client tries again until it is connected, as the
    /// original does, so a write may be reported as failed although its first try was done.
    #[error("connection loss")]
    ConnectionLoss,
    /// The session is over, and with it everything that was still under way.
    #[error("session expired")]
    SessionExpired,
    /// Not sent: no server takes data of more than [`ZNODE_BYTES_MAX`]. It would close the connection, whenever it is asked again.
    #[error("more than {ZNODE_BYTES_MAX} bytes for a znode")]
    TooLarge,
    /// Any other error code.
    #[error("error {0}")]
    Other(i32),
}

/// The longest data that is sent for one znode: `jute.maxbuffer` of a server by default, less the room for the rest of the request.
pub const ZNODE_BYTES_MAX: usize = 0xf_ffff - 1024;

/// What one operation came to.
pub type Outcome = Result<Reply, Failure>;
