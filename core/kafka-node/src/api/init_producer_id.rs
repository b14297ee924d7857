//! InitProducerId (key 22, versions 0 to 4): an id for an idempotent producer.
//!
//! Transactions are not served yet: a request with a transactional id is refused with a code that ends the producer instead of
//! keeping it waiting. Without one every request gets a new id, whatever id and epoch it names.

use kafka_proto::ErrorCode;
use kafka_proto::messages::init_producer_id::{Request, Response};

use crate::answer::Answer;
use crate::dispatch::Context;

#[expect(clippy::needless_pass_by_value, reason = "all handlers have one signature")]
pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let failed = |error_code| Response { error_code, producer_id: -1, producer_epoch: -1, ..Response::default() };
    if request.transactional_id.as_deref() == Some("") {
        return answer.send(&failed(ErrorCode::INVALID_REQUEST));
    }
    if request.transactional_id.is_some() {
        tracing::warn!(
            target: "kafka.server.KafkaApis",
            "client {} asked for transactions, which this broker does not serve yet",
            context.client_id.as_deref().unwrap_or_default()
        );
        return answer.send(&failed(ErrorCode::UNSUPPORTED_VERSION));
    }
    if (request.producer_id < 0) != (request.producer_epoch < 0) {
        return answer.send(&failed(ErrorCode::INVALID_REQUEST));
    }
    context.broker.with_producer_id(move |id| match id {
        Some(producer_id) => answer.send(&Response { producer_id, producer_epoch: 0, ..Response::default() }),
        None => answer.send(&failed(ErrorCode::COORDINATOR_NOT_AVAILABLE)),
    });
}
