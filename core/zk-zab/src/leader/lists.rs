//! The list of servers in force, and the one that is to follow it (upstream `Leader.propose`, `tryToCommit`,
//! `getDesignatedLeader`).
//!
//! From the transaction on that proposes a list, a quorum of the old list and one of the new have to log; once that
//! transaction is committed, the new list decides alone. Whoever acknowledges it keeps the list for good before, and elects by
//! both: so every later leader knows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{Leader, LeaderEffect};
use crate::{Quorum, ServerId, Zxid};

/// A list of servers that is to be in force.
#[derive(Clone, Debug)]
pub struct ProposedList {
    /// Who decides by it.
    pub quorum: Arc<Quorum>,
    /// The list as text.
    pub config: Bytes,
    /// Whether this server goes on to lead: it has a vote by the new list, and its quorum address is the same.
    pub stays: bool,
}

/// The lists that a leader goes by.
#[derive(Debug)]
pub struct DecidingLists {
    current: Arc<Quorum>,
    config: Bytes,
    /// With the transaction that proposes it; 0 if it was found at the election.
    next: Option<(Zxid, ProposedList)>,
    /// Transactions that put a list in force, each with the leader from then on.
    activations: BTreeMap<Zxid, ServerId>,
}

impl DecidingLists {
    /// The list in force, with its text. `next` is one that may be in force elsewhere: the epoch begins with it.
    pub fn new(current: Arc<Quorum>, config: Bytes, next: Option<ProposedList>) -> Self {
        Self { current, config, next: next.map(|next| (0, next)), activations: BTreeMap::new() }
    }

    pub(super) fn current(&self) -> &Quorum {
        &self.current
    }

    fn each(&self) -> impl Iterator<Item = &Quorum> {
        std::iter::once(&self.current).chain(self.next.iter().map(|(_, next)| &next.quorum)).map(Arc::as_ref)
    }

    pub(super) fn is_voter(&self, id: ServerId) -> bool {
        self.each().any(|list| list.is_voter(id))
    }

    /// Whether those for whom `agrees` holds are a quorum, also of the list to come.
    pub(super) fn decide(&self, agrees: impl Fn(ServerId) -> bool) -> bool {
        self.each().all(|list| list.is_quorum(&agrees))
    }

    /// Whether the list that is proposed can get its quorum from those that have a log.
    pub(super) fn is_votable(&self, has_log: impl Fn(ServerId) -> bool) -> bool {
        self.next.as_ref().is_none_or(|(_, next)| next.quorum.is_quorum(has_log))
    }

    /// What NEWLEADER tells a learner whose history reaches to `zxid`: a list that is proposed there, since it does not come
    /// again, and UPTODATE waits for its commit; other learners get it as a proposal.
    pub(super) fn told(&self, zxid: Zxid) -> Bytes {
        match &self.next {
            Some((from, next)) if zxid >= *from => next.config.clone(),
            _ => self.config.clone(),
        }
    }

    /// How far transactions are committed, given how far each server has logged; not beyond the one that proposes a list.
    pub(super) fn committed(&self, acked: impl Fn(ServerId) -> Zxid) -> Option<Zxid> {
        let level = level(&self.current, &acked)?;
        match &self.next {
            Some((from, next)) if level >= *from => {
                let is_logged = next.quorum.is_quorum(|id| acked(id) >= *from);
                Some(if is_logged { *from } else { from - 1 })
            }
            _ => Some(level),
        }
    }

    /// This transaction puts a list in force, as another server has decided.
    pub(super) fn activates(&mut self, zxid: Zxid, leader: ServerId, list: Option<ProposedList>) {
        self.activations.insert(zxid, leader);
        if let Some(list) = list {
            (self.current, self.config) = (list.quorum, list.config);
        }
    }

    /// Who leads from this transaction on, if it puts a list in force.
    pub(super) fn activation(&self, zxid: Zxid) -> Option<ServerId> {
        self.activations.get(&zxid).copied()
    }
}

/// The last transaction that a quorum has logged.
fn level(quorum: &Quorum, acked: impl Fn(ServerId) -> Zxid) -> Option<Zxid> {
    let mut levels: Vec<Zxid> = quorum.voters().map(&acked).collect();
    levels.sort_unstable_by(|one, other| other.cmp(one));
    levels.into_iter().find(|level| quorum.is_quorum(|id| acked(id) >= *level))
}

impl Leader {
    /// The next transaction, `zxid`, proposes a list of servers; or the epoch begins with it, and `zxid` is 0: that is to
    /// come before [`Leader::epoch_accepted`]. One list at a time.
    pub fn propose_list(&mut self, zxid: Zxid, list: ProposedList) {
        assert!(self.lists.next.is_none(), "the owner proposes one list at a time");
        self.lists.next = Some((zxid, list));
    }

    /// Whether a quorum of this list follows and is up to date (upstream `isQuorumSynced`).
    pub fn is_synced(&self, list: &Quorum) -> bool {
        list.is_quorum(|id| id == self.settings.id || self.learners.is_synced_with_log(id))
    }

    /// A list that was found at the election is in force once a quorum has taken the history over. Its followers then look
    /// for a leader among those of the list, if this server is none.
    pub(super) fn activate_with_epoch(&mut self, effects: &mut Vec<LeaderEffect>) {
        let me = self.settings.id;
        if let Some((_, next)) = self.lists.next.take() {
            let leader = if next.stays { me } else { self.successor(&next.quorum, 0) };
            self.put_in_force(next, leader);
            effects.push(LeaderEffect::Activate { leader });
        }
    }

    /// A transaction is committed: who leads from now on, if it puts a list in force.
    pub(super) fn activate_at(&mut self, zxid: Zxid) -> Option<ServerId> {
        let (from, next) = self.lists.next.take()?;
        if from != zxid {
            self.lists.next = Some((from, next));
            return None;
        }
        let leader = if next.stays { self.settings.id } else { self.successor(&next.quorum, zxid) };
        self.lists.activations.insert(zxid, leader);
        self.put_in_force(next, leader);
        Some(leader)
    }

    fn put_in_force(&mut self, list: ProposedList, leader: ServerId) {
        (self.lists.current, self.lists.config) = (list.quorum, list.config);
        self.is_leaving = leader != self.settings.id;
    }

    /// Of those that have logged the list, the one that has logged most; this server if there is no other.
    fn successor(&self, list: &Quorum, zxid: Zxid) -> ServerId {
        let me = self.settings.id;
        let others = list.voters().filter(|id| *id != me && list.may_lead(*id));
        let logged =
            others.map(|id| (self.learners.acked_by(id), id)).filter(|(acked, _)| *acked > 0 && *acked >= zxid);
        logged.max().map_or(me, |(_, id)| id)
    }
}
