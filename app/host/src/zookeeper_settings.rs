//! From what `zoo.cfg` says to what the state machine takes.

use config::ZooKeeperSettings;
use config::zookeeper::{ConnectionThrottle, Words};
use zk_node::ServerConfig;

/// The version that is told to clients, as the original's `envi` does.
const VERSION: &str = "3.6.3--6401e4ad2087061bc6b9f80dec2d69f2e3c8660a, built on 04/08/2021 16:35 GMT";
const HOUR_MS: u64 = 3_600_000;

/// The machine's settings. `client_port` is the port that was bound; -1 for none.
pub fn server_config(settings: &ZooKeeperSettings, client_port: i32) -> ServerConfig {
    let mut config = ServerConfig::new(&settings.data_dir);
    config.data_log_dir = (&settings.data_log_dir).into();
    config.client_port = client_port;
    config.client_port_listen_backlog = settings.client_listen_backlog.unwrap_or(-1);
    config.tick_time_ms = natural(settings.tick_time_ms);
    config.session_timeout_min_ms = settings.session_timeout_ms_min;
    config.session_timeout_max_ms = settings.session_timeout_ms_max;
    config.connections_per_address_max = natural(settings.connections_per_address_max);
    config.connections_max = natural(settings.connections_max);
    config.sessionless_timeout_ms = natural(settings.sessionless_connection_timeout_ms);
    config.purge_retain_count = natural(settings.purge.snapshots_retained);
    config.purge_interval_ms = positive(settings.purge.interval_hours).map(|hours| hours * HOUR_MS);
    config.connection_throttle = throttle(&settings.connection_throttle);
    config.four_letter_words = match &settings.access.words {
        Words::All => "*".to_owned(),
        Words::Only(words) => words.iter().map(String::as_str).collect::<Vec<_>>().join(","),
    };
    config.skip_acl = settings.access.skip_acl;
    config.super_digest.clone_from(&settings.access.super_digest);
    config.environment = environment();
    set_limits(&mut config, settings);
    set_storage(&mut config, settings);
    set_nodes(&mut config, settings);
    config
}

fn set_limits(config: &mut ServerConfig, settings: &ZooKeeperSettings) {
    let limits = &settings.limits;
    config.frame_length_max = natural(limits.request_bytes_max);
    config.outstanding_max = natural(limits.outstanding_max) as usize;
    config.in_process_max = natural(limits.throttle_requests_max) as usize;
    config.large_request_threshold = u32::try_from(limits.large_request_bytes_from).ok().filter(|from| *from > 0);
    config.large_request_bytes_max = natural(limits.large_request_bytes_max) as usize;
}

fn set_storage(config: &mut ServerConfig, settings: &ZooKeeperSettings) {
    let storage = &settings.storage;
    config.force_sync = storage.force_sync;
    config.fsync_warning_ms = u64::try_from(storage.sync_warning_ms).unwrap_or(0);
    config.preallocation = storage.preallocate_bytes;
    config.log_file_length_max = storage.log_bytes_max;
    config.snapshot_count = natural(storage.snapshot_transactions);
    config.snapshot_log_bytes = storage.snapshot_log_bytes;
    config.trust_empty_snapshot = storage.trust_empty_snapshot;
    config.digest = storage.digest;
    config.close_session_paths = storage.close_session_lists_ephemerals;
}

fn set_nodes(config: &mut ServerConfig, settings: &ZooKeeperSettings) {
    let nodes = &settings.nodes;
    config.extended_types = nodes.extended_types;
    config.emulate_353_ttl = nodes.emulate_353_ttl;
    config.container_check_interval_ms = u64::from(natural(nodes.container_check_interval_ms));
    config.container_per_minute_max = natural(nodes.containers_per_minute_max);
    config.container_never_used_ms = u64::try_from(nodes.container_never_used_ms).ok().filter(|ms| *ms > 0);
}

fn throttle(throttle: &ConnectionThrottle) -> zk_node::ConnectionThrottle {
    zk_node::ConnectionThrottle {
        tokens: natural(throttle.tokens),
        fill_time_ms: u64::from(natural(throttle.fill_time_ms)),
        fill_count: natural(throttle.fill_count),
        freeze_time_ms: u64::try_from(throttle.freeze_time_ms).ok(),
        drop_increase: throttle.drop_increase,
        drop_decrease: throttle.drop_decrease,
        decrease_ratio: throttle.decrease_ratio,
        weights: throttle
            .weight_enabled
            .then(|| (natural(throttle.global_session_weight), natural(throttle.renew_session_weight))),
    }
}

/// What `envi` prints, in the original's order; what is Java's alone is left out.
fn environment() -> Vec<(String, String)> {
    let uname = rustix::system::uname();
    let text = |value: &std::ffi::CStr| value.to_string_lossy().into_owned();
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let arch = if std::env::consts::ARCH == "x86_64" { "amd64" } else { std::env::consts::ARCH };
    let dir = std::env::current_dir().map(|dir| dir.display().to_string()).unwrap_or_default();
    [
        ("zookeeper.version", VERSION.to_owned()),
        ("host.name", text(uname.nodename())),
        ("java.io.tmpdir", std::env::temp_dir().display().to_string()),
        ("os.name", text(uname.sysname())),
        ("os.arch", arch.to_owned()),
        ("os.version", text(uname.release())),
        ("user.name", variable("USER")),
        ("user.home", variable("HOME")),
        ("user.dir", dir),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn natural(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn positive(number: i32) -> Option<u64> {
    u64::try_from(number).ok().filter(|number| *number > 0)
}
