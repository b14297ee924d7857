//! A tree of znodes with one-shot watches, and the controller that works on it.

use std::collections::{BTreeMap, BTreeSet};

use base::{Monotonic, Now};
use bytes::Bytes;
use kafka_control::znode::{BrokerRegistration, Endpoint};
use kafka_control::{
    BrokerAnswer, BrokerMessage, Controller, ControllerSettings, CreateMode, Effects, Event, Failure, Operation,
    Outcome, Reply, TopicPartition, ZnodeStat,
};
use kafka_proto::ErrorCode;

#[derive(Clone)]
struct Znode {
    data: Option<Bytes>,
    stat: ZnodeStat,
}

pub(crate) struct World {
    pub(crate) controller: Controller,
    pub(crate) messages: Vec<BrokerMessage>,
    /// Paths that the controller created, in order.
    pub(crate) written: Vec<String>,
    znodes: BTreeMap<String, Znode>,
    data_watches: BTreeSet<String>,
    child_watches: BTreeSet<String>,
    zxid: i64,
    session: i64,
}

fn settings() -> ControllerSettings {
    ControllerSettings {
        broker: 0,
        delete_topic_enable: true,
        unclean_leader_election_enable: false,
        feature_versioning: true,
        auto_leader_rebalance: true,
        imbalance_check_interval_s: 300,
        imbalance_percentage_max: 10,
    }
}

fn now() -> Now {
    Now { monotonic: Monotonic::from_ms(1), wall_ms: 1000 }
}

impl World {
    pub(crate) fn with_broker(id: i32) -> Self {
        let mut world = Self {
            controller: Controller::new(settings()),
            messages: Vec::new(),
            written: Vec::new(),
            znodes: BTreeMap::new(),
            data_watches: BTreeSet::new(),
            child_watches: BTreeSet::new(),
            zxid: 0,
            session: 100,
        };
        for path in ["/brokers/ids", "/brokers/topics", "/admin/delete_topics", "/config/topics"] {
            world.create(path, "");
        }
        world.add_broker(id);
        world
    }

    pub(crate) fn register(&mut self) {
        self.handle(Event::Registered { session: self.session });
    }

    pub(crate) fn expire(&mut self) {
        let mine = |znode: &Znode| znode.stat.ephemeral_owner == self.session;
        let paths: Vec<_> = self.znodes.iter().filter(|(_, znode)| mine(znode)).map(|(path, _)| path.clone()).collect();
        for path in paths {
            self.znodes.remove(&path);
        }
        self.session += 1;
        self.handle(Event::SessionExpired);
    }

    /// The process dies with its session; a new one starts.
    pub(crate) fn restart(&mut self) {
        self.expire();
        self.controller = Controller::new(settings());
        self.data_watches.clear();
        self.child_watches.clear();
    }

    /// Another broker is elected, and the news of it is still on the way.
    pub(crate) fn steal_office(&mut self, broker: i32) {
        let content = Bytes::from(format!(r#"{{"version":1,"brokerid":{broker},"timestamp":"1"}}"#));
        let controller = self.znodes.get_mut("/controller").unwrap();
        controller.data = Some(content);
        controller.stat.ephemeral_owner = -1;
        self.znodes.get_mut("/controller_epoch").unwrap().stat.version += 1;
    }

    pub(crate) fn replicas_deleted(&mut self, broker: i32, topic: &str, success: bool) {
        let code = if success { ErrorCode::NONE } else { ErrorCode::KAFKA_STORAGE_ERROR };
        let partition = TopicPartition { topic: topic.to_owned(), partition: 0 };
        self.answered(broker, BrokerAnswer::StopReplica(vec![(partition, code)]));
    }

    pub(crate) fn replica_offline(&mut self, broker: i32, topic: &str, partition: i32) {
        let partition = TopicPartition { topic: topic.to_owned(), partition };
        self.answered(broker, BrokerAnswer::LeaderAndIsr(vec![(partition, ErrorCode::KAFKA_STORAGE_ERROR)]));
    }

    fn answered(&mut self, broker: i32, answer: BrokerAnswer) {
        self.handle(Event::Answered { broker, broker_epoch: 1, controller_epoch: 1, answer });
    }

    pub(crate) fn add_broker(&mut self, id: i32) {
        let registration = BrokerRegistration {
            id,
            version: 5,
            endpoints: vec![Endpoint {
                listener: "PLAINTEXT".to_owned(),
                security_protocol: "PLAINTEXT".to_owned(),
                host: "localhost".to_owned(),
                port: 9092 + id,
            }],
            rack: None,
            jmx_port: -1,
            timestamp_ms: 1000,
        };
        let content = String::from_utf8(registration.encode().to_vec()).unwrap();
        self.create(&format!("/brokers/ids/{id}"), &content);
    }

    pub(crate) fn create(&mut self, path: &str, content: &str) {
        let data = Some(Bytes::copy_from_slice(content.as_bytes()));
        self.apply(&Operation::Create { path: path.to_owned(), data, mode: CreateMode::Persistent }).unwrap();
        self.fire(path);
    }

    pub(crate) fn set(&mut self, path: &str, content: &str) {
        let data = Some(Bytes::copy_from_slice(content.as_bytes()));
        self.apply(&Operation::SetData { path: path.to_owned(), data, version: -1 }).unwrap();
        self.fire(path);
    }

    pub(crate) fn delete(&mut self, path: &str) {
        self.apply(&Operation::Delete { path: path.to_owned(), version: -1 }).unwrap();
        self.fire(path);
    }

    pub(crate) fn text(&self, path: &str) -> String {
        let znode = self.znodes.get(path).unwrap_or_else(|| panic!("no {path} in {:?}", self.znodes.keys()));
        String::from_utf8(znode.data.clone().unwrap_or_default().to_vec()).unwrap()
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.znodes.contains_key(path)
    }

    fn handle(&mut self, event: Event) {
        let mut effects = Effects::default();
        self.controller.handle(event, now(), &mut effects);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, mut effects: Effects) {
        let mut changed = Vec::new();
        loop {
            self.messages.append(&mut effects.messages);
            let operations = std::mem::take(&mut effects.operations);
            if operations.is_empty() {
                break;
            }
            let outcomes = operations.iter().map(|operation| self.apply_and_note(operation, &mut changed)).collect();
            self.controller.outcomes(outcomes, now(), &mut effects);
        }
        for path in changed {
            self.fire(&path);
        }
    }

    fn apply_and_note(&mut self, operation: &Operation, changed: &mut Vec<String>) -> Outcome {
        let outcome = self.apply(operation);
        if outcome.is_ok() {
            let parts =
                if let Operation::Multi(parts) = operation { &parts[..] } else { std::slice::from_ref(operation) };
            for part in parts {
                match part {
                    Operation::Create { path, .. } => {
                        self.written.push(path.clone());
                        changed.push(path.clone());
                    }
                    Operation::SetData { path, .. } | Operation::Delete { path, .. } => changed.push(path.clone()),
                    _ => {}
                }
            }
        }
        outcome
    }

    fn fire(&mut self, path: &str) {
        if self.data_watches.remove(path) {
            self.handle(Event::Changed(path.to_owned()));
        }
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
        if self.child_watches.remove(&parent) {
            self.handle(Event::Changed(parent));
        }
    }

    fn apply(&mut self, operation: &Operation) -> Outcome {
        match operation {
            Operation::Create { path, data, mode } => {
                if self.exists(path) {
                    return Err(Failure::NodeExists);
                }
                self.zxid += 1;
                let owner = if *mode == CreateMode::Ephemeral { self.session } else { 0 };
                let stat = ZnodeStat { czxid: self.zxid, ctime_ms: 0, version: 0, ephemeral_owner: owner };
                self.znodes.insert(path.clone(), Znode { data: data.clone(), stat });
                Ok(Reply::Created(path.clone()))
            }
            Operation::Delete { path, .. } => match self.znodes.remove(path) {
                Some(_) => Ok(Reply::Done),
                None => Err(Failure::NoNode),
            },
            Operation::SetData { path, data, version } => {
                let znode = self.znodes.get_mut(path).ok_or(Failure::NoNode)?;
                if *version != -1 && *version != znode.stat.version {
                    return Err(Failure::BadVersion);
                }
                znode.stat.version += 1;
                znode.data.clone_from(data);
                Ok(Reply::Stat(znode.stat))
            }
            Operation::Check { path, version } => match self.znodes.get(path) {
                Some(znode) if znode.stat.version == *version => Ok(Reply::Done),
                _ => Err(Failure::Fenced),
            },
            Operation::GetData { path, watch } => {
                let znode = self.znodes.get(path).ok_or(Failure::NoNode)?;
                if *watch {
                    self.data_watches.insert(path.clone());
                }
                Ok(Reply::Data(znode.data.clone(), znode.stat))
            }
            Operation::Exists { path, watch } => {
                if *watch {
                    self.data_watches.insert(path.clone());
                }
                self.znodes.get(path).map(|znode| Reply::Stat(znode.stat)).ok_or(Failure::NoNode)
            }
            Operation::GetChildren { path, watch } => {
                if !self.exists(path) {
                    return Err(Failure::NoNode);
                }
                if *watch {
                    self.child_watches.insert(path.clone());
                }
                let prefix = format!("{path}/");
                let names = self.znodes.keys().filter_map(|key| key.strip_prefix(&prefix));
                Ok(Reply::Children(names.filter(|name| !name.contains('/')).map(str::to_owned).collect()))
            }
            Operation::Multi(parts) => {
                let before = self.znodes.clone();
                let result: Result<Vec<_>, _> = parts.iter().map(|part| self.apply(part)).collect();
                if result.is_err() {
                    self.znodes = before;
                }
                result.map(Reply::Multi)
            }
        }
    }
}
