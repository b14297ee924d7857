//! How a learner's history is brought in line with the leader's: every decision of upstream `LearnerHandler.syncFollower`.

use zk_zab::{FromLearner, History, LeaderSettings, LinkId, LogStart};

use crate::stage::{Led, TICK_MS, ack, history, majority, settings, zxid};

/// A leader whose memory begins behind 4.2: 4.3, 4.4, then 5.1 and 5.2, committed all.
fn led() -> Led {
    let mut led = Led::established(majority(1..=3), history(zxid(4, 2), [(4, 3), (4, 4)]));
    led.commits(1..=2);
    led
}

#[test]
fn one_that_has_everything_gets_an_empty_diff() {
    assert_eq!(led().comes_back(3, zxid(5, 2)), ["3 DIFF 5.2", "3 NEWLEADER 5"]);
}

#[test]
fn one_within_memory_gets_what_it_lacks() {
    let rest = ["3 PROPOSAL 5.1", "3 COMMIT 5.1", "3 PROPOSAL 5.2", "3 COMMIT 5.2", "3 NEWLEADER 5"];
    assert_eq!(led().comes_back(3, zxid(4, 4))[0], "3 DIFF 5.2");
    assert_eq!(led().comes_back(3, zxid(4, 4))[1..], rest);
    let from_floor = led().comes_back(3, zxid(4, 2));
    assert_eq!(from_floor[..3], ["3 DIFF 5.2", "3 PROPOSAL 4.3", "3 COMMIT 4.3"]);
    assert_eq!(from_floor[5..], rest);
}

#[test]
fn proposals_in_flight_come_behind_newleader_with_their_commits() {
    let mut led = led();
    led.proposes([3]);
    let sent = led.comes_back(3, zxid(5, 1));
    assert_eq!(sent, ["3 DIFF 5.2", "3 PROPOSAL 5.2", "3 COMMIT 5.2", "3 NEWLEADER 5"]);
    assert_eq!(led.proposes([4]), ["2 PROPOSAL 5.4", "3 PROPOSAL 5.3", "3 PROPOSAL 5.4"]);
    led.logs(3);
    // ZOOKEEPER-4394: an original learner fails at a COMMIT here whose proposal came before NEWLEADER.
    assert_eq!(led.hears(2, ack(zxid(5, 3))), ["commit 5.3", "2 COMMIT 5.3", "3 COMMIT 5.3"]);
}

#[test]
fn the_start_of_an_epoch_stands_for_all_before_it() {
    assert_eq!(led().comes_back(3, zxid(5, 0))[..2], ["3 DIFF 5.2", "3 PROPOSAL 5.1"]);
    let mut fresh = Led::established(majority(1..=3), history(zxid(4, 2), []));
    assert_eq!(fresh.comes_back(3, zxid(5, 0)), ["3 DIFF 4.2", "3 NEWLEADER 5"], "nothing was written in it");
    fresh.hears(3, ack(zxid(5, 0)));
    fresh.commits(1..=1);
}

#[test]
fn the_start_of_an_epoch_is_never_committed() {
    let mut led = Led::established(majority(1..=3), history(zxid(4, 2), []));
    led.proposes([1]);
    led.comes_back(3, zxid(5, 0));
    led.leader.closed(LinkId(2));
    led.comes_back(2, zxid(5, 0));
    let sent = [led.hears(2, ack(zxid(5, 0))), led.hears(3, ack(zxid(5, 0)))].concat();
    assert_eq!(sent, ["2 PROPOSAL 5.1", "2 UPTODATE", "3 PROPOSAL 5.1", "3 UPTODATE"], "both have all of epoch 4");
    assert_eq!(led.hears(3, ack(zxid(5, 1))), [""; 0]);
    assert_eq!(led.logs(1)[0], "commit 5.1");
    assert_eq!(led.comes_back(9, zxid(5, 1)), ["9 DIFF 5.1", "9 NEWLEADER 5"]);
}

#[test]
fn what_nobody_committed_is_cut_off() {
    let mut led = Led::established(majority(1..=3), history(zxid(4, 2), [(4, 3)]));
    assert_eq!(led.comes_back(3, zxid(4, 7)), ["3 TRUNC 4.3", "3 NEWLEADER 5"]);
    led.commits(1..=1);
    led.leader.closed(LinkId(3));
    let sent = led.comes_back(3, zxid(4, 7));
    assert_eq!(sent, ["3 TRUNC 4.3", "3 PROPOSAL 5.1", "3 COMMIT 5.1", "3 NEWLEADER 5"], "then a DIFF");
}

#[test]
fn nothing_is_cut_off_across_an_epoch() {
    let quorum = || majority(1..=3);
    let mut led = Led::established(quorum(), history(zxid(2, 2), [(2, 3), (4, 1)]));
    assert_eq!(led.comes_back(3, zxid(3, 1)), ["3 tree"], "what it has of epoch 2 is not known");
    let mut led = Led::established(quorum(), history(zxid(4, 2), []));
    assert_eq!(led.comes_back(3, zxid(5, 1)), ["3 tree"]);
    let mut led = Led::established(quorum(), history(zxid(4, 2), []));
    led.comes_back(3, zxid(3, 9));
    assert_eq!(led.read(3, LogStart::Behind(zxid(2, 9)), &[(4, 1), (4, 2)]), ["3 tree"]);
}

#[test]
fn one_behind_memory_gets_the_log_and_then_memory() {
    let mut led = led();
    assert_eq!(led.comes_back(3, zxid(3, 9)), ["3 log behind 3.9"]);
    let sent = led.read(3, LogStart::Found, &[(4, 1)]);
    assert_eq!(sent, ["3 DIFF 5.2", "3 PROPOSAL 4.1", "3 COMMIT 4.1", "3 log behind 4.1"]);
    let sent = led.read(3, LogStart::Found, &[(4, 2)]);
    let proposals: Vec<_> = sent.iter().filter(|line| line.contains("PROPOSAL")).map(String::as_str).collect();
    let expected = ["3 PROPOSAL 4.2", "3 PROPOSAL 4.3", "3 PROPOSAL 4.4", "3 PROPOSAL 5.1", "3 PROPOSAL 5.2"];
    assert_eq!(proposals, expected);
    assert_eq!(sent.last().map(String::as_str), Some("3 NEWLEADER 5"));
}

#[test]
fn a_tail_that_the_log_does_not_have_is_cut_off() {
    let mut led = led();
    led.comes_back(3, zxid(3, 9));
    let sent = led.read(3, LogStart::Behind(zxid(3, 7)), &[(4, 1), (4, 2)]);
    assert_eq!(sent[..2], ["3 TRUNC 3.7", "3 PROPOSAL 4.1"]);
}

#[test]
fn the_start_of_an_epoch_behind_memory_is_looked_for_in_the_log() {
    let mut led = led();
    assert_eq!(led.comes_back(3, zxid(3, 0)), ["3 log behind 3.0"]);
    let sent = led.read(3, LogStart::Behind(zxid(2, 9)), &[(3, 1), (4, 2)]);
    assert_eq!(sent[..2], ["3 DIFF 5.2", "3 PROPOSAL 3.1"]);
}

#[test]
fn a_log_that_can_not_help_means_the_whole_tree() {
    for refused in [false, true] {
        let mut led = led();
        led.comes_back(3, zxid(3, 9));
        let sent = match refused {
            true => led.tell(|leader, _, wanted| leader.log_refused(LinkId(3), wanted)),
            false => led.read(3, LogStart::Missing, &[]),
        };
        assert_eq!(sent, ["3 tree"]);
    }
    let mut led = led();
    led.comes_back(3, zxid(3, 9));
    assert_eq!(led.read(3, LogStart::Found, &[]), ["3 tree"], "it ends before memory begins");
}

#[test]
fn nothing_of_the_log_is_sent_that_is_not_committed() {
    let mut led = led();
    led.proposes([3]);
    led.comes_back(3, zxid(3, 9));
    let sent = led.read(3, LogStart::Found, &[(4, 2), (5, 3)]);
    assert!(sent.contains(&"3 PROPOSAL 5.2".to_owned()) && !sent.contains(&"3 PROPOSAL 5.3".to_owned()), "{sent:?}");
    assert_eq!(led.hears(3, ack(zxid(5, 0))), ["3 PROPOSAL 5.3", "3 UPTODATE"]);
}

#[test]
fn a_log_that_is_gone_while_it_is_sent_costs_the_link() {
    for refused in [false, true] {
        let mut led = led();
        led.comes_back(3, zxid(3, 9));
        led.read(3, LogStart::Found, &[(4, 1)]);
        let sent = match refused {
            true => led.tell(|leader, _, wanted| leader.log_refused(LinkId(3), wanted)),
            // Nothing more comes, and 4.2 is missing.
            false => led.read(3, LogStart::Found, &[]),
        };
        assert_eq!(sent, ["3 closed: the log that a learner needs is gone"]);
        assert_eq!(led.read(3, LogStart::Found, &[(4, 2)]), [""; 0], "too late");
    }
}

#[test]
fn a_tree_is_a_place_to_go_on_from() {
    let mut led = led();
    assert_eq!(led.comes_back(3, -1), ["3 tree"], "nothing to build on");
    led.commits(3..=4);
    assert_eq!(led.proposes([5]), ["2 PROPOSAL 5.5"], "nothing comes between the tree's bytes");
    led.now_ms = TICK_MS;
    let sent = led.tell(|leader, now, wanted| leader.snapshot_sent(LinkId(3), zxid(5, 3), now, wanted));
    assert_eq!(sent, ["3 PROPOSAL 5.4", "3 COMMIT 5.4", "3 NEWLEADER 5"]);
    assert_eq!(led.hears(3, ack(zxid(5, 0))), ["3 PROPOSAL 5.5", "3 UPTODATE"]);
}

/// It may hold parts of 5.3 to 5.8, which memory does not reach back to.
#[test]
fn a_learner_has_all_that_its_tree_may_hold_before_newleader() {
    let mut led = led();
    assert_eq!(led.comes_back(3, -1), ["3 tree"]);
    led.commits(3..=8);
    led.now_ms = TICK_MS;
    let sent = led.tell(|leader, now, wanted| leader.snapshot_sent(LinkId(3), zxid(5, 2), now, wanted));
    assert_eq!(sent, ["3 log behind 5.2"]);
    let rest = led.read(3, LogStart::Found, &[(5, 3), (5, 4)]);
    assert_eq!(rest.last().map(String::as_str), Some("3 NEWLEADER 5"));
    assert!(rest.contains(&"3 COMMIT 5.8".to_owned()), "{rest:?}");
}

#[test]
fn a_setting_sends_every_one_the_tree() {
    let mut led =
        Led::with(LeaderSettings { force_snapshot: true, ..settings() }, majority(1..=3), history(zxid(4, 2), []));
    led.hello(2, 2, 4);
    led.tell(|leader, now, wanted| leader.epoch_accepted(5, now, wanted));
    let promise = FromLearner::AckEpoch { current_epoch: Some(4), last_zxid: zxid(4, 2) };
    assert_eq!(led.hears(2, promise), ["enter 5", "2 tree"]);
}

#[test]
fn trees_for_observers_are_limited_and_those_for_voters_are_not() {
    let quorum = zk_zab::Quorum::majority(0, 1..=3, [9, 10]);
    let mut led = Led::established(quorum, history(zxid(4, 2), []));
    assert_eq!(led.comes_back(3, -1), ["3 tree"]);
    assert_eq!(led.comes_back(9, -1), ["9 closed: Too many concurrent syncs"]);
    assert_eq!(led.comes_back(9, zxid(3, 9)), ["9 log behind 3.9"]);
    assert_eq!(led.read(9, LogStart::Missing, &[]), ["9 closed: Too many concurrent syncs"], "by way of the log too");
    led.leader.closed(LinkId(3));
    assert_eq!(led.comes_back(9, -1), ["9 tree"]);
    assert_eq!(led.comes_back(3, -1), ["3 tree"]);
}

#[test]
fn one_that_has_nothing_does_not_vote_for_the_epoch() {
    let mut led = Led::new(majority(1..=3), History::starting_behind(zxid(4, 2)));
    led.hello(2, 2, 4);
    led.tell(|leader, now, wanted| leader.epoch_accepted(5, now, wanted));
    let sent = led.hears(2, FromLearner::AckEpoch { current_epoch: Some(4), last_zxid: -1 });
    assert_eq!(sent, [""; 0]);
}
