//! Where a snapshot's body ends in a stream of bytes: a leader sends its tree without telling how long it is.

use base::DecodeError;

/// Behind a node's data: the number of its ACL and its metadata.
const NODE_TAIL_LEN: usize = 8 + 60;
const SESSION_LEN: usize = 12;
/// No path, data, scheme or id is longer: what a frame may hold at most, doubled.
const VALUE_LEN_MAX: usize = 1 << 30;

/// Passes over a body that is cut anywhere, remembering nothing but where it is.
#[derive(Debug)]
pub struct SnapshotScan {
    step: Step,
    /// Bytes to pass over before the step's number.
    skip: usize,
    /// The number as far as it has come.
    number: [u8; 4],
    number_len: usize,
    acls: usize,
    acl_entries: usize,
    position: usize,
}

/// The number that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Sessions,
    Acls,
    AclEntries,
    Scheme,
    Id,
    Path,
    /// A path of one byte: the end, if that is `/`.
    ShortPath,
    Data,
    Ended,
}

impl Default for SnapshotScan {
    fn default() -> Self {
        Self { step: Step::Sessions, skip: 0, number: [0; 4], number_len: 0, acls: 0, acl_entries: 0, position: 0 }
    }
}

impl SnapshotScan {
    /// Passes over the next bytes. How many of them belong to the body, if it ends here; `None` if all do and more follow.
    ///
    /// # Errors
    /// A length that no server writes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
        let mut rest = bytes;
        loop {
            if self.step == Step::Ended {
                return Ok(Some(bytes.len() - rest.len()));
            }
            if rest.is_empty() {
                return Ok(None);
            }
            let skipped = self.skip.min(rest.len());
            self.skip -= skipped;
            self.position += skipped;
            rest = rest.split_at(skipped).1;
            let Some((byte, behind)) = rest.split_first().filter(|_| self.skip == 0) else { continue };
            rest = behind;
            self.position += 1;
            self.take(*byte)?;
        }
    }

    fn take(&mut self, byte: u8) -> Result<(), DecodeError> {
        if self.step == Step::ShortPath {
            self.step = if byte == b'/' { Step::Ended } else { Step::Data };
            return Ok(());
        }
        if let Some(place) = self.number.get_mut(self.number_len) {
            *place = byte;
        }
        self.number_len += 1;
        if self.number_len < self.number.len() {
            return Ok(());
        }
        self.number_len = 0;
        let number = i32::from_be_bytes(self.number);
        // Null vectors and buffers are −1.
        let value = if number == -1 { Ok(0) } else { usize::try_from(number) };
        let invalid = DecodeError::Length { at: self.position - 4, length: i64::from(number) };
        let value = value.ok().filter(|value| *value <= VALUE_LEN_MAX).ok_or(invalid)?;
        self.next(value);
        Ok(())
    }

    /// Goes on behind a number of the current step.
    fn next(&mut self, value: usize) {
        (self.step, self.skip) = match self.step {
            Step::Sessions => (Step::Acls, value.saturating_mul(SESSION_LEN)),
            Step::Acls => {
                self.acls = value;
                self.next_acl()
            }
            Step::AclEntries => {
                self.acl_entries = value;
                self.next_acl_entry()
            }
            Step::Scheme => (Step::Id, value),
            Step::Id => {
                let (step, skip) = self.next_acl_entry();
                (step, skip + value)
            }
            Step::Path if value == 1 => (Step::ShortPath, 0),
            Step::Path => (Step::Data, value),
            Step::Data => (Step::Path, value + NODE_TAIL_LEN),
            Step::ShortPath | Step::Ended => (self.step, 0),
        };
    }

    fn next_acl(&mut self) -> (Step, usize) {
        match self.acls.checked_sub(1) {
            Some(left) => {
                self.acls = left;
                (Step::AclEntries, 8)
            }
            None => (Step::Path, 0),
        }
    }

    fn next_acl_entry(&mut self) -> (Step, usize) {
        match self.acl_entries.checked_sub(1) {
            Some(left) => {
                self.acl_entries = left;
                (Step::Scheme, 4)
            }
            None => self.next_acl(),
        }
    }
}

#[cfg(test)]
mod tests {
    use base::Str;
    use bytes::{Bytes, BytesMut};
    use zk_proto::snapshot::{NodeRecord, SessionRecord};
    use zk_proto::{Acl, Id, Perms, StatPersisted};

    use super::*;
    use crate::SnapshotBody;

    fn body() -> BytesMut {
        let mut out = BytesMut::new();
        let acls = [
            vec![Acl { perms: Perms::ALL, id: Id::from_static("digest", "a:b") }],
            vec![
                Acl { perms: Perms::READ, id: Id::from_static("ip", "10.0.0.1") },
                Acl { perms: Perms::ALL, id: Id::from_static("auth", "") },
            ],
        ];
        let sessions = [(1, 4000), (2, 6000)].map(|(id, timeout_ms)| SessionRecord { id, timeout_ms });
        let mut body = SnapshotBody::begin(
            &mut out,
            sessions.into_iter(),
            acls.iter().enumerate().map(|(index, acl)| (index as i64 + 1, acl.as_slice())),
        );
        for (path, data) in [("", None), ("x", Some(Bytes::from_static(b"/"))), ("/node", Some(Bytes::new()))] {
            let node = NodeRecord { path: Str::from(path), data, acl_index: -1, stat: StatPersisted::default() };
            body.node(&mut out, &node.view());
        }
        body.end(&mut out);
        out
    }

    #[test]
    fn a_body_ends_at_its_last_path_however_it_is_cut() {
        let whole = body();
        let mut stream = whole.clone();
        stream.extend_from_slice(b"\0\0\0\x0aBenWasHere");
        for cut in 1..stream.len() {
            let mut scan = SnapshotScan::default();
            let mut passed = 0;
            let end = stream.chunks(cut).find_map(|chunk| {
                let end = scan.push(chunk).unwrap();
                passed += if end.is_none() { chunk.len() } else { 0 };
                end
            });
            assert_eq!(end.map(|end| passed + end), Some(whole.len()), "cut every {cut} bytes");
        }
    }

    #[test]
    fn a_length_that_nobody_writes_is_refused() {
        assert!(SnapshotScan::default().push(&[0xff, 0xff, 0xff, 0xfe]).is_err());
        assert!(SnapshotScan::default().push(&[0x7f, 0xff, 0xff, 0xff]).is_err());
    }
}
