//! One server's links: greetings, who dials whom, frames, hostile bytes.

use std::collections::BTreeSet;

use base::{Monotonic, Random};
use bytes::Bytes;
use zk_zab::{Address, CloseReason, GreetingError, LinkEffect, LinkId, LinkSettings, Links, ServerId};

const MESSAGE_LEN_MAX: usize = 512 * 1024;

fn settings() -> LinkSettings {
    LinkSettings {
        addresses: vec!["10.0.0.2:3888".to_owned(), "[::2]:3888".to_owned()],
        is_multi_address: false,
        connect_timeout_ms: 5000,
        greeting_timeout_ms: 10_000,
    }
}

/// Server 2 of 1, 2, 3.
struct Two {
    links: Links,
    now: Monotonic,
    effects: Vec<LinkEffect>,
}

impl Two {
    fn new() -> Self {
        Self::with(settings())
    }

    fn with(settings: LinkSettings) -> Self {
        let links = Links::new(2, BTreeSet::from([1, 2, 3]), settings);
        Self { links, now: Monotonic::from_ms(50), effects: Vec::new() }
    }

    fn send(&mut self, to: ServerId, message: &'static str) -> Vec<LinkEffect> {
        self.links.send(to, &Bytes::from_static(message.as_bytes()), self.now, &mut self.effects);
        std::mem::take(&mut self.effects)
    }

    fn accepts(&mut self, link: u64) -> Vec<LinkEffect> {
        self.links.accepted(LinkId(link), self.now, &mut self.effects);
        std::mem::take(&mut self.effects)
    }

    fn receives(&mut self, link: LinkId, bytes: &[u8]) -> Vec<LinkEffect> {
        self.links.received(link, bytes, self.now, &mut self.effects);
        std::mem::take(&mut self.effects)
    }

    /// A server with this number connects.
    fn greeted(&mut self, link: u64, id: ServerId) -> Vec<LinkEffect> {
        self.accepts(link);
        self.receives(LinkId(link), &greeting(id, "10.0.0.9:3888"))
    }

    fn dialled(&mut self, link: LinkId) -> Vec<LinkEffect> {
        self.links.dialled(link, &mut self.effects);
        std::mem::take(&mut self.effects)
    }

    fn dial_failed(&mut self, link: LinkId) -> Vec<LinkEffect> {
        self.links.dial_failed(link, &mut self.effects);
        std::mem::take(&mut self.effects)
    }

    fn closed(&mut self, link: LinkId) -> Vec<LinkEffect> {
        self.links.closed(link, &mut self.effects);
        std::mem::take(&mut self.effects)
    }

    fn congested(&mut self, link: LinkId, is_congested: bool) -> Vec<LinkEffect> {
        self.links.congested(link, is_congested, &mut self.effects);
        std::mem::take(&mut self.effects)
    }

    fn waits(&mut self) -> (u128, Vec<LinkEffect>) {
        let deadline = self.links.deadline().expect("a deadline");
        let waited = (deadline - self.now).as_millis();
        self.now = deadline;
        self.links.tick(self.now, &mut self.effects);
        (waited, std::mem::take(&mut self.effects))
    }
}

fn greeting(id: ServerId, address: &str) -> Vec<u8> {
    let mut bytes = (-65536_i64).to_be_bytes().to_vec();
    bytes.extend(id.to_be_bytes());
    bytes.extend((address.len() as i32).to_be_bytes());
    bytes.extend(address.as_bytes());
    bytes
}

fn frame(message: &[u8]) -> Vec<u8> {
    [&(message.len() as i32).to_be_bytes()[..], message].concat()
}

fn sends(link: LinkId, bytes: impl Into<Bytes>) -> LinkEffect {
    LinkEffect::Send { link, bytes: bytes.into() }
}

fn closes(link: LinkId, reason: CloseReason) -> LinkEffect {
    LinkEffect::Close { link, reason }
}

fn dial(n: u64) -> LinkId {
    LinkId(1 << 63 | n)
}

fn dials(n: u64, peer: ServerId) -> LinkEffect {
    LinkEffect::Dial { link: dial(n), peer, addresses: vec![] }
}

#[test]
fn a_message_makes_the_connection_to_a_smaller_number() {
    let mut two = Two::new();
    assert_eq!(two.send(1, "first"), [dials(0, 1)]);
    assert_eq!(two.send(1, "second"), [], "one dial at a time, and the latest message");
    let said = [sends(dial(0), greeting(2, "10.0.0.2:3888")), sends(dial(0), frame(b"second"))];
    assert_eq!(two.dialled(dial(0)), said);
    assert!(two.links.is_connected(1));
    assert_eq!(two.send(1, "third"), [sends(dial(0), frame(b"third"))]);
    let heard = LinkEffect::Message { from: 1, bytes: Bytes::from_static(b"answer") };
    assert_eq!(two.receives(dial(0), &frame(b"answer")), [heard]);
    assert_eq!(two.links.deadline(), None);
}

#[test]
fn all_addresses_are_told_if_so_set() {
    let mut two = Two::with(LinkSettings { is_multi_address: true, ..settings() });
    two.send(1, "x");
    let mut expected = greeting(2, "10.0.0.2:3888|[::2]:3888");
    expected[7] = 1;
    assert_eq!(two.dialled(dial(0))[0], sends(dial(0), expected));
}

#[test]
fn a_link_that_brings_nothing_is_made_anew_where_there_may_be_another_address() {
    for is_multi_address in [false, true] {
        let mut two = Two::with(LinkSettings { is_multi_address, ..settings() });
        two.send(1, "vote");
        two.dialled(dial(0));
        let vote = [sends(dial(0), frame(b"vote"))];
        for _ in 0..4 {
            assert_eq!(two.send(1, "vote"), vote, "an answer may be on its way");
        }
        two.receives(dial(0), &frame(b"answer"));
        for wait_ms in [0, 300, 699] {
            assert_eq!(two.send(1, "vote"), vote, "it has answered before these");
            two.now = two.now.plus_ms(wait_ms);
        }
        assert_eq!(two.send(1, "vote"), vote, "too early to say");
        two.now = two.now.plus_ms(1);
        let again = [closes(dial(0), CloseReason::Replaced { peer: 1 }), dials(1, 1)];
        assert_eq!(two.send(1, "vote"), if is_multi_address { &again[..] } else { &vote[..] });
        if is_multi_address {
            assert_eq!(two.dialled(dial(1)).len(), 2, "a greeting and the vote");
            assert_eq!(two.send(1, "vote"), [sends(dial(1), frame(b"vote"))], "counted anew");
        }
    }
}

#[test]
fn a_greater_number_is_asked_to_call_back() {
    let mut two = Two::new();
    assert_eq!(two.send(3, "vote"), [dials(0, 3)]);
    let asked = [sends(dial(0), greeting(2, "10.0.0.2:3888")), closes(dial(0), CloseReason::CallsBack { peer: 3 })];
    assert_eq!(two.dialled(dial(0)), asked);
    assert_eq!(two.closed(dial(0)), [], "known already");
    assert_eq!(two.send(3, "better vote"), [], "it is given time");
    assert_eq!(two.greeted(7, 3), [sends(LinkId(7), frame(b"better vote"))]);

    // It does not call.
    let mut two = Two::new();
    two.send(3, "vote");
    two.dialled(dial(0));
    two.now = two.now.plus_ms(200);
    assert_eq!(two.send(3, "vote"), [dials(1, 3)]);
    // It can't even be reached: then the next message may try at once.
    assert_eq!(two.dial_failed(dial(1)), [LinkEffect::Lost { peer: 3 }]);
    assert_eq!(two.send(3, "vote"), [dials(2, 3)]);
}

#[test]
fn a_smaller_number_is_called_back_where_it_says() {
    let mut two = Two::new();
    two.send(1, "vote");
    two.dialled(dial(0));
    // It has lost its end, which this side has not noticed.
    let back = vec![Address { host: "10.0.0.9".to_owned(), port: 3888 }];
    let expected = [
        closes(dial(0), CloseReason::Replaced { peer: 1 }),
        closes(LinkId(7), CloseReason::CalledBack { peer: 1 }),
        LinkEffect::Dial { link: dial(1), peer: 1, addresses: back },
    ];
    assert_eq!(two.greeted(7, 1), expected);
    assert_eq!(two.greeted(8, 1), [closes(LinkId(8), CloseReason::CalledBack { peer: 1 })], "it is being dialled");
    assert_eq!(two.dialled(dial(1))[1], sends(dial(1), frame(b"vote")), "the last message, again");
}

#[test]
fn a_new_connection_of_a_greater_number_replaces_the_old() {
    let mut two = Two::new();
    two.greeted(7, 3);
    two.send(3, "vote");
    let replaced = [closes(LinkId(7), CloseReason::Replaced { peer: 3 }), sends(LinkId(8), frame(b"vote"))];
    assert_eq!(two.greeted(8, 3), replaced);
    assert_eq!(two.closed(LinkId(7)), [], "nobody is lost");
    assert_eq!(two.closed(LinkId(8)), [LinkEffect::Lost { peer: 3 }]);
    assert!(!two.links.is_connected(3));
}

#[test]
fn a_dial_that_was_overtaken_says_nothing() {
    let mut two = Two::new();
    two.send(3, "vote");
    assert_eq!(two.greeted(7, 3), [sends(LinkId(7), frame(b"vote"))]);
    assert_eq!(two.dialled(dial(0)), [closes(dial(0), CloseReason::Replaced { peer: 3 })]);
    assert!(two.links.is_connected(3));
}

#[test]
fn a_peer_is_lost_only_when_no_dial_is_left() {
    let mut two = Two::new();
    two.send(3, "vote");
    two.greeted(7, 3);
    assert_eq!(two.closed(LinkId(7)), []);
    assert_eq!(two.dial_failed(dial(0)), [LinkEffect::Lost { peer: 3 }]);
}

#[test]
fn dialling_and_greeting_end_in_time() {
    let mut two = Two::new();
    two.accepts(7);
    two.send(1, "vote");
    let late = [closes(dial(0), CloseReason::ConnectTimeout { peer: 1 }), LinkEffect::Lost { peer: 1 }];
    assert_eq!(two.waits(), (5000, late.to_vec()));
    assert_eq!(two.dialled(dial(0)), [], "too late");
    assert_eq!(two.waits(), (5000, vec![closes(LinkId(7), CloseReason::GreetingTimeout)]));
    assert_eq!(two.links.deadline(), None);
}

#[test]
fn greetings_and_frames_come_in_any_pieces() {
    let mut bytes = greeting(3, "zk3:3888");
    bytes.extend(frame(b"one"));
    bytes.extend(frame(&[7; 5000]));
    for piece in [1, 3, 7, 1000, bytes.len()] {
        let mut two = Two::new();
        two.accepts(7);
        let heard: Vec<LinkEffect> = bytes.chunks(piece).flat_map(|piece| two.receives(LinkId(7), piece)).collect();
        let message = |bytes: &'static [u8]| LinkEffect::Message { from: 3, bytes: Bytes::from_static(bytes) };
        assert_eq!(heard, [message(b"one"), message(&[7; 5000])]);
    }
}

#[test]
fn a_greeting_from_before_3_5_is_a_bare_number() {
    let mut two = Two::new();
    two.accepts(7);
    let heard = two.receives(LinkId(7), &[&3_i64.to_be_bytes()[..], &frame(b"hi")].concat());
    assert_eq!(heard, [LinkEffect::Message { from: 3, bytes: Bytes::from_static(b"hi") }]);
    two.accepts(8);
    let called_back = [closes(LinkId(8), CloseReason::CalledBack { peer: 1 }), dials(0, 1)];
    assert_eq!(two.receives(LinkId(8), &1_i64.to_be_bytes()), called_back);
}

#[test]
fn observers_without_a_number_get_one() {
    let mut two = Two::new();
    for (link, id) in [(7, -1), (8, -2)] {
        let back = vec![Address { host: "10.0.0.9".to_owned(), port: 3888 }];
        let called_back = [
            closes(LinkId(link), CloseReason::CalledBack { peer: id }),
            LinkEffect::Dial { link: dial(link - 7), peer: id, addresses: back },
        ];
        assert_eq!(two.greeted(link, i64::MAX), called_back);
    }
}

#[test]
fn lengths_from_1_byte_to_512_kib_are_served() {
    let mut two = Two::new();
    two.greeted(7, 3);
    for len in [1, MESSAGE_LEN_MAX] {
        let message = LinkEffect::Message { from: 3, bytes: vec![1; len].into() };
        assert_eq!(two.receives(LinkId(7), &frame(&vec![1; len])), [message]);
    }
    for (link, length) in (8..).zip([0, -1, i32::MIN, i32::MAX, MESSAGE_LEN_MAX as i32 + 1]) {
        two.greeted(link, 3);
        let ended = [closes(LinkId(link), CloseReason::Length { peer: 3, length }), LinkEffect::Lost { peer: 3 }];
        assert_eq!(two.receives(LinkId(link), &length.to_be_bytes()), ended);
        assert_eq!(two.receives(LinkId(link), b"more"), []);
    }
}

#[test]
fn while_a_link_is_congested_only_the_latest_message_is_kept() {
    let mut two = Two::new();
    two.greeted(7, 3);
    assert_eq!(two.congested(LinkId(7), true), []);
    for message in ["one", "two", "three"] {
        assert_eq!(two.send(3, message), []);
    }
    assert_eq!(two.congested(LinkId(7), false), [sends(LinkId(7), frame(b"three"))]);
    assert_eq!(two.congested(LinkId(7), true), []);
    assert_eq!(two.congested(LinkId(7), false), [], "nothing new");
}

#[test]
fn ones_own_number_and_what_is_no_greeting_are_turned_away() {
    let mut two = Two::new();
    assert_eq!(two.greeted(7, 2), [closes(LinkId(7), CloseReason::OwnNumber { me: 2 })]);
    assert_eq!(two.send(2, "myself"), []);
    two.accepts(8);
    let bad = [closes(LinkId(8), CloseReason::Greeting(GreetingError::Version(-2)))];
    assert_eq!(two.receives(LinkId(8), &(-2_i64).to_be_bytes()), bad);
    two.accepts(9);
    let bad = [closes(LinkId(9), CloseReason::Greeting(GreetingError::Length(0)))];
    assert_eq!(two.receives(LinkId(9), &greeting(3, "")), bad);
}

#[test]
fn silent_and_unknown_callers_are_limited_and_members_still_come_through() {
    let mut two = Two::new();
    for link in 0..64 {
        assert_eq!(two.accepts(link), []);
    }
    for link in 64..200 {
        assert_eq!(two.accepts(link), [closes(LinkId(link - 64), CloseReason::TooMany)], "the oldest makes room");
    }
    assert_eq!(two.receives(LinkId(199), &greeting(3, "a:1")), []);
    assert!(two.links.is_connected(3));

    let mut two = Two::new();
    let served = (100..300).filter(|id| two.greeted(*id as u64, *id).is_empty()).count();
    assert_eq!(served, 64);
    assert_eq!(two.greeted(1000, 3), []);
    // One of them leaves, another may come; and one that joins the list is a stranger no more.
    assert_eq!(two.closed(LinkId(100)), [LinkEffect::Lost { peer: 100 }]);
    assert_eq!(two.greeted(1001, 500), []);
    two.links.set_members(BTreeSet::from([1, 2, 3, 500]));
    assert_eq!(two.greeted(1002, 501), []);
    assert_eq!(two.greeted(1003, 502), [closes(LinkId(1003), CloseReason::TooMany)]);
}

#[test]
fn any_bytes_are_survived_and_the_others_are_served() {
    let mut random = Random::from_seed(4);
    let mut two = Two::new();
    two.greeted(1, 3);
    for link in 2..3000 {
        two.accepts(link);
        let mut bytes = greeting(100 + random.below(9) as i64, "a:1");
        if random.below(3) == 0 {
            bytes.clear();
        }
        bytes.extend((0..random.below(60)).map(|_| (random.next_u64() >> random.below(64)) as u8));
        let at = random.below(bytes.len() as u64 + 1) as usize;
        for piece in [&bytes[..at], &bytes[at..]] {
            for effect in two.receives(LinkId(link), piece) {
                match effect {
                    LinkEffect::Message { from, .. } => assert_ne!(from, 3),
                    LinkEffect::Close { link: closed, .. } => assert_ne!(closed, LinkId(1)),
                    LinkEffect::Dial { link, .. } => drop(two.dial_failed(link)),
                    LinkEffect::Send { .. } | LinkEffect::Lost { .. } => {}
                }
            }
        }
        assert_eq!(two.send(3, "vote"), [sends(LinkId(1), frame(b"vote"))]);
    }
}
