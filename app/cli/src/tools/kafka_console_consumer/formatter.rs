//! The built-in message formatters: what of a record is shown, and how.

use bytes::Bytes;
use config::Properties;
use kafka_client::ConsumedRecord;
use kafka_proto::record::TimestampType;

use super::deserializer::Deserializer;
use super::internal_topics;
use crate::console::Thrown;

/// The formatter that is used when none is named.
pub(super) const DEFAULT: &str = "kafka.tools.DefaultMessageFormatter";

/// One of the originals' formatters.
#[derive(Debug)]
pub(super) enum Formatter {
    Default(DefaultFormatter),
    NoOp,
    /// With this in front.
    Checksum(String),
    Offsets,
    Groups,
    Transactions,
}

impl Formatter {
    /// The formatter of a class.
    pub(super) fn new(class: &str, properties: &Properties) -> Result<Self, Thrown> {
        match class {
            // What the logging one says beside is at INFO, which the tools' log configuration drops.
            DEFAULT | "kafka.tools.LoggingMessageFormatter" => Ok(Self::Default(DefaultFormatter::new(properties)?)),
            "kafka.tools.NoOpMessageFormatter" => Ok(Self::NoOp),
            "kafka.tools.ChecksumMessageFormatter" => {
                Ok(Self::Checksum(properties.get("topic").map(|topic| format!("{topic}:")).unwrap_or_default()))
            }
            "kafka.coordinator.group.GroupMetadataManager$OffsetsMessageFormatter" => Ok(Self::Offsets),
            "kafka.coordinator.group.GroupMetadataManager$GroupMetadataMessageFormatter" => Ok(Self::Groups),
            "kafka.coordinator.transaction.TransactionLog$TransactionLogMessageFormatter" => Ok(Self::Transactions),
            _ => Err(Thrown::new(
                "java.lang.ClassNotFoundException",
                format!("{class} (--formatter: only Kafka's own formatters are known here)"),
            )),
        }
    }

    /// Appends what is shown of a record; after an error, what comes before the broken part.
    pub(super) fn write(&self, record: &ConsumedRecord, out: &mut Vec<u8>) -> Result<(), Thrown> {
        let line = match self {
            Self::Default(formatter) => return formatter.write(record, out),
            Self::NoOp => None,
            // The tool hands the original's formatter records without their checksum.
            Self::Checksum(topic) => Some(format!("{topic}checksum:0\n")),
            Self::Offsets => internal_topics::offset_line(record)?,
            Self::Groups => internal_topics::group_line(record)?,
            Self::Transactions => internal_topics::transaction_line(record)?,
        };
        out.extend_from_slice(line.unwrap_or_default().as_bytes());
        Ok(())
    }
}

/// `kafka.tools.DefaultMessageFormatter`: columns with separators between them.
#[derive(Debug)]
pub(super) struct DefaultFormatter {
    timestamp: bool,
    key: bool,
    value: bool,
    partition: bool,
    offset: bool,
    headers: bool,
    key_separator: String,
    line_separator: String,
    headers_separator: String,
    null_literal: String,
    key_deserializer: Option<Deserializer>,
    value_deserializer: Option<Deserializer>,
    headers_deserializer: Option<Deserializer>,
}

impl DefaultFormatter {
    fn new(properties: &Properties) -> Result<Self, Thrown> {
        let flag = |key: &str, default: bool| {
            properties.get(key).map_or(default, |value| value.trim().eq_ignore_ascii_case("true"))
        };
        let text = |key: &str, default: &str| properties.get(key).unwrap_or(default).to_owned();
        Ok(Self {
            timestamp: flag("print.timestamp", false),
            key: flag("print.key", false),
            value: flag("print.value", true),
            partition: flag("print.partition", false),
            offset: flag("print.offset", false),
            headers: flag("print.headers", false),
            key_separator: text("key.separator", "\t"),
            line_separator: text("line.separator", "\n"),
            headers_separator: text("headers.separator", ","),
            null_literal: text("null.literal", "null"),
            key_deserializer: Deserializer::of(properties, "key.deserializer")?,
            value_deserializer: Deserializer::of(properties, "value.deserializer")?,
            headers_deserializer: Deserializer::of(properties, "headers.deserializer")?,
        })
    }

    fn write(&self, record: &ConsumedRecord, out: &mut Vec<u8>) -> Result<(), Thrown> {
        if self.timestamp {
            let text = match record.timestamp_type {
                Some(TimestampType::CreateTime) => format!("CreateTime:{}", record.timestamp_ms),
                Some(TimestampType::LogAppendTime) => format!("LogAppendTime:{}", record.timestamp_ms),
                None => "NO_TIMESTAMP".to_owned(),
            };
            out.extend_from_slice(text.as_bytes());
            self.separate(self.offset || self.partition || self.headers || self.key || self.value, out);
        }
        if self.partition {
            out.extend_from_slice(format!("Partition:{}", record.partition.partition).as_bytes());
            self.separate(self.offset || self.headers || self.key || self.value, out);
        }
        if self.offset {
            out.extend_from_slice(format!("Offset:{}", record.offset).as_bytes());
            self.separate(self.headers || self.key || self.value, out);
        }
        if self.headers {
            self.write_headers(record, out)?;
            self.separate(self.key || self.value, out);
        }
        if self.key {
            self.write_bytes(self.key_deserializer, record.key.as_ref(), out)?;
            self.separate(self.value, out);
        }
        if self.value {
            self.write_bytes(self.value_deserializer, record.value.as_ref(), out)?;
            self.separate(false, out);
        }
        Ok(())
    }

    fn separate(&self, more_follows: bool, out: &mut Vec<u8>) {
        let separator = if more_follows { &self.key_separator } else { &self.line_separator };
        out.extend_from_slice(separator.as_bytes());
    }

    fn write_headers(&self, record: &ConsumedRecord, out: &mut Vec<u8>) -> Result<(), Thrown> {
        if record.headers.is_empty() {
            out.extend_from_slice(b"NO_HEADERS");
        }
        for (place, (key, value)) in record.headers.iter().enumerate() {
            if place > 0 {
                out.extend_from_slice(self.headers_separator.as_bytes());
            }
            out.extend_from_slice(format!("{key}:").as_bytes());
            self.write_bytes(self.headers_deserializer, value.as_ref(), out)?;
        }
        Ok(())
    }

    fn write_bytes(&self, by: Option<Deserializer>, bytes: Option<&Bytes>, out: &mut Vec<u8>) -> Result<(), Thrown> {
        // A deserializer is given the literal too, as in the original.
        let bytes = bytes.map_or(self.null_literal.as_bytes(), |bytes| bytes.as_ref());
        match by {
            None => out.extend_from_slice(bytes),
            Some(deserializer) => out.extend_from_slice(deserializer.text(bytes)?.as_bytes()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use base::Str;
    use kafka_client::TopicPartition;

    use super::*;

    fn record() -> ConsumedRecord {
        ConsumedRecord {
            partition: TopicPartition::new(Str::copied("t"), 3),
            offset: 42,
            timestamp_ms: 1_600_000_000_000,
            timestamp_type: Some(TimestampType::CreateTime),
            key: Some(Bytes::from_static(b"k")),
            value: Some(Bytes::from_static(b"v")),
            headers: vec![(Str::copied("a"), Some(Bytes::from_static(b"1"))), (Str::copied("b"), None)],
        }
    }

    fn shown(class: &str, properties: &[(&str, &str)], record: &ConsumedRecord) -> Result<String, Thrown> {
        let mut all = Properties::new();
        for (key, value) in properties {
            all.set(key, *value);
        }
        let mut out = Vec::new();
        Formatter::new(class, &all)?.write(record, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn columns_of_the_default_formatter() {
        let all = ["print.timestamp", "print.partition", "print.offset", "print.headers", "print.key"];
        let all: Vec<_> = all.iter().map(|key| (*key, "true")).collect();
        assert_eq!(shown(DEFAULT, &[], &record()).unwrap(), "v\n");
        assert_eq!(
            shown(DEFAULT, &all, &record()).unwrap(),
            "CreateTime:1600000000000\tPartition:3\tOffset:42\ta:1,b:null\tk\tv\n"
        );
        let bare = ConsumedRecord { timestamp_type: None, headers: Vec::new(), key: None, value: None, ..record() };
        assert_eq!(
            shown(DEFAULT, &all, &bare).unwrap(),
            "NO_TIMESTAMP\tPartition:3\tOffset:42\tNO_HEADERS\tnull\tnull\n"
        );
        let separators = [
            ("print.key", " True"),
            ("key.separator", "="),
            ("line.separator", ";"),
            ("null.literal", "-"),
            ("print.value", "false"),
        ];
        assert_eq!(shown(DEFAULT, &separators, &bare).unwrap(), "-;");
        assert_eq!(shown(DEFAULT, separators.get(..4).unwrap(), &bare).unwrap(), "-=-;");
        let long = [("value.deserializer", "org.apache.kafka.common.serialization.LongDeserializer")];
        assert_eq!(
            shown(DEFAULT, &long, &bare).unwrap_err().message,
            "Size of data received by LongDeserializer is not 8"
        );
    }

    #[test]
    fn the_other_formatters() {
        assert_eq!(shown("kafka.tools.LoggingMessageFormatter", &[], &record()).unwrap(), "v\n");
        assert_eq!(shown("kafka.tools.NoOpMessageFormatter", &[], &record()).unwrap(), "");
        let checksum = "kafka.tools.ChecksumMessageFormatter";
        assert_eq!(shown(checksum, &[("topic", "t")], &record()).unwrap(), "t:checksum:0\n");
        assert!(shown("a.B", &[], &record()).unwrap_err().message.starts_with("a.B ("));
    }
}
