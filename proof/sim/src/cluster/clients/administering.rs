//! Who administers the cluster: moves the topic's replicas, makes other topics, lets them grow, and deletes them.

use std::collections::BTreeMap;

use base::{Now, Random, Str};
use kafka_client::metadata::Topic;
use kafka_client::{Admin, AdminConfig, CallId, CallOptions, ClientError, Interest, To};
use kafka_proto::messages::{
    alter_partition_reassignments, alter_replica_log_dirs, create_partitions, create_topics, delete_topics,
};
use kafka_proto::{AnyRequest, AnyResponse, ErrorCode};

use super::{illegal, network};
use crate::cluster::invariants::Onlooker;
use crate::cluster::settings::{Draw, TOPIC, bootstrap};

/// Topics at a time.
const TOPICS_MAX: usize = 3;

pub(in crate::cluster) struct Administering {
    pub(super) admin: Admin,
    brokers: i32,
    draw: Draw,
    call: Option<(CallId, Asked)>,
    serial: u32,
    topics: BTreeMap<Str, Wanted>,
}

#[derive(Clone, Debug)]
enum Asked {
    Create(Str, i32),
    Grow(Str, i32),
    Delete(Str),
    Move,
    /// On this broker, to another log directory.
    MoveOn(i32),
}

/// What is to be there in the end.
#[derive(Clone, Debug, Default)]
struct Wanted {
    /// At least so many partitions, if it was acknowledged.
    partitions: i32,
    /// The most that was asked for.
    asked: i32,
    deletion_asked: bool,
    deleted: bool,
}

impl Administering {
    pub(super) fn new(brokers: i32, draw: &Draw, seed: u64) -> Result<Self, ClientError> {
        let bootstrap = bootstrap(brokers);
        let properties = network(&bootstrap, &[("default.api.timeout.ms", "1500"), ("retries", "0")]);
        let (config, _) = AdminConfig::new(properties).map_err(illegal)?;
        let mut admin = Admin::new(config, seed);
        admin.describe_cluster(Interest::All);
        Ok(Self { admin, brokers, draw: *draw, call: None, serial: 0, topics: BTreeMap::new() })
    }

    pub(super) fn turn(&mut self, rests: bool, now: Now, random: &mut Random, onlooker: &mut Onlooker) {
        while let Some((id, result)) = self.admin.next_result() {
            if let Some((_, asked)) = self.call.take_if(|(call, _)| *call == id) {
                self.answered(&asked, &result, onlooker);
            }
        }
        if !rests && self.call.is_none() && random.below(20) == 0 && self.admin.cluster_version() > 0 {
            self.ask(now, random, onlooker);
        }
        self.admin.describe_cluster(Interest::All);
    }

    fn ask(&mut self, now: Now, random: &mut Random, onlooker: &Onlooker) {
        let there: Vec<Str> =
            self.topics.iter().filter(|(_, wanted)| !wanted.deletion_asked).map(|(name, _)| name.clone()).collect();
        let one = there.get(random.below(there.len().max(1) as u64) as usize);
        let (asked, request) = match (random.below(5), one) {
            (0, _) if there.len() < TOPICS_MAX => self.create(random),
            (1, Some(name)) => self.grow(name.clone()),
            (2, Some(name)) => self.delete(name.clone()),
            (3, _) if self.draw.log_dirs().len() > 1 => self.change_directory(random),
            _ if self.draw.moves => self.reassign(random),
            _ => return,
        };
        onlooker.tell(|| format!("administrator: {asked:?}"));
        let options = CallOptions { name: "administer".to_owned(), timeout_ms: None, try_again: |_| None };
        let to = if let Asked::MoveOn(broker) = asked { To::Node(broker) } else { To::Controller };
        self.call = Some((self.admin.call_with(to, request, options, now), asked));
    }

    fn create(&mut self, random: &mut Random) -> (Asked, AnyRequest) {
        self.serial += 1;
        let name = Str::from(format!("topic-{}", self.serial));
        let count = 1 + random.below(3) as i32;
        self.topics.insert(name.clone(), Wanted { asked: count, ..Wanted::default() });
        let topic = create_topics::RequestTopic {
            name: name.clone(),
            num_partitions: count,
            replication_factor: 1 + random.below(self.draw.factor.unsigned_abs().into()) as i16,
            assignments: Vec::new(),
            configs: Vec::new(),
        };
        let request = create_topics::Request { topics: vec![topic], timeout_ms: 1000, validate_only: false };
        (Asked::Create(name, count), request.into())
    }

    fn grow(&mut self, name: Str) -> (Asked, AnyRequest) {
        let wanted = self.topics.entry(name.clone()).or_default();
        wanted.asked += 1;
        let count = wanted.asked;
        let topic = create_partitions::RequestTopic { name: name.clone(), count, assignments: None };
        let request = create_partitions::Request { topics: vec![topic], timeout_ms: 1000, validate_only: false };
        (Asked::Grow(name, count), request.into())
    }

    fn delete(&mut self, name: Str) -> (Asked, AnyRequest) {
        self.topics.entry(name.clone()).or_default().deletion_asked = true;
        let request = delete_topics::Request { topic_names: vec![name.clone()], timeout_ms: 1000 };
        (Asked::Delete(name), request.into())
    }

    /// Other replicas for a partition of the topic, or the end of such a move.
    fn reassign(&self, random: &mut Random) -> (Asked, AnyRequest) {
        let mut left: Vec<i32> = (1..=self.brokers).collect();
        let replicas = (0..self.draw.factor).map(|_| left.swap_remove(random.below(left.len() as u64) as usize));
        let replicas: Vec<i32> = replicas.collect();
        let partition = alter_partition_reassignments::RequestPartition {
            partition_index: random.below(self.draw.partitions.unsigned_abs().into()) as i32,
            replicas: (random.below(6) > 0).then_some(replicas),
        };
        let topic =
            alter_partition_reassignments::RequestTopic { name: Str::from_static(TOPIC), partitions: vec![partition] };
        (Asked::Move, alter_partition_reassignments::Request { timeout_ms: 1000, topics: vec![topic] }.into())
    }

    /// Another log directory for a replica of the topic, on one broker.
    fn change_directory(&self, random: &mut Random) -> (Asked, AnyRequest) {
        let broker = 1 + random.below(self.brokers.unsigned_abs().into()) as i32;
        let dirs = self.draw.log_dirs();
        let path = dirs.get(random.below(dirs.len() as u64) as usize).copied().unwrap_or_default();
        let partition = random.below(self.draw.partitions.unsigned_abs().into()) as i32;
        let topic = alter_replica_log_dirs::RequestTopic { name: Str::from_static(TOPIC), partitions: vec![partition] };
        let dir = alter_replica_log_dirs::Directory { path: Str::from_static(path), topics: vec![topic] };
        (Asked::MoveOn(broker), alter_replica_log_dirs::Request { dirs: vec![dir] }.into())
    }

    fn answered(&mut self, asked: &Asked, result: &Result<AnyResponse, ClientError>, onlooker: &mut Onlooker) {
        let code = match result {
            Ok(AnyResponse::CreateTopics(response)) => response.topics.first().map(|topic| topic.error_code),
            Ok(AnyResponse::CreatePartitions(response)) => response.results.first().map(|topic| topic.error_code),
            Ok(AnyResponse::DeleteTopics(response)) => response.responses.first().map(|topic| topic.error_code),
            Ok(AnyResponse::AlterPartitionReassignments(response)) => {
                let mut parts = response.responses.iter().flat_map(|topic| &topic.partitions);
                Some(parts.next().map_or(response.error_code, |part| part.error_code))
            }
            Ok(AnyResponse::AlterReplicaLogDirs(response)) => {
                response.topics.iter().flat_map(|topic| &topic.partitions).map(|part| part.error_code).next()
            }
            _ => None,
        };
        onlooker.tell(|| format!("administrator: {asked:?}: {code:?} {:?}", result.as_ref().err()));
        if code != Some(ErrorCode::NONE) {
            return;
        }
        match asked {
            Asked::Create(name, count) | Asked::Grow(name, count) => {
                onlooker.count(if matches!(asked, Asked::Create(..)) { "topic made" } else { "topic grown" });
                let wanted = self.topics.entry(name.clone()).or_default();
                wanted.partitions = wanted.partitions.max(*count);
            }
            Asked::Delete(name) => {
                onlooker.count("topic deleted");
                self.topics.entry(name.clone()).or_default().deleted = true;
            }
            Asked::Move => onlooker.count("moved"),
            Asked::MoveOn(_) => onlooker.count("moved to a directory"),
        }
    }

    /// Topics whose deletion was acknowledged.
    pub(super) fn deleted(&self) -> impl Iterator<Item = &Str> {
        self.topics.iter().filter(|(_, wanted)| wanted.deleted).map(|(name, _)| name)
    }

    /// What is not as it should be in the end.
    pub(super) fn unfinished(&self) -> Vec<String> {
        let mut open: Vec<String> = self.call.iter().map(|(_, asked)| format!("{asked:?}")).collect();
        let cluster = self.admin.cluster();
        for (name, wanted) in &self.topics {
            match cluster.topics.get(name) {
                // Its deletion is under way or done: whether a topic that was asked away is there is not known.
                _ if wanted.deletion_asked && !wanted.deleted => {}
                // A broker that was not registered when it went may name it for ever, as the original does.
                _ if wanted.deleted => {}
                None if wanted.partitions == 0 => {}
                None => open.push(format!("{name} is missing")),
                Some(topic) => open.extend(missing(topic, wanted).map(|what| format!("{name}: {what}"))),
            }
        }
        open
    }
}

/// What a topic lacks.
fn missing(topic: &Topic, wanted: &Wanted) -> Option<String> {
    if (topic.partitions.len() as i32) < wanted.partitions {
        return Some(format!("{} partitions, not {}", topic.partitions.len(), wanted.partitions));
    }
    let lame = topic.partitions.values().find(|one| one.leader < 0 || one.isr.len() < one.replicas.len())?;
    Some(format!("{lame:?}"))
}
