//! Replicas that move between log directories while they are written, read, led anew and thrown away.

use base::{Fault, Str};
use kafka_proto::ErrorCode;
use kafka_proto::messages::{alter_replica_log_dirs as alter, delete_records, describe_log_dirs};

use super::rig::{Cluster, batch};

const DIRS: &str = "log.dirs=/a,/b\nreplica.fetch.max.bytes=1024\nreplica.fetch.backoff.ms=100";

/// One broker that leads `t-0` in `/a`, with so many batches of about 1,100 bytes.
fn leader(batches: usize) -> Cluster {
    let mut cluster = Cluster::new(1, DIRS);
    cluster.lead(0, 1, &[0]);
    assert_eq!(cluster.log_dir(0), "/a");
    produce(&mut cluster, batches);
    cluster
}

fn produce(cluster: &mut Cluster, batches: usize) {
    for number in 0..batches {
        cluster.produce(0, &batch(&[&format!("{number:01000}")]), 1);
        cluster.settle();
        assert_eq!(cluster.produced(0).map(|(code, _)| code), Some(ErrorCode::NONE));
    }
}

fn move_to(cluster: &mut Cluster, id: usize, dir: &str) -> ErrorCode {
    move_topic(cluster, id, "t", dir)
}

fn move_topic(cluster: &mut Cluster, id: usize, topic: &str, dir: &str) -> ErrorCode {
    let topics = vec![alter::RequestTopic { name: Str::copied(topic), partitions: vec![0] }];
    let request = alter::Request { dirs: vec![alter::Directory { path: Str::copied(dir), topics }] };
    cluster.ask(id, &request, 1).topics[0].partitions[0].error_code
}

/// What DescribeLogDirs says of `t-0` in each directory: offset lag, and whether it is a copy.
fn described(cluster: &mut Cluster, id: usize) -> Vec<(String, i64, bool)> {
    let answer = cluster.ask(id, &describe_log_dirs::Request { topics: None }, 1);
    let of_dir = |result: &describe_log_dirs::Outcome| {
        let partitions = result.topics.iter().flat_map(|topic| topic.partitions.clone());
        partitions
            .map(|partition| (result.log_dir.to_string(), partition.offset_lag, partition.is_future_key))
            .collect::<Vec<_>>()
    };
    answer.results.iter().flat_map(of_dir).collect()
}

#[test]
fn a_leaders_log_moves_while_records_come() {
    let mut cluster = leader(20);
    let before = cluster.bytes(0);
    cluster.throttle_moves(0, 3000);
    assert_eq!(move_to(&mut cluster, 0, "/b"), ErrorCode::NONE);
    let [(dir, 0, false), (future, lag, true)] = &described(&mut cluster, 0)[..] else { panic!("no copy") };
    assert_eq!((dir.as_str(), future.as_str()), ("/a", "/b"));
    assert!((1..20).contains(lag), "{lag}");
    // Asked again, it goes on.
    assert_eq!(move_to(&mut cluster, 0, "/b"), ErrorCode::NONE);
    for _ in 0..10 {
        produce(&mut cluster, 1);
        cluster.advance(200);
    }
    assert_eq!(cluster.log_dir(0), "/a", "it may copy 3,000 bytes in a second");
    cluster.advance_by_steps(20_000, 100);
    assert_eq!(cluster.log_dir(0), "/b");
    assert_eq!(described(&mut cluster, 0), [("/b".to_owned(), 0, false)]);
    assert_eq!(cluster.offsets(0).log_end, 30);
    assert!(cluster.bytes(0).starts_with(&before));
    produce(&mut cluster, 3);
    assert_eq!((cluster.offsets(0).log_end, cluster.offsets(0).high_watermark), (33, 33));
    cluster.advance_by_steps(61_000, 1000);
    assert_eq!((cluster.folders(0, "/a").len(), cluster.folders(0, "/b")), (0, vec!["t-0".to_owned()]));
}

#[test]
fn what_cannot_be_moved_is_refused() {
    let mut cluster = leader(1);
    assert_eq!(move_to(&mut cluster, 0, "/c"), ErrorCode::LOG_DIR_NOT_FOUND);
    assert_eq!(move_to(&mut cluster, 0, "/b/"), ErrorCode::LOG_DIR_NOT_FOUND);
    assert_eq!(move_topic(&mut cluster, 0, "nothing", "/b"), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let long = "t".repeat(220);
    assert_eq!(move_topic(&mut cluster, 0, &long, "/b"), ErrorCode::INVALID_TOPIC_EXCEPTION);
    assert_eq!(move_to(&mut cluster, 0, "/a"), ErrorCode::NONE, "it is there");
    assert_eq!(described(&mut cluster, 0), [("/a".to_owned(), 0, false)]);
}

#[test]
fn a_replica_that_is_to_come_comes_into_the_named_directory() {
    let mut cluster = Cluster::new(1, DIRS);
    assert_eq!(move_to(&mut cluster, 0, "/b"), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "nobody has heard of it");
    cluster.lead(0, 1, &[0]);
    assert_eq!(cluster.log_dir(0), "/b");
}

#[test]
fn a_move_ends_when_the_log_is_to_stay() {
    let mut cluster = leader(20);
    cluster.throttle_moves(0, 1000);
    assert_eq!(move_to(&mut cluster, 0, "/b"), ErrorCode::NONE);
    assert_eq!(described(&mut cluster, 0).len(), 2);
    assert_eq!(move_to(&mut cluster, 0, "/a"), ErrorCode::NONE);
    assert_eq!(described(&mut cluster, 0), [("/a".to_owned(), 0, false)]);
    cluster.advance_by_steps(30_000, 500);
    assert_eq!(cluster.log_dir(0), "/a");
    cluster.throttle_moves(0, u64::MAX);
    assert_eq!(move_to(&mut cluster, 0, "/b"), ErrorCode::NONE);
    cluster.advance_by_steps(1000, 100);
    assert_eq!(cluster.log_dir(0), "/b");
}

#[test]
fn a_move_goes_on_after_a_restart() {
    for kept in [true, false] {
        let mut cluster = leader(20);
        cluster.throttle_moves(0, 1000);
        move_to(&mut cluster, 0, "/b");
        assert_eq!(described(&mut cluster, 0).len(), 2);
        cluster.restart(0, kept);
        cluster.bring_back(0);
        cluster.tell(0);
        cluster.advance_by_steps(2000, 100);
        if kept {
            assert_eq!((cluster.log_dir(0).as_str(), cluster.offsets(0).log_end), ("/b", 20));
        } else {
            assert_ne!(described(&mut cluster, 0).len(), 2, "it went on, or nothing was left of it");
        }
        produce(&mut cluster, 1);
    }
}

#[test]
fn a_followers_log_moves_over_changes_of_leaders() {
    let mut cluster = Cluster::new(2, DIRS);
    cluster.lead(0, 1, &[0, 1]);
    produce(&mut cluster, 10);
    cluster.advance_by_steps(1000, 100);
    cluster.throttle_moves(1, 2000);
    assert_eq!(move_to(&mut cluster, 1, "/b"), ErrorCode::NONE);
    // Broker 1 leads, and has records that nobody else gets; then it follows again and drops them.
    cluster.cut_off(0);
    cluster.lead(1, 2, &[0, 1]);
    cluster.produce(1, &batch(&["lost", "lost"]), 1);
    cluster.settle();
    assert_eq!(cluster.offsets(1).log_end, 12);
    cluster.throttle_moves(1, u64::MAX);
    cluster.bring_back(0);
    cluster.lead(0, 3, &[0, 1]);
    produce(&mut cluster, 5);
    cluster.advance_by_steps(5000, 100);
    assert_eq!((cluster.log_dir(1).as_str(), cluster.offsets(1).log_end), ("/b", 15));
    assert_eq!(cluster.bytes(0), cluster.bytes(1));
}

#[test]
fn deleted_records_wait_for_the_copy() {
    let mut cluster = leader(20);
    cluster.throttle_moves(0, 1000);
    move_to(&mut cluster, 0, "/b");
    let partitions = vec![delete_records::RequestPartition { partition_index: 0, offset: 15 }];
    let topics = vec![delete_records::RequestTopic { name: Str::from_static("t"), partitions }];
    cluster.send(0, &delete_records::Request { topics, timeout_ms: 60_000 }, 1);
    cluster.settle();
    assert!(cluster.receive::<delete_records::Request>(0, 1).is_none(), "the copy has not heard of it");
    cluster.advance_by_steps(2000, 100);
    let deleted = cluster.receive::<delete_records::Request>(0, 1).expect("an answer");
    let partition = &deleted.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.low_watermark), (ErrorCode::NONE, 15));
    assert_eq!(described(&mut cluster, 0).len(), 2, "the copy begins where the log does, and lacks the rest");
    cluster.throttle_moves(0, u64::MAX);
    cluster.advance_by_steps(1000, 100);
    assert_eq!((cluster.log_dir(0).as_str(), cluster.offsets(0).log_start), ("/b", 15));
}

#[test]
fn a_copy_goes_with_its_replica() {
    let mut cluster = leader(20);
    cluster.throttle_moves(0, 1000);
    move_to(&mut cluster, 0, "/b");
    cluster.delete(0);
    let all = [cluster.folders(0, "/a"), cluster.folders(0, "/b")].concat();
    assert!(all.len() == 2 && all.iter().all(|folder| folder.ends_with("-delete")), "{all:?}");
    cluster.advance_by_steps(70_000, 1000);
    assert!(cluster.folders(0, "/a").is_empty() && cluster.folders(0, "/b").is_empty());
}

#[test]
fn either_directory_may_fail() {
    for (failed, goes_on) in [("/b", true), ("/a", false)] {
        let mut cluster = leader(20);
        cluster.throttle_moves(0, 1000);
        move_to(&mut cluster, 0, "/b");
        cluster.disk(0).inject(failed, Fault::Write);
        cluster.produce(0, &batch(&["a"]), 1);
        cluster.advance_by_steps(30_000, 500);
        let code = cluster.produced(0).map(|(code, _)| code);
        assert_eq!(code, Some(if goes_on { ErrorCode::NONE } else { ErrorCode::KAFKA_STORAGE_ERROR }));
        assert_eq!(move_to(&mut cluster, 0, "/b"), ErrorCode::KAFKA_STORAGE_ERROR);
        if goes_on {
            assert_eq!(described(&mut cluster, 0), [("/a".to_owned(), 0, false)]);
        }
    }
}
