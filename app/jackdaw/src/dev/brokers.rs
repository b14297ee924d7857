//! The brokers of `jackdaw dev`, all in this process. They meet over sockets, as those of different machines do.

use std::sync::Arc;

use config::Properties;
use host::logging::{KAFKA_DEFAULT, Log, LogSettings, capture_events};
use host::{Fatal, Kafka, KafkaError, System};
use tokio::task::JoinSet;

use super::{Options, port_of};
use crate::kafka_server;

/// Brokers that run.
pub(super) struct Brokers {
    brokers: Vec<Kafka>,
    /// Where clients find them, between commas, as `bootstrap.servers` takes them.
    pub(super) addresses: String,
}

impl Brokers {
    /// Starts as many as are asked for, on consecutive ports or on any free ones.
    pub(super) fn start(options: &Options, zookeeper: &str, system: &System) -> Result<Self, String> {
        // One for all: what the core has to say names its broker.
        let log = log(options)?;
        capture_events(&log);
        let mut brokers = Vec::new();
        let mut addresses = Vec::new();
        for id in 0..options.brokers {
            let port = port_of("--kafka-port", options.kafka_port, id)?;
            let config = kafka_server::load(settings(options, id, port, zookeeper), &log)?;
            let random = System::random().map_err(|error| error.to_string())?;
            let started = Kafka::start(config, system.clone(), log.clone(), random, None);
            let broker = started.map_err(|error| match &error {
                KafkaError::Bind { .. } => format!("{error}; choose another port with --kafka-port"),
                _ => error.to_string(),
            })?;
            let port = broker.addresses().first().map_or(0, std::net::SocketAddr::port);
            addresses.push(format!("{}:{port}", options.host));
            brokers.push(broker);
        }
        Ok(Self { brokers, addresses: addresses.join(",") })
    }

    /// Waits until all of them serve.
    pub(super) async fn started(&self) {
        for broker in &self.brokers {
            broker.started().await;
        }
    }

    /// Waits until one of them can't go on; why.
    pub(super) async fn one_failed(&self) -> Arc<Fatal> {
        let mut waiting: JoinSet<_> = self.each(|broker| async move { broker.failed().await });
        let first = waiting.join_next().await.and_then(Result::ok);
        first.expect("there is a broker, and nobody cancels or stops waiting for it")
    }

    /// Stops all in good order, at the same time.
    pub(super) async fn stop(&self) {
        self.each(|broker| async move { broker.stop().await }).join_all().await;
    }

    fn each<F: Future<Output: Send + 'static> + Send + 'static>(&self, act: impl Fn(Kafka) -> F) -> JoinSet<F::Output> {
        self.brokers.iter().cloned().map(act).collect()
    }
}

/// Settings that suit as many brokers as there are.
fn settings(options: &Options, id: u8, port: u16, zookeeper: &str) -> Properties {
    let replicas = options.brokers.min(3);
    // The first one's folder is that of a broker alone: others may join it at a later start.
    let folder = if id == 0 { "kafka".to_owned() } else { format!("kafka-{id}") };
    let settings = [
        ("broker.id", id.to_string()),
        ("listeners", format!("PLAINTEXT://{}:{port}", options.host)),
        ("log.dirs", options.data_dir.join(folder).display().to_string()),
        ("zookeeper.connect", zookeeper.to_owned()),
        ("offsets.topic.replication.factor", replicas.to_string()),
        ("transaction.state.log.replication.factor", replicas.to_string()),
        ("transaction.state.log.min.isr", replicas.min(2).to_string()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        // All stop at the same time: there is nobody to lead instead.
        ("controlled.shutdown.enable", "false".to_owned()),
    ];
    settings.into_iter().collect()
}

/// The log of the brokers: Kafka's files, without the console.
fn log(options: &Options) -> Result<Log, String> {
    let dir = options.data_dir.join("logs").display().to_string();
    let mut file = Properties::parse(KAFKA_DEFAULT.as_bytes()).map_err(|error| error.to_string())?;
    file.set("log4j.rootLogger", "INFO, kafkaAppender");
    let settings =
        LogSettings::parse(&file, &[("kafka.logs.dir", dir.as_str())].into_iter().collect(), &mut Vec::new());
    Log::start(settings).map_err(|error| format!("cannot write to {dir}: {error}"))
}
