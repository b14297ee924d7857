//! DeleteGroups (key 42, versions 0 to 2): removes groups without members, and their offsets.
//!
//! Answered when the removal is logged; the original says "done" even where that failed.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::Str;
use kafka_coord::Reply;
use kafka_proto::ErrorCode;
use kafka_proto::messages::delete_groups::{Outcome, Request, Response};

use crate::answer::Answer;
use crate::api::GroupCall;
use crate::dispatch::Context;
use crate::gather::Gather;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let gather = Gather::new(Vec::new(), move |results| answer.send(&Response { results, ..Response::default() }));
    let names: BTreeSet<Str> = request.group_names.into_iter().collect();
    for id in names {
        let entry = match context.any_group(&id) {
            Err(error) => {
                gather.add(outcome(id, error));
                continue;
            }
            Ok(None) => {
                gather.add(outcome(id, ErrorCode::GROUP_ID_NOT_FOUND));
                continue;
            }
            Ok(Some(entry)) => entry,
        };
        let gather = Arc::clone(&gather);
        let then = Box::new(move |reply| {
            let error = if let Reply::Delete(error) = reply { error } else { ErrorCode::UNKNOWN_SERVER_ERROR };
            gather.add(outcome(id, error));
        });
        context.broker.step_group(&entry, context.now, |group, step| group.delete(then, step));
    }
}

fn outcome(group_id: Str, error_code: ErrorCode) -> Outcome {
    Outcome { group_id, error_code }
}
