//! Sequential children by which brokers tell the controller something: `/isr_change_notification/isr_change_<n>` and
//! `/log_dir_event_notification/log_dir_event_<n>` (upstream: `IsrChangeNotificationSequenceZNode`, `LogDirEventNotificationSequenceZNode`).

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Value, json};

use super::json::{integer, invalid, parse, to_bytes};
use super::{ISR_CHANGES, LOG_DIR_EVENTS, ZnodeError};
use crate::message::TopicPartition;

/// Partitions whose leader has changed the ISR by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IsrChange(pub BTreeSet<TopicPartition>);

impl IsrChange {
    /// The content.
    pub fn encode(&self) -> Bytes {
        let entry = |id: &TopicPartition| json!({"topic": id.topic, "partition": id.partition});
        to_bytes(&json!({"version": 1, "partitions": self.0.iter().map(entry).collect::<Vec<_>>()}))
    }

    /// Reads the content.
    pub fn decode(content: &[u8]) -> Result<Self, ZnodeError> {
        let object = parse(ISR_CHANGES, content)?;
        let partitions = object.get("partitions").and_then(Value::as_array);
        let partitions = partitions.ok_or_else(|| invalid(ISR_CHANGES, "no list under partitions"))?;
        let entry = |value: &Value| {
            let fields = value.as_object().ok_or_else(|| invalid(ISR_CHANGES, "not a JSON object"))?;
            let topic = fields.get("topic").and_then(Value::as_str);
            let topic = topic.ok_or_else(|| invalid(ISR_CHANGES, "no text under topic"))?.to_owned();
            Ok(TopicPartition { topic, partition: integer(ISR_CHANGES, fields, "partition")? })
        };
        partitions.iter().map(entry).collect::<Result<_, _>>().map(Self)
    }
}

/// A log directory of a broker failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogDirEvent {
    /// Whose directory.
    pub broker: i32,
}

impl LogDirEvent {
    /// The content.
    pub fn encode(self) -> Bytes {
        to_bytes(&json!({"version": 1, "broker": self.broker, "event": 1}))
    }

    /// Reads the content.
    pub fn decode(content: &[u8]) -> Result<Self, ZnodeError> {
        Ok(Self { broker: integer(LOG_DIR_EVENTS, &parse(LOG_DIR_EVENTS, content)?, "broker")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_equal_the_originals() {
        let change = IsrChange(BTreeSet::from([TopicPartition { topic: "t".to_owned(), partition: 3 }]));
        assert_eq!(change.encode(), r#"{"version":1,"partitions":[{"topic":"t","partition":3}]}"#);
        assert_eq!(IsrChange::decode(&change.encode()), Ok(change));
        let event = LogDirEvent { broker: 2 };
        assert_eq!(event.encode(), r#"{"version":1,"broker":2,"event":1}"#);
        assert_eq!(LogDirEvent::decode(&event.encode()), Ok(event));
        assert!(IsrChange::decode(b"{}").is_err() && LogDirEvent::decode(b"{}").is_err());
    }
}
