//! The transaction log: batches to the disk and back, and when a snapshot is due (upstream `SyncRequestProcessor`).

use base::{Monotonic, Now, Random};
use zk_store::{LogBatchDone, StoreError, TxnLog};

use crate::event::Outcome;
use crate::log::Logger;
use crate::server::State;
use crate::{DiskTask, Effect, Effects, Lane, Server, ServerConfig, StopReason};

/// The log, and what is counted about it.
pub(crate) struct Journal {
    log: TxnLog,
    /// Transactions appended since the last batch began, and when the first of them was.
    waiting: u64,
    waiting_since: Monotonic,
    /// When the batch that is under way began, and how many transactions it holds.
    under_way: Option<(Monotonic, u64)>,
    /// Since the last snapshot began.
    transactions: u64,
    owes_snapshot: bool,
    len_at_snapshot: u64,
    limits: SnapshotLimits,
}

/// How much may be logged before the next snapshot: half of the setting and a random part of the other half, so that
/// the servers of an ensemble do not take theirs at the same time.
struct SnapshotLimits {
    transactions: u64,
    bytes: Option<u64>,
}

impl SnapshotLimits {
    fn draw(config: &ServerConfig, random: &mut Random) -> Self {
        let mut draw = |limit: u64| limit / 2 + random.below(limit / 2);
        Self { transactions: draw(u64::from(config.snapshot_count)), bytes: config.snapshot_log_bytes.map(draw) }
    }
}

impl Journal {
    /// A log that goes on behind what was recovered.
    pub(crate) fn new(log: TxnLog, config: &ServerConfig, random: &mut Random) -> Self {
        Self {
            log,
            waiting: 0,
            waiting_since: Monotonic::default(),
            under_way: None,
            transactions: 0,
            owes_snapshot: false,
            len_at_snapshot: 0,
            limits: SnapshotLimits::draw(config, random),
        }
    }

    /// Adds a transaction; it is durable when a later batch is.
    pub(crate) fn append(&mut self, zxid: i64, payload: &[u8], now: Monotonic) {
        self.log.append(zxid, payload);
        if self.waiting == 0 {
            self.waiting_since = now;
        }
        self.waiting += 1;
        self.transactions += 1;
    }

    /// Whether no batch is under way or waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.waiting == 0
    }

    /// Bytes that wait for the batch under way.
    pub(crate) fn unlogged_bytes(&self) -> usize {
        self.log.pending_len()
    }

    /// When a delayed batch is to begin.
    pub(crate) fn deadline(&self, config: &ServerConfig) -> Option<Monotonic> {
        (self.waiting > 0 && self.under_way.is_none()).then(|| self.waiting_since.plus_ms(config.flush_delay_ms))
    }

    fn is_due(&self, config: &ServerConfig, now: Monotonic) -> bool {
        self.waiting >= config.batch_max || self.deadline(config).is_some_and(|deadline| deadline <= now)
    }

    /// One that was given up is made later.
    pub(crate) const fn owe_snapshot(&mut self) {
        self.owes_snapshot = true;
    }

    fn wants_snapshot(&self) -> bool {
        if self.owes_snapshot {
            return true;
        }
        let len = self.log.total_len() - self.len_at_snapshot;
        self.transactions > self.limits.transactions || self.limits.bytes.is_some_and(|limit| len > limit)
    }
}

impl Server {
    /// Hands all that waits to the disk, if it is time and no batch is under way.
    pub(crate) fn sync_log(&mut self, now: Now, effects: &mut Effects) {
        if !self.journal.is_due(&self.config, now.monotonic) {
            return;
        }
        let Some(batch) = self.journal.log.begin() else { return };
        self.journal.under_way = Some((now.monotonic, std::mem::take(&mut self.journal.waiting)));
        effects.push(Effect::Disk(DiskTask::new(Lane::Log, |slow| Outcome::Log(Box::new(batch.run(slow))))));
        // What is applied while there is no leader may be taken back, and a snapshot with some of it would stay.
        if self.is_serving() && self.journal.wants_snapshot() {
            self.journal.transactions = 0;
            self.journal.owes_snapshot = false;
            self.journal.len_at_snapshot = self.journal.log.total_len();
            self.journal.limits = SnapshotLimits::draw(&self.config, &mut self.random);
            self.journal.log.roll();
            self.begin_snapshot(now, effects);
        }
    }

    /// The last thing at a clean stop: the log's padding is cut off, so that the next start finds its end at once.
    pub(crate) fn close_log(&mut self, effects: &mut Effects) {
        match self.journal.log.close() {
            Some(close) => {
                self.state = State::Closing;
                effects.push(Effect::Disk(DiskTask::new(Lane::Log, |slow| Outcome::LogClosed(close.run(slow)))));
            }
            None => self.stop(StopReason::Requested, effects),
        }
    }

    /// The log is closed. If its padding is still there, the next start passes over it.
    pub(crate) fn log_closed(&mut self, result: Result<(), StoreError>, effects: &mut Effects) {
        if let Err(error) = result {
            self.log.warn(Logger::TxnLog, format!("The log's padding could not be cut off\n{error}"));
        }
        self.stop(StopReason::Requested, effects);
    }

    /// A batch is on the device, or never will be.
    pub(crate) fn log_written(&mut self, done: LogBatchDone, now: Now, effects: &mut Effects) {
        let took = self.journal.under_way.take();
        match self.journal.log.finish(done) {
            Ok(durable) => {
                self.pipeline.durable = durable.last_zxid;
                self.member_logged(durable.last_zxid);
                self.seal_snapshot(effects);
                let Some((began, count)) = took else { return };
                let took_ms = now.monotonic.ms().saturating_sub(began.ms());
                self.stats.sync_ms.add(took_ms);
                self.stats.sync_batch.add(count);
                if self.config.force_sync && took_ms > self.config.fsync_warning_ms {
                    self.log.warn(
                        Logger::TxnLog,
                        format!(
                            "fsync-ing the write ahead log in SyncThread:0 took {took_ms}ms which will adversely effect \
                             operation latency. File size is {} bytes. See the ZooKeeper troubleshooting guide",
                            durable.file_len
                        ),
                    );
                }
            }
            Err(error) => {
                let reason = error.to_string();
                self.log
                    .error(Logger::Sync, format!("Severe unrecoverable error, from thread : SyncThread:0\n{reason}"));
                self.stop(StopReason::LogFailed(reason), effects);
            }
        }
    }
}
