//! Three brokers and three ZooKeeper servers of ours under load while they are killed, frozen and cut off, while links between brokers
//! and log directories fail. Every acknowledged record is read where it was acknowledged, none of an idempotent producer twice or out of
//! order, the group goes on from its offsets, and all replicas end with the same bytes; and records go on behind each fault.
//!
//! One round, or as many as fit into `JACKDAW_FAULTS_MINUTES` (`cargo xtask faults --hours N`).

use std::time::{Duration, Instant};

use interop::{Cluster, Kind, Traffic};
use kafka_proto::ErrorCode;
use kafka_proto::messages::delete_topics;

use crate::kafka_cluster::alone;

/// Of each log directory and of each server's data.
const DISK_BYTES: u64 = 256 << 20;
/// Replicas that clean each at its own time don't hold the same bytes.
const LINES: &str = "min.insync.replicas=2\nlog.cleaner.enable=false\ndelete.topic.enable=true\n";
const PARTITIONS: [&[usize]; 3] = [&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]];

/// Whom a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// A partition's leader that is not the controller.
    Leader,
    Controller,
}

/// A way to be gone for a while, and the way back.
struct Absence {
    what: &'static str,
    broker: [fn(&mut Cluster, usize); 2],
    zookeeper: [fn(&mut Cluster, usize); 2],
}

const ABSENCES: [Absence; 3] = [
    Absence {
        what: "kill -9",
        broker: [|cluster, id| cluster.kill(id).unwrap(), |cluster, id| cluster.start(id, Kind::Ours).unwrap()],
        zookeeper: [
            |cluster, id| cluster.zookeeper().kill(id).unwrap(),
            |cluster, id| cluster.zookeeper().start(id, Kind::Ours).unwrap(),
        ],
    },
    Absence {
        what: "SIGSTOP",
        broker: [|cluster, id| cluster.freeze(id).unwrap(), |cluster, id| cluster.go_on(id).unwrap()],
        zookeeper: [
            |cluster, id| cluster.zookeeper().freeze(id).unwrap(),
            |cluster, id| cluster.zookeeper().go_on(id).unwrap(),
        ],
    },
    Absence {
        what: "a cut cable",
        broker: [|cluster, id| cluster.cut(id).unwrap(), |cluster, id| cluster.heal(id).unwrap()],
        zookeeper: [
            |cluster, id| cluster.zookeeper().cut(id).unwrap(),
            |cluster, id| cluster.zookeeper().heal(id).unwrap(),
        ],
    },
];

struct Faults {
    cluster: Cluster,
    traffic: Traffic,
    topic: String,
}

impl Faults {
    fn begin(mut cluster: Cluster, number: usize) -> Self {
        let topic = format!("t{number}");
        cluster.create(&topic, &PARTITIONS).unwrap();
        let traffic = Traffic::begin(&cluster, &topic).unwrap();
        Self { cluster, traffic, topic }
    }

    /// A broker in this role, and a partition that it leads: each leads the one that prefers it.
    fn find(&mut self, role: Role) -> (usize, usize) {
        let controller = self.cluster.await_controller().unwrap();
        let id = match role {
            Role::Controller => controller,
            Role::Leader => 1 + controller % 3,
        };
        (id, id - 1)
    }

    fn goes_on(&mut self, after: &str) {
        self.traffic.goes_on(&mut self.cluster, after).unwrap();
    }

    /// The brokers that are left take over from one that is gone.
    fn goes_on_without(&mut self, id: usize, what: &str) {
        self.cluster.await_gone(id).unwrap();
        self.cluster.await_brokers().unwrap();
        self.is_led_by_others(id, what);
        self.goes_on(what);
    }

    fn is_led_by_others(&mut self, id: usize, what: &str) {
        let topic = &self.topic;
        let others = |cluster: &Cluster| Ok(cluster.leader(topic, id - 1)?.is_some_and(|leader| leader != id));
        self.cluster.wait(&format!("another leader, after {what},"), others).unwrap();
    }

    /// All serve again, and lead what they should.
    fn is_whole(&mut self, what: &str) {
        self.cluster.await_brokers().unwrap();
        self.cluster.await_all_in_sync().unwrap();
        self.cluster.elect_preferred(&self.topic).unwrap();
        self.goes_on(what);
    }

    fn broker_is_away(&mut self, role: Role, absence: &Absence) {
        let (id, _) = self.find(role);
        let what = format!("{} of broker {id}, {role:?}", absence.what);
        let [leave, come_back] = absence.broker;
        leave(&mut self.cluster, id);
        self.goes_on_without(id, &what);
        come_back(&mut self.cluster, id);
        self.is_whole(&what);
    }

    fn zookeeper_is_away(&mut self, absence: &Absence) {
        let id = self.cluster.zookeeper().await_leader().unwrap();
        let what = format!("{} of ZooKeeper's leader {id}", absence.what);
        let [leave, come_back] = absence.zookeeper;
        leave(&mut self.cluster, id);
        self.cluster.zookeeper().await_leader_without(id).unwrap();
        self.cluster.await_brokers().unwrap();
        self.goes_on(&what);
        come_back(&mut self.cluster, id);
        self.cluster.zookeeper().await_leader().unwrap();
        self.is_whole(&what);
    }

    /// Two brokers don't reach each other, but ZooKeeper and the third: the leader goes on without its follower.
    fn are_parted(&mut self, role: Role) {
        let (id, partition) = self.find(role);
        let (controller, _) = self.find(Role::Controller);
        let other = (1..=3).find(|other| ![id, controller].contains(other)).unwrap();
        self.cluster.part(id, other).unwrap();
        let topic = &self.topic;
        let what = format!("brokers {id}, {role:?}, and {other} don't reach each other");
        let without = |cluster: &Cluster| {
            let state = cluster.state(topic, partition)?;
            Ok(state["leader"] == id && state["isr"].as_array().is_some_and(|isr| !isr.contains(&other.into())))
        };
        self.cluster.wait(&format!("an ISR without {other}, as {what},"), without).unwrap();
        self.goes_on(&what);
        self.cluster.join(id, other).unwrap();
        self.is_whole(&what);
    }

    /// A broker that has no room takes no records until there is some; the others go on.
    fn disk_is_full(&mut self, role: Role) {
        let (id, _) = self.find(role);
        let what = format!("a full disk of broker {id}, {role:?}");
        let before = self.cluster.log(id).unwrap().len();
        let full = [0, 1].map(|index| self.cluster.fill_log_dir(id, index).unwrap());
        let is_full = |cluster: &Cluster| Ok(cluster.log(id)?[before..].contains("The disk is full"));
        self.cluster.wait(&format!("a complaint of {what}"), is_full).unwrap();
        self.goes_on(&what);
        drop(full);
        self.is_whole(&what);
    }

    /// A broker goes on with the log directory that is left to it, others lead what it had in the one whose disk was pulled, and it gets
    /// all of that again on an empty one.
    fn log_dir_fails(&mut self, role: Role) {
        let (id, partition) = self.find(role);
        let what = format!("a failed log directory of broker {id}, {role:?}");
        let folder = format!("{}-{partition}", self.topic);
        let index = self.cluster.log_dirs(id).unwrap().iter().position(|dir| dir.join(&folder).exists()).unwrap();
        self.cluster.pull_disk(id, index).unwrap();
        self.is_led_by_others(id, &what);
        self.cluster.await_brokers().unwrap();
        self.goes_on(&what);
        self.cluster.stop(id).unwrap();
        self.cluster.replace_disk(id, index, DISK_BYTES).unwrap();
        self.cluster.start(id, Kind::Ours).unwrap();
        self.is_whole(&what);
    }

    fn round(&mut self) {
        for absence in &ABSENCES {
            self.broker_is_away(Role::Leader, absence);
            self.broker_is_away(Role::Controller, absence);
            self.zookeeper_is_away(absence);
        }
        self.are_parted(Role::Leader);
        self.are_parted(Role::Controller);
        self.log_dir_fails(Role::Leader);
        self.disk_is_full(Role::Controller);
    }

    /// The account; the topic goes.
    fn end(self) -> Cluster {
        let Self { mut cluster, traffic, topic } = self;
        let account = traffic.account(&mut cluster).unwrap();
        println!("{account:?}");
        let request = delete_topics::Request { topic_names: vec![topic.as_str().into()], timeout_ms: 15_000 };
        let controller = cluster.await_controller().unwrap();
        let answer = cluster.ask(controller, &request, 4).unwrap();
        assert_eq!(answer.responses[0].error_code, ErrorCode::NONE, "{answer:?}");
        cluster
    }
}

#[test]
fn ours_lose_nothing_to_faults_under_load() {
    let _alone = alone();
    let minutes: u64 = std::env::var("JACKDAW_FAULTS_MINUTES").map_or(0, |text| text.parse().unwrap());
    let start = Instant::now();
    let mut cluster = Cluster::with_faults(3, &[Kind::Ours; 3], LINES, DISK_BYTES).unwrap();
    cluster.start_all(&[Kind::Ours; 3]).unwrap();
    for number in 0.. {
        let mut faults = Faults::begin(cluster, number);
        faults.round();
        cluster = faults.end();
        if start.elapsed() >= Duration::from_secs(60 * minutes) {
            break;
        }
    }
}
