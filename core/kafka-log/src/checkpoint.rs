//! Checkpoint files: text of a version line, a count line and one line for each entry, replaced atomically
//! (`kafka.server.checkpoints`). `topic partition offset` in the directory's files, `epoch offset` in a partition's.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use base::{Disk, Slow, Str};

use crate::types::EpochOffset;
use crate::{LogError, TopicPartition};

/// Flushed offset of each partition.
pub(crate) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
/// High watermark of each partition.
pub(crate) const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
/// Start offset of each partition whose start is not that of its first segment.
pub(crate) const START_OFFSETS: &str = "log-start-offset-checkpoint";
/// Leader epochs of a partition.
pub(crate) const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";

/// Offsets by partition.
pub(crate) type PartitionOffsets = BTreeMap<TopicPartition, i64>;

/// What is wrong with a checkpoint's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("malformed line '{0}'")]
    Line(String),
    #[error("unknown version {0}")]
    Version(i32),
    #[error("{expected} entries announced, {found} found")]
    Count { expected: usize, found: usize },
}

fn parse<T>(text: &str, entry: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, CheckpointError> {
    let number = |line: &str| line.parse::<i32>().map_err(|_| CheckpointError::Line(line.to_owned()));
    let mut lines = text.lines();
    // As in the original, an empty file (or one of a version line alone) is a checkpoint without entries.
    let Some(version) = lines.next() else { return Ok(Vec::new()) };
    match number(version)? {
        0 => {}
        version => return Err(CheckpointError::Version(version)),
    }
    let Some(count) = lines.next() else { return Ok(Vec::new()) };
    let expected = usize::try_from(number(count)?).map_err(|_| CheckpointError::Line(count.to_owned()))?;
    let entries = lines
        .map(|line| entry(line).ok_or_else(|| CheckpointError::Line(line.to_owned())))
        .collect::<Result<Vec<T>, _>>()?;
    match entries.len() == expected {
        true => Ok(entries),
        false => Err(CheckpointError::Count { expected, found: entries.len() }),
    }
}

fn three(line: &str) -> Option<(TopicPartition, i64)> {
    let mut words = line.split_whitespace();
    let (topic, partition, offset) = (words.next()?, words.next()?, words.next()?);
    let partition = TopicPartition::new(Str::copied(topic), partition.parse().ok()?);
    words.next().is_none().then_some((partition, offset.parse().ok()?))
}

fn two(line: &str) -> Option<EpochOffset> {
    let mut words = line.split_whitespace();
    let entry = EpochOffset { epoch: words.next()?.parse().ok()?, offset: words.next()?.parse().ok()? };
    words.next().is_none().then_some(entry)
}

/// Reads offsets by partition; no file is no entries.
pub(crate) fn parse_offsets(text: &str) -> Result<PartitionOffsets, CheckpointError> {
    Ok(parse(text, three)?.into_iter().collect())
}

/// The text of offsets by partition.
pub(crate) fn format_offsets(offsets: &PartitionOffsets) -> String {
    let mut text = format!("0\n{}\n", offsets.len());
    for (TopicPartition { topic, partition }, offset) in offsets {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{topic} {partition} {offset}");
    }
    text
}

/// Reads leader epochs.
pub(crate) fn parse_epochs(text: &str) -> Result<Vec<EpochOffset>, CheckpointError> {
    parse(text, two)
}

/// The text of leader epochs.
pub(crate) fn format_epochs(epochs: &[EpochOffset]) -> String {
    let mut text = format!("0\n{}\n", epochs.len());
    for EpochOffset { epoch, offset } in epochs {
        let _ = writeln!(text, "{epoch} {offset}");
    }
    text
}

/// The text of a small file; `None` if it is not there.
pub(crate) fn read_text(disk: &dyn Disk, path: &Path) -> Result<Option<String>, LogError> {
    // 100,000 partitions of the longest topic names stay far below this.
    const LEN_MAX: u64 = 256 << 20;
    match disk.read(path, LEN_MAX) {
        Ok(content) => Ok(Some(String::from_utf8_lossy(&content).into_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LogError::storage("reading", path, error)),
    }
}

/// Replaces a small file atomically and durably.
pub(crate) fn write_text(disk: &dyn Disk, path: &Path, text: &str, slow: &Slow) -> Result<(), LogError> {
    disk.replace(path, text.as_bytes(), slow).map_err(|error| LogError::storage("writing", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_that_of_the_original() {
        let mut offsets = PartitionOffsets::new();
        offsets.insert(TopicPartition::new(Str::from_static("b"), 0), 7);
        offsets.insert(TopicPartition::new(Str::from_static("a"), 10), 1 << 40);
        let text = format_offsets(&offsets);
        assert_eq!(text, "0\n2\na 10 1099511627776\nb 0 7\n");
        assert_eq!(parse_offsets(&text), Ok(offsets));
        let epochs = [EpochOffset { epoch: 0, offset: 0 }, EpochOffset { epoch: 3, offset: 19 }];
        assert_eq!(format_epochs(&epochs), "0\n2\n0 0\n3 19\n");
        assert_eq!(parse_epochs("0\n2\n0 0\n3 19\n"), Ok(epochs.to_vec()));
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        assert_eq!(parse_offsets(""), Ok(PartitionOffsets::new()));
        assert_eq!(parse_offsets("0\n"), Ok(PartitionOffsets::new()));
        assert_eq!(parse_offsets("1\n0\n"), Err(CheckpointError::Version(1)));
        assert_eq!(parse_offsets("x\n0\n"), Err(CheckpointError::Line("x".into())));
        assert_eq!(parse_offsets("0\n-1\n"), Err(CheckpointError::Line("-1".into())));
        assert_eq!(parse_offsets("0\n2\na 0 1\n"), Err(CheckpointError::Count { expected: 2, found: 1 }));
        assert_eq!(parse_offsets("0\n1\na 0 1 2\n"), Err(CheckpointError::Line("a 0 1 2".into())));
        assert_eq!(parse_offsets("0\n1\na 0\n"), Err(CheckpointError::Line("a 0".into())));
        assert_eq!(parse_epochs("0\n1\n0 x\n"), Err(CheckpointError::Line("0 x".into())));
    }
}
