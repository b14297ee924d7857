//! The purgatory under thousands of chosen orders of its threads: no request is lost, none is answered twice, nothing locks up.
//!
//! Its source is compiled here once more, against shuttle's locks under the name of `parking_lot`: a seed replays a failure.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(dead_code, unreachable_pub, reason = "the purgatory is a part of a crate that uses the rest of it")]

#[path = "../../../core/kafka-replica/src/purgatory.rs"]
mod purgatory;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::Monotonic;
use parking_lot::Mutex;
use purgatory::{Delayed, Park, Purgatory, Ticket, WaitingList};
use shuttle::scheduler::PctScheduler;
use shuttle::{Runner, thread};

const ORDERS: usize = 3000;

/// A partition: its lock guards the high watermark.
#[derive(Default)]
struct Partition {
    high_watermark: Mutex<u64>,
    waiting: WaitingList<Wait>,
}

/// Waits until each partition's high watermark has reached an offset.
struct Wait {
    partitions: Vec<Arc<Partition>>,
    required: u64,
    answered: Arc<AtomicUsize>,
}

impl Delayed for Wait {
    fn is_ready(&mut self) -> bool {
        self.partitions.iter().all(|partition| *partition.high_watermark.lock() >= self.required)
    }
}

impl Wait {
    fn new(partitions: &[Arc<Partition>], required: u64) -> (Self, Arc<AtomicUsize>) {
        let answered = Arc::default();
        (Self { partitions: partitions.to_vec(), required, answered: Arc::clone(&answered) }, answered)
    }

    /// An answer looks at the partitions again, as a fetch does: whoever completes a request must hold none of their locks.
    fn answer(self) {
        for partition in &self.partitions {
            drop(partition.high_watermark.lock());
        }
        self.answered.fetch_add(1, Ordering::SeqCst);
    }
}

fn park(purgatory: &Purgatory<Wait>, wait: Wait) -> Option<Ticket<Wait>> {
    let partitions = wait.partitions.clone();
    match purgatory.park(wait, Monotonic::from_ms(10), partitions.iter().map(|partition| &partition.waiting)) {
        Park::Ready(wait) => {
            wait.answer();
            None
        }
        Park::Waiting(ticket) => Some(ticket),
    }
}

fn advance(partition: &Partition) {
    *partition.high_watermark.lock() += 1;
    partition.waiting.wake(Wait::answer);
}

/// Two requests for two partitions are parked while both partitions advance: whoever comes last answers each.
#[test]
fn what_happens_while_a_request_is_parked_wakes_it() {
    let run = || {
        let purgatory = Arc::new(Purgatory::default());
        let partitions = [Arc::<Partition>::default(), Arc::default()];
        let mut threads = Vec::new();
        let mut requests = Vec::new();
        for required in 1..=2 {
            let (wait, answered) = Wait::new(&partitions, required);
            requests.push(answered);
            let purgatory = Arc::clone(&purgatory);
            threads.push(thread::spawn(move || drop(park(&purgatory, wait))));
        }
        for partition in &partitions {
            let partition = Arc::clone(partition);
            threads.push(thread::spawn(move || (0..2).for_each(|_| advance(&partition))));
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        for answered in requests {
            assert_eq!(answered.load(Ordering::SeqCst), 1);
        }
        assert!(purgatory.is_empty(), "no deadline is left behind");
    };
    shuttle::check_random_with_seed(run, 1, ORDERS);
    Runner::new(PctScheduler::new_from_seed(1, 3, ORDERS), shuttle::Config::default()).run(run);
}

/// An advance, the deadline and the connection's end want the same request: one gets it.
#[test]
fn one_of_all_who_want_a_request_gets_it() {
    let run = || {
        let purgatory = Arc::new(Purgatory::default());
        let partition = Arc::<Partition>::default();
        let (wait, answered) = Wait::new(&[Arc::clone(&partition)], 1);
        let Some(ticket) = park(&purgatory, wait) else { panic!("nothing has happened yet") };
        let advancing = thread::spawn(move || advance(&partition));
        let expiring = {
            let purgatory = Arc::clone(&purgatory);
            thread::spawn(move || purgatory.expire(Monotonic::from_ms(10), Wait::answer))
        };
        let closing = thread::spawn(move || {
            if let Some(wait) = ticket.cancel() {
                wait.answer();
            }
        });
        [advancing, expiring, closing].into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(answered.load(Ordering::SeqCst), 1);
        assert!(purgatory.is_empty());
    };
    shuttle::check_random_with_seed(run, 2, ORDERS);
}

/// A deadline that comes while the request is still on its way into the lists.
#[test]
fn a_deadline_may_come_while_a_request_is_parked() {
    let run = || {
        let purgatory = Arc::new(Purgatory::default());
        let partition = Arc::<Partition>::default();
        let (wait, answered) = Wait::new(&[Arc::clone(&partition)], 1);
        let expiring = {
            let purgatory = Arc::clone(&purgatory);
            thread::spawn(move || purgatory.expire(Monotonic::from_ms(10), Wait::answer))
        };
        drop(park(&purgatory, wait));
        expiring.join().unwrap();
        purgatory.expire(Monotonic::from_ms(10), Wait::answer);
        assert_eq!(answered.load(Ordering::SeqCst), 1);
        assert!(purgatory.is_empty());
        advance(&partition);
        assert_eq!((answered.load(Ordering::SeqCst), partition.waiting.len()), (1, 0));
    };
    shuttle::check_random_with_seed(run, 3, ORDERS);
}

/// The rule that callers keep, and the proof that these runs would see it broken.
#[test]
#[should_panic(expected = "deadlock")]
fn a_wake_under_a_partitions_lock_never_ends() {
    let run = || {
        let purgatory = Purgatory::default();
        let partition = Arc::<Partition>::default();
        let (wait, _) = Wait::new(&[Arc::clone(&partition)], 1);
        drop(park(&purgatory, wait));
        let mut high_watermark = partition.high_watermark.lock();
        *high_watermark += 1;
        partition.waiting.wake(Wait::answer);
    };
    shuttle::check_random_with_seed(run, 4, 1);
}
