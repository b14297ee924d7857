//! Produce requests with acks=all that wait for their replicas (upstream: `DelayedProduce`).

use crate::ReplicaError;
use crate::purgatory::Delayed;

/// What a partition says to a produce request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// Some replica lacks the records.
    Waiting,
    /// All have them.
    Done,
    /// They will not be acknowledged.
    Failed(ReplicaError),
}

/// A partition as a waiting produce request sees it.
pub trait AckPartition {
    /// Whether the records before `required` are acknowledged: [`crate::Replica::acknowledged`] under the partition's
    /// lock, or `Failed` if the broker has lost the partition.
    fn acknowledged(&self, required: i64) -> Acknowledged;
}

/// One partition of a produce request.
#[derive(Clone, Debug)]
pub struct ProduceWait<P> {
    /// The partition.
    pub partition: P,
    /// The offset behind the last record appended to it.
    pub required: i64,
    /// What was found last; one that is not `Waiting` stays.
    pub acknowledged: Acknowledged,
}

impl<P> ProduceWait<P> {
    /// Waits for all in-sync replicas to have the records before `required`.
    pub const fn new(partition: P, required: i64) -> Self {
        Self { partition, required, acknowledged: Acknowledged::Waiting }
    }
}

/// A produce request that waits: when every partition is done or has failed, it is answered. `R` is what the answer
/// needs. A partition that is still `Waiting` when it expires gets REQUEST_TIMED_OUT (7).
#[derive(Clone, Debug)]
pub struct DelayedProduce<P, R> {
    /// The partitions that were appended to; those whose append failed need no waiting.
    pub waits: Vec<ProduceWait<P>>,
    /// For the answer.
    pub reply: R,
}

impl<P: AckPartition, R> Delayed for DelayedProduce<P, R> {
    fn is_ready(&mut self) -> bool {
        let mut ready = true;
        for wait in &mut self.waits {
            if wait.acknowledged == Acknowledged::Waiting {
                wait.acknowledged = wait.partition.acknowledged(wait.required);
                ready &= wait.acknowledged != Acknowledged::Waiting;
            }
        }
        ready
    }
}
