//! `wchs`, `wchc`, `wchp`. As in the original they show data watches (and the persistent ones) only.

use std::fmt::Write as _;

use crate::{ConnectionId, Server};

impl Server {
    pub(super) fn watch_summary_text(&self) -> String {
        let data = self.watches.data();
        let (clients, paths) = data.clients_and_paths();
        format!("{clients} connections watching {paths} paths\nTotal watches:{}\n", data.len())
    }

    pub(super) fn watches_by_session_text(&self) -> String {
        let mut text = String::new();
        for (watcher, paths) in self.watches.data().by_watcher() {
            let _ = writeln!(text, "{:#x}", self.session_of(watcher));
            for path in paths {
                let _ = writeln!(text, "\t{path}");
            }
        }
        text.push('\n');
        text
    }

    pub(super) fn watches_by_path_text(&self) -> String {
        let mut text = String::new();
        for (path, watchers) in self.watches.data().by_path() {
            let _ = writeln!(text, "{path}");
            for watcher in watchers {
                let _ = writeln!(text, "\t{:#x}", self.session_of(watcher));
            }
        }
        text.push('\n');
        text
    }

    fn session_of(&self, watcher: u64) -> i64 {
        self.connections.get(ConnectionId(watcher)).map_or(0, |connection| connection.session)
    }
}
