//! JoinGroup (key 11, versions 0 to 7): a consumer becomes a member, or joins the next generation.
//!
//! Answered when all members have joined. From version 4 on a new dynamic member is told its id first (KIP-394).

use std::collections::BTreeSet;

use base::Str;
use kafka_coord::{Joiner, Reply};
use kafka_proto::ErrorCode;
use kafka_proto::messages::join_group::{Request, Response};

use crate::answer::Answer;
use crate::api::{GroupCall, static_members_allowed};
use crate::dispatch::Context;

pub(super) fn handle(context: &Context<'_>, mut request: Request, answer: Answer) {
    let broker = context.broker;
    let settings = broker.groups.settings(&broker.settings());
    let timeouts = settings.session_timeout_ms_min..=settings.session_timeout_ms_max;
    // The original never answers one that names a protocol twice, and its group is stuck.
    let mut names = BTreeSet::new();
    request.protocols.retain(|protocol| names.insert(protocol.name.clone()));
    let is_new = request.member_id.is_empty();
    let entry = match context.group(&request.group_id, is_new) {
        _ if request.group_instance_id.is_some() && !static_members_allowed(context) => {
            return refuse(context, ErrorCode::UNSUPPORTED_VERSION, Str::EMPTY, answer);
        }
        Err(error) => return refuse(context, error, request.member_id, answer),
        Ok(_) if !timeouts.contains(&request.session_timeout_ms) => {
            return refuse(context, ErrorCode::INVALID_SESSION_TIMEOUT, request.member_id, answer);
        }
        Ok(None) => return refuse(context, ErrorCode::UNKNOWN_MEMBER_ID, request.member_id, answer),
        Ok(Some(entry)) => entry,
    };
    let joiner = Joiner {
        client_id: context.client_id.clone().unwrap_or_default(),
        client_host: Str::from(format!("/{}", context.client.peer.ip())),
        unique: broker.with_random(base::Random::bytes_16),
        id_first: context.version >= 4,
    };
    let version = context.version;
    let then = Box::new(move |reply| match reply {
        Reply::Join(response) => send(version, response, answer),
        other => answer.close(format!("a join was answered with {other:?}")),
    });
    broker.step_group(&entry, context.now, |group, step| group.join(&request, &joiner, then, step));
}

fn refuse(context: &Context<'_>, error_code: ErrorCode, member_id: Str, answer: Answer) {
    send(context.version, Response { error_code, member_id, generation_id: -1, ..Response::default() }, answer);
}

fn send(version: i16, mut response: Response, answer: Answer) {
    if version < 7 {
        // The name may be null from version 7 on only.
        response.protocol_name.get_or_insert(Str::EMPTY);
    }
    answer.send(&response);
}
