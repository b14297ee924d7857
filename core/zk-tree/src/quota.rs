//! Quotas as in 3.6.3: counted, never enforced.
//!
//! `/zookeeper/quota/<path>/zookeeper_limits` says what a subtree may hold, `zookeeper_stats` beside it what it holds, both
//! as `count=N,bytes=M`. Statistics are kept by each server itself, without a transaction, and are made anew when a
//! snapshot is read; so they have no part in the digest.

use zk_proto::path::split;

use crate::nodes::NodeId;
use crate::tree::{QUOTA, Tree, TreeEvent};

const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

/// The content of a quota's nodes (`StatsTrack`); −1 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Track {
    count: i64,
    bytes: i64,
}

impl Track {
    fn parse(data: &[u8]) -> Option<Self> {
        let (count, bytes) = std::str::from_utf8(data).ok()?.split_once(',')?;
        let number = |field: &str| field.split('=').nth(1)?.parse().ok();
        Some(Self { count: number(count)?, bytes: number(bytes)? })
    }

    fn text(self) -> String {
        format!("count={},bytes={}", self.count, self.bytes)
    }
}

impl Tree {
    pub(crate) fn quota_after_create(&mut self, path: &str, bytes: usize, events: &mut Vec<TreeEvent>) {
        if let Some((subtree, name)) = quota_node(path) {
            match name {
                LIMITS => {
                    self.quotas.insert(subtree.to_owned());
                }
                STATS => self.recount(subtree),
                _ => {}
            }
        }
        self.count(path, bytes as i64, 1, events);
    }

    pub(crate) fn quota_after_delete(&mut self, path: &str, bytes: usize, events: &mut Vec<TreeEvent>) {
        if let Some((subtree, LIMITS)) = quota_node(path) {
            self.quotas.remove(subtree);
        }
        self.count(path, -(bytes as i64), -1, events);
    }

    pub(crate) fn quota_after_set(&mut self, path: &str, bytes: i64, events: &mut Vec<TreeEvent>) {
        self.count(path, bytes, 0, events);
    }

    /// Finds all quotas and counts what they are about, after a snapshot was read.
    pub(crate) fn restore_quotas(&mut self) {
        let Some(root) = self.nodes.find(QUOTA) else { return };
        let end = self.nodes.after_subtree(root);
        let below = std::iter::successors(self.nodes.after(root), |id| self.nodes.after(*id));
        let limits: Vec<NodeId> = below
            .take_while(|id| Some(*id) != end)
            .filter(|id| self.nodes.get(*id).name() == LIMITS && self.nodes.get(*id).child_count() == 0)
            .collect();
        for id in limits {
            let path = self.nodes.path(id);
            if let Some((subtree, _)) = quota_node(&path) {
                self.recount(subtree);
                self.quotas.insert(subtree.to_owned());
            }
        }
    }

    /// Adds to the statistics of the nearest subtree with a quota that holds `path`.
    fn count(&mut self, path: &str, bytes: i64, nodes: i64, events: &mut Vec<TreeEvent>) {
        if self.quotas.is_empty() {
            return;
        }
        let mut prefixes = std::iter::successors(Some(path), |path| split(path).map(|(parent, _)| parent));
        let Some(subtree) = prefixes.find(|prefix| self.quotas.contains(*prefix)).map(str::to_owned) else { return };
        let stats_path = format!("{QUOTA}{subtree}/{STATS}");
        let Some(stats) = self.track(&stats_path) else { return };
        let stats = Track { count: stats.count + nodes, bytes: stats.bytes + bytes };
        self.write_track(&stats_path, stats);
        let Some(limits) = self.track(&format!("{QUOTA}{subtree}/{LIMITS}")) else { return };
        for (what, value, limit) in [("count", stats.count, limits.count), ("bytes", stats.bytes, limits.bytes)] {
            if limit > -1 && limit < value {
                events.push(TreeEvent::QuotaExceeded { path: subtree.clone(), what, value, limit });
            }
        }
    }

    /// Writes the statistics of a subtree from what is there.
    fn recount(&mut self, subtree: &str) {
        let mut stats = Track { count: 0, bytes: 0 };
        if let Some(root) = self.nodes.find(subtree) {
            let end = self.nodes.after_subtree(root);
            let all = std::iter::successors(Some(root), |id| self.nodes.after(*id));
            for id in all.take_while(|id| Some(*id) != end) {
                stats.count += 1;
                stats.bytes += self.nodes.get(id).data_length() as i64;
            }
        }
        self.write_track(&format!("{QUOTA}{subtree}/{STATS}"), stats);
    }

    fn track(&self, path: &str) -> Option<Track> {
        Track::parse(self.get(path)?.data()?)
    }

    fn write_track(&mut self, path: &str, track: Track) {
        let Some(id) = self.nodes.find(path) else { return };
        let before = self.nodes.get(id).data_length() as u64;
        let text = track.text();
        self.replace_data(id, path, Some(text.as_bytes()));
        self.data_size = (self.data_size + text.len() as u64).saturating_sub(before);
    }
}

/// The subtree that a quota's node is about, and the node's name.
fn quota_node(path: &str) -> Option<(&str, &str)> {
    let (subtree, name) = split(path.strip_prefix(QUOTA)?)?;
    subtree.starts_with('/').then_some((subtree, name))
}
