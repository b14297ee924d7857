//! Java's system properties as the command line of the process has them, for what the originals read from there: TLS with ZooKeeper.

use std::sync::{Arc, OnceLock};

use config::Properties;
use config::zookeeper::TlsSettings;
use tls::Tls;

static PROPERTIES: OnceLock<Properties> = OnceLock::new();

/// Sets them, once, before a tool runs.
pub fn set(properties: &Properties) {
    PROPERTIES.get_or_init(|| properties.clone());
}

fn property(name: &str) -> Option<String> {
    PROPERTIES.get()?.get(name).map(str::to_owned)
}

/// TLS with ZooKeeper as `zookeeper.client.secure` and the `zookeeper.ssl` keys of `file` say, or of the system properties; none if they
/// say nothing of it.
///
/// # Errors
/// In words.
pub fn zookeeper_tls(file: &Properties) -> Result<Option<Arc<Tls>>, String> {
    load(TlsSettings::of_client(&|name| file.get(name).map(str::to_owned).or_else(|| property(name))))
}

/// The same by the keys of a file of Kafka's (`--zk-tls-config-file`): `zookeeper.ssl.client.enable` and so on, over the system properties.
///
/// # Errors
/// In words.
pub fn kafkas_zookeeper_tls(file: &Properties) -> Result<Option<Arc<Tls>>, String> {
    match load(TlsSettings::of_kafka(&|name| file.get(name).map(str::to_owned)))? {
        Some(tls) => Ok(Some(tls)),
        None => zookeeper_tls(&Properties::new()),
    }
}

fn load(settings: Result<Option<TlsSettings>, String>) -> Result<Option<Arc<Tls>>, String> {
    let tls = settings?.map(|settings| Tls::load(&settings)).transpose();
    Ok(tls.map_err(|error| error.to_string())?.map(Arc::new))
}
