//! JoinGroup (upstream: `GroupCoordinator.handleJoinGroup`, KIP-345 static members, KIP-394 ids before members).

use base::Str;
use bytes::Bytes;
use kafka_proto::ErrorCode;
use kafka_proto::messages::join_group::{Member as JoinedMember, Request, Response};
use std::collections::BTreeMap;

use crate::appends::{Pending, Replaced};
use crate::group::{Group, Reply, State, Step, refused_join, refused_sync};
use crate::member::{Member, kept};
use crate::settings::Settings;

/// A member that never saw a generation is forgotten after so long.
const NEW_MEMBER_JOIN_TIMEOUT_MS: u64 = 5 * 60 * 1000;

/// Who joins.
#[derive(Clone, Debug)]
pub struct Joiner {
    /// `client.id`; empty if there is none.
    pub client_id: Str,
    /// Where it connects from, as `/127.0.0.1`.
    pub client_host: Str,
    /// 16 random bytes, for a member id.
    pub unique: [u8; 16],
    /// Whether a new member is told its id first, and then joins with it (from version 4 on).
    pub id_first: bool,
}

impl<A> Group<A> {
    /// Someone joins. Answered when all have joined; errors, and joins that change nothing, at once.
    pub fn join(&mut self, request: &Request, joiner: &Joiner, answer: A, step: &mut Step<'_, A>) {
        let refuse = |error, id: &Str| Reply::Join(refused_join(id.clone(), error));
        if self.state == State::Dead {
            let reply = refuse(ErrorCode::COORDINATOR_NOT_AVAILABLE, &request.member_id);
            return step.reply(answer, reply);
        }
        if !self.accepts(request, step.settings) {
            self.remove(&request.member_id);
            step.reply(answer, refuse(ErrorCode::GROUP_MAX_SIZE_REACHED, &Str::EMPTY));
        } else if !self.supports(&request.protocol_type, &request.protocols) {
            let reply = refuse(ErrorCode::INCONSISTENT_GROUP_PROTOCOL, &request.member_id);
            step.reply(answer, reply);
        } else if request.member_id.is_empty() {
            self.join_unknown(request, joiner, answer, step);
        } else {
            self.join_known(request, joiner, answer, step);
        }
        self.complete_join_if_all_joined(step);
    }

    /// Whether there is room. While a rebalance is prepared, the first to join are in; later the members are.
    fn accepts(&self, request: &Request, settings: &Settings) -> bool {
        match self.state {
            State::Empty | State::Dead => true,
            State::PreparingRebalance => {
                let is_joining =
                    self.members.get(&request.member_id).is_some_and(|member| member.awaiting_join.is_some());
                is_joining || self.joining < settings.members_max
            }
            State::CompletingRebalance | State::Stable => {
                // A static member that comes back takes its own place, not another one.
                let is_static =
                    request.group_instance_id.as_ref().is_some_and(|id| self.static_members.contains_key(id));
                is_static || self.members.contains_key(&request.member_id) || self.members.len() < settings.members_max
            }
        }
    }

    fn join_unknown(&mut self, request: &Request, joiner: &Joiner, answer: A, step: &mut Step<'_, A>) {
        let prefix = request.group_instance_id.as_ref().unwrap_or(&joiner.client_id);
        let uuid = uuid::Builder::from_random_bytes(joiner.unique).into_uuid();
        let id = Str::from(format!("{prefix}-{uuid}"));
        let instance = request.group_instance_id.as_ref();
        if let Some(old_id) = instance.and_then(|instance| self.static_members.get(instance)).cloned() {
            return self.replace_static_member(request, old_id, id, answer, step);
        }
        if joiner.id_first && instance.is_none() {
            let expires = step.now.monotonic.plus_ms(u64::try_from(request.session_timeout_ms).unwrap_or(0));
            self.pending_members.insert(id.clone(), expires);
            self.wake_at(expires);
            return step.reply(answer, Reply::Join(refused_join(id, ErrorCode::MEMBER_ID_REQUIRED)));
        }
        self.add_member(id, request, joiner, answer, step);
    }

    fn join_known(&mut self, request: &Request, joiner: &Joiner, answer: A, step: &mut Step<'_, A>) {
        let id = &request.member_id;
        let instance = request.group_instance_id.as_ref();
        if self.is_fenced(id, instance) {
            let refusal = refused_join(id.clone(), ErrorCode::FENCED_INSTANCE_ID);
            return step.reply(answer, Reply::Join(refusal));
        }
        if instance.is_none() && self.pending_members.contains_key(id) && !self.members.contains_key(id) {
            return self.add_member(Str::copied(id), request, joiner, answer, step);
        }
        let instance_is_unknown = instance.is_some_and(|instance| !self.static_members.contains_key(instance));
        let member = self.members.get(id).filter(|_| !instance_is_unknown);
        let Some(member) = member else {
            let refusal = refused_join(id.clone(), ErrorCode::UNKNOWN_MEMBER_ID);
            return step.reply(answer, Reply::Join(refusal));
        };
        let is_leader = self.leader.as_ref() == Some(id);
        let is_same = member.matches(&request.protocols);
        match self.state {
            // It did not see the answer to its join: here it is again.
            State::CompletingRebalance if is_same => {
                step.reply(answer, Reply::Join(self.joined(id, self.leader.clone())));
            }
            // A follower that only wants to know: a leader that joins wants a rebalance.
            State::Stable if is_same && !is_leader => {
                step.reply(answer, Reply::Join(self.joined(id, self.leader.clone())));
            }
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                self.rejoin(id, &request.protocols, answer, step);
                self.prepare_rebalance_if_possible("a member joined again", step);
            }
            State::Empty | State::Dead => {
                let refusal = refused_join(id.clone(), ErrorCode::UNKNOWN_MEMBER_ID);
                step.reply(answer, Reply::Join(refusal));
            }
        }
    }

    fn add_member(&mut self, id: Str, request: &Request, joiner: &Joiner, answer: A, step: &mut Step<'_, A>) {
        if self.state == State::PreparingRebalance && self.generation == 0 {
            self.new_member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(Str::copied(&request.protocol_type));
        }
        // A new member does not heartbeat, and nobody sees that its connection broke while it waits.
        let expires = step.now.monotonic.plus_ms(NEW_MEMBER_JOIN_TIMEOUT_MS);
        let instance_id = request.group_instance_id.as_ref().map(|instance| Str::copied(instance));
        match &instance_id {
            Some(instance) => {
                self.static_members.insert(instance.clone(), id.clone());
            }
            None => {
                self.pending_members.remove(&id);
            }
        }
        step.log.push(format!("Adding member {id} to group {} in state {}", self.id, self.state.name()));
        // Version 0 has no rebalance timeout: it is the session's.
        let rebalance_timeout_ms = match request.rebalance_timeout_ms {
            -1 => request.session_timeout_ms,
            timeout_ms => timeout_ms,
        };
        let member = Member {
            instance_id,
            client_id: Str::copied(&joiner.client_id),
            client_host: Str::copied(&joiner.client_host),
            rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: kept(&request.protocols),
            assignment: Bytes::new(),
            awaiting_join: Some(answer),
            awaiting_sync: None,
            is_new: true,
            expires: Some(expires),
        };
        self.insert(id, member);
        self.wake_at(expires);
        self.prepare_rebalance_if_possible("a new member joined", step);
    }

    /// A static member came back without its id: it gets a new one, the old one is fenced, its place stays.
    fn replace_static_member(
        &mut self,
        request: &Request,
        old_id: Str,
        new_id: Str,
        answer: A,
        step: &mut Step<'_, A>,
    ) {
        let Some(instance) = request.group_instance_id.as_ref().map(|instance| Str::copied(instance)) else { return };
        let leader = self.leader.clone();
        step.log.push(format!("Static member {instance} of group {} gets the id {new_id}", self.id));
        let Some(old_protocols) = self.change_id(&instance, &old_id, &new_id, step) else { return };
        self.touch(&new_id, step.now);
        self.rejoin(&new_id, &request.protocols, answer, step);
        match self.state {
            State::Stable if self.select_protocol() == self.protocol => {
                let assignments: BTreeMap<Str, Bytes> =
                    self.members.iter().map(|(id, member)| (id.clone(), member.assignment.clone())).collect();
                let replaced = Replaced { instance, old_id, new_id, old_protocols, leader };
                self.store(&assignments, Pending::StaticMember(replaced), step);
            }
            // The leader may have been told of the old id already.
            State::Stable | State::CompletingRebalance => {
                self.prepare_rebalance("a static member came back", step);
            }
            State::Empty | State::PreparingRebalance | State::Dead => {}
        }
    }

    /// Gives a static member another id; whoever waited under the old one is fenced. Returns what it supports.
    fn change_id(
        &mut self,
        instance: &Str,
        old_id: &Str,
        new_id: &Str,
        step: &mut Step<'_, A>,
    ) -> Option<Vec<(Str, Bytes)>> {
        if let Some(answer) = self.take_join(old_id) {
            let refusal = refused_join(old_id.clone(), ErrorCode::FENCED_INSTANCE_ID);
            step.reply(answer, Reply::Join(refusal));
        }
        let mut member = self.members.remove(old_id)?;
        if let Some(answer) = member.awaiting_sync.take() {
            step.reply(answer, Reply::Sync(refused_sync(ErrorCode::FENCED_INSTANCE_ID)));
        }
        let protocols = member.protocols.clone();
        self.members.insert(new_id.clone(), member);
        if self.leader.as_ref() == Some(old_id) {
            self.leader = Some(new_id.clone());
        }
        self.static_members.insert(instance.clone(), new_id.clone());
        Some(protocols)
    }

    /// The change of a static member's id is logged, or is not.
    pub(crate) fn static_member_stored(
        &mut self,
        replaced: Replaced,
        result: Result<(), ErrorCode>,
        step: &mut Step<'_, A>,
    ) {
        let Replaced { instance, old_id, new_id, old_protocols, leader } = replaced;
        if self.static_members.get(&instance) != Some(&new_id) || self.state == State::Dead {
            return;
        }
        let answer = self.take_join(&new_id);
        let Err(error) = result else {
            if let Some(answer) = answer {
                // A leader under a new id is told of the old one: a stable group would not take its assignment.
                let response = Response { members: Vec::new(), ..self.joined(&new_id, leader) };
                step.reply(answer, Reply::Join(response));
            }
            return;
        };
        self.change_id(&instance, &new_id, &old_id, step);
        self.restore_protocols(&old_id, old_protocols);
        self.touch(&old_id, step.now);
        if let Some(answer) = answer {
            let refusal = Response { error_code: error, members: Vec::new(), ..self.joined(&Str::EMPTY, leader) };
            step.reply(answer, Reply::Join(refusal));
        }
    }

    /// What a member of the current generation is told; the leader gets all members.
    pub(crate) fn joined(&self, id: &Str, leader: Option<Str>) -> Response {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = if !id.is_empty() && self.leader.as_ref() == Some(id) && self.state != State::Stable {
            let members = self.members.iter().map(|(id, member)| JoinedMember {
                member_id: id.clone(),
                group_instance_id: member.instance_id.clone(),
                metadata: member.metadata(&protocol),
            });
            members.collect()
        } else {
            Vec::new()
        };
        Response {
            generation_id: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            leader: leader.unwrap_or_default(),
            member_id: id.clone(),
            members,
            ..Response::default()
        }
    }
}
