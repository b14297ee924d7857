//! `/config/<type>/<name>` and the announcements below `/config/changes` (upstream: `ConfigEntityZNode`,
//! `ConfigEntityChangeNotificationZNode`).

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::json::{in_properties_order, invalid, parse, to_bytes};
use super::{CONFIG_CHANGES, ZnodeError};

/// What was set for a topic, a broker, a client or a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityConfig(pub BTreeMap<String, String>);

impl EntityConfig {
    /// The content.
    pub fn encode(&self) -> Bytes {
        let entries = in_properties_order(self.0.iter().map(|(key, value)| (key.clone(), value)));
        let config: Map<_, _> = entries.into_iter().map(|(key, value)| (key, json!(value))).collect();
        to_bytes(&json!({"version": 1, "config": config}))
    }

    /// Reads the content; values that are not texts are written out as JSON, as the originals take them.
    pub fn decode(path: &str, content: &[u8]) -> Result<Self, ZnodeError> {
        if content.is_empty() {
            return Ok(Self::default());
        }
        let object = parse(path, content)?;
        let config = object.get("config").and_then(Value::as_object);
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Ok(Self(config.into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()))
    }
}

/// Which entity's config changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    /// `topics/t`, `brokers/0`, `brokers/<default>`, `users/u`, `users/u/clients/c`, `clients/c`.
    pub entity_path: String,
}

impl ConfigChange {
    /// The content, version 2.
    pub fn encode(&self) -> Bytes {
        to_bytes(&json!({"version": 2, "entity_path": self.entity_path}))
    }

    /// Reads version 1 (entity type and name) or 2.
    pub fn decode(content: &[u8]) -> Result<Self, ZnodeError> {
        let object = parse(CONFIG_CHANGES, content)?;
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        let entity_path = match object.get("version").and_then(Value::as_i64) {
            Some(1) => text("entity_type").zip(text("entity_name")).map(|(kind, name)| format!("{kind}/{name}")),
            Some(2) => text("entity_path").map(str::to_owned),
            _ => None,
        };
        let entity_path =
            entity_path.ok_or_else(|| invalid(CONFIG_CHANGES, "neither version 1 nor version 2 of a notification"))?;
        Ok(Self { entity_path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_equal_the_originals() {
        assert_eq!(EntityConfig::default().encode(), r#"{"version":1,"config":{}}"#);
        let config = EntityConfig(BTreeMap::from([("retention.ms".to_owned(), "1000".to_owned())]));
        assert_eq!(config.encode(), r#"{"version":1,"config":{"retention.ms":"1000"}}"#);
        assert_eq!(EntityConfig::decode("/config/topics/t", &config.encode()), Ok(config));
        let six =
            ["retention.ms", "cleanup.policy", "segment.bytes", "compression.type", "max.message.bytes", "flush.ms"];
        let six = EntityConfig(six.map(|key| (key.to_owned(), "1".to_owned())).into_iter().collect());
        let expected = r#"{"version":1,"config":{"compression.type":"1","cleanup.policy":"1","flush.ms":"1","max.message.bytes":"1","retention.ms":"1","segment.bytes":"1"}}"#;
        assert_eq!(six.encode(), expected, "as ConfigEntityZNode.encode of 2.7.1");
        let change = ConfigChange { entity_path: "topics/t".to_owned() };
        assert_eq!(change.encode(), r#"{"version":2,"entity_path":"topics/t"}"#);
        assert_eq!(ConfigChange::decode(&change.encode()), Ok(change.clone()));
        let one = br#"{"version":1,"entity_type":"topics","entity_name":"t"}"#;
        assert_eq!(ConfigChange::decode(one), Ok(change));
    }
}
