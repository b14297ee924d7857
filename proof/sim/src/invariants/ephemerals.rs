//! Ephemeral nodes are there exactly as long as their session.
//!
//! At the end, when sessions that nobody keeps have run out: those of live sessions are there, others are not. And each
//! look at one on the way is held against the one history: it is there at zxid Z if and only if it was made and neither
//! deleted nor its session closed up to Z.

use std::collections::{BTreeMap, BTreeSet};

use base::{Random, Str};
use zk_proto::{Txn, TxnEntry};
use zk_tree::Tree;

use super::Verdict;
use crate::client::EPHEMERALS;

#[derive(Debug)]
struct Ephemeral {
    session: i64,
    made: i64,
    deleted: Option<i64>,
}

#[derive(Default)]
pub(crate) struct Ephemerals {
    /// Sessions whose clients use them; whether all servers know them for certain.
    live: BTreeMap<i64, bool>,
    closed: BTreeMap<i64, i64>,
    nodes: BTreeMap<Str, Ephemeral>,
    /// A request about them was not answered.
    unknown: BTreeSet<Str>,
    looks: Vec<(Str, i64, bool)>,
}

impl Ephemerals {
    pub(crate) fn session_made(&mut self, session: i64, is_global: bool) {
        self.live.insert(session, is_global);
    }

    /// Its client uses it no more, or was told that it is gone.
    pub(crate) fn session_ended(&mut self, session: i64) {
        self.live.remove(&session);
    }

    /// Its client has closed it, and was told so at `zxid`.
    pub(crate) fn session_closed(&mut self, session: i64, zxid: i64) {
        self.closed.insert(session, zxid);
    }

    pub(crate) fn made(&mut self, path: Str, session: i64, zxid: i64) {
        self.nodes.insert(path, Ephemeral { session, made: zxid, deleted: None });
        if let Some(is_global) = self.live.get_mut(&session) {
            *is_global = true;
        }
    }

    pub(crate) fn deleted(&mut self, path: &str, zxid: i64) {
        if let Some(node) = self.nodes.get_mut(path) {
            node.deleted = Some(zxid);
        }
    }

    pub(crate) fn unknown(&mut self, path: &Str) {
        self.unknown.insert(path.clone());
    }

    /// One to look at: of the latest.
    pub(crate) fn any(&self, random: &mut Random) -> Option<Str> {
        self.nodes.keys().nth(random.below(self.nodes.len() as u64) as usize).cloned()
    }

    pub(crate) fn looked(&mut self, path: &Str, zxid: i64, is_there: bool) {
        self.looks.push((path.clone(), zxid, is_there));
    }

    pub(crate) fn finish(&self, tree: &Tree) -> Verdict {
        let known = self.nodes.iter().filter(|(path, _)| !self.unknown.contains(*path));
        for (path, node) in known {
            let is_there = tree.get(path).is_some();
            let is_wanted = node.deleted.is_none() && self.live.contains_key(&node.session);
            if is_there != is_wanted {
                let live = if self.live.contains_key(&node.session) { "live" } else { "gone" };
                return Err(format!("{path} is there: {is_there}; its session is {live}: {node:x?}"));
            }
        }
        let Some(folder) = tree.get(EPHEMERALS) else { return Ok(()) };
        for name in folder.children() {
            let owner = tree.get(&format!("{EPHEMERALS}/{name}")).map(|node| node.stat().ephemeral_owner);
            if owner.is_none_or(|owner| !self.live.contains_key(&owner)) {
                return Err(format!("{name} is left of session {owner:x?}"));
            }
        }
        let sessions = tree.sessions();
        let is_missing = |(session, is_global): (&i64, &bool)| *is_global && !sessions.contains_key(session);
        if sessions.keys().any(|session| !self.live.contains_key(session)) || self.live.iter().any(is_missing) {
            return Err(format!("these sessions are alive: {:x?}, and these in the tree: {sessions:x?}", self.live));
        }
        Ok(())
    }

    /// Holds the looks against the whole history.
    pub(crate) fn looks(&self, history: &BTreeMap<i64, TxnEntry>) -> Verdict {
        let told = |is: fn(&Txn) -> bool| {
            let told = history.iter().filter(move |(_, entry)| is(&entry.txn));
            told.map(|(zxid, entry)| (entry.header.session_id, *zxid)).collect::<BTreeMap<i64, i64>>()
        };
        let made = told(|txn| matches!(txn, Txn::CreateSession(_)));
        let closed = told(|txn| matches!(txn, Txn::CloseSession(_)));
        for (path, zxid, is_there) in &self.looks {
            let Some(node) = self.nodes.get(path).filter(|_| !self.unknown.contains(path)) else { continue };
            let ends = node.deleted.into_iter().chain(closed.get(&node.session).copied()).min();
            let is_wanted = node.made <= *zxid && ends.is_none_or(|end| *zxid < end);
            if *is_there != is_wanted {
                return Err(format!("{path} was seen at {zxid:x}: {is_there}; it ended at {ends:x?}: {node:x?}"));
            }
        }
        for (session, answered) in self.closed.iter().filter(|(session, _)| made.contains_key(*session)) {
            if closed.get(session) != Some(answered) {
                let found = closed.get(session);
                return Err(format!("session {session:x} was closed at {answered:x}, in history at {found:x?}"));
            }
        }
        Ok(())
    }
}
