//! One fetcher at one leader, and its link.
//!
//! A leader keeps a fetch for up to `replica.fetch.wait.max.ms` if it has no records, and takes no other meanwhile. A partition that comes
//! in that time, as all do when their leader has died, would wait for it; so it is fetched for on a second link until the first one
//! has its answer.

use std::sync::Arc;

use base::{Monotonic, Now, Slow, Str, TimerKey, once};
use kafka_control::znode::Endpoint;
use kafka_log::{Log, LogError};
use kafka_proto::{AnyRequest, AnyResponse};
use kafka_replica::{Cut, CutOutcome, Fetcher, FetcherSettings, Question};
use parking_lot::Mutex;

use super::follower::Follower;
use crate::broker::Broker;
use crate::peer::{Peer, PeerError, PeerSettings};

/// One of a leader's fetchers.
pub(super) struct Lane {
    leader: i32,
    number: i32,
    /// As upstream's log lines begin.
    prefix: String,
    inner: Mutex<Inner>,
}

struct Inner {
    /// By [`MAIN`] and [`JOINING`].
    strands: [Option<Strand>; 2],
    endpoint: Endpoint,
    settings: FetcherSettings,
    is_closed: bool,
}

/// A fetcher with a link of its own.
struct Strand {
    fetcher: Fetcher<Follower>,
    link: Arc<Peer>,
    /// Tells the answers of this link from those of one before.
    link_number: u64,
    alarm: Option<(Monotonic, TimerKey)>,
}

/// The strand of all partitions in the end.
const MAIN: usize = 0;
/// The strand of those that came while the main one waits for an answer.
const JOINING: usize = 1;

impl Inner {
    /// The main strand has its answer: it takes those that came meanwhile, as far as nothing but records is asked for them.
    fn join(&mut self) {
        let joined = self.strand(JOINING).map(|joining| joining.fetcher.take_settled()).unwrap_or_default();
        if let Some(main) = self.strand(MAIN) {
            for (topic, partition, log, leader_epoch) in joined {
                main.fetcher.add(&topic, partition, log, leader_epoch);
            }
        }
    }

    fn strand(&mut self, which: usize) -> Option<&mut Strand> {
        self.strands.get_mut(which)?.as_mut()
    }
}

impl Lane {
    /// A lane to the leader, which listens there.
    pub(super) fn start(
        broker: &Arc<Broker>,
        (leader, number): (i32, i32),
        endpoint: &Endpoint,
        settings: FetcherSettings,
    ) -> Arc<Self> {
        let prefix =
            format!("[ReplicaFetcher replicaId={}, leaderId={leader}, fetcherId={number}] ", settings.replica_id);
        let inner = Inner { strands: [None, None], endpoint: endpoint.clone(), settings, is_closed: false };
        tracing::info!(target: "kafka.server.ReplicaFetcherThread", "{prefix}Starting");
        let lane = Self { leader, number, prefix, inner: Mutex::new(inner) };
        lane.begin_strand(broker, &mut lane.inner.lock(), MAIN);
        Arc::new(lane)
    }

    fn begin_strand(&self, broker: &Arc<Broker>, inner: &mut Inner, which: usize) {
        let link = start_link(broker, self.leader, self.number, &inner.endpoint, &self.prefix);
        let fetcher = Fetcher::new(inner.settings.clone());
        if let Some(place) = inner.strands.get_mut(which) {
            *place = Some(Strand { fetcher, link, link_number: 0, alarm: None });
        }
    }

    /// Follows a partition.
    pub(super) fn add(&self, broker: &Arc<Broker>, topic: &Str, partition: i32, log: Follower, leader_epoch: i32) {
        let mut inner = self.inner.lock();
        let is_waiting = inner.strand(MAIN).is_some_and(|main| main.fetcher.is_waiting());
        let which = if is_waiting { JOINING } else { MAIN };
        if inner.strand(which).is_none() {
            self.begin_strand(broker, &mut inner, which);
        }
        if let Some(strand) = inner.strand(which) {
            strand.fetcher.add(topic, partition, log, leader_epoch);
        }
    }

    /// Follows a partition no more.
    pub(super) fn remove(&self, topic: &str, partition: i32) {
        let mut inner = self.inner.lock();
        inner.strands.iter_mut().flatten().for_each(|strand| strand.fetcher.remove(topic, partition));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inner.lock().strands.iter().flatten().all(|strand| strand.fetcher.is_empty())
    }

    pub(super) fn set_settings(&self, settings: &FetcherSettings) {
        let mut inner = self.inner.lock();
        inner.settings = settings.clone();
        inner.strands.iter_mut().flatten().for_each(|strand| strand.fetcher.set_settings(settings.clone()));
    }

    /// Looks again at what leaders are told of logs.
    pub(super) fn refresh(self: &Arc<Self>, broker: &Arc<Broker>, now: Now) {
        self.inner.lock().strands.iter_mut().flatten().for_each(|strand| strand.fetcher.refresh());
        self.drive(broker, now);
    }

    /// The leader listens there from now on.
    pub(super) fn lead_to(&self, broker: &Arc<Broker>, endpoint: &Endpoint) {
        let mut inner = self.inner.lock();
        if inner.endpoint == *endpoint || inner.is_closed {
            return;
        }
        inner.endpoint = endpoint.clone();
        let mut before = Vec::new();
        for strand in inner.strands.iter_mut().flatten() {
            strand.link_number += 1;
            let link = start_link(broker, self.leader, self.number, endpoint, &self.prefix);
            before.push(std::mem::replace(&mut strand.link, link));
            // What was asked there is not answered any more.
            strand.fetcher.unanswered(broker.host.now().monotonic);
        }
        drop(inner);
        before.iter().for_each(|link| link.close());
    }

    /// Ends the lane; what is under way is passed over.
    pub(super) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.is_closed = true;
        let links: Vec<_> = inner.strands.iter().flatten().map(|strand| strand.link.clone()).collect();
        drop(inner);
        links.iter().for_each(|link| link.close());
        tracing::info!(target: "kafka.server.ReplicaFetcherThread", "{}Shutdown completed", self.prefix);
    }

    /// Does what the fetchers want done: asks, cuts logs, wakes those who wait for them.
    pub(super) fn drive(self: &Arc<Self>, broker: &Arc<Broker>, now: Now) {
        self.drive_strand(MAIN, broker, now);
        self.drive_strand(JOINING, broker, now);
    }

    fn drive_strand(self: &Arc<Self>, which: usize, broker: &Arc<Broker>, now: Now) {
        let mut inner = self.inner.lock();
        if inner.is_closed {
            return;
        }
        let Some(strand) = inner.strand(which) else { return };
        let question = strand.fetcher.next(now.monotonic);
        let cuts = strand.fetcher.take_cuts();
        let advanced = strand.fetcher.take_advanced();
        let lines = strand.fetcher.take_lines();
        strand.fetcher.take_failed();
        let versions = strand.fetcher.versions();
        if question.is_none() {
            self.set_alarm(which, strand, broker);
        }
        let (link, link_number) = (strand.link.clone(), strand.link_number);
        drop(inner);
        if let Some(question) = question {
            let (request, version): (AnyRequest, i16) = match question {
                Question::Fetch(request) => (request.into(), versions.fetch),
                Question::Epochs(request) => (request.into(), versions.epochs.unwrap_or(0)),
                Question::Offsets(request) => (request.into(), versions.offsets),
            };
            let timeout_ms = u64::try_from(broker.settings().replication.socket_timeout_ms).unwrap_or(0);
            let lane = self.clone();
            link.ask(request, version, timeout_ms, move |broker, answer, now| {
                lane.answered(which, broker, link_number, answer, now);
            });
        }
        for line in lines {
            match line.is_warning {
                true => tracing::warn!(target: "kafka.server.ReplicaFetcherThread", "{}{}", self.prefix, line.text),
                false => tracing::info!(target: "kafka.server.ReplicaFetcherThread", "{}{}", self.prefix, line.text),
            }
        }
        if !cuts.is_empty() {
            self.cut(which, broker, cuts);
        }
        for follower in advanced {
            follower.partition.wake(broker);
        }
    }

    fn set_alarm(self: &Arc<Self>, which: usize, strand: &mut Strand, broker: &Arc<Broker>) {
        let Some(deadline) = strand.fetcher.deadline() else { return };
        if strand.alarm.is_some_and(|(at, _)| at <= deadline) {
            return;
        }
        if let Some((_, key)) = strand.alarm.take() {
            broker.cancel(key);
        }
        let lane = Arc::downgrade(self);
        let key = broker.schedule(deadline, move |broker, now| {
            let Some(lane) = lane.upgrade() else { return };
            if let Some(strand) = lane.inner.lock().strand(which) {
                strand.alarm = None;
            }
            lane.drive_strand(which, broker, now);
        });
        strand.alarm = Some((deadline, key));
    }

    fn answered(
        self: &Arc<Self>,
        which: usize,
        broker: &Arc<Broker>,
        link_number: u64,
        answer: Result<AnyResponse, PeerError>,
        now: Now,
    ) {
        {
            let mut inner = self.inner.lock();
            let is_closed = inner.is_closed;
            let Some(strand) = inner.strand(which).filter(|strand| strand.link_number == link_number && !is_closed)
            else {
                return;
            };
            let fetcher = &mut strand.fetcher;
            match answer {
                Ok(AnyResponse::Fetch(response)) => fetcher.fetched(response, now.monotonic),
                Ok(AnyResponse::OffsetForLeaderEpoch(response)) => fetcher.epochs_answered(response, now.monotonic),
                Ok(AnyResponse::ListOffset(response)) => fetcher.offsets_answered(response, now.monotonic),
                // Nothing else was asked.
                Ok(_) => fetcher.unanswered(now.monotonic),
                Err(error) => {
                    tracing::warn!(target: "kafka.server.ReplicaFetcherThread", "{}Error in response for fetch request: {error}", self.prefix);
                    fetcher.unanswered(now.monotonic);
                }
            }
            if which == MAIN {
                inner.join();
            }
        }
        self.drive(broker, now);
    }

    /// Cuts logs on a disk thread, and lets their partitions go on.
    fn cut(self: &Arc<Self>, which: usize, broker: &Arc<Broker>, mut cuts: Vec<Cut<Follower>>) {
        // Changes of several partitions are held in one order.
        cuts.sort_by(|one, other| one.name.cmp(&other.name));
        let (lane, broker) = (self.clone(), broker.clone());
        broker.clone().host.submit_for_request(once(move |slow| {
            let done = cut_all(&broker, &cuts, slow);
            let now = broker.host.now();
            let mut inner = lane.inner.lock();
            if let Some(strand) = inner.strand(which) {
                for (cut, outcome) in cuts.iter().zip(done) {
                    strand.fetcher.cut_done(&cut.name, cut.number, outcome, now.monotonic);
                }
            }
            drop(inner);
            lane.drive_strand(which, &broker, now);
        }));
    }
}

/// Cuts the logs that are still followed in the epoch in which it was decided; what became of each.
fn cut_all(broker: &Arc<Broker>, cuts: &[Cut<Follower>], slow: &Slow) -> Vec<CutOutcome> {
    let Some(logs) = broker.logs() else { return vec![CutOutcome::Failed; cuts.len()] };
    let now = broker.host.now();
    // Whoever changes leaders waits until the logs are cut.
    let _changes: Vec<_> = cuts.iter().map(|cut| cut.log.partition.changes.lock()).collect();
    let is_wanted = |cut: &&Cut<Follower>| cut.log.partition.follows_in(cut.leader_epoch);
    let targets: Vec<(Arc<Log>, i64)> = cuts
        .iter()
        .filter(is_wanted)
        .filter(|cut| !cut.fully)
        .map(|cut| (cut.log.partition.log(), cut.to))
        .inspect(|(log, to)| warn_of_committed(log, *to))
        .collect();
    let mut results = logs.truncate_to(&targets, now, slow).into_iter();
    let mut done = Vec::with_capacity(cuts.len());
    for cut in cuts {
        let result: Result<(), LogError> = if !is_wanted(&cut) {
            // It is fetched for no more, or from the start.
            Ok(())
        } else if cut.fully {
            logs.truncate_fully_and_start_at(&cut.log.partition.log(), cut.to, now, slow)
        } else {
            results.next().map_or(Ok(()), |result| result.map(drop))
        };
        if let Err(error) = &result {
            tracing::error!(target: "kafka.server.ReplicaFetcherThread", "Failed to truncate {} at offset {}: {error}", cut.log.partition.name, cut.to);
        }
        done.push(match result {
            Ok(()) => CutOutcome::Done,
            Err(LogError::AppendsRefused { .. }) => CutOutcome::NotNow,
            Err(_) => CutOutcome::Failed,
        });
    }
    done
}

fn warn_of_committed(log: &Log, to: i64) {
    let high_watermark = log.offsets().high_watermark;
    if to < high_watermark {
        let name = log.partition();
        tracing::warn!(target: "kafka.server.ReplicaFetcherThread", "Truncating {name} to offset {to} below high watermark {high_watermark}");
    }
}

fn start_link(broker: &Arc<Broker>, leader: i32, number: i32, endpoint: &Endpoint, prefix: &str) -> Arc<Peer> {
    let mut settings = PeerSettings::new(broker, leader, endpoint);
    settings.client_id = Str::from(format!("broker-{}-fetcher-{number}", broker.id()));
    settings.log_prefix = prefix.to_owned();
    settings.receive_buffer_bytes = receive_buffer_bytes(broker);
    Peer::start(broker, settings)
}

/// The buffer that the file asks for. The original's default of 64 KiB is not set: it would keep the system from fitting the buffer to the
/// connection.
fn receive_buffer_bytes(broker: &Broker) -> Option<u32> {
    broker.config().file().get("replica.socket.receive.buffer.bytes")?;
    let length = broker.settings().replication.socket_receive_buffer_bytes;
    u32::try_from(length).ok().filter(|length| *length > 0)
}
