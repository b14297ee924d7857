//! What goes wrong in a client, with the Java client's exceptions, which the tools print.

use base::{DecodeError, Str};
use kafka_proto::{ApiKey, ErrorCode};

/// Why a request, a record or a whole client fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// A broker answered with an error.
    #[error("{}", message.as_deref().unwrap_or_else(|| code.message()))]
    Broker {
        /// The code.
        code: ErrorCode,
        /// The broker's own words, if it had any.
        message: Option<Str>,
    },
    /// The connection ended before the answer came.
    #[error("The server disconnected before a response was received.")]
    Disconnected,
    /// Something took longer than its limit.
    #[error("{0}")]
    Timeout(String),
    /// A call and all its retries took longer than their limit.
    #[error("{message}")]
    TimedOut {
        /// What was called, when, how often.
        message: String,
        /// What the last try came to.
        cause: Box<ClientError>,
    },
    /// No version of the API is known to both sides.
    #[error("The broker does not support {}", constant(*.0))]
    UnsupportedApi(ApiKey),
    /// The request can't say in the broker's version what was asked.
    #[error("{0}")]
    Unsupported(String),
    /// The broker's bytes make no sense.
    #[error("malformed response: {0}")]
    Decode(#[from] DecodeError),
    /// Records in a fetch response are broken.
    #[error("{0}")]
    Records(String),
    /// A record is larger than a setting allows.
    #[error("{0}")]
    TooLarge(String),
    /// Nothing says where to begin reading a partition.
    #[error("Undefined offset with no reset policy for partitions: [{0}]")]
    NoOffset(crate::TopicPartition),
    /// An argument or a state that allows no such call.
    #[error("{0}")]
    Illegal(String),
}

/// The Java client's constant of an API, as `FIND_COORDINATOR`.
fn constant(key: ApiKey) -> String {
    let mut constant = String::new();
    for letter in key.name().chars() {
        if letter.is_ascii_uppercase() && !constant.is_empty() {
            constant.push('_');
        }
        constant.push(letter.to_ascii_uppercase());
    }
    if key == ApiKey::ListOffset {
        constant.push('S');
    }
    constant
}

impl ClientError {
    /// The error of a response, if `code` is one.
    pub fn check(code: ErrorCode) -> Result<(), Self> {
        if code.is_none() { Ok(()) } else { Err(Self::Broker { code, message: None }) }
    }

    /// The error of a response with its text, if `code` is one.
    pub fn check_with(code: ErrorCode, message: Option<&Str>) -> Result<(), Self> {
        if code.is_none() { Ok(()) } else { Err(Self::Broker { code, message: message.cloned() }) }
    }

    /// The class that the Java client throws.
    pub fn exception(&self) -> String {
        let class = match self {
            Self::Broker { code, .. } => return code.exception(),
            Self::Disconnected => "DisconnectException",
            Self::Timeout(_) | Self::TimedOut { .. } => "TimeoutException",
            Self::UnsupportedApi(_) | Self::Unsupported(_) => "UnsupportedVersionException",
            Self::TooLarge(_) => "RecordTooLargeException",
            Self::Decode(_) => return "org.apache.kafka.common.protocol.types.SchemaException".to_owned(),
            Self::Records(_) => return "org.apache.kafka.common.KafkaException".to_owned(),
            Self::NoOffset(_) => return "org.apache.kafka.clients.consumer.NoOffsetForPartitionException".to_owned(),
            Self::Illegal(_) => return "java.lang.IllegalStateException".to_owned(),
        };
        format!("org.apache.kafka.common.errors.{class}")
    }

    /// Whether the same may succeed later.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Broker { code, .. } => code.is_retriable(),
            Self::Disconnected | Self::Timeout(_) | Self::TimedOut { .. } => true,
            _ => false,
        }
    }

    /// What is behind it, if the Java client tells that too.
    pub fn cause(&self) -> Option<&Self> {
        match self {
            Self::TimedOut { cause, .. } => Some(cause),
            _ => None,
        }
    }

    /// The broker's code, if a broker said so.
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Broker { code, .. } => Some(*code),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_broker_lacks_is_named_as_in_java() {
        let text = |key| ClientError::UnsupportedApi(key).to_string();
        assert_eq!(text(ApiKey::FindCoordinator), "The broker does not support FIND_COORDINATOR");
        assert_eq!(text(ApiKey::ListOffset), "The broker does not support LIST_OFFSETS");
    }
}
