//! Writes are linearizable, and what is read is the state at the zxid that the answer names.
//!
//! - A write takes a later place in history than all that were acknowledged before it was asked for.
//! - Each version of a register has one value and one zxid, whoever sees it; a conditional write makes the next version.
//! - A read at zxid Z gives the last version made up to Z (checked at the end, when all versions are known).
//! - In a session no read goes back.
//! - Two nodes that are only written together are never read with different values.

use std::collections::BTreeMap;

use base::Str;
use bytes::Bytes;
use zk_proto::multi::OpResult;
use zk_tree::Tree;

use super::Verdict;

/// A state of a register as an answer tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) version: i32,
    pub(crate) mzxid: i64,
    /// The zxid of the answer.
    pub(crate) zxid: i64,
}

type Versions = BTreeMap<i32, (i64, Bytes)>;

#[derive(Default)]
pub(crate) struct Linearizable {
    acknowledged: i64,
    registers: BTreeMap<Str, Versions>,
    reads: Vec<(Str, Seen)>,
    last_read: BTreeMap<(i64, Str), i32>,
}

impl Linearizable {
    /// The newest transaction whose client knows of it.
    pub(crate) fn acknowledged(&self) -> i64 {
        self.acknowledged
    }

    /// A write is answered at `zxid`; as it was asked for, `before` was acknowledged.
    pub(crate) fn write(&mut self, before: i64, zxid: i64) -> Verdict {
        if zxid <= before {
            return Err(format!("a write has zxid {zxid:x}, and {before:x} was acknowledged before it was asked for"));
        }
        self.acknowledged = self.acknowledged.max(zxid);
        Ok(())
    }

    /// A register was written, and the answer says what became of it.
    pub(crate) fn written(&mut self, path: &Str, data: Option<&Bytes>, expected: i32, seen: Seen) -> Verdict {
        if seen.mzxid != seen.zxid {
            return Err(format!("a write of {path} is answered at {:x} with the state of {:x}", seen.zxid, seen.mzxid));
        }
        if expected >= 0 && seen.version != expected + 1 {
            return Err(format!("a write of version {expected} of {path} has made version {}", seen.version));
        }
        self.state(path, data, seen)
    }

    pub(crate) fn read(&mut self, session: i64, path: &Str, data: Option<&Bytes>, seen: Seen) -> Verdict {
        let last = self.last_read.entry((session, path.clone())).or_insert(seen.version);
        if *last > seen.version {
            return Err(format!("session {session:x} read version {last} of {path}, and then {}", seen.version));
        }
        *last = seen.version;
        if seen.mzxid > seen.zxid {
            return Err(format!("{path} is read at {:x} as of {:x}", seen.zxid, seen.mzxid));
        }
        self.reads.push((path.clone(), seen));
        self.state(path, data, seen)
    }

    fn state(&mut self, path: &Str, data: Option<&Bytes>, seen: Seen) -> Verdict {
        let data = data.cloned().unwrap_or_default();
        let versions = self.registers.entry(path.clone()).or_default();
        let known = versions.entry(seen.version).or_insert_with(|| (seen.mzxid, data.clone()));
        if *known != (seen.mzxid, data.clone()) {
            let version = seen.version;
            return Err(format!(
                "version {version} of {path} is {data:?} of {:x}, and {:?} of {:x}",
                seen.mzxid, known.1, known.0
            ));
        }
        Ok(())
    }

    pub(crate) fn pair(&self, results: &[OpResult]) -> Verdict {
        match results {
            [OpResult::GetData(one), OpResult::GetData(other)] if one.data != other.data => {
                Err(format!("a multi is seen by half: {:?} and {:?}", one.data, other.data))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn finish(&self, tree: &Tree) -> Verdict {
        for (path, versions) in &self.registers {
            let Some(node) = tree.get(path) else { return Err(format!("{path} is lost")) };
            let stat = node.stat();
            let Some((version, (mzxid, data))) = versions.last_key_value() else { continue };
            if stat.version < *version {
                return Err(format!("version {version} of {path} is lost: the last one is {}", stat.version));
            }
            if stat.version == *version && (stat.mzxid != *mzxid || node.data().unwrap_or_default() != data) {
                return Err(format!("version {version} of {path} has changed"));
            }
            let places: Vec<i64> = versions.values().map(|(mzxid, _)| *mzxid).collect();
            if !places.is_sorted_by(|one, other| one < other) {
                return Err(format!("the versions of {path} are out of order: {places:x?}"));
            }
        }
        for (path, seen) in &self.reads {
            let later = self.registers.get(path).and_then(|versions| versions.range(seen.version + 1..).next());
            if let Some((version, (mzxid, _))) = later.filter(|(_, (mzxid, _))| *mzxid <= seen.zxid) {
                return Err(format!(
                    "{path} is read at {:x} in version {}, when version {version} was made at {mzxid:x}",
                    seen.zxid, seen.version
                ));
            }
        }
        Ok(())
    }
}
