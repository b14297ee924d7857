//! Two folders that are called after one partition: a move between log directories was cut off between giving the new log its name and
//! taking it from the old one.
//!
//! The original starts no more then, and leaves it to people. Here the log that knows more is kept, if it holds all of the other one; a
//! copy that had not all yet (its folder bears a mark) goes on as a copy.

use std::sync::Arc;

use base::{Now, Slow};

use crate::error::sync_dir;
use crate::partition::{deleted_folder, future_folder};
use crate::shared::Shared;
use crate::types::Level;
use crate::{Log, LogError};

/// What became of two logs of one partition.
pub(crate) struct Sorted {
    /// The partition's log.
    pub(crate) current: Arc<Log>,
    pub(crate) other: Other,
}

/// What became of the other one; its folder has another name.
pub(crate) enum Other {
    Future(Arc<Log>),
    Doomed(Arc<Log>),
}

/// Which of two logs is the partition's. An error if neither holds all of the other.
pub(crate) fn sort_out(
    shared: &Shared,
    one: Arc<Log>,
    another: Arc<Log>,
    now: Now,
    slow: &Slow,
) -> Result<Sorted, LogError> {
    let (more, less) = if one.progress() < another.progress() { (another, one) } else { (one, another) };
    if !less.is_within(&more) {
        return Err(duplicate(&more, &less));
    }
    // Whoever was to take the place takes it, unless it lacks something. Epochs that wrote nothing are no records.
    let is_level = more.offsets().log_end == less.offsets().log_end;
    let is_swapped = is_level && less.is_marked() && !more.is_marked();
    let (current, other) = if is_swapped { (less, more) } else { (more, less) };
    let high_watermark = current.offsets().high_watermark.max(other.offsets().high_watermark);
    current.update_high_watermark(high_watermark);
    // A start behind the watermark is said again by the leader.
    let _ = current.increment_log_start_offset(other.offsets().log_start);
    let goes_on = other.is_marked() && !current.is_marked();
    // What the other one has on the disk, this one must have before it goes.
    current.flush(now, slow)?;
    let partition = current.partition();
    let name = match goes_on {
        true => future_folder(partition, &mut shared.random.lock()),
        false => deleted_folder(partition, &mut shared.random.lock()),
    };
    let line = format!(
        "A move of {partition} between log directories was cut off: going on with {}, and {} becomes {name}",
        current.dir().display(),
        other.dir().display()
    );
    shared.say(Level::Warn, line);
    other.rename(&name, slow)?;
    sync_dir(&*shared.disk, &other.log_dir(), slow)?;
    let other = if goes_on { Other::Future(other) } else { Other::Doomed(other) };
    Ok(Sorted { current, other })
}

fn duplicate(one: &Log, another: &Log) -> LogError {
    LogError::Start(format!(
        "Duplicate log directories for {} are found in both {} and {}. It is likely because log directory failure \
         happened while broker was replacing current replica with future replica. Recover broker from this failure by \
         manually deleting one of the two directories for this partition. It is recommended to delete the partition in \
         the log directory that is known to have failed recently.",
        one.partition(),
        one.dir().display(),
        another.dir().display()
    ))
}
