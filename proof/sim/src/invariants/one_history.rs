//! The servers have one history: no zxid ever stands for two transactions, in whosever log and whenever; at the end all logs
//! hold the same transactions as far as they reach back, and all trees are the same.

use std::collections::BTreeMap;
use std::path::Path;

use base::{Disk, MemDisk};
use bytes::Bytes;
use zk_proto::TxnEntry;
use zk_store::{FileName, LogReader};
use zk_tree::Tree;

use super::Verdict;
use crate::settings::ServerId;

#[derive(Default)]
pub(crate) struct OneHistory {
    ever: BTreeMap<i64, Bytes>,
}

/// The log of one server, by zxid.
pub(crate) type Log = BTreeMap<i64, TxnEntry>;

impl OneHistory {
    /// Reads a server's log as it is now. A file that was `damaged` is read as far as its checksums are right.
    pub(crate) fn read(
        &mut self,
        server: ServerId,
        disk: &MemDisk,
        dir: &Path,
        damaged: Option<&Path>,
    ) -> Result<Log, String> {
        let failed = |error: &dyn std::fmt::Display| format!("the log of server {server} can't be read: {error}");
        let mut log = Log::new();
        for entry in disk.list(dir).unwrap_or_default() {
            let Some(FileName::Log(_)) = FileName::parse(&entry.name) else { continue };
            let path = dir.join(&entry.name);
            let mut reader = LogReader::open(disk, &path).map_err(|error| failed(&error))?;
            loop {
                let record = match reader.read_next() {
                    Ok(Ok(record)) => record,
                    Ok(Err(_)) => break,
                    Err(_) if damaged == Some(&path) => break,
                    Err(error) => return Err(failed(&error)),
                };
                let known = self.ever.entry(record.zxid).or_insert_with(|| record.payload.clone());
                if *known != record.payload {
                    return Err(format!(
                        "zxid {:x} stands for another transaction in the log of {server}",
                        record.zxid
                    ));
                }
                log.insert(record.zxid, record.decode(&path).map_err(|error| failed(&error))?);
            }
        }
        Ok(log)
    }

    /// The logs at the end.
    pub(crate) fn logs(&self, logs: &BTreeMap<ServerId, Log>) -> Verdict {
        let Some((longest_of, longest)) = longest(logs) else { return Ok(()) };
        for (server, log) in logs {
            let Some(first) = log.keys().next() else { continue };
            let here = log.keys();
            let there = longest.range(first..).map(|(zxid, _)| zxid);
            if let Some((one, other)) = here.zip(there).find(|(one, other)| one != other) {
                return Err(format!("server {server} has {one:x} where server {longest_of} has {other:x}"));
            }
            if log.keys().next_back() != longest.keys().next_back() {
                return Err(format!("the log of server {server} does not end as that of server {longest_of}"));
            }
        }
        Ok(())
    }

    /// The trees at the end.
    pub(crate) fn trees(&self, trees: &BTreeMap<ServerId, Tree>) -> Verdict {
        let Some((first_of, first)) = trees.first_key_value() else { return Ok(()) };
        for (server, tree) in trees {
            let told = |tree: &Tree| (tree.last_zxid(), tree.digest(), tree.node_count(), tree.sessions().clone());
            if told(tree) != told(first) {
                let (one, other) = (told(tree), told(first));
                return Err(format!("the tree of server {server} is {one:x?}, that of server {first_of} {other:x?}"));
            }
        }
        Ok(())
    }
}

/// The log that reaches back farthest.
pub(crate) fn longest(logs: &BTreeMap<ServerId, Log>) -> Option<(ServerId, &Log)> {
    let first = |log: &Log| log.keys().next().copied().unwrap_or(i64::MAX);
    logs.iter().min_by_key(|(_, log)| first(log)).map(|(server, log)| (*server, log))
}
