//! Names: a partition, its folder, the files in it.

use std::fmt;

use base::{Random, Str};

/// A topic's name and a partition's number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Str,
    /// The partition, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// The partition `partition` of `topic`.
    pub const fn new(topic: Str, partition: i32) -> Self {
        Self { topic, partition }
    }
}

/// As its folder is called: `topic-partition`.
impl fmt::Display for TopicPartition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.topic, self.partition)
    }
}

/// What a partition's folder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderKind {
    /// The replica's log: `topic-0`.
    Current,
    /// A copy on its way from another log directory: `topic-0.<32 hex digits>-future`.
    Future,
    /// On its way out: `topic-0.<32 hex digits>-delete`.
    Deleted,
}

/// The partition and the kind of a folder of this name; `None` if no partition's folder is called so.
pub fn parse_folder(name: &str) -> Option<(TopicPartition, FolderKind)> {
    let (stem, kind) = if let Some(stem) = name.strip_suffix("-delete") {
        (without_unique_id(stem)?, FolderKind::Deleted)
    } else if let Some(stem) = name.strip_suffix("-future") {
        (without_unique_id(stem)?, FolderKind::Future)
    } else {
        (name, FolderKind::Current)
    };
    let (topic, partition) = stem.rsplit_once('-')?;
    let partition = partition.parse().ok()?;
    (!topic.is_empty()).then(|| (TopicPartition::new(Str::copied(topic), partition), kind))
}

fn without_unique_id(stem: &str) -> Option<&str> {
    let (name, unique_id) = stem.rsplit_once('.')?;
    (!unique_id.is_empty()).then_some(name)
}

/// The name that a folder gets when it is to be deleted; at most 255 bytes long, so the topic may be cut.
pub fn deleted_folder(partition: &TopicPartition, random: &mut Random) -> String {
    let suffix = format!("-{}.{}-delete", partition.partition, unique_id(random));
    let topic_len = partition.topic.len().min(255 - suffix.len());
    format!("{}{suffix}", partition.topic.get(..topic_len).unwrap_or_default())
}

/// The name of a folder that takes a copy of the partition.
pub fn future_folder(partition: &TopicPartition, random: &mut Random) -> String {
    format!("{partition}.{}-future", unique_id(random))
}

/// A version 4 UUID without its hyphens.
fn unique_id(random: &mut Random) -> String {
    let mut bytes = random.bytes_16();
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = *version & 0x0f | 0x40;
    *variant = *variant & 0x3f | 0x80;
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// The kinds of files in a partition's folder that are named by an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FileKind {
    Log,
    OffsetIndex,
    TimeIndex,
    TransactionIndex,
    ProducerSnapshot,
}

impl FileKind {
    /// The files of a segment.
    pub(crate) const SEGMENT: [Self; 4] = [Self::Log, Self::OffsetIndex, Self::TimeIndex, Self::TransactionIndex];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Log => ".log",
            Self::OffsetIndex => ".index",
            Self::TimeIndex => ".timeindex",
            Self::TransactionIndex => ".txnindex",
            Self::ProducerSnapshot => ".snapshot",
        }
    }

    /// The file's name: 20 digits and the suffix.
    pub(crate) fn name(self, offset: i64) -> String {
        format!("{offset:020}{}", self.suffix())
    }

    /// The kind, the offset and what follows the kind's suffix (`.deleted`, `.swap`, `.cleaned` or nothing).
    pub(crate) fn parse(name: &str) -> Option<(Self, i64, &str)> {
        let (digits, rest) = name.split_at_checked(name.find('.')?)?;
        let offset = digits.parse().ok().filter(|offset| *offset >= 0)?;
        let kinds = [Self::Log, Self::OffsetIndex, Self::TimeIndex, Self::TransactionIndex, Self::ProducerSnapshot];
        kinds.into_iter().find_map(|kind| {
            let state = rest.strip_prefix(kind.suffix())?;
            (state.is_empty() || state.starts_with('.')).then_some((kind, offset, state))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_and_parsed_as_in_the_original() {
        let partition = TopicPartition::new(Str::from_static("a-b.c"), 12);
        assert_eq!(partition.to_string(), "a-b.c-12");
        assert_eq!(parse_folder("a-b.c-12"), Some((partition.clone(), FolderKind::Current)));
        let mut random = Random::from_seed(1);
        let deleted = deleted_folder(&partition, &mut random);
        assert_eq!(parse_folder(&deleted), Some((partition.clone(), FolderKind::Deleted)));
        let future = future_folder(&partition, &mut random);
        assert_eq!(future.len(), "a-b.c-12..-future".len() + 31);
        assert_eq!(parse_folder(&future), Some((partition, FolderKind::Future)));
        for foreign in ["lost+found", "-1", "topic-", "topic-x", "topic-1-delete", "topic-1.-delete", "topic"] {
            assert_eq!(parse_folder(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_long_topic_is_cut_in_the_deleted_name() {
        let partition = TopicPartition::new(Str::copied(&"t".repeat(249)), 0);
        let name = deleted_folder(&partition, &mut Random::from_seed(1));
        assert_eq!(name.len(), 255);
    }

    #[test]
    fn files_are_named_by_twenty_digits() {
        assert_eq!(FileKind::Log.name(42), "00000000000000000042.log");
        assert_eq!(FileKind::parse("00000000000000000042.timeindex"), Some((FileKind::TimeIndex, 42, "")));
        assert_eq!(FileKind::parse("00000000000000000042.log.swap"), Some((FileKind::Log, 42, ".swap")));
        assert_eq!(FileKind::parse("leader-epoch-checkpoint"), None);
        assert_eq!(FileKind::parse("00000000000000000042.logs"), None);
        assert_eq!(FileKind::parse("-1.log"), None);
    }
}
