//! Kafka's znodes for the tools that write them themselves (upstream `KafkaZkClient`, `AdminZkClient`).

use std::collections::BTreeMap;
use std::io::{sink, stderr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::Properties;
use kafka_client::TopicPartition;
use kafka_control::znode::{
    self, BrokerRegistration, ConfigChange, EntityConfig, LeaderAndIsr, PartitionReassignment, PreferredElection,
    TopicAssignment,
};
use tls::Tls;
use zk_client::{ClientConfig, ConnectString, Failure, ops};
use zk_proto::requests::Request;
use zk_proto::responses::Response;
use zk_proto::{Acl, CreateMode, ErrorCode};

use crate::console::{Console, Thrown};
use crate::properties::zookeeper_login;
use crate::zookeeper::Session;

const TIMEOUT_MS: u32 = 30_000;
/// Kafka takes larger answers than ZooKeeper's own clients.
const FRAME_LENGTH_MAX: usize = 4 << 20;

/// A session for Kafka's znodes; closed when it is dropped.
pub struct KafkaZookeeper {
    session: Session,
}

impl Drop for KafkaZookeeper {
    fn drop(&mut self) {
        self.session.close();
    }
}

impl KafkaZookeeper {
    /// Connects to `host:port,host:port/chroot`, by TLS if there is any.
    ///
    /// # Errors
    /// When that is no connect string, or nobody answers for 30 seconds.
    pub fn connect(servers: &str, tls: Option<Arc<Tls>>) -> Result<Self, Thrown> {
        let connect = servers.parse::<ConnectString>().map_err(Thrown::illegal_argument)?;
        let mut config = ClientConfig::new(connect, TIMEOUT_MS);
        config.frame_length_max = FRAME_LENGTH_MAX;
        config.login = zookeeper_login(&Properties::new()).map_err(Thrown::illegal_argument)?;
        let mut session = Session::with(config, tls);
        if session.wait_connected(Duration::from_millis(u64::from(TIMEOUT_MS))) {
            return Ok(Self { session });
        }
        Err(Thrown::new(
            "kafka.zookeeper.ZooKeeperClientTimeoutException",
            "Timed out waiting for connection while in state: CONNECTING",
        ))
    }

    /// The names of all topics, sorted.
    ///
    /// # Errors
    /// ZooKeeper's.
    pub fn topics(&mut self) -> Result<Vec<String>, Thrown> {
        self.children(znode::TOPICS)
    }

    /// All brokers that are registered, by id.
    ///
    /// # Errors
    /// ZooKeeper's, or a registration that cannot be read.
    pub fn brokers(&mut self) -> Result<BTreeMap<i32, BrokerRegistration>, Thrown> {
        let ids: Vec<i32> = self.children(znode::BROKER_IDS)?.iter().filter_map(|id| id.parse().ok()).collect();
        let paths: Vec<String> = ids.iter().map(|id| znode::broker(*id)).collect();
        let mut brokers = BTreeMap::new();
        for (id, data) in ids.into_iter().zip(self.data_of_all(&paths)?) {
            if let Some(data) = data {
                brokers.insert(id, BrokerRegistration::decode(id, &data).map_err(unreadable)?);
            }
        }
        Ok(brokers)
    }

    /// A topic's replicas; none if there is no such topic.
    ///
    /// # Errors
    /// ZooKeeper's, or content that cannot be read.
    pub fn assignment(&mut self, topic: &str) -> Result<Option<TopicAssignment>, Thrown> {
        let data = self.data(&znode::topic(topic))?;
        data.map(|data| TopicAssignment::decode(topic, &data).map_err(unreadable)).transpose()
    }

    /// Leaders and in-sync replicas of some partitions; none where there is no state yet.
    ///
    /// # Errors
    /// ZooKeeper's, or content that cannot be read.
    pub fn states(&mut self, topic: &str, partitions: &[i32]) -> Result<Vec<Option<LeaderAndIsr>>, Thrown> {
        let paths: Vec<String> = partitions.iter().map(|partition| znode::partition_state(topic, *partition)).collect();
        let states = self.data_of_all(&paths)?;
        let decode = |(partition, data): (&i32, Option<Bytes>)| {
            data.map(|data| LeaderAndIsr::decode(topic, *partition, &data).map_err(unreadable)).transpose()
        };
        partitions.iter().zip(states).map(decode).collect()
    }

    /// Whether a topic waits to be deleted.
    ///
    /// # Errors
    /// ZooKeeper's.
    pub fn is_marked_for_deletion(&mut self, topic: &str) -> Result<bool, Thrown> {
        self.exists(&znode::delete_topic(topic))
    }

    /// What is set for an entity: `topics` and a topic, `users` and `u/clients/c`, and so on.
    ///
    /// # Errors
    /// ZooKeeper's, or content that cannot be read.
    pub fn entity_config(&mut self, kind: &str, name: &str) -> Result<EntityConfig, Thrown> {
        let path = znode::entity_config(kind, name);
        match self.data(&path)? {
            Some(data) => EntityConfig::decode(&path, &data).map_err(unreadable),
            None => Ok(EntityConfig::default()),
        }
    }

    /// Replaces what is set for an entity.
    ///
    /// # Errors
    /// ZooKeeper's.
    pub fn set_entity_config(&mut self, kind: &str, name: &str, config: &EntityConfig) -> Result<(), Thrown> {
        let path = znode::entity_config(kind, name);
        let data = Some(config.encode());
        match self.session.call(ops::set_data(path.as_str(), data.clone(), -1)) {
            Ok(_) => Ok(()),
            Err(Failure::Code(ErrorCode::NoNode)) => self.create(&path, data),
            Err(failure) => Err(keeper_exception(failure, &path)),
        }
    }

    /// Replaces what is set for an entity and tells the brokers.
    ///
    /// # Errors
    /// ZooKeeper's.
    pub fn change_entity_config(&mut self, kind: &str, name: &str, config: &EntityConfig) -> Result<(), Thrown> {
        self.set_entity_config(kind, name, config)?;
        if !self.exists(znode::CONFIG_CHANGES)? {
            self.create(znode::CONFIG_CHANGES, None)?;
        }
        let change = ConfigChange { entity_path: format!("{kind}/{name}") };
        let prefix = znode::config_change_prefix();
        let mode = CreateMode::PersistentSequential;
        let request = ops::create(prefix.as_str(), Some(change.encode()), vec![Acl::OPEN], mode);
        self.session.call(request).map_err(|failure| keeper_exception(failure, &prefix))?;
        Ok(())
    }

    /// Makes a topic of its replicas.
    ///
    /// # Errors
    /// ZooKeeper's; `NodeExistsException` if it is there.
    pub fn create_topic(&mut self, topic: &str, assignment: &TopicAssignment) -> Result<(), Thrown> {
        self.create(&znode::topic(topic), Some(assignment.encode()))
    }

    /// Replaces a topic's replicas.
    ///
    /// # Errors
    /// ZooKeeper's.
    pub fn set_assignment(&mut self, topic: &str, assignment: &TopicAssignment) -> Result<(), Thrown> {
        let path = znode::topic(topic);
        let request = ops::set_data(path.as_str(), Some(assignment.encode()), -1);
        self.session.call(request).map_err(|failure| keeper_exception(failure, &path))?;
        Ok(())
    }

    /// Asks the controller to delete a topic.
    ///
    /// # Errors
    /// ZooKeeper's; `NodeExistsException` if that was asked before.
    pub fn mark_for_deletion(&mut self, topic: &str) -> Result<(), Thrown> {
        self.create(&znode::delete_topic(topic), None)
    }

    /// The reassignments that the old way of asking has left; none, and a warning, if they cannot be read.
    ///
    /// # Errors
    /// ZooKeeper's.
    pub fn reassignment(&mut self) -> Result<PartitionReassignment, Thrown> {
        let Some(data) = self.data(znode::REASSIGN_PARTITIONS)? else { return Ok(PartitionReassignment::default()) };
        Ok(PartitionReassignment::decode(&data).unwrap_or_else(|error| {
            let text = format!("Ignoring partition reassignment due to invalid json: {}", error.reason);
            let mut console = Console { input: None, out: &mut sink(), err: &mut stderr() };
            console.log("WARN", text, "kafka.zk.KafkaZkClient");
            PartitionReassignment::default()
        }))
    }

    /// Asks the controller for reassignments.
    ///
    /// # Errors
    /// ZooKeeper's; `NodeExistsException` while others are asked for.
    pub fn create_reassignment(&mut self, reassignment: &PartitionReassignment) -> Result<(), Thrown> {
        self.create(znode::REASSIGN_PARTITIONS, Some(reassignment.encode()))
    }

    /// Asks the controller to have preferred replicas lead.
    ///
    /// # Errors
    /// ZooKeeper's; `NodeExistsException` while that is asked for others.
    pub fn create_preferred_election(&mut self, election: &PreferredElection) -> Result<(), Thrown> {
        self.create(znode::PREFERRED_ELECTION, Some(election.encode()))
    }

    /// The elections that are asked for; none if they cannot be read.
    ///
    /// # Errors
    /// ZooKeeper's.
    pub fn preferred_election(&mut self) -> Result<PreferredElection, Thrown> {
        let data = self.data(znode::PREFERRED_ELECTION)?;
        Ok(data.and_then(|data| PreferredElection::decode(&data).ok()).unwrap_or_default())
    }

    /// All partitions that have a node of their own.
    ///
    /// # Errors
    /// ZooKeeper's.
    pub fn partitions(&mut self) -> Result<Vec<TopicPartition>, Thrown> {
        let mut partitions = Vec::new();
        for topic in self.topics()? {
            let indexes = self.children(&znode::partitions(&topic))?;
            let indexes = indexes.iter().filter_map(|index| index.parse().ok());
            partitions.extend(indexes.map(|index| TopicPartition::new(topic.as_str(), index)));
        }
        Ok(partitions)
    }

    /// The names below a node, sorted; none if it is not there.
    ///
    /// # Errors
    /// ZooKeeper's.
    pub fn children(&mut self, path: &str) -> Result<Vec<String>, Thrown> {
        match self.session.call(ops::get_children(path, false)) {
            Ok(Response::GetChildren(found)) => {
                let mut names: Vec<String> = found.children.iter().map(|name| name.as_str().to_owned()).collect();
                names.sort();
                Ok(names)
            }
            Ok(_) | Err(Failure::Code(ErrorCode::NoNode)) => Ok(Vec::new()),
            Err(failure) => Err(keeper_exception(failure, path)),
        }
    }

    /// Whether there is such a node.
    ///
    /// # Errors
    /// ZooKeeper's.
    pub fn exists(&mut self, path: &str) -> Result<bool, Thrown> {
        match self.session.call(ops::exists(path, false)) {
            Ok(_) => Ok(true),
            Err(Failure::Code(ErrorCode::NoNode)) => Ok(false),
            Err(failure) => Err(keeper_exception(failure, path)),
        }
    }

    fn data(&mut self, path: &str) -> Result<Option<Bytes>, Thrown> {
        let reply = self.session.call(ops::get_data(path, false));
        data_of(reply, path)
    }

    fn data_of_all(&mut self, paths: &[String]) -> Result<Vec<Option<Bytes>>, Thrown> {
        let requests: Vec<Request> = paths.iter().map(|path| ops::get_data(path.as_str(), false)).collect();
        let replies = self.session.call_all(requests);
        replies.into_iter().zip(paths).map(|(reply, path)| data_of(reply, path)).collect()
    }

    /// Makes a node and those above it.
    fn create(&mut self, path: &str, data: Option<Bytes>) -> Result<(), Thrown> {
        let node = |path: &str, data| ops::create(path, data, vec![Acl::OPEN], CreateMode::Persistent);
        let mut result = self.session.call(node(path, data.clone()));
        if matches!(result, Err(Failure::Code(ErrorCode::NoNode))) {
            for above in znode::ancestry(path).filter(|above| *above != path) {
                match self.session.call(node(above, None)) {
                    Ok(_) | Err(Failure::Code(ErrorCode::NodeExists)) => {}
                    Err(failure) => return Err(keeper_exception(failure, above)),
                }
            }
            result = self.session.call(node(path, data));
        }
        result.map(|_| ()).map_err(|failure| keeper_exception(failure, path))
    }
}

fn data_of(reply: Result<Response, Failure>, path: &str) -> Result<Option<Bytes>, Thrown> {
    match reply {
        Ok(Response::GetData(found)) => Ok(Some(found.data.unwrap_or_default())),
        Ok(_) | Err(Failure::Code(ErrorCode::NoNode)) => Ok(None),
        Err(failure) => Err(keeper_exception(failure, path)),
    }
}

/// The class of a node that is already there.
pub const NODE_EXISTS: &str = "org.apache.zookeeper.KeeperException$NodeExistsException";

/// The exception that an answer of ZooKeeper becomes.
fn keeper_exception(failure: Failure, path: &str) -> Thrown {
    let class = match failure {
        Failure::Code(ErrorCode::NodeExists) => NODE_EXISTS,
        Failure::Code(ErrorCode::NoNode) => "org.apache.zookeeper.KeeperException$NoNodeException",
        Failure::Code(ErrorCode::NoAuth) => "org.apache.zookeeper.KeeperException$NoAuthException",
        Failure::Code(ErrorCode::ConnectionLoss) => "org.apache.zookeeper.KeeperException$ConnectionLossException",
        Failure::Code(ErrorCode::SessionExpired) => "org.apache.zookeeper.KeeperException$SessionExpiredException",
        Failure::Code(ErrorCode::AuthFailed) => "org.apache.zookeeper.KeeperException$AuthFailedException",
        _ => "org.apache.zookeeper.KeeperException",
    };
    Thrown::new(class, format!("KeeperErrorCode = {failure} for {path}"))
}

fn unreadable(error: znode::ZnodeError) -> Thrown {
    Thrown::new("kafka.common.KafkaException", error)
}
