//! Java's system properties as the command line of the process has them, for what the originals read from there: TLS with ZooKeeper, and
//! logins at it.

use std::io::{sink, stderr};
use std::sync::{Arc, OnceLock};

use config::Properties;
use config::zookeeper::{TlsSettings, client_login};
use tls::Tls;
use zk_client::Credentials;

use crate::console::Console;

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

/// As whom to log in at ZooKeeper, as the JAAS file of `java.security.auth.login.config` says; nobody without one.
///
/// # Errors
/// In words.
pub fn zookeeper_login(file: &Properties) -> Result<Option<Credentials>, String> {
    let get = |name: &str| file.get(name).map(str::to_owned).or_else(|| property(name));
    let mut notices = Vec::new();
    let login = client_login(&get, &mut |path| std::fs::read(path), &mut notices)?;
    let mut console = Console { input: None, out: &mut sink(), err: &mut stderr() };
    notices.iter().for_each(|notice| console.log("WARN", &notice.text, notice.logger));
    Ok(login.map(|(user, password)| Credentials { user, password: password.0 }))
}

fn load(settings: Result<Option<TlsSettings>, String>) -> Result<Option<Arc<Tls>>, String> {
    let tls = settings?.map(|settings| Tls::load(&settings)).transpose();
    Ok(tls.map_err(|error| error.to_string())?.map(Arc::new))
}
