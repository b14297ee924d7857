//! What several tests need.

use std::sync::Arc;

use base::{Job, Monotonic, Next, Now, Random, Slow};
use config::{BrokerConfig, BrokerSettings, Properties};

use crate::broker::Broker;
use crate::host::{Fatal, Host};
use crate::peer::Peer;

/// A configuration with these lines and a `zookeeper.connect`.
pub(crate) fn config(lines: &str) -> BrokerConfig {
    let properties = Properties::parse(format!("zookeeper.connect=localhost:2181\n{lines}").as_bytes()).unwrap();
    BrokerConfig::new(properties).unwrap().0
}

/// The settings of such a configuration.
pub(crate) fn settings(lines: &str) -> Arc<BrokerSettings> {
    config(lines).settings().clone()
}

/// A process of which nobody asks more than the time, which stands still, and jobs, which are done at once.
struct Still;

impl Host for Still {
    fn now(&self) -> Now {
        Now { monotonic: Monotonic::from_ms(1), wall_ms: 1 }
    }

    fn submit(&self, mut job: Box<dyn Job>) {
        while job.step(&Slow::allowed()) == Next::More {}
    }

    fn alarm(&self, _: Monotonic) {}

    fn zookeeper_ready(&self) {}

    fn run_peer(&self, _: Arc<Peer>) {}

    fn fail(&self, reason: Fatal) {
        panic!("{reason}");
    }
}

/// A broker that was not started.
pub(crate) fn broker(lines: &str) -> Arc<Broker> {
    Broker::new(config(lines), Vec::new(), Arc::new(Still), Random::from_seed(1))
}
