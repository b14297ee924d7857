//! What `DescribeConfigs` answers: each value, where it comes from, and what else would have set it
//! (`AdminManager.createBrokerConfigEntry`, `createTopicConfigEntry`).

use std::collections::BTreeMap;

use super::{BrokerConfig, keys};
use crate::key::{Key, Kind, Update};
use crate::topic;
use crate::value::Value;

/// Where a value comes from; the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigSource {
    /// Set for the topic.
    DynamicTopic,
    /// Set for this broker while running.
    DynamicBroker,
    /// Set for all brokers while running.
    DynamicDefaultBroker,
    /// Written in `server.properties`.
    StaticBroker,
    /// The registry's default.
    Default,
    /// The level of a logger.
    DynamicBrokerLogger,
}

impl ConfigSource {
    /// The number in `DescribeConfigs`.
    #[must_use]
    pub const fn id(self) -> i8 {
        match self {
            Self::DynamicTopic => 1,
            Self::DynamicBroker => 2,
            Self::DynamicDefaultBroker => 3,
            Self::StaticBroker => 4,
            Self::Default => 5,
            Self::DynamicBrokerLogger => 6,
        }
    }
}

/// One line of `DescribeConfigs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The key.
    pub name: String,
    /// Its value; none for null and for what is sensitive.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Hidden: a password, or a key that nobody knows.
    pub is_sensitive: bool,
    /// Not to be changed while running.
    pub is_read_only: bool,
    /// All that would set it, the strongest first.
    pub synonyms: Vec<Synonym>,
    /// Its type, if the registry knows it.
    pub kind: Option<Kind>,
    /// What it means.
    pub doc: Option<&'static str>,
}

/// A key at one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The key there.
    pub name: String,
    /// Its value there; none when sensitive.
    pub value: Option<String>,
    /// Where.
    pub source: ConfigSource,
}

impl Kind {
    /// The number in `DescribeConfigs` v3; 0 stands for an unknown type.
    #[must_use]
    pub const fn id(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }
}

const MECHANISM_KEYS: [&str; 5] = [
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
    "connections.max.reauth.ms",
];

/// The key behind `listener.name.NAME.`, if the name has that prefix.
pub(super) fn listener_base(name: &str) -> Option<&str> {
    name.strip_prefix("listener.name.")?.split_once('.').map(|(_, base)| base)
}

/// `DynamicBrokerConfig.brokerConfigSynonyms`: the names by which a value may be set, the strongest first.
pub(super) fn broker_synonyms(name: &str, match_listener: bool) -> Vec<&str> {
    match name {
        "log.roll.ms" | "log.roll.hours" => vec!["log.roll.ms", "log.roll.hours"],
        "log.roll.jitter.ms" | "log.roll.jitter.hours" => vec!["log.roll.jitter.ms", "log.roll.jitter.hours"],
        "log.flush.interval.ms" => vec!["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
        "log.retention.ms" | "log.retention.minutes" | "log.retention.hours" => {
            vec!["log.retention.ms", "log.retention.minutes", "log.retention.hours"]
        }
        _ => match listener_base(name).filter(|_| match_listener) {
            Some(base) => vec![name, MECHANISM_KEYS.into_iter().find(|key| base.ends_with(key)).unwrap_or(base)],
            None => vec![name],
        },
    }
}

/// The entry behind a name, a listener's prefix set aside (`KafkaConfig.configType`).
fn broker_key(name: &str) -> Option<&'static Key> {
    let exact = keys::find(name).or_else(|| keys::DYNAMIC_ONLY.iter().find(|key| key.name == name));
    exact.or_else(|| broker_synonyms(name, true).into_iter().find_map(keys::find))
}

impl BrokerConfig {
    /// All keys of this broker, sorted by name: those of the registry, and whatever else was written.
    #[must_use]
    pub fn describe(&self) -> Vec<ConfigEntry> {
        let mut values: BTreeMap<&str, Option<String>> =
            self.originals().iter().map(|(name, value)| (name, Some(value.to_owned()))).collect();
        values.extend(self.settings().values.iter().map(|(name, value)| (name, text(value))));
        values.into_iter().map(|(name, value)| self.broker_entry(name, value, |_| true)).collect()
    }

    /// The keys that are set for all brokers while running.
    #[must_use]
    pub fn describe_default(&self) -> Vec<ConfigEntry> {
        let is_default = |source| source == ConfigSource::DynamicDefaultBroker;
        self.dynamic_default()
            .iter()
            .map(|(name, value)| self.broker_entry(name, Some(value.clone()), is_default))
            .collect()
    }

    /// All keys of a topic that has set `overrides`, sorted by name.
    ///
    /// # Errors
    /// When an override is ill-typed, as [`TopicSettings::resolve`](crate::TopicSettings::resolve).
    pub fn describe_topic(&self, overrides: &BTreeMap<String, String>) -> Result<Vec<ConfigEntry>, crate::ConfigError> {
        let values = self.settings().topic_defaults.with(overrides)?;
        let mut all: BTreeMap<&str, Option<String>> =
            overrides.iter().map(|(name, value)| (name.as_str(), Some(value.clone()))).collect();
        all.extend(values.iter().map(|(name, value)| (*name, text(value))));
        Ok(all.into_iter().map(|(name, value)| self.topic_entry(name, value, overrides.contains_key(name))).collect())
    }

    fn broker_entry(&self, name: &str, value: Option<String>, keep: impl Fn(ConfigSource) -> bool) -> ConfigEntry {
        let key = broker_key(name);
        let is_sensitive = key.is_none_or(Key::is_sensitive);
        let mut synonyms = self.synonyms(name, &broker_synonyms(name, true), is_sensitive);
        synonyms.retain(|synonym| keep(synonym.source));
        ConfigEntry {
            name: name.to_owned(),
            value: value.filter(|_| !is_sensitive),
            source: synonyms.first().map_or(ConfigSource::Default, |first| first.source),
            is_sensitive,
            is_read_only: keys::find(name).is_none_or(|key| key.update == Update::ReadOnly),
            synonyms,
            kind: key.map(|key| key.kind),
            doc: keys::find(name).map(|key| key.doc),
        }
    }

    fn topic_entry(&self, name: &str, value: Option<String>, is_set: bool) -> ConfigEntry {
        let key = topic::find(name);
        let is_sensitive = key.is_none_or(Key::is_sensitive);
        let value = value.filter(|_| !is_sensitive);
        let mut synonyms = Vec::new();
        if is_set {
            synonyms.push(Synonym { name: name.to_owned(), value: value.clone(), source: ConfigSource::DynamicTopic });
        }
        if let Some(broker) = key.and_then(|key| key.broker_synonym) {
            synonyms.extend(self.synonyms(broker, &broker_synonyms(broker, true), is_sensitive));
        }
        ConfigEntry {
            name: name.to_owned(),
            value,
            source: synonyms.first().map_or(ConfigSource::Default, |first| first.source),
            is_sensitive,
            is_read_only: false,
            synonyms,
            kind: key.map(|key| key.kind),
            doc: key.map(|key| key.doc),
        }
    }

    /// Each name at each source; what is stronger than `name` itself is left out, as in the original.
    fn synonyms(&self, name: &str, names: &[&str], is_sensitive: bool) -> Vec<Synonym> {
        let mut all = Vec::new();
        let sources = [
            (ConfigSource::DynamicBroker, self.dynamic_broker()),
            (ConfigSource::DynamicDefaultBroker, self.dynamic_default()),
        ];
        let mut add = |name: &str, value: &str, source| {
            all.push(Synonym {
                name: name.to_owned(),
                value: Some(value.to_owned()).filter(|_| !is_sensitive),
                source,
            });
        };
        for (source, layer) in sources {
            names.iter().for_each(|name| layer.get(*name).into_iter().for_each(|value| add(name, value, source)));
        }
        for name in names {
            self.file().get(name).into_iter().for_each(|value| add(name, value, ConfigSource::StaticBroker));
        }
        for name in names {
            let default = keys::find(name).and_then(Key::default_text);
            default.into_iter().for_each(|value| add(name, value, ConfigSource::Default));
        }
        all.into_iter().skip_while(|synonym| synonym.name != name).collect()
    }
}

fn text(value: &Value) -> Option<String> {
    (*value != Value::Null).then(|| value.to_string())
}
