//! Requests that wait until this broker knows of a topic's partitions, or of its end (upstream:
//! `DelayedCreatePartitions`, `DelayedDeleteTopics`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{Now, TimerKey};
use parking_lot::Mutex;

use crate::broker::Broker;
use crate::metadata::Metadata;

/// Requests that are looked at again whenever the metadata changes.
#[derive(Default)]
pub(crate) struct TopicWaits {
    waits: Mutex<Vec<Wait>>,
    serial: AtomicU64,
}

/// Called once: with `true` when it is ready, with `false` when the time is over.
type Then = Box<dyn FnOnce(&Arc<Broker>, bool) + Send>;

struct Wait {
    serial: u64,
    timer: Option<TimerKey>,
    ready: Box<dyn Fn(&Metadata) -> bool + Send>,
    then: Then,
}

impl TopicWaits {
    /// Calls `then(broker, true)` as soon as `ready` holds, at once if it does now; `then(broker, false)` after `timeout_ms`.
    pub(crate) fn wait(
        broker: &Arc<Broker>,
        timeout_ms: u64,
        now: Now,
        ready: impl Fn(&Metadata) -> bool + Send + 'static,
        then: impl FnOnce(&Arc<Broker>, bool) + Send + 'static,
    ) {
        let this = &broker.topic_waits;
        let serial = this.serial.fetch_add(1, Ordering::Relaxed);
        let wait = Wait { serial, timer: None, ready: Box::new(ready), then: Box::new(then) };
        this.waits.lock().push(wait);
        let timer = broker.schedule(now.monotonic.plus_ms(timeout_ms), move |broker, _| {
            if let Some(wait) = broker.topic_waits.take(serial) {
                (wait.then)(broker, false);
            }
        });
        if let Some(wait) = this.waits.lock().iter_mut().find(|wait| wait.serial == serial) {
            wait.timer = Some(timer);
        }
        // Parked first, looked at then: a change in between is not missed.
        Self::look_again(broker);
    }

    /// The metadata changed: completes what is ready. No lock is held while it completes.
    pub(crate) fn look_again(broker: &Arc<Broker>) {
        let ready = {
            let metadata = broker.metadata.read();
            let mut waits = broker.topic_waits.waits.lock();
            let (ready, waiting): (Vec<Wait>, Vec<Wait>) = waits.drain(..).partition(|wait| (wait.ready)(&metadata));
            *waits = waiting;
            ready
        };
        for wait in ready {
            if let Some(timer) = wait.timer {
                broker.cancel(timer);
            }
            (wait.then)(broker, true);
        }
    }

    fn take(&self, serial: u64) -> Option<Wait> {
        let mut waits = self.waits.lock();
        let index = waits.iter().position(|wait| wait.serial == serial)?;
        Some(waits.remove(index))
    }
}
