//! `srvr`, `stat`, `conf`, `dirs`, `envi`, `hash`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::VERSION;
use crate::stats::JavaDouble;
use crate::{ConnectionId, Server};

impl Server {
    /// `srvr`; with a list of clients `stat`.
    pub(super) fn server_text(&self, clients_for: Option<ConnectionId>) -> String {
        let mut text = format!("Zookeeper version: {VERSION}\n");
        if let Some(asker) = clients_for {
            text.push_str("Clients:\n");
            self.list_connections(&mut text, asker, true);
            text.push('\n');
        }
        let stats = &self.stats;
        let latency = &stats.latency;
        let _ = write!(
            text,
            "Latency min/avg/max: {}/{}/{}\nReceived: {}\nSent: {}\nConnections: {}\nOutstanding: {}\nZxid: {:#x}\n\
             Mode: {}\nNode count: {}\n",
            latency.least(),
            JavaDouble(latency.average()),
            latency.greatest,
            stats.packets_received,
            stats.packets_sent,
            self.connections.len(),
            self.in_process,
            self.tree.last_zxid(),
            self.mode(),
            self.tree.node_count(),
        );
        text.push_str(&self.proposal_sizes());
        text
    }

    pub(super) fn configuration_text(&self) -> String {
        let config = &self.config;
        let (snapshots, logs) = (version_2(&config.data_dir), version_2(&config.data_log_dir));
        format!(
            "clientPort={}\nsecureClientPort={}\ndataDir={}\ndataDirSize={}\ndataLogDir={}\ndataLogSize={}\n\
             tickTime={}\nmaxClientCnxns={}\nminSessionTimeout={}\nmaxSessionTimeout={}\nclientPortListenBacklog={}\n\
             serverId={}\n{}",
            config.client_port,
            config.secure_client_port,
            snapshots.display(),
            // The original names the two the wrong way round; so do we, since scripts compare.
            self.size_of(&logs),
            logs.display(),
            self.size_of(&snapshots),
            config.tick_time_ms,
            config.connections_per_address_max,
            config.session_timeout_min_ms,
            config.session_timeout_max_ms,
            config.client_port_listen_backlog,
            self.server_id(),
            self.member_configuration(),
        )
    }

    pub(super) fn directories_text(&self) -> String {
        let (snapshots, logs) = (version_2(&self.config.data_dir), version_2(&self.config.data_log_dir));
        format!("datadir_size: {}\nlogdir_size: {}\n", self.size_of(&logs), self.size_of(&snapshots))
    }

    pub(super) fn environment_text(&self) -> String {
        let mut text = "Environment:\n".to_owned();
        for (name, value) in &self.config.environment {
            let _ = writeln!(text, "{name}={value}");
        }
        text
    }

    pub(super) fn digest_text(&self) -> String {
        let mut text = String::new();
        for (zxid, digest) in &self.pipeline.digests {
            // Java has no unsigned numbers.
            let _ = writeln!(text, "{zxid:x}: {}", *digest as i64);
        }
        text
    }

    /// Bytes in all files of a folder of data; what can't be read counts nothing, as in the original.
    fn size_of(&self, dir: &Path) -> u64 {
        let entries = self.disk.list(dir).unwrap_or_default();
        entries.iter().filter(|entry| !entry.metadata.is_dir).map(|entry| entry.metadata.len).sum()
    }
}

fn version_2(dir: &Path) -> PathBuf {
    dir.join("version-2")
}
