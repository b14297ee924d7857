//! The replica's rules, case by case, with ends and times given.

use super::*;

const LAG_MS: u64 = 30_000;

fn at(ms: u64) -> Monotonic {
    Monotonic::from_ms(ms)
}

fn state(leader: i32, leader_epoch: i32, isr: &[i32]) -> LeaderAndIsr {
    LeaderAndIsr {
        controller_epoch: 7,
        leader,
        leader_epoch,
        isr: isr.to_vec(),
        znode_version: 10 * leader_epoch,
        replicas: vec![1, 2, 3],
        ..LeaderAndIsr::default()
    }
}

fn leader(isr: &[i32], log_end: i64) -> Replica {
    let mut replica = Replica::new(1, LAG_MS);
    assert!(replica.become_leader(&state(1, 4, isr), log_end, at(1000)));
    replica
}

fn fetch(replica: &mut Replica, broker: i32, offset: i64, log_end: i64, high_watermark: i64, ms: u64) -> FetchEffect {
    replica.record_fetch(broker, FetchedFrom { offset, log_start: 0 }, log_end, high_watermark, at(ms)).unwrap()
}

#[test]
fn alone_the_high_watermark_is_the_log_end_at_once() {
    let mut replica = Replica::new(1, LAG_MS);
    assert_eq!(replica.high_watermark(5, at(0)), None);
    assert_eq!(replica.check_append(true, 1), Err(ReplicaError::NotLeader));
    let alone = LeaderAndIsr { replicas: vec![1], ..state(1, 0, &[1]) };
    assert!(replica.become_leader(&alone, 0, at(0)));
    assert_eq!(replica.check_append(true, 1), Ok(0));
    assert_eq!(replica.high_watermark(5, at(0)), Some(5));
    assert_eq!(replica.acknowledged(5, 5, 1), Acknowledged::Done);
    assert_eq!(replica.check_append(true, 2), Err(ReplicaError::NotEnoughReplicas { insync: 1, insync_min: 2 }));
    assert_eq!(replica.check_append(false, 2), Ok(0));
    assert_eq!(replica.shrink_isr(5, at(1_000_000)), None);
    assert_eq!(replica.low_watermark(3, |_| true), 3);
}

#[test]
fn the_high_watermark_is_the_lowest_end_of_the_isr() {
    let mut replica = leader(&[1, 2, 3], 10);
    // Unknown ends hold it back.
    assert_eq!(replica.high_watermark(12, at(1001)), Some(-1));
    assert!(fetch(&mut replica, 2, 12, 12, 10, 1001).moved);
    assert!(fetch(&mut replica, 3, 11, 12, 10, 1001).moved);
    assert!(!fetch(&mut replica, 3, 11, 12, 10, 1002).moved);
    assert_eq!(replica.high_watermark(12, at(1002)), Some(11));
    assert_eq!(replica.acknowledged(12, 11, 1), Acknowledged::Waiting);
    assert_eq!(replica.acknowledged(11, 11, 3), Acknowledged::Done);
}

#[test]
fn a_replica_that_joins_holds_the_high_watermark_back_before_it_is_confirmed() {
    let mut replica = leader(&[1, 2], 10);
    fetch(&mut replica, 2, 20, 20, 10, 1001);
    // Broker 3 is behind the high watermark, then before this epoch's start, then there.
    assert_eq!(fetch(&mut replica, 3, 15, 20, 20, 40_000).expand, None);
    let change = fetch(&mut replica, 3, 20, 20, 20, 40_001).expand.unwrap();
    assert_eq!((change.isr.as_slice(), change.leader_epoch, change.znode_version), (&[1, 2, 3][..], 4, 40));
    assert_eq!(replica.isr().committed(), [1, 2]);
    assert_eq!(replica.isr().maximal_len(), 3);
    fetch(&mut replica, 2, 30, 30, 20, 40_002);
    assert_eq!(replica.high_watermark(30, at(200_000)), Some(20), "the maximal ISR counts");
    // min.insync.replicas counts the committed ISR before the append, the maximal one after it.
    assert_eq!(replica.check_append(true, 3), Err(ReplicaError::NotEnoughReplicas { insync: 2, insync_min: 3 }));
    assert_eq!(replica.acknowledged(20, 20, 3), Acknowledged::Done);
    assert_eq!(fetch(&mut replica, 3, 20, 30, 20, 40_003).expand, None, "one change at a time");
    let committed = IsrAnswer::Committed { leader_epoch: 4, isr: vec![1, 2, 3], znode_version: 41 };
    assert_eq!(replica.isr_answered(&change, committed), None);
    assert_eq!(replica.isr(), &IsrState::Committed(vec![1, 2, 3]));
    assert_eq!(replica.state().znode_version, 41);
}

#[test]
fn nobody_joins_before_the_start_of_the_leaders_epoch() {
    let mut replica = leader(&[1], 10);
    assert_eq!(fetch(&mut replica, 2, 9, 10, 5, 1001).expand, None);
    assert!(fetch(&mut replica, 2, 10, 10, 5, 1002).expand.is_some());
}

#[test]
fn a_replica_that_lags_leaves_when_the_change_is_confirmed() {
    let mut replica = leader(&[1, 2, 3], 10);
    fetch(&mut replica, 2, 10, 10, 10, 2000);
    fetch(&mut replica, 3, 10, 10, 10, 2000);
    // At the leader's end, time alone does no harm.
    assert_eq!(replica.shrink_isr(10, at(100_000)), None);
    fetch(&mut replica, 2, 12, 12, 10, 32_000);
    assert_eq!(replica.shrink_isr(12, at(32_000)), None, "exactly the allowed lag");
    let change = replica.shrink_isr(12, at(32_001)).unwrap();
    assert_eq!(change.isr, [1, 2]);
    assert_eq!(replica.high_watermark(12, at(32_001)), Some(10));
    assert_eq!(replica.shrink_isr(12, at(32_002)), None);
    let again = replica.isr_answered(&change, IsrAnswer::from_error_code(7)).unwrap();
    assert_eq!(again, change);
    assert_eq!(replica.isr_answered(&change, IsrAnswer::from_error_code(95)), None);
    assert!(replica.isr().is_pending(), "it waits for the controller's word");
    let committed = IsrAnswer::Committed { leader_epoch: 4, isr: vec![1, 2], znode_version: 41 };
    replica.isr_answered(&change, committed);
    assert_eq!(replica.high_watermark(12, at(33_000)), Some(12));
    assert!(replica.is_under_replicated());
}

#[test]
fn a_failed_write_of_the_znode_leaves_the_isr_as_it_was() {
    let mut replica = leader(&[1, 2], 10);
    let change = replica.shrink_isr(10, at(50_000)).unwrap();
    assert_eq!(replica.isr_answered(&change, IsrAnswer::Unchanged), None);
    assert_eq!(replica.isr(), &IsrState::Committed(vec![1, 2]));
    assert!(replica.shrink_isr(10, at(50_001)).is_some());
}

#[test]
fn answers_of_the_past_are_passed_over() {
    let mut replica = leader(&[1, 2], 10);
    let change = replica.shrink_isr(10, at(50_000)).unwrap();
    assert!(!replica.become_leader(&state(1, 5, &[1, 2]), 10, at(50_001)));
    let committed = IsrAnswer::Committed { leader_epoch: 4, isr: vec![1], znode_version: 99 };
    assert_eq!(replica.isr_answered(&change, committed), None);
    assert_eq!(replica.isr(), &IsrState::Committed(vec![1, 2]));
    // The same state proposed in the new epoch is not the old one's.
    let second = replica.shrink_isr(10, at(90_000)).unwrap();
    assert_eq!(second.pending, change.pending);
    assert_eq!(replica.isr_answered(&change, IsrAnswer::Unchanged), None);
    assert!(replica.isr().is_pending());
    // An old znode version settles nothing.
    let stale = IsrAnswer::Committed { leader_epoch: 5, isr: vec![1], znode_version: 50 };
    replica.isr_answered(&second, stale);
    assert!(replica.isr().is_pending());
}

#[test]
fn a_follower_that_is_always_a_little_behind_stays_in_sync() {
    let mut replica = leader(&[1, 2], 0);
    for round in 1..100_i64 {
        // Each fetch reaches the end that the leader had at the one before.
        fetch(&mut replica, 2, round - 1, round, 0, 1000 + 1000 * round as u64);
    }
    assert_eq!(replica.shrink_isr(99, at(100_500)), None);
    assert!(replica.shrink_isr(99, at(140_000)).is_some());
}

#[test]
fn recently_caught_up_replicas_outside_of_the_isr_hold_the_high_watermark() {
    let mut replica = leader(&[1], 10);
    assert_eq!(replica.high_watermark(20, at(1001)), Some(20));
    fetch(&mut replica, 3, 10, 10, 12, 2000);
    assert_eq!(replica.high_watermark(20, at(2000)), Some(10));
    assert_eq!(replica.high_watermark(20, at(32_001)), Some(20));
}

#[test]
fn epochs_fence() {
    let mut replica = leader(&[1], 10);
    assert_eq!(replica.check_epoch(None, true), Ok(()));
    assert_eq!(replica.check_epoch(Some(4), true), Ok(()));
    assert_eq!(replica.check_epoch(Some(3), true).unwrap_err().code(), 74);
    assert_eq!(replica.check_epoch(Some(5), true).unwrap_err().code(), 75);
    assert!(replica.is_news(5) && !replica.is_news(4));
    assert!(replica.become_follower(&state(2, 5, &[1, 2])));
    assert!(!replica.become_follower(&state(2, 5, &[2])));
    assert_eq!(replica.check_epoch(Some(5), true), Err(ReplicaError::NotLeader));
    assert_eq!(replica.check_epoch(Some(5), false), Ok(()));
    assert_eq!(replica.acknowledged(0, 10, 1), Acknowledged::Failed(ReplicaError::NotLeader));
    assert_eq!(replica.shrink_isr(10, at(90_000)), None);
    let from = FetchedFrom { offset: 0, log_start: 0 };
    assert_eq!(replica.record_fetch(2, from, 10, 0, at(1)), Err(ReplicaError::NotLeader));
    assert!(replica.become_leader(&state(1, 6, &[1]), 10, at(2)));
    assert_eq!(replica.record_fetch(9, from, 10, 0, at(3)), Err(ReplicaError::NotAReplica { broker: 9 }));
}

#[test]
fn a_shrunk_isr_fails_a_write_that_was_appended() {
    let replica = leader(&[1], 10);
    assert_eq!(replica.acknowledged(10, 10, 2), Acknowledged::Failed(ReplicaError::NotEnoughReplicasAfterAppend));
    assert_eq!(replica.acknowledged(11, 10, 2), Acknowledged::Waiting);
}

#[test]
fn the_low_watermark_counts_living_brokers() {
    let mut replica = leader(&[1, 2, 3], 10);
    replica.record_fetch(2, FetchedFrom { offset: 10, log_start: 3 }, 10, 10, at(2000)).unwrap();
    replica.record_fetch(3, FetchedFrom { offset: 10, log_start: 1 }, 10, 10, at(2000)).unwrap();
    assert_eq!(replica.low_watermark(5, |_| true), 1);
    assert_eq!(replica.low_watermark(5, |broker| broker != 3), 3);
}

#[test]
fn a_follower_that_rests_is_caught_up_as_of_its_sessions_last_fetch() {
    let mut replica = leader(&[1, 2], 10);
    let clock = Arc::new(FetchClock::default());
    fetch(&mut replica, 2, 10, 10, 10, 2000);
    assert!(replica.rest(2, 10, &clock));
    clock.fetched(at(500_000));
    // A record comes; the follower's last fetch before it was one from the end.
    assert_eq!(replica.shrink_isr(11, at(500_000 + LAG_MS)), None);
    let change = replica.clone().shrink_isr(11, at(500_001 + LAG_MS)).unwrap();
    assert_eq!(change.isr, [1]);
    // From the end of then, and no further: it was caught up then.
    fetch(&mut replica, 2, 10, 11, 10, 510_000);
    clock.fetched(at(600_000));
    assert_eq!(replica.shrink_isr(11, at(500_000 + LAG_MS)), None);
    assert!(replica.shrink_isr(11, at(500_001 + LAG_MS)).is_some(), "the session's later fetches say nothing of it");
}

#[test]
fn a_rest_ends_with_what_its_own_session_knew() {
    let mut replica = leader(&[1, 2], 10);
    let [old, new] = [(); 2].map(|()| Arc::new(FetchClock::default()));
    fetch(&mut replica, 2, 10, 10, 10, 2000);
    assert!(replica.rest(2, 10, &old));
    old.fetched(at(100_000));
    fetch(&mut replica, 2, 10, 10, 10, 150_000);
    assert!(replica.rest(2, 10, &new));
    replica.stir(2, &old);
    new.fetched(at(200_000));
    assert_eq!(replica.shrink_isr(11, at(200_000 + LAG_MS)), None, "it rests in the new session");
    replica.stir(2, &new);
    new.fetched(at(300_000));
    assert!(replica.shrink_isr(11, at(200_001 + LAG_MS)).is_some());
}

#[test]
fn only_who_is_in_the_isr_and_has_everything_rests() {
    let mut replica = leader(&[1, 2], 10);
    let clock = Arc::new(FetchClock::default());
    fetch(&mut replica, 2, 9, 10, 9, 2000);
    assert!(!replica.rest(2, 10, &clock), "it is behind");
    assert!(!replica.rest(4, 10, &clock), "it is no replica");
    fetch(&mut replica, 2, 10, 10, 9, 2001);
    assert!(fetch(&mut replica, 3, 10, 10, 10, 2002).expand.is_some());
    assert!(!replica.rest(3, 10, &clock), "it is to join first");
    assert!(!replica.rest(2, 10, &clock), "who is in sync is about to change");
    replica.become_follower(&state(2, 5, &[1, 2]));
    assert!(!replica.rest(2, 10, &clock), "this broker leads no more");
}
