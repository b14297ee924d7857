//! What the brokers and clients of a run are set to: times short, segments small, so that much happens in a few seconds.

use base::Random;

use crate::settings::one_of;

/// A broker's id; brokers count from 1, as nodes of the network do.
pub(crate) type BrokerId = i32;

/// The port of every broker.
pub(crate) const PORT: u16 = 9092;
/// Where brokers keep their logs: in the first of these alone, or in both.
pub(crate) const LOG_DIRS: [&str; 2] = ["/kafka", "/kafka-2"];
/// How long a silent session of a broker lives.
pub(crate) const SESSION_TIMEOUT_MS: u64 = 1_000;
/// The topic that producers write.
pub(crate) const TOPIC: &str = "ky18";
/// The group whose members read it.
pub(crate) const GROUP: &str = "readers";
/// Where groups are logged, and in how many partitions.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";
const OFFSETS_PARTITIONS: i32 = 2;

/// How records of the topic go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deletion {
    None,
    /// Somebody asks for it.
    ByRequest,
    /// By `log.retention.bytes`.
    BySize,
    /// By `log.retention.ms`.
    ByTime,
}

/// What a log keeps that goes by its size.
pub(crate) const RETENTION_BYTES: usize = 4_000;
/// What a log keeps that goes by time.
const RETENTION_MS: u64 = 2_000;
/// How often brokers look at what is to go.
const LOOKS_OFTEN: &str = "log.retention.check.interval.ms=300\n";

/// Makes another seed of a run's.
const APART: u64 = 0x6772_6f75_7080;

/// What the seed draws for all brokers of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    pub(crate) partitions: i32,
    /// ZooKeeper servers.
    pub(crate) servers: u64,
    /// Replicas of the topic.
    pub(crate) factor: i16,
    pub(crate) insync_min: u32,
    /// Log directories of each broker.
    directories: usize,
    /// Sessions of members last longer than a rebalance: one that stands still stays in the group, in the generation of before.
    pub(crate) long_sessions: bool,
    /// Clients that keep much under way.
    pub(crate) pipelining: u64,
    /// Whether somebody makes and deletes topics.
    pub(crate) administered: bool,
    /// Whether replicas are moved.
    pub(crate) moves: bool,
    /// Somebody elects leaders, in one of so many turns. Followers of older protocols name no leader epoch (before KIP-320), so that
    /// logs may part for good with leaders that change so quickly; and replicas that move have an order of their own.
    pub(crate) elections: Option<u64>,
    /// Whether brokers are left alone until they note regularly how far their logs are durable.
    pub(crate) waits: bool,
    pub(crate) deletion: Deletion,
    /// Clients that keep much under way take their time before they send again what they are in doubt of: leaders change meanwhile.
    pub(crate) hesitates: bool,
    /// The power that goes off is that of a broker that holds the office and leads.
    pub(crate) strikes_office: bool,
    /// Members of the group; 0 if there is none.
    pub(crate) members: u64,
    /// Whether they have names (static members).
    pub(crate) statics: bool,
    segment_bytes: u32,
    fetchers: u32,
    lag_ms_max: u32,
    protocol: &'static str,
}

impl Draw {
    pub(crate) fn new(brokers: i32, seed: u64, random: &mut Random) -> Self {
        // Drawn apart, so that a run without all this is the one that its seed was before; those of tests among them.
        let more = &mut Random::from_seed(seed ^ APART);
        let factor = if brokers == 3 { one_of(random, [2, 3, 3]) } else { 3 };
        let administered = random.below(2) == 0;
        let moves = administered && random.below(2) == 0;
        let protocol = one_of(random, ["2.7", "2.7", "2.6", "2.6", "2.0", "1.1"]);
        let elects = !moves && matches!(protocol, "2.7" | "2.6") && random.below(3) > 0;
        let members = one_of(more, [0, 0, 2, 3]);
        // Before 2.3 nobody had a name.
        let statics = more.below(2) == 0 && matches!(protocol, "2.7" | "2.6");
        let none = Deletion::None;
        let deletion = one_of(more, [none, none, none, Deletion::ByRequest, Deletion::BySize, Deletion::ByTime]);
        let (hesitates, strikes_office) = (more.below(3) == 0, more.below(4) == 0);
        let long_sessions = more.below(2) == 0;
        let draw = Self {
            partitions: one_of(random, [1, 2, 4]),
            servers: one_of(random, [1, 1, 3]),
            factor,
            insync_min: one_of(random, [1, 2]),
            directories: one_of(random, [1, 2]),
            pipelining: one_of(random, [1, 2]),
            administered,
            moves,
            elections: elects.then(|| one_of(random, [1, 1, 5, 20])),
            waits: random.below(4) == 0,
            members,
            statics,
            deletion,
            long_sessions,
            hesitates,
            strikes_office,
            segment_bytes: one_of(random, [500, 2_000, 20_000, 1_000_000]),
            fetchers: one_of(random, [1, 2]),
            lag_ms_max: one_of(random, [400, 1_500]),
            protocol,
        };
        match deletion {
            Deletion::None => draw,
            // Whole segments go. Brokers look at what is to go when they have run for a while.
            Deletion::ByRequest | Deletion::BySize | Deletion::ByTime => Self {
                segment_bytes: draw.segment_bytes.min(2_000),
                waits: draw.waits || deletion != Deletion::ByRequest,
                ..draw
            },
        }
    }

    /// Whether records are deleted.
    pub(crate) fn deletes(&self) -> bool {
        self.deletion != Deletion::None
    }

    /// The partition of [`OFFSETS_TOPIC`] that has the members' group.
    pub(crate) fn group_partition() -> i32 {
        kafka_coord::partition_of(GROUP, OFFSETS_PARTITIONS)
    }

    /// The log directories of each broker.
    pub(crate) fn log_dirs(&self) -> &'static [&'static str] {
        LOG_DIRS.get(..self.directories).unwrap_or(&LOG_DIRS)
    }

    /// The `server.properties` of a broker.
    pub(crate) fn properties(&self, id: BrokerId) -> String {
        let connect: Vec<String> = (1..=self.servers).map(|id| format!("z{id}:2181")).collect();
        let (connect, log_dirs) = (connect.join(","), self.log_dirs().join(","));
        let retention = match self.deletion {
            Deletion::None => String::new(),
            Deletion::ByRequest => LOOKS_OFTEN.to_owned(),
            Deletion::BySize => format!("log.retention.bytes={RETENTION_BYTES}\n{LOOKS_OFTEN}"),
            Deletion::ByTime => format!("log.retention.ms={RETENTION_MS}\n{LOOKS_OFTEN}"),
        };
        let Self { factor, insync_min, segment_bytes, fetchers, lag_ms_max, protocol, .. } = self;
        format!(
            "broker.id={id}\nlisteners=PLAINTEXT://{}:{PORT}\nlog.dirs={log_dirs}\nzookeeper.connect={connect}\n\
             zookeeper.session.timeout.ms={SESSION_TIMEOUT_MS}\nmin.insync.replicas={insync_min}\n\
             default.replication.factor={factor}\noffsets.topic.replication.factor={factor}\n\
             offsets.topic.num.partitions={OFFSETS_PARTITIONS}\ngroup.initial.rebalance.delay.ms=0\n\
             group.min.session.timeout.ms=500\nauto.create.topics.enable=false\n\
             log.segment.bytes={segment_bytes}\nnum.replica.fetchers={fetchers}\nreplica.lag.time.max.ms={lag_ms_max}\n\
             replica.fetch.wait.max.ms=100\nreplica.fetch.backoff.ms=50\nreplica.socket.timeout.ms=1000\n\
             controller.socket.timeout.ms=1000\nreplica.high.watermark.checkpoint.interval.ms=300\n\
             log.flush.offset.checkpoint.interval.ms=500\ncontrolled.shutdown.max.retries=1\n\
             controlled.shutdown.retry.backoff.ms=100\nleader.imbalance.check.interval.seconds=2\n\
             inter.broker.protocol.version={protocol}\n{retention}",
            host(id)
        )
    }
}

/// How a broker is called.
pub(crate) fn host(id: BrokerId) -> String {
    format!("b{id}")
}

/// The broker of this name.
pub(crate) fn broker_of(host: &str) -> Option<BrokerId> {
    host.strip_prefix('b')?.parse().ok()
}

/// Where clients begin.
pub(crate) fn bootstrap(brokers: i32) -> String {
    (1..=brokers).map(|id| format!("{}:{PORT}", host(id))).collect::<Vec<_>>().join(",")
}
