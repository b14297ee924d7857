//! The in-sync replicas, and how a leader changes them (KIP-497).
//!
//! A change is asked for, with AlterIsr or, with an older `inter.broker.protocol.version`, by writing the partition's
//! state znode, and holds when it is answered. Meanwhile no other change is asked for, and the *maximal* ISR counts:
//! a replica that is being added already holds the high watermark back, one that is being removed still does.

/// The ISR as far as it is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IsrState {
    /// As the controller has it.
    Committed(Vec<i32>),
    /// One more replica is asked for.
    PendingExpand {
        /// As the controller has it.
        isr: Vec<i32>,
        /// The broker to be added.
        added: i32,
    },
    /// Fewer replicas are asked for.
    PendingShrink {
        /// As the controller has it.
        isr: Vec<i32>,
        /// The brokers to be removed.
        removed: Vec<i32>,
    },
}

impl IsrState {
    /// The brokers that are certainly in the ISR.
    pub fn committed(&self) -> &[i32] {
        match self {
            Self::Committed(isr) | Self::PendingExpand { isr, .. } | Self::PendingShrink { isr, .. } => isr,
        }
    }

    /// Whether a broker is in the maximal ISR.
    pub fn maximal_contains(&self, broker: i32) -> bool {
        self.committed().contains(&broker) || matches!(self, Self::PendingExpand { added, .. } if *added == broker)
    }

    /// Size of the maximal ISR.
    pub fn maximal_len(&self) -> usize {
        self.committed().len() + usize::from(matches!(self, Self::PendingExpand { .. }))
    }

    /// Whether a change waits for its answer.
    pub const fn is_pending(&self) -> bool {
        !matches!(self, Self::Committed(_))
    }

    /// The ISR that is asked for, or settled.
    pub fn wanted(&self) -> Vec<i32> {
        match self {
            Self::Committed(isr) => isr.clone(),
            Self::PendingExpand { isr, added } => isr.iter().chain([added]).copied().collect(),
            Self::PendingShrink { isr, removed } => isr.iter().filter(|id| !removed.contains(id)).copied().collect(),
        }
    }
}

/// A change to ask the controller (or the znode) for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrChange {
    /// The state that it leads through; names the change when it is answered.
    pub pending: IsrState,
    /// The ISR to write.
    pub isr: Vec<i32>,
    /// Epoch of the leader that asks.
    pub leader_epoch: i32,
    /// Version of the partition's state znode that the change is based on.
    pub znode_version: i32,
    /// Epoch of the controller that made this broker the leader.
    pub controller_epoch: i32,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IsrAnswer {
    /// Done.
    Committed {
        /// Epoch of the leader in the state znode.
        leader_epoch: i32,
        /// The ISR there.
        isr: Vec<i32>,
        /// The znode's new version.
        znode_version: i32,
    },
    /// Refused because this broker's view is old: it stays as it is until the controller sends the new state.
    Outdated,
    /// A conditional write of the znode found another version in the same epoch: nothing has changed, and a later change may be tried.
    Unchanged,
    /// Not known whether it was done: ask again.
    Retry,
}

impl IsrAnswer {
    /// The answer in a failed AlterIsr: UNKNOWN_TOPIC_OR_PARTITION, FENCED_LEADER_EPOCH and INVALID_UPDATE_VERSION
    /// end it.
    pub const fn from_error_code(code: i16) -> Self {
        match code {
            3 | 74 | 95 => Self::Outdated,
            _ => Self::Retry,
        }
    }
}
