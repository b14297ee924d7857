//! The targets: each takes any bytes and must come back, with what they decode to decoding the same again where it has a form.

mod kafka_disk;
mod kafka_wire;
mod peers;
mod records;
mod security;
mod text;
mod zookeeper;

/// A reader of bytes, and what is expected of it.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&[u8]),
    /// Inputs to start from.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Bytes that may be live at a time for an input of this length.
    pub(crate) memory: fn(usize) -> usize,
}

/// All of them.
pub(crate) static TARGETS: &[Target] = &[
    Target { name: "kafka_requests", run: kafka_wire::requests, seeds: kafka_wire::request_seeds, memory: of_views },
    Target { name: "kafka_responses", run: kafka_wire::responses, seeds: kafka_wire::response_seeds, memory: of_views },
    Target { name: "kafka_frames", run: kafka_wire::frames, seeds: kafka_wire::frame_seeds, memory: of_views },
    Target { name: "consumer_protocol", run: kafka_wire::consumer_protocol, seeds: no_seeds, memory: of_views },
    Target { name: "records", run: records::batches, seeds: records::seeds, memory: of_records },
    Target { name: "compression", run: records::compression, seeds: records::compressed_seeds, memory: of_records },
    Target { name: "produce_checks", run: records::produce_checks, seeds: records::seeds, memory: of_records },
    Target { name: "group_records", run: kafka_disk::group_records, seeds: no_seeds, memory: of_records },
    Target { name: "kafka_log_folder", run: kafka_disk::log_folder, seeds: kafka_disk::folder_seeds, memory: of_disks },
    Target { name: "kafka_znodes", run: text::znodes, seeds: text::znode_seeds, memory: of_texts },
    Target { name: "properties", run: text::properties, seeds: text::properties_seeds, memory: of_texts },
    Target { name: "zoo_cfg", run: text::zoo_cfg, seeds: text::zoo_cfg_seeds, memory: of_texts },
    Target { name: "certificates", run: security::certificates, seeds: security::certificate_seeds, memory: of_texts },
    Target { name: "logins", run: security::logins, seeds: security::login_seeds, memory: of_texts },
    Target { name: "jaas", run: security::jaas, seeds: security::jaas_seeds, memory: of_texts },
    Target { name: "jute_messages", run: zookeeper::messages, seeds: zookeeper::message_seeds, memory: of_views },
    Target { name: "jute_txns", run: zookeeper::txns, seeds: no_seeds, memory: of_views },
    Target { name: "zk_snapshot", run: zookeeper::snapshot, seeds: zookeeper::snapshot_seeds, memory: of_disks },
    Target { name: "zk_txn_log", run: zookeeper::txn_log, seeds: zookeeper::txn_log_seeds, memory: of_disks },
    Target { name: "zk_connection", run: zookeeper::connection, seeds: zookeeper::connection_seeds, memory: of_disks },
    Target { name: "zk_voter", run: peers::voter, seeds: peers::voter_seeds, memory: of_disks },
    Target { name: "zk_learner", run: peers::learner, seeds: peers::learner_seeds, memory: of_disks },
    Target { name: "zk_leader", run: peers::leader, seeds: peers::leader_seeds, memory: of_disks },
];

/// Structures of views into the input: a list of empty strings makes most of a byte, and a growing list is copied.
const fn of_views(length: usize) -> usize {
    (64 << 10) + 160 * length
}

/// Decompression has a bound of its own, [`records::OUTPUT_MAX`], and the tables of its codec (zstd's window is 8 MiB).
const fn of_records(length: usize) -> usize {
    (24 << 20) + 64 * length
}

/// A disk in memory, and servers on it.
const fn of_disks(length: usize) -> usize {
    (96 << 20) + 256 * length
}

/// Texts and trees of them, the registries, and messages that quote what is wrong.
const fn of_texts(length: usize) -> usize {
    (4 << 20) + 512 * length
}

fn no_seeds() -> Vec<Vec<u8>> {
    Vec::new()
}

/// The first byte, to choose by, and the rest.
fn choice(input: &[u8]) -> Option<(usize, &[u8])> {
    input.split_first().map(|(first, rest)| (usize::from(*first), rest))
}
