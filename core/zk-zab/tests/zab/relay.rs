//! A follower that feeds observers, packet by packet.

use base::Monotonic;
use bytes::Bytes;
use zk_zab::{DecidingLists, Leader, LogStart};

use crate::stage::{Led, SYNC_LIMIT_MS, TICK_MS, ack, entry, history, info, majority, promise, settings, zxid};

const NOTHING: [&str; 0] = [];

/// Server 1 follows in epoch 5, has logged 5.3, and heard that 5.2 is committed.
fn relaying(bytes_max: usize) -> Led {
    let mut history = history(zxid(5, 0), [(5, 1), (5, 2), (5, 3)]);
    history.commit(zxid(5, 2));
    let lists = DecidingLists::new(majority(1..=3).into(), Bytes::from_static(b"servers"), None);
    let leader = Leader::relaying(settings(), lists, history, 5, bytes_max, Monotonic::from_ms(0));
    Led { leader, now_ms: 0, first: Vec::new() }
}

impl Led {
    fn hears_of_commit(&mut self, counter: i64) -> Vec<String> {
        self.tell(|leader, _, wanted| leader.committed(zxid(5, counter), wanted))
    }
}

#[test]
fn an_observer_is_given_what_is_committed_and_nothing_else() {
    let mut led = relaying(1000);
    assert_eq!(led.hello(9, 9, 4), ["9 LEADERINFO 5"], "the epoch is established");
    let given = ["9 DIFF 5.2", "9 INFORM 5.2", "9 NEWLEADER 5"];
    assert_eq!(led.hears(9, promise(4, zxid(5, 1))), given, "5.3 may yet be lost");
    assert_eq!(led.hears(9, ack(zxid(5, 0))), ["9 UPTODATE"]);
    assert_eq!(led.hears(9, ack(zxid(5, 0))), NOTHING, "UPTODATE is acknowledged");
    assert_eq!(led.leader.synced_counts(), (0, 1));
    assert_eq!(led.proposes([4]), NOTHING);
    assert_eq!(led.hears_of_commit(3), ["9 INFORM 5.3"]);
    let behind =
        |leader: &mut Leader, wanted: &mut _| leader.send_behind(zk_zab::LinkId(9), "ok".into(), false, wanted);
    assert_eq!(led.tell(|leader, _, wanted| behind(leader, wanted)), ["9 other ok"]);
    assert_eq!(led.hears_of_commit(4), ["9 INFORM 5.4"]);
}

#[test]
fn a_voter_is_turned_away() {
    let mut led = relaying(1000);
    assert_eq!(led.hello(2, 2, 5), ["2 closed: Non observer attempting to connect to ObserverMaster."]);
}

#[test]
fn an_observer_that_lags_is_brought_on_from_the_log_and_memory_is_bounded() {
    let mut led = relaying(6);
    led.comes_back(9, zxid(5, 2));
    led.hears(9, ack(zxid(5, 0)));
    led.congested(9, true);
    led.proposes(4..=8);
    (3..=8).for_each(|counter| assert_eq!(led.hears_of_commit(counter), NOTHING));
    assert_eq!(led.congested(9, false), ["9 log behind 5.2"], "of six bytes two transactions are left");
    let told = led.read(9, LogStart::Found, &[(5, 3), (5, 4), (5, 5), (5, 6)]);
    assert_eq!(told, ["9 INFORM 5.3", "9 INFORM 5.4", "9 INFORM 5.5", "9 INFORM 5.6", "9 INFORM 5.7", "9 INFORM 5.8"]);
}

#[test]
fn it_pings_loses_the_silent_and_never_resigns() {
    let mut led = relaying(1000);
    led.comes_back(9, zxid(5, 2));
    led.hears(9, ack(zxid(5, 0)));
    led.now_ms = TICK_MS;
    assert_eq!(led.tell(|leader, now, wanted| leader.tick(now, wanted)), ["9 PING 5.3"]);
    led.now_ms = SYNC_LIMIT_MS * 2;
    assert_eq!(led.tell(|leader, now, wanted| leader.tick(now, wanted)), ["9 closed: Read timed out"]);
    led.now_ms = SYNC_LIMIT_MS * 100;
    assert_eq!(led.tell(|leader, now, wanted| leader.tick(now, wanted)), NOTHING);
    let last = led.tell(|leader, _, wanted| leader.proposed(entry(5, 0xffff_fffe), wanted));
    assert_eq!(last, NOTHING, "the end of the epoch is the leader's to see");
    led.leader.opened(zk_zab::LinkId(8), Monotonic::from_ms(led.now_ms));
    assert_eq!(led.hears(8, info(9, 6)), ["8 LEADERINFO 5"], "who has promised a later epoch leaves by itself");
}

#[test]
fn a_list_of_servers_comes_in_force_with_its_transaction() {
    let mut led = relaying(1000);
    led.comes_back(9, zxid(5, 2));
    led.hears(9, ack(zxid(5, 0)));
    led.leader.activates(zxid(5, 3), 2, None);
    assert_eq!(led.hears_of_commit(3), ["9 INFORMANDACTIVATE 5.3 2"]);
}
