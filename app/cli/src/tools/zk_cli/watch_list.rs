//! Which watches the shell has set. A client tells itself which kinds a removal took away, so it must know them.

use std::collections::BTreeSet;

use zk_proto::{EventType, WatcherType};

/// Paths by kind of watch.
#[derive(Clone, Debug, Default)]
pub(super) struct WatchList {
    data: BTreeSet<String>,
    children: BTreeSet<String>,
    persistent: BTreeSet<String>,
}

impl WatchList {
    pub(super) fn add_data(&mut self, path: &str) {
        self.data.insert(path.to_owned());
    }

    pub(super) fn add_children(&mut self, path: &str) {
        self.children.insert(path.to_owned());
    }

    pub(super) fn add_persistent(&mut self, path: &str) {
        self.persistent.insert(path.to_owned());
    }

    /// An event has used up the watches of one shot.
    pub(super) fn fired(&mut self, event: EventType, path: &str) {
        if matches!(event, EventType::NodeCreated | EventType::NodeDataChanged | EventType::NodeDeleted) {
            self.data.remove(path);
        }
        if matches!(event, EventType::NodeChildrenChanged | EventType::NodeDeleted) {
            self.children.remove(path);
        }
    }

    /// The server has removed the watches of a type; gives what the client tells its watcher.
    pub(super) fn removed(&mut self, path: &str, watches: WatcherType) -> Vec<EventType> {
        let mut events = Vec::new();
        if watches == WatcherType::Any && self.persistent.remove(path) {
            events.push(EventType::PersistentWatchRemoved);
        }
        if watches != WatcherType::Data && self.children.remove(path) {
            events.push(EventType::ChildWatchRemoved);
        }
        if watches != WatcherType::Children && self.data.remove(path) {
            events.push(EventType::DataWatchRemoved);
        }
        events
    }
}
