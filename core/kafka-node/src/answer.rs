//! The answer to one request: its place in the connection's order, filled at once or later, from any thread.

use std::sync::Arc;
use std::task::Waker;

use base::Parts;
use kafka_proto::{ApiKey, Message, frame};
use parking_lot::Mutex;

/// How a request ends.
#[derive(Debug)]
pub(crate) enum Ending {
    /// With these bytes.
    Reply(Parts),
    /// With no bytes at all: Produce with acks 0.
    Silence,
    /// With the end of the connection, for this reason.
    Close(String),
}

/// Where an answer is put and the connection looks for it.
#[derive(Debug)]
pub(crate) struct Slot(Mutex<SlotState>, Mutex<Option<Withdrawal>>);

/// Takes a parked request out of its lists, for a connection that is gone.
struct Withdrawal(Box<dyn FnOnce() + Send>);

impl std::fmt::Debug for Withdrawal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Withdrawal")
    }
}

#[derive(Debug)]
enum SlotState {
    /// Being handled on the connection's own thread.
    Open,
    /// The connection went on to other work, and wants to be woken.
    Parked(Waker),
    Done(Ending),
    Taken,
    /// The connection is gone, and with it whoever would take the ending.
    Abandoned,
}

impl Slot {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(SlotState::Open), Mutex::new(None)))
    }

    /// The slot for another request, if nobody else has it any more.
    pub(crate) fn again(mut slot: Arc<Self>) -> Option<Arc<Self>> {
        let Self(state, withdrawal) = Arc::get_mut(&mut slot)?;
        *state.get_mut() = SlotState::Open;
        *withdrawal.get_mut() = None;
        Some(slot)
    }

    /// Takes the ending, if it is there; otherwise asks for a wake-up when it is.
    pub(crate) fn take_or_park(&self, waker: &Waker) -> Option<Ending> {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, SlotState::Taken) {
            SlotState::Done(ending) => Some(ending),
            // Nobody asks again.
            SlotState::Taken | SlotState::Abandoned => None,
            SlotState::Open | SlotState::Parked(_) => {
                *state = SlotState::Parked(waker.clone());
                None
            }
        }
    }

    fn put(&self, ending: Ending) {
        let mut state = self.0.lock();
        if matches!(*state, SlotState::Abandoned) {
            return;
        }
        let before = std::mem::replace(&mut *state, SlotState::Done(ending));
        drop(state);
        if let SlotState::Parked(waker) = before {
            waker.wake();
        }
    }

    /// The connection is gone: the request is withdrawn if it is parked, and answered to nobody if not.
    pub(crate) fn abandon(&self) {
        *self.0.lock() = SlotState::Abandoned;
        self.withdraw();
    }

    /// Says how to withdraw the request, which is parked by now: done when its connection is gone. Not for a request that changes
    /// something besides its answer.
    pub(crate) fn withdraw_by(&self, withdraw: impl FnOnce() + Send + 'static) {
        *self.1.lock() = Some(Withdrawal(Box::new(withdraw)));
        if matches!(*self.0.lock(), SlotState::Abandoned) {
            self.withdraw();
        }
    }

    fn withdraw(&self) {
        // Out of the lock: the request that is dropped looks at its slot.
        let withdrawal = self.1.lock().take();
        if let Some(Withdrawal(withdraw)) = withdrawal {
            withdraw();
        }
    }
}

/// The right, and the duty, to answer one request. Dropping it unanswered closes the connection, so that a client never
/// waits for an answer that nobody owes.
#[derive(Debug)]
pub(crate) struct Answer {
    slot: Option<Arc<Slot>>,
    key: ApiKey,
    version: i16,
    correlation_id: i32,
}

impl Answer {
    pub(crate) fn new(slot: Arc<Slot>, key: ApiKey, version: i16, correlation_id: i32) -> Self {
        Self { slot: Some(slot), key, version, correlation_id }
    }

    /// Where the answer goes, for whoever withdraws the request.
    pub(crate) fn slot(&self) -> Option<Arc<Slot>> {
        self.slot.clone()
    }

    /// Answers. What can't be encoded in the version is a fault of ours and ends the connection.
    pub(crate) fn send<M: Message>(self, response: &M) {
        self.send_as(response, None);
    }

    /// Answers in another version than the request's: ApiVersions, when it was asked in one that is not known.
    pub(crate) fn send_as<M: Message>(mut self, response: &M, version: Option<i16>) {
        let version = version.unwrap_or(self.version);
        let ending = match frame::response(response, self.key, version, self.correlation_id) {
            Ok(parts) => Ending::Reply(parts),
            Err(error) => Ending::Close(format!("the answer to {:?} can't be encoded: {error}", self.key)),
        };
        self.end(ending);
    }

    /// Lets the request end without an answer.
    pub(crate) fn silence(mut self) {
        self.end(Ending::Silence);
    }

    /// Ends the connection.
    pub(crate) fn close(mut self, reason: impl Into<String>) {
        self.end(Ending::Close(reason.into()));
    }

    fn end(&mut self, ending: Ending) {
        if let Some(slot) = self.slot.take() {
            slot.put(ending);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.slot.is_some() {
            self.end(Ending::Close(format!("a {:?} request was dropped unanswered", self.key)));
        }
    }
}
