//! Two logs and what is said between them: the scenarios that lost or mixed records in the past, and chance.

mod cluster;

use base::Monotonic;
use kafka_proto::ErrorCode;
use kafka_proto::messages::fetch;

use super::*;
use cluster::{FakeLog, Leader, MODERN, OLD, follow, settings};

const T: Str = Str::from_static("t");

fn now() -> Monotonic {
    Monotonic::from_ms(1000)
}

fn fetcher(versions: FetcherVersions) -> Fetcher<FakeLog> {
    Fetcher::new(settings(1, versions))
}

fn fetch_of(fetcher: &mut Fetcher<FakeLog>, at: Monotonic) -> fetch::Request {
    match fetcher.next(at) {
        Some(Question::Fetch(request)) => request,
        other => panic!("a fetch is due, not {other:?}"),
    }
}

fn named(request: &fetch::Request) -> Vec<(i32, i64)> {
    let all = request.topics.iter().flat_map(|topic| &topic.partitions);
    all.map(|one| (one.partition_index, one.fetch_offset)).collect()
}

fn answer(session_id: i32, partitions: Vec<fetch::ResponsePartition>) -> fetch::Response {
    let topics = vec![fetch::ResponseTopic { topic: T, partitions }];
    fetch::Response { session_id, topics, ..fetch::Response::default() }
}

fn failed(partition_index: i32, error_code: ErrorCode) -> fetch::ResponsePartition {
    fetch::ResponsePartition { partition_index, error_code, ..fetch::ResponsePartition::default() }
}

#[test]
fn a_session_names_what_changed() {
    let leader = Leader::new(5, FakeLog::of(&[(5, "a"), (5, "b")]));
    let mut one = fetcher(MODERN);
    one.add(&T, 0, FakeLog::new(), 5);
    one.add(&T, 1, FakeLog::new(), 5);
    let request = fetch_of(&mut one, now());
    assert_eq!((request.session_id, request.session_epoch), (0, 0));
    assert_eq!(named(&request), [(0, 0), (1, 0)]);
    let first = leader.fetched(&request.topics[0].partitions[0]);
    let nothing = fetch::ResponsePartition { partition_index: 1, high_watermark: 0, ..first.clone() };
    let nothing = fetch::ResponsePartition { records: None, ..nothing };
    one.fetched(answer(77, vec![first, nothing]), now());
    let request = fetch_of(&mut one, now());
    assert_eq!((request.session_id, request.session_epoch), (77, 1));
    assert_eq!(named(&request), [(0, 2)], "the other partition is where it was");
    one.fetched(answer(77, vec![]), now());
    let request = fetch_of(&mut one, now());
    assert_eq!((request.session_epoch, named(&request)), (2, vec![]), "nothing is new, and asked for all the same");
    one.remove(&T, 1);
    one.fetched(answer(77, vec![]), now());
    let request = fetch_of(&mut one, now());
    assert_eq!(request.forgotten_topics[0].partitions, [1]);
}

#[test]
fn a_session_that_is_gone_begins_anew() {
    let mut one = fetcher(MODERN);
    one.add(&T, 0, FakeLog::new(), 5);
    fetch_of(&mut one, now());
    one.fetched(answer(77, vec![]), now());
    fetch_of(&mut one, now());
    let gone = fetch::Response { error_code: ErrorCode::FETCH_SESSION_ID_NOT_FOUND, ..fetch::Response::default() };
    one.fetched(gone, now());
    let request = fetch_of(&mut one, now().plus_ms(20));
    assert_eq!((request.session_id, request.session_epoch, named(&request)), (0, 0, vec![(0, 0)]));
    one.fetched(answer(78, vec![]), now());
    fetch_of(&mut one, now());
    one.unanswered(now());
    assert!(one.next(now().plus_ms(999)).is_none(), "a lost connection is let rest");
    let request = fetch_of(&mut one, now().plus_ms(1000));
    assert_eq!((request.session_id, request.session_epoch), (78, 0), "the old session ends");
}

#[test]
fn a_leader_that_keeps_no_session_is_asked_in_full() {
    let mut one = fetcher(OLD);
    one.add(&T, 0, FakeLog::new(), 5);
    for _ in 0..3 {
        let request = fetch_of(&mut one, now());
        assert_eq!((request.session_epoch, named(&request)), (0, vec![(0, 0)]));
        one.fetched(answer(0, vec![]), now());
    }
}

#[test]
fn an_answer_for_another_epoch_is_passed_over() {
    let leader = Leader::new(5, FakeLog::of(&[(5, "a")]));
    let mut one = fetcher(MODERN);
    let log = FakeLog::new();
    one.add(&T, 0, log.clone(), 5);
    let request = fetch_of(&mut one, now());
    // The same broker leads anew, in another epoch, while the answer is on its way.
    one.remove(&T, 0);
    one.add(&T, 0, log.clone(), 6);
    one.fetched(answer(77, vec![leader.fetched(&request.topics[0].partitions[0])]), now());
    assert_eq!(log.log_end(), 0);
    let request = fetch_of(&mut one, now());
    assert_eq!(request.topics[0].partitions[0].current_leader_epoch, 6);
    assert!(request.forgotten_topics.is_empty(), "it stays in the session");
}

#[test]
fn a_partition_rests_after_an_error_and_the_others_go_on() {
    let mut one = fetcher(MODERN);
    one.add(&T, 0, FakeLog::new(), 5);
    one.add(&T, 1, FakeLog::new(), 5);
    fetch_of(&mut one, now());
    let errors = vec![failed(0, ErrorCode::UNKNOWN_LEADER_EPOCH), failed(1, ErrorCode::CORRUPT_MESSAGE)];
    one.fetched(answer(77, errors), now());
    let request = one.next(now());
    assert!(matches!(&request, Some(Question::Fetch(request)) if request.forgotten_topics[0].partitions == [0, 1]));
    one.fetched(answer(77, vec![]), now());
    assert_eq!(one.deadline(), Some(now().plus_ms(20)), "what a leader will hear of soon is asked soon");
    assert_eq!(named(&fetch_of(&mut one, now().plus_ms(20))), [(0, 0)]);
    one.fetched(answer(77, vec![failed(0, ErrorCode::UNKNOWN_LEADER_EPOCH)]), now().plus_ms(20));
    fetch_of(&mut one, now().plus_ms(20));
    one.fetched(answer(77, vec![]), now().plus_ms(20));
    assert_eq!(one.deadline(), Some(now().plus_ms(60)), "then less often");
    assert!(one.next(now().plus_ms(1000)).is_some());
}

#[test]
fn a_fenced_partition_waits_for_its_next_leader() {
    let mut one = fetcher(MODERN);
    one.add(&T, 0, FakeLog::new(), 5);
    fetch_of(&mut one, now());
    one.fetched(answer(77, vec![failed(0, ErrorCode::FENCED_LEADER_EPOCH)]), now());
    assert_eq!(one.take_failed(), [(T, 0)]);
    assert!(one.is_empty());
}

#[test]
fn damaged_records_are_fetched_again_after_a_pause() {
    let leader = Leader::new(5, FakeLog::of(&[(5, "a")]));
    let mut one = fetcher(MODERN);
    let log = FakeLog::new();
    log.refuse(Some(AppendFailure::Damaged));
    one.add(&T, 0, log.clone(), 5);
    let request = fetch_of(&mut one, now());
    one.fetched(answer(77, vec![leader.fetched(&request.topics[0].partitions[0])]), now());
    fetch_of(&mut one, now());
    one.fetched(answer(77, vec![]), now());
    assert!(one.next(now().plus_ms(999)).is_none());
    log.refuse(None);
    assert_eq!(named(&fetch_of(&mut one, now().plus_ms(1000))), [(0, 0)]);
}

#[test]
fn a_failed_log_is_left_alone() {
    let leader = Leader::new(5, FakeLog::of(&[(5, "a")]));
    let mut one = fetcher(MODERN);
    let log = FakeLog::new();
    log.refuse(Some(AppendFailure::Failed));
    one.add(&T, 0, log, 5);
    let request = fetch_of(&mut one, now());
    one.fetched(answer(77, vec![leader.fetched(&request.topics[0].partitions[0])]), now());
    assert_eq!(one.take_failed(), [(T, 0)]);
}

#[test]
fn a_quota_stops_a_replica_that_lags() {
    let mut one = fetcher(MODERN);
    let log = FakeLog::new();
    log.throttle(true);
    one.add(&T, 0, log.clone(), 5);
    assert!(one.next(now()).is_none());
    log.throttle(false);
    assert_eq!(named(&fetch_of(&mut one, now().plus_ms(1000))), [(0, 0)]);
    one.fetched(answer(77, vec![]), now().plus_ms(1000));
}

/// KIP-101, scenario 1: a follower restarts before it heard of the high watermark, and its leader dies. Cutting at the high watermark
/// would lose the second record.
#[test]
fn a_restarted_follower_keeps_what_its_leader_committed() {
    for versions in [MODERN, OLD] {
        let a = FakeLog::of(&[(0, "m1"), (0, "m2")]);
        a.set_high_watermark(1);
        let b = Leader::new(0, FakeLog::of(&[(0, "m1"), (0, "m2")]));
        follow(&b, &a, 0, versions);
        assert_eq!(a.values(), ["m1", "m2"]);
        // As the original did it before, and does with old protocol versions.
        a.set_high_watermark(1);
        follow(&b, &a, 0, FetcherVersions { fetch: 3, epochs: None, offsets: 1 });
        assert_eq!(a.cuts(), [1], "cut at the high watermark, fetched again");
        assert_eq!(a.values(), ["m1", "m2"]);
    }
}

/// KIP-101, scenario 2: both fail; the one that lacks a record leads and writes another in its place. The logs must not differ below
/// the same end.
#[test]
fn a_follower_drops_what_another_epoch_replaced() {
    for versions in [MODERN, OLD] {
        let a = FakeLog::of(&[(0, "m1"), (0, "m2")]);
        a.set_high_watermark(2);
        let b = Leader::new(1, FakeLog::of(&[(0, "m1"), (1, "m3")]));
        follow(&b, &a, 1, versions);
        assert_eq!(a.values(), ["m1", "m3"]);
    }
}

/// KIP-279: leaders change fast, and each of two brokers knows an epoch that the other does not. One question is not enough.
#[test]
fn fast_leader_changes_leave_equal_logs() {
    for versions in [MODERN, OLD] {
        let a = FakeLog::of(&[(0, "m1"), (0, "m2"), (1, "m3"), (2, "m4")]);
        let b = Leader::new(4, FakeLog::of(&[(0, "m1"), (0, "m2"), (0, "x3"), (0, "x4"), (3, "x5")]));
        follow(&b, &a, 4, versions);
        assert_eq!(a.values(), ["m1", "m2", "x3", "x4", "x5"], "{versions:?}");
    }
}

/// A disk without room: nothing is fetched behind what is to be cut, and the cut is asked for again.
#[test]
fn a_cut_that_has_no_room_is_tried_again() {
    for versions in [MODERN, OLD] {
        let log = FakeLog::of(&[(0, "m1"), (0, "m2"), (1, "m3")]);
        let leader = Leader::new(2, FakeLog::of(&[(0, "m1"), (2, "x2")]));
        let mut one = fetcher(versions);
        one.add(&T, 0, log.clone(), 2);
        for round in 0..3 {
            let at = now().plus_ms(1000 * round);
            while let Some(question) = one.next(at) {
                leader.answer(&mut one, question, at);
            }
            let cuts = one.take_cuts();
            assert_eq!(cuts.iter().map(|cut| cut.to).collect::<Vec<_>>(), [1], "{versions:?}");
            one.cut_done(&cuts[0].name, cuts[0].number, CutOutcome::NotNow, at);
            assert!(one.take_failed().is_empty());
        }
        assert_eq!(log.values(), ["m1", "m2", "m3"]);
    }
}

/// A topic's message format goes below 0.11 while it is followed: the leader forgets its epochs, the follower has them still.
#[test]
fn a_leader_that_forgets_its_epochs_is_followed_further() {
    let leader = Leader::new(5, FakeLog::of(&[(5, "a")]));
    let log = FakeLog::new();
    let mut one = fetcher(MODERN);
    one.add(&T, 0, log.clone(), 5);
    let go_on = |one: &mut Fetcher<FakeLog>| {
        for _ in 0..4 {
            let question = one.next(now()).expect("no pause");
            leader.answer(one, question, now());
        }
    };
    go_on(&mut one);
    assert_eq!(log.values(), ["a"]);
    log.set_high_watermark(0);
    leader.log.forget_epochs();
    leader.log.push(-1, "b");
    go_on(&mut one);
    assert_eq!(log.values(), ["a", "b"]);
    assert_eq!(log.cuts(), [0_i64; 0], "what came from this leader stays");
}

/// Without epochs on one side nobody can tell where the logs part: the high watermark is what is certain.
#[test]
fn a_leader_that_knows_no_epochs_is_followed_from_the_high_watermark() {
    let a = FakeLog::of(&[(0, "m1"), (0, "m2"), (0, "m3")]);
    a.set_high_watermark(1);
    let b = Leader::new(1, FakeLog::of(&[(0, "m1"), (0, "x2"), (0, "x3"), (0, "x4")]));
    b.log.forget_epochs();
    follow(&b, &a, 1, MODERN);
    assert_eq!(a.values(), ["m1", "x2", "x3", "x4"]);
    assert_eq!(a.cuts(), [1]);
}

/// An epoch in which nothing was written is dropped as well, or it would be told to others as the end of the one before.
#[test]
fn an_epoch_without_records_is_dropped() {
    for versions in [MODERN, OLD] {
        let a = FakeLog::of(&[(0, "m1")]);
        a.begin_epoch(1);
        let b = Leader::new(2, FakeLog::of(&[(0, "m1"), (0, "m2")]));
        follow(&b, &a, 2, versions);
        assert_eq!(a.values(), ["m1", "m2"]);
        assert_eq!(a.latest_epoch(), Some(0));
    }
}

/// KIP-320: without the check of epochs, a follower that fetches beyond the cut of a new leader would go on from there.
#[test]
fn a_follower_beyond_its_leaders_end_is_cut() {
    for versions in [MODERN, OLD] {
        let a = FakeLog::of(&[(0, "m1"), (0, "m2"), (0, "m3")]);
        let b = Leader::new(1, FakeLog::of(&[(0, "m1")]));
        follow(&b, &a, 1, versions);
        assert_eq!(a.values(), ["m1"]);
    }
}

#[test]
fn a_log_that_its_leader_has_deleted_starts_where_the_leaders_does() {
    for versions in [MODERN, OLD] {
        let a = FakeLog::of(&[(0, "m1")]);
        a.set_high_watermark(1);
        let log = FakeLog::of(&[(0, "m1"), (0, "m2"), (0, "m3"), (0, "m4")]);
        log.delete_before(2);
        let b = Leader::new(0, log);
        follow(&b, &a, 0, versions);
        assert_eq!((a.log_start(), a.values()), (2, vec!["m3".into(), "m4".into()]));
    }
}

#[test]
fn chance_finds_no_lost_and_no_mixed_records() {
    for versions in [MODERN, OLD] {
        for seed in 0..100 {
            cluster::Cluster::new(seed, versions).run(400);
        }
    }
}

/// Before KIP-101 followers cut at the high watermark: the rules above must notice.
#[test]
#[should_panic(expected = "offset")]
fn chance_finds_what_was_lost_before_epochs_were_asked_for() {
    for seed in 0..100 {
        cluster::Cluster::new(seed, FetcherVersions { fetch: 3, epochs: None, offsets: 1 }).run(400);
    }
}
