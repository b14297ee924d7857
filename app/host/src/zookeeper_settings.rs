//! What a ZooKeeper server is told of the machine it runs on, beside its configuration.

use config::ZooKeeperSettings;
use zk_node::{Descriptors, ServerConfig, VERSION};

use crate::process::descriptor_limit;

/// The machine's settings. `client_port` is the port that was bound; -1 for none.
pub fn server_config(settings: &ZooKeeperSettings, client_port: i32) -> ServerConfig {
    let mut config = ServerConfig::from(settings);
    config.client_port = client_port;
    config.environment = environment();
    config.descriptors = descriptors;
    if let Some(files) = config.member.as_mut().and_then(|member| member.files.as_mut()) {
        files.path = absolute(&files.path);
    }
    config
}

/// The path of a file whose folder is found from anywhere, by one name.
fn absolute(path: &str) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let resolved = path.parent().and_then(|dir| dir.canonicalize().ok()).zip(path.file_name());
    let path = resolved.map_or_else(|| path.clone(), |(dir, name)| dir.join(name));
    path.to_string_lossy().into_owned()
}

fn descriptors() -> Descriptors {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    Descriptors { open, max: descriptor_limit() }
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
