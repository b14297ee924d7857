//! AlterIsr (key 56, version 0): a leader asks the controller to change the ISRs of its partitions (KIP-497).

use kafka_control::Answer as Answered;
use kafka_proto::messages::alter_isr::Request;

use crate::answer::Answer;
use crate::control::requests;
use crate::dispatch::Context;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    context.broker.ask_own_controller(requests::of_alter_isr(request), context.now, |_, answered, _| match answered {
        Answered::AlterIsr(result) => answer.send(&requests::alter_isr_response(result)),
        _ => answer.close("the controller's answer is to something else"),
    });
}
