//! What a znode is but for its place: metadata, name and data in one allocation of as few bytes as they need.
//!
//! Most nodes are made once, and neither set nor given children: of their metadata only the zxid and the time of their
//! creation are their own. All else stands in groups of fixed width, which a node has from the first change that needs
//! one: later changes of what a group holds, as each creation below a parent is one, move nothing.
//!
//! The bytes: flags; the groups that the flags name; the name's length, the name; the ACL; how many bytes the next two
//! take, in four bits each; `czxid`; `ctime`; the data, to the end.

use bytes::{Buf, BufMut};
use zk_proto::StatPersisted;

use super::NodeId;
use crate::acl_cache::AclId;

/// The data is null.
const NULL_DATA: u8 = 1;
/// Left out of the tree's digest.
const UNDIGESTED: u8 = 1 << 1;
/// `pzxid`, `cversion`, the first child, how many children; first of the groups. Without it there never was a child.
const PARENT: u8 = 1 << 2;
/// `mzxid`, `mtime`, `version`. Without it the data is as it was made.
const SET: u8 = 1 << 3;
/// `ephemeral_owner`. Without it there is none.
const OWNED: u8 = 1 << 4;
/// `aversion`. Without it the ACL is as it was made.
const ACL_SET: u8 = 1 << 5;

/// Lengths of the groups, in their order.
const GROUPS: [(u8, usize); 4] = [(PARENT, 20), (SET, 20), (OWNED, 8), (ACL_SET, 4)];
/// Where the first child stands: behind flags, `pzxid` and `cversion`.
const CHILDREN_AT: usize = 1 + 8 + 4;

/// All but name and data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) stat: StatPersisted,
    pub(super) acl: AclId,
    pub(super) undigested: bool,
    pub(super) first_child: NodeId,
    pub(super) child_count: u32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Body(Box<[u8]>);

struct Parts<'a> {
    flags: u8,
    groups: &'a [u8],
    name: &'a [u8],
    acl: AclId,
    czxid: i64,
    ctime: i64,
    data: &'a [u8],
}

impl Body {
    pub(super) fn new(name: &str, data: Option<&[u8]>, head: &Head) -> Self {
        let null = if data.is_none() { NULL_DATA } else { 0 };
        let undigested = if head.undigested { UNDIGESTED } else { 0 };
        Self(encode(null | undigested | groups_of(head), name.as_bytes(), data.unwrap_or_default(), head))
    }

    pub(super) fn name(&self) -> &[u8] {
        let mut rest = self.0.split_at(1 + groups_length(self.flags())).1;
        let length = get_number(&mut rest) as usize;
        rest.split_at(length).0
    }

    pub(super) fn data(&self) -> Option<&[u8]> {
        let parts = self.parts();
        (parts.flags & NULL_DATA == 0).then_some(parts.data)
    }

    pub(super) fn data_length(&self) -> usize {
        self.parts().data.len()
    }

    /// Allocates if the length is another one than before.
    pub(super) fn set_data(&mut self, data: Option<&[u8]>) {
        let bytes = data.unwrap_or_default();
        let (front, old) = self.0.split_at_mut(self.0.len() - self.parts().data.len());
        if old.len() == bytes.len() {
            old.copy_from_slice(bytes);
        } else {
            self.0 = [front, bytes].concat().into_boxed_slice();
        }
        let null = if data.is_none() { NULL_DATA } else { 0 };
        let flags = self.flags() & !NULL_DATA | null;
        self.0.as_mut().put_u8(flags);
    }

    pub(super) fn acl(&self) -> AclId {
        self.parts().acl
    }

    pub(super) fn is_undigested(&self) -> bool {
        self.flags() & UNDIGESTED != 0
    }

    pub(super) fn first_child(&self) -> NodeId {
        self.children().0
    }

    pub(super) fn child_count(&self) -> u32 {
        self.children().1
    }

    pub(super) fn set_children(&mut self, first_child: NodeId, child_count: u32) {
        if self.flags() & PARENT == 0 {
            self.set_head(&Head { first_child, child_count, ..self.head() });
        } else {
            let mut place = self.0.split_at_mut(CHILDREN_AT).1;
            place.put_u32_le(first_child.0);
            place.put_u32_le(child_count);
        }
    }

    pub(super) fn head(&self) -> Head {
        self.head_of(&self.parts())
    }

    /// Name, data and head, at the cost of one look.
    pub(super) fn all(&self) -> (&[u8], Option<&[u8]>, Head) {
        let parts = self.parts();
        (parts.name, (parts.flags & NULL_DATA == 0).then_some(parts.data), self.head_of(&parts))
    }

    fn head_of(&self, parts: &Parts<'_>) -> Head {
        let Parts { flags, mut groups, acl, czxid, ctime, .. } = *parts;
        let mut stat =
            StatPersisted { czxid, mzxid: czxid, pzxid: czxid, ctime, mtime: ctime, ..StatPersisted::default() };
        let (first_child, child_count) = self.children();
        if flags & PARENT != 0 {
            (stat.pzxid, stat.cversion) = (groups.get_i64_le(), groups.get_i32_le());
            groups.advance(8);
        }
        if flags & SET != 0 {
            (stat.mzxid, stat.mtime, stat.version) = (groups.get_i64_le(), groups.get_i64_le(), groups.get_i32_le());
        }
        if flags & OWNED != 0 {
            stat.ephemeral_owner = groups.get_i64_le();
        }
        if flags & ACL_SET != 0 {
            stat.aversion = groups.get_i32_le();
        }
        Head { stat, acl, undigested: flags & UNDIGESTED != 0, first_child, child_count }
    }

    /// Allocates only if a group is needed that was not there, or one of the fields that are in none is another one.
    pub(super) fn set_head(&mut self, head: &Head) {
        let parts = self.parts();
        let flags = parts.flags | groups_of(head);
        let same = flags == parts.flags
            && (head.acl, head.stat.czxid, head.stat.ctime) == (parts.acl, parts.czxid, parts.ctime);
        if same {
            put_groups(flags, head, &mut self.0.split_at_mut(1).1);
        } else {
            self.0 = encode(flags, parts.name, parts.data, head);
        }
    }

    fn flags(&self) -> u8 {
        self.0.first().copied().expect("flags come first")
    }

    fn children(&self) -> (NodeId, u32) {
        if self.flags() & PARENT == 0 {
            return (NodeId::NONE, 0);
        }
        let mut place = self.0.split_at(CHILDREN_AT).1;
        (NodeId(place.get_u32_le()), place.get_u32_le())
    }

    fn parts(&self) -> Parts<'_> {
        let flags = self.flags();
        let (groups, mut rest) = self.0.split_at(1).1.split_at(groups_length(flags));
        let name_length = get_number(&mut rest) as usize;
        let (name, mut rest) = rest.split_at(name_length);
        let acl = AclId(get_number(&mut rest));
        let lengths = rest.get_u8();
        let czxid = get_bytes(&mut rest, lengths & 15) as i64;
        let ctime = get_bytes(&mut rest, lengths >> 4) as i64;
        Parts { flags, groups, name, acl, czxid, ctime, data: rest }
    }
}

/// The groups without which a head can't be told.
fn groups_of(head: &Head) -> u8 {
    let Head { stat, first_child, child_count, .. } = head;
    let parent = stat.pzxid != stat.czxid || stat.cversion != 0 || *first_child != NodeId::NONE || *child_count != 0;
    let set = stat.mzxid != stat.czxid || stat.mtime != stat.ctime || stat.version != 0;
    let needed = [(PARENT, parent), (SET, set), (OWNED, stat.ephemeral_owner != 0), (ACL_SET, stat.aversion != 0)];
    needed.into_iter().filter(|(_, needed)| *needed).fold(0, |flags, (flag, _)| flags | flag)
}

fn groups_length(flags: u8) -> usize {
    GROUPS.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, length)| length).sum()
}

fn put_groups(flags: u8, head: &Head, out: &mut impl BufMut) {
    let stat = &head.stat;
    if flags & PARENT != 0 {
        out.put_i64_le(stat.pzxid);
        out.put_i32_le(stat.cversion);
        out.put_u32_le(head.first_child.0);
        out.put_u32_le(head.child_count);
    }
    if flags & SET != 0 {
        out.put_i64_le(stat.mzxid);
        out.put_i64_le(stat.mtime);
        out.put_i32_le(stat.version);
    }
    if flags & OWNED != 0 {
        out.put_i64_le(stat.ephemeral_owner);
    }
    if flags & ACL_SET != 0 {
        out.put_i32_le(stat.aversion);
    }
}

fn encode(flags: u8, name: &[u8], data: &[u8], head: &Head) -> Box<[u8]> {
    let name_length = u32::try_from(name.len()).expect("a name is shorter than a frame");
    let (czxid, ctime) = (head.stat.czxid as u64, head.stat.ctime as u64);
    let lengths = (bytes_of(czxid), bytes_of(ctime));
    let numbers = number_length(name_length) + number_length(head.acl.0);
    let exact = 1 + groups_length(flags) + numbers + name.len() + 1 + lengths.0 + lengths.1 + data.len();
    let mut out = Vec::with_capacity(exact);
    out.put_u8(flags);
    put_groups(flags, head, &mut out);
    put_number(name_length, &mut out);
    out.put_slice(name);
    put_number(head.acl.0, &mut out);
    out.put_u8((lengths.0 | lengths.1 << 4) as u8);
    out.put_uint_le(czxid, lengths.0);
    out.put_uint_le(ctime, lengths.1);
    out.put_slice(data);
    out.into_boxed_slice()
}

/// How many of a number's bytes are not leading zeros.
const fn bytes_of(number: u64) -> usize {
    (u64::BITS - number.leading_zeros()).div_ceil(8) as usize
}

/// Seven bits a byte, low ones first, the highest bit says that more follow.
fn put_number(mut number: u32, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn get_number(rest: &mut &[u8]) -> u32 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = rest.get_u8();
        number |= u32::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return number;
        }
        shift += 7;
    }
}

/// A number of so many bytes, eight at most. Behind it mostly lies more than eight bytes, of which what is too much is masked: several times quicker than
/// a copy of some bytes.
fn get_bytes(rest: &mut &[u8], count: u8) -> u64 {
    match rest.first_chunk() {
        Some(bytes) => {
            let number = u64::from_le_bytes(*bytes) & u64::MAX.checked_shr(64 - 8 * u32::from(count)).unwrap_or(0);
            rest.advance(usize::from(count));
            number
        }
        None => rest.get_uint_le(usize::from(count)),
    }
}

const fn number_length(number: u32) -> usize {
    if number == 0 { 1 } else { (u32::BITS - number.leading_zeros()).div_ceil(7) as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZXID: i64 = 0x7_0000_1234;
    const TIME_MS: i64 = 1_700_000_000_000;

    fn plain() -> Head {
        let stat = StatPersisted {
            czxid: ZXID,
            mzxid: ZXID,
            pzxid: ZXID,
            ctime: TIME_MS,
            mtime: TIME_MS,
            ..StatPersisted::default()
        };
        Head { stat, acl: AclId::OPEN, undigested: false, first_child: NodeId::NONE, child_count: 0 }
    }

    fn holds(body: &Body, name: &str, data: Option<&[u8]>, head: &Head) {
        assert_eq!((body.name(), body.data(), body.head()), (name.as_bytes(), data, *head));
        assert_eq!(body.data_length(), data.map_or(0, <[u8]>::len));
        assert_eq!(body.acl(), head.acl);
        assert_eq!(body.is_undigested(), head.undigested);
        assert_eq!((body.first_child(), body.child_count()), (head.first_child, head.child_count));
    }

    #[test]
    fn a_plain_node_takes_15_bytes_beside_name_and_data() {
        let body = Body::new("n0000000001", Some(&[7; 100]), &plain());
        holds(&body, "n0000000001", Some(&[7; 100]), &plain());
        assert_eq!(body.0.len(), 15 + 11 + 100);
    }

    #[test]
    fn every_head_comes_back() {
        let numbers = [0, 1, -1, 0x80, 0xFF, 0x100, i64::MIN, i64::MAX, ZXID, -ZXID];
        let acls = [0, 1, 127, 128, 1 << 14, 1 << 28, u32::MAX];
        let names = ["", "n", &"long".repeat(31), &"long".repeat(32), &"\u{4E2D}".repeat(100_000)];
        let data: [Option<&[u8]>; 3] = [None, Some(b""), Some(b"data")];
        let mut serial = 0_usize;
        let mut next = || {
            serial += 1;
            // Steps of different lengths meet in ever other ways.
            numbers[serial * (serial + 1) / 2 % numbers.len()]
        };
        let mut body = Body::new("", None, &plain());
        for round in 0..2000 {
            let stat = StatPersisted {
                czxid: next(),
                mzxid: next(),
                ctime: next(),
                mtime: next(),
                version: next() as i32,
                cversion: next() as i32,
                aversion: next() as i32,
                ephemeral_owner: next(),
                pzxid: next(),
            };
            let head = Head {
                stat,
                acl: AclId(acls[round % acls.len()]),
                undigested: round % 2 == 0,
                first_child: if round % 3 == 0 { NodeId::NONE } else { NodeId(round as u32) },
                child_count: next() as u32,
            };
            let (name, data) = (names[round % names.len()], data[round % data.len()]);
            holds(&Body::new(name, data, &head), name, data, &head);
            // As a change of another body, which keeps its name, and whether it counts.
            body.set_data(data);
            body.set_head(&head);
            holds(&body, "", data, &Head { undigested: false, ..head });
        }
    }

    #[test]
    fn a_change_that_has_its_group_moves_nothing() {
        let mut body = Body::new("name", Some(b"data"), &plain());
        let mut head = plain();
        let mut change = |body: &mut Body, change: fn(&mut Head)| {
            let before = body.0.as_ptr();
            change(&mut head);
            body.set_head(&head);
            holds(body, "name", body.data().map(<[u8]>::to_vec).as_deref(), &head);
            before == body.0.as_ptr()
        };
        for is_first in [true, false] {
            for group in [
                |head: &mut Head| head.stat.version -= 1,
                |head: &mut Head| (head.stat.cversion, head.stat.pzxid) = (head.stat.cversion + 1, i64::MAX),
                |head: &mut Head| head.stat.aversion -= 1,
                |head: &mut Head| head.stat.ephemeral_owner += 1,
            ] {
                assert!(change(&mut body, group) || is_first);
            }
        }
        // Back to where it began, as a snapshot may have it: the groups stay.
        assert!(change(&mut body, |head| *head = plain()));
        let before = body.0.as_ptr();
        body.set_data(Some(b"new."));
        body.set_children(NodeId(5), 1);
        assert_eq!(before, body.0.as_ptr());
        holds(&body, "name", Some(b"new."), &Head { first_child: NodeId(5), child_count: 1, ..plain() });
    }

    #[test]
    fn data_grows_shrinks_and_becomes_null() {
        let mut body = Body::new("name", None, &plain());
        let big = vec![9; 1 << 20];
        for data in [Some(b"a".as_slice()), Some(&big), Some(b""), None, Some(b"bc"), None, Some(b"")] {
            body.set_data(data);
            holds(&body, "name", data, &plain());
        }
        body.set_children(NodeId(3), 2);
        body.set_data(Some(&big));
        holds(&body, "name", Some(&big), &Head { first_child: NodeId(3), child_count: 2, ..plain() });
    }
}
