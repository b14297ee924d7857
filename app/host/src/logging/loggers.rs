//! The levels of a broker's loggers, seen and changed while it runs.

use std::collections::BTreeMap;

use kafka_node::Loggers;

use super::{Level, Log};

/// The logger above all others.
const ROOT: &str = "root";

/// The loggers that a broker's lines come from. In the original a logger exists when its class is loaded.
const OF_A_BROKER: [&str; 33] = [
    "kafka.Kafka$",
    "kafka.controller.KafkaController",
    "kafka.controller.RequestSendThread",
    "kafka.controller.TopicDeletionManager",
    "kafka.coordinator.group.GroupCoordinator",
    "kafka.coordinator.group.GroupMetadataManager",
    "kafka.log.LogConfig",
    "kafka.log.LogManager",
    "kafka.network.Acceptor",
    "kafka.server.AdminManager",
    "kafka.server.AlterIsrManager",
    "kafka.server.BrokerMetadataCheckpoint",
    "kafka.server.BrokerToControllerRequestThread",
    "kafka.server.DynamicBrokerConfig",
    "kafka.server.DynamicConfigManager",
    "kafka.server.KafkaApis",
    "kafka.server.KafkaConfig",
    "kafka.server.KafkaServer",
    "kafka.server.KafkaServerStartable",
    "kafka.server.LogDirFailureChannel",
    "kafka.server.ReplicaAlterLogDirsManager",
    "kafka.server.ReplicaAlterLogDirsThread",
    "kafka.server.ReplicaFetcherThread",
    "kafka.server.ReplicaManager",
    "kafka.zk.KafkaZkClient",
    "kafka.zk.KafkaZkClient$CheckedEphemeral",
    "kafka.zookeeper.ZooKeeperClient",
    "org.apache.kafka.common.network.Selector",
    "org.apache.kafka.common.utils.AppInfoParser",
    "org.apache.zookeeper.ClientCnxn",
    "state.change.logger",
    "kafka",
    "org.apache.kafka",
];

impl Loggers for Log {
    fn levels(&self) -> BTreeMap<String, String> {
        let settings = self.settings.read();
        let (root, own) = settings.levels();
        // The original shows the root's level here, also where a logger in between has one.
        let mut levels: BTreeMap<String, String> =
            OF_A_BROKER.iter().map(|name| ((*name).to_owned(), root.to_string())).collect();
        levels.insert(ROOT.to_owned(), root.to_string());
        for (name, level) in own {
            levels.insert(name.to_owned(), level.unwrap_or(root).to_string());
        }
        levels
    }

    fn set_level(&self, logger: &str, level: Option<&str>) {
        let level = level.and_then(Level::parse);
        self.settings.write().set_level(Some(logger).filter(|name| *name != ROOT), level);
        // Which events are of interest is remembered where they happen.
        tracing::callsite::rebuild_interest_cache();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use config::Properties;

    use super::*;
    use crate::logging::{KAFKA_CONSOLE, KAFKA_DEFAULT, LogSettings};

    /// The constants that hold such names.
    const CONSTANTS: [&str; 14] = [
        "ACCEPTOR",
        "APP_INFO",
        "CLIENT",
        "CONFIG",
        "KAFKA_CLIENT",
        "LOGGER",
        "LOG_MANAGER",
        "MAIN",
        "MANAGER",
        "MOVER",
        "SELECTOR",
        "SEND_THREAD",
        "SERVER",
        "STARTABLE",
    ];

    fn log(text: &str) -> Log {
        let file = Properties::parse(text.as_bytes()).unwrap();
        Log::start(LogSettings::parse(&file, &Properties::default(), &mut Vec::new())).unwrap()
    }

    #[test]
    fn levels_are_told_and_changed() {
        let log = log(KAFKA_CONSOLE);
        let selector = "org.apache.kafka.common.network.Selector";
        assert_eq!((&*log.levels()[ROOT], &*log.levels()[selector]), ("INFO", "INFO"));
        log.set_level(selector, Some("ERROR"));
        assert!(!log.is_enabled(Level::Warn, selector) && log.is_enabled(Level::Error, selector));
        assert_eq!(log.levels()[selector], "ERROR");
        log.set_level(ROOT, Some("DEBUG"));
        assert!(log.is_enabled(Level::Debug, "kafka.server.KafkaApis") && !log.is_enabled(Level::Warn, selector));
        log.set_level(selector, None);
        assert!(log.is_enabled(Level::Debug, selector), "the root's level counts again");
        assert_eq!(log.levels()[selector], "DEBUG");
    }

    #[test]
    fn configured_loggers_are_among_them() {
        let text = KAFKA_DEFAULT.lines().filter(|line| !line.contains("log4j.appender")).collect::<Vec<_>>().join("\n");
        let levels = log(&text).levels();
        assert_eq!((&*levels["kafka.controller"], &*levels["kafka.request.logger"]), ("TRACE", "WARN"));
    }

    /// The names that stand in the sources of a broker's crates as the origin of lines.
    fn names_in(path: &Path, names: &mut BTreeSet<String>) {
        if path.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                names_in(&entry.unwrap().path(), names);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(path).unwrap();
            for line in text.lines().map(str::trim) {
                let literal = line.split_once("target: \"").or_else(|| {
                    let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
                    let (name, rest) = line.strip_prefix("const ")?.split_once(": &str = \"")?;
                    CONSTANTS.contains(&name).then_some(("", rest))
                });
                let name = literal.and_then(|(_, rest)| rest.split_once('"')).map(|(name, _)| name);
                names.extend(name.filter(|name| !name.contains(['{', '\\'])).map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_origin_of_lines_is_a_logger() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let mut names = BTreeSet::new();
        for place in [
            "core/kafka-node/src",
            "core/kafka-log/src",
            "core/kafka-coord/src",
            "core/kafka-control/src",
            "core/config/src/broker",
            "app/host/src/kafka.rs",
            "app/host/src/guardian",
            "app/jackdaw/src/kafka_server.rs",
        ] {
            names_in(&root.join(place), &mut names);
        }
        assert!(names.len() > 15, "{names:?}");
        let above = ["kafka", "org.apache.kafka"];
        let listed: BTreeSet<String> =
            OF_A_BROKER.into_iter().filter(|name| !above.contains(name)).map(str::to_owned).collect();
        assert_eq!(names, listed);
    }
}
