//! A lock file.
//!
//! An *open file description* lock: it excludes, and is excluded by, the POSIX record locks of the JVM's `FileChannel` in
//! other processes, but does not go away when some other descriptor of the same file is closed, and is not granted twice to one process.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use base::FileLock;

use super::descriptors::named;

/// A locked file; closing the descriptor unlocks.
#[derive(Debug)]
pub(super) struct RealLock(#[expect(dead_code, reason = "held for its descriptor")] File);

impl FileLock for RealLock {}

pub(super) fn lock(path: &Path) -> io::Result<Box<dyn FileLock>> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|error| named(path, &error))?;
    if try_lock(&file, libc::F_OFD_SETLK).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
        return Err(named(path, &io::ErrorKind::WouldBlock.into()));
    }
    Ok(Box::new(RealLock(file)))
}

#[expect(unsafe_code, reason = "rustix has no open file description locks")]
fn try_lock(file: &File, command: libc::c_int) -> io::Result<()> {
    // SAFETY: `flock` is plain numbers, for which zeros are valid: the whole file, and no process id as the call wants it.
    let mut whole: libc::flock = unsafe { std::mem::zeroed() };
    whole.l_type = libc::F_WRLCK as libc::c_short;
    whole.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and `whole` outlives the call.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, &raw const whole) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excludes_itself_and_posix_locks_both_ways() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let posix = |file: &File| try_lock(file, libc::F_SETLK).map_err(|error| error.kind());
        let other = OpenOptions::new().write(true).create(true).truncate(false).open(&path).unwrap();

        let held = lock(&path).unwrap();
        assert_eq!(lock(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(File::open(&path).unwrap());
        assert_eq!(posix(&other), Err(io::ErrorKind::WouldBlock), "closing another descriptor must not unlock");
        drop(held);
        assert_eq!(posix(&other), Ok(()));
        assert_eq!(lock(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
