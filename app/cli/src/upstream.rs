//! The commands of the originals: their names, the Java class behind each, and where each lies.
//!
//! A command line selects a server or a tool by any of them: `kafka-topics.sh`, `kafka-topics`,
//! `kafka.admin.TopicCommand`.

/// Which home a command belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// `ZOOKEEPER/bin`
    ZooKeeper,
    /// `KAFKA/bin`
    Kafka,
}

/// One upstream command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// The script's name without `.sh`.
    pub name: &'static str,
    /// The class that the script runs; none where the script does the work itself.
    pub class: Option<&'static str>,
    /// Where it lies.
    pub home: Home,
}

const fn zookeeper(name: &'static str, class: &'static str) -> Command {
    Command { name, class: Some(class), home: Home::ZooKeeper }
}

const fn kafka(name: &'static str, class: &'static str) -> Command {
    Command { name, class: Some(class), home: Home::Kafka }
}

const fn script(name: &'static str, home: Home) -> Command {
    Command { name, class: None, home }
}

/// The class of a ZooKeeper server.
pub const ZOOKEEPER_SERVER: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
/// The class of a broker.
pub const KAFKA_SERVER: &str = "kafka.Kafka";
/// Prints one four-letter word's answer; `zkServer.sh status` asks through it.
pub const FOUR_LETTER_WORD: &str = "org.apache.zookeeper.client.FourLetterWordMain";
/// Prints ZooKeeper's version; `zkServer.sh version` asks it.
pub const VERSION_INFO: &str = "org.apache.zookeeper.version.VersionInfoMain";

/// All 40 of them: 7 of ZooKeeper, 33 of Kafka.
pub static COMMANDS: &[Command] = &[
    script("zkEnv", Home::ZooKeeper),
    script("zkServer", Home::ZooKeeper),
    script("zkServer-initialize", Home::ZooKeeper),
    zookeeper("zkCli", "org.apache.zookeeper.ZooKeeperMain"),
    zookeeper("zkCleanup", "org.apache.zookeeper.server.PurgeTxnLog"),
    zookeeper("zkSnapShotToolkit", "org.apache.zookeeper.server.SnapshotFormatter"),
    zookeeper("zkTxnLogToolkit", "org.apache.zookeeper.server.persistence.TxnLogToolkit"),
    script("kafka-run-class", Home::Kafka),
    kafka("kafka-server-start", KAFKA_SERVER),
    script("kafka-server-stop", Home::Kafka),
    kafka("zookeeper-server-start", ZOOKEEPER_SERVER),
    script("zookeeper-server-stop", Home::Kafka),
    kafka("zookeeper-shell", "org.apache.zookeeper.ZooKeeperMainWithTlsSupportForKafka"),
    kafka("zookeeper-security-migration", "kafka.admin.ZkSecurityMigrator"),
    kafka("kafka-topics", "kafka.admin.TopicCommand"),
    kafka("kafka-configs", "kafka.admin.ConfigCommand"),
    kafka("kafka-console-producer", "kafka.tools.ConsoleProducer"),
    kafka("kafka-console-consumer", "kafka.tools.ConsoleConsumer"),
    kafka("kafka-consumer-groups", "kafka.admin.ConsumerGroupCommand"),
    kafka("kafka-producer-perf-test", "org.apache.kafka.tools.ProducerPerformance"),
    kafka("kafka-consumer-perf-test", "kafka.tools.ConsumerPerformance"),
    kafka("kafka-broker-api-versions", "kafka.admin.BrokerApiVersionsCommand"),
    kafka("kafka-dump-log", "kafka.tools.DumpLogSegments"),
    kafka("kafka-acls", "kafka.admin.AclCommand"),
    kafka("kafka-delegation-tokens", "kafka.admin.DelegationTokenCommand"),
    kafka("kafka-delete-records", "kafka.admin.DeleteRecordsCommand"),
    kafka("kafka-features", "kafka.admin.FeatureCommand"),
    kafka("kafka-leader-election", "kafka.admin.LeaderElectionCommand"),
    kafka("kafka-log-dirs", "kafka.admin.LogDirsCommand"),
    kafka("kafka-mirror-maker", "kafka.tools.MirrorMaker"),
    kafka("kafka-preferred-replica-election", "kafka.admin.PreferredReplicaLeaderElectionCommand"),
    kafka("kafka-reassign-partitions", "kafka.admin.ReassignPartitionsCommand"),
    kafka("kafka-replica-verification", "kafka.tools.ReplicaVerificationTool"),
    kafka("kafka-streams-application-reset", "kafka.tools.StreamsResetter"),
    kafka("kafka-verifiable-consumer", "org.apache.kafka.tools.VerifiableConsumer"),
    kafka("kafka-verifiable-producer", "org.apache.kafka.tools.VerifiableProducer"),
    kafka("connect-standalone", "org.apache.kafka.connect.cli.ConnectStandalone"),
    kafka("connect-distributed", "org.apache.kafka.connect.cli.ConnectDistributed"),
    kafka("connect-mirror-maker", "org.apache.kafka.connect.mirror.MirrorMaker"),
    kafka("trogdor", "org.apache.kafka.trogdor.agent.Agent"),
];

/// Classes with a `main` that no script runs: they are asked for by `kafka-run-class.sh CLASS`, or by `java -cp ... CLASS`.
pub static CLASSES: &[&str] = &[
    "kafka.tools.EndToEndLatency",
    "kafka.tools.GetOffsetShell",
    "kafka.tools.JmxTool",
    "kafka.tools.StateChangeLogMerger",
    "org.apache.kafka.trogdor.agent.AgentClient",
    "org.apache.kafka.trogdor.coordinator.Coordinator",
    "org.apache.kafka.trogdor.coordinator.CoordinatorClient",
    "org.apache.zookeeper.server.ZooKeeperServerMain",
    "org.apache.zookeeper.server.auth.DigestAuthenticationProvider",
];

/// The command of a name, with or without `.sh`.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Command> {
    let name = name.strip_suffix(".sh").unwrap_or(name);
    COMMANDS.iter().find(|command| command.name == name)
}

/// The command that runs a class.
#[must_use]
pub fn by_class(class: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.class == Some(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_compatibility_names_every_command() {
        let page = include_str!("../../../docs/compatibility.md");
        for command in COMMANDS {
            assert!(page.contains(&format!("| `{}.sh` |", command.name)), "{}", command.name);
        }
        assert_eq!(page.matches(".sh` |").count(), COMMANDS.len());
        assert_eq!(COMMANDS.len(), 40);
    }

    #[test]
    fn commands_are_found_by_script_link_and_class() {
        let topics = by_name("kafka-topics").unwrap();
        assert_eq!((by_name("kafka-topics.sh"), by_class("kafka.admin.TopicCommand")), (Some(topics), Some(topics)));
        assert!(by_name("kafka").is_none() && by_class("no.such.Class").is_none());
    }
}
