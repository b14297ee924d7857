//! UpdateFeatures (key 57, version 0): a client sets the finalized levels of features (KIP-584), which the controller keeps.
//!
//! Before `inter.broker.protocol.version` 2.7-IV0 it is INVALID_REQUEST.

use base::Str;
use config::ApiVersion;
use kafka_control::{Answer as Answered, FeatureUpdate, Request as Asked};
use kafka_proto::ErrorCode;
use kafka_proto::messages::update_features::{Outcome, Request, Response};

use crate::answer::Answer;
use crate::dispatch::Context;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let is_controller = context.broker.active_controller_epoch().is_some();
    if is_controller && context.broker.settings().inter_broker_protocol < ApiVersion::V2_7_IV0 {
        let error_message = Some(Str::from_static("Feature versioning system is disabled."));
        return answer.send(&Response { error_code: ErrorCode::INVALID_REQUEST, error_message, ..Response::default() });
    }
    let updates = request.feature_updates.into_iter().map(|update| {
        let wish =
            FeatureUpdate { version_level_max: update.max_version_level, allow_downgrade: update.allow_downgrade };
        (update.feature.to_string(), wish)
    });
    let asked = Asked::UpdateFeatures(updates.collect());
    context.broker.ask_own_controller(asked, context.now, |_, answered, _| {
        let Answered::UpdateFeatures(result) = answered else {
            return answer.close("the controller's answer is to something else");
        };
        let results = match result {
            Ok(results) => results,
            Err(refusal) => {
                let error_message = refusal.message.map(Str::from);
                return answer.send(&Response { error_code: refusal.code, error_message, ..Response::default() });
            }
        };
        let outcome = |(feature, result): (String, Result<(), kafka_control::Refusal>)| {
            let (error_code, error_message) = match result {
                Ok(()) => (ErrorCode::NONE, None),
                Err(refusal) => (refusal.code, refusal.message.map(Str::from)),
            };
            Outcome { feature: Str::from(feature), error_code, error_message }
        };
        answer.send(&Response { results: results.into_iter().map(outcome).collect(), ..Response::default() });
    });
}
