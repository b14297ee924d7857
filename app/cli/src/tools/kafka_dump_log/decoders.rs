//! How keys and values are shown: as text or numbers, as records of the group coordinator, of the transaction coordinator.

use base::{DecodeError, Reader};
use bytes::Bytes;

use super::STRING_DECODER;
use crate::console::Thrown;
use crate::options::Parsed;

/// One of the classes that the original brings along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plain {
    Text,
    Long,
    Integer,
}

impl Plain {
    fn of_class(class: &str) -> Result<Self, Thrown> {
        match class {
            STRING_DECODER => Ok(Self::Text),
            "kafka.serializer.LongDecoder" => Ok(Self::Long),
            "kafka.serializer.IntegerDecoder" => Ok(Self::Integer),
            other => Err(Thrown::new("java.lang.ClassNotFoundException", other)),
        }
    }

    fn text(self, bytes: &[u8]) -> Result<String, Thrown> {
        let short = || {
            Thrown::new(
                "java.lang.ArrayIndexOutOfBoundsException",
                format!("Index {0} out of bounds for length {0}", bytes.len()),
            )
        };
        Ok(match self {
            Self::Text => String::from_utf8_lossy(bytes).into_owned(),
            Self::Long => i64::from_be_bytes(*bytes.first_chunk().ok_or_else(short)?).to_string(),
            Self::Integer => i32::from_be_bytes(*bytes.first_chunk().ok_or_else(short)?).to_string(),
        })
    }
}

/// Those that the options choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoders {
    Plain { key: PlainDecoder, value: PlainDecoder },
    Offsets,
    Transactions,
}

/// Opaque outside of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlainDecoder(Plain);

impl Decoders {
    pub(super) fn chosen(parsed: &Parsed) -> Result<Self, Thrown> {
        if parsed.has("offsets-decoder") {
            return Ok(Self::Offsets);
        }
        if parsed.has("transaction-log-decoder") {
            return Ok(Self::Transactions);
        }
        let class = |option| Plain::of_class(parsed.value(option)?.unwrap_or(STRING_DECODER)).map(PlainDecoder);
        let value = class("value-decoder-class")?;
        Ok(Self::Plain { key: class("key-decoder-class")?, value })
    }

    /// ` key: ... payload: ...`, each where there is one.
    pub(super) fn text(self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<String, Thrown> {
        let (key, value) = match self {
            Self::Plain { key: PlainDecoder(key_decoder), value: PlainDecoder(value_decoder) } => (
                key.map(|key| key_decoder.text(key)).transpose()?,
                value.map(|value| value_decoder.text(value)).transpose()?,
            ),
            Self::Offsets => offsets(key, value).map(|(key, value)| (Some(key), Some(value)))?,
            Self::Transactions => transactions(key, value).map(|(key, value)| (Some(key), Some(value)))?,
        };
        let key = key.map_or_else(String::new, |key| format!(" key: {key}"));
        Ok(key + &value.map_or_else(String::new, |value| format!(" payload: {value}")))
    }
}

fn kafka_exception(message: impl std::fmt::Display) -> Thrown {
    Thrown::new("org.apache.kafka.common.KafkaException", message)
}

fn broken(error: DecodeError) -> Thrown {
    Thrown::new("org.apache.kafka.common.protocol.types.SchemaException", error)
}

/// A text behind its length of two bytes; null is none.
fn text(reader: &mut Reader<'_>) -> Result<Option<String>, DecodeError> {
    match usize::try_from(reader.i16()?) {
        Ok(length) => Ok(Some(String::from_utf8_lossy(&reader.bytes(length)?).into_owned())),
        Err(_) => Ok(None),
    }
}

fn blob(reader: &mut Reader<'_>) -> Result<Bytes, DecodeError> {
    let length = reader.i32()?;
    reader.bytes(usize::try_from(length).unwrap_or(0))
}

/// Records of `__consumer_offsets`.
fn offsets(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(String, String), Thrown> {
    let key = key.ok_or_else(|| {
        kafka_exception("Failed to decode message using offset topic decoder (message had a missing key)")
    })?;
    let (key, value) = (Bytes::copy_from_slice(key), value.map(Bytes::copy_from_slice));
    let mut reader = Reader::new(&key);
    let version = reader.i16().map_err(broken)?;
    let group = text(&mut reader).map_err(broken)?.unwrap_or_default();
    match version {
        0 | 1 => {
            let topic = text(&mut reader).map_err(broken)?.unwrap_or_default();
            let partition = reader.i32().map_err(broken)?;
            let key = format!("offset_commit::group={group},partition={topic}-{partition}");
            Ok((key, value.map_or_else(|| Ok("<DELETE>".to_owned()), |value| offset(&value).map_err(broken))?))
        }
        2 => {
            let key = format!("group_metadata::group={group}");
            Ok((key, value.map_or_else(|| Ok("<DELETE>".to_owned()), |value| members(&value).map_err(broken))?))
        }
        other => Err(Thrown::new(
            "java.lang.IllegalStateException",
            format!("Unknown group metadata message version: {other}"),
        )),
    }
}

fn offset(value: &Bytes) -> Result<String, DecodeError> {
    let mut reader = Reader::new(value);
    let version = reader.i16()?;
    let offset = reader.i64()?;
    if version == 3 {
        reader.i32()?;
    }
    let metadata = text(&mut reader)?.unwrap_or_default();
    let metadata = if metadata.is_empty() { metadata } else { format!(",metadata={metadata}") };
    Ok(format!("offset={offset}{metadata}"))
}

fn members(value: &Bytes) -> Result<String, DecodeError> {
    let mut reader = Reader::new(value);
    let version = reader.i16()?;
    let protocol_type = text(&mut reader)?.unwrap_or_default();
    let generation = reader.i32()?;
    let protocol = text(&mut reader)?;
    text(&mut reader)?;
    if version >= 2 {
        reader.i64()?;
    }
    let mut members = Vec::new();
    for _ in 0..reader.i32()? {
        let id = text(&mut reader)?.unwrap_or_default();
        if version >= 3 {
            text(&mut reader)?;
        }
        text(&mut reader)?;
        text(&mut reader)?;
        // The rebalance timeout came with version 1.
        for _ in 0..if version >= 1 { 2 } else { 1 } {
            reader.i32()?;
        }
        blob(&mut reader)?;
        let assignment = blob(&mut reader)?;
        let shown = if protocol_type == "consumer" { partitions(&assignment)? } else { hex(&assignment) };
        members.push(format!("{id}={shown}"));
    }
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let protocol = protocol.map_or_else(|| "null".to_owned(), |protocol| quoted(&protocol));
    let assignment = quoted(&format!("{{{}}}", members.join(",")));
    let protocol_type = quoted(&protocol_type);
    Ok(format!(
        "{{\"protocolType\":{protocol_type},\"protocol\":{protocol},\"generationId\":{generation},\"assignment\":{assignment}}}"
    ))
}

/// A consumer's assignment: `[t-0, t-1]`, and its user data.
fn partitions(assignment: &Bytes) -> Result<String, DecodeError> {
    let mut reader = Reader::new(assignment);
    reader.i16()?;
    let mut names = Vec::new();
    for _ in 0..reader.i32()? {
        let topic = text(&mut reader)?.unwrap_or_default();
        for _ in 0..reader.i32()? {
            names.push(format!("{topic}-{}", reader.i32()?));
        }
    }
    let user_data = if reader.remaining() > 0 { hex(&blob(&mut reader)?) } else { String::new() };
    let user_data = if user_data.is_empty() { user_data } else { format!(":{user_data}") };
    Ok(format!("[{}]{user_data}", names.join(", ")))
}

/// As one number: without zeros in front.
fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return String::new();
    }
    let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() { "0".to_owned() } else { digits.to_owned() }
}

/// Records of `__transaction_state`.
fn transactions(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(String, String), Thrown> {
    let key = Bytes::copy_from_slice(key.unwrap_or_default());
    let mut reader = Reader::new(&key);
    let version = reader.i16().map_err(broken)?;
    if version != 0 {
        let message = format!("Unknown transaction log message version: {version}");
        return Err(Thrown::new("java.lang.IllegalStateException", message));
    }
    let id = text(&mut reader).map_err(broken)?.unwrap_or_default();
    let value = value.map(Bytes::copy_from_slice);
    let value = value.map_or_else(|| Ok("<DELETE>".to_owned()), |value| transaction(&value).map_err(broken))?;
    Ok((format!("transaction_metadata::transactionalId={id}"), value))
}

fn transaction(value: &Bytes) -> Result<String, DecodeError> {
    const STATES: [&str; 8] = [
        "Empty",
        "Ongoing",
        "PrepareCommit",
        "PrepareAbort",
        "CompleteCommit",
        "CompleteAbort",
        "Dead",
        "PrepareEpochFence",
    ];
    let mut reader = Reader::new(value);
    reader.i16()?;
    let (id, epoch, timeout_ms) = (reader.i64()?, reader.i16()?, reader.i32()?);
    let state = usize::from(reader.u8()?);
    let state = STATES.get(state).copied().unwrap_or("Unknown");
    let mut partitions = Vec::new();
    for _ in 0..reader.i32()? {
        let topic = text(&mut reader)?.unwrap_or_default();
        for _ in 0..reader.i32()? {
            partitions.push(format!("{topic}-{}", reader.i32()?));
        }
    }
    let updated = reader.i64()?;
    let partitions = partitions.join(",");
    Ok(format!(
        "producerId:{id},producerEpoch:{epoch},state={state},partitions=[{partitions}],txnLastUpdateTimestamp={updated},\
         txnTimeoutMs={timeout_ms}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn offsets_and_tombstones() {
        let key = bytes(&[&[0, 1], b"\0\x01g", b"\0\x01t", &[0, 0, 0, 3]]);
        let value = bytes(&[&[0, 3], &42_i64.to_be_bytes(), &[0xff; 4], b"\0\x02hi", &[0; 8]]);
        let line = Decoders::Offsets.text(Some(&key), Some(&value)).unwrap();
        assert_eq!(line, " key: offset_commit::group=g,partition=t-3 payload: offset=42,metadata=hi");
        let line = Decoders::Offsets.text(Some(&key), None).unwrap();
        assert_eq!(line, " key: offset_commit::group=g,partition=t-3 payload: <DELETE>");
        assert!(Decoders::Offsets.text(None, None).unwrap_err().message.contains("missing key"));
        assert!(Decoders::Offsets.text(Some(&key), Some(&value[..9])).is_err());
    }

    #[test]
    fn groups() {
        let key = bytes(&[&[0, 2], b"\0\x01g"]);
        let assignment =
            bytes(&[&[0, 0], &[0, 0, 0, 1], b"\0\x01t", &[0, 0, 0, 2], &[0; 4], &[0, 0, 0, 1], &[0xff; 4]]);
        let member =
            bytes(&[b"\0\x02m1", &[0xff; 2], b"\0\x01c", b"\0\x01h", &[0; 8], &[0; 4], &[0, 0, 0, 25], &assignment]);
        let head =
            bytes(&[&[0, 3], b"\0\x08consumer", &[0, 0, 0, 5], b"\0\x05range", b"\0\x02m1", &[0; 8], &[0, 0, 0, 1]]);
        assert_eq!(assignment.len(), 25);
        assert_eq!(
            Decoders::Offsets.text(Some(&key), Some(&bytes(&[&head, &member]))).unwrap(),
            " key: group_metadata::group=g payload: {\"protocolType\":\"consumer\",\"protocol\":\"range\",\
             \"generationId\":5,\"assignment\":\"{m1=[t-0, t-1]}\"}"
        );
        assert_eq!((hex(&[0, 10, 255]), hex(&[0])), ("AFF".to_owned(), "0".to_owned()));
    }

    #[test]
    fn transactions_by_state() {
        let key = b"\0\0\0\x02id";
        let value = bytes(&[
            &[0, 0],
            &7_i64.to_be_bytes(),
            &[0, 1],
            &60_000_i32.to_be_bytes(),
            &[1],
            &[0, 0, 0, 1],
            b"\0\x01t",
            &[0, 0, 0, 1, 0, 0, 0, 4],
            &9_i64.to_be_bytes(),
            &8_i64.to_be_bytes(),
        ]);
        assert_eq!(
            Decoders::Transactions.text(Some(key), Some(&value)).unwrap(),
            " key: transaction_metadata::transactionalId=id payload: producerId:7,producerEpoch:1,state=Ongoing,\
             partitions=[t-4],txnLastUpdateTimestamp=9,txnTimeoutMs=60000"
        );
    }
}
