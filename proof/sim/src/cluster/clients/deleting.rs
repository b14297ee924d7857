//! Who lets records of the topic go (DeleteRecords), some at a time.

use std::collections::BTreeMap;

use base::{Now, Random, Str};
use kafka_client::{Admin, AdminConfig, CallId, CallOptions, ClientError, Interest, To};
use kafka_proto::messages::delete_records;
use kafka_proto::{AnyResponse, ErrorCode};

use super::{illegal, network};
use crate::cluster::invariants::Onlooker;
use crate::cluster::settings::{TOPIC, bootstrap};

/// The most that goes at a time.
const RECORDS_MAX: u64 = 30;

pub(in crate::cluster) struct Deleting {
    pub(super) admin: Admin,
    /// With the partition and the offset, and how many brokers had started when it was asked.
    call: Option<(CallId, i32, i64, u64)>,
    /// Up to where records of each partition were let go.
    deleted: BTreeMap<i32, i64>,
}

impl Deleting {
    pub(super) fn new(brokers: i32, seed: u64) -> Result<Self, ClientError> {
        let bootstrap = bootstrap(brokers);
        let properties = network(&bootstrap, &[("default.api.timeout.ms", "1500"), ("retries", "0")]);
        let (config, _) = AdminConfig::new(properties).map_err(illegal)?;
        let mut admin = Admin::new(config, seed);
        admin.describe_cluster(Interest::Topics([Str::from_static(TOPIC)].into()));
        Ok(Self { admin, call: None, deleted: BTreeMap::new() })
    }

    /// Whether it waits for an answer.
    pub(super) const fn is_busy(&self) -> bool {
        self.call.is_some()
    }

    pub(super) fn turn(&mut self, rests: bool, now: Now, random: &mut Random, onlooker: &mut Onlooker) {
        while let Some((id, result)) = self.admin.next_result() {
            if let Some((_, partition, before, starts)) = self.call.take_if(|(call, ..)| *call == id) {
                self.answered(partition, before, starts, &result, onlooker);
            }
        }
        if self.call.is_none() && !rests && random.below(10) == 0 {
            self.ask(now, random, onlooker);
            self.admin.describe_cluster(Interest::Topics([Str::from_static(TOPIC)].into()));
        }
    }

    fn ask(&mut self, now: Now, random: &mut Random, onlooker: &mut Onlooker) {
        let Some(topic) = self.admin.cluster().topics.get(TOPIC) else { return };
        let chosen = random.below(topic.partitions.len().max(1) as u64) as usize;
        let Some((partition, described)) = topic.partitions.iter().nth(chosen) else { return };
        let (partition, leader) = (*partition, described.leader);
        if leader < 0 {
            return;
        }
        let before = self.deleted.get(&partition).copied().unwrap_or(0) + 1 + random.below(RECORDS_MAX) as i64;
        onlooker.starts.asked(partition, before);
        let one = delete_records::RequestPartition { partition_index: partition, offset: before };
        let topic = delete_records::RequestTopic { name: Str::from_static(TOPIC), partitions: vec![one] };
        let request = delete_records::Request { topics: vec![topic], timeout_ms: 1000 };
        let options = CallOptions { name: "delete".to_owned(), timeout_ms: None, try_again: |_| None };
        let call = self.admin.call_with(To::Node(leader), request, options, now);
        self.call = Some((call, partition, before, onlooker.seen("start")));
    }

    fn answered(
        &mut self,
        partition: i32,
        before: i64,
        starts: u64,
        result: &Result<AnyResponse, ClientError>,
        onlooker: &mut Onlooker,
    ) {
        let code = match result {
            Ok(AnyResponse::DeleteRecords(response)) => {
                response.topics.iter().flat_map(|topic| &topic.partitions).map(|part| part.error_code).next()
            }
            _ => None,
        };
        onlooker.tell(|| format!("delete {partition} before {before}: {code:?} {:?}", result.as_ref().err()));
        if code == Some(ErrorCode::NONE) {
            onlooker.count("records deleted");
            onlooker.starts.deleted(partition, before, starts);
            self.deleted.insert(partition, before);
        }
    }
}
