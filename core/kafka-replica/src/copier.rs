//! How the copy of a log in another log directory comes up to the log (KIP-113; upstream: `ReplicaAlterLogDirsThread`).
//!
//! The copy follows the log as a follower follows its leader, with the log at hand: what an earlier start left of it is cut where leader
//! epochs say that the two part, and again whenever the log itself was cut. Then it takes record after record until both end alike.

use crate::ReplicaLog;
use crate::fetcher::truncation::target;

/// What is to be done with the copy next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyStep {
    /// Cut it to this offset.
    CutTo(i64),
    /// Drop all of it; it starts at this offset.
    RestartAt(i64),
    /// Append what the log has from this offset on.
    Fetch(i64),
    /// Nothing: it ends where the log does.
    Level,
}

/// Says what is to be done with one copy.
#[derive(Debug, Default)]
pub struct Copier {
    /// The count of the log's cuts at which the copy was found to be the log's beginning.
    agrees_since: Option<u64>,
}

impl Copier {
    /// The count of the log's cuts at which the two were last found to agree.
    pub const fn agrees_since(&self) -> Option<u64> {
        self.agrees_since
    }

    /// What is to be done now. `cuts` counts how often the log was cut; it is to be looked at before the log is.
    pub fn next(&mut self, copy: &impl ReplicaLog, log: &impl ReplicaLog, cuts: u64) -> CopyStep {
        if self.agrees_since != Some(cuts)
            && let Some(offset) = self.part_at(copy, log, cuts)
        {
            return CopyStep::CutTo(offset);
        }
        match copy.log_end() {
            end if end < log.log_start() => CopyStep::RestartAt(log.log_start()),
            end if end > log.log_end() => CopyStep::CutTo(log.log_end()),
            end if end == log.log_end() => CopyStep::Level,
            end => CopyStep::Fetch(end),
        }
    }

    /// Where the copy is to be cut so that it has nothing that the log has not, if anywhere.
    fn part_at(&mut self, copy: &impl ReplicaLog, log: &impl ReplicaLog, cuts: u64) -> Option<i64> {
        let found = match copy.latest_epoch() {
            // Without epochs, what was on all replicas is what is certain.
            None => target(copy.log_end(), |_| None, -1, -1, copy.high_watermark()),
            Some(epoch) => {
                let (epoch, end) = log.epoch_end(epoch).map_or((-1, -1), |end| (end.epoch, end.offset));
                target(copy.log_end(), |epoch| copy.epoch_end(epoch), epoch, end, copy.high_watermark())
            }
        };
        let is_cut = copy.is_changed_by_cut(found.offset);
        if found.is_last || !is_cut {
            self.agrees_since = Some(cuts);
        }
        is_cut.then_some(found.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EpochEnd;

    /// Where each epoch begins, rising.
    #[derive(Clone)]
    struct Toy {
        start: i64,
        end: i64,
        high_watermark: i64,
        epochs: Vec<(i32, i64)>,
    }

    impl ReplicaLog for Toy {
        fn log_start(&self) -> i64 {
            self.start
        }

        fn log_end(&self) -> i64 {
            self.end
        }

        fn high_watermark(&self) -> i64 {
            self.high_watermark
        }

        fn latest_epoch(&self) -> Option<i32> {
            self.epochs.last().map(|(epoch, _)| *epoch)
        }

        fn epoch_end(&self, epoch: i32) -> Option<EpochEnd> {
            let next = self.epochs.partition_point(|(known, _)| *known <= epoch);
            let (epoch, _) = *self.epochs.get(next.checked_sub(1)?)?;
            let offset = self.epochs.get(next).map_or(self.end, |(_, offset)| *offset);
            Some(EpochEnd { epoch, offset })
        }

        fn is_changed_by_cut(&self, offset: i64) -> bool {
            offset < self.end || self.epochs.last().is_some_and(|(_, begin)| *begin >= self.end)
        }
    }

    fn toy(end: i64, epochs: &[(i32, i64)]) -> Toy {
        Toy { start: 0, end, high_watermark: 0, epochs: epochs.to_vec() }
    }

    /// Cuts and fetches until the two are level; the steps.
    fn run(copier: &mut Copier, copy: &mut Toy, log: &Toy, cuts: u64) -> Vec<CopyStep> {
        let mut steps = Vec::new();
        for _ in 0..20 {
            let step = copier.next(copy, log, cuts);
            steps.push(step);
            match step {
                CopyStep::CutTo(offset) => {
                    copy.end = copy.end.min(offset);
                    copy.epochs.retain(|(_, begin)| *begin < offset);
                }
                CopyStep::RestartAt(offset) => (copy.start, copy.end) = (offset, offset),
                CopyStep::Fetch(_) => (copy.end, copy.epochs) = (log.end, log.epochs.clone()),
                CopyStep::Level => return steps,
            }
        }
        panic!("{steps:?}");
    }

    #[test]
    fn a_new_copy_takes_all_that_there_is() {
        let (mut copy, log) = (toy(0, &[]), toy(10, &[(3, 0)]));
        let steps = run(&mut Copier::default(), &mut copy, &log, 0);
        assert_eq!(steps, [CopyStep::Fetch(0), CopyStep::Level]);
    }

    #[test]
    fn a_copy_begins_where_the_log_does() {
        let (mut copy, mut log) = (toy(0, &[]), toy(10, &[(3, 0)]));
        log.start = 7;
        let steps = run(&mut Copier::default(), &mut copy, &log, 0);
        assert_eq!(steps, [CopyStep::RestartAt(7), CopyStep::Fetch(7), CopyStep::Level]);
    }

    #[test]
    fn what_is_left_of_a_copy_is_cut_where_epochs_part() {
        // The log was cut to 5 while the copy was away, and has other records since.
        let (mut copy, log) = (toy(9, &[(1, 0), (2, 4)]), toy(12, &[(1, 0), (2, 4), (4, 5)]));
        let steps = run(&mut Copier::default(), &mut copy, &log, 0);
        assert_eq!(steps, [CopyStep::CutTo(5), CopyStep::Fetch(5), CopyStep::Level]);
        // Epochs that the log never had: it is asked again.
        let (mut copy, log) = (toy(9, &[(1, 0), (3, 6)]), toy(12, &[(1, 0), (2, 4), (4, 5)]));
        let steps = run(&mut Copier::default(), &mut copy, &log, 0);
        assert_eq!(steps, [CopyStep::CutTo(6), CopyStep::CutTo(4), CopyStep::Fetch(4), CopyStep::Level]);
    }

    #[test]
    fn without_epochs_the_high_watermark_counts() {
        let (mut copy, log) = (toy(9, &[]), toy(12, &[]));
        copy.high_watermark = 6;
        let steps = run(&mut Copier::default(), &mut copy, &log, 0);
        assert_eq!(steps, [CopyStep::CutTo(6), CopyStep::Fetch(6), CopyStep::Level]);
    }

    #[test]
    fn a_log_that_was_cut_is_asked_again() {
        let (mut copy, mut log) = (toy(9, &[(1, 0)]), toy(9, &[(1, 0)]));
        let mut copier = Copier::default();
        assert_eq!(run(&mut copier, &mut copy, &log, 0), [CopyStep::Level]);
        (log.end, log.epochs) = (9, vec![(1, 0), (2, 8)]);
        assert_eq!(copier.next(&copy, &log, 0), CopyStep::Level, "nobody said that it was cut");
        let steps = run(&mut copier, &mut copy, &log, 1);
        assert_eq!(steps, [CopyStep::CutTo(8), CopyStep::Fetch(8), CopyStep::Level]);
        assert_eq!(copier.agrees_since(), Some(1));
        // A shorter log, too.
        log.end = 3;
        log.epochs.truncate(1);
        assert_eq!(run(&mut copier, &mut copy, &log, 2), [CopyStep::CutTo(3), CopyStep::Level]);
    }
}
