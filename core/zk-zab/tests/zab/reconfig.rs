//! A list of servers that changes, packet by packet: what a quorum is meanwhile, and who leads then.

use bytes::Bytes;
use zk_zab::{FromLeader, FromLearner, LearnerInfo, LinkId, LogStart, ProposedList, Quorum, ServerId, Voter};

use crate::stage::{
    Led, SYNC_LIMIT_MS, TICK_MS, Taught, ack, entry, history, info, majority, new_leader, promise, settings, zxid,
};

const NOTHING: [&str; 0] = [];

fn list(voters: &[ServerId], stays: bool) -> ProposedList {
    let quorum = Quorum::majority(zxid(5, 1), voters.iter().copied(), []).into();
    ProposedList { quorum, config: Bytes::from_static(b"new servers"), stays }
}

/// Server 1 leads 1 to 3 and has proposed, as 5.1, a list; of the servers named here each follows on its own link.
fn reconfiguring(next: ProposedList, followers: &[ServerId]) -> Led {
    let mut led = Led::established(majority(1..=3), history(zxid(4, 2), []));
    for id in followers.iter().filter(|id| **id != 2) {
        led.comes_back(*id, zxid(4, 2));
        led.hears(*id as u64, ack(zxid(5, 0)));
    }
    led.leader.propose_list(zxid(5, 1), next);
    led
}

fn shows(wanted: &[String], kinds: &[&str]) -> Vec<String> {
    wanted.iter().filter(|line| kinds.iter().any(|kind| line.contains(kind))).cloned().collect()
}

#[test]
fn a_list_and_what_follows_it_need_both_quorums_and_then_the_new_one() {
    let mut led = reconfiguring(list(&[1, 4, 5], true), &[2, 4, 5]);
    assert_eq!(led.proposes([1, 2]).len(), 6, "three learners, two proposals");
    led.logs(2);
    assert_eq!(led.hears(2, ack(zxid(5, 2))), NOTHING, "a quorum of the old list alone");
    let wanted = led.hears(4, ack(zxid(5, 1)));
    let told = |link: u64| format!("{link} COMMITANDACTIVATE 5.1 1");
    assert_eq!(wanted, ["commit 5.1".to_owned(), told(2), told(4), told(5), "activate 1".to_owned()]);
    assert_eq!(led.hears(2, ack(zxid(5, 2))), NOTHING, "server 2 has no vote any more");
    let wanted = led.hears(5, ack(zxid(5, 2)));
    assert_eq!(wanted[0], "commit 5.2", "of 1 and 5, two of three");
}

#[test]
fn what_came_before_the_list_does_not_wait_for_the_new_quorum() {
    let mut led = Led::established(majority(1..=3), history(zxid(4, 2), []));
    led.proposes([1, 2]);
    led.leader.propose_list(zxid(5, 3), list(&[1, 4, 5], true));
    led.proposes([3]);
    led.logs(3);
    let wanted = led.hears(2, ack(zxid(5, 3)));
    assert_eq!(shows(&wanted, &["commit "]), ["commit 5.2"]);
    assert_eq!(shows(&wanted, &["ACTIVATE", "activate"]), NOTHING);
}

#[test]
fn a_leader_that_is_left_out_hands_over_to_the_one_that_has_logged_most() {
    let mut led = reconfiguring(list(&[2, 3, 4], false), &[2, 3, 4]);
    led.proposes([1, 2]);
    led.logs(2);
    led.hears(2, ack(zxid(5, 1)));
    let wanted = led.hears(3, ack(zxid(5, 2)));
    assert_eq!(wanted[0], "commit 5.1");
    assert_eq!(wanted.last().map(String::as_str), Some("activate 3"));
    assert_eq!(led.hears(2, ack(zxid(5, 2))), NOTHING, "it commits nothing any more");
    assert_eq!(led.waits(TICK_MS, &[2, 3, 4]), NOTHING, "the others are still there");
    led.leader.closed(LinkId(2));
    assert_eq!(led.waits(10, &[3, 4]), NOTHING, "two of three are");
    led.leader.closed(LinkId(3));
    let wanted = led.waits(10, &[4]);
    assert_eq!(wanted, ["resign: Not sufficient followers synced, only synced with sids: [1, 4]"], "at once");
}

#[test]
fn a_server_without_weight_is_no_successor() {
    let voter = |weight| Voter { weight, group: 1 };
    let voters = [(2, voter(1)), (3, voter(0)), (4, voter(1))].into();
    let quorum = Quorum::hierarchical(zxid(5, 1), voters, []).into();
    let next = ProposedList { quorum, config: Bytes::from_static(b"new servers"), stays: false };
    let mut led = reconfiguring(next, &[2, 3, 4]);
    led.proposes([1, 2]);
    led.logs(1);
    led.hears(3, ack(zxid(5, 2)));
    led.hears(2, ack(zxid(5, 1)));
    let wanted = led.hears(4, ack(zxid(5, 1)));
    assert_eq!(wanted.last().map(String::as_str), Some("activate 4"));
}

#[test]
fn an_observer_hears_of_the_list_as_it_is_committed() {
    let mut led = reconfiguring(list(&[1, 2, 9], true), &[9]);
    assert!(!led.leader.is_synced(&Quorum::majority(0, [2, 9, 7], [])), "an observer has acknowledged nothing");
    assert!(led.leader.is_synced(&Quorum::majority(0, [1, 2, 9], [])));
    led.proposes([1]);
    led.logs(1);
    let wanted = led.hears(2, ack(zxid(5, 1)));
    assert_eq!(wanted, ["commit 5.1", "2 COMMITANDACTIVATE 5.1 1", "9 INFORMANDACTIVATE 5.1 1", "activate 1"]);
}

/// It had a vote when the list was proposed, and came back as what the list in force makes of it.
#[test]
fn a_list_that_needs_the_vote_of_an_observer_ends_the_epoch() {
    let mut led = reconfiguring(list(&[1, 9, 7], true), &[9]);
    led.proposes([1]);
    let wanted = led.waits(TICK_MS, &[2, 9]);
    let reason = "resign: the proposed list of servers needs the votes of servers that follow as observers";
    assert_eq!(wanted, [reason]);
}

#[test]
fn who_comes_later_is_told_the_list_in_force() {
    let mut led = reconfiguring(list(&[1, 2, 4], true), &[2]);
    led.proposes([1]);
    let joined = led.comes_back(4, zxid(4, 2));
    assert_eq!(joined, ["4 DIFF 4.2", "4 NEWLEADER 5"], "the old list: the new one is not committed");
    assert_eq!(led.hears(4, ack(zxid(5, 0))), ["4 PROPOSAL 5.1", "4 UPTODATE"]);
    led.logs(1);
    led.hears(2, ack(zxid(5, 1)));
    let joined = led.comes_back(3, zxid(4, 2));
    assert_eq!(joined, ["3 DIFF 5.1", "3 PROPOSAL 5.1", "3 COMMIT 5.1", "3 NEWLEADER 5 new servers"]);
}

/// Its log has the proposal, which is not sent again, and so no commit tells that the list is in force.
#[test]
fn who_comes_back_with_the_proposal_is_told_the_proposed_list_and_serves_behind_its_commit() {
    let mut led = reconfiguring(list(&[1, 2, 4], true), &[2, 4]);
    led.proposes([1]);
    led.logs(1);
    assert_eq!(led.comes_back(3, zxid(5, 1)), ["3 DIFF 4.2", "3 NEWLEADER 5 new servers"]);
    assert_eq!(led.hears(3, ack(zxid(5, 0))), NOTHING, "the new list has no quorum yet");
    let wanted = led.hears(4, ack(zxid(5, 1)));
    assert_eq!(shows(&wanted, &["commit ", "UPTODATE"]), ["commit 5.1", "3 UPTODATE"]);
}

/// A list that some server has kept and nobody is known to have committed.
#[test]
fn an_epoch_that_begins_with_a_list_needs_both_quorums_at_each_step() {
    let mut led = Led::with_next(settings(), majority(1..=3), Some(list(&[1, 4, 5], true)), history(zxid(4, 2), []));
    assert_eq!(led.hello(2, 2, 4), NOTHING);
    assert_eq!(led.hello(4, 4, 4), ["accept 5"]);
    led.tell(|leader, now, wanted| leader.epoch_accepted(5, now, wanted));
    assert_eq!(led.hears(2, promise(4, zxid(4, 2))), NOTHING);
    let wanted = led.hears(4, promise(4, zxid(4, 2)));
    assert_eq!(shows(&wanted, &["enter", "NEWLEADER"]), ["enter 5"]);
    let wanted = led.tell(|leader, now, wanted| leader.epoch_entered(5, now, wanted));
    assert_eq!(wanted, ["2 NEWLEADER 5 new servers", "4 NEWLEADER 5 new servers"]);
    assert_eq!(led.hears(2, ack(zxid(5, 0))), NOTHING);
    assert_eq!(led.hears(4, ack(zxid(5, 0))), ["activate 1", "established 5", "2 UPTODATE", "4 UPTODATE"]);
    led.proposes([1]);
    led.logs(1);
    assert_eq!(led.hears(2, ack(zxid(5, 1))), NOTHING, "the new list decides");
    assert_eq!(led.hears(4, ack(zxid(5, 1)))[0], "commit 5.1");
}

/// Server 4 has no vote yet, and can't be elected. Had it entered the epoch and this leader not, which may lose its power now, it would be
/// ahead of all who can be, and the list can't do without it.
#[test]
fn nobody_enters_an_epoch_that_begins_with_a_list_before_its_leader() {
    let mut led = Led::with_next(settings(), majority(1..=1), Some(list(&[1, 4], true)), history(zxid(4, 2), []));
    led.hello(4, 4, 4);
    led.tell(|leader, now, wanted| leader.epoch_accepted(5, now, wanted));
    assert_eq!(led.hears(4, promise(4, zxid(4, 1))), ["enter 5", "4 log behind 4.1"]);
    let wanted = led.read(4, LogStart::Found, &[(4, 2)]);
    assert_eq!(wanted, ["4 DIFF 4.2", "4 PROPOSAL 4.2", "4 COMMIT 4.2"], "it catches up meanwhile");
    assert_eq!(led.congested(4, true), NOTHING);
    assert_eq!(led.congested(4, false), NOTHING);
    let wanted = led.tell(|leader, now, wanted| leader.epoch_entered(5, now, wanted));
    assert_eq!(wanted, ["4 NEWLEADER 5 new servers"]);
}

#[test]
fn a_leader_that_the_list_leaves_out_ends_with_the_start_of_its_epoch() {
    let mut led = Led::with_next(settings(), majority(1..=2), Some(list(&[2], false)), history(zxid(4, 2), []));
    led.hello(2, 2, 4);
    led.tell(|leader, now, wanted| leader.epoch_accepted(5, now, wanted));
    led.hears(2, promise(4, zxid(4, 2)));
    led.tell(|leader, now, wanted| leader.epoch_entered(5, now, wanted));
    assert_eq!(led.hears(2, ack(zxid(5, 0))), ["activate 2", "2 UPTODATE"], "it serves nobody");
    led.leader.closed(LinkId(2));
    // It was told of the list, not of its leader, and this one still says that it leads.
    assert_eq!(led.hello(12, 2, 5), ["12 closed: Another server leads from now on"]);
    assert_eq!(led.waits(10, &[]), ["resign: Not sufficient followers synced, only synced with sids: [1]"]);
}

#[test]
fn the_first_list_gets_its_version_with_the_epoch() {
    let mut led = Led::new(majority(1..=3), history(zxid(4, 2), []));
    led.hello(2, 2, 4);
    led.leader.propose_list(0, list(&[1, 2, 3], true));
    led.tell(|leader, now, wanted| leader.epoch_accepted(5, now, wanted));
    led.hears(2, promise(4, zxid(4, 2)));
    let wanted = led.tell(|leader, now, wanted| leader.epoch_entered(5, now, wanted));
    assert_eq!(wanted, ["2 NEWLEADER 5 new servers"]);
    assert_eq!(led.hears(2, ack(zxid(5, 0))), ["activate 1", "established 5", "2 UPTODATE"]);
    assert_eq!(led.waits(SYNC_LIMIT_MS, &[2]), NOTHING);
}

#[test]
fn a_learner_with_a_later_list_is_turned_away() {
    let mut led = Led::established(majority(1..=3), history(zxid(4, 2), []));
    let FromLearner::Info(of_three) = info(3, 5) else { unreachable!("an INFO") };
    led.leader.opened(LinkId(3), base::Monotonic::from_ms(0));
    let wanted = led.hears(3, FromLearner::Info(LearnerInfo { config_version: 1, ..of_three }));
    assert_eq!(wanted, ["3 closed: Follower is ahead of the leader (has a later activated configuration)"]);
}

#[test]
fn a_follower_commits_and_then_takes_the_list_over() {
    let mut taught = Taught::serving(history(zxid(4, 2), []));
    taught.proposal(5, 1);
    let packet = FromLeader::CommitAndActivate { zxid: zxid(5, 1), leader: 3 };
    assert_eq!(taught.hears(packet), ["commit 5.1", "activate 5.1 3"]);
    let unmatched = FromLeader::CommitAndActivate { zxid: zxid(5, 3), leader: 3 };
    let wanted = taught.hears(unmatched);
    assert_eq!(wanted.len(), 1, "{wanted:?}");
    assert!(wanted[0].starts_with("abandon: "), "no list on a leader's word alone: {wanted:?}");
}

#[test]
fn an_observer_logs_commits_and_takes_the_list_over() {
    let mut taught = Taught::with(true, history(zxid(4, 2), []), 4);
    taught.connects();
    taught.hears(FromLeader::LeaderInfo { epoch: 5 });
    taught.tell(|learner, _, wanted| learner.epoch_accepted(5, wanted));
    taught.hears(FromLeader::Diff { zxid: zxid(4, 2) });
    taught.hears(new_leader(5));
    taught.entered(5);
    taught.hears(FromLeader::UpToDate);
    let packet = FromLeader::InformAndActivate { entry: entry(5, 1), leader: 1 };
    assert_eq!(taught.hears(packet), ["log 5.1", "commit 5.1", "activate 5.1 1"]);
}
