//! The four-letter words: a connection's first four bytes may be a command instead of a frame's length. It is answered
//! in text and closed (upstream `FourLetterCommands`).

mod connections;
mod date;
mod member;
mod monitor;
mod server;
mod watches;

use std::collections::BTreeSet;

use base::Now;

use crate::{ConnectionId, Server};

/// The version that clients and tools are told; they look for `3.6.3` in it.
pub const VERSION: &str = "3.6.3--6401e4ad2087061bc6b9f80dec2d69f2e3c8660a, built on 04/08/2021 16:35 GMT";

/// Requests, server packets, sessions, warnings: what the original traces unless told otherwise.
pub(crate) const TRACE_MASK: i64 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 8;

const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests";

macro_rules! words {
    ($($(#[$meta:meta])* $variant:ident = $text:literal,)*) => {
        /// A command of four letters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Word { $($(#[$meta])* $variant,)* }

        impl Word {
            const ALL: &[Self] = &[$(Self::$variant,)*];

            /// What the client sends, but for [`Word::TelnetClose`].
            pub(crate) const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

words! {
    /// The configuration.
    Conf = "conf",
    /// Connections with their figures.
    Cons = "cons",
    /// Resets the figures of connections.
    Crst = "crst",
    /// Sizes of the data directories.
    Dirs = "dirs",
    /// Sessions, ephemeral nodes, connections.
    Dump = "dump",
    /// The process's environment.
    Envi = "envi",
    /// The trace mask.
    Gtmk = "gtmk",
    /// Digests of the tree by zxid.
    Hash = "hash",
    /// Whether this server only reads.
    Isro = "isro",
    /// Figures for monitoring.
    Mntr = "mntr",
    /// Whether anybody is at home.
    Ruok = "ruok",
    /// Resets the server's figures.
    Srst = "srst",
    /// The server's figures.
    Srvr = "srvr",
    /// The server's figures and its clients.
    Stat = "stat",
    /// Sets the trace mask to the eight bytes that follow.
    Stmk = "stmk",
    /// What a telnet client sends as it is closed. Known, but no command.
    TelnetClose = "telnet close",
    /// Watches by session.
    Wchc = "wchc",
    /// Watches by path.
    Wchp = "wchp",
    /// Watches in short.
    Wchs = "wchs",
}

const TELNET_CLOSE: [u8; 4] = [0xff, 0xf4, 0xff, 0xfd];

impl Word {
    /// The command that a connection's first bytes are, if any.
    pub(crate) fn parse(bytes: [u8; 4]) -> Option<Self> {
        if bytes == TELNET_CLOSE {
            return Some(Self::TelnetClose);
        }
        Self::ALL.iter().copied().find(|word| word.text().as_bytes() == bytes)
    }
}

/// Which commands are allowed.
#[derive(Debug)]
pub(crate) struct Whitelist(BTreeSet<&'static str>);

impl Whitelist {
    /// From the setting's text: `srvr` always, `isro` where the read-only mode is on, `*` for all.
    pub(crate) fn new(setting: &str, read_only_mode: bool) -> Self {
        let mut allowed = BTreeSet::from([Word::Srvr.text()]);
        if read_only_mode {
            allowed.insert(Word::Isro.text());
        }
        for name in setting.split(',').map(str::trim) {
            allowed.extend(Word::ALL.iter().map(|word| word.text()).filter(|text| name == "*" || name == *text));
        }
        Self(allowed)
    }

    /// Whether `word` may be carried out.
    pub(crate) fn allows(&self, word: Word) -> bool {
        self.0.contains(word.text())
    }
}

impl Server {
    /// Carries out a command for `asker`, and gives the answer's text. `None`: there is no such command after all.
    pub(crate) fn answer(
        &mut self,
        word: Word,
        asker: ConnectionId,
        trace_mask: Option<i64>,
        now: Now,
    ) -> Option<String> {
        if !self.whitelist.allows(word) {
            return Some(format!("{} is not executed because it is not in the whitelist.\n", word.text()));
        }
        let serving = self.takes_clients();
        Some(match word {
            Word::TelnetClose => return None,
            Word::Ruok => "imok".to_owned(),
            Word::Envi => self.environment_text(),
            Word::Gtmk => self.trace_mask.to_string(),
            Word::Stmk => {
                self.trace_mask = trace_mask.unwrap_or_default();
                self.trace_mask.to_string()
            }
            Word::Isro if self.is_read_only() => "ro".to_owned(),
            Word::Isro => if serving { "rw" } else { "null" }.to_owned(),
            Word::Hash if !serving => NOT_SERVING.to_owned(),
            _ if !serving => format!("{NOT_SERVING}\n"),
            Word::Hash => self.digest_text(),
            Word::Conf => self.configuration_text(),
            Word::Dirs => self.directories_text(),
            Word::Srvr => self.server_text(None),
            Word::Stat => self.server_text(Some(asker)),
            Word::Srst => {
                self.stats.reset();
                "Server stats reset.\n".to_owned()
            }
            Word::Mntr => self.monitor_text(now),
            Word::Cons => self.connections_text(asker),
            Word::Crst => {
                self.reset_connections();
                "Connection stats reset.\n".to_owned()
            }
            Word::Dump => self.dump_text(now),
            Word::Wchs => self.watch_summary_text(),
            Word::Wchc => self.watches_by_session_text(),
            Word::Wchp => self.watches_by_path_text(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_what_is_none() {
        assert_eq!(Word::parse(*b"ruok"), Some(Word::Ruok));
        assert_eq!(Word::parse(TELNET_CLOSE), Some(Word::TelnetClose));
        assert_eq!(Word::parse(*b"tell"), None);
        assert_eq!(Word::parse([0, 0, 0, 45]), None);
        assert_eq!(Word::ALL.len(), 19);
    }

    #[test]
    fn the_whitelist_knows_names_and_the_star() {
        let allowed = |setting, read_only| {
            let list = Whitelist::new(setting, read_only);
            Word::ALL.iter().filter(|word| list.allows(**word)).map(|word| word.text()).collect::<Vec<_>>()
        };
        assert_eq!(allowed("", false), ["srvr"]);
        assert_eq!(allowed("", true), ["isro", "srvr"]);
        assert_eq!(allowed(" ruok , stat,nonsense", false), ["ruok", "srvr", "stat"]);
        assert_eq!(allowed("ruok,*", false).len(), Word::ALL.len());
    }
}
