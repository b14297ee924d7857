//! A broker's configuration: `server.properties` and what is set while running, by the rules and in the words of Kafka
//! 2.7.1 (`KafkaConfig`, `DynamicBrokerConfig`).
//!
//! [`BrokerConfig`] keeps what was written, in three layers (file, all brokers, this broker); [`BrokerSettings`] is what
//! it means. A change makes a new `BrokerConfig`, so a reader's snapshot never changes under it.

mod check;
mod describe;
mod dynamic;
pub mod keys;
mod listeners;
mod settings;
mod values;

pub(crate) use check::Times;
pub use describe::{ConfigEntry, ConfigSource, Synonym};
pub use dynamic::Scope;
pub use listeners::{Endpoint, Listeners, SecurityProtocol};
pub use settings::{
    BrokerSettings, Fetches, Groups, ListenerLimits, Logs, Network, Offsets, Replication, Topics, Transactions,
    ZooKeeperClient,
};
pub use values::Values;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::error::{ConfigError, ErrorKind};
use crate::key::State;
use crate::notice::Notice;
use crate::properties::Properties;
use crate::zookeeper::Secret;

const LOGGER: &str = "kafka.server.KafkaConfig";

/// Values set while running, by key.
pub type Layer = BTreeMap<String, String>;

/// What was written, and what it means.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    file: Arc<Properties>,
    default: Layer,
    broker: Layer,
    originals: Properties,
    settings: Arc<BrokerSettings>,
    /// As whom the broker logs in at ZooKeeper.
    login: Option<(String, Secret)>,
}

impl BrokerConfig {
    /// Resolves `server.properties` (with `--override`s already in it). The lines are for the log: what has no effect
    /// and why, what nobody knows.
    ///
    /// # Errors
    /// In the original's words; [`ErrorKind::NotServed`] for security that would silently be missing.
    pub fn new(file: Properties) -> Result<(Self, Vec<Notice>), ConfigError> {
        let settings = BrokerSettings::resolve(&file)?;
        settings.listeners.refuse_security()?;
        let notices = states(&file, &settings)?;
        let config = Self {
            originals: file.clone(),
            file: Arc::new(file),
            default: Layer::new(),
            broker: Layer::new(),
            settings: Arc::new(settings),
            login: None,
        };
        Ok((config, notices))
    }

    /// The same with a login at ZooKeeper: user and password.
    #[must_use]
    pub fn with_zookeeper_login(self, login: Option<(String, Secret)>) -> Self {
        Self { login, ..self }
    }

    /// As whom the broker logs in at ZooKeeper, if it does: user and password.
    #[must_use]
    pub const fn zookeeper_login(&self) -> Option<&(String, Secret)> {
        self.login.as_ref()
    }

    /// What the broker runs by now.
    #[must_use]
    pub const fn settings(&self) -> &Arc<BrokerSettings> {
        &self.settings
    }

    /// What stands in `server.properties`.
    #[must_use]
    pub fn file(&self) -> &Properties {
        &self.file
    }

    /// What is set for all brokers while running.
    #[must_use]
    pub const fn dynamic_default(&self) -> &Layer {
        &self.default
    }

    /// What is set for this broker while running.
    #[must_use]
    pub const fn dynamic_broker(&self) -> &Layer {
        &self.broker
    }

    /// The three layers as one, the strongest value of each key.
    #[must_use]
    pub const fn originals(&self) -> &Properties {
        &self.originals
    }

    /// The text that is logged at the start: `KafkaConfig values: ` and each key with its value.
    #[must_use]
    pub fn log_text(&self) -> String {
        let mut text = "KafkaConfig values: \n".to_owned();
        for (name, value) in self.settings.values.iter() {
            writeln!(text, "\t{name} = {}", value.to_log()).expect("a String takes all text");
        }
        text
    }

    fn with_layer(&self, scope: Scope, layer: Layer) -> Result<Self, ConfigError> {
        let mut updated = self.clone();
        match scope {
            Scope::Broker => updated.broker = layer,
            Scope::Default => updated.default = layer,
        }
        updated.originals = (*updated.file).clone();
        dynamic::lay_over(&mut updated.originals, &updated.default);
        dynamic::lay_over(&mut updated.originals, &updated.broker);
        updated.settings = Arc::new(BrokerSettings::resolve(&updated.originals)?);
        Ok(updated)
    }
}

/// Refused keys are errors; keys without effect are told once for each reason, unknown ones each.
fn states(file: &Properties, settings: &BrokerSettings) -> Result<Vec<Notice>, ConfigError> {
    let mut notices = Vec::new();
    let mut without_effect: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, _) in file.iter() {
        let Some(key) = keys::find(describe::listener_base(name).unwrap_or(name)) else {
            notices.push(Notice::warn(
                LOGGER,
                format!("The configuration '{name}' was supplied but isn't a known config."),
            ));
            continue;
        };
        if name == key.name && settings.values.value(name) == key.default_value().ok().as_ref() {
            continue;
        }
        match key.state {
            State::Refused(why) => {
                return Err(ConfigError::new(ErrorKind::NotServed, format!("{name} is set, but {why}")));
            }
            State::NoEffect(why) => without_effect.entry(why).or_default().push(name),
            State::Honoured => {}
        }
    }
    for (why, names) in without_effect {
        let text = format!("{}: accepted without effect, since {why}", names.join(", "));
        // Who limits clients must know that nothing does.
        let warn = why == keys::reasons::QUOTAS;
        notices.push(if warn { Notice::warn(LOGGER, text) } else { Notice::info(LOGGER, text) });
    }
    Ok(notices)
}

#[cfg(test)]
mod tests;
