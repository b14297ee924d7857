//! `/brokers/topics/<topic>/partitions/<p>/state`: leader and in-sync replicas (upstream:
//! `TopicPartitionStateZNode`).

use bytes::Bytes;
use serde_json::json;

use super::json::{integer, integers, invalid, parse, to_bytes};
use super::{ZnodeError, partition_state};

/// A partition's leader and in-sync replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderAndIsr {
    /// The leader's broker id; -1: none.
    pub leader: i32,
    /// Grows with each change of leader or ISR by the controller.
    pub leader_epoch: i32,
    /// In-sync replicas.
    pub isr: Vec<i32>,
    /// Epoch of the controller that wrote it.
    pub controller_epoch: i32,
}

impl LeaderAndIsr {
    /// No leader.
    pub const NO_LEADER: i32 = -1;

    /// The content.
    pub fn encode(&self) -> Bytes {
        to_bytes(&json!({
            "controller_epoch": self.controller_epoch,
            "leader": self.leader,
            "version": 1,
            "leader_epoch": self.leader_epoch,
            "isr": self.isr,
        }))
    }

    /// Reads the content.
    pub fn decode(topic: &str, partition: i32, content: &[u8]) -> Result<Self, ZnodeError> {
        let path = partition_state(topic, partition);
        let object = parse(&path, content)?;
        let isr = object.get("isr").ok_or_else(|| invalid(&path, "no isr"))?;
        Ok(Self {
            leader: integer(&path, &object, "leader")?,
            leader_epoch: integer(&path, &object, "leader_epoch")?,
            isr: integers(&path, isr)?,
            controller_epoch: integer(&path, &object, "controller_epoch")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_equal_the_originals() {
        let state = LeaderAndIsr { leader: 0, leader_epoch: 1, isr: vec![0, 2], controller_epoch: 3 };
        let encoded = state.encode();
        assert_eq!(encoded, r#"{"controller_epoch":3,"leader":0,"version":1,"leader_epoch":1,"isr":[0,2]}"#);
        assert_eq!(LeaderAndIsr::decode("t", 0, &encoded), Ok(state));
        assert!(LeaderAndIsr::decode("t", 0, b"{}").is_err());
    }
}
