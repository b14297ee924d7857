//! Who makes the topic, and looks at it.

use std::collections::BTreeMap;

use base::{Now, Str};
use kafka_client::{Admin, AdminConfig, CallId, CallOptions, ClientError, Interest, To};
use kafka_proto::messages::metadata::ResponsePartition;
use kafka_proto::messages::{create_topics, metadata};
use kafka_proto::{AnyResponse, ErrorCode};

use super::{illegal, network};
use crate::cluster::invariants::Onlooker;
use crate::cluster::settings::{BrokerId, Draw, TOPIC, bootstrap};

/// Makes the topic, and looks at it; when others rest, with the eyes of one broker after the other.
pub(in crate::cluster) struct Making {
    pub(super) admin: Admin,
    brokers: i32,
    partitions: i32,
    factor: i16,
    call: Option<CallId>,
    made: bool,
    /// Who is asked next, and who was asked.
    next: BrokerId,
    look: Option<(CallId, BrokerId)>,
    /// What each broker said last, by partition.
    pub(super) described: BTreeMap<BrokerId, BTreeMap<i32, ResponsePartition>>,
}

impl Making {
    pub(super) fn new(brokers: i32, draw: &Draw, seed: u64) -> Result<Self, ClientError> {
        let bootstrap = bootstrap(brokers);
        let properties = network(&bootstrap, &[("default.api.timeout.ms", "3000")]);
        let (config, _) = AdminConfig::new(properties).map_err(illegal)?;
        let mut admin = Admin::new(config, seed);
        admin.describe_cluster(Interest::All);
        Ok(Self {
            admin,
            brokers,
            partitions: draw.partitions,
            factor: draw.factor,
            call: None,
            made: false,
            next: 1,
            look: None,
            described: BTreeMap::new(),
        })
    }

    /// Brokers that do not say of all partitions that all replicas are in sync. Before AlterIsr a leader tells others of its ISR after a while.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = String> {
        let factor = usize::from(self.factor.unsigned_abs());
        let is_whole = move |one: &ResponsePartition| one.isr_nodes.len() == factor;
        let knows = move |of: &BTreeMap<i32, ResponsePartition>| !of.is_empty() && of.values().all(is_whole);
        let others = (1..=self.brokers).filter(move |broker| !self.described.get(broker).is_some_and(knows));
        others.map(|broker| format!("broker {broker} knows of no full ISR"))
    }

    pub(super) fn turn(&mut self, rests: bool, now: Now, onlooker: &mut Onlooker) {
        while let Some((id, result)) = self.admin.next_result() {
            if let Some((_, broker)) = self.look.take_if(|(call, _)| *call == id) {
                self.looked(broker, result);
                continue;
            }
            if self.call != Some(id) {
                continue;
            }
            self.call = None;
            if let Ok(AnyResponse::CreateTopics(response)) = &result {
                let codes: Vec<ErrorCode> = response.topics.iter().map(|topic| topic.error_code).collect();
                let is_there = |code: &ErrorCode| matches!(*code, ErrorCode::NONE | ErrorCode::TOPIC_ALREADY_EXISTS);
                self.made = codes.iter().all(is_there);
                onlooker.tell(|| format!("create topic: {codes:?}"));
            }
        }
        let brokers = self.admin.cluster().brokers.len();
        if !self.made && self.call.is_none() && brokers >= usize::from(self.factor.unsigned_abs()) {
            let topic = create_topics::RequestTopic {
                name: Str::from_static(TOPIC),
                num_partitions: self.partitions,
                replication_factor: self.factor,
                assignments: Vec::new(),
                configs: Vec::new(),
            };
            let request = create_topics::Request { topics: vec![topic], timeout_ms: 1000, validate_only: false };
            self.call = Some(self.admin.call(To::Controller, request, now));
        }
        self.admin.describe_cluster(Interest::All);
        if rests && self.look.is_none() {
            self.ask_next(now);
        }
    }

    fn ask_next(&mut self, now: Now) {
        let broker = self.next;
        self.next = broker % self.brokers + 1;
        let topic = metadata::RequestTopic { name: Str::from_static(TOPIC) };
        let request = metadata::Request { topics: Some(vec![topic]), ..Default::default() };
        let options = CallOptions { name: "look".to_owned(), timeout_ms: Some(1000), try_again: |_| None };
        self.look = Some((self.admin.call_with(To::Node(broker), request, options, now), broker));
    }

    fn looked(&mut self, broker: BrokerId, result: Result<AnyResponse, ClientError>) {
        if let Ok(AnyResponse::Metadata(response)) = result {
            let partitions = response.topics.into_iter().flat_map(|topic| topic.partitions);
            self.described.insert(broker, partitions.map(|one| (one.partition_index, one)).collect());
        }
    }
}
