//! A server without a leader that serves reads shows one state, which may be old, and the same for as long as it reads alone: what its log ends
//! with. It can't know whether others have committed the last of that (nor can the original's); if they have, it is the state
//! that all had at the zxid of its answers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base::{Disk, MemDisk, Str};
use bytes::Bytes;
use zk_proto::{Txn, TxnEntry};
use zk_store::FileName;

use super::Verdict;
use super::linearizable::Seen;
use super::one_history::Log;
use crate::settings::LOG_DIR;

/// What a zxid counts in its epoch: 0 is no transaction.
pub(crate) const COUNTER: i64 = 0xffff_ffff;

/// The last writes of nodes: when, and what.
type Written = BTreeMap<Str, (i64, Bytes)>;

/// Whether an ephemeral node was there.
pub(crate) struct Look {
    pub(crate) path: Str,
    pub(crate) zxid: i64,
    pub(crate) is_there: bool,
}

#[derive(Default)]
pub(crate) struct ReadOnly {
    /// What there is to be shown, by the zxid that it ends with: as far as logs reach back.
    ends: BTreeMap<i64, Written>,
    reads: Vec<(Str, Seen)>,
    looks: Vec<Look>,
}

impl ReadOnly {
    /// A server begins to serve reads, with this log and what else is on its disk.
    pub(crate) fn started(&mut self, log: &Log, disk: &MemDisk) {
        let names = disk.list(Path::new(LOG_DIR)).unwrap_or_default();
        let snapshots = names.iter().filter_map(|entry| match FileName::parse(&entry.name)? {
            FileName::Snapshot(zxid, _) => Some(zxid),
            FileName::Log(_) => None,
        });
        let end = snapshots.chain(log.keys().next_back().copied()).max().unwrap_or_default();
        let mut written = Written::new();
        for (zxid, entry) in log {
            for (path, data) in writes(&entry.txn) {
                written.insert(path.clone(), (*zxid, data.clone().unwrap_or_default()));
            }
        }
        self.ends.insert(end, written);
    }

    /// A node was read at one of them.
    pub(crate) fn read(&mut self, path: &Str, data: Option<&Bytes>, seen: Seen) -> Verdict {
        let shown = (seen.mzxid, data.cloned().unwrap_or_default());
        let written = self.written(path, seen.zxid)?;
        if !written.iter().any(|written| written.is_none_or(|written| *written == shown)) {
            return Err(format!("{path} is {shown:x?} at a read-only server whose log says {written:x?}"));
        }
        self.reads.push((path.clone(), seen));
        Ok(())
    }

    /// A node of all was not there.
    pub(crate) fn missing(&self, path: &Str, zxid: i64) -> Verdict {
        let written = self.written(path, zxid)?;
        match written.iter().any(Option::is_none) {
            true => Ok(()),
            false => Err(format!("{path} is missing at {zxid:x} where the log has made it: {written:x?}")),
        }
    }

    /// What may be there to be shown: one thing, but where an epoch has only begun behind the end of a log.
    fn written(&self, path: &Str, zxid: i64) -> Result<Vec<Option<&(i64, Bytes)>>, String> {
        let first = if zxid & COUNTER == 0 { 0 } else { zxid };
        let ends: Vec<_> = self.ends.range(first..=zxid).map(|(_, end)| end.get(path)).collect();
        match ends.is_empty() {
            true => Err(format!("{path} is read at {zxid:x}, where no read-only server's log ends")),
            false => Ok(ends),
        }
    }

    pub(crate) fn looked(&mut self, path: &Str, zxid: i64, is_there: bool) {
        self.looks.push(Look { path: path.clone(), zxid, is_there });
    }

    /// Holds what was shown against the whole history; the looks that it knows the place of.
    pub(crate) fn finish(&mut self, history: &BTreeMap<i64, TxnEntry>) -> Result<Vec<Look>, String> {
        let mut last: BTreeMap<(&str, i64), i64> = BTreeMap::new();
        let places: BTreeSet<i64> = self.reads.iter().map(|(_, seen)| seen.zxid).collect();
        for place in places.into_iter().filter(|place| history.contains_key(place)) {
            for (zxid, entry) in history.range(..=place) {
                for (path, _) in writes(&entry.txn) {
                    last.insert((path, place), *zxid);
                }
            }
        }
        for (path, seen) in self.reads.iter().filter(|(_, seen)| history.contains_key(&seen.zxid)) {
            let written = last.get(&(path, seen.zxid));
            if written != Some(&seen.mzxid) {
                let (zxid, mzxid) = (seen.zxid, seen.mzxid);
                return Err(format!("{path} is read at {zxid:x} as of {mzxid:x}, and was written at {written:x?}"));
            }
        }
        Ok(std::mem::take(&mut self.looks).into_iter().filter(|look| history.contains_key(&look.zxid)).collect())
    }
}

/// What a transaction writes, and to which nodes.
fn writes(txn: &Txn) -> Vec<(&Str, &Option<Bytes>)> {
    match txn {
        Txn::SetData(set) => vec![(&set.path, &set.data)],
        Txn::Create(create) => vec![(&create.path, &create.data)],
        Txn::Multi(parts) if !parts.iter().any(|part| matches!(part, Txn::Error(_))) => {
            parts.iter().flat_map(writes).collect()
        }
        _ => Vec::new(),
    }
}
