//! What several tests need.

use std::sync::Arc;

use config::{BrokerConfig, BrokerSettings, Properties};

/// A configuration with these lines and a `zookeeper.connect`.
pub(crate) fn config(lines: &str) -> BrokerConfig {
    let properties = Properties::parse(format!("zookeeper.connect=localhost:2181\n{lines}").as_bytes()).unwrap();
    BrokerConfig::new(properties).unwrap().0
}

/// The settings of such a configuration.
pub(crate) fn settings(lines: &str) -> Arc<BrokerSettings> {
    config(lines).settings().clone()
}
