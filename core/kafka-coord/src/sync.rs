//! SyncGroup and Heartbeat (upstream: `GroupCoordinator.handleSyncGroup`, `handleHeartbeat`).

use std::collections::BTreeMap;

use base::{Now, Str};
use bytes::Bytes;
use kafka_proto::ErrorCode;
use kafka_proto::messages::heartbeat;
use kafka_proto::messages::sync_group::{Request, Response};

use crate::appends::Pending;
use crate::group::{Group, Reply, State, Step, refused_sync};

impl<A> Group<A> {
    /// A member wants its assignment; the leader brings all. Answered when they are logged.
    pub fn sync(&mut self, request: &Request, answer: A, step: &mut Step<'_, A>) {
        let id = &request.member_id;
        if let Err(error) = self.check_sync(request) {
            return step.reply(answer, Reply::Sync(refused_sync(error)));
        }
        if self.state == State::Stable {
            let assignment = self.members.get(id).map(|member| member.assignment.clone()).unwrap_or_default();
            step.reply(answer, Reply::Sync(self.synced(assignment)));
            return self.touch(id, step.now);
        }
        let Some(member) = self.members.get_mut(id) else { return };
        if let Some(older) = member.awaiting_sync.replace(answer) {
            step.replies.push((older, Reply::Sync(refused_sync(ErrorCode::REBALANCE_IN_PROGRESS))));
        }
        if self.leader.as_ref() != Some(id) {
            return;
        }
        let mut given: BTreeMap<&Str, &Bytes> =
            request.assignments.iter().map(|one| (&one.member_id, &one.assignment)).collect();
        // Whom the leader left out gets nothing.
        let assignments: BTreeMap<Str, Bytes> = self
            .members
            .keys()
            .map(|id| (id.clone(), given.remove(id).map(|bytes| Bytes::copy_from_slice(bytes)).unwrap_or_default()))
            .collect();
        step.log
            .push(format!("Assignment received from leader for group {} for generation {}", self.id, self.generation));
        let generation = self.generation;
        let pending = Pending::Assignment { generation, assignments: assignments.clone() };
        self.store(&assignments, pending, step);
    }

    fn check_sync(&self, request: &Request) -> Result<(), ErrorCode> {
        let is_other = |given: &Option<Str>, own: &Option<Str>| given.is_some() && given != own;
        if self.state == State::Dead {
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        if self.is_fenced(&request.member_id, request.group_instance_id.as_ref()) {
            return Err(ErrorCode::FENCED_INSTANCE_ID);
        }
        if !self.members.contains_key(&request.member_id) {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if request.generation_id != self.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        if is_other(&request.protocol_type, &self.protocol_type) || is_other(&request.protocol_name, &self.protocol) {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        match self.state {
            State::Empty => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            State::PreparingRebalance => Err(ErrorCode::REBALANCE_IN_PROGRESS),
            State::CompletingRebalance | State::Stable | State::Dead => Ok(()),
        }
    }

    /// A generation's assignments are logged, or are not. Nothing if the group went on meanwhile.
    pub(crate) fn assignment_stored(
        &mut self,
        generation: i32,
        assignments: &BTreeMap<Str, Bytes>,
        result: Result<(), ErrorCode>,
        step: &mut Step<'_, A>,
    ) {
        if self.state != State::CompletingRebalance || self.generation != generation {
            return;
        }
        if let Err(error) = result {
            self.reset_assignments(error, step);
            return self.prepare_rebalance("the assignment could not be stored", step);
        }
        for (id, member) in &mut self.members {
            member.assignment = assignments.get(id).cloned().unwrap_or_default();
        }
        self.answer_syncs(ErrorCode::NONE, step);
        self.enter(State::Stable, step.now);
    }

    /// Takes all assignments back; whoever waits for one is told why.
    pub(crate) fn reset_assignments(&mut self, error: ErrorCode, step: &mut Step<'_, A>) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
        }
        self.answer_syncs(error, step);
    }

    fn answer_syncs(&mut self, error: ErrorCode, step: &mut Step<'_, A>) {
        let waiting = self
            .members
            .iter_mut()
            .filter_map(|(id, member)| Some((id.clone(), member.awaiting_sync.take()?, member.assignment.clone())));
        let waiting: Vec<(Str, A, Bytes)> = waiting.collect();
        for (id, answer, assignment) in waiting {
            let response = if error.is_none() { self.synced(assignment) } else { refused_sync(error) };
            step.reply(answer, Reply::Sync(response));
            // Its session did not run while it waited.
            self.touch(&id, step.now);
        }
    }

    fn synced(&self, assignment: Bytes) -> Response {
        Response {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            assignment,
            ..Response::default()
        }
    }

    /// A member lives.
    pub fn heartbeat(&mut self, request: &heartbeat::Request, now: Now) -> ErrorCode {
        let id = &request.member_id;
        if self.state == State::Dead {
            return ErrorCode::COORDINATOR_NOT_AVAILABLE;
        }
        if self.is_fenced(id, request.group_instance_id.as_ref()) {
            return ErrorCode::FENCED_INSTANCE_ID;
        }
        if !self.members.contains_key(id) {
            return ErrorCode::UNKNOWN_MEMBER_ID;
        }
        if request.generation_id != self.generation {
            return ErrorCode::ILLEGAL_GENERATION;
        }
        self.touch(id, now);
        match self.state {
            State::PreparingRebalance => ErrorCode::REBALANCE_IN_PROGRESS,
            _ => ErrorCode::NONE,
        }
    }
}
