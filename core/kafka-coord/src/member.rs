//! One member of a group (upstream: `MemberMetadata`).

use base::{Monotonic, Str};
use bytes::Bytes;
use kafka_proto::messages::join_group::Protocol;

use crate::record::MemberValue;

/// A member. `A` answers a request.
#[derive(Debug)]
pub(crate) struct Member<A> {
    pub(crate) instance_id: Option<Str>,
    pub(crate) client_id: Str,
    pub(crate) client_host: Str,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// Assignors in the order of preference, with what the member says for each.
    pub(crate) protocols: Vec<(Str, Bytes)>,
    pub(crate) assignment: Bytes,
    /// Its JoinGroup that waits for the others.
    pub(crate) awaiting_join: Option<A>,
    /// Its SyncGroup that waits for the leader.
    pub(crate) awaiting_sync: Option<A>,
    /// It has not seen its first generation.
    pub(crate) is_new: bool,
    /// When it is taken for dead; `None` while a rebalance answers for it.
    pub(crate) expires: Option<Monotonic>,
}

impl<A> Member<A> {
    /// What the member says for the chosen assignor.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    pub(crate) fn matches(&self, protocols: &[Protocol]) -> bool {
        self.protocols.len() == protocols.len()
            && self
                .protocols
                .iter()
                .zip(protocols)
                .all(|((name, metadata), given)| *name == given.name && *metadata == given.metadata)
    }

    pub(crate) fn value(&self, member_id: &Str, protocol: &str, assignment: Bytes) -> MemberValue {
        MemberValue {
            member_id: member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            subscription: self.metadata(protocol),
            assignment,
        }
    }

    /// A member as it was logged.
    pub(crate) fn loaded(value: MemberValue, protocol: Str) -> Self {
        Self {
            instance_id: value.group_instance_id,
            client_id: value.client_id,
            client_host: value.client_host,
            rebalance_timeout_ms: value.rebalance_timeout_ms,
            session_timeout_ms: value.session_timeout_ms,
            protocols: vec![(protocol, value.subscription)],
            assignment: value.assignment,
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
            expires: None,
        }
    }
}

/// Copied, so that a member doesn't keep the frames of its requests.
pub(crate) fn kept(protocols: &[Protocol]) -> Vec<(Str, Bytes)> {
    protocols.iter().map(|protocol| (Str::copied(&protocol.name), Bytes::copy_from_slice(&protocol.metadata))).collect()
}
