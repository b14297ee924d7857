//! Message sets of magic 0 and 1: from clients before 0.11, or for topics whose `message.format.version` is older.

use kafka_proto::record::{
    BatchView, Codec, InnerMessage, LegacyMessage, Magic, TimestampType, inner_messages, set_message_timestamp,
};

use super::prepared::{BatchInfo, Checked, Content, Infos};
use super::rebuild;
use super::survey::{Seen, Survey};
use super::{DECOMPRESSED_LEN_MAX, InvalidRecords, Rules};

/// Checks plain messages, or one wrapper.
pub(super) fn check(views: &[BatchView<'_>], rules: &Rules<'_>) -> Result<Checked, InvalidRecords> {
    let mut messages = Vec::with_capacity(views.len());
    let first = views.first().map(BatchView::magic);
    for view in views {
        match view {
            BatchView::Legacy(message) if Some(message.magic()) == first => messages.push(*message),
            _ => return Err(InvalidRecords::Invalid("batches of different magic in one append".to_owned())),
        }
    }
    let mut survey = Survey::new(rules);
    for message in &messages {
        walk(message, &mut survey, rules)?;
        survey.finish()?;
    }
    let kept = first == Some(rules.magic) && rules.source == rules.target;
    if kept && rules.source == Codec::None {
        return Ok(keep_plain(&messages, &survey, rules));
    }
    // Absolute inner offsets have to be written anew; some old clients get the relative ones wrong.
    match messages.as_slice() {
        [wrapper] if kept && rules.magic == Magic::V1 && survey.consecutive => {
            Ok(keep_wrapper(wrapper, &survey, rules))
        }
        _ => rebuild::messages(&messages, rules),
    }
}

fn walk(message: &LegacyMessage<'_>, survey: &mut Survey<'_>, rules: &Rules<'_>) -> Result<(), InvalidRecords> {
    let compressed = message.codec()? != Codec::None;
    let mut index = 0;
    inner_messages(message, DECOMPRESSED_LEN_MAX, |inner| {
        if inner.message.magic() != message.magic() {
            let partition = rules.append.partition;
            survey.reject(index, || {
                let (record, magic) = (describe(&inner, message), message.magic().byte());
                format!("Record {record}'s magic does not match outer magic {magic} in topic partition {partition}.")
            });
        } else {
            if compressed {
                inner.message.verify()?;
            }
            let (key, _) = inner.message.key_value()?;
            let seen = Seen {
                magic: message.magic(),
                timestamp_type: message.timestamp_type(),
                offset: inner.offset,
                timestamp: inner.timestamp,
                has_key: key.is_some(),
            };
            survey.message(&seen, index, || describe(&inner, message));
        }
        index += 1;
        Ok::<(), InvalidRecords>(())
    })
}

/// The record as the original prints it.
fn describe(inner: &InnerMessage<'_>, wrapper: &LegacyMessage<'_>) -> String {
    let InnerMessage { message, offset, timestamp } = inner;
    let (key, value) = message.key_value().unwrap_or_default();
    let (key, value) = (key.map_or(0, <[u8]>::len), value.map_or(0, <[u8]>::len));
    let (magic, checksum) = (message.magic().byte(), message.checksum());
    let attributes = message.bytes().get(17).copied().unwrap_or_default();
    let codec = message.codec().map_or("none", Codec::name).to_uppercase();
    let kind = match wrapper.timestamp_type() {
        None => "NoTimestampType",
        Some(TimestampType::CreateTime) => "CreateTime",
        Some(TimestampType::LogAppendTime) => "LogAppendTime",
    };
    let time = if message.magic() == Magic::V0 { String::new() } else { format!("{kind}={timestamp}, ") };
    format!(
        "LegacyRecordBatch(offset={offset}, Record(magic={magic}, attributes={attributes}, compression={codec}, \
         crc={checksum}, {time}key={key} bytes, value={value} bytes))"
    )
}

/// Copies messages and stamps them where the topic asks for it.
fn copy(messages: &[LegacyMessage<'_>], max_timestamp: Option<i64>, rules: &Rules<'_>) -> (Vec<u8>, Infos) {
    let mut bytes = Vec::with_capacity(messages.iter().map(LegacyMessage::size).sum());
    let mut infos = Infos::new();
    for message in messages {
        let start = bytes.len();
        bytes.extend_from_slice(message.bytes());
        let timestamp = match (rules.timestamp_type, max_timestamp) {
            _ if message.magic() == Magic::V0 => message.timestamp(),
            (TimestampType::LogAppendTime, _) => rules.append.now_ms,
            (TimestampType::CreateTime, Some(max)) => max,
            (TimestampType::CreateTime, None) => message.timestamp(),
        };
        let stamped = message.timestamp() == timestamp && message.timestamp_type() == Some(rules.timestamp_type);
        if message.magic() == Magic::V1 && !stamped {
            set_message_timestamp(bytes.get_mut(start..).unwrap_or_default(), rules.timestamp_type, timestamp);
        }
        if let Ok(mut info) = BatchInfo::of(&BatchView::Legacy(*message)) {
            info.max_timestamp = timestamp;
            infos.push(info);
        }
    }
    (bytes, infos)
}

fn keep_plain(messages: &[LegacyMessage<'_>], survey: &Survey<'_>, rules: &Rules<'_>) -> Checked {
    let (bytes, mut infos) = copy(messages, None, rules);
    for (info, offset) in infos.iter_mut().zip(0..) {
        info.base_offset = offset;
        info.last_offset = offset;
    }
    let (max_timestamp, offset) = match rules.timestamp_type {
        TimestampType::CreateTime => (survey.max_timestamp, survey.offset_of_max_timestamp),
        TimestampType::LogAppendTime => (rules.append.now_ms, 0),
    };
    Checked::new(Content::Messages(bytes), infos, max_timestamp, offset)
}

fn keep_wrapper(wrapper: &LegacyMessage<'_>, survey: &Survey<'_>, rules: &Rules<'_>) -> Checked {
    let (bytes, mut infos) = copy(&[*wrapper], Some(survey.max_timestamp), rules);
    let last = survey.count - 1;
    let mut max_timestamp = survey.max_timestamp;
    for info in &mut infos {
        info.base_offset = 0;
        info.last_offset = last;
        max_timestamp = info.max_timestamp;
    }
    Checked::new(Content::Messages(bytes), infos, max_timestamp, last)
}
