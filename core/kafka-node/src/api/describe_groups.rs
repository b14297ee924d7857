//! DescribeGroups (key 15, versions 0 to 5): state, assignor and members of groups.
//!
//! A group that does not exist is `Dead`, without an error.

use base::Str;
use kafka_proto::ErrorCode;
use kafka_proto::messages::describe_groups::{Group, Member, Request, Response};

use crate::answer::Answer;
use crate::api::GroupCall;
use crate::dispatch::Context;

/// Without an authorizer everything is allowed: bits of Read, Delete, Describe (KIP-430).
const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8;

#[expect(clippy::needless_pass_by_value, reason = "every handler is given its request")]
pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let groups = request.groups.iter().map(|id| {
        let mut group = describe(context, id);
        if request.include_authorized_operations && group.error_code.is_none() {
            group.authorized_operations = GROUP_OPERATIONS;
        }
        group
    });
    answer.send(&Response { groups: groups.collect(), ..Response::default() });
}

fn describe(context: &Context<'_>, id: &Str) -> Group {
    let named = Group { group_id: id.clone(), ..Group::default() };
    let description = match context.any_group(id) {
        Err(error_code) => return Group { error_code, ..named },
        Ok(None) => return Group { group_state: Str::from_static("Dead"), ..named },
        Ok(Some(entry)) => entry.look(kafka_coord::Group::describe),
    };
    let members = description.members.into_iter().map(|member| Member {
        member_id: member.member_id,
        group_instance_id: member.instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    });
    Group {
        error_code: ErrorCode::NONE,
        group_state: Str::from_static(description.state.name()),
        protocol_type: description.protocol_type,
        protocol_data: description.protocol,
        members: members.collect(),
        ..named
    }
}
