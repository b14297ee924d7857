//! Several brokers in one thread, over logs in memory and links that are moved by hand; the tests speak for the controller.

mod chance;
mod moves;
mod rig;

use base::Str;
use kafka_proto::ErrorCode;
use kafka_proto::messages::{delete_records, fetch, list_offset};

use rig::{Cluster, batch};

#[test]
fn what_is_produced_comes_to_all_replicas_and_is_acknowledged_then() {
    let mut cluster = Cluster::new(3, "");
    cluster.lead(0, 1, &[0, 1, 2]);
    cluster.produce(0, &batch(&["a", "b"]), -1);
    cluster.settle();
    assert_eq!(cluster.produced(0), Some((ErrorCode::NONE, 0)));
    for broker in 0..3 {
        assert_eq!(cluster.offsets(broker).log_end, 2, "broker {broker}");
    }
    assert_eq!(cluster.offsets(0).high_watermark, 2);
    // The followers hear of it with the next answer: at once when there is something, else when the wait is over.
    cluster.advance(500);
    assert_eq!(cluster.offsets(1).high_watermark, 2);
    assert_eq!(cluster.bytes(0), cluster.bytes(1));
    assert_eq!(cluster.bytes(0), cluster.bytes(2));
}

#[test]
fn a_write_waits_for_a_replica_that_is_gone_until_it_lags_for_too_long() {
    let mut cluster = Cluster::new(3, "");
    cluster.lead(0, 1, &[0, 1, 2]);
    cluster.settle();
    cluster.cut_off(2);
    cluster.produce(0, &batch(&["a"]), -1);
    cluster.settle();
    assert_eq!(cluster.produced(0), None, "broker 2 is in sync, as far as anybody knows");
    cluster.advance_by_steps(46_000, 500);
    assert_eq!(cluster.wanted_isr(0), [0, 1], "it was not caught up for replica.lag.time.max.ms");
}

#[test]
fn a_new_leader_goes_on_and_the_old_one_drops_what_nobody_else_has() {
    for protocol in ["2.7", "2.6", "0.11.0"] {
        let lines = format!("inter.broker.protocol.version={protocol}\nlog.message.format.version=0.11.0");
        let mut cluster = Cluster::new(3, &lines);
        cluster.lead(0, 1, &[0, 1, 2]);
        cluster.produce(0, &batch(&["a", "b"]), -1);
        cluster.settle();
        cluster.cut_off(1);
        cluster.cut_off(2);
        cluster.produce(0, &batch(&["lost"]), 1);
        cluster.settle();
        assert_eq!(cluster.offsets(0).log_end, 3);
        cluster.bring_back(1);
        cluster.bring_back(2);
        cluster.lead(1, 2, &[0, 1, 2]);
        cluster.produced(0);
        cluster.produce(1, &batch(&["c"]), -1);
        cluster.advance_by_steps(5000, 100);
        assert_eq!(cluster.produced(1), Some((ErrorCode::NONE, 2)), "{protocol}");
        assert_eq!(cluster.bytes(0), cluster.bytes(1), "{protocol}");
        assert_eq!(cluster.bytes(2), cluster.bytes(1), "{protocol}");
        assert_eq!(cluster.offsets(0).log_end, 3);
    }
}

#[test]
fn a_leader_that_becomes_a_follower_fails_the_writes_that_wait() {
    let mut cluster = Cluster::new(2, "");
    cluster.lead(0, 1, &[0, 1]);
    cluster.settle();
    cluster.cut_off(1);
    cluster.produce(0, &batch(&["a"]), -1);
    cluster.settle();
    assert_eq!(cluster.produced(0), None);
    cluster.bring_back(1);
    cluster.lead(1, 2, &[0, 1]);
    cluster.settle();
    assert_eq!(cluster.produced(0), Some((ErrorCode::NOT_LEADER_OR_FOLLOWER, -1)));
}

#[test]
fn what_a_stopping_broker_hands_over_it_does_not_follow() {
    let mut cluster = Cluster::new(3, "");
    cluster.lead(0, 1, &[0, 1, 2]);
    cluster.settle();
    cluster.hand_over(0);
    cluster.lead(1, 2, &[1, 2]);
    cluster.advance_by_steps(2000, 100);
    assert_eq!(cluster.wanted_isr(1), [1, 2]);
    // What it does not lead it follows until it is gone.
    cluster.lead(2, 3, &[1, 2]);
    cluster.advance_by_steps(2000, 100);
    assert_eq!(cluster.wanted_isr(2), [1, 2, 0]);
}

#[test]
fn a_follower_that_restarts_goes_on_from_its_own_log() {
    for kept in [true, false] {
        let mut cluster = Cluster::new(2, "");
        cluster.lead(0, 1, &[0, 1]);
        for value in ["a", "b", "c"] {
            cluster.produce(0, &batch(&[value]), -1);
            cluster.settle();
        }
        cluster.restart(1, kept);
        cluster.produce(0, &batch(&["d"]), 1);
        cluster.tell(1);
        cluster.advance_by_steps(3000, 100);
        assert_eq!(cluster.bytes(0), cluster.bytes(1));
        assert_eq!(cluster.offsets(1).log_end, 4);
    }
}

#[test]
fn a_follower_starts_where_its_leader_does() {
    let mut cluster = Cluster::new(2, "");
    cluster.cut_off(1);
    cluster.lead(0, 1, &[0]);
    for value in ["a", "b", "c"] {
        cluster.produce(0, &batch(&[value]), -1);
    }
    cluster.settle();
    cluster.delete_before(0, 2);
    cluster.bring_back(1);
    cluster.lead(0, 2, &[0]);
    cluster.advance_by_steps(3000, 100);
    let offsets = cluster.offsets(1);
    assert_eq!((offsets.log_start, offsets.log_end), (2, 3));
    assert_eq!(cluster.wanted_isr(0), [0, 1], "it has caught up, and should join");
}

#[test]
fn a_consumer_reads_from_a_follower_up_to_what_it_knows_to_be_everywhere() {
    let mut cluster = Cluster::new(2, "");
    cluster.lead(0, 1, &[0, 1]);
    cluster.produce(0, &batch(&["a"]), -1);
    cluster.advance_by_steps(1000, 100);
    let partition = fetch::RequestPartition { partition_max_bytes: 1 << 20, ..fetch::RequestPartition::default() };
    let topics = vec![fetch::RequestTopic { topic: Str::from_static("t"), partitions: vec![partition] }];
    let request = fetch::Request { replica_id: -1, topics, ..fetch::Request::default() };
    let fetched = cluster.ask(1, &request, 11);
    assert_eq!(fetched.topics[0].partitions[0].records.as_ref().unwrap().len(), cluster.bytes(0).len());
    let fetched = cluster.ask(1, &request, 10);
    assert_eq!(fetched.topics[0].partitions[0].error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER, "before KIP-392");
}

#[test]
fn a_new_leader_names_no_end_before_it_knows_what_is_committed() {
    let mut cluster = Cluster::new(2, "");
    cluster.lead(0, 1, &[0, 1]);
    cluster.produce(0, &batch(&["a"]), 1);
    cluster.settle();
    // Broker 1 has the record, and has not heard that all have it.
    assert_eq!((cluster.offsets(1).log_end, cluster.offsets(1).high_watermark), (1, 0));
    cluster.cut_off(0);
    cluster.lead(1, 2, &[0, 1]);
    let partition = list_offset::RequestPartition { timestamp: -1, ..list_offset::RequestPartition::default() };
    let topics = vec![list_offset::RequestTopic { name: Str::from_static("t"), partitions: vec![partition] }];
    let request = list_offset::Request { replica_id: -1, topics, ..list_offset::Request::default() };
    let code = |cluster: &mut Cluster, version| cluster.ask(1, &request, version).topics[0].partitions[0].error_code;
    assert_eq!(code(&mut cluster, 5), ErrorCode::OFFSET_NOT_AVAILABLE);
    assert_eq!(code(&mut cluster, 4), ErrorCode::LEADER_NOT_AVAILABLE, "older clients know no better");
    cluster.bring_back(0);
    cluster.tell(0);
    cluster.advance_by_steps(2000, 100);
    assert_eq!(code(&mut cluster, 5), ErrorCode::NONE);
}

#[test]
fn a_consumer_is_sent_to_the_replica_in_its_rack() {
    let selector = "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector";
    for (lines, rack, expected) in
        [(selector, "rack-1", 1), (selector, "rack-0", -1), (selector, "", -1), ("", "rack-1", -1)]
    {
        let mut cluster = Cluster::new(2, lines);
        cluster.lead(0, 1, &[0, 1]);
        cluster.produce(0, &batch(&["a"]), -1);
        cluster.settle();
        let partition = fetch::RequestPartition { partition_max_bytes: 1 << 20, ..fetch::RequestPartition::default() };
        let topics = vec![fetch::RequestTopic { topic: Str::from_static("t"), partitions: vec![partition] }];
        let mut request = fetch::Request { replica_id: -1, topics, ..fetch::Request::default() };
        (request.rack_id, request.max_wait_ms, request.min_bytes) = (Str::from_static(rack), 500, 1);
        let fetched = cluster.ask(0, &request, 11);
        let partition = &fetched.topics[0].partitions[0];
        assert_eq!(partition.preferred_read_replica, expected, "{lines} {rack}");
        assert_eq!(partition.records.as_ref().unwrap().is_empty(), expected >= 0);
    }
}

#[test]
fn deleted_records_are_gone_from_all_replicas_when_it_is_said() {
    let mut cluster = Cluster::new(2, "");
    cluster.lead(0, 1, &[0, 1]);
    for value in ["a", "b", "c"] {
        cluster.produce(0, &batch(&[value]), -1);
        cluster.settle();
    }
    let partitions = vec![delete_records::RequestPartition { partition_index: 0, offset: 2 }];
    let topics = vec![delete_records::RequestTopic { name: Str::from_static("t"), partitions }];
    let request = delete_records::Request { topics, timeout_ms: 3000 };
    cluster.send(0, &request, 1);
    cluster.settle();
    cluster.produced(0);
    assert!(cluster.receive::<delete_records::Request>(0, 1).is_none(), "the follower has not heard of it");
    cluster.advance_by_steps(1000, 100);
    let deleted = cluster.receive::<delete_records::Request>(0, 1).expect("an answer");
    let partition = &deleted.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.low_watermark), (ErrorCode::NONE, 2));
    assert_eq!(cluster.offsets(1).log_start, 2);
    cluster.cut_off(1);
    let partitions = vec![delete_records::RequestPartition { partition_index: 0, offset: 3 }];
    let topics = vec![delete_records::RequestTopic { name: Str::from_static("t"), partitions }];
    cluster.send(0, &delete_records::Request { topics, timeout_ms: 3000 }, 1);
    cluster.advance_by_steps(4000, 100);
    let deleted = cluster.receive::<delete_records::Request>(0, 1).expect("an answer");
    let partition = &deleted.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.low_watermark), (ErrorCode::REQUEST_TIMED_OUT, 2));
}

#[test]
fn a_followers_segments_may_be_smaller_than_what_it_is_sent() {
    let mut cluster = Cluster::new(2, "");
    cluster.cut_off(1);
    cluster.lead(0, 1, &[0]);
    for number in 0..50 {
        cluster.produce(0, &batch(&[&format!("{number:0100}")]), -1);
    }
    cluster.settle();
    cluster.bring_back(1);
    cluster.set_segment_bytes(1, 1000);
    cluster.lead(0, 2, &[0]);
    cluster.set_segment_bytes(1, 1000);
    cluster.advance_by_steps(3000, 100);
    assert_eq!(cluster.offsets(1).log_end, 50);
    assert!(cluster.segments(1) > 5);
}

#[test]
fn a_throttled_follower_comes_up_no_faster_than_it_may() {
    let mut cluster = Cluster::new(2, "replica.fetch.backoff.ms=100\nreplica.fetch.max.bytes=1024");
    cluster.cut_off(1);
    cluster.lead(0, 1, &[0]);
    for number in 0..20 {
        cluster.produce(0, &batch(&[&format!("{number:01000}")]), 1);
    }
    cluster.settle();
    // Small answers, so that a throttle has something to hold back.
    cluster.throttle(0, "leader", 2000);
    cluster.bring_back(1);
    cluster.lead(0, 2, &[0]);
    cluster.advance_by_steps(2000, 100);
    let soon = cluster.offsets(1).log_end;
    assert!(soon < 20, "all of it came at once");
    cluster.advance_by_steps(30_000, 100);
    assert_eq!(cluster.offsets(1).log_end, 20);
}

#[test]
fn a_new_leaders_follower_does_not_wait_for_the_end_of_another_fetch() {
    let mut cluster = Cluster::new(3, "");
    cluster.lead(0, 1, &[0, 1, 2]);
    // Broker 2 waits at broker 1 for records of another partition.
    cluster.lead_another(1, 1);
    cluster.advance_by_steps(2000, 100);
    cluster.cut_off(0);
    cluster.lead(1, 2, &[1, 2]);
    cluster.produce(1, &batch(&["a"]), -1);
    cluster.settle();
    assert_eq!(cluster.produced(1), Some((ErrorCode::NONE, 0)), "without any time going by");
    cluster.advance_by_steps(1000, 100);
    cluster.produce(1, &batch(&["b"]), -1);
    cluster.settle();
    assert_eq!(cluster.produced(1), Some((ErrorCode::NONE, 1)));
}

#[test]
fn what_a_follower_has_all_of_costs_nothing_and_stays_in_sync() {
    let mut cluster = Cluster::new(2, "");
    cluster.lead(0, 1, &[0, 1]);
    cluster.lead_more(50);
    cluster.advance_by_steps(2000, 100);
    assert_eq!(cluster.awake(0), 0);
    cluster.advance_by_steps(100_000, 500);
    // The follower hears of a record as soon as it is there.
    cluster.produce(0, &batch(&["a"]), -1);
    cluster.settle();
    assert_eq!(cluster.produced(0), Some((ErrorCode::NONE, 0)));
    assert_eq!(cluster.awake(0), 1);
    cluster.advance_by_steps(1000, 100);
    assert_eq!((cluster.offsets(1).high_watermark, cluster.awake(0)), (1, 0));
    cluster.advance_by_steps(100_000, 500);
    // Though nobody looked at it for long, it is in sync until it has not fetched for replica.lag.time.max.ms.
    cluster.cut_off(1);
    cluster.produce(0, &batch(&["b"]), -1);
    cluster.advance_by_steps(29_000, 500);
    assert_eq!((cluster.wanted_isr(0), cluster.produced(0)), (vec![0, 1], None));
    cluster.advance_by_steps(17_000, 500);
    assert_eq!(cluster.wanted_isr(0), [0]);
}

#[test]
fn what_rests_hears_of_records_behind_something_else() {
    let mut cluster = Cluster::new(2, "");
    cluster.lead(0, 1, &[0, 1]);
    cluster.advance_by_steps(2000, 100);
    assert_eq!(cluster.awake(0), 0);
    cluster.wake(0);
    cluster.produce(0, &batch(&["a"]), -1);
    cluster.settle();
    assert_eq!(cluster.produced(0), Some((ErrorCode::NONE, 0)), "without any time going by");
}

#[test]
fn what_rests_hears_of_a_new_epoch() {
    let mut cluster = Cluster::new(2, "");
    cluster.lead(0, 1, &[0, 1]);
    cluster.advance_by_steps(2000, 100);
    assert_eq!(cluster.awake(0), 0);
    cluster.lead(0, 2, &[0, 1]);
    cluster.produce(0, &batch(&["a"]), -1);
    cluster.advance_by_steps(2000, 100);
    assert_eq!(cluster.produced(0), Some((ErrorCode::NONE, 0)));
    assert_eq!((cluster.offsets(1).log_end, cluster.awake(0)), (1, 0));
    cluster.lead(1, 3, &[0, 1]);
    cluster.produce(1, &batch(&["b"]), -1);
    cluster.advance_by_steps(2000, 100);
    assert_eq!(cluster.produced(1), Some((ErrorCode::NONE, 1)));
    assert_eq!(cluster.bytes(0), cluster.bytes(1));
}
