//! Heartbeat (key 12, versions 0 to 4): a member lives, and learns of rebalances.
//!
//! While the group is loaded every heartbeat is fine.

use kafka_proto::ErrorCode;
use kafka_proto::messages::heartbeat::{Request, Response};

use crate::answer::Answer;
use crate::api::{GroupCall, static_members_allowed};
use crate::dispatch::Context;

#[expect(clippy::needless_pass_by_value, reason = "every handler is given its request")]
pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let error_code = if request.group_instance_id.is_some() && !static_members_allowed(context) {
        ErrorCode::UNSUPPORTED_VERSION
    } else {
        match context.group(&request.group_id, false) {
            Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS) => ErrorCode::NONE,
            Err(error) => error,
            Ok(None) => ErrorCode::UNKNOWN_MEMBER_ID,
            Ok(Some(entry)) => {
                let now = context.now;
                context.broker.step_group(&entry, now, |group, _| group.heartbeat(&request, now))
            }
        }
    };
    answer.send(&Response { error_code, ..Response::default() });
}
