//! Watch events and the kinds of watches.

use base::Str;

use crate::jute::record;
use crate::op::codes;

codes! {
/// What happened to a znode (`Watcher.Event.EventType`).
pub enum EventType {
    None = -1, "None";
    NodeCreated = 1, "NodeCreated";
    NodeDeleted = 2, "NodeDeleted";
    NodeDataChanged = 3, "NodeDataChanged";
    NodeChildrenChanged = 4, "NodeChildrenChanged";
    DataWatchRemoved = 5, "DataWatchRemoved";
    ChildWatchRemoved = 6, "ChildWatchRemoved";
    PersistentWatchRemoved = 7, "PersistentWatchRemoved";
}
}

codes! {
/// The state of a client as its events tell it (`Watcher.Event.KeeperState`). Servers send `SyncConnected` only.
pub enum KeeperState {
    Unknown = -1, "Unknown";
    Disconnected = 0, "Disconnected";
    NoSyncConnected = 1, "NoSyncConnected";
    SyncConnected = 3, "SyncConnected";
    AuthFailed = 4, "AuthFailed";
    ConnectedReadOnly = 5, "ConnectedReadOnly";
    SaslAuthenticated = 6, "SaslAuthenticated";
    Closed = 7, "Closed";
    Expired = -112, "Expired";
}
}

codes! {
/// Which watches a removal or a check means (`Watcher.WatcherType`).
pub enum WatcherType {
    Children = 1, "Children";
    Data = 2, "Data";
    Any = 3, "Any";
}
}

codes! {
/// Watches that stay when they fire (`AddWatchMode`).
pub enum AddWatchMode {
    Persistent = 0, "PERSISTENT";
    PersistentRecursive = 1, "PERSISTENT_RECURSIVE";
}
}

record! {
    /// A notification's body, sent behind a reply header of xid −1 and zxid −1.
    pub struct WatcherEvent {
        /// An [`EventType`].
        pub event: i32,
        /// A [`KeeperState`].
        pub state: i32,
        /// The znode's path; empty for events of the session.
        pub path: Str,
    }
}
