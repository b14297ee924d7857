//! Every form of notification and greeting, and bytes that are neither.

use base::DecodeError;
use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use zk_zab::{Address, Greeting, GreetingError, Notification, PeerState, Vote};

fn states() -> impl Strategy<Value = PeerState> {
    prop_oneof![
        Just(PeerState::Looking),
        Just(PeerState::Following),
        Just(PeerState::Leading),
        Just(PeerState::Observing)
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        state in states(), leader: i64, zxid: i64, peer_epoch: i64, round: i64,
        config in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let ours = Notification::new(state, Vote { leader, zxid, peer_epoch }, round, config.into());
        let bytes = ours.encode();
        prop_assert_eq!(Notification::decode(&bytes), Ok(ours.clone()));
        // Cut anywhere it is refused, but for a length that another form has.
        for len in 0..bytes.len() {
            let cut = Notification::decode(&bytes.slice(..len));
            prop_assert_eq!(cut.is_ok(), len == 28 || len == 40, "{} of {}", len, bytes.len());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        if let Ok(notification) = Notification::decode(&bytes) {
            notification.config_version();
            prop_assert!(bytes.len() >= 28);
        }
        if let Ok(Some((_, len))) = Greeting::decode(&bytes) {
            prop_assert!(len <= bytes.len());
        }
    }

    #[test]
    fn greetings_are_read_from_any_prefix_on(
        id: i64, hosts in proptest::collection::vec("[a-z][a-z0-9.-]{0,20}", 1..5), port: u16, more: Vec<u8>,
    ) {
        let text = hosts.iter().map(|host| format!("{host}:{port}")).collect::<Vec<_>>().join("|");
        let bytes = greeting(-65535, id, text.as_bytes());
        let addresses = hosts.into_iter().map(|host| Address { host, port }).collect();
        let read = Some((Greeting { id, addresses }, bytes.len()));
        for len in 0..bytes.len() {
            prop_assert_eq!(Greeting::decode(&bytes.slice(..len)), Ok(None));
        }
        prop_assert_eq!(Greeting::decode(&[&bytes[..], &more].concat().into()), Ok(read));
    }
}

fn greeting(version: i64, id: i64, text: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i64(version);
    out.put_i64(id);
    out.put_i32(text.len() as i32);
    out.put_slice(text);
    out.freeze()
}

/// state, leader, zxid, round; the rest is each form's.
fn head(zxid: i64) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_i32(2);
    out.put_i64(5);
    out.put_i64(zxid);
    out.put_i64(7);
    out
}

#[test]
fn the_oldest_form_takes_its_epoch_from_the_zxid() {
    let read = Notification::decode(&head(0x3_0000_0009).freeze()).unwrap();
    let vote = Vote { leader: 5, zxid: 0x3_0000_0009, peer_epoch: 3 };
    assert_eq!(read, Notification { state: PeerState::Leading, vote, round: 7, version: 0, config: None });
}

#[test]
fn in_a_form_of_40_bytes_the_version_is_not_looked_at() {
    let mut bytes = head(1);
    bytes.put_i64(4);
    bytes.put_i32(2);
    let read = Notification::decode(&bytes.clone().freeze()).unwrap();
    assert_eq!((read.vote.peer_epoch, read.version, read.config), (4, 0, None));
    // One byte more, and it says that there is a list.
    bytes.put_u8(0);
    assert!(matches!(Notification::decode(&bytes.freeze()), Err(DecodeError::Truncated { at: 40, .. })));
}

#[test]
fn a_version_without_a_list_may_be_longer_than_its_form() {
    let mut bytes = head(1);
    bytes.put_i64(4);
    bytes.put_i32(1);
    bytes.put_u8(9);
    let read = Notification::decode(&bytes.freeze()).unwrap();
    assert_eq!((read.version, read.config), (1, None));
}

#[test]
fn absurd_states_and_lengths_of_lists_are_refused() {
    let form = |length: i32| {
        let mut bytes = head(1);
        bytes.put_i64(4);
        bytes.put_i32(2);
        bytes.put_i32(length);
        bytes.put_slice(b"version=0");
        bytes
    };
    assert_eq!(Notification::decode(&form(9).freeze()).unwrap().config, Some(Bytes::from_static(b"version=0")));
    assert_eq!(Notification::decode(&form(7).freeze()).unwrap().config, Some(Bytes::from_static(b"version")));
    let refused = Err(DecodeError::Length { at: 40, length: -1 });
    assert_eq!(Notification::decode(&form(-1).freeze()), refused);
    let refused = Err(DecodeError::Truncated { at: 44, wanted: i32::MAX as usize, left: 9 });
    assert_eq!(Notification::decode(&form(i32::MAX).freeze()), refused);
    let mut unknown = form(9);
    unknown[3] = 4;
    assert_eq!(
        Notification::decode(&unknown.freeze()),
        Err(DecodeError::Value { what: "server state", value: 4, at: 0 })
    );
}

#[test]
fn the_version_of_a_list_is_hexadecimal_and_0_if_not_told() {
    let version = |config: &'static str| {
        let vote = Vote { leader: 1, zxid: 0, peer_epoch: 0 };
        Notification::new(PeerState::Looking, vote, 1, Bytes::from_static(config.as_bytes())).config_version()
    };
    assert_eq!(version("server.1=a:1:2:participant\nversion=100000abc"), Some(0x1_0000_0abc));
    assert_eq!(version("server.1=a:1:2:participant"), Some(0));
    assert_eq!(version("version=xyz"), None);
}

#[test]
fn greetings_come_in_three_forms() {
    let old = Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 9, 0xff]);
    assert_eq!(Greeting::decode(&old), Ok(Some((Greeting { id: 9, addresses: vec![] }, 8))));
    let address = |host: &str, port| Address { host: host.to_owned(), port };
    let read = |version, text: &str| {
        let bytes = greeting(version, 2, text.as_bytes());
        Greeting::decode(&bytes).map(|read| read.expect("complete").0.addresses)
    };
    assert_eq!(read(-65536, "zk2:3888"), Ok(vec![address("zk2", 3888)]));
    assert_eq!(read(-65535, "zk2:3888|[fe80::1]:3889|"), Ok(vec![address("zk2", 3888), address("fe80::1", 3889)]));
    assert_eq!(read(-65535, "0.0.0.0:3888|[::]:1|zk2:2"), Ok(vec![address("zk2", 2)]), "wildcards tell nothing");
    assert_eq!(read(-65535, "|"), Ok(vec![]));
    for bad in ["zk2", "zk2:", "a:b:1", "[::1]", "[::1:1", ""] {
        let text = format!("zk1:1|{bad}|zk3:3");
        assert_eq!(read(-65535, &text), Err(GreetingError::Address(bad.to_owned())), "{bad}");
    }
    for bad in ["x", "65536", "-1"] {
        assert_eq!(read(-65536, &format!("zk2:{bad}")), Err(GreetingError::Port(bad.to_owned())), "{bad}");
    }
}

#[test]
fn a_bad_greeting_is_refused_as_soon_as_that_is_known() {
    let start = |version: i64, length: i32| {
        let mut bytes = BytesMut::new();
        bytes.put_i64(version);
        bytes.put_i64(1);
        bytes.put_i32(length);
        Greeting::decode(&bytes.freeze())
    };
    assert_eq!(start(-1, 1), Err(GreetingError::Version(-1)));
    assert_eq!(start(-65534, 1), Err(GreetingError::Version(-65534)));
    for length in [i32::MIN, -1, 0, 2049, i32::MAX] {
        assert_eq!(start(-65536, length), Err(GreetingError::Length(length)));
    }
    assert_eq!(start(-65536, 2048), Ok(None));
    assert_eq!(Greeting::decode(&Bytes::from_static(b"GET / HTTP/1.1\r\n")).unwrap().unwrap().0.addresses, []);
    assert!(matches!(Greeting::decode(&greeting(-65536, 1, b"\xff:1")), Err(GreetingError::Address(_))));
}
