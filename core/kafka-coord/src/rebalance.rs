//! Rebalances: all members are to join, then the next generation begins (upstream: `DelayedJoin`, `InitialDelayedJoin`).

use base::{Monotonic, Str};
use kafka_proto::ErrorCode;

use crate::appends::Pending;
use crate::group::{Group, Reply, State, Step, refused_join};

/// How long a rebalance waits for members.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rebalance {
    /// Until all have joined, or the largest rebalance timeout is over.
    All { deadline: Monotonic },
    /// The first of an empty group: a fixed delay, prolonged while members come, up to the largest rebalance timeout.
    Initial { deadline: Monotonic, delay_ms: u64, left_ms: u64 },
}

impl Rebalance {
    pub(crate) const fn deadline(&self) -> Monotonic {
        match self {
            Self::All { deadline } | Self::Initial { deadline, .. } => *deadline,
        }
    }
}

impl<A> Group<A> {
    pub(crate) fn prepare_rebalance_if_possible(&mut self, reason: &str, step: &mut Step<'_, A>) {
        if matches!(self.state, State::Stable | State::CompletingRebalance | State::Empty) {
            self.prepare_rebalance(reason, step);
        }
    }

    /// Members are to join anew; whoever waits for an assignment is told so.
    pub(crate) fn prepare_rebalance(&mut self, reason: &str, step: &mut Step<'_, A>) {
        if self.state == State::CompletingRebalance {
            self.reset_assignments(ErrorCode::REBALANCE_IN_PROGRESS, step);
        }
        let rebalance = if self.state == State::Empty {
            let delay_ms = u64::try_from(step.settings.initial_rebalance_delay_ms).unwrap_or(0);
            let left_ms = self.rebalance_timeout_ms().saturating_sub(delay_ms);
            Rebalance::Initial { deadline: step.now.monotonic.plus_ms(delay_ms), delay_ms, left_ms }
        } else {
            Rebalance::All { deadline: step.now.monotonic.plus_ms(self.rebalance_timeout_ms()) }
        };
        step.log.push(format!(
            "Preparing to rebalance group {} in state {} with old generation {} (reason: {reason})",
            self.id,
            self.state.name(),
            self.generation
        ));
        self.enter(State::PreparingRebalance, step.now);
        self.wake_at(rebalance.deadline());
        self.rebalance = Some(rebalance);
        self.complete_join_if_all_joined(step);
    }

    /// The longest that any member asks for.
    fn rebalance_timeout_ms(&self) -> u64 {
        let longest = self.members.values().map(|member| member.rebalance_timeout_ms).max();
        longest.and_then(|timeout_ms| u64::try_from(timeout_ms).ok()).unwrap_or(0)
    }

    pub(crate) fn complete_join_if_all_joined(&mut self, step: &mut Step<'_, A>) {
        let all_joined = self.members.len() == self.joining && self.pending_members.is_empty();
        if self.state == State::PreparingRebalance
            && matches!(self.rebalance, Some(Rebalance::All { .. }))
            && all_joined
        {
            self.complete_join(step);
        }
    }

    /// A rebalance's time is over.
    pub(crate) fn rebalance_expired(&mut self, step: &mut Step<'_, A>) {
        if let Some(Rebalance::Initial { delay_ms, left_ms, .. }) = self.rebalance
            && self.new_member_added
            && left_ms > 0
        {
            self.new_member_added = false;
            let configured_ms = u64::try_from(step.settings.initial_rebalance_delay_ms).unwrap_or(0);
            let next_ms = configured_ms.min(left_ms);
            let deadline = step.now.monotonic.plus_ms(next_ms);
            let left_ms = left_ms.saturating_sub(delay_ms);
            self.rebalance = Some(Rebalance::Initial { deadline, delay_ms: next_ms, left_ms });
            return self.wake_at(deadline);
        }
        self.complete_join(step);
    }

    /// Begins the next generation with those who joined. Dynamic members who did not are out; static ones may come later.
    fn complete_join(&mut self, step: &mut Step<'_, A>) {
        self.rebalance = None;
        let is_missing =
            |member: &crate::member::Member<A>| member.awaiting_join.is_none() && member.instance_id.is_none();
        let missing: Vec<Str> =
            self.members.iter().filter(|(_, member)| is_missing(member)).map(|(id, _)| id.clone()).collect();
        for id in &missing {
            step.log.push(format!("Group {} removes member {id}, who has not joined", self.id));
            self.remove(id);
        }
        if !self.has_joined_leader() && !self.members.is_empty() {
            // Only static members, none of them here: their sessions decide.
            let deadline = step.now.monotonic.plus_ms(self.rebalance_timeout_ms().max(1));
            self.rebalance = Some(Rebalance::All { deadline });
            return self.wake_at(deadline);
        }
        self.next_generation(step.now);
        if self.members.is_empty() {
            step.log.push(format!("Group {} with generation {} is now empty", self.id, self.generation));
            return self.store(&std::collections::BTreeMap::new(), Pending::NoMembers, step);
        }
        step.log.push(format!("Stabilized group {} generation {}", self.id, self.generation));
        let ids: Vec<Str> = self.members.keys().cloned().collect();
        for id in ids {
            if let Some(answer) = self.take_join(&id) {
                step.reply(answer, Reply::Join(self.joined(&id, self.leader.clone())));
            }
            self.touch(&id, step.now);
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
            }
        }
    }

    /// Whether the leader has joined; if not, another one that has becomes the leader.
    fn has_joined_leader(&mut self) -> bool {
        let has_joined = |id: &Str| self.members.get(id).is_some_and(|member| member.awaiting_join.is_some());
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let joined = self.members.iter().find(|(_, member)| member.awaiting_join.is_some()).map(|(id, _)| id.clone());
        match joined {
            Some(id) => {
                self.leader = Some(id);
                true
            }
            None => false,
        }
    }

    /// A member is out: the others rebalance.
    pub(crate) fn remove_and_rebalance(&mut self, id: &Str, reason: &str, step: &mut Step<'_, A>) {
        if let Some(answer) = self.take_join(id) {
            let refusal = refused_join(Str::EMPTY, ErrorCode::UNKNOWN_MEMBER_ID);
            step.reply(answer, Reply::Join(refusal));
        }
        if let Some(mut member) = self.remove(id)
            && let Some(answer) = member.awaiting_sync.take()
        {
            let refusal = crate::group::refused_sync(ErrorCode::UNKNOWN_MEMBER_ID);
            step.reply(answer, Reply::Sync(refusal));
        }
        match self.state {
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(reason, step),
            State::PreparingRebalance => self.complete_join_if_all_joined(step),
            State::Empty | State::Dead => {}
        }
    }
}
