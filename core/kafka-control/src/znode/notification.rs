//! Sequential children by which brokers tell the controller something: `/isr_change_notification/isr_change_<n>` and
//! `/log_dir_event_notification/log_dir_event_<n>` (upstream: `IsrChangeNotificationSequenceZNode`, `LogDirEventNotificationSequenceZNode`).

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::json;

use super::admin::{ids, named};
use super::json::{integer, parse, to_bytes};
use super::{ISR_CHANGES, LOG_DIR_EVENTS, ZnodeError};
use crate::message::TopicPartition;

/// Partitions whose leader has changed the ISR by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IsrChange(pub BTreeSet<TopicPartition>);

impl IsrChange {
    /// The content.
    pub fn encode(&self) -> Bytes {
        to_bytes(&json!({"version": 1, "partitions": named(&self.0)}))
    }

    /// Reads the content.
    pub fn decode(content: &[u8]) -> Result<Self, ZnodeError> {
        Ok(Self(ids(ISR_CHANGES, content)?))
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
