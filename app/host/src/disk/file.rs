//! One handle of an open file.

use std::any::Any;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::{File, Slow};
use rustix::fs::SeekFrom;
use rustix::io::{Errno, ReadWriteFlags};
use smallvec::SmallVec;

use super::descriptors::{Descriptors, Node, named};

/// The most slices that one `pwritev` takes (`IOV_MAX`).
const SLICES_MAX: usize = 1024;
/// Slices of so many bytes together are joined for one plain write: cheaper than a vectored one.
const JOINED_MAX: usize = 2048;

/// A file on the real disk. Its descriptor is open while it is used, see [`RealDisk`](super::RealDisk).
#[derive(Debug)]
pub struct RealFile {
    descriptors: Arc<Descriptors>,
    node: Arc<Node>,
}

impl RealFile {
    /// The one handle that `node` was given for.
    pub(super) fn new(descriptors: Arc<Descriptors>, node: Arc<Node>) -> Self {
        Self { descriptors, node }
    }

    /// The descriptor, for `sendfile`. It stays open while the answer is held.
    pub fn descriptor(&self) -> io::Result<Arc<OwnedFd>> {
        self.descriptors.descriptor(&self.node)
    }

    fn failed(&self, error: impl Into<io::Error>) -> io::Error {
        named(&self.node.path(), &error.into())
    }
}

impl Drop for RealFile {
    fn drop(&mut self) {
        self.descriptors.release(&self.node);
    }
}

impl File for RealFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let descriptor = self.descriptor()?;
        let mut read = 0;
        while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match rustix::io::pread(&descriptor, rest, position + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(read)
    }

    fn read_at_cached(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let descriptor = self.descriptor()?;
        let mut read = 0;
        while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
            let mut rest = [IoSliceMut::new(rest)];
            match rustix::io::preadv2(&descriptor, &mut rest, position + read as u64, ReadWriteFlags::NOWAIT) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if read > 0 => break,
                Err(Errno::AGAIN) => return Err(io::ErrorKind::WouldBlock.into()),
                // A file system that can't say: an answer that may wait is better than none at all.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return self.read_at(buffer, position),
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(read)
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let descriptor = self.descriptor()?;
        self.node.dirty.store(true, Ordering::Release);
        let mut joined = SmallVec::<[u8; JOINED_MAX]>::new();
        let is_short = slices.len() > 1 && slices.iter().map(|slice| slice.len()).sum::<usize>() <= JOINED_MAX;
        if is_short {
            slices.iter().for_each(|slice| joined.extend_from_slice(slice));
        }
        let joined = [IoSlice::new(&joined)];
        let slices = if is_short { joined.as_slice() } else { slices };
        let mut slices: SmallVec<[IoSlice<'_>; 2]> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        let mut rest = slices.as_mut_slice();
        let mut at = position;
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            let batch = rest.get(..SLICES_MAX.min(rest.len())).unwrap_or_default();
            let written = match batch {
                [one] => rustix::io::pwrite(&descriptor, one, at),
                several => rustix::io::pwritev(&descriptor, several, at),
            };
            match written {
                Ok(0) => return Err(self.failed(io::ErrorKind::WriteZero)),
                Ok(count) => {
                    at += count as u64;
                    IoSlice::advance_slices(&mut rest, count);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let descriptor = self.descriptor()?;
        let status = rustix::fs::fstat(&descriptor).map_err(|error| self.failed(error))?;
        Ok(u64::try_from(status.st_size).unwrap_or(0))
    }

    fn next_data(&self, position: u64) -> io::Result<Option<u64>> {
        let descriptor = self.descriptor()?;
        // Moves the descriptor's own position, which nobody uses.
        match rustix::fs::seek(&descriptor, SeekFrom::Data(position)) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NXIO) => Ok(None),
            // A file system that can't say.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok((position < self.len()?).then_some(position)),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn truncate(&self, len: u64, _slow: &Slow) -> io::Result<()> {
        // ext4 takes a truncation to nothing as the begin of a replacement and, at the file's close, starts to write it out at once:
        // for each of ten thousand new files one after the other.
        if self.len()? == len {
            return Ok(());
        }
        let descriptor = self.descriptor()?;
        self.node.dirty.store(true, Ordering::Release);
        rustix::fs::ftruncate(&descriptor, len).map_err(|error| self.failed(error))
    }

    fn sync_data(&self, _slow: &Slow) -> io::Result<()> {
        if self.node.sync_failed.load(Ordering::Acquire) {
            return Err(self.failed(io::Error::other("an earlier sync failed, so what was written may be lost")));
        }
        let descriptor = self.descriptor()?;
        self.node.dirty.store(false, Ordering::Release);
        rustix::fs::fdatasync(&descriptor).map_err(|error| {
            self.node.sync_failed.store(true, Ordering::Release);
            self.failed(error)
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
