//! The learner, packet by packet.

use base::Monotonic;
use bytes::Bytes;
use zk_zab::FromLeader;

use crate::stage::{HISTORY_LEN, INIT_LIMIT_MS, SYNC_LIMIT_MS, Taught, entry, history, new_leader, zxid};

const NOTHING: [&str; 0] = [];

fn one() -> zk_zab::History {
    history(zxid(4, 1), [(4, 2)])
}

fn diff() -> FromLeader {
    FromLeader::Diff { zxid: zxid(4, 4) }
}

#[test]
fn an_epoch_from_the_first_packet_to_the_first_commit() {
    let mut taught = Taught::promised(one());
    assert_eq!(taught.hears(diff()), NOTHING);
    assert_eq!(taught.proposal(4, 3), ["log 4.3"]);
    assert_eq!(taught.commit(4, 3), ["commit 4.3"]);
    assert_eq!(taught.logged(4, 3), NOTHING, "nothing is acknowledged before NEWLEADER");
    assert_eq!(taught.hears(new_leader(5)), ["config servers", "enter 5"]);
    assert_eq!(taught.entered(5), ["ACK 5.0"], "4.3 was committed before: nobody waits for its acknowledgement");
    assert_eq!(taught.hears(FromLeader::UpToDate), ["ACK 5.0", "serve 5"]);
    assert_eq!(taught.proposal(5, 1), ["log 5.1"]);
    assert_eq!(taught.logged(5, 1), ["ACK 5.1"]);
    assert_eq!(taught.commit(5, 1), ["commit 5.1"]);
}

/// ZOOKEEPER-4785, 4643, 4646, 3023.
#[test]
fn the_log_is_durable_then_the_epoch_then_newleader_is_acknowledged() {
    let mut taught = Taught::promised(one());
    taught.hears(diff());
    taught.proposal(4, 3);
    taught.commit(4, 3);
    taught.proposal(4, 4);
    assert_eq!(taught.hears(new_leader(5)), ["config servers"], "nothing is durable");
    assert_eq!(taught.logged(4, 3), NOTHING, "one is");
    assert_eq!(taught.entered(5), NOTHING, "nobody has asked for it");
    assert_eq!(taught.logged(4, 4), ["enter 5"]);
    assert_eq!(taught.logged(4, 4), NOTHING, "once");
    assert_eq!(taught.entered(4), NOTHING, "written for an earlier role");
    // An original leader sends proposals ahead of NEWLEADER and their commits behind it, and counts each acknowledgement.
    assert_eq!(taught.entered(5), ["ACK 5.0", "ACK 4.4"]);
    assert_eq!(taught.commit(4, 4), ["commit 4.4"]);
}

/// The window of ZOOKEEPER-4394.
#[test]
fn transactions_are_taken_around_newleader_and_uptodate() {
    let mut taught = Taught::promised(one());
    taught.hears(diff());
    assert_eq!(taught.proposal(4, 3), ["log 4.3"]);
    taught.hears(new_leader(5));
    assert_eq!(taught.commit(4, 3), ["commit 4.3"]);
    assert_eq!(taught.proposal(5, 1), ["log 5.1"], "while the epoch waits for the log");
    assert_eq!(taught.logged(5, 1), ["enter 5"]);
    assert_eq!(taught.hears(FromLeader::UpToDate), NOTHING, "not before the epoch is entered");
    assert_eq!(taught.entered(5), ["ACK 5.0", "ACK 4.3", "ACK 5.1", "ACK 5.0", "serve 5"]);
    assert_eq!(taught.commit(5, 1), ["commit 5.1"]);
}

#[test]
fn a_promise_is_durable_before_it_is_made_and_made_once() {
    let mut taught = Taught::new(one());
    taught.connects();
    assert_eq!(taught.hears(FromLeader::LeaderInfo { epoch: 6 }), ["accept 6"]);
    assert_eq!(taught.tell(|learner, _, wanted| learner.epoch_accepted(5, wanted)), NOTHING, "another role's");
    assert_eq!(taught.tell(|learner, _, wanted| learner.epoch_accepted(6, wanted)), ["ACKEPOCH 4 4.2"]);
    assert_eq!(taught.tell(|learner, _, wanted| learner.epoch_accepted(6, wanted)), NOTHING);

    let mut again = Taught::with(false, one(), 6);
    again.connects();
    assert_eq!(again.hears(FromLeader::LeaderInfo { epoch: 6 }), ["ACKEPOCH - 4.2"]);
    let mut later = Taught::with(false, one(), 7);
    later.connects();
    let left = later.hears(FromLeader::LeaderInfo { epoch: 6 });
    assert_eq!(left, ["abandon: Leaders epoch, 6 is less than accepted epoch, 7"]);
}

#[test]
fn an_observer_follows_whoever_is_not_behind_what_it_has() {
    for (epoch, says) in
        [(7, "ACKEPOCH - 4.2"), (5, "ACKEPOCH - 4.2"), (3, "abandon: Leaders epoch, 3 is less than accepted epoch, 7")]
    {
        let mut observer = Taught::with(true, one(), 7);
        observer.connects();
        assert_eq!(observer.hears(FromLeader::LeaderInfo { epoch }), [says]);
    }
}

#[test]
fn an_observer_takes_what_is_committed_and_acknowledges_no_proposal() {
    let mut observer = Taught::with(true, one(), 5);
    observer.connects();
    observer.hears(FromLeader::LeaderInfo { epoch: 5 });
    observer.hears(diff());
    assert_eq!(observer.hears(FromLeader::Inform(entry(4, 3))), ["log 4.3", "commit 4.3"]);
    assert_eq!(observer.proposal(4, 4), ["log 4.4"], "as an original leader sends it");
    assert_eq!(observer.commit(4, 4), ["commit 4.4"]);
    observer.hears(new_leader(5));
    assert_eq!(observer.logged(4, 4), ["enter 5"]);
    assert_eq!(observer.entered(5), ["ACK 5.0"]);
    observer.hears(FromLeader::UpToDate);
    assert_eq!(observer.hears(FromLeader::Inform(entry(5, 1))), ["log 5.1", "commit 5.1"]);
    assert_eq!(observer.logged(5, 1), NOTHING);
    let gap = observer.hears(FromLeader::Inform(entry(5, 3)));
    assert_eq!(
        gap,
        ["abandon: Got zxid 0x500000003 behind 0x500000001"],
        "it is given what it lacks when it comes again"
    );
}

#[test]
fn a_tail_is_cut_off_before_anything_is_logged() {
    let mut taught = Taught::promised(history(zxid(4, 1), [(4, 2), (4, 3), (4, 4)]));
    assert_eq!(taught.hears(FromLeader::Trunc { zxid: zxid(4, 2) }), ["truncate 4.2"]);
    taught.tell(|learner, now, _| learner.truncated(now));
    assert_eq!(taught.proposal(5, 1), ["log 5.1"]);
    assert_eq!(taught.hears(new_leader(5)), ["config servers"], "what was durable of the tail stands for nothing");
    assert_eq!(taught.logged(5, 1), ["enter 5"]);
    assert_eq!(taught.learner.into_history().last_zxid(), zxid(5, 1));
}

#[test]
fn a_cut_that_can_not_be_is_refused() {
    for beyond in [-1, zxid(4, 9)] {
        let mut taught = Taught::promised(one());
        assert!(taught.hears(FromLeader::Trunc { zxid: beyond })[0].starts_with("abandon: unexpected packet"));
    }
}

#[test]
fn one_that_has_nothing_to_go_back_to_asks_for_the_tree_and_keeps_what_it_has() {
    let mut taught = Taught::promised(history(zxid(4, 1), [(4, 2), (4, 3)]));
    taught.hears(FromLeader::Trunc { zxid: zxid(4, 2) });
    let left = taught.tell(|learner, _, wanted| learner.cannot_truncate(wanted));
    assert_eq!(left, [format!("abandon: Not able to truncate the log {:#x}", zxid(4, 2))]);
    let kept = taught.learner.into_history();
    assert_eq!(kept.last_zxid(), zxid(4, 3));

    let mut again = Taught::with(false, kept, 5);
    again.learner.ask_for_snapshot();
    again.connects();
    assert_eq!(again.hears(FromLeader::LeaderInfo { epoch: 5 }), ["ACKEPOCH - -1"]);
    assert!(again.hears(diff())[0].starts_with("abandon: unexpected packet"), "nothing goes on behind -1");
}

#[test]
fn a_tree_replaces_everything() {
    let mut taught = Taught::promised(history(zxid(4, 1), [(4, 2)]));
    assert_eq!(taught.hears(FromLeader::Snap { zxid: zxid(5, 7) }), ["receive tree 5.7"]);
    taught.tell(|learner, now, _| learner.snapshot_received(zxid(5, 7), now));
    assert_eq!(taught.proposal(5, 6), NOTHING, "it is in the tree already");
    assert_eq!(taught.commit(5, 6), NOTHING);
    assert_eq!(taught.proposal(5, 8), ["log 5.8"]);
    assert_eq!(taught.commit(5, 8), ["commit 5.8"]);
    taught.hears(new_leader(5));
    assert_eq!(taught.logged(5, 8), ["enter 5"]);
}

#[test]
fn a_tree_as_of_the_start_of_an_epoch_is_gone_on_from() {
    let mut taught = Taught::promised(one());
    taught.hears(FromLeader::Snap { zxid: zxid(5, 0) });
    taught.tell(|learner, now, _| learner.snapshot_received(zxid(5, 0), now));
    assert_eq!(taught.hears(new_leader(5)), ["config servers", "enter 5"]);
    assert_eq!(taught.entered(5), ["ACK 5.0"]);
    assert_eq!(taught.proposal(5, 1), ["log 5.1"]);
}

#[test]
fn commits_match_the_first_proposal_that_waits() {
    let mut taught = Taught::serving(one());
    taught.proposal(5, 1);
    taught.proposal(5, 2);
    assert_eq!(taught.commit(4, 2), NOTHING, "known");
    let left = taught.commit(5, 2);
    assert_eq!(left, [format!("abandon: Committing zxid {:#x} but next pending txn {:#x}", zxid(5, 2), zxid(5, 1))]);
    assert_eq!(taught.commit(5, 1), NOTHING, "nothing counts any more");
    assert_eq!(taught.proposal(5, 3), NOTHING);
    assert_eq!(taught.learner.deadline(), None);

    let mut taught = Taught::serving(one());
    assert!(taught.commit(5, 1)[0].ends_with("but next pending txn 0x0"));
}

#[test]
fn proposals_come_in_order_and_from_no_later_epoch() {
    for (epoch, counter) in [(5, 1), (5, 2), (6, 1)] {
        let mut taught = Taught::serving(one());
        taught.proposal(5, 1);
        taught.proposal(5, 2);
        assert!(taught.proposal(epoch, counter)[0].starts_with("abandon: Got zxid"));
    }
}

#[test]
fn packets_that_do_not_belong_end_it() {
    let ping = || FromLeader::Ping { zxid: 0 };
    let other = || FromLeader::Other(Bytes::new());
    let up_to_date = || FromLeader::UpToDate;
    let leader_info = || FromLeader::LeaderInfo { epoch: 5 };
    let snap = || FromLeader::Snap { zxid: 0 };
    let commit = || FromLeader::Commit { zxid: zxid(5, 1) };
    let proposal = || FromLeader::Proposal(entry(5, 1));
    let at = |stage: usize| {
        let mut taught = Taught::new(one());
        taught.connects();
        match stage {
            0 => taught,
            1 => {
                taught.hears(leader_info());
                taught
            }
            2 => Taught::promised(one()),
            3 => {
                let mut taught = Taught::promised(one());
                taught.hears(FromLeader::Snap { zxid: zxid(5, 7) });
                taught
            }
            4 => {
                let mut taught = Taught::promised(one());
                taught.hears(diff());
                taught
            }
            _ => Taught::serving(one()),
        }
    };
    let wrong: [(usize, Vec<FromLeader>); 6] = [
        (0, vec![diff(), snap(), new_leader(5), up_to_date(), proposal(), commit()]),
        (1, vec![leader_info(), diff(), snap(), new_leader(5), up_to_date(), proposal(), commit()]),
        (2, vec![leader_info(), new_leader(5), up_to_date(), proposal(), commit()]),
        (3, vec![leader_info(), diff(), snap(), new_leader(5), up_to_date(), proposal(), commit()]),
        (4, vec![leader_info(), diff(), snap(), new_leader(6), up_to_date()]),
        (5, vec![leader_info(), diff(), snap(), new_leader(5), up_to_date()]),
    ];
    for (stage, packets) in wrong {
        for packet in packets {
            let mut taught = at(stage);
            let name = format!("{packet:?} in {stage}");
            let wanted = taught.hears(packet);
            assert!(wanted.len() == 1 && wanted[0].starts_with("abandon: unexpected packet"), "{name}: {wanted:?}");
        }
        for packet in [ping(), other()] {
            assert_eq!(at(stage).hears(packet), NOTHING);
        }
    }
}

#[test]
fn silence_ends_it_and_bytes_of_whatever_kind_do_not() {
    let mut taught = Taught::promised(one());
    taught.hears(diff());
    taught.now_ms = INIT_LIMIT_MS - 1;
    assert_eq!(taught.tell(|learner, now, wanted| learner.tick(now, wanted)), NOTHING);
    taught.learner.alive(Monotonic::from_ms(taught.now_ms));
    taught.now_ms += INIT_LIMIT_MS;
    assert_eq!(taught.tell(|learner, now, wanted| learner.tick(now, wanted)), ["abandon: Read timed out"]);
    assert_eq!(taught.tell(|learner, now, wanted| learner.tick(now, wanted)), NOTHING, "once");

    let mut taught = Taught::serving(one());
    taught.now_ms = SYNC_LIMIT_MS;
    assert_eq!(taught.tell(|learner, now, wanted| learner.tick(now, wanted)), ["abandon: Read timed out"]);
}

#[test]
fn a_leader_that_falls_silent_within_its_tree_is_left() {
    let mut taught = Taught::promised(one());
    taught.hears(FromLeader::Snap { zxid: zxid(5, 7) });
    taught.now_ms = INIT_LIMIT_MS - 1;
    assert_eq!(taught.tell(|learner, now, wanted| learner.tick(now, wanted)), NOTHING);
    taught.learner.alive(Monotonic::from_ms(taught.now_ms));
    taught.now_ms += INIT_LIMIT_MS;
    assert_eq!(taught.tell(|learner, now, wanted| learner.tick(now, wanted)), ["abandon: Read timed out"]);
}

#[test]
fn the_time_that_the_own_disk_takes_is_not_the_leaders_silence() {
    let mut cut = Taught::promised(history(zxid(4, 1), [(4, 2), (4, 3)]));
    cut.hears(FromLeader::Trunc { zxid: zxid(4, 2) });
    let mut replaced = Taught::promised(one());
    replaced.hears(FromLeader::Snap { zxid: zxid(5, 7) });
    for taught in [&mut cut, &mut replaced] {
        taught.now_ms = 9 * INIT_LIMIT_MS;
    }
    assert_eq!(cut.tell(|learner, now, wanted| learner.tick(now, wanted)), NOTHING);
    cut.tell(|learner, now, _| learner.truncated(now));
    replaced.tell(|learner, now, _| learner.snapshot_received(zxid(5, 7), now));
    for taught in [&mut cut, &mut replaced] {
        taught.now_ms += INIT_LIMIT_MS - 1;
        assert_eq!(taught.tell(|learner, now, wanted| learner.tick(now, wanted)), NOTHING);
        taught.now_ms += 1;
        assert_eq!(taught.tell(|learner, now, wanted| learner.tick(now, wanted)), ["abandon: Read timed out"]);
    }
}

#[test]
fn a_proposal_is_acknowledged_when_it_is_durable() {
    let mut taught = Taught::serving(one());
    taught.proposal(5, 1);
    taught.proposal(5, 2);
    assert_eq!(taught.logged(4, 2), NOTHING);
    assert_eq!(taught.logged(5, 1), ["ACK 5.1"]);
    assert_eq!(taught.commit(5, 1), ["commit 5.1"]);
    assert_eq!(taught.logged(5, 2), ["ACK 5.2"]);
}

#[test]
fn memory_keeps_what_is_not_committed_or_not_durable() {
    for (committed, logged, floor) in [(9, 2, 2), (3, 9, 3)] {
        let mut taught = Taught::serving(one());
        (1..=9).for_each(|counter| assert_eq!(taught.proposal(5, counter).len(), 1));
        taught.logged(5, logged);
        (1..=committed).for_each(|counter| assert_eq!(taught.commit(5, counter).len(), 1));
        assert_eq!(taught.learner.into_history().floor(), zxid(5, floor));
    }
}

#[test]
fn memory_is_bounded_by_what_is_committed_and_durable() {
    let mut taught = Taught::serving(one());
    for counter in 1..=20 {
        taught.proposal(5, counter);
        taught.commit(5, counter);
    }
    taught.logged(5, 20);
    taught.proposal(5, 21);
    taught.commit(5, 21);
    let history = taught.learner.into_history();
    assert_eq!((history.len(), history.last_zxid()), (HISTORY_LEN, zxid(5, 21)));
    assert_eq!(history.floor(), zxid(5, 17), "without a hole");
}
