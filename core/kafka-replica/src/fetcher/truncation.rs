//! Where a follower's log parts from its leader's, and what is asked to find out (KIP-101, KIP-279, KIP-320).

use std::collections::BTreeMap;

use base::Monotonic;
use kafka_proto::ErrorCode;
use kafka_proto::messages::{list_offset, offset_for_leader_epoch as epochs};

use super::slot::Phase;
use super::{Asked, Cut, EpochEnd, Fetched, Fetcher, FollowerLog, Question};
use crate::ReplicaLog as _;

/// ListOffsets: where the log ends.
const LATEST: i64 = -1;
/// ListOffsets: where the log starts.
const EARLIEST: i64 = -2;

/// The offset to cut a log to, and whether it agrees with the leader's from there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) offset: i64,
    pub(crate) is_last: bool,
}

/// Where to cut, by the leader's answer of how far an epoch reaches: `epoch` is the largest that it knows not above the one that it was
/// asked for. `unknown` is the cut if the leader knows nothing; `own_end` is the largest epoch that the log knows not above one.
pub(crate) fn target(
    log_end: i64,
    own_end: impl Fn(i32) -> Option<EpochEnd>,
    epoch: i32,
    end_offset: i64,
    unknown: i64,
) -> Target {
    let last = |offset: i64| Target { offset: offset.min(log_end), is_last: true };
    if end_offset < 0 {
        return Target { offset: unknown, is_last: true };
    }
    if epoch < 0 {
        // Version 0 names no epoch.
        return last(end_offset);
    }
    match own_end(epoch) {
        Some(EpochEnd { epoch: own, offset }) if own == epoch => last(offset.min(end_offset)),
        // The leader has an epoch that this log lacks: what came here after the largest before it is not the leader's. Where the
        // rest parts is to be asked again.
        Some(EpochEnd { offset, .. }) => Target { offset: offset.min(log_end), is_last: false },
        None => last(end_offset),
    }
}

impl<L: FollowerLog + Clone> Fetcher<L> {
    /// What is to be asked before records can be: epochs' ends first, then where logs end and start. Logs without epochs are cut
    /// without a question.
    pub(super) fn next_to_settle(&mut self) -> Option<Question> {
        let mut unsettled = std::mem::take(&mut self.unsettled);
        let (mut by_epoch, mut by_offset) = (Vec::new(), Vec::new());
        for index in unsettled.drain(..) {
            let has_question = self.settings.versions.epochs.is_some();
            let Some(slot) = self.slots.get_mut(index).and_then(Option::as_mut) else { continue };
            slot.is_unsettled_listed = false;
            if !slot.is_unsettled() {
                continue;
            }
            match slot.phase {
                Phase::Truncating if has_question && slot.log.view().latest_epoch().is_some() => by_epoch.push(index),
                Phase::Truncating => {
                    let offset = slot.offset;
                    self.begin_cut(index, Target { offset, is_last: true }, false, None);
                }
                _ => by_offset.push(index),
            }
        }
        if !by_epoch.is_empty() {
            by_offset.into_iter().for_each(|index| self.look_at(index));
            return Some(self.ask_epochs(by_epoch));
        }
        (!by_offset.is_empty()).then(|| self.ask_offsets(by_offset))
    }

    fn ask_epochs(&mut self, indexes: Vec<usize>) -> Question {
        let mut topics: Vec<epochs::RequestTopic> = Vec::new();
        let mut asked = BTreeMap::new();
        for index in indexes {
            let Some(slot) = self.slot(index) else { continue };
            asked.insert(index, slot.serial);
            let entry = epochs::RequestPartition {
                partition_index: slot.partition,
                current_leader_epoch: slot.leader_epoch,
                leader_epoch: slot.log.view().latest_epoch().unwrap_or(-1),
            };
            match topics.last_mut().filter(|last| last.name == slot.topic) {
                Some(last) => last.partitions.push(entry),
                None => topics.push(epochs::RequestTopic { name: slot.topic.clone(), partitions: vec![entry] }),
            }
        }
        self.asked = Some(Asked::Epochs(asked));
        Question::Epochs(epochs::Request { replica_id: self.settings.replica_id, topics })
    }

    fn ask_offsets(&mut self, indexes: Vec<usize>) -> Question {
        let mut topics: Vec<list_offset::RequestTopic> = Vec::new();
        let mut asked = BTreeMap::new();
        for index in indexes {
            let Some(slot) = self.slot(index) else { continue };
            let Phase::OutOfRange { leader_end } = &slot.phase else { continue };
            asked.insert(index, slot.serial);
            let entry = list_offset::RequestPartition {
                partition_index: slot.partition,
                current_leader_epoch: slot.leader_epoch,
                timestamp: if leader_end.is_some() { EARLIEST } else { LATEST },
                ..list_offset::RequestPartition::default()
            };
            match topics.last_mut().filter(|last| last.name == slot.topic) {
                Some(last) => last.partitions.push(entry),
                None => topics.push(list_offset::RequestTopic { name: slot.topic.clone(), partitions: vec![entry] }),
            }
        }
        self.asked = Some(Asked::Offsets(asked));
        let replica_id = self.settings.replica_id;
        Question::Offsets(list_offset::Request { replica_id, topics, ..list_offset::Request::default() })
    }

    /// Takes the answer of where epochs end.
    pub fn epochs_answered(&mut self, response: epochs::Response, now: Monotonic) {
        let Some(Asked::Epochs(asked)) = self.asked.take() else { return };
        for epochs::ResponseTopic { name, partitions } in response.topics {
            for answer in partitions {
                let Some(index) = self.find_asked(&asked, &name, answer.partition_index) else { continue };
                match answer.error_code {
                    ErrorCode::NONE => self.cut_where_logs_part(index, answer.leader_epoch, answer.end_offset),
                    error => self.take_error(index, error, now),
                }
            }
        }
        self.ask_again(&asked, now);
    }

    /// Takes the answer of where logs end or start (upstream: `fetchOffsetAndTruncate`).
    pub fn offsets_answered(&mut self, response: list_offset::Response, now: Monotonic) {
        let Some(Asked::Offsets(asked)) = self.asked.take() else { return };
        for list_offset::ResponseTopic { name, partitions } in response.topics {
            for answer in partitions {
                let Some(index) = self.find_asked(&asked, &name, answer.partition_index) else { continue };
                let offset = match self.settings.versions.offsets {
                    0 => answer.old_style_offsets.first().copied().unwrap_or(-1),
                    _ => answer.offset,
                };
                match answer.error_code {
                    ErrorCode::NONE if offset >= 0 => self.take_offset(index, offset, now),
                    ErrorCode::NONE => self.take_error(index, ErrorCode::UNKNOWN_SERVER_ERROR, now),
                    error => self.take_error(index, error, now),
                }
            }
        }
        self.ask_again(&asked, now);
    }

    /// The partition that an answer names, if it was asked for and has not been replaced since.
    fn find_asked(&self, asked: &BTreeMap<usize, u64>, topic: &str, partition: i32) -> Option<usize> {
        let index = self.find(topic, partition)?;
        let slot = self.slot(index)?;
        (slot.is_unsettled() && asked.get(&index) == Some(&slot.serial)).then_some(index)
    }

    /// Those that are still to be settled: the next step's, at once; those that the answer left out, after a pause.
    fn ask_again(&mut self, asked: &BTreeMap<usize, u64>, now: Monotonic) {
        for (index, serial) in asked {
            let left_out = |slot: &&super::Slot<L>| {
                slot.serial == *serial
                    && slot.is_unsettled()
                    && !matches!(slot.phase, Phase::OutOfRange { leader_end: Some(_) })
            };
            match self.slot(*index).filter(left_out) {
                Some(_) => self.pause(*index, self.settings.backoff_ms, now),
                None => self.look_at(*index),
            }
        }
    }

    fn take_offset(&mut self, index: usize, offset: i64, now: Monotonic) {
        let Some(slot) = self.slot_mut(index) else { return };
        let Phase::OutOfRange { leader_end } = slot.phase else { return };
        let own_end = slot.log.view().log_end();
        let name = slot.name();
        let Some(leader_end) = leader_end else {
            if offset < own_end {
                // After an unclean election the leader's log may be the shorter one.
                slot.lag = Some(0);
                self.warn(format!(
                    "Reset fetch offset for partition {name} from {own_end} to current leader's latest offset {offset}"
                ));
                return self.begin_cut(index, Target { offset, is_last: true }, false, None);
            }
            slot.phase = Phase::OutOfRange { leader_end: Some(offset) };
            return self.look_at(index);
        };
        slot.lag = Some(leader_end - offset.max(own_end));
        self.warn(format!(
            "Reset fetch offset for partition {name} from {own_end} to current leader's start offset {offset}"
        ));
        if offset > own_end {
            // All that is here is gone there.
            return self.begin_cut(index, Target { offset, is_last: true }, true, None);
        }
        // The offset is in range after all.
        if self.finds_out_by_fetching() && self.slot(index).is_some_and(|slot| slot.last_epoch.is_some()) {
            return self.go_on_without_epoch(index);
        }
        if let Some(slot) = self.slot_mut(index) {
            slot.fetch_from_end();
        }
        // The same answer again is not to come at once.
        self.pause(index, self.settings.backoff_ms, now);
    }

    /// The leader does not know the epoch that was named: a leader that writes an older message format keeps none. The next fetch names
    /// none either; as without epochs, what is above the high watermark goes, unless it came from this leader.
    fn go_on_without_epoch(&mut self, index: usize) {
        let Some(slot) = self.slot_mut(index) else { return };
        slot.is_epoch_unknown = true;
        let log = slot.log.view();
        let offset = if slot.has_agreed { log.log_end() } else { log.high_watermark().min(log.log_end()) };
        self.begin_cut(index, Target { offset, is_last: true }, false, None);
    }

    pub(super) fn set_phase(&mut self, index: usize, phase: Phase) {
        if let Some(slot) = self.slot_mut(index) {
            slot.phase = phase;
        }
        self.look_at(index);
    }

    /// The leader said how far the newest epoch that both may know reaches.
    pub(super) fn cut_where_logs_part(&mut self, index: usize, epoch: i32, end_offset: i64) {
        let Some(slot) = self.slot(index) else { return };
        let name = slot.name();
        // Where the leader knows nothing, the high watermark is what is certain.
        let log = slot.log.view();
        let unknown = log.high_watermark().min(slot.offset);
        let found = target(log.log_end(), |epoch| log.epoch_end(epoch), epoch, end_offset, unknown);
        if end_offset < 0 {
            self.warn(format!(
                "Based on replica's leader epoch, leader replied with an unknown offset in {name}. The initial fetch offset {} will be used for truncation.",
                found.offset
            ));
        } else if !found.is_last {
            self.info(format!(
                "Based on replica's leader epoch, leader replied with epoch {epoch} unknown to the replica for {name}. Will truncate to {} and send another leader epoch request to the leader.",
                found.offset
            ));
        }
        self.begin_cut(index, found, false, None);
    }

    /// The log is cut elsewhere, unless there is nothing to cut.
    pub(super) fn begin_cut(
        &mut self,
        index: usize,
        Target { offset: to, is_last }: Target,
        fully: bool,
        then: Option<Box<Fetched>>,
    ) {
        self.serial += 1;
        let number = self.serial;
        let finds_out_by_fetching = self.finds_out_by_fetching();
        let Some(slot) = self.slots.get_mut(index).and_then(Option::as_mut) else { return };
        if !fully && !slot.log.view().is_changed_by_cut(to) {
            slot.fetch_from_end();
            if !is_last && !finds_out_by_fetching {
                slot.phase = Phase::Truncating;
            }
        } else {
            slot.phase = Phase::Cutting { number, is_last, then };
            self.cuts.push(Cut {
                log: slot.log.clone(),
                name: (slot.topic.clone(), slot.partition),
                number,
                leader_epoch: slot.leader_epoch,
                to,
                fully,
            });
        }
        self.look_at(index);
    }
}
