//! What ZooKeeper tells this broker under watch: changed configs and features (upstream: `DynamicConfigManager`,
//! `ZkNodeChangeNotificationListener`, `FinalizedFeatureChangeListener`).

use std::collections::BTreeSet;
use std::sync::Arc;

use base::Now;
use config::broker::Scope;
use kafka_control::znode::{self, ConfigChange, EntityConfig};
use kafka_control::{Event, Failure, Operation, Outcome, Reply, ZnodeStat};
use parking_lot::Mutex;

use crate::broker::Broker;

/// Announcements that are older than this are removed.
const EXPIRATION_MS: i64 = 15 * 60 * 1000;

/// The pause behind an attempt to read what must be read.
const RETRY_MS: u64 = 1000;

/// The number of the announcement that was taken last: what it tells of is read by all means, if need be in a later session.
#[derive(Default)]
pub(crate) struct Notifications(Mutex<Option<i64>>);

impl Broker {
    /// The broker is registered: listens for changes, and takes what was set before.
    pub(crate) fn serve(self: &Arc<Self>, _: Now) {
        self.take_first_producer_id_block();
        self.read_features();
        self.read_broker_configs();
        self.read_config_changes();
    }

    /// A watch fired.
    pub(crate) fn watch_fired(self: &Arc<Self>, path: String, now: Now) {
        match path.as_str() {
            znode::CONFIG_CHANGES => self.read_config_changes(),
            znode::FEATURE => self.read_features(),
            _ => self.controller_event(Event::Changed(path), now),
        }
    }

    fn read_features(self: &Arc<Self>) {
        let operations = vec![
            Operation::Exists { path: znode::FEATURE.to_owned(), watch: true },
            Operation::GetData { path: znode::FEATURE.to_owned(), watch: false },
        ];
        self.ask_zookeeper(operations, |broker, outcomes, _| {
            if let Some(Ok(Reply::Data(_, stat))) = outcomes.into_iter().nth(1) {
                broker.set_features_epoch(stat.version.into());
            }
        });
    }

    /// What is set for all brokers, and for this one.
    fn read_broker_configs(self: &Arc<Self>) {
        for scope in [Scope::Default, Scope::Broker] {
            self.read_broker_config(scope);
        }
    }

    fn read_broker_config(self: &Arc<Self>, scope: Scope) {
        let name = match scope {
            Scope::Default => "<default>".to_owned(),
            Scope::Broker => self.id().to_string(),
        };
        let path = znode::entity_config("brokers", &name);
        self.read_entity(path, move |broker, stored| {
            let (config, notices) = broker.config().apply_stored(scope, &stored.0);
            for notice in notices {
                tracing::warn!(target: "kafka.server.DynamicBrokerConfig", "{}", notice.text);
            }
            broker.set_config(config);
            broker.throttles.set_rates(scope, &stored.0);
            broker.topic_defaults_changed();
            let now = broker.host.now();
            broker.replication_settings_changed(now);
            broker.controller_settings_changed(now);
        });
    }

    /// Reads what new topics were made with, before they have logs: no announcement tells of it. Until it is read they have none; not told of
    /// while the broker stops.
    pub(crate) fn read_configs_of_new_topics(
        self: &Arc<Self>,
        topics: BTreeSet<String>,
        then: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) {
        let read = |topic: &String| Operation::GetData { path: znode::entity_config("topics", topic), watch: false };
        self.ask_in_any_session(topics.iter().map(read).collect(), move |broker, outcomes, now| {
            let failures = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
            if let Some(failure) = failures.copied().find(|failure| *failure != Failure::NoNode) {
                tracing::error!(target: "kafka.server.DynamicConfigManager", "configs of new topics can't be read: {failure}");
                let again = move |broker: &Arc<Self>, _| broker.read_configs_of_new_topics(topics, then);
                broker.schedule(now.monotonic.plus_ms(RETRY_MS), again);
                return;
            }
            for (topic, outcome) in topics.iter().zip(outcomes) {
                match decode_entity(topic, outcome) {
                    Ok(stored) => drop(broker.set_topic_overrides(topic, stored)),
                    Err(error) => tracing::error!(target: "kafka.server.DynamicConfigManager", "{error}"),
                }
            }
            then(broker);
        });
    }

    /// Reads a config znode; one that is not there is empty.
    fn read_entity(self: &Arc<Self>, path: String, then: impl FnOnce(&Arc<Self>, EntityConfig) + Send + 'static) {
        let read = Operation::GetData { path: path.clone(), watch: false };
        self.ask_in_any_session(vec![read], move |broker, outcomes, _| {
            let Some(outcome) = outcomes.into_iter().next() else { return };
            match decode_entity(&path, outcome) {
                Ok(stored) => then(broker, stored),
                Err(error) => tracing::error!(target: "kafka.server.DynamicConfigManager", "{error}"),
            }
        });
    }

    /// Reads the announcements that are new, in their order, and removes old ones.
    fn read_config_changes(self: &Arc<Self>) {
        let list = Operation::GetChildren { path: znode::CONFIG_CHANGES.to_owned(), watch: true };
        self.ask_zookeeper(vec![list], |broker, outcomes, _| {
            let Some(Ok(Reply::Children(mut names))) = outcomes.into_iter().next() else { return };
            names.sort();
            let operations: Vec<_> = names.iter().map(|name| read_change(name)).collect();
            broker.ask_zookeeper(operations, move |broker, outcomes, now| {
                for (name, outcome) in names.into_iter().zip(outcomes) {
                    match outcome {
                        Ok(Reply::Data(content, stat)) => {
                            broker.take_config_change(&name, &content.unwrap_or_default(), stat, now);
                        }
                        Ok(_) | Err(Failure::NoNode) => {}
                        // This one and those behind it are left for the next look: after an expired session, that of the next.
                        Err(_) => return,
                    }
                }
            });
        });
    }

    fn take_config_change(self: &Arc<Self>, name: &str, content: &[u8], stat: ZnodeStat, now: Now) {
        let Some(number) = name.strip_prefix("config_change_").and_then(|digits| digits.parse::<i64>().ok()) else {
            return;
        };
        if now.wall_ms - stat.ctime_ms > EXPIRATION_MS {
            let path = format!("{}/{name}", znode::CONFIG_CHANGES);
            self.ask_zookeeper(vec![Operation::Delete { path, version: -1 }], |_, _, _| {});
        }
        {
            let mut last = self.notifications.0.lock();
            if last.is_some_and(|last| number <= last) {
                return;
            }
            *last = Some(number);
        }
        match ConfigChange::decode(content) {
            Ok(change) => self.entity_changed(&change.entity_path),
            Err(error) => tracing::error!(target: "kafka.server.DynamicConfigManager", "{error}"),
        }
    }

    fn entity_changed(self: &Arc<Self>, entity_path: &str) {
        let own = self.id().to_string();
        match entity_path.split_once('/') {
            Some(("topics", topic)) => {
                let topic = topic.to_owned();
                self.read_entity(znode::entity_config("topics", &topic), move |broker, stored| {
                    let is_true = |value: &String| value.trim().eq_ignore_ascii_case("true");
                    let is_unclean = stored.0.get("unclean.leader.election.enable").is_some_and(is_true);
                    broker.set_topic_overrides(&topic, stored);
                    if is_unclean {
                        broker.controller_event(Event::UncleanElectionEnabled { topic }, broker.host.now());
                    }
                });
            }
            Some(("brokers", "<default>")) => self.read_broker_config(Scope::Default),
            Some(("brokers", id)) if id == own => self.read_broker_config(Scope::Broker),
            // Client quotas have no effect yet, which the start says; other brokers' configs are theirs.
            _ => {}
        }
    }
}

fn decode_entity(name: &str, outcome: Outcome) -> Result<EntityConfig, String> {
    match outcome {
        Ok(Reply::Data(content, _)) => {
            EntityConfig::decode(name, content.as_deref().unwrap_or_default()).map_err(|error| error.to_string())
        }
        Err(Failure::NoNode) => Ok(EntityConfig::default()),
        Ok(_) => Err(format!("the config of {name}: not the answer to what was asked")),
        Err(failure) => Err(format!("the config of {name} can't be read: {failure}")),
    }
}

fn read_change(name: &str) -> Operation {
    Operation::GetData { path: format!("{}/{name}", znode::CONFIG_CHANGES), watch: false }
}
