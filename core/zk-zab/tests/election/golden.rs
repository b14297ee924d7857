//! Bytes of JVM servers, which ours must read, and write alike.

use std::collections::BTreeSet;

use base::Monotonic;
use bytes::Bytes;
use zk_zab::{Address, Greeting, LinkEffect, LinkSettings, Links, Notification, PeerState, Vote};

fn recorded(name: &str) -> Bytes {
    let line =
        include_str!("../golden/election.txt").lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let line = line.expect("a name in the file").as_bytes();
    line.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn server_list(base: u16, with_observer: bool) -> String {
    let line = |id: u16, kind| format!("server.{id}=127.0.0.1:{}:{}:{kind}\n", base + id, base + 10 + id);
    let mut text: String = (1..=3).map(|id| line(id, "participant")).collect();
    if with_observer {
        text += &line(4, "observer");
    }
    text + "version=0"
}

#[test]
fn notifications_of_jvm_servers_are_read_and_written_byte_for_byte() {
    let of_none = Vote { leader: i64::MIN, zxid: i64::MIN, peer_epoch: i64::MIN };
    let of = |leader, peer_epoch| Vote { leader, zxid: 0, peer_epoch };
    let (first, second, third) = (server_list(27100, true), server_list(27200, false), server_list(27300, true));
    for (name, state, vote, round, config) in [
        ("first-vote-of-1", PeerState::Looking, of(1, 0), 1, &first),
        ("first-vote-of-3", PeerState::Looking, of(3, 0), 1, &second),
        ("first-vote-of-observer-4", PeerState::Looking, of_none, 1, &third),
        ("looking-1-for-3", PeerState::Looking, of(3, 0), 2, &first),
        ("following-1", PeerState::Following, of(3, 1), 2, &first),
        ("leading-3", PeerState::Leading, of(3, 1), 2, &first),
    ] {
        let frame = recorded(name);
        let ours = Notification::new(state, vote, round, Bytes::from(config.clone()));
        assert_eq!(Notification::decode(&frame.slice(4..)), Ok(ours.clone()), "{name}");
        assert_eq!(ours.encode(), frame.slice(4..), "{name}");
        assert_eq!(ours.config_version(), Some(0));
    }
}

#[test]
fn a_notification_is_logged_as_the_original_does() {
    let line = "n.state:FOLLOWING, n.leader:3, n.round:0x2, n.peerEpoch:0x1, n.zxid:0x0, \
                message format version:0x2, n.config version:0x0";
    assert_eq!(Notification::decode(&recorded("following-1").slice(4..)).unwrap().to_string(), line);
}

#[test]
fn greetings_of_jvm_servers_are_read_and_written_byte_for_byte() {
    for (name, id, port, is_multi_address) in [
        ("greeting-1", 1, 27211, false),
        ("greeting-3-addresses", 3, 27213, true),
        ("greeting-4-observer", 4, 27314, false),
    ] {
        let bytes = recorded(name);
        let greeting = Greeting { id, addresses: vec![Address { host: "127.0.0.1".to_owned(), port }] };
        assert_eq!(Greeting::decode(&bytes), Ok(Some((greeting, bytes.len()))), "{name}");

        // A server with this number and address says the same to the one that it dials, whose number is smaller.
        let settings = LinkSettings {
            addresses: vec![format!("127.0.0.1:{port}")],
            is_multi_address,
            connect_timeout_ms: 5000,
            greeting_timeout_ms: 10_000,
        };
        let mut links = Links::new(id, BTreeSet::from([0, id]), settings);
        let mut effects = Vec::new();
        links.send(0, &recorded("first-vote-of-1").slice(4..), Monotonic::default(), &mut effects);
        let Some(LinkEffect::Dial { link, peer: 0, .. }) = effects.pop() else { panic!("no dial") };
        links.dialled(link, &mut effects);
        let sent = |bytes| LinkEffect::Send { link, bytes };
        assert_eq!(effects, [sent(bytes), sent(recorded("first-vote-of-1"))], "{name}");
    }
}
