//! The thread that writes the log.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::appender::{Appender, Sink};
use super::{Level, Record};

/// Bytes of messages that may wait; beyond, lines are counted and lost.
const WAITING_MAX: usize = 8 << 20;
/// What a record costs beside its text.
const RECORD_LENGTH: usize = 128;

pub(super) struct Writer {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something is queued, or the writer is dropped.
    some: Condvar,
    /// All that was queued is written.
    none: Condvar,
}

#[derive(Default)]
struct Queue {
    records: VecDeque<(Record, Vec<usize>)>,
    length: usize,
    lost: u64,
    writing: bool,
    ended: bool,
}

impl Writer {
    pub(super) fn start(appenders: Vec<Appender>) -> io::Result<Self> {
        let sinks = appenders.into_iter().map(Sink::open).collect();
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(sinks))?;
        Ok(Self { shared })
    }

    /// Queues a record for the appenders of these numbers.
    pub(super) fn push(&self, record: Record, appenders: Vec<usize>) {
        let length = record.message.len() + record.exception.as_ref().map_or(0, String::len) + RECORD_LENGTH;
        let mut queue = self.shared.queue.lock();
        if queue.length + length > WAITING_MAX {
            queue.lost += 1;
            return;
        }
        queue.length += length;
        queue.records.push_back((record, appenders));
        let sleeping = !queue.writing;
        drop(queue);
        if sleeping {
            self.shared.some.notify_one();
        }
    }

    pub(super) fn flush(&self) {
        let mut queue = self.shared.queue.lock();
        while queue.writing || !queue.records.is_empty() {
            self.shared.none.wait(&mut queue);
        }
    }

    /// Gives up when the time is over: the thread that asks may be the writer's own, or hold its queue.
    pub(super) fn flush_within(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let Some(mut queue) = self.shared.queue.try_lock_until(end) else { return };
        while queue.writing || !queue.records.is_empty() {
            if self.shared.none.wait_until(&mut queue, end).timed_out() {
                return;
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.flush();
        self.shared.queue.lock().ended = true;
        self.shared.some.notify_one();
    }
}

impl Shared {
    fn run(&self, mut sinks: Vec<Sink>) {
        let mut batch = VecDeque::new();
        loop {
            let mut queue = self.queue.lock();
            queue.writing = false;
            while queue.records.is_empty() {
                self.none.notify_all();
                if queue.ended {
                    return;
                }
                self.some.wait(&mut queue);
            }
            queue.writing = true;
            std::mem::swap(&mut batch, &mut queue.records);
            queue.length = 0;
            let lost = std::mem::take(&mut queue.lost);
            drop(queue);
            if lost > 0
                && let Some((last, appenders)) = batch.back()
            {
                let message = format!("{lost} lines were lost here: the log could not be written fast enough");
                let told = Record { level: Level::Warn, message: message.into(), exception: None, ..last.clone() };
                batch.push_back((told, appenders.clone()));
            }
            for (record, appenders) in batch.drain(..) {
                for number in appenders {
                    if let Some(sink) = sinks.get_mut(number) {
                        sink.write(&record);
                    }
                }
            }
            sinks.iter_mut().for_each(Sink::flush);
        }
    }
}
