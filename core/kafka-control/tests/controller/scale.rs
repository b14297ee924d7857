//! What a fail-over and a lost broker cost: it grows as the partitions do, and the round trips don't grow at all.

use kafka_control::MessageBody;
use kafka_control::znode::{self, LeaderAndIsr, TopicAssignment};

use crate::world::{World, state_path};

const PARTITIONS_OF_A_TOPIC: i32 = 100;

/// What something cost.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    round_trips: usize,
    operations: usize,
    messages: usize,
    /// States of partitions in these messages.
    told: usize,
}

fn cost(world: &World) -> Cost {
    let told = |body: &MessageBody| match body {
        MessageBody::LeaderAndIsr { partitions, .. } | MessageBody::UpdateMetadata { partitions, .. } => {
            partitions.len()
        }
        MessageBody::StopReplica(replicas) => replicas.len(),
    };
    Cost {
        round_trips: world.round_trips,
        operations: world.operations,
        messages: world.messages.len(),
        told: world.messages.iter().map(|message| told(&message.body)).sum(),
    }
}

/// A cluster of three with so many partitions of three replicas, whose last controller has died, and with it broker 3 of the ISRs.
fn cluster(partitions: i32) -> World {
    let mut world = World::empty();
    for topic in 0..partitions / PARTITIONS_OF_A_TOPIC {
        let name = format!("topic-{topic}");
        let replicas = |number: i32| (0..3).map(|shift| (number + shift) % 3).collect::<Vec<i32>>();
        let assignment = (0..PARTITIONS_OF_A_TOPIC).map(|number| (number, replicas(number))).collect();
        let content = TopicAssignment::of_replicas(assignment).encode();
        world.zookeeper.make(&znode::topic(&name), Some(std::str::from_utf8(&content).unwrap()));
        for number in 0..PARTITIONS_OF_A_TOPIC {
            let isr = replicas(number);
            let state = LeaderAndIsr { leader: isr[0], leader_epoch: 4, isr, controller_epoch: 0 };
            let content = state.encode();
            world.zookeeper.make(&state_path(&name, number), Some(std::str::from_utf8(&content).unwrap()));
        }
    }
    world.start_plain(1);
    world
}

/// Fail-over while broker 2 is gone, then the loss of broker 1, then its return.
fn costs(partitions: i32) -> [Cost; 3] {
    let mut world = cluster(partitions);
    world.start(0);
    world.run();
    let fail_over = cost(&world);
    assert!((0..3).all(|number| world.brief("topic-0", number).0 == [0, 1, 0][usize::try_from(number).unwrap()]));
    world.forget();
    world.stop(1);
    world.run();
    let loss = cost(&world);
    assert!((0..3).all(|number| world.brief("topic-0", number) == (0, 6, vec![0])));
    world.forget();
    world.start_plain(1);
    world.run();
    [fail_over, loss, cost(&world)]
}

#[test]
fn cost_grows_as_the_partitions_do() {
    let (few, many) = (costs(2_000), costs(10_000));
    for (few, many) in few.iter().zip(&many) {
        assert_eq!(few.round_trips, many.round_trips, "{few:?} {many:?}");
        assert_eq!(few.messages, many.messages, "{few:?} {many:?}");
        assert!(many.operations <= 5 * few.operations && many.told <= 5 * few.told, "{few:?} {many:?}");
    }
    let n = 2_000;
    let [fail_over, loss, come_back] = few;
    // Elections and the loads of four kinds: the office, lists, topics, states; the feature's znode; the states without a leader, and those
    // with one.
    assert!(fail_over.round_trips <= 11, "{fail_over:?}");
    // One read of each topic and state, one write of each state: each ISR has lost a member.
    assert!(fail_over.operations <= 2 * n + n / 100 + 40, "{fail_over:?}");
    assert!(loss.operations <= n + 10 && loss.round_trips <= 5, "{loss:?}");
    assert!(come_back.operations <= 10 && come_back.told <= 2 * n, "{come_back:?}");
}
