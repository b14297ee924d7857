//! One group: its members, its state, its clock (upstream: `GroupMetadata`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::{Monotonic, Now, Str};
use bytes::Bytes;
use kafka_proto::messages::consumer_protocol::Subscription;
use kafka_proto::messages::join_group::Protocol;
use kafka_proto::messages::{join_group, leave_group, sync_group};
use kafka_proto::{ErrorCode, Message as _};

use crate::appends::{Append, Pending};
use crate::member::{Member, kept};
use crate::offsets::Offsets;
use crate::rebalance::Rebalance;
use crate::record::GroupValue;
use crate::settings::Settings;

/// The protocol type of consumers.
const CONSUMER: &str = "consumer";

/// Where a group stands between two generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No members; perhaps offsets.
    Empty,
    /// Members are to join anew.
    PreparingRebalance,
    /// All have joined; the leader's assignment is awaited.
    CompletingRebalance,
    /// All have their assignments.
    Stable,
    /// Removed, or another broker's.
    Dead,
}

impl State {
    /// The name that clients are told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// What a request is answered with.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To JoinGroup.
    Join(join_group::Response),
    /// To SyncGroup.
    Sync(sync_group::Response),
    /// To Heartbeat.
    Heartbeat(ErrorCode),
    /// To LeaveGroup.
    Leave(leave_group::Response),
    /// To OffsetCommit and OffsetDelete: one error for each partition, in the request's order; for the whole group if it has one.
    Offsets(Result<Vec<ErrorCode>, ErrorCode>),
    /// To DeleteGroups.
    Delete(ErrorCode),
}

/// One step of a group: what it is given, and what it asks for, to be done when the group's lock is free again.
#[derive(Debug)]
pub struct Step<'a, A> {
    /// What the coordinator is configured by.
    pub settings: &'a Settings,
    /// The time.
    pub now: Now,
    /// Answers that are due.
    pub replies: Vec<(A, Reply)>,
    /// Lines for the broker's log.
    pub log: Vec<String>,
}

impl<'a, A> Step<'a, A> {
    /// A step at this time.
    pub const fn new(settings: &'a Settings, now: Now) -> Self {
        Self { settings, now, replies: Vec::new(), log: Vec::new() }
    }

    pub(crate) fn reply(&mut self, answer: A, reply: Reply) {
        self.replies.push((answer, reply));
    }
}

/// A group as DescribeGroups tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its state.
    pub state: State,
    /// Kind of the group; empty if it has none.
    pub protocol_type: Str,
    /// The assignor; empty unless the group is stable.
    pub protocol: Str,
    /// Its members, by id.
    pub members: Vec<DescribedMember>,
}

/// A member as DescribeGroups tells it; metadata and assignment are empty unless the group is stable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub member_id: Str,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<Str>,
    /// `client.id`.
    pub client_id: Str,
    /// Where it connects from.
    pub client_host: Str,
    /// What it said for the chosen assignor.
    pub metadata: Bytes,
    /// What was assigned to it.
    pub assignment: Bytes,
}

/// A group. `A` answers a request; what it is, only the caller knows.
#[derive(Debug)]
pub struct Group<A> {
    pub(crate) id: Str,
    pub(crate) state: State,
    /// When the state was entered, wall time; not known of groups that old brokers logged.
    state_since_ms: Option<i64>,
    pub(crate) protocol_type: Option<Str>,
    pub(crate) protocol: Option<Str>,
    pub(crate) generation: i32,
    pub(crate) leader: Option<Str>,
    pub(crate) members: BTreeMap<Str, Member<A>>,
    /// Member ids of static members, by instance.
    pub(crate) static_members: BTreeMap<Str, Str>,
    /// Ids that were handed out and have not joined yet, with the time by which they must.
    pub(crate) pending_members: BTreeMap<Str, Monotonic>,
    /// How many members wait for a join.
    pub(crate) joining: usize,
    /// How many members support an assignor.
    support: BTreeMap<Str, usize>,
    /// Topics of all members, if the group is of consumers that we understand.
    subscribed: Option<BTreeSet<Str>>,
    pub(crate) new_member_added: bool,
    pub(crate) rebalance: Option<Rebalance>,
    pub(crate) offsets: Offsets,
    pub(crate) outbox: VecDeque<Append>,
    pub(crate) appending: BTreeMap<u64, Pending<A>>,
    pub(crate) appends_made: u64,
    /// When to look at the clock next; may be early, never late.
    deadline: Option<Monotonic>,
}

impl<A> Group<A> {
    /// An empty group.
    pub fn new(id: Str, now: Now) -> Self {
        Self {
            id,
            state: State::Empty,
            state_since_ms: Some(now.wall_ms),
            protocol_type: None,
            protocol: None,
            generation: 0,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_members: BTreeMap::new(),
            joining: 0,
            support: BTreeMap::new(),
            subscribed: None,
            new_member_added: false,
            rebalance: None,
            offsets: Offsets::default(),
            outbox: VecDeque::new(),
            appending: BTreeMap::new(),
            appends_made: 0,
            deadline: None,
        }
    }

    /// A group as it was logged; its members' sessions begin step.now. Begins a rebalance if it is larger than allowed.
    pub(crate) fn loaded(id: Str, value: Option<GroupValue>, offsets: Offsets, step: &mut Step<'_, A>) -> Self {
        let mut group = Self { offsets, ..Self::new(id, step.now) };
        let Some(value) = value else { return group };
        group.state = if value.members.is_empty() { State::Empty } else { State::Stable };
        group.state_since_ms = Some(value.state_timestamp_ms).filter(|at| *at != -1);
        group.protocol_type = Some(value.protocol_type).filter(|name| !name.is_empty());
        group.protocol = value.protocol;
        group.generation = value.generation;
        let protocol = group.protocol.clone().unwrap_or_default();
        for member in value.members {
            let id = member.member_id.clone();
            if let Some(instance) = &member.group_instance_id {
                group.static_members.insert(instance.clone(), id.clone());
            }
            group.insert(id.clone(), Member::loaded(member, protocol.clone()));
            group.touch(&id, step.now);
        }
        group.leader = value.leader.filter(|leader| group.members.contains_key(leader)).or(group.leader.take());
        group.subscribed = group.compute_subscribed();
        if group.members.len() > step.settings.members_max {
            group.prepare_rebalance("the loaded group is larger than group.max.size", step);
        }
        group
    }

    /// Its name.
    pub const fn id(&self) -> &Str {
        &self.id
    }

    /// Its state.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Its generation; 0 before the first.
    pub const fn generation(&self) -> i32 {
        self.generation
    }

    /// `consumer`, `connect`; empty if it has none.
    pub fn protocol_type(&self) -> Str {
        self.protocol_type.clone().unwrap_or_default()
    }

    /// The offsets.
    pub const fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    /// Whether the group is gone for good: nothing of it is still on its way to the log.
    pub fn is_over(&self) -> bool {
        self.state == State::Dead && self.appending.is_empty()
    }

    /// When to call [`Group::tick`] next; may be early, never late.
    pub const fn deadline(&self) -> Option<Monotonic> {
        self.deadline
    }

    /// What DescribeGroups tells.
    pub fn describe(&self) -> Description {
        let is_stable = self.state == State::Stable;
        let protocol = self.protocol.clone().filter(|_| is_stable).unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| DescribedMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: if is_stable { member.metadata(&protocol) } else { Bytes::new() },
            assignment: if is_stable { member.assignment.clone() } else { Bytes::new() },
        });
        let members = members.collect();
        Description { state: self.state, protocol_type: self.protocol_type(), protocol, members }
    }

    /// The group is another broker's now: whoever waits is told, and nothing is served any more.
    pub fn unload(&mut self, step: &mut Step<'_, A>) {
        self.state = State::Dead;
        self.rebalance = None;
        self.joining = 0;
        for (id, member) in &mut self.members {
            if let Some(answer) = member.awaiting_join.take() {
                step.reply(answer, Reply::Join(refused_join(id.clone(), ErrorCode::NOT_COORDINATOR)));
            }
            if let Some(answer) = member.awaiting_sync.take() {
                step.reply(answer, Reply::Sync(refused_sync(ErrorCode::NOT_COORDINATOR)));
            }
        }
    }

    /// Lets time pass: sessions, ids that were handed out, rebalances.
    pub fn tick(&mut self, step: &mut Step<'_, A>) {
        let now = step.now.monotonic;
        let due = |deadline: Monotonic| deadline <= now;
        if self.state == State::Dead || !self.deadline.is_some_and(due) {
            return;
        }
        let before = self.pending_members.len();
        self.pending_members.retain(|_, expires| !due(*expires));
        if self.pending_members.len() < before {
            self.complete_join_if_all_joined(step);
        }
        let members = self.members.iter().filter(|(_, member)| member.expires.is_some_and(due));
        let silent: Vec<Str> = members.map(|(id, _)| id.clone()).collect();
        for id in silent {
            self.session_expired(&id, step);
        }
        if self.rebalance.as_ref().is_some_and(|rebalance| due(rebalance.deadline())) {
            self.rebalance_expired(step);
        }
        let sessions = self.members.values().filter_map(|member| member.expires);
        let rebalance = self.rebalance.as_ref().map(Rebalance::deadline);
        self.deadline = sessions.chain(self.pending_members.values().copied()).chain(rebalance).min();
    }

    fn session_expired(&mut self, id: &Str, step: &mut Step<'_, A>) {
        let Some(member) = self.members.get_mut(id) else { return };
        if member.expires.is_none_or(|expires| expires > step.now.monotonic) {
            return;
        }
        let is_waiting = member.awaiting_join.is_some() || member.awaiting_sync.is_some();
        if is_waiting && !member.is_new {
            // The broker keeps it waiting: its session begins anew with the answer.
            member.expires = None;
            return;
        }
        step.log.push(format!("Member {id} in group {} has failed, removing it from the group", self.id));
        self.remove_and_rebalance(id, "a member's session expired", step);
    }

    /// Asks for a tick at `at`.
    pub(crate) fn wake_at(&mut self, at: Monotonic) {
        self.deadline = Some(self.deadline.map_or(at, |deadline| deadline.min(at)));
    }

    /// The member was heard of: its session begins anew.
    pub(crate) fn touch(&mut self, id: &str, now: Now) {
        let Some(member) = self.members.get_mut(id) else { return };
        let expires = now.monotonic.plus_ms(u64::try_from(member.session_timeout_ms).unwrap_or(0));
        member.expires = Some(expires);
        self.wake_at(expires);
    }

    pub(crate) fn enter(&mut self, state: State, now: Now) {
        self.state = state;
        self.state_since_ms = Some(now.wall_ms);
    }

    /// Whether `member_id` says it is a static member whose place another one has taken.
    pub(crate) fn is_fenced(&self, member_id: &str, instance: Option<&Str>) -> bool {
        instance.and_then(|instance| self.static_members.get(instance)).is_some_and(|known| known != member_id)
    }

    pub(crate) fn insert(&mut self, id: Str, member: Member<A>) {
        self.leader.get_or_insert_with(|| id.clone());
        self.joining += usize::from(member.awaiting_join.is_some());
        self.count(&member.protocols, true);
        self.members.insert(id, member);
    }

    /// Takes a member out, and its place as a static one; another one leads if it led.
    pub(crate) fn remove(&mut self, id: &str) -> Option<Member<A>> {
        let member = self.members.remove(id)?;
        self.joining -= usize::from(member.awaiting_join.is_some());
        self.count(&member.protocols, false);
        if let Some(instance) = &member.instance_id
            && self.static_members.get(instance).is_some_and(|known| known == id)
        {
            self.static_members.remove(instance);
        }
        if self.leader.as_ref().is_some_and(|leader| leader == id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// A member joins again: what it supports, and who waits for the answer. A join that waited before is told to try again.
    pub(crate) fn rejoin(&mut self, id: &str, protocols: &[Protocol], answer: A, step: &mut Step<'_, A>) {
        let Some(mut member) = self.members.remove(id) else { return };
        self.count(&member.protocols, false);
        member.protocols = kept(protocols);
        self.count(&member.protocols, true);
        match member.awaiting_join.replace(answer) {
            Some(older) => {
                let refusal = refused_join(Str::copied(id), ErrorCode::REBALANCE_IN_PROGRESS);
                step.replies.push((older, Reply::Join(refusal)));
            }
            None => self.joining += 1,
        }
        self.members.insert(Str::copied(id), member);
    }

    /// Puts back what a member supported before.
    pub(crate) fn restore_protocols(&mut self, id: &str, protocols: Vec<(Str, Bytes)>) {
        let Some(mut member) = self.members.remove(id) else { return };
        self.count(&member.protocols, false);
        self.count(&protocols, true);
        member.protocols = protocols;
        self.members.insert(Str::copied(id), member);
    }

    fn count(&mut self, protocols: &[(Str, Bytes)], add: bool) {
        for (name, _) in protocols {
            let count = self.support.entry(name.clone()).or_default();
            *count = if add { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                self.support.remove(name);
            }
        }
    }

    /// Takes a join that waits.
    pub(crate) fn take_join(&mut self, id: &str) -> Option<A> {
        let answer = self.members.get_mut(id)?.awaiting_join.take()?;
        self.joining -= 1;
        Some(answer)
    }

    /// Whether someone with these protocols may be in the group.
    pub(crate) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == State::Empty || self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let is_shared = |name: &Str| self.support.get(name).copied() == Some(self.members.len());
        self.protocol_type.as_ref().is_some_and(|own| own == protocol_type)
            && protocols.iter().any(|protocol| is_shared(&protocol.name))
    }

    /// The assignor that most members prefer among those that all support; by name where votes are equal.
    pub(crate) fn select_protocol(&self) -> Option<Str> {
        let is_candidate = |name: &Str| self.support.get(name).copied() == Some(self.members.len());
        let mut votes: BTreeMap<&Str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| is_candidate(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.clone())
    }

    /// Begins the next generation with those who are in.
    pub(crate) fn next_generation(&mut self, now: Now) {
        self.generation += 1;
        self.protocol = self.select_protocol();
        self.subscribed = self.compute_subscribed();
        let state = if self.members.is_empty() { State::Empty } else { State::CompletingRebalance };
        self.enter(state, now);
    }

    /// Topics of all members; `None` if this is no group of consumers or one can't be understood.
    fn compute_subscribed(&self) -> Option<BTreeSet<Str>> {
        if self.protocol_type.as_ref().is_none_or(|name| *name != CONSUMER) {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_ref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(subscription_topics(&member.metadata(protocol))?);
        }
        Some(topics)
    }

    /// Whether members read the topic; also if that is not known.
    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        self.subscribed.as_ref().is_none_or(|topics| topics.contains(topic))
    }

    pub(crate) fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_ref().is_some_and(|name| *name == CONSUMER)
    }

    /// Whether a stable group knows what its members read.
    pub(crate) const fn knows_subscriptions(&self) -> bool {
        self.subscribed.is_some()
    }

    pub(crate) const fn state_since_ms(&self) -> Option<i64> {
        self.state_since_ms
    }

    /// The group as it is logged, with these assignments.
    pub(crate) fn value(&self, assignments: &BTreeMap<Str, Bytes>) -> GroupValue {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| {
            let assignment = assignments.get(id).cloned().unwrap_or_default();
            member.value(id, &protocol, assignment)
        });
        GroupValue {
            protocol_type: self.protocol_type(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            state_timestamp_ms: self.state_since_ms.unwrap_or(-1),
            members: members.collect(),
        }
    }
}

/// Version 0 is a prefix of every version.
fn subscription_topics(metadata: &Bytes) -> Option<Vec<Str>> {
    let mut reader = base::Reader::new(metadata);
    reader.i16().ok()?;
    let subscription = Subscription::decode(0, &mut reader).ok()?;
    Some(subscription.topics.iter().map(|topic| Str::copied(topic)).collect())
}

/// A join that failed.
pub(crate) fn refused_join(member_id: Str, error_code: ErrorCode) -> join_group::Response {
    join_group::Response { error_code, member_id, generation_id: -1, ..join_group::Response::default() }
}

/// A sync that failed.
pub(crate) fn refused_sync(error_code: ErrorCode) -> sync_group::Response {
    sync_group::Response { error_code, ..sync_group::Response::default() }
}
