//! Waiting lists, deadlines, fetches that wait, and contention.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use crate::{
    AckPartition, Acknowledged, Available, DelayedFetch, DelayedProduce, FetchPartition, FetchWait, Park, Position,
    ProduceWait, Purgatory, ReplicaError, WaitingList, available,
};
use base::Monotonic;

/// A partition with a high watermark and nothing else.
#[derive(Default)]
struct Watermark(AtomicI64);

impl AckPartition for Arc<Watermark> {
    fn acknowledged(&self, required: i64) -> Acknowledged {
        match self.0.load(Ordering::SeqCst) {
            -1 => Acknowledged::Failed(ReplicaError::NotLeader),
            high if high >= required => Acknowledged::Done,
            _ => Acknowledged::Waiting,
        }
    }
}

type Produce = DelayedProduce<Arc<Watermark>, &'static str>;

fn produce(reply: &'static str, waits: &[(&Arc<Watermark>, i64)]) -> Produce {
    let wait = |&(partition, required): &(&Arc<Watermark>, i64)| ProduceWait::new(Arc::clone(partition), required);
    DelayedProduce { waits: waits.iter().map(wait).collect(), reply }
}

fn woken(list: &WaitingList<Produce>) -> Vec<&'static str> {
    let mut replies = Vec::new();
    list.wake(|done| replies.push(done.reply));
    replies
}

#[test]
fn a_request_that_is_ready_does_not_wait() {
    let (purgatory, list) = (Purgatory::default(), WaitingList::default());
    let partition = Arc::new(Watermark(AtomicI64::new(5)));
    let park = purgatory.park(produce("a", &[(&partition, 5)]), Monotonic::from_ms(10), [&list]);
    assert!(matches!(park, Park::Ready(Produce { reply: "a", .. })));
    assert!(purgatory.is_empty());
    assert!(woken(&list).is_empty() && list.is_empty());
}

#[test]
fn a_request_of_two_partitions_waits_for_both() {
    let (purgatory, lists) = (Purgatory::default(), [WaitingList::default(), WaitingList::default()]);
    let partitions = [Arc::new(Watermark::default()), Arc::new(Watermark::default())];
    let operation = produce("both", &[(&partitions[0], 3), (&partitions[1], 4)]);
    assert!(matches!(purgatory.park(operation, Monotonic::from_ms(10), &lists), Park::Waiting(_)));
    partitions[0].0.store(3, Ordering::SeqCst);
    assert!(woken(&lists[0]).is_empty());
    partitions[1].0.store(9, Ordering::SeqCst);
    assert_eq!(woken(&lists[1]), ["both"]);
    assert!(woken(&lists[0]).is_empty() && lists[0].is_empty());
    assert!(purgatory.is_empty(), "its timer is gone");
}

#[test]
fn what_was_found_stays_found() {
    let (purgatory, list) = (Purgatory::default(), WaitingList::default());
    let partitions = [Arc::new(Watermark::default()), Arc::new(Watermark::default())];
    let operation = produce("a", &[(&partitions[0], 3), (&partitions[1], 4)]);
    assert!(matches!(purgatory.park(operation, Monotonic::from_ms(10), [&list]), Park::Waiting(_)));
    partitions[0].0.store(3, Ordering::SeqCst);
    assert!(woken(&list).is_empty());
    // Acknowledged before the leader changed.
    partitions[0].0.store(-1, Ordering::SeqCst);
    partitions[1].0.store(-1, Ordering::SeqCst);
    let mut done = Vec::new();
    list.wake(|operation: Produce| done.extend(operation.waits.iter().map(|wait| wait.acknowledged)));
    assert_eq!(done, [Acknowledged::Done, Acknowledged::Failed(ReplicaError::NotLeader)]);
}

#[test]
fn deadlines_complete_what_is_left_and_only_that() {
    let (purgatory, list) = (Purgatory::default(), WaitingList::default());
    let partition = Arc::new(Watermark::default());
    for (reply, required, deadline) in [("late", 7, 30), ("done", 1, 10), ("early", 7, 20)] {
        let _ = purgatory.park(produce(reply, &[(&partition, required)]), Monotonic::from_ms(deadline), [&list]);
    }
    partition.0.store(1, Ordering::SeqCst);
    assert_eq!(woken(&list), ["done"]);
    assert_eq!(purgatory.next_deadline(), Some(Monotonic::from_ms(20)));
    let mut expired = Vec::new();
    purgatory.expire(Monotonic::from_ms(20), |operation: Produce| expired.push(operation));
    assert_eq!(expired.len(), 1);
    assert_eq!((expired[0].reply, expired[0].waits[0].acknowledged), ("early", Acknowledged::Waiting));
    partition.0.store(7, Ordering::SeqCst);
    assert_eq!(woken(&list), ["late"]);
    assert_eq!(purgatory.next_deadline(), None);
}

#[test]
fn a_connection_that_closes_takes_its_request_back() {
    let (purgatory, list) = (Purgatory::default(), WaitingList::default());
    let partition = Arc::new(Watermark::default());
    let park = purgatory.park(produce("a", &[(&partition, 1)]), Monotonic::from_ms(10), [&list]);
    let Park::Waiting(ticket) = park else { panic!("it waits") };
    assert!(ticket.cancel().is_some() && ticket.cancel().is_none());
    partition.0.store(1, Ordering::SeqCst);
    assert!(woken(&list).is_empty() && purgatory.is_empty());
}

#[test]
fn the_list_of_an_idle_partition_does_not_grow() {
    let (purgatory, busy, idle) = (Purgatory::default(), WaitingList::default(), WaitingList::default());
    let partition = Arc::new(Watermark::default());
    for required in 1..10_000 {
        let operation = produce("a", &[(&partition, required)]);
        assert!(matches!(purgatory.park(operation, Monotonic::from_ms(10), [&busy, &idle]), Park::Waiting(_)));
        partition.0.store(required, Ordering::SeqCst);
        assert_eq!(woken(&busy).len(), 1);
    }
    assert!(idle.len() <= 16);
}

/// A partition with one segment of ten bytes a record, whose end is looked at so many times.
#[derive(Clone)]
struct Records(Arc<(AtomicI64, AtomicI64)>, FetchWait);

impl Records {
    fn from(offset: i64) -> Self {
        let wait =
            FetchWait { start: position(offset, 0), bytes_max: 25, leader_epoch: None, last_fetched_epoch: None };
        Self(Arc::new((AtomicI64::new(offset), AtomicI64::new(0))), wait)
    }

    fn end(&self, offset: i64) {
        self.0.0.store(offset, Ordering::SeqCst);
    }

    fn looks(&self) -> i64 {
        self.0.1.load(Ordering::SeqCst)
    }
}

fn position(offset: i64, segment: i64) -> Position {
    Position { offset, segment, byte: (offset - segment) as u64 * 10 }
}

impl FetchPartition for Records {
    fn available(&self) -> Available {
        self.0.1.fetch_add(1, Ordering::SeqCst);
        available(&self.1.start, &position(self.0.0.load(Ordering::SeqCst), 0), self.1.bytes_max)
    }
}

#[test]
fn a_fetch_waits_for_its_bytes_over_all_partitions() {
    let (purgatory, lists) = (Purgatory::default(), [WaitingList::default(), WaitingList::default()]);
    let partitions = [Records::from(5), Records::from(5)];
    let fetch = DelayedFetch::new(partitions.to_vec(), 30, ());
    assert!(matches!(purgatory.park(fetch, Monotonic::from_ms(500), &lists), Park::Waiting(_)));
    let mut completed = 0;
    partitions[0].end(100);
    lists[0].wake(|_| completed += 1);
    lists[0].wake(|_| completed += 1);
    assert_eq!(completed, 0, "the limit of one partition is 25 bytes");
    partitions[1].end(6);
    lists[1].wake(|_| completed += 1);
    assert_eq!(completed, 1);
}

#[test]
fn news_of_one_partition_cost_a_look_at_one() {
    let (purgatory, lists) = (Purgatory::default(), [WaitingList::default(), WaitingList::default()]);
    let partitions = [Records::from(5), Records::from(5)];
    let fetch = DelayedFetch::new(partitions.to_vec(), 1, ());
    assert!(matches!(purgatory.park(fetch, Monotonic::from_ms(500), &lists), Park::Waiting(_)));
    for _ in 0..10 {
        lists[1].wake(|_| panic!("nothing has come"));
    }
    assert_eq!((partitions[0].looks(), partitions[1].looks()), (1, 11));
}

#[test]
fn another_segment_asks_for_an_answer() {
    let cases = [
        (position(5, 0), position(5, 5), Available::Bytes(0)),
        (position(5, 0), position(9, 5), Available::Now),
        (position(9, 5), position(3, 0), Available::Now),
        (position(5, 0), position(9, 0), Available::Bytes(40)),
        (position(9, 0), position(5, 0), Available::Bytes(0)),
    ];
    for (start, end, wanted) in cases {
        assert_eq!(available(&start, &end, 1000), wanted, "{start:?} {end:?}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "contention is what is tested")]
fn under_contention_each_request_is_completed_once_and_none_is_lost() {
    const REQUESTS: i64 = 4000;
    let purgatories = Arc::new([Purgatory::<Produce>::default(), Purgatory::default()]);
    let list = Arc::new(WaitingList::<Produce>::default());
    let partition = Arc::new(Watermark::default());
    let completed = Arc::new(AtomicUsize::new(0));
    let parkers: Vec<_> = (0..2)
        .map(|loop_index: usize| {
            let (purgatories, list, partition, completed) =
                (Arc::clone(&purgatories), Arc::clone(&list), Arc::clone(&partition), Arc::clone(&completed));
            std::thread::spawn(move || {
                for _ in 0..REQUESTS {
                    // "Append", then wait for someone to raise the watermark over it.
                    let required = partition.0.load(Ordering::SeqCst) + 1;
                    let operation = produce("x", &[(&partition, required)]);
                    let park = purgatories[loop_index].park(operation, Monotonic::from_ms(10), [&*list]);
                    if matches!(park, Park::Ready(_)) {
                        completed.fetch_add(1, Ordering::SeqCst);
                    }
                    partition.0.fetch_add(1, Ordering::SeqCst);
                    list.wake(|_| {
                        completed.fetch_add(1, Ordering::SeqCst);
                    });
                }
            })
        })
        .collect();
    for parker in parkers {
        parker.join().unwrap();
    }
    // Whoever raised the watermark last has woken everyone whom it reached.
    assert_eq!(completed.load(Ordering::SeqCst), 2 * REQUESTS as usize);
    assert!(purgatories.iter().all(Purgatory::is_empty));
}
