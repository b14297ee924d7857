//! The leader, packet by packet.

use std::collections::BTreeMap;

use base::Monotonic;
use bytes::Bytes;
use zk_zab::{FromLearner, LeaderSettings, LearnerInfo, LinkId, Quorum, Voter};

use crate::stage::{
    HISTORY_LEN, INIT_LIMIT_MS, Led, SYNC_LIMIT_MS, TICK_MS, ack, entry, history, info, majority, promise, settings,
    zxid,
};

const NOTHING: [&str; 0] = [];

fn three() -> Led {
    Led::new(majority(1..=3), history(zxid(4, 1), [(4, 2)]))
}

fn established() -> Led {
    Led::established(majority(1..=3), history(zxid(4, 1), [(4, 2)]))
}

#[test]
fn an_epoch_from_the_first_packet_to_the_first_commit() {
    let mut led = three();
    assert_eq!(led.first, NOTHING, "one of three is no quorum");
    assert_eq!(led.hello(2, 2, 6), ["accept 7"], "later than any epoch that was accepted");
    assert_eq!(led.hello(3, 3, 4), NOTHING, "nobody is told before the own promise is durable");
    let told = led.tell(|leader, now, wanted| leader.epoch_accepted(7, now, wanted));
    assert_eq!(told, ["2 LEADERINFO 7", "3 LEADERINFO 7"]);
    assert_eq!(led.hears(2, promise(4, zxid(4, 2))), ["enter 7", "2 DIFF 4.2"]);
    let entered = led.tell(|leader, now, wanted| leader.epoch_entered(7, now, wanted));
    assert_eq!(entered, ["2 NEWLEADER 7"], "nobody is told to enter before the own epoch is durable");
    assert_eq!(led.hears(2, ack(zxid(7, 0))), ["established 7", "2 UPTODATE"]);
    assert_eq!(led.hears(2, ack(zxid(7, 0))), NOTHING, "UPTODATE is acknowledged");
    assert_eq!(led.hears(3, promise(4, zxid(4, 1))), ["3 DIFF 4.2", "3 PROPOSAL 4.2", "3 COMMIT 4.2", "3 NEWLEADER 7"]);

    let proposed = led.tell(|leader, _, wanted| leader.proposed(entry(7, 1), wanted));
    assert_eq!(proposed, ["2 PROPOSAL 7.1", "3 PROPOSAL 7.1"]);
    let commit = ["commit 7.1", "2 COMMIT 7.1", "3 COMMIT 7.1"];
    assert_eq!(led.hears(2, ack(zxid(7, 1))), NOTHING, "one of three");
    assert_eq!(led.tell(|leader, _, wanted| leader.logged(zxid(7, 1), wanted)), commit);
    assert_eq!(led.hears(3, ack(zxid(7, 0))), ["3 UPTODATE"]);
    assert_eq!(led.leader.synced_counts(), (2, 0));
}

#[test]
fn an_epoch_written_for_another_role_is_not_this_leaders() {
    let mut led = three();
    led.hello(2, 2, 4);
    assert_eq!(led.tell(|leader, now, wanted| leader.epoch_accepted(4, now, wanted)), NOTHING);
    assert_eq!(led.tell(|leader, now, wanted| leader.epoch_accepted(5, now, wanted)), ["2 LEADERINFO 5"]);
    led.hears(2, promise(4, zxid(4, 2)));
    assert_eq!(led.tell(|leader, now, wanted| leader.epoch_entered(4, now, wanted)), NOTHING);
    assert_eq!(led.tell(|leader, now, wanted| leader.epoch_entered(5, now, wanted)), ["2 NEWLEADER 5"]);
}

#[test]
fn a_promise_made_before_does_not_count_for_this_leader() {
    let mut led = three();
    led.hello(2, 2, 4);
    led.tell(|leader, now, wanted| leader.epoch_accepted(5, now, wanted));
    let again = FromLearner::AckEpoch { current_epoch: None, last_zxid: zxid(4, 2) };
    assert_eq!(led.hears(2, again), NOTHING);
    led.hello(3, 3, 4);
    let synced = led.hears(3, promise(4, zxid(4, 2)));
    assert_eq!(synced, ["enter 5", "2 DIFF 4.2", "3 DIFF 4.2"]);
}

/// It was made with the history that its server had then. If that server has begun a later epoch since, with others, a
/// quorum can't enter this one any more.
#[test]
fn a_promise_stands_when_its_server_is_gone() {
    let mut led = Led::new(majority(1..=5), history(zxid(4, 1), [(4, 2)]));
    led.hello(2, 2, 4);
    led.hello(3, 3, 4);
    led.tell(|leader, now, wanted| leader.epoch_accepted(5, now, wanted));
    assert_eq!(led.hears(3, promise(4, zxid(4, 2))), NOTHING);
    led.leader.closed(LinkId(3));
    assert_eq!(led.hears(2, promise(4, zxid(4, 2))), ["enter 5", "2 DIFF 4.2"]);
    led.tell(|leader, now, wanted| leader.epoch_entered(5, now, wanted));
    assert_eq!(led.hears(2, ack(zxid(5, 0))), NOTHING, "two of five");
}

#[test]
fn a_learner_that_is_ahead_is_turned_away_while_the_epoch_is_chosen() {
    for ahead in [promise(4, zxid(4, 3)), promise(5, zxid(4, 1))] {
        let mut led = three();
        led.hello(2, 2, 4);
        led.tell(|leader, now, wanted| leader.epoch_accepted(5, now, wanted));
        assert_eq!(led.hears(2, ahead), ["2 closed: Follower is ahead of the leader"]);
        led.hello(3, 3, 4);
        assert_eq!(led.hears(3, promise(4, zxid(4, 2))), ["enter 5", "3 DIFF 4.2"]);
    }
}

#[test]
fn a_leader_that_was_appointed_and_is_behind_resigns_at_once() {
    let mut led = three();
    led.hello(2, 2, 4);
    led.hello(3, 3, 4);
    led.tell(|leader, now, wanted| leader.epoch_accepted(5, now, wanted));
    assert_eq!(led.hears(3, promise(4, zxid(4, 3))), ["3 closed: Follower is ahead of the leader"]);
    let why = "{2, 3} are ahead of the leader, and there is no quorum without them";
    let told = led.hears(2, promise(4, zxid(4, 4)));
    assert_eq!(told, ["2 closed: Follower is ahead of the leader", &format!("resign: {why}")]);
}

#[test]
fn acknowledgements_count_up_to_what_was_sent_and_commits_keep_their_order() {
    let mut led = Led::established(majority(1..=3), history(zxid(4, 2), []));
    led.comes_back(3, zxid(4, 2));
    led.hears(3, ack(zxid(5, 0)));
    led.proposes(1..=3);
    assert_eq!(led.hears(2, ack(zxid(5, 99))), NOTHING, "nothing beyond what was sent");
    let committed = led.hears(3, ack(zxid(5, 2)));
    assert_eq!(committed[0], "commit 5.2", "the second stands for the first, and the own log is not needed");
    assert_eq!(committed[1..], ["2 COMMIT 5.1", "2 COMMIT 5.2", "3 COMMIT 5.1", "3 COMMIT 5.2"]);
    assert_eq!(led.hears(3, ack(zxid(5, 1))), NOTHING, "what was acknowledged stays so");
    assert_eq!(led.logs(3)[0], "commit 5.3");
}

#[test]
fn an_observer_is_informed_of_what_is_committed_and_counts_for_nothing() {
    let mut led = established();
    assert_eq!(led.comes_back(9, zxid(4, 1)), ["9 DIFF 4.2", "9 INFORM 4.2", "9 NEWLEADER 5"]);
    assert_eq!(led.hears(9, ack(zxid(5, 0))), ["9 UPTODATE"]);
    assert_eq!(led.proposes([1]), ["2 PROPOSAL 5.1"]);
    assert_eq!(led.logs(1), NOTHING);
    assert_eq!(led.hears(9, ack(zxid(5, 1))), NOTHING);
    assert_eq!(led.hears(2, ack(zxid(5, 1))), ["commit 5.1", "2 COMMIT 5.1", "9 INFORM 5.1"]);
    assert_eq!(led.leader.synced_counts(), (1, 1));
}

#[test]
fn groups_and_weights_decide() {
    let voter = |weight, group| Voter { weight, group };
    let voters = [(1, 1, 1), (2, 1, 1), (3, 3, 2), (4, 1, 2), (5, 0, 2)];
    let voters = BTreeMap::from(voters.map(|(id, weight, group)| (id, voter(weight, group))));
    let mut led = Led::new(Quorum::hierarchical(0, voters, []), history(zxid(4, 2), []));
    assert_eq!(led.hello(2, 2, 4), NOTHING, "one of two groups");
    assert_eq!(led.hello(4, 4, 4), NOTHING, "a quarter of the other one");
    assert_eq!(led.hello(5, 5, 4), NOTHING, "no weight");
    assert_eq!(led.hello(3, 3, 4), ["accept 5"]);
}

#[test]
fn what_a_learner_came_with_is_committed_before_it_serves() {
    let mut led = established();
    led.proposes([1, 2]);
    led.leader.closed(LinkId(2));
    assert_eq!(led.comes_back(2, zxid(5, 1)), ["2 DIFF 4.2", "2 NEWLEADER 5"]);
    assert_eq!(
        led.hears(2, ack(zxid(5, 0))),
        ["2 PROPOSAL 5.2"],
        "no UPTODATE: it has applied 5.1, which may yet be lost"
    );
    assert_eq!(led.logs(1), ["commit 5.1", "2 UPTODATE"], "it came with 5.1, and needs no COMMIT");
    led.logs(2);
    assert_eq!(led.hears(2, ack(zxid(5, 2))), ["commit 5.2", "2 COMMIT 5.2"]);
}

#[test]
fn no_quorum_in_time_ends_the_leader() {
    let mut led = three();
    led.hello(9, 9, 4);
    assert_eq!(led.waits(INIT_LIMIT_MS - 10, &[9]), NOTHING);
    assert_eq!(led.waits(10, &[9]), ["resign: Timeout while waiting for epoch from quorum"]);
    assert_eq!(led.leader.deadline(), None);

    let mut led = three();
    led.hello(2, 2, 4);
    led.tell(|leader, now, wanted| leader.epoch_accepted(5, now, wanted));
    assert_eq!(led.waits(INIT_LIMIT_MS, &[2]), ["resign: Timeout while waiting for epoch acks from quorum"]);

    let mut led = three();
    led.hello(2, 2, 4);
    led.tell(|leader, now, wanted| leader.epoch_accepted(5, now, wanted));
    led.hears(2, promise(4, zxid(4, 2)));
    led.tell(|leader, now, wanted| leader.epoch_entered(5, now, wanted));
    assert_eq!(led.waits(INIT_LIMIT_MS, &[2]), ["resign: Timeout while waiting for new leader acks from quorum"]);
    assert_eq!(led.hears(2, ack(zxid(5, 0))), NOTHING, "it leads no more");
}

#[test]
fn a_voter_that_looks_again_ends_a_leader_that_waits_too_long() {
    let patient = three();
    let mut led = Led::with(LeaderSettings { epoch_wait_ms: Some(300), ..settings() }, majority(1..=3), history(0, []));
    for mut led in
        [patient, Led::with(LeaderSettings { epoch_wait_ms: Some(300), ..settings() }, majority(1..=3), history(0, []))]
    {
        led.now_ms = 300;
        assert_eq!(led.tell(|leader, now, wanted| leader.looking(2, now, wanted)), NOTHING);
    }
    led.now_ms = 301;
    assert_eq!(led.tell(|leader, now, wanted| leader.looking(9, now, wanted)), NOTHING, "not a voter");
    let resigned = led.tell(|leader, now, wanted| leader.looking(2, now, wanted));
    assert_eq!(resigned, ["resign: Timeout while waiting for epoch from quorum"]);

    let mut led = Led::established_with(
        LeaderSettings { epoch_wait_ms: Some(300), ..settings() },
        majority(1..=3),
        history(0, []),
    );
    led.now_ms = 400;
    assert_eq!(led.tell(|leader, now, wanted| leader.looking(3, now, wanted)), NOTHING, "it is established");
}

#[test]
fn a_leader_without_a_quorum_ends_at_the_next_full_tick() {
    let mut led = established();
    assert_eq!(led.waits(10 * TICK_MS, &[2]), NOTHING);
    led.leader.closed(LinkId(2));
    assert_eq!(led.waits(TICK_MS, &[]), ["resign: Not sufficient followers synced, only synced with sids: [1]"]);
}

#[test]
fn a_follower_that_comes_back_counts_while_it_takes_the_history_over() {
    let mut led = established();
    led.leader.closed(LinkId(2));
    assert_eq!(led.comes_back(2, -1), ["2 tree"]);
    assert_eq!(led.waits(3 * TICK_MS, &[]), NOTHING);
}

#[test]
fn silence_loses_a_learner_and_what_it_takes_counts_as_a_sign_of_life() {
    let mut led = Led::established(majority(1..=3), history(zxid(4, 2), []));
    led.comes_back(3, -1);
    led.now_ms = INIT_LIMIT_MS - 10;
    led.leader.alive(LinkId(3), Monotonic::from_ms(led.now_ms));
    led.hears(2, FromLearner::Ping);
    assert_eq!(led.waits(SYNC_LIMIT_MS - 10, &[]), NOTHING, "one is receiving a tree, the other was heard");
    assert_eq!(led.waits(10, &[]), ["2 closed: Read timed out"]);
}

#[test]
fn a_learner_that_waited_for_the_quorum_is_not_silent_when_it_may_serve() {
    let mut led = Led::new(majority(1..=5), history(zxid(4, 2), []));
    led.hello(2, 2, 4);
    led.hello(3, 3, 4);
    led.tell(|leader, now, wanted| leader.epoch_accepted(5, now, wanted));
    led.hears(2, promise(4, zxid(4, 2)));
    led.hears(3, promise(4, zxid(4, 2)));
    led.tell(|leader, now, wanted| leader.epoch_entered(5, now, wanted));
    led.hears(2, ack(zxid(5, 0)));
    led.now_ms = SYNC_LIMIT_MS + 100;
    assert_eq!(led.hears(3, ack(zxid(5, 0))), ["established 5", "2 UPTODATE", "3 UPTODATE"]);
    assert_eq!(led.waits(SYNC_LIMIT_MS - 10, &[]), NOTHING);
}

#[test]
fn a_follower_that_answers_and_does_not_log_is_lost() {
    let mut led = established();
    led.comes_back(3, zxid(4, 2));
    led.hears(3, ack(zxid(5, 0)));
    led.proposes([1]);
    led.hears(2, ack(zxid(5, 1)));
    let lost = led.waits(SYNC_LIMIT_MS + TICK_MS, &[2, 3]);
    assert_eq!(lost, ["3 closed: Closing connection to peer due to transaction timeout."]);
}

#[test]
fn a_leader_whose_own_log_stands_still_resigns_if_the_others_do_without_it() {
    let both_follow = || {
        let mut led = established();
        led.comes_back(3, zxid(4, 2));
        led.hears(3, ack(zxid(5, 0)));
        led.proposes([1]);
        led
    };
    let late = SYNC_LIMIT_MS + 2 * TICK_MS;
    let mut led = both_follow();
    for link in [2, 3] {
        led.hears(link, ack(zxid(5, 1)));
    }
    let reason = "resign: this server has not logged a transaction for 500 ms, and the others do without it";
    assert_eq!(led.waits(late, &[2, 3]), [reason]);
    // It logs late, but it does.
    let mut led = both_follow();
    for counter in 1..20 {
        for link in [2, 3] {
            led.hears(link, ack(zxid(5, counter)));
        }
        assert_eq!(led.waits(SYNC_LIMIT_MS / 2, &[2, 3]), NOTHING);
        led.proposes([counter + 1]);
        led.logs(counter);
    }
    // One other is no quorum.
    let mut led = both_follow();
    led.hears(2, ack(zxid(5, 1)));
    led.leader.closed(LinkId(3));
    assert_eq!(led.waits(late, &[2]), NOTHING);
}

#[test]
fn the_last_number_of_an_epoch_ends_it() {
    let mut led = established();
    assert_eq!(led.proposes([0xffff_fffd]), ["2 PROPOSAL 5.4294967293"]);
    let last = led.proposes([0xffff_fffe]);
    assert_eq!(last[0], "2 PROPOSAL 5.4294967294");
    assert!(last[1].starts_with("resign: zxid lower 32 bits have rolled over"), "{last:?}");
}

#[test]
fn a_voter_that_has_promised_a_later_epoch_ends_the_leader_and_an_observer_does_not() {
    let mut led = established();
    assert_eq!(led.hello(9, 9, 6), ["9 LEADERINFO 5"], "it decides for itself");
    assert_eq!(led.hello(3, 3, 6), ["3 LEADERINFO 5"], "nobody has heard it vote");
    led.leader.voted(3, Some(6));
    let foreign =
        "3 closed: server 3 has history of epoch 6, and this is epoch 5: its data directory is another ensemble's";
    assert_eq!(
        led.hello(4, 3, 6),
        ["3 closed: the same server has connected again", "4 LEADERINFO 5", &foreign.replace("3 closed", "4 closed")]
    );
    led.leader.voted(3, Some(5));
    let resigned = led.hello(3, 3, 6);
    assert_eq!(resigned, ["resign: 3 has accepted epoch 6 already, and can't follow epoch 5"]);
}

#[test]
fn a_server_that_connects_twice_keeps_its_newer_link() {
    let mut led = established();
    assert_eq!(led.hello(7, 2, 5), ["2 closed: the same server has connected again", "7 LEADERINFO 5"]);
    led.leader.closed(LinkId(2));
    let again = FromLearner::AckEpoch { current_epoch: None, last_zxid: zxid(4, 2) };
    assert_eq!(led.hears(7, again), ["7 DIFF 4.2", "7 NEWLEADER 5"]);
    assert_eq!(led.hears(2, ack(zxid(5, 0))), NOTHING, "nobody listens to the old one");
    assert_eq!(led.hears(7, ack(zxid(5, 0))), ["7 UPTODATE"]);
    assert_eq!(led.leader.learner_counts(), (1, 0));
}

#[test]
fn learners_without_a_number_are_told_apart() {
    let mut led = established();
    let info =
        LearnerInfo { id: -1, is_observer: true, protocol_version: 0x1_0000, config_version: 0, accepted_epoch: 5 };
    for link in [20, 21] {
        led.leader.opened(LinkId(link), Monotonic::from_ms(0));
        assert_eq!(led.hears(link, FromLearner::Info(info.clone())), [format!("{link} LEADERINFO 5")]);
    }
    assert_eq!(led.leader.learner_counts(), (1, 2));
}

#[test]
fn packets_that_do_not_belong_cost_the_link_and_nothing_else() {
    let mut led = established();
    for early in [promise(4, zxid(4, 2)), ack(zxid(5, 0)), FromLearner::Ping] {
        led.leader.opened(LinkId(3), Monotonic::from_ms(0));
        assert_eq!(led.hears(3, early), ["3 closed: First packet is not FOLLOWERINFO or OBSERVERINFO!"]);
    }
    for early in [info(3, 4), ack(zxid(5, 0)), FromLearner::Ping] {
        led.hello(3, 3, 4);
        assert_eq!(led.hears(3, early), ["3 closed: Packet is not ACKEPOCH"]);
    }
    assert_eq!(led.leader.synced_counts(), (1, 0));
    assert_eq!(led.hears(2, info(2, 4)), ["2 closed: Unexpected packet of a learner"]);
    assert_eq!(led.hears(3, ack(zxid(5, 0))), NOTHING, "nobody is there");

    for accepted_epoch in [-2, i64::from(i32::MAX), i64::MAX] {
        assert_eq!(led.hello(3, 3, accepted_epoch), ["3 closed: an accepted epoch that can't be"]);
    }
    let with = |protocol_version, config_version| {
        FromLearner::Info(LearnerInfo {
            id: 3,
            is_observer: false,
            protocol_version,
            config_version,
            accepted_epoch: 4,
        })
    };
    led.leader.opened(LinkId(3), Monotonic::from_ms(0));
    assert_eq!(led.hears(3, with(1, 0)), ["3 closed: a learner from before 3.4.0, which is not served"]);
    led.leader.opened(LinkId(3), Monotonic::from_ms(0));
    let ahead = "Follower is ahead of the leader (has a later activated configuration)";
    assert_eq!(led.hears(3, with(0x1_0000, 1)), [format!("3 closed: {ahead}")]);
}

#[test]
fn a_congested_learner_is_sent_pings_alone_and_goes_on_where_it_was() {
    let mut led = established();
    led.proposes([1]);
    led.congested(2, true);
    assert_eq!(led.proposes([2]), NOTHING);
    led.logs(2);
    assert_eq!(led.hears(2, ack(zxid(5, 1))), ["commit 5.1"]);
    led.now_ms = TICK_MS;
    assert_eq!(led.tell(|leader, now, wanted| leader.tick(now, wanted)), ["2 PING 5.2"]);
    assert_eq!(led.congested(2, false), ["2 COMMIT 5.1", "2 PROPOSAL 5.2"]);
}

#[test]
fn a_learner_that_falls_behind_memory_is_brought_on_from_the_log() {
    let mut led = established();
    led.comes_back(3, zxid(4, 2));
    led.hears(3, ack(zxid(5, 0)));
    led.congested(3, true);
    led.commits(1..=9);
    assert_eq!(led.congested(3, false), ["3 log behind 4.2"]);
    led.proposes([10]);
    assert_eq!(HISTORY_LEN, 4, "5.6 and later are kept");
    let found = zk_zab::LogStart::Found;
    let read = led.read(3, found, &[(5, 1), (5, 2), (5, 3)]);
    assert_eq!(read.last().map(String::as_str), Some("3 log behind 5.3"));
    let read = led.read(3, found, &[(5, 4), (5, 5), (5, 6)]);
    let all = ["4", "5", "6", "7", "8", "9"]
        .map(|counter| [format!("3 PROPOSAL 5.{counter}"), format!("3 COMMIT 5.{counter}")]);
    for line in all.as_flattened() {
        assert!(read.contains(line), "{line} of {read:?}");
    }
    assert_eq!(read.iter().filter(|line| line.contains("PROPOSAL")).count(), 7, "5.10 too");
    assert!(!read.iter().any(|line| line.ends_with("COMMIT 5.10")));
}

#[test]
fn what_stands_behind_a_commit_waits_for_it() {
    let mut led = established();
    led.proposes([1]);
    led.logs(1);
    led.congested(2, true);
    led.hears(2, ack(zxid(5, 1)));
    let sync = Bytes::from_static(b"sync");
    assert_eq!(led.tell(|leader, _, wanted| leader.send_behind(LinkId(2), sync.clone(), false, wanted)), NOTHING);
    led.proposes([2]);
    assert_eq!(led.congested(2, false), ["2 COMMIT 5.1", "2 other sync", "2 PROPOSAL 5.2"]);
}

/// A follower's client asks for a sync between two writes, and both are committed at once.
#[test]
fn an_answer_stands_between_the_commits_where_it_was_asked_for() {
    let mut led = established();
    led.proposes([1]);
    let answer = |text: &'static [u8], proposed| {
        move |leader: &mut zk_zab::Leader, _: base::Monotonic, wanted: &mut Vec<zk_zab::LeaderEffect>| {
            leader.send_behind(LinkId(2), Bytes::from_static(text), proposed, wanted);
        }
    };
    assert_eq!(led.tell(answer(b"sync", true)), NOTHING);
    led.proposes([2]);
    assert_eq!(led.tell(answer(b"session", false)), ["2 other session"], "it waits for no proposal");
    led.logs(2);
    let sent = led.hears(2, ack(zxid(5, 2)));
    let to_two: Vec<&String> = sent.iter().filter(|line| line.starts_with("2 ")).collect();
    assert_eq!(to_two, ["2 COMMIT 5.1", "2 other sync", "2 COMMIT 5.2"]);
}
