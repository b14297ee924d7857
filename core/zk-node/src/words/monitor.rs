//! `mntr`: every key that the original prints, in one order (the original's is that of a hash table).
//!
//! Figures of machinery that a standalone server of this kind does not have (queues between threads, the commit
//! processor, a quorum, the garbage collector) are 0, as they are in a standalone original for the most part.

use std::fmt::{Display, Write as _};
use std::sync::atomic::Ordering;

use base::Now;

use super::VERSION;
use crate::Server;
use crate::stats::{Distribution, JavaDouble, Summary};

/// Counters of machinery that is not here.
const ABSENT_COUNTERS: [&str; 24] = [
    "proposal_count",
    "stale_requests_dropped",
    "looking_count",
    "dead_watchers_queued",
    "stale_requests",
    "learner_proposal_received_count",
    "dead_watchers_cleared",
    "response_packet_cache_hits",
    "add_dead_watcher_stall_time",
    "response_packet_cache_misses",
    "ensemble_auth_success",
    "learner_commit_received_count",
    "stale_replies",
    "ensemble_auth_fail",
    "diff_count",
    "response_packet_get_children_cache_misses",
    "quit_leading_due_to_disloyal_voter",
    "snap_count",
    "unrecoverable_error_count",
    "commit_count",
    "response_packet_get_children_cache_hits",
    "request_commit_queued",
    "ensemble_auth_skip",
    "revalidate_count",
];

/// Summaries of machinery that is not here.
const ABSENT_SUMMARIES: [&str; 24] = [
    "session_queues_drained",
    "write_commit_proc_req_queued",
    "read_commit_proc_req_queued",
    "sync_processor_queue_size",
    "follower_sync_time",
    "prep_processor_queue_size",
    "inflight_snap_count",
    "reads_issued_from_session_queue",
    "reads_after_write_in_session_queue",
    "requests_in_session_queue",
    "write_commit_proc_issued",
    "prep_process_time",
    "pending_session_queue_size",
    "time_waiting_empty_pool_in_commit_processor_read_ms",
    "commit_process_time",
    "inflight_diff_count",
    "netty_queued_buffer_capacity",
    "election_time",
    "commit_commit_proc_req_queued",
    "write_batch_time_in_commit_processor",
    "read_commit_proc_issued",
    "concurrent_request_processing_in_commit_processor",
    "sync_process_time",
    "startup_snap_load_time",
];

/// Distributions of machinery that is not here.
const ABSENT_DISTRIBUTIONS: [&str; 19] = [
    "prep_processor_queue_time_ms",
    "jvm_pause_time_ms",
    "close_session_prep_time",
    "read_commitproc_time_ms",
    "local_write_committed_time_ms",
    "quorum_ack_latency",
    "om_commit_process_time_ms",
    "read_final_proc_time_ms",
    "commit_propagation_latency",
    "dead_watchers_cleaner_latency",
    "write_final_proc_time_ms",
    "proposal_ack_creation_latency",
    "proposal_latency",
    "om_proposal_process_time_ms",
    "sync_processor_queue_and_flush_time_ms",
    "server_write_committed_time_ms",
    "sync_processor_queue_time_ms",
    "sync_processor_queue_flush_time_ms",
    "write_commitproc_time_ms",
];

impl Server {
    pub(super) fn monitor_text(&self, now: Now) -> String {
        let mut lines = Lines(String::with_capacity(16 * 1024));
        lines.put("version", VERSION);
        lines.put("server_state", self.mode());
        for (key, value) in self.member_figures(now) {
            lines.put(key, value);
        }
        self.gauges(&mut lines, now);
        self.counters(&mut lines);
        self.summaries(&mut lines);
        lines.0
    }

    fn gauges(&self, lines: &mut Lines, now: Now) {
        let stats = &self.stats;
        let descriptors = (self.config.descriptors)();
        let length = |pick: fn(&crate::stats::ReplyLength) -> usize| {
            stats.reply_length.as_ref().map_or(-1, |length| pick(length) as i64)
        };
        lines.put("avg_latency", JavaDouble(stats.latency.average()));
        lines.put("max_latency", stats.latency.greatest);
        lines.put("min_latency", stats.latency.least());
        lines.put("packets_received", stats.packets_received);
        lines.put("packets_sent", stats.packets_sent);
        lines.put("num_alive_connections", self.connections.len());
        lines.put("outstanding_requests", self.in_process);
        lines.put("uptime", now.monotonic.since(self.started).as_millis());
        lines.put("znode_count", self.tree.node_count());
        lines.put("watch_count", self.watches.len());
        lines.put("ephemerals_count", self.tree.ephemeral_count());
        lines.put("approximate_data_size", self.tree.approximate_data_size());
        lines.put("global_sessions", self.tree.sessions().len());
        lines.put("local_sessions", self.sessions.local_count());
        lines.put("open_file_descriptor_count", descriptors.open);
        lines.put("max_file_descriptor_count", descriptors.max);
        lines.put("connection_drop_probability", JavaDouble(self.tokens.drop_chance()));
        lines.put("last_client_response_size", length(|length| length.last));
        lines.put("max_client_response_size", length(|length| length.greatest));
        lines.put("min_client_response_size", length(|length| length.least));
        let handshakes = &self.config.handshakes;
        lines.put("outstanding_tls_handshake", handshakes.under_way.load(Ordering::Relaxed));
        lines.put("auth_failed_count", handshakes.failed.load(Ordering::Relaxed));
        for name in ["non_mtls_remote_conn_count", "non_mtls_local_conn_count"] {
            lines.put(name, 0);
        }
    }

    fn counters(&self, lines: &mut Lines) {
        let counters = &self.stats.counters;
        lines.put("bytes_received_count", counters.bytes_received);
        lines.put("connection_drop_count", counters.connections_dropped);
        lines.put("connection_rejected", counters.connections_rejected);
        lines.put("connection_request_count", counters.connection_requests);
        lines.put("connection_revalidate_count", counters.connections_revalidated);
        lines.put("sessionless_connections_expired", counters.sessionless_expired);
        lines.put("stale_sessions_expired", counters.sessions_expired);
        lines.put("large_requests_rejected", counters.large_requests_rejected);
        lines.put("request_throttle_wait_count", counters.throttle_waits);
        lines.put("prep_processor_request_queued", counters.requests_prepared);
        lines.put("sync_processor_request_queued", counters.requests_logged);
        lines.put("digest_mismatches_count", counters.digest_mismatches);
        lines.put("tls_handshake_exceeded", self.config.handshakes.refused.load(Ordering::Relaxed));
        lines.put("outstanding_changes_queued", counters.changes_queued);
        lines.put("outstanding_changes_removed", counters.changes_removed);
        for name in ABSENT_COUNTERS {
            lines.put(name, 0);
        }
    }

    fn summaries(&self, lines: &mut Lines) {
        let stats = &self.stats;
        lines.summary("node_created_watch_count", &stats.watches_created);
        lines.summary("node_deleted_watch_count", &stats.watches_deleted);
        lines.summary("node_changed_watch_count", &stats.watches_changed);
        lines.summary("node_children_watch_count", &stats.watches_children);
        lines.summary("fsynctime", &stats.sync_ms);
        lines.summary("sync_processor_batch_size", &stats.sync_batch);
        lines.summary("snapshottime", &stats.snapshot_ms);
        lines.summary("connection_token_deficit", &stats.token_deficit);
        lines.summary("startup_txns_loaded", &stats.startup_txns);
        lines.summary("startup_txns_load_time", &stats.startup_ms);
        lines.summary("dbinittime", &stats.startup_ms);
        for name in ABSENT_SUMMARIES {
            lines.summary(name, &Summary::default());
        }
        lines.distribution("readlatency", &stats.read_latency);
        lines.distribution("updatelatency", &stats.update_latency);
        lines.distribution("propagation_latency", &stats.propagation_latency);
        for (name, summary) in stats.namespaces_written.iter() {
            lines.summary(&format!("{name}_write_per_namespace"), summary);
        }
        for (name, summary) in stats.namespaces_read.iter() {
            lines.summary(&format!("{name}_read_per_namespace"), summary);
        }
        let none = Distribution::default();
        for name in ABSENT_DISTRIBUTIONS {
            lines.distribution(name, &none);
        }
    }
}

/// Lines of a name and a value.
struct Lines(String);

impl Lines {
    fn put(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.0, "zk_{name}\t{value}");
    }

    fn summary(&mut self, name: &str, summary: &Summary) {
        self.put(&format!("avg_{name}"), JavaDouble(summary.average()));
        self.put(&format!("min_{name}"), summary.least());
        self.put(&format!("max_{name}"), summary.greatest);
        self.put(&format!("cnt_{name}"), summary.count);
        self.put(&format!("sum_{name}"), summary.sum);
    }

    fn distribution(&mut self, name: &str, distribution: &Distribution) {
        self.summary(name, &distribution.summary);
        for (prefix, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)] {
            self.put(&format!("{prefix}_{name}"), distribution.percentile(share));
        }
    }
}
