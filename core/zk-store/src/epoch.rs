//! The files `acceptedEpoch` and `currentEpoch` (upstream `QuorumPeer.writeLongToFile`): a decimal number each, replaced
//! as a whole.

use std::io;
use std::path::Path;

use base::{Disk, Slow};

use crate::StoreError;
use crate::error::Context;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epoch {
    /// The newest epoch that this server has promised to follow.
    Accepted,
    /// The epoch of the leader whose history this server has taken over.
    Current,
}

impl Epoch {
    /// The file's name in `dataDir/version-2`.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Accepted => "acceptedEpoch",
            Self::Current => "currentEpoch",
        }
    }

    /// The number in the file; `None` if there is no file. With `pending` the number in `<file>.tmp`, which a crash
    /// between writing and renaming leaves behind.
    pub fn read(self, disk: &dyn Disk, snap_dir: &Path, pending: bool) -> Result<Option<i64>, StoreError> {
        let path = snap_dir.join(format!("{}{}", self.file_name(), if pending { ".tmp" } else { "" }));
        let content = match disk.read(&path, 64) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("read", &path),
        };
        let text = String::from_utf8_lossy(&content).lines().next().unwrap_or_default().to_owned();
        match text.parse() {
            Ok(epoch) => Ok(Some(epoch)),
            // A crash may leave anything in the temporary file. Whoever uses its number checks it against the log's.
            Err(_) if pending => Ok(None),
            Err(_) => Err(StoreError::EpochFile { path, text }),
        }
    }

    /// Puts a number into the file: after a crash it holds the old number or this one.
    pub fn write(self, disk: &dyn Disk, snap_dir: &Path, epoch: i64, slow: &Slow) -> Result<(), StoreError> {
        let path = snap_dir.join(self.file_name());
        disk.replace(&path, epoch.to_string().as_bytes(), slow).context("write", &path)
    }
}

#[cfg(test)]
mod tests {
    use base::{MemDisk, Random};

    use super::*;

    const SLOW: Slow = Slow::allowed();

    #[test]
    fn a_crash_leaves_the_old_number_or_the_new() {
        for seed in 0..50 {
            for calls in 0.. {
                let disk = MemDisk::new();
                let dir = Path::new("/");
                assert_eq!(Epoch::Current.read(&disk, dir, false).unwrap(), None);
                Epoch::Current.write(&disk, dir, 7, &SLOW).unwrap();
                assert_eq!(disk.read(Path::new("/currentEpoch"), 64).unwrap(), b"7", "as the original: no line end");
                disk.power_off_after(calls);
                let written = Epoch::Current.write(&disk, dir, 8, &SLOW).is_ok();
                disk.crash(&mut Random::from_seed(seed));
                let found = Epoch::Current.read(&disk, dir, false).unwrap();
                assert!(found == Some(8) || found == Some(7) && !written, "{found:?} behind {calls} steps");
                assert!([None, Some(7), Some(8)].contains(&Epoch::Current.read(&disk, dir, true).unwrap()));
                if written {
                    assert!(calls > 3, "{calls} steps: too few");
                    break;
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let disk = MemDisk::new();
        disk.replace(Path::new("/acceptedEpoch"), b"seven", &SLOW).unwrap();
        assert!(matches!(Epoch::Accepted.read(&disk, Path::new("/"), false), Err(StoreError::EpochFile { .. })));
    }
}
