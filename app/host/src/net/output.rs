//! What waits to be sent on one connection: bytes leave in vectored writes, ranges of files by `sendfile`.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use base::Part;
use bytes::{Buf, Bytes};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::RealFile;

/// A range up to this length is read and joined to the bytes around it: cheaper than a call of its own.
const JOINED_MAX: u32 = 32 * 1024;
/// The most slices of one write.
const SLICES_MAX: usize = 64;
/// The most bytes that one `sendfile` is asked for.
const SENDFILE_MAX: u32 = 1 << 20;

/// Parts in order.
#[derive(Debug, Default)]
pub(super) struct Output {
    parts: VecDeque<Part>,
    length: usize,
}

impl Output {
    /// Bytes that wait.
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    pub(super) fn push(&mut self, part: Part) {
        if !part.is_empty() {
            self.length += part.len();
            self.parts.push_back(part);
        }
    }

    /// Takes over all parts of another.
    pub(super) fn append(&mut self, other: &mut Self) {
        self.length += std::mem::take(&mut other.length);
        if self.parts.is_empty() {
            std::mem::swap(&mut self.parts, &mut other.parts);
        } else {
            self.parts.append(&mut other.parts);
        }
    }

    pub(super) fn clear(&mut self) {
        self.parts.clear();
        self.length = 0;
    }

    /// Writes until nothing is left (`true`) or the socket takes no more (`false`).
    pub(super) fn write_to(&mut self, stream: &TcpStream) -> io::Result<bool> {
        while let Some(front) = self.parts.front() {
            let written = match front {
                Part::Range { length, .. } if *length > JOINED_MAX => self.send_range(stream),
                _ => self.send_bytes(stream),
            };
            match written {
                Ok(count) => self.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Bytes from the front, for one who takes them otherwise; `None` when nothing is left.
    pub(super) fn front(&mut self) -> io::Result<Option<&[u8]>> {
        if let Some(range @ Part::Range { .. }) = self.parts.front_mut() {
            match split_range(range) {
                Some(piece) => self.parts.push_front(Part::Bytes(read(&piece)?)),
                None => *range = Part::Bytes(read(range)?),
            }
        }
        Ok(match self.parts.front() {
            Some(Part::Bytes(bytes)) => Some(bytes),
            _ => None,
        })
    }

    /// Sends bytes and short ranges from the front in one call.
    fn send_bytes(&mut self, stream: &TcpStream) -> io::Result<usize> {
        let mut count = 0;
        let mut more = SendFlags::NOSIGNAL;
        for part in self.parts.iter_mut().take(SLICES_MAX) {
            match part {
                Part::Bytes(_) => {}
                Part::Range { length, .. } if *length > JOINED_MAX => {
                    // The range follows at once: let the header travel in its first packet.
                    more |= SendFlags::MORE;
                    break;
                }
                Part::Range { .. } => *part = Part::Bytes(read(part)?),
            }
            count += 1;
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        for (slice, part) in slices.iter_mut().zip(self.parts.iter().take(count)) {
            if let Part::Bytes(bytes) = part {
                *slice = IoSlice::new(bytes);
            }
        }
        let slices = slices.get(..count).unwrap_or_default();
        stream.try_io(Interest::WRITABLE, || {
            Ok(rustix::net::sendmsg(stream, slices, &mut SendAncillaryBuffer::default(), more)?)
        })
    }

    /// Sends from the long range at the front.
    fn send_range(&mut self, stream: &TcpStream) -> io::Result<usize> {
        let Some(Part::Range { file, position, length }) = self.parts.front() else { return Ok(0) };
        let Some(real) = file.as_any().downcast_ref::<RealFile>() else {
            // Not a file of the system (tests): a piece at a time through memory.
            self.front()?;
            return Ok(0);
        };
        let descriptor = real.descriptor()?;
        let mut at = *position;
        let wanted = (*length).min(SENDFILE_MAX) as usize;
        let sent = stream.try_io(Interest::WRITABLE, || {
            match rustix::fs::sendfile(stream, &descriptor, Some(&mut at), wanted) {
                // On Linux of some file systems a would-block comes as a short count first; none at all is the file's end.
                Ok(0) => Err(Errno::PIPE.into()),
                result => Ok(result?),
            }
        })?;
        Ok(sent)
    }

    /// Takes bytes off the front, which were sent.
    pub(super) fn advance(&mut self, mut count: usize) {
        self.length -= count;
        while count > 0 {
            let Some(front) = self.parts.front_mut() else { return };
            let taken = count.min(front.len());
            match front {
                Part::Bytes(bytes) => bytes.advance(taken),
                Part::Range { position, length, .. } => {
                    *position += taken as u64;
                    *length -= taken as u32;
                }
            }
            count -= taken;
            if front.is_empty() {
                self.parts.pop_front();
            }
        }
    }
}

/// Takes a piece off a range that is too long to be read at once.
fn split_range(range: &mut Part) -> Option<Part> {
    let Part::Range { file, position, length } = range else { return None };
    if *length <= JOINED_MAX {
        return None;
    }
    let piece = Part::Range { file: file.clone(), position: *position, length: JOINED_MAX };
    *position += u64::from(JOINED_MAX);
    *length -= JOINED_MAX;
    Some(piece)
}

/// The bytes of a range. A file that has become shorter can't fill its promise: the connection ends.
fn read(part: &Part) -> io::Result<Bytes> {
    let Part::Range { file, position, length } = part else { return Ok(Bytes::new()) };
    let mut buffer = vec![0; *length as usize];
    if file.read_at(&mut buffer, *position)? < buffer.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Bytes::from(buffer))
}
