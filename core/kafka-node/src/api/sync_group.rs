//! SyncGroup (key 14, versions 0 to 5): the leader brings the assignments, each member gets its own.
//!
//! Answered when the assignments are logged. While the group is loaded the answer is REBALANCE_IN_PROGRESS: older clients don't
//! expect that a group is being loaded here, and a rebalance is what follows anyway.

use kafka_coord::Reply;
use kafka_proto::ErrorCode;
use kafka_proto::messages::sync_group::{Request, Response};

use crate::answer::Answer;
use crate::api::{GroupCall, static_members_allowed};
use crate::dispatch::Context;

#[expect(clippy::needless_pass_by_value, reason = "every handler is given its request")]
pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let refuse = |error_code, answer: Answer| answer.send(&Response { error_code, ..Response::default() });
    if request.group_instance_id.is_some() && !static_members_allowed(context) {
        return refuse(ErrorCode::UNSUPPORTED_VERSION, answer);
    }
    if context.version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        return refuse(ErrorCode::INCONSISTENT_GROUP_PROTOCOL, answer);
    }
    let entry = match context.group(&request.group_id, false) {
        Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS) => return refuse(ErrorCode::REBALANCE_IN_PROGRESS, answer),
        Err(error) => return refuse(error, answer),
        Ok(None) => return refuse(ErrorCode::UNKNOWN_MEMBER_ID, answer),
        Ok(Some(entry)) => entry,
    };
    let then = Box::new(move |reply| match reply {
        Reply::Sync(response) => answer.send(&response),
        other => answer.close(format!("a sync was answered with {other:?}")),
    });
    context.broker.step_group(&entry, context.now, |group, step| group.sync(&request, then, step));
}
