//! What the logs ask of the broker around them.

use std::path::Path;
use std::sync::{Arc, Weak};

use base::{Job, once};
use kafka_log::{Level, LogError, Surroundings, TopicPartition};

use crate::broker::Broker;
use crate::host::Host;

/// The broker, as its logs see it.
pub(crate) struct LogSurroundings {
    host: Arc<dyn Host>,
    /// The broker owns its logs; they must not own it.
    broker: Weak<Broker>,
}

impl LogSurroundings {
    pub(crate) fn new(broker: &Arc<Broker>) -> Self {
        Self { host: broker.host.clone(), broker: Arc::downgrade(broker) }
    }
}

impl Surroundings for LogSurroundings {
    fn submit(&self, job: Box<dyn Job>) {
        self.host.submit(job);
    }

    fn submit_for_request(&self, job: Box<dyn Job>) {
        self.host.submit_for_request(job);
    }

    fn directory_failed(&self, dir: &Path, error: &LogError) {
        let Some(broker) = self.broker.upgrade() else { return };
        if broker.logs().is_none() {
            return broker.log_directory_failed(dir, error);
        }
        // By another turn: whoever met the error may hold what is needed to take the directory's partitions away.
        let (dir, error) = (dir.to_owned(), error.clone());
        self.host.submit_for_request(once(move |_| broker.log_directory_failed(&dir, &error)));
    }

    fn flushed(&self, name: &TopicPartition, _: i64) {
        if let Some(broker) = self.broker.upgrade()
            && let Ok(partition) = broker.partitions.get(&broker, &name.topic, name.partition)
        {
            partition.wake(&broker);
        }
    }

    fn start_moved(&self, name: &TopicPartition) {
        if let Some(broker) = self.broker.upgrade()
            && let Ok(partition) = broker.partitions.get(&broker, &name.topic, name.partition)
        {
            partition.tell_sessions(&broker);
        }
    }

    fn say(&self, level: Level, line: String) {
        match level {
            Level::Info => tracing::info!(target: "kafka.log.LogManager", "{line}"),
            Level::Warn => tracing::warn!(target: "kafka.log.LogManager", "{line}"),
            Level::Error => tracing::error!(target: "kafka.log.LogManager", "{line}"),
        }
    }
}
