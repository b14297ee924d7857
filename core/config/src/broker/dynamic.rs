//! Values that change while the broker runs (`DynamicBrokerConfig`): which may, and what they may become.

use std::collections::BTreeMap;

use super::describe::{broker_synonyms, listener_base};
use super::{BrokerConfig, LOGGER, Layer, keys};
use crate::error::ConfigError;
use crate::key::{Key, Update};
use crate::notice::Notice;
use crate::value::Value;

/// For whom a value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// This broker (`/config/brokers/<id>`).
    Broker,
    /// All brokers (`/config/brokers/<default>`).
    Default,
}

/// TLS keys that only a listener's prefix makes dynamic.
const LISTENER_ONLY: [&str; 10] = [
    "ssl.keystore.type",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.key.password",
    "ssl.truststore.type",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.truststore.certificates",
];
const CLUSTER_LEVEL_LISTENER: [&str; 2] = ["max.connections", "max.connection.creation.rate"];
const THREAD_COUNTS: [&str; 5] = [
    "num.io.threads",
    "num.network.threads",
    "num.replica.fetchers",
    "num.recovery.threads.per.data.dir",
    "background.threads",
];

type IsBad = fn(&str) -> bool;
const CANNOT_CHANGE: IsBad = |name| keys::find(name).is_some_and(|key| key.update == Update::ReadOnly);
const NEEDS_LISTENER: IsBad = |name| LISTENER_ONLY.contains(&name);
const NEEDS_BROKER: IsBad = |name| match listener_base(name) {
    Some(base) => !CLUSTER_LEVEL_LISTENER.contains(&base),
    None => keys::find(name).is_some_and(|key| key.update == Update::PerBroker),
};

impl BrokerConfig {
    /// The configuration with one scope's values replaced by `proposed`, if the original would take them; used for
    /// `AlterConfigs`, whose `proposed` is the whole of what will then be stored.
    ///
    /// # Errors
    /// The original's message. A rule of one part of the broker is also the error's cause.
    pub fn validate_update(&self, scope: Scope, proposed: &Layer) -> Result<Self, ConfigError> {
        let refuse = |is_bad: IsBad, message: &str| match bad_names(proposed, is_bad) {
            names if names.is_empty() => Ok(()),
            names => Err(ConfigError::config(format!("{message}({})", names.join(", ")))),
        };
        refuse(CANNOT_CHANGE, "Cannot update these configs dynamically: Set")?;
        refuse(
            NEEDS_LISTENER,
            "These security configs can be dynamically updated only per-listener using the listener prefix: HashSet",
        )?;
        check_types(proposed)?;
        if scope == Scope::Default {
            refuse(
                NEEDS_BROKER,
                "Cannot update these configs at default cluster level, broker id must be specified: Set",
            )?;
        }
        let updated = self.with_layer(scope, proposed.clone())?;
        self.check_parts(&updated).map_err(|cause| {
            // The original takes its own message for a key's name, and the cause for its value.
            let value = format!("{}: {}", cause.kind().class(), cause.message());
            let message = format!("Invalid value {value} for configuration Invalid dynamic configuration");
            ConfigError::config(message).caused_by(cause)
        })?;
        updated.settings().listeners.refuse_security()?;
        Ok(updated)
    }

    /// The configuration with one scope's values replaced by what ZooKeeper holds. What is wrong there is left out and
    /// logged, for a broker must not die of it; if the rest is refused as a whole, nothing changes.
    #[must_use]
    pub fn apply_stored(&self, scope: Scope, stored: &Layer) -> (Self, Vec<Notice>) {
        let mut notices = Vec::new();
        let mut layer = stored.clone();
        let mut drop_bad = |layer: &mut Layer, is_bad: &dyn Fn(&str, &str) -> bool, message: &str| {
            let bad: Vec<String> =
                layer.iter().filter(|(name, value)| is_bad(name, value)).map(|(name, _)| name.clone()).collect();
            layer.retain(|name, _| !bad.contains(name));
            if !bad.is_empty() {
                notices.push(Notice::error(LOGGER, format!("{message}: Set({})", bad.join(", "))));
            }
        };
        let place = if scope == Scope::Broker { "broker" } else { "default cluster" };
        let ill_typed =
            |name: &str, value: &str| check_types(&Layer::from([(name.to_owned(), value.to_owned())])).is_err();
        drop_bad(
            &mut layer,
            &ill_typed,
            &format!("Dynamic {place} config contains invalid values, these configs will be ignored"),
        );
        drop_bad(
            &mut layer,
            &|name, _| CANNOT_CHANGE(name),
            "Non-dynamic configs configured in ZooKeeper will be ignored",
        );
        drop_bad(
            &mut layer,
            &|name, _| NEEDS_LISTENER(name),
            "Security configs can be dynamically updated only using listener prefix, base configs will be ignored",
        );
        if scope == Scope::Default {
            drop_bad(
                &mut layer,
                &|name, _| NEEDS_BROKER(name),
                "Per-broker configs defined at default cluster level will be ignored",
            );
        }
        let result = self.with_layer(scope, layer).and_then(|updated| {
            self.check_parts(&updated)?;
            updated.settings().listeners.refuse_security()?;
            Ok(updated)
        });
        match result {
            Ok(updated) => (updated, notices),
            Err(error) => {
                let what = if scope == Scope::Broker { "Per-broker configs" } else { "Cluster default configs" };
                notices.push(Notice::error(LOGGER, format!("{what} could not be applied: {error}")));
                (self.clone(), notices)
            }
        }
    }

    /// The rules of the parts that would have to change: thread counts, cleaner, listeners.
    fn check_parts(&self, updated: &Self) -> Result<(), ConfigError> {
        let number = |config: &Self, key: &str| match config.settings().values.value(key) {
            Some(Value::Int(number)) => *number,
            _ => 0,
        };
        if self.originals() == updated.originals() {
            return Ok(());
        }
        for key in THREAD_COUNTS {
            let (old, new) = (number(self, key), number(updated, key));
            let refuse = |why: String| {
                Err(ConfigError::config(format!(
                    "Dynamic thread count update validation failed for {key}={new}, {why}"
                )))
            };
            match new {
                _ if new == old => {}
                ..=0 => return refuse("value should be at least 1".to_owned()),
                _ if new < old / 2 => return refuse(format!("value should be at least half the current value {old}")),
                _ if new > old.saturating_mul(2) => {
                    return refuse(format!("value should not be greater than double the current value {old}"));
                }
                _ => {}
            }
        }
        check_cleaner(number(self, "log.cleaner.threads"), number(updated, "log.cleaner.threads"))?;
        self.check_listeners(updated)
    }

    /// `DynamicListenerConfig.validateReconfiguration`, as far as plain listeners go.
    fn check_listeners(&self, updated: &Self) -> Result<(), ConfigError> {
        let (old, new) = (&self.settings().listeners, &updated.settings().listeners);
        for listener in &new.listeners {
            let changed = old.protocols.get(&listener.listener).is_some_and(|protocol| *protocol != listener.protocol);
            if changed && old.listeners.iter().any(|other| other.listener == listener.listener) {
                let name = &listener.listener;
                return Err(ConfigError::config(format!(
                    "Security protocol cannot be updated for existing listener ListenerName({name})"
                )));
            }
        }
        Ok(())
    }
}

fn check_cleaner(old: i32, new: i32) -> Result<(), ConfigError> {
    match new {
        _ if new == old => Ok(()),
        ..1 => Err(ConfigError::config("Log cleaner threads should be at least 1")),
        _ if new < old / 2 => Err(ConfigError::config(format!(
            "Log cleaner threads cannot be reduced to less than half the current value {old}"
        ))),
        _ if new > old.saturating_mul(2) => Err(ConfigError::config(format!(
            "Log cleaner threads cannot be increased to more than double the current value {old}"
        ))),
        _ => Ok(()),
    }
}

/// Values read by the types of their keys; a listener's prefix is set aside, unknown keys pass.
fn check_types(layer: &Layer) -> Result<(), ConfigError> {
    let by_base: BTreeMap<&str, &str> =
        layer.iter().map(|(name, value)| (listener_base(name).unwrap_or(name), value.as_str())).collect();
    let dynamic = keys::DYNAMIC_ONLY.iter().chain(keys::all().filter(|key| key.update != Update::ReadOnly));
    let check = |key: &Key| by_base.get(key.name).map_or(Ok(()), |text| key.parse(text).map(|_| ()));
    dynamic.into_iter().try_for_each(check)
}

fn bad_names(layer: &Layer, is_bad: IsBad) -> Vec<&str> {
    layer.keys().map(String::as_str).filter(|name| is_bad(name)).collect()
}

/// `overrideProps`: a value also hides what was set under its other names, weaker or stronger.
pub(super) fn lay_over(originals: &mut crate::Properties, layer: &Layer) {
    for (name, value) in layer {
        for synonym in broker_synonyms(name, false) {
            originals.remove(synonym);
        }
        originals.set(name, value.clone());
    }
}
