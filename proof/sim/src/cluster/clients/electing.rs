//! Who lets the topic's leaders change in quick succession, all replicas alive and in sync: another order of a partition's replicas, then an
//! election of the preferred one. What a leader of a moment has written, and others lack, is to go when logs part.

use std::collections::BTreeMap;

use base::{Now, Random, Str};
use kafka_client::{Admin, AdminConfig, CallId, CallOptions, ClientError, Interest, To};
use kafka_proto::messages::{alter_partition_reassignments, elect_leaders};
use kafka_proto::{AnyRequest, AnyResponse, ErrorCode};

use super::{illegal, network};
use crate::cluster::invariants::Onlooker;
use crate::cluster::settings::{TOPIC, bootstrap};

pub(in crate::cluster) struct Electing {
    pub(super) admin: Admin,
    /// Of some turns, one begins an election.
    pace: u64,
    call: Option<(CallId, Asked)>,
    /// Replicas of each partition in their order, as it was asked for last.
    orders: BTreeMap<i32, Vec<i32>>,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Order(i32),
    Election,
}

impl Electing {
    pub(super) fn new(brokers: i32, pace: u64, seed: u64) -> Result<Self, ClientError> {
        let bootstrap = bootstrap(brokers);
        let properties = network(&bootstrap, &[("default.api.timeout.ms", "1500"), ("retries", "0")]);
        let (config, _) = AdminConfig::new(properties).map_err(illegal)?;
        let mut admin = Admin::new(config, seed);
        admin.describe_cluster(Interest::Topics([Str::from_static(TOPIC)].into()));
        Ok(Self { admin, pace, call: None, orders: BTreeMap::new() })
    }

    /// Whether it waits for an answer.
    pub(super) const fn is_busy(&self) -> bool {
        self.call.is_some()
    }

    pub(super) fn turn(&mut self, rests: bool, now: Now, random: &mut Random, onlooker: &mut Onlooker) {
        while let Some((id, result)) = self.admin.next_result() {
            if let Some((_, asked)) = self.call.take_if(|(call, _)| *call == id) {
                self.answered(asked, &result, now, onlooker);
            }
        }
        if self.call.is_none() {
            self.admin.describe_cluster(Interest::Topics([Str::from_static(TOPIC)].into()));
            if !rests && random.below(self.pace) == 0 {
                self.reorder(now, random);
            }
        }
    }

    fn reorder(&mut self, now: Now, random: &mut Random) {
        if let Some(topic) = self.admin.cluster().topics.get(TOPIC) {
            for (number, partition) in &topic.partitions {
                self.orders.entry(*number).or_insert_with(|| partition.replicas.clone());
            }
        }
        let chosen = random.below(self.orders.len().max(1) as u64) as usize;
        let Some((partition, order)) = self.orders.iter_mut().nth(chosen) else { return };
        let others = order.len().saturating_sub(1);
        order.rotate_left((1 + random.below(others.max(1) as u64) as usize).min(others));
        let (number, replicas) = (*partition, order.clone());
        let partition =
            alter_partition_reassignments::RequestPartition { partition_index: number, replicas: Some(replicas) };
        let topic =
            alter_partition_reassignments::RequestTopic { name: Str::from_static(TOPIC), partitions: vec![partition] };
        let request = alter_partition_reassignments::Request { timeout_ms: 1000, topics: vec![topic] };
        self.ask(Asked::Order(number), request.into(), now);
    }

    fn elect(&mut self, partition: i32, now: Now) {
        let topic = elect_leaders::RequestTopic { topic: Str::from_static(TOPIC), partition_indexes: vec![partition] };
        let request = elect_leaders::Request { election_type: 0, topics: Some(vec![topic]), timeout_ms: 1000 };
        self.ask(Asked::Election, request.into(), now);
    }

    fn ask(&mut self, asked: Asked, request: AnyRequest, now: Now) {
        let options = CallOptions { name: "elect".to_owned(), timeout_ms: None, try_again: |_| None };
        self.call = Some((self.admin.call_with(To::Controller, request, options, now), asked));
    }

    fn answered(&mut self, asked: Asked, result: &Result<AnyResponse, ClientError>, now: Now, onlooker: &mut Onlooker) {
        let code = match result {
            Ok(AnyResponse::AlterPartitionReassignments(response)) => {
                let mut parts = response.responses.iter().flat_map(|topic| &topic.partitions);
                Some(parts.next().map_or(response.error_code, |part| part.error_code))
            }
            Ok(AnyResponse::ElectLeaders(response)) => {
                let mut parts = response.topics.iter().flat_map(|topic| &topic.partitions);
                Some(parts.next().map_or(response.error_code, |part| part.error_code))
            }
            _ => None,
        };
        onlooker.tell(|| format!("elector: {asked:?}: {code:?} {:?}", result.as_ref().err()));
        match (asked, code) {
            (Asked::Order(partition), Some(ErrorCode::NONE)) => self.elect(partition, now),
            (Asked::Election, Some(ErrorCode::NONE)) => onlooker.count("elected"),
            _ => {}
        }
    }
}
