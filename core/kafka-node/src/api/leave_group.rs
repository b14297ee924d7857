//! LeaveGroup (key 13, versions 0 to 4): members leave; from version 3 on several, and static ones by instance.

use kafka_proto::ErrorCode;
use kafka_proto::messages::leave_group::{Request, RequestMember, Response, ResponseMember};

use crate::answer::Answer;
use crate::api::GroupCall;
use crate::dispatch::Context;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let members = if context.version < 3 {
        vec![RequestMember { member_id: request.member_id, group_instance_id: None }]
    } else {
        request.members
    };
    let mut response = match context.group(&request.group_id, false) {
        Err(error_code) => Response { error_code, ..Response::default() },
        Ok(None) => Response { members: members.iter().map(unknown).collect(), ..Response::default() },
        Ok(Some(entry)) => context.broker.step_group(&entry, context.now, |group, step| group.leave(&members, step)),
    };
    if context.version < 3 {
        // Its only member's error is the request's.
        let member = response.members.first().map(|member| member.error_code);
        if let Some(error_code) = member.filter(|_| response.error_code.is_none()) {
            response.error_code = error_code;
        }
        response.members.clear();
    }
    answer.send(&response);
}

fn unknown(member: &RequestMember) -> ResponseMember {
    ResponseMember {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        error_code: ErrorCode::UNKNOWN_MEMBER_ID,
    }
}
