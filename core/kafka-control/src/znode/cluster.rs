//! `/cluster/id`, `/controller` and `/controller_epoch`.

use bytes::Bytes;
use serde_json::{Value, json};

use super::json::{integer, invalid, parse, to_bytes};
use super::{CLUSTER_ID, CONTROLLER, CONTROLLER_EPOCH, ZnodeError};

/// `/cluster/id`: 22 letters of URL-safe base64, made by the first broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterId(pub String);

impl ClusterId {
    /// The content; its version is a text, unlike anywhere else.
    pub fn encode(&self) -> Bytes {
        to_bytes(&json!({"version": "1", "id": self.0}))
    }

    /// Reads the content.
    pub fn decode(content: &[u8]) -> Result<Self, ZnodeError> {
        let object = parse(CLUSTER_ID, content)?;
        let id = object.get("id").and_then(Value::as_str).ok_or_else(|| invalid(CLUSTER_ID, "no text under id"))?;
        Ok(Self(id.to_owned()))
    }
}

/// `/controller`: who holds the office.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControllerId {
    /// The broker.
    pub broker: i32,
    /// Since when, milliseconds since 1970.
    pub timestamp_ms: i64,
}

impl ControllerId {
    /// The content.
    pub fn encode(self) -> Bytes {
        to_bytes(&json!({"version": 1, "brokerid": self.broker, "timestamp": self.timestamp_ms.to_string()}))
    }

    /// Reads the content.
    pub fn decode(content: &[u8]) -> Result<Self, ZnodeError> {
        let object = parse(CONTROLLER, content)?;
        let timestamp = object.get("timestamp").and_then(Value::as_str).and_then(|text| text.parse().ok());
        Ok(Self { broker: integer(CONTROLLER, &object, "brokerid")?, timestamp_ms: timestamp.unwrap_or(-1) })
    }
}

/// `/controller_epoch` as decimal text.
pub fn encode_epoch(epoch: i32) -> Bytes {
    Bytes::from(epoch.to_string())
}

/// Reads `/controller_epoch`.
pub fn decode_epoch(content: &[u8]) -> Result<i32, ZnodeError> {
    let text = std::str::from_utf8(content).ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(|| invalid(CONTROLLER_EPOCH, "not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_equal_the_originals() {
        let id = ClusterId("MkU3OEVBNTcwNTJENDM2Qg".to_owned());
        assert_eq!(id.encode(), r#"{"version":"1","id":"MkU3OEVBNTcwNTJENDM2Qg"}"#);
        assert_eq!(ClusterId::decode(&id.encode()), Ok(id));
        let controller = ControllerId { broker: 2, timestamp_ms: 1 };
        assert_eq!(controller.encode(), r#"{"version":1,"brokerid":2,"timestamp":"1"}"#);
        assert_eq!(ControllerId::decode(&controller.encode()), Ok(controller));
        assert_eq!(decode_epoch(&encode_epoch(7)), Ok(7));
        assert!(decode_epoch(b"x").is_err());
    }
}
