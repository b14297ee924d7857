//! Who makes the topic, and looks at it.

use base::{Now, Str};
use kafka_client::{Admin, AdminConfig, CallId, ClientError, Interest, To};
use kafka_proto::messages::create_topics;
use kafka_proto::{AnyResponse, ErrorCode};

use super::{illegal, network};
use crate::cluster::invariants::Onlooker;
use crate::cluster::settings::{Draw, TOPIC, bootstrap};

/// Makes the topic, and looks at it.
pub(in crate::cluster) struct Making {
    pub(super) admin: Admin,
    partitions: i32,
    factor: i16,
    call: Option<CallId>,
    made: bool,
}

impl Making {
    pub(super) fn new(brokers: i32, draw: &Draw, seed: u64) -> Result<Self, ClientError> {
        let bootstrap = bootstrap(brokers);
        let properties = network(&bootstrap, &[("default.api.timeout.ms", "3000")]);
        let (config, _) = AdminConfig::new(properties).map_err(illegal)?;
        let mut admin = Admin::new(config, seed);
        admin.describe_cluster(Interest::All);
        Ok(Self { admin, partitions: draw.partitions, factor: draw.factor, call: None, made: false })
    }

    pub(super) fn turn(&mut self, now: Now, onlooker: &mut Onlooker) {
        while let Some((id, result)) = self.admin.next_result() {
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
    }
}
