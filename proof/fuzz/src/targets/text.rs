//! Texts that people and other brokers write: `.properties`, zoo.cfg, the JSON of znodes.

use std::io;

use config::{BrokerConfig, Properties, TopicSettings, ZooKeeperSettings};
use kafka_control::znode::{
    BrokerRegistration, ClusterId, ConfigChange, ControllerId, EntityConfig, Features, IsrChange, LeaderAndIsr,
    LogDirEvent, PartitionReassignment, PreferredElection, TopicAssignment, decode_epoch,
};

pub(crate) fn znodes(input: &[u8]) {
    if let Ok(broker) = BrokerRegistration::decode(1, input) {
        let encoded = broker.encode();
        BrokerRegistration::decode(1, &encoded).expect("what was encoded is read");
    }
    if let Ok(topic) = TopicAssignment::decode("t", input) {
        let encoded = topic.encode();
        assert_eq!(TopicAssignment::decode("t", &encoded).expect("what was encoded is read"), topic);
    }
    if let Ok(state) = LeaderAndIsr::decode("t", 0, input) {
        let encoded = state.encode();
        LeaderAndIsr::decode("t", 0, &encoded).expect("what was encoded is read");
    }
    if let Ok(entity) = EntityConfig::decode("/config/topics/t", input) {
        let encoded = entity.encode();
        EntityConfig::decode("/config/topics/t", &encoded).expect("what was encoded is read");
    }
    if let Ok(features) = Features::decode(input) {
        assert_eq!(Features::decode(&features.encode()).expect("what was encoded is read"), features);
    }
    if let Ok(change) = IsrChange::decode(input) {
        assert_eq!(IsrChange::decode(&change.encode()).expect("what was encoded is read"), change);
    }
    if let Ok(moves) = PartitionReassignment::decode(input) {
        assert_eq!(PartitionReassignment::decode(&moves.encode()).expect("what was encoded is read"), moves);
    }
    let _ = (LogDirEvent::decode(input), PreferredElection::decode(input));
    let _ = (ClusterId::decode(input), ControllerId::decode(input), decode_epoch(input), ConfigChange::decode(input));
}

pub(crate) fn znode_seeds() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},"endpoints":["PLAINTEXT://h:9092"],"rack":"r","jmx_port":-1,"port":9092,"host":"h","version":5,"timestamp":"1"}"#,
        r#"{"version":2,"partitions":{"0":[1,2],"1":[2]},"adding_replicas":{"0":[3]},"removing_replicas":{}}"#,
        r#"{"controller_epoch":1,"leader":1,"version":1,"leader_epoch":0,"isr":[1,2]}"#,
        r#"{"version":1,"config":{"cleanup.policy":"delete"}}"#,
        r#"{"version":2,"entity_path":"topics/t"}"#,
        r#"{"version":"1","id":"A-AAAAAAAAAAAAAAAAAAAA"}"#,
        r#"{"version":1,"brokerid":0,"timestamp":"1"}"#,
        r#"{"features":{"f":{"min_version_level":1,"max_version_level":2}},"version":1,"status":1}"#,
        r#"{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1,2]}]}"#,
        r#"{"version":1,"broker":1,"event":1}"#,
        "12",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// The grammar, then what a broker makes of it; each pair also as a topic's.
pub(crate) fn properties(input: &[u8]) {
    let Ok(file) = Properties::parse(input) else { return };
    let pairs = file.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let _ = TopicSettings::validate(&pairs);
    let mut file = file;
    file.set("zookeeper.connect", "localhost:2181");
    if let Ok((config, _)) = BrokerConfig::new(file) {
        let _ = (config.describe(), config.log_text());
    }
}

pub(crate) fn properties_seeds() -> Vec<Vec<u8>> {
    vec![
        include_bytes!("../../../../config/server.properties").to_vec(),
        b"a=b\\\n  c\n! d\ne\\ f : \\u0041\\t\n".to_vec(),
        b"listeners=A://:1,B://[::1]:2\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT\ninter.broker.listener.name=A\n\
          listener.name.a.max.connections=1\nmax.connections.per.ip.overrides=h:1\nlog.dirs=/a, /b\n"
            .to_vec(),
        b"cleanup.policy=compact,delete\nretention.ms=1\nmessage.format.version=0.11\nsegment.bytes=1 # no\n".to_vec(),
    ]
}

/// The main file is the input up to a byte of zero; what it points to is the rest.
pub(crate) fn zoo_cfg(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let (main, other) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let mut read = |path: &str| match path {
        "/zoo.cfg" => Ok(main.to_vec()),
        _ if other.is_empty() => Err(io::Error::from(io::ErrorKind::NotFound)),
        _ => Ok(other.to_vec()),
    };
    let _ = ZooKeeperSettings::load("/zoo.cfg", &Properties::default(), &mut read);
}

pub(crate) fn zoo_cfg_seeds() -> Vec<Vec<u8>> {
    vec![
        include_bytes!("../../../../config/zoo.cfg").to_vec(),
        b"dataDir=/d\nclientPort=2181\nserver.1=a:1:2:participant;0.0.0.0:3\nserver.2=[::1]:1:2|b:3:4;5\ninitLimit=5\nsyncLimit=2\n\x001"
            .to_vec(),
        b"dataDir=/d\ndynamicConfigFile=/dyn\ngroup.1=1:2\nweight.1=1\nweight.2=1\n\0server.1=a:1:2;3\nversion=100000000".to_vec(),
    ]
}
