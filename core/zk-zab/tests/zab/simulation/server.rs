//! One server: the shipped machines, and an owner that carries out what they want, as `zk-node` does.

use std::collections::VecDeque;

use zk_zab::{Election, Entry, Epochs, History, Leader, Learner, LinkId, ServerId, Zxid};

use super::disk::{Disk, Work, last};

/// What a server is doing.
pub(crate) enum Role {
    /// The log is made durable and applied.
    Settling(History),
    Looking(History),
    Leading(Box<Leading>),
    Following(Box<Following>),
}

pub(crate) struct Leading {
    pub(crate) zab: Leader,
    /// The epoch, once it is this leader's for certain.
    pub(crate) established: Option<i64>,
}

pub(crate) struct Following {
    pub(crate) zab: Learner,
    pub(crate) leader: ServerId,
    pub(crate) link: Option<LinkId>,
    pub(crate) dial_until: u64,
    pub(crate) intake: Intake,
    pub(crate) serving: bool,
}

/// What the leader's bytes are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intake {
    Packets,
    /// The next thing is a tree.
    Tree,
    /// Nothing is taken while the disk works.
    Waiting,
}

pub(crate) struct Server {
    pub(crate) id: ServerId,
    /// Counts its starts.
    pub(crate) boot: u64,
    /// Counts its roles, over all starts.
    pub(crate) term: u64,
    pub(crate) alive: bool,
    pub(crate) disk: Disk,
    /// Which lanes of the disk are slow.
    pub(crate) slow_lanes: [bool; 2],
    /// Asked of the disk, not done.
    pub(crate) in_progress: Vec<Work>,
    /// When the lanes of the disk are free: log, epochs.
    pub(crate) lanes: [u64; 2],
    pub(crate) election: Election,
    pub(crate) role: Role,
    /// What clients could read.
    pub(crate) tree: Vec<Entry>,
    /// Logged, not applied.
    pub(crate) pending: VecDeque<Entry>,
    pub(crate) epochs: Epochs,
    pub(crate) needs_snapshot: bool,
    /// The earliest wake-up that is under way.
    pub(crate) wake: Option<u64>,
}

impl Server {
    pub(crate) fn leading(&mut self) -> Option<&mut Leading> {
        match &mut self.role {
            Role::Leading(leading) => Some(leading),
            _ => None,
        }
    }

    pub(crate) fn following(&mut self) -> Option<&mut Following> {
        match &mut self.role {
            Role::Following(following) => Some(following),
            _ => None,
        }
    }

    pub(crate) fn is_following_by(&self, link: LinkId) -> bool {
        matches!(&self.role, Role::Following(following) if following.link == Some(link))
    }

    /// The epoch that it leads, if clients are served.
    pub(crate) fn leads(&self) -> Option<i64> {
        match &self.role {
            Role::Leading(leading) if self.alive => leading.established,
            _ => None,
        }
    }

    pub(crate) fn serves(&self) -> bool {
        self.alive
            && match &self.role {
                Role::Leading(leading) => leading.established.is_some(),
                Role::Following(following) => following.serving,
                Role::Settling(_) | Role::Looking(_) => false,
            }
    }

    /// Applies everything that is logged up to `zxid`.
    pub(crate) fn apply(&mut self, zxid: Zxid) {
        while self.pending.front().is_some_and(|entry| entry.zxid <= zxid)
            && let Some(entry) = self.pending.pop_front()
        {
            super::invariants::grows(self.id, &self.tree, &entry);
            self.tree.push(entry);
        }
    }

    /// The tree as the disk has it.
    pub(crate) fn reload(&mut self) {
        self.tree.clone_from(&self.disk.all);
        self.pending.clear();
    }

    /// The process starts on what the disk has. The end of the log may be kept in memory from the start, as upstream does.
    pub(crate) fn start(&mut self, kept: usize) -> History {
        self.boot += 1;
        self.alive = true;
        self.reload();
        self.epochs = Epochs::new(self.disk.accepted_epoch, self.disk.current_epoch);
        let kept = kept.min(self.disk.all.len() - self.disk.base);
        let (older, newer) = self.disk.all.split_at(self.disk.all.len() - kept);
        let mut history = History::starting_behind(last(older));
        newer.iter().cloned().for_each(|entry| history.push(entry));
        history
    }

    /// For a failing run's message.
    pub(crate) fn describe(&self) -> String {
        let role = match &self.role {
            Role::Settling(_) => "settling".to_owned(),
            Role::Looking(_) => "looking".to_owned(),
            Role::Leading(leading) => format!("leading {:?}: {:?}", leading.established, leading.zab),
            Role::Following(following) => format!(
                "following {} by {:?}, serving: {}: {:?}",
                following.leader, following.link, following.serving, following.zab
            ),
        };
        format!("{} in its term {} has applied {:#x}, is {role}\n", self.id, self.term, last(&self.tree))
    }

    /// Nothing is on its way to the disk but epochs.
    pub(crate) fn log_is_idle(&self) -> bool {
        self.disk.durable == self.disk.all.len() && self.in_progress.iter().all(Work::is_epoch)
    }
}
