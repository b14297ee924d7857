//! The controller's messages in the words of the protocol, at each of its versions, and back (upstream:
//! `ControllerBrokerRequestBatch`, `LeaderAndIsrRequest`, `UpdateMetadataRequest`, `StopReplicaRequest`).

use std::collections::{BTreeMap, BTreeSet};

use base::Str;
use config::ApiVersion;
use kafka_control::znode::{BrokerRegistration, Endpoint, LeaderAndIsr, ReplicaAssignment};
use kafka_control::{BrokerAnswer, BrokerMessage, MessageBody, PartitionState, StoppedReplica, TopicPartition};
use kafka_proto::messages::{leader_and_isr, stop_replica, update_metadata};
use kafka_proto::{AnyRequest, AnyResponse, ErrorCode};

/// What became of each partition that a message named.
pub(crate) type Codes = Vec<(TopicPartition, ErrorCode)>;

/// Leader epoch in StopReplica before version 3: none is named.
const NO_EPOCH: i32 = -1;

/// Names of the security protocols by their codes.
const SECURITY_PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];

/// From which protocol level on a request is sent in which version, the newest first.
type Levels = &'static [(ApiVersion, i16)];

const LEADER_AND_ISR: Levels =
    &[(ApiVersion::V2_4_IV1, 4), (ApiVersion::V2_4_IV0, 3), (ApiVersion::V2_2_IV0, 2), (ApiVersion::V1_0_IV0, 1)];
const UPDATE_METADATA: Levels = &[
    (ApiVersion::V2_4_IV1, 6),
    (ApiVersion::V2_2_IV0, 5),
    (ApiVersion::V1_0_IV0, 4),
    (ApiVersion::V0_10_2_IV0, 3),
    (ApiVersion::V0_10_0_IV1, 2),
    (ApiVersion::V0_9_0, 1),
];
const STOP_REPLICA: Levels = &[(ApiVersion::V2_6_IV0, 3), (ApiVersion::V2_4_IV1, 2), (ApiVersion::V2_2_IV0, 1)];
const CONTROLLED_SHUTDOWN: Levels = &[(ApiVersion::V2_4_IV1, 3), (ApiVersion::V2_2_IV0, 2), (ApiVersion::V0_9_0, 1)];

fn version_at(levels: Levels, level: ApiVersion) -> i16 {
    levels.iter().find(|(since, _)| level >= *since).map_or(0, |(_, version)| *version)
}

/// The version in which brokers of a protocol level are told this.
pub(crate) fn version(body: &MessageBody, level: ApiVersion) -> i16 {
    let levels = match body {
        MessageBody::LeaderAndIsr { .. } => LEADER_AND_ISR,
        MessageBody::UpdateMetadata { .. } => UPDATE_METADATA,
        MessageBody::StopReplica(_) => STOP_REPLICA,
    };
    version_at(levels, level)
}

/// The version in which ControlledShutdown is asked at a protocol level.
pub(crate) fn controlled_shutdown_version(level: ApiVersion) -> i16 {
    version_at(CONTROLLED_SHUTDOWN, level)
}

/// What can be said in one request each: before version 3, StopReplica deletes all of its replicas or none.
pub(crate) fn split(message: BrokerMessage, level: ApiVersion) -> Vec<BrokerMessage> {
    match &message.body {
        MessageBody::StopReplica(replicas) if version(&message.body, level) < 3 => {
            let (deleted, kept): (Vec<_>, Vec<_>) = replicas.iter().cloned().partition(|replica| replica.delete);
            let parts = [deleted, kept].into_iter().filter(|part| !part.is_empty());
            parts.map(|part| BrokerMessage { body: MessageBody::StopReplica(part), ..message.clone() }).collect()
        }
        _ => vec![message],
    }
}

/// A message as the request of this version. Leaders are named by their endpoints of `listener`.
pub(crate) fn request(message: &BrokerMessage, version: i16, listener: &str) -> AnyRequest {
    match &message.body {
        MessageBody::LeaderAndIsr { live_leaders, partitions } => {
            leader_and_isr_request(message, live_leaders, partitions, version, listener).into()
        }
        MessageBody::UpdateMetadata { brokers, partitions } => {
            update_metadata_request(message, brokers, partitions, version).into()
        }
        MessageBody::StopReplica(replicas) => stop_replica_request(message, replicas, version).into(),
    }
}

/// What a broker says became of each partition; an error if it refused the whole message.
pub(crate) fn codes(response: AnyResponse) -> Result<Codes, ErrorCode> {
    let (code, codes) = match response {
        AnyResponse::LeaderAndIsr(response) => {
            let errors = response.partition_errors.into_iter();
            let codes = errors.map(|error| (id(&error.topic_name, error.partition_index), error.error_code));
            (response.error_code, codes.collect())
        }
        AnyResponse::StopReplica(response) => {
            let errors = response.partition_errors.into_iter();
            let codes = errors.map(|error| (id(&error.topic_name, error.partition_index), error.error_code));
            (response.error_code, codes.collect())
        }
        AnyResponse::UpdateMetadata(response) => (response.error_code, Codes::new()),
        _ => return Err(ErrorCode::UNKNOWN_SERVER_ERROR),
    };
    if code == ErrorCode::NONE { Ok(codes) } else { Err(code) }
}

/// What the controller wants to know of a message that was carried out.
pub(crate) enum Expected {
    /// Nothing.
    Nothing,
    /// What became of each partition.
    All,
    /// What became of those that were to be deleted.
    Deleted(BTreeSet<TopicPartition>),
}

impl Expected {
    pub(crate) fn of(body: &MessageBody) -> Self {
        match body {
            MessageBody::LeaderAndIsr { .. } => Self::All,
            MessageBody::UpdateMetadata { .. } => Self::Nothing,
            MessageBody::StopReplica(replicas) => {
                let to_delete = replicas.iter().filter(|replica| replica.delete);
                Self::Deleted(to_delete.map(|replica| replica.partition.clone()).collect())
            }
        }
    }

    /// What the controller is told, if anything.
    pub(crate) fn answer(self, mut codes: Codes) -> Option<BrokerAnswer> {
        match self {
            Self::Nothing => None,
            Self::All => Some(BrokerAnswer::LeaderAndIsr(codes)),
            Self::Deleted(to_delete) => {
                codes.retain(|(partition, _)| to_delete.contains(partition));
                (!codes.is_empty()).then_some(BrokerAnswer::StopReplica(codes))
            }
        }
    }
}

fn leader_and_isr_request(
    message: &BrokerMessage,
    live_leaders: &[BrokerRegistration],
    partitions: &[PartitionState],
    version: i16,
    listener: &str,
) -> leader_and_isr::Request {
    let leader = |broker: &BrokerRegistration| {
        let endpoint = broker.endpoints.iter().find(|endpoint| endpoint.listener == listener)?;
        Some(leader_and_isr::LiveLeader {
            broker_id: broker.id,
            host_name: Str::from(endpoint.host.as_str()),
            port: endpoint.port,
        })
    };
    let state = |state: &PartitionState| leader_and_isr::PartitionState {
        topic_name: Str::from(state.partition.topic.as_str()),
        partition_index: state.partition.partition,
        controller_epoch: state.leader_and_isr.controller_epoch,
        leader: state.leader_and_isr.leader,
        leader_epoch: state.leader_and_isr.leader_epoch,
        isr: state.leader_and_isr.isr.clone(),
        zk_version: state.zk_version,
        replicas: state.assignment.replicas.clone(),
        adding_replicas: state.assignment.adding.clone(),
        removing_replicas: state.assignment.removing.clone(),
        is_new: state.is_new,
    };
    let mut request = leader_and_isr::Request {
        controller_id: message.controller,
        controller_epoch: message.controller_epoch,
        broker_epoch: message.broker_epoch,
        live_leaders: live_leaders.iter().filter_map(leader).collect(),
        ..leader_and_isr::Request::default()
    };
    match version {
        2.. => {
            let topics = by_topic(partitions, |state| &state.partition, state);
            request.topic_states = topics
                .map(|(topic_name, partition_states)| leader_and_isr::TopicState { topic_name, partition_states })
                .collect();
        }
        _ => request.ungrouped_partition_states = partitions.iter().map(state).collect(),
    }
    request
}

fn update_metadata_request(
    message: &BrokerMessage,
    brokers: &[BrokerRegistration],
    partitions: &[PartitionState],
    version: i16,
) -> update_metadata::Request {
    let state = |state: &PartitionState| update_metadata::PartitionState {
        topic_name: Str::from(state.partition.topic.as_str()),
        partition_index: state.partition.partition,
        controller_epoch: state.leader_and_isr.controller_epoch,
        leader: state.leader_and_isr.leader,
        leader_epoch: state.leader_and_isr.leader_epoch,
        isr: state.leader_and_isr.isr.clone(),
        zk_version: state.zk_version,
        replicas: state.assignment.replicas.clone(),
        offline_replicas: state.offline.clone(),
    };
    let mut request = update_metadata::Request {
        controller_id: message.controller,
        controller_epoch: message.controller_epoch,
        broker_epoch: message.broker_epoch,
        live_brokers: brokers.iter().map(live_broker).collect(),
        ..update_metadata::Request::default()
    };
    match version {
        5.. => {
            let topics = by_topic(partitions, |state| &state.partition, state);
            request.topic_states = topics
                .map(|(topic_name, partition_states)| update_metadata::TopicState { topic_name, partition_states })
                .collect();
        }
        _ => request.ungrouped_partition_states = partitions.iter().map(state).collect(),
    }
    request
}

fn live_broker(broker: &BrokerRegistration) -> update_metadata::LiveBroker {
    // All that version 0 knows.
    let plaintext = broker.endpoints.iter().find(|endpoint| endpoint.security_protocol == "PLAINTEXT");
    let endpoint = |endpoint: &Endpoint| {
        let code = SECURITY_PROTOCOLS.iter().position(|name| *name == endpoint.security_protocol);
        update_metadata::Endpoint {
            port: endpoint.port,
            host: Str::from(endpoint.host.as_str()),
            listener: Str::from(endpoint.listener.as_str()),
            security_protocol: code.and_then(|code| i16::try_from(code).ok()).unwrap_or(0),
        }
    };
    update_metadata::LiveBroker {
        broker_id: broker.id,
        host_v0: plaintext.map_or(Str::EMPTY, |endpoint| Str::from(endpoint.host.as_str())),
        port_v0: plaintext.map_or(-1, |endpoint| endpoint.port),
        endpoints: broker.endpoints.iter().map(endpoint).collect(),
        rack: broker.rack.as_deref().map(Str::from),
    }
}

fn stop_replica_request(message: &BrokerMessage, replicas: &[StoppedReplica], version: i16) -> stop_replica::Request {
    let mut request = stop_replica::Request {
        controller_id: message.controller,
        controller_epoch: message.controller_epoch,
        broker_epoch: message.broker_epoch,
        ..stop_replica::Request::default()
    };
    if version < 3 {
        request.delete_partitions = replicas.first().is_some_and(|replica| replica.delete);
    }
    match version {
        3.. => {
            let state = |replica: &StoppedReplica| stop_replica::PartitionState {
                partition_index: replica.partition.partition,
                leader_epoch: replica.leader_epoch,
                delete_partition: replica.delete,
            };
            let topics = by_topic(replicas, |replica| &replica.partition, state);
            request.topic_states = topics
                .map(|(topic_name, partition_states)| stop_replica::TopicState { topic_name, partition_states })
                .collect();
        }
        1.. => {
            let topics = by_topic(replicas, |replica| &replica.partition, |replica| replica.partition.partition);
            request.topics = topics
                .map(|(name, partition_indexes)| stop_replica::RequestTopic { name, partition_indexes })
                .collect();
        }
        _ => {
            let ungrouped = |replica: &StoppedReplica| stop_replica::UngroupedPartition {
                topic_name: Str::from(replica.partition.topic.as_str()),
                partition_index: replica.partition.partition,
            };
            request.ungrouped_partitions = replicas.iter().map(ungrouped).collect();
        }
    }
    request
}

/// The message that a LeaderAndIsr request brings to `broker`. Leaders are met at `listener`.
pub(crate) fn of_leader_and_isr(broker: i32, listener: &str, request: leader_and_isr::Request) -> BrokerMessage {
    let state = |topic: &Str, state: leader_and_isr::PartitionState| PartitionState {
        partition: id(topic, state.partition_index),
        leader_and_isr: LeaderAndIsr {
            leader: state.leader,
            leader_epoch: state.leader_epoch,
            isr: state.isr,
            controller_epoch: state.controller_epoch,
        },
        zk_version: state.zk_version,
        assignment: ReplicaAssignment {
            replicas: state.replicas,
            adding: state.adding_replicas,
            removing: state.removing_replicas,
        },
        offline: Vec::new(),
        is_new: state.is_new,
    };
    let ungrouped = request.ungrouped_partition_states.into_iter().map(|one| state(&one.topic_name.clone(), one));
    let mut partitions: Vec<PartitionState> = ungrouped.collect();
    for topic in request.topic_states {
        partitions.extend(topic.partition_states.into_iter().map(|one| state(&topic.topic_name, one)));
    }
    let leader = |leader: leader_and_isr::LiveLeader| {
        let endpoint = Endpoint {
            listener: listener.to_owned(),
            security_protocol: String::new(),
            host: leader.host_name.to_string(),
            port: leader.port,
        };
        registration(leader.broker_id, vec![endpoint], None)
    };
    BrokerMessage {
        broker,
        broker_epoch: request.broker_epoch,
        controller: request.controller_id,
        controller_epoch: request.controller_epoch,
        body: MessageBody::LeaderAndIsr {
            live_leaders: request.live_leaders.into_iter().map(leader).collect(),
            partitions,
        },
    }
}

/// The message that an UpdateMetadata request of this version brings to `broker`; an error if it names a security protocol that is none.
pub(crate) fn of_update_metadata(
    broker: i32,
    version: i16,
    request: update_metadata::Request,
) -> Result<BrokerMessage, ErrorCode> {
    let state = |topic: &Str, state: update_metadata::PartitionState| PartitionState {
        partition: id(topic, state.partition_index),
        leader_and_isr: LeaderAndIsr {
            leader: state.leader,
            leader_epoch: state.leader_epoch,
            isr: state.isr,
            controller_epoch: state.controller_epoch,
        },
        zk_version: state.zk_version,
        assignment: ReplicaAssignment { replicas: state.replicas, ..ReplicaAssignment::default() },
        offline: state.offline_replicas,
        is_new: false,
    };
    let ungrouped = request.ungrouped_partition_states.into_iter().map(|one| state(&one.topic_name.clone(), one));
    let mut partitions: Vec<PartitionState> = ungrouped.collect();
    for topic in request.topic_states {
        partitions.extend(topic.partition_states.into_iter().map(|one| state(&topic.topic_name, one)));
    }
    let brokers = request.live_brokers.into_iter().map(|live| of_live_broker(live, version));
    Ok(BrokerMessage {
        broker,
        broker_epoch: request.broker_epoch,
        controller: request.controller_id,
        controller_epoch: request.controller_epoch,
        body: MessageBody::UpdateMetadata { brokers: brokers.collect::<Result<_, _>>()?, partitions },
    })
}

fn of_live_broker(live: update_metadata::LiveBroker, version: i16) -> Result<BrokerRegistration, ErrorCode> {
    if version == 0 {
        let endpoint = Endpoint {
            listener: "PLAINTEXT".to_owned(),
            security_protocol: "PLAINTEXT".to_owned(),
            host: live.host_v0.to_string(),
            port: live.port_v0,
        };
        return Ok(registration(live.broker_id, vec![endpoint], None));
    }
    let endpoint = |endpoint: update_metadata::Endpoint| {
        let code = usize::try_from(endpoint.security_protocol).ok();
        let protocol = code.and_then(|code| SECURITY_PROTOCOLS.get(code)).ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)?;
        // Before version 3 a listener's name is its protocol's.
        let listener = if endpoint.listener.is_empty() { *protocol } else { endpoint.listener.as_str() };
        Ok(Endpoint {
            listener: listener.to_owned(),
            security_protocol: (*protocol).to_owned(),
            host: endpoint.host.to_string(),
            port: endpoint.port,
        })
    };
    let endpoints = live.endpoints.into_iter().map(endpoint).collect::<Result<_, _>>()?;
    Ok(registration(live.broker_id, endpoints, live.rack.map(|rack| rack.to_string())))
}

/// The message that a StopReplica request of this version brings to `broker`.
pub(crate) fn of_stop_replica(broker: i32, version: i16, request: stop_replica::Request) -> BrokerMessage {
    let delete = request.delete_partitions;
    let old = |partition| StoppedReplica { partition, leader_epoch: NO_EPOCH, delete };
    let mut replicas = Vec::new();
    match version {
        3.. => {
            for topic in request.topic_states {
                replicas.extend(topic.partition_states.into_iter().map(|state| StoppedReplica {
                    partition: id(&topic.topic_name, state.partition_index),
                    leader_epoch: state.leader_epoch,
                    delete: state.delete_partition,
                }));
            }
        }
        1.. => {
            for topic in request.topics {
                replicas.extend(topic.partition_indexes.into_iter().map(|number| old(id(&topic.name, number))));
            }
        }
        _ => {
            let ungrouped = request.ungrouped_partitions.into_iter();
            replicas.extend(ungrouped.map(|partition| old(id(&partition.topic_name, partition.partition_index))));
        }
    }
    BrokerMessage {
        broker,
        broker_epoch: request.broker_epoch,
        controller: request.controller_id,
        controller_epoch: request.controller_epoch,
        body: MessageBody::StopReplica(replicas),
    }
}

fn registration(id: i32, endpoints: Vec<Endpoint>, rack: Option<String>) -> BrokerRegistration {
    BrokerRegistration { id, version: 5, endpoints, rack, jmx_port: -1, timestamp_ms: -1 }
}

fn id(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.to_owned(), partition }
}

/// What is said of each item, by topic.
fn by_topic<T, R>(
    items: &[T],
    partition: impl Fn(&T) -> &TopicPartition,
    say: impl Fn(&T) -> R,
) -> impl Iterator<Item = (Str, Vec<R>)> {
    let mut topics: BTreeMap<&str, Vec<R>> = BTreeMap::new();
    for item in items {
        topics.entry(partition(item).topic.as_str()).or_default().push(say(item));
    }
    let named = topics.into_iter().map(|(topic, said)| (Str::from(topic), said)).collect::<Vec<_>>();
    named.into_iter()
}

#[cfg(test)]
mod tests {
    use kafka_proto::messages::{leader_and_isr, stop_replica, update_metadata};

    use super::*;

    const ANY: BrokerMessage = BrokerMessage {
        broker: 2,
        broker_epoch: 77,
        controller: 1,
        controller_epoch: 9,
        body: MessageBody::StopReplica(Vec::new()),
    };

    fn registration_of(id: i32) -> BrokerRegistration {
        let endpoint = |listener: &str, port| Endpoint {
            listener: listener.to_owned(),
            security_protocol: if listener == "INSIDE" { "SSL" } else { "PLAINTEXT" }.to_owned(),
            host: format!("host-{id}"),
            port,
        };
        registration(id, vec![endpoint("INSIDE", 9093), endpoint("PLAINTEXT", 9092)], Some("r".to_owned()))
    }

    fn state(topic: &str, partition: i32) -> PartitionState {
        PartitionState {
            partition: id(topic, partition),
            leader_and_isr: LeaderAndIsr { leader: 3, leader_epoch: 4, isr: vec![3, 2], controller_epoch: 8 },
            zk_version: 5,
            assignment: ReplicaAssignment { replicas: vec![3, 2, 1], adding: vec![1], removing: vec![2] },
            offline: vec![1],
            is_new: true,
        }
    }

    fn states() -> Vec<PartitionState> {
        vec![state("a", 0), state("a", 1), state("b", 0)]
    }

    /// Through the bytes of the version, as another broker reads them.
    fn said<M>(message: &BrokerMessage, version: i16, listener: &str) -> M
    where
        M: kafka_proto::Request + TryFrom<AnyRequest, Error = kafka_proto::ApiKey>,
    {
        let request = M::try_from(request(message, version, listener)).unwrap();
        let mut bytes = bytes::BytesMut::new();
        request.encode(version, &mut bytes).unwrap();
        M::decode(version, &mut base::Reader::new(&bytes.freeze())).unwrap()
    }

    #[test]
    fn versions_follow_the_protocol_level() {
        let bodies = [
            MessageBody::LeaderAndIsr { live_leaders: Vec::new(), partitions: Vec::new() },
            MessageBody::UpdateMetadata { brokers: Vec::new(), partitions: Vec::new() },
            MessageBody::StopReplica(Vec::new()),
        ];
        for (level, expected, shutdown) in [
            ("0.8.2", [0, 0, 0], 0),
            ("0.9.0", [0, 1, 0], 1),
            ("0.10.0-IV1", [0, 2, 0], 1),
            ("0.10.2-IV0", [0, 3, 0], 1),
            ("1.0-IV0", [1, 4, 0], 1),
            ("2.2-IV0", [2, 5, 1], 2),
            ("2.4-IV0", [3, 5, 1], 2),
            ("2.4-IV1", [4, 6, 2], 3),
            ("2.6-IV0", [4, 6, 3], 3),
            ("2.7-IV2", [4, 6, 3], 3),
        ] {
            let level = ApiVersion::parse(level).unwrap();
            assert_eq!(bodies.each_ref().map(|body| version(body, level)), expected, "{level}");
            assert_eq!(controlled_shutdown_version(level), shutdown, "{level}");
        }
    }

    #[test]
    fn leader_and_isr_at_every_version() {
        let body = MessageBody::LeaderAndIsr { live_leaders: vec![registration_of(3)], partitions: states() };
        let message = BrokerMessage { body, ..ANY };
        for version in 0..=4 {
            let request: leader_and_isr::Request = said(&message, version, "PLAINTEXT");
            assert_eq!(request.broker_epoch, if version >= 2 { 77 } else { -1 });
            assert_eq!(
                (request.ungrouped_partition_states.len(), request.topic_states.len()),
                if version >= 2 { (0, 2) } else { (3, 0) }
            );
            let leader = &request.live_leaders[0];
            assert_eq!((leader.broker_id, leader.host_name.as_str(), leader.port), (3, "host-3", 9092));
            let heard = of_leader_and_isr(2, "PLAINTEXT", request);
            assert_eq!((heard.broker, heard.controller, heard.controller_epoch), (2, 1, 9));
            let MessageBody::LeaderAndIsr { partitions, live_leaders } = heard.body else { panic!() };
            assert_eq!(live_leaders[0].endpoints[0].connection_string(), "PLAINTEXT://host-3:9092");
            let mut expected = states();
            for state in &mut expected {
                state.offline.clear();
                state.is_new = version >= 1;
                if version < 3 {
                    (state.assignment.adding, state.assignment.removing) = (Vec::new(), Vec::new());
                }
            }
            assert_eq!(partitions, expected, "v{version}");
        }
    }

    #[test]
    fn update_metadata_at_every_version() {
        let body = MessageBody::UpdateMetadata { brokers: vec![registration_of(3)], partitions: states() };
        let message = BrokerMessage { body, ..ANY };
        for version in 0..=6 {
            let request: update_metadata::Request = said(&message, version, "PLAINTEXT");
            assert_eq!(request.broker_epoch, if version >= 5 { 77 } else { -1 });
            assert_eq!(
                (request.ungrouped_partition_states.len(), request.topic_states.len()),
                if version >= 5 { (0, 2) } else { (3, 0) }
            );
            let heard = of_update_metadata(2, version, request).unwrap();
            let MessageBody::UpdateMetadata { brokers, partitions } = heard.body else { panic!() };
            let endpoints: Vec<_> = brokers[0].endpoints.iter().map(Endpoint::connection_string).collect();
            let expected: &[&str] = match version {
                0 => &["PLAINTEXT://host-3:9092"],
                1 | 2 => &["SSL://host-3:9093", "PLAINTEXT://host-3:9092"],
                _ => &["INSIDE://host-3:9093", "PLAINTEXT://host-3:9092"],
            };
            assert_eq!(endpoints, expected, "v{version}");
            assert_eq!(brokers[0].rack.is_some(), version >= 2, "v{version}");
            let mut expected = states();
            for state in &mut expected {
                state.is_new = false;
                (state.assignment.adding, state.assignment.removing) = (Vec::new(), Vec::new());
                if version < 4 {
                    state.offline.clear();
                }
            }
            assert_eq!(partitions, expected, "v{version}");
        }
        let mut request: update_metadata::Request = said(&message, 6, "PLAINTEXT");
        request.live_brokers[0].endpoints[0].security_protocol = 4;
        assert_eq!(of_update_metadata(2, 6, request), Err(ErrorCode::UNKNOWN_SERVER_ERROR));
    }

    fn stopped(topic: &str, partition: i32, delete: bool) -> StoppedReplica {
        StoppedReplica { partition: id(topic, partition), leader_epoch: 6, delete }
    }

    #[test]
    fn stop_replica_at_every_version() {
        let replicas = vec![stopped("a", 0, true), stopped("b", 0, false), stopped("a", 1, true)];
        let message = BrokerMessage { body: MessageBody::StopReplica(replicas), ..ANY };
        for (level, version) in [("1.0", 0), ("2.2", 1), ("2.4", 2), ("2.6", 3)] {
            let parts = split(message.clone(), ApiVersion::parse(level).unwrap());
            let heard = parts.iter().map(|part| {
                let request: stop_replica::Request = said(part, version, "PLAINTEXT");
                assert_eq!(request.broker_epoch, if version >= 1 { 77 } else { -1 });
                let MessageBody::StopReplica(replicas) = of_stop_replica(2, version, request).body else { panic!() };
                replicas
            });
            let old = |mut replica: StoppedReplica| {
                replica.leader_epoch = if version < 3 { -1 } else { 6 };
                replica
            };
            let all = |replicas: &[StoppedReplica]| replicas.iter().cloned().map(old).collect::<Vec<_>>();
            let deleted = [stopped("a", 0, true), stopped("a", 1, true)];
            let expected = match version {
                3 => vec![all(&[&deleted[..], &[stopped("b", 0, false)]].concat())],
                _ => vec![all(&deleted), all(&[stopped("b", 0, false)])],
            };
            assert_eq!(heard.collect::<Vec<_>>(), expected, "v{version}");
        }
    }

    #[test]
    fn the_bytes_of_a_request() {
        let body = MessageBody::StopReplica(vec![stopped("a", 1, true)]);
        let request: AnyRequest = request(&BrokerMessage { body, ..ANY }, 3, "PLAINTEXT");
        let AnyRequest::StopReplica(request) = request else { panic!() };
        let mut bytes = bytes::BytesMut::new();
        kafka_proto::Message::encode(&request, 3, &mut bytes).unwrap();
        let expected = [
            &[0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 77][..],
            // One topic of one partition: number, leader epoch, whether it is deleted, and no tagged fields anywhere.
            &[2, 2, b'a', 2, 0, 0, 0, 1, 0, 0, 0, 6, 1, 0, 0, 0],
        ];
        assert_eq!(bytes[..], expected.concat());
    }

    #[test]
    fn the_controller_is_told_what_it_waits_for() {
        let answer =
            |body: &MessageBody, codes: &[(TopicPartition, ErrorCode)]| Expected::of(body).answer(codes.to_vec());
        let codes = [(id("a", 0), ErrorCode::NONE), (id("b", 0), ErrorCode::KAFKA_STORAGE_ERROR)];
        let body = MessageBody::StopReplica(vec![stopped("a", 0, false), stopped("b", 0, true)]);
        assert_eq!(answer(&body, &codes), Some(BrokerAnswer::StopReplica(codes[1..].to_vec())));
        let body = MessageBody::StopReplica(vec![stopped("a", 0, false), stopped("b", 0, false)]);
        assert_eq!(answer(&body, &codes), None);
        let body = MessageBody::LeaderAndIsr { live_leaders: Vec::new(), partitions: states() };
        assert_eq!(answer(&body, &codes), Some(BrokerAnswer::LeaderAndIsr(codes.to_vec())));
        let refused = leader_and_isr::Response { error_code: ErrorCode::STALE_BROKER_EPOCH, ..Default::default() };
        assert_eq!(super::codes(refused.into()), Err(ErrorCode::STALE_BROKER_EPOCH));
    }
}
