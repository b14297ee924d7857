//! ListGroups (key 16, versions 0 to 4): the groups that this broker coordinates; from version 4 on those in some states only
//! (KIP-518). While some are being loaded, the others come with COORDINATOR_LOAD_IN_PROGRESS.

use base::Str;
use kafka_proto::ErrorCode;
use kafka_proto::messages::list_groups::{Group, Request, Response};

use crate::answer::Answer;
use crate::dispatch::Context;

#[expect(clippy::needless_pass_by_value, reason = "every handler is given its request")]
pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let (entries, is_loading) = context.broker.all_groups();
    let groups = entries.iter().map(|entry| {
        entry.look(|group| Group {
            group_id: group.id().clone(),
            protocol_type: group.protocol_type(),
            group_state: Str::from_static(group.state().name()),
        })
    });
    let states = &request.states_filter;
    let groups = groups.filter(|group| states.is_empty() || states.contains(&group.group_state)).collect();
    let error_code = if is_loading { ErrorCode::COORDINATOR_LOAD_IN_PROGRESS } else { ErrorCode::NONE };
    answer.send(&Response { error_code, groups, ..Response::default() });
}
