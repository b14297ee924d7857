//! An idempotent producer as harsh as the protocol lets one be: it keeps five batches of a partition under way, never gives one up, and sends
//! again in their order what it has no answer to, to whoever leads by then. Now and then it is gone with all that, and another one comes.

use std::collections::{BTreeMap, VecDeque};

use base::{Monotonic, Now, Random, Str};
use bytes::Bytes;
use kafka_client::{Admin, AdminConfig, CallId, CallOptions, ClientError, Interest, To};
use kafka_proto::messages::{init_producer_id, produce};
use kafka_proto::record::{BuilderOptions, Codec, Magic, RecordsBuilder};
use kafka_proto::{AnyResponse, ErrorCode};

use super::{illegal, network};
use crate::cluster::invariants::Onlooker;
use crate::cluster::settings::{TOPIC, bootstrap};
use crate::invariants::Verdict;

/// As many as a broker remembers.
const UNDER_WAY_MAX: usize = 5;
const RECORDS_MAX: u64 = 3;
const CALL_MS: u64 = 1_000;
/// How long it waits at the most before it sends something again.
const HESITATES_MS_MAX: u64 = 200;

pub(in crate::cluster) struct Pipelining {
    index: u64,
    brokers: i32,
    /// It waits for a while before it sends something again.
    hesitates: bool,
    pub(super) life: u64,
    pub(super) admin: Admin,
    identity: Option<(i64, i16)>,
    identity_call: Option<CallId>,
    serial: u64,
    pub(super) acknowledged: u64,
    lanes: BTreeMap<i32, Lane>,
    /// A broker knows less of it than it wrote.
    is_forgotten: bool,
}

/// One partition.
#[derive(Default)]
struct Lane {
    next_sequence: i32,
    /// Whether a broker has taken something: of a producer that it does not know, it takes any batch for the first.
    is_known: bool,
    /// Oldest first.
    under_way: VecDeque<Batch>,
    /// Until when it waits with what it is in doubt of.
    waits_until: Option<Monotonic>,
}

struct Batch {
    sequence: i32,
    values: Vec<Bytes>,
    call: Option<CallId>,
    /// How many brokers had started before it was made.
    starts: u64,
    /// It was sent, and what became of it is not known.
    is_in_doubt: bool,
}

impl Pipelining {
    pub(super) fn new(index: u64, brokers: i32, hesitates: bool, seed: u64) -> Result<Self, ClientError> {
        Ok(Self {
            index,
            brokers,
            hesitates,
            life: 0,
            admin: machine(brokers, seed)?,
            identity: None,
            identity_call: None,
            serial: 0,
            acknowledged: 0,
            lanes: BTreeMap::new(),
            is_forgotten: false,
        })
    }

    /// Values without an answer, by partition.
    pub(super) fn outstanding(&self) -> impl Iterator<Item = (i32, &Bytes)> {
        let lanes = self.lanes.iter();
        lanes.flat_map(|(number, lane)| {
            lane.under_way.iter().flat_map(|batch| &batch.values).map(|value| (*number, value))
        })
    }

    pub(super) fn turn(&mut self, rests: bool, now: Now, random: &mut Random, onlooker: &mut Onlooker) -> Verdict {
        while let Some((id, result)) = self.admin.next_result() {
            match self.identity_call == Some(id) {
                true => self.identified(result),
                false => self.answered(id, &result, onlooker)?,
            }
        }
        if self.is_forgotten || !rests && random.below(3_000) == 0 {
            return self.begin_again(random, onlooker);
        }
        let Some(identity) = self.identity else {
            self.identify(now);
            return Ok(());
        };
        if let Some(topic) = self.admin.cluster().topics.get(&Str::from_static(TOPIC)) {
            let leaders: Vec<(i32, i32)> = topic.partitions.iter().map(|(number, one)| (*number, one.leader)).collect();
            for (partition, leader) in leaders {
                // Some at once, now and then.
                let count = if !rests && random.below(60) == 0 { 1 + random.below(UNDER_WAY_MAX as u64) } else { 0 };
                (0..count).for_each(|_| self.write(partition, random, onlooker));
                if leader >= 0 && !self.hesitates_now(partition, now, random) {
                    self.send(partition, leader, identity, now)?;
                }
            }
        }
        Ok(())
    }

    /// Whether it waits before it sends again what it is in doubt of.
    fn hesitates_now(&mut self, partition: i32, now: Now, random: &mut Random) -> bool {
        let Some(lane) = self.lanes.get_mut(&partition).filter(|_| self.hesitates) else { return false };
        let in_doubt = lane.under_way.iter().any(|batch| batch.is_in_doubt);
        if !in_doubt || lane.under_way.iter().any(|batch| batch.call.is_some()) {
            lane.waits_until = None;
            return false;
        }
        let longest_ms = HESITATES_MS_MAX;
        let until = *lane.waits_until.get_or_insert_with(|| now.monotonic.plus_ms(random.below(longest_ms)));
        until > now.monotonic
    }

    fn identify(&mut self, now: Now) {
        if self.identity_call.is_none() {
            let request = init_producer_id::Request { transaction_timeout_ms: i32::MAX, ..Default::default() };
            self.identity_call = Some(self.admin.call(To::Any, request, now));
        }
    }

    fn identified(&mut self, result: Result<AnyResponse, ClientError>) {
        self.identity_call = None;
        if let Ok(AnyResponse::InitProducerId(response)) = result
            && response.error_code == ErrorCode::NONE
        {
            self.identity = Some((response.producer_id, response.producer_epoch));
        }
    }

    fn begin_again(&mut self, random: &mut Random, onlooker: &mut Onlooker) -> Verdict {
        onlooker.count("producer gone");
        let Self { index, brokers, hesitates, life, acknowledged, .. } = *self;
        let fresh = Self::new(index, brokers, hesitates, random.next_u64()).map_err(|error| error.to_string())?;
        *self = Self { life: life + 1, acknowledged, ..fresh };
        Ok(())
    }

    /// A new batch, if there is room for one.
    fn write(&mut self, partition: i32, random: &mut Random, onlooker: &mut Onlooker) {
        let lane = self.lanes.entry(partition).or_default();
        let room = if lane.is_known { UNDER_WAY_MAX } else { 1 };
        if lane.under_way.len() >= room {
            return;
        }
        let name = format!("p{}.{}", self.index, self.life);
        onlooker.acknowledged.idempotent(&name);
        let count = 1 + random.below(RECORDS_MAX);
        let values = (1..=count).map(|more| {
            let filling = "y".repeat(random.below(80) as usize);
            Bytes::from(format!("{name}.{} {filling}", self.serial + more))
        });
        let (sequence, values, starts) = (lane.next_sequence, values.collect(), onlooker.seen("start"));
        let batch = Batch { sequence, values, call: None, starts, is_in_doubt: false };
        self.serial += count;
        lane.next_sequence += count as i32;
        lane.under_way.push_back(batch);
    }

    /// Sends what may be sent: new batches behind each other, or else the first of those in doubt alone.
    fn send(&mut self, partition: i32, leader: i32, identity: (i64, i16), now: Now) -> Verdict {
        let Some(lane) = self.lanes.get_mut(&partition) else { return Ok(()) };
        let in_doubt = lane.under_way.iter().any(|batch| batch.is_in_doubt);
        let waits = lane.under_way.iter().any(|batch| batch.call.is_some());
        if in_doubt && waits {
            return Ok(());
        }
        let count = if in_doubt { 1 } else { UNDER_WAY_MAX };
        for batch in lane.under_way.iter_mut().take(count).filter(|batch| batch.call.is_none()) {
            let records = encode(&batch.values, identity, batch.sequence, now).map_err(|error| error.to_string())?;
            let request = produce::Request {
                transactional_id: None,
                acks: -1,
                timeout_ms: CALL_MS as i32,
                topics: vec![produce::RequestTopic {
                    name: Str::from_static(TOPIC),
                    partitions: vec![produce::RequestPartition { partition_index: partition, records: Some(records) }],
                }],
            };
            let options = CallOptions { name: "produce".to_owned(), timeout_ms: Some(CALL_MS), try_again: |_| None };
            batch.call = Some(self.admin.call_with(To::Node(leader), request, options, now));
        }
        Ok(())
    }

    fn answered(&mut self, id: CallId, result: &Result<AnyResponse, ClientError>, onlooker: &mut Onlooker) -> Verdict {
        let mut all = self.lanes.iter_mut();
        let found = all.find_map(|(number, lane)| {
            let at = lane.under_way.iter().position(|batch| batch.call == Some(id))?;
            Some((*number, lane, at))
        });
        let Some((partition, lane, at)) = found else { return Ok(()) };
        let (code, offset) = match result {
            Ok(AnyResponse::Produce(response)) => {
                let mut parts = response.topics.iter().flat_map(|topic| &topic.partitions);
                parts.next().map_or((ErrorCode::UNKNOWN_SERVER_ERROR, -1), |part| (part.error_code, part.base_offset))
            }
            _ => (ErrorCode::REQUEST_TIMED_OUT, -1),
        };
        if matches!(code, ErrorCode::NONE | ErrorCode::DUPLICATE_SEQUENCE_NUMBER) {
            lane.is_known = true;
            let Some(batch) = lane.under_way.remove(at) else { return Ok(()) };
            for (place, value) in (0..).zip(&batch.values) {
                self.acknowledged += 1;
                let offset = if code == ErrorCode::NONE && offset >= 0 { offset + place } else { -1 };
                onlooker.acknowledged.note(partition, offset, value)?;
            }
            return Ok(());
        }
        let Some(batch) = lane.under_way.get_mut(at) else { return Ok(()) };
        (batch.call, batch.is_in_doubt) = (None, true);
        let starts = batch.starts;
        let first = String::from_utf8_lossy(batch.values.first().map_or(&[], |value| value));
        let first = first.split(' ').next().unwrap_or_default().to_owned();
        onlooker.tell(|| format!("producer p{}: {first} to partition {partition}: {code}", self.index));
        self.admin.describe_cluster(Interest::Topics([Str::from_static(TOPIC)].into()));
        // All before it were taken, and what was taken is never lost: it is what is expected, or it is there. But who has started since
        // knows the last batch of a producer alone, as in the original.
        if code == ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER && at == 0 && lane.is_known {
            if onlooker.seen("start") == starts {
                let what = "the next of its producer in partition";
                return Err(format!("{first}, {what} {partition}, is said to be out of order"));
            }
            self.is_forgotten = true;
        }
        Ok(())
    }
}

fn machine(brokers: i32, seed: u64) -> Result<Admin, ClientError> {
    let bootstrap = bootstrap(brokers);
    let more = [("default.api.timeout.ms", "1000"), ("retries", "0")];
    let (config, _) = AdminConfig::new(network(&bootstrap, &more)).map_err(illegal)?;
    let mut admin = Admin::new(config, seed);
    admin.describe_cluster(Interest::Topics([Str::from_static(TOPIC)].into()));
    Ok(admin)
}

fn encode(values: &[Bytes], (id, epoch): (i64, i16), sequence: i32, now: Now) -> Result<Bytes, ClientError> {
    let mut builder = RecordsBuilder::new(BuilderOptions {
        producer_id: id,
        producer_epoch: epoch,
        base_sequence: sequence,
        ..BuilderOptions::new(Magic::V2, Codec::None)
    })
    .map_err(illegal)?;
    for value in values {
        builder.append(now.wall_ms, None, Some(value), &[]).map_err(illegal)?;
    }
    Ok(builder.build().ok_or_else(|| illegal("an empty batch"))?.bytes)
}
