//! LeaveGroup (upstream: `GroupCoordinator.handleLeaveGroup`, KIP-345: several members at once).

use base::Str;
use kafka_proto::ErrorCode;
use kafka_proto::messages::leave_group::{RequestMember, Response, ResponseMember};

use crate::group::{Group, State, Step};

impl<A> Group<A> {
    /// Members leave: dynamic ones by id, static ones by instance.
    pub fn leave(&mut self, members: &[RequestMember], step: &mut Step<'_, A>) -> Response {
        if self.state == State::Dead {
            return Response { error_code: ErrorCode::COORDINATOR_NOT_AVAILABLE, ..Response::default() };
        }
        let outcomes = members.iter().map(|member| ResponseMember {
            member_id: member.member_id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            error_code: self.leave_one(member, step),
        });
        Response { members: outcomes.collect(), ..Response::default() }
    }

    fn leave_one(&mut self, leaving: &RequestMember, step: &mut Step<'_, A>) -> ErrorCode {
        let id = &leaving.member_id;
        let instance = leaving.group_instance_id.as_ref();
        if !id.is_empty() && self.is_fenced(id, instance) {
            return ErrorCode::FENCED_INSTANCE_ID;
        }
        if !self.members.contains_key(id) && self.pending_members.remove(id).is_some() {
            self.complete_join_if_all_joined(step);
            return ErrorCode::NONE;
        }
        let known = instance.and_then(|instance| self.static_members.get(instance));
        let known: Option<Str> = known.or_else(|| self.members.get_key_value(id).map(|(id, _)| id)).cloned();
        let Some(id) = known else { return ErrorCode::UNKNOWN_MEMBER_ID };
        step.log.push(format!("Member {id} has left group {}", self.id));
        self.remove_and_rebalance(&id, "a member left", step);
        ErrorCode::NONE
    }
}
