//! Requests that wait, and who wakes them (upstream: `DelayedOperationPurgatory`).
//!
//! A parked request stands in the list of each partition it waits for and among the timers. Whoever finds it ready
//! takes it out, once; the other places forget it later. Locks are taken in one order: a parked request, then a
//! partition (while it looks whether it is ready), and lists and timers alone; so a list must not be woken with a
//! partition's lock held.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use base::{Monotonic, TimerKey, Timers};
use parking_lot::Mutex;

/// A request that may have to wait.
pub trait Delayed {
    /// Looks whether the wait is over. Takes the locks of partitions, one at a time.
    fn is_ready(&mut self) -> bool;

    /// Looks again since something happened where it waits: in the list of this place among those that it was parked in.
    fn is_ready_at(&mut self, _place: usize) -> bool {
        self.is_ready()
    }
}

type SharedTimers<T> = Mutex<Timers<Arc<Parked<T>>>>;

#[derive(Debug)]
struct Parked<T> {
    /// Gone when it was completed.
    operation: Mutex<Option<T>>,
    /// Tells without the lock.
    done: AtomicBool,
    /// Where its deadline stands.
    timers: Weak<SharedTimers<T>>,
    timer: Mutex<Option<TimerKey>>,
}

impl<T> Parked<T> {
    fn take(&self) -> Option<T> {
        let taken = self.operation.lock().take();
        self.done.store(true, Ordering::Release);
        self.forget_timer();
        taken
    }

    fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    fn forget_timer(&self) {
        let key = self.timer.lock().take();
        if let (Some(key), Some(timers)) = (key, self.timers.upgrade()) {
            timers.lock().cancel(key);
        }
    }
}

impl<T: Delayed> Parked<T> {
    fn take_if(&self, is_ready: impl FnOnce(&mut T) -> bool) -> Option<T> {
        if self.is_done() {
            return None;
        }
        let taken = {
            let mut operation = self.operation.lock();
            if !is_ready(operation.as_mut()?) {
                return None;
            }
            self.done.store(true, Ordering::Release);
            operation.take()
        };
        self.forget_timer();
        taken
    }
}

/// A parked request, for whoever may want it back: a connection that closes.
#[derive(Debug)]
pub struct Ticket<T>(Arc<Parked<T>>);

impl<T> Ticket<T> {
    /// Takes the request back, to answer it early or never; `None` if it was completed.
    pub fn cancel(&self) -> Option<T> {
        self.0.take()
    }
}

/// The requests that wait for one partition (or group): one list for each kind of request.
#[derive(Debug)]
pub struct WaitingList<T>(Mutex<List<T>>);

#[derive(Debug)]
struct List<T> {
    parked: Vec<Waiting<T>>,
    /// At this length the done ones are dropped: twice the length after the last time, so that it costs little.
    sweep_at: usize,
}

/// A parked request, and which of its lists this is.
#[derive(Debug)]
struct Waiting<T> {
    parked: Arc<Parked<T>>,
    place: usize,
}

impl<T> Clone for Waiting<T> {
    fn clone(&self) -> Self {
        Self { parked: Arc::clone(&self.parked), place: self.place }
    }
}

impl<T> Default for WaitingList<T> {
    fn default() -> Self {
        Self(Mutex::new(List { parked: Vec::new(), sweep_at: 8 }))
    }
}

impl<T> WaitingList<T> {
    fn add(&self, waiting: Waiting<T>) {
        let mut list = self.0.lock();
        if list.parked.len() >= list.sweep_at {
            list.parked.retain(|one| !one.parked.is_done());
            list.sweep_at = (2 * list.parked.len()).max(8);
        }
        list.parked.push(waiting);
    }

    /// Whether nobody waits here. Cheap: to be asked before a wake.
    pub fn is_empty(&self) -> bool {
        self.0.lock().parked.is_empty()
    }

    /// How many entries the list has; some may be done.
    pub fn len(&self) -> usize {
        self.0.lock().parked.len()
    }
}

impl<T: Delayed> WaitingList<T> {
    /// Hands every request that is ready to `complete`. Called after an append, an advance of the high watermark, a
    /// change of leader; never with a partition's lock held.
    pub fn wake(&self, mut complete: impl FnMut(T)) {
        // The list is not locked while requests look at their partitions, or are answered.
        let parked = self.0.lock().parked.clone();
        if parked.is_empty() {
            return;
        }
        for one in &parked {
            if let Some(operation) = one.parked.take_if(|operation| operation.is_ready_at(one.place)) {
                complete(operation);
            }
        }
        self.0.lock().parked.retain(|one| !one.parked.is_done());
    }
}

/// What became of a request that was to be parked.
#[derive(Debug)]
pub enum Park<T> {
    /// It was ready after all: answer it.
    Ready(T),
    /// It waits.
    Waiting(Ticket<T>),
}

/// The deadlines of parked requests of one kind. One for each event loop, so that loops don't meet at its lock.
#[derive(Debug)]
pub struct Purgatory<T> {
    timers: Arc<SharedTimers<T>>,
}

impl<T> Default for Purgatory<T> {
    fn default() -> Self {
        Self { timers: Arc::default() }
    }
}

impl<T: Delayed> Purgatory<T> {
    /// Parks a request in `lists` until it is ready or `deadline` comes; then looks again, since what it waits for
    /// may have happened before it stood in the lists.
    pub fn park<'a>(
        &self,
        operation: T,
        deadline: Monotonic,
        lists: impl IntoIterator<Item = &'a WaitingList<T>>,
    ) -> Park<T>
    where
        T: 'a,
    {
        let parked = Arc::new(Parked {
            operation: Mutex::new(Some(operation)),
            done: AtomicBool::new(false),
            timers: Arc::downgrade(&self.timers),
            timer: Mutex::new(None),
        });
        let key = self.timers.lock().insert(deadline, Arc::clone(&parked));
        *parked.timer.lock() = Some(key);
        for (place, list) in lists.into_iter().enumerate() {
            list.add(Waiting { parked: Arc::clone(&parked), place });
        }
        match parked.take_if(Delayed::is_ready) {
            Some(operation) => Park::Ready(operation),
            None => Park::Waiting(Ticket(parked)),
        }
    }
}

impl<T> Purgatory<T> {
    /// Hands every request whose deadline has come to `complete`.
    pub fn expire(&self, now: Monotonic, mut complete: impl FnMut(T)) {
        loop {
            let Some(due) = self.timers.lock().pop_due(now) else { return };
            if let Some(operation) = due.take() {
                complete(operation);
            }
        }
    }

    /// When to call [`Purgatory::expire`] next.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.timers.lock().next_deadline()
    }

    /// How many requests wait.
    pub fn len(&self) -> usize {
        self.timers.lock().len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
