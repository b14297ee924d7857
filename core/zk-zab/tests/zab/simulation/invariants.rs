//! What must hold whatever happens. Each rule is one function, called where the event that could break it happens.

use std::collections::{BTreeMap, BTreeSet};

use zk_zab::{Entry, Quorum, ServerId, Zxid};

use super::disk::{Disk, last};

/// The one history, as an onlooker sees it who sees everything.
#[derive(Debug, Default)]
pub(crate) struct Onlooker {
    /// Committed by established leaders.
    pub(crate) committed: Vec<Entry>,
    /// In which epoch each of them was.
    committed_in: Vec<i64>,
    leaders: BTreeMap<i64, (ServerId, u64)>,
    /// Who is to lead each epoch, and the history that it begins with.
    initial: BTreeMap<i64, (ServerId, Vec<Entry>)>,
}

impl Onlooker {
    /// One leader per epoch, which a quorum has entered for good.
    pub(crate) fn established(
        &mut self,
        epoch: i64,
        leader: (ServerId, u64),
        quorum: &Quorum,
        disks: &BTreeMap<ServerId, &Disk>,
    ) {
        let other = self.leaders.insert(epoch, leader);
        assert!(other.is_none(), "epoch {epoch} is led by {leader:?} (server, term), and by {other:?}");
        let has_entered = |id: ServerId| disks.get(&id).is_some_and(|disk| disk.current_epoch >= epoch);
        assert!(quorum.is_quorum(has_entered), "epoch {epoch} is led, and no quorum has entered it");
    }

    /// A leader has the promise of a quorum, for good: the epoch begins with its history. Gives whether a later epoch has
    /// gone ahead already.
    pub(crate) fn begins(
        &mut self,
        epoch: i64,
        leader: ServerId,
        quorum: &Quorum,
        disks: &BTreeMap<ServerId, &Disk>,
    ) -> bool {
        let history = &disks[&leader].all;
        // A promise stands though its server has promised a later epoch since: this one begins then beside that one, too late
        // to be entered by a quorum, and has nothing of it.
        let earlier = self.committed_in.partition_point(|earlier| *earlier < epoch);
        let has_promised = |id: ServerId| disks.get(&id).is_some_and(|disk| disk.accepted_epoch >= epoch);
        assert!(quorum.is_quorum(has_promised), "epoch {epoch} begins, and no quorum has promised it for good");
        let other = self.initial.insert(epoch, (leader, history.clone()));
        assert!(other.is_none(), "two leaders have the promise of a quorum for epoch {epoch}");
        assert_prefix(&self.committed[..earlier], history, "the leader of the next epoch lacks what is committed");
        earlier < self.committed.len()
    }

    /// A server has made an epoch its own: it has the history that the epoch begins with, for good; and so has the leader.
    pub(crate) fn entered(&self, epoch: i64, server: ServerId, disks: &BTreeMap<ServerId, &Disk>) {
        let (leader, initial) = self.initial.get(&epoch).expect("an epoch that a quorum promised");
        assert_prefix(initial, disks[&server].durable_log(), "an epoch is entered before its history is durable");
        let of_leader = disks[leader].current_epoch;
        assert!(of_leader >= epoch, "{server} has entered epoch {epoch}, and {leader}, who is to lead it, has not");
    }

    /// Nothing committed is lost or reordered, and all of it is durable on a quorum.
    pub(crate) fn commits(&mut self, epoch: i64, log: &[Entry], quorum: &Quorum, disks: &BTreeMap<ServerId, &Disk>) {
        let known = self.committed.len().min(log.len());
        assert_prefix(&self.committed[..known], log, "a commit changes history");
        // A leader that is about to lose its place may be behind another that knows more.
        if known == self.committed.len() {
            for (later, (_, initial)) in self.initial.range(epoch + 1..) {
                assert_prefix(log, initial, &format!("epoch {later} began without what epoch {epoch} commits now"));
            }
            self.committed.extend_from_slice(&log[known..]);
            self.committed_in.resize(self.committed.len(), epoch);
        }
        self.is_durable(quorum, disks);
    }

    /// What is committed is on the disks of a quorum.
    fn is_durable(&self, quorum: &Quorum, disks: &BTreeMap<ServerId, &Disk>) {
        let (len, zxid) = (self.committed.len(), last(&self.committed));
        let has = |id: ServerId| {
            disks
                .get(&id)
                .is_some_and(|disk| len == 0 || disk.durable_log().get(len - 1).is_some_and(|e| e.zxid == zxid))
        };
        assert!(quorum.is_quorum(has), "{zxid:#x} is committed, and not on the disks of a quorum");
    }

    /// A server shows its clients a part of the one history, in its order, and nothing that may yet be lost.
    pub(crate) fn shows(&self, server: ServerId, tree: &[Entry], since: usize) {
        for (index, entry) in tree.iter().enumerate().skip(since) {
            assert_eq!(Some(entry), self.committed.get(index), "{server} shows at {index} what is not committed there");
        }
    }

    /// Up to what is committed, all logs are parts of one history.
    pub(crate) fn logs(&self, disks: &BTreeMap<ServerId, &Disk>) {
        for (server, disk) in disks {
            let len = disk.all.len().min(self.committed.len());
            assert!(disk.all[..len] == self.committed[..len], "the log of {server} is not the one history");
        }
    }
}

/// Transactions are never applied out of order or twice.
pub(crate) fn grows(server: ServerId, tree: &[Entry], entry: &Entry) {
    assert!(entry.zxid > last(tree), "{server} applies {:#x} behind {:#x}", entry.zxid, last(tree));
}

/// No transaction is in a log twice.
pub(crate) fn is_ordered(server: ServerId, log: &[Entry]) {
    let zxids: BTreeSet<Zxid> = log.iter().map(|entry| entry.zxid).collect();
    assert!(zxids.len() == log.len() && log.is_sorted_by_key(|entry| entry.zxid), "the log of {server} has no order");
}

fn assert_prefix(prefix: &[Entry], of: &[Entry], what: &str) {
    let same = prefix.iter().zip(of).take_while(|(one, other)| one == other).count();
    assert!(
        same == prefix.len(),
        "{what}: {:#x?} instead of {:#x?} at {same}",
        of.get(same).map(|entry| entry.zxid),
        prefix.get(same).map(|entry| entry.zxid),
    );
}
