//! TLS of the client port (`zookeeper.ssl.*`) and between servers (`zookeeper.ssl.quorum.*`), as `X509Util` and
//! `SSLContextAndOptions` of 3.6.3 read it.

use std::fmt;

use super::error::Problem;
use super::keys::{NO_REVOCATION, NO_SUPPLIER};
use super::raw::Raw;
use super::servers::{HostPort, port_number};
use super::{CONFIG, Notice, Properties};

const UTIL: &str = "org.apache.zookeeper.common.X509Util";
const CLIENT: &str = "zookeeper.ssl.";
const QUORUM: &str = "zookeeper.ssl.quorum.";
const X509_PROVIDER: &str = "org.apache.zookeeper.server.auth.X509AuthenticationProvider";

/// The suites that can be spoken, by their names in Java: those with forward secrecy and authenticated encryption.
const CIPHER_SUITES: [&str; 9] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

/// What ZooKeeper calls the keys that Kafka has for its sessions with ZooKeeper.
const KAFKA_NAMES: [(&str, &str); 13] = [
    ("zookeeper.client.secure", "zookeeper.ssl.client.enable"),
    ("zookeeper.ssl.keyStore.location", "zookeeper.ssl.keystore.location"),
    ("zookeeper.ssl.keyStore.password", "zookeeper.ssl.keystore.password"),
    ("zookeeper.ssl.keyStore.type", "zookeeper.ssl.keystore.type"),
    ("zookeeper.ssl.trustStore.location", "zookeeper.ssl.truststore.location"),
    ("zookeeper.ssl.trustStore.password", "zookeeper.ssl.truststore.password"),
    ("zookeeper.ssl.trustStore.type", "zookeeper.ssl.truststore.type"),
    ("zookeeper.ssl.protocol", "zookeeper.ssl.protocol"),
    ("zookeeper.ssl.enabledProtocols", "zookeeper.ssl.enabled.protocols"),
    ("zookeeper.ssl.ciphersuites", "zookeeper.ssl.cipher.suites"),
    ("zookeeper.ssl.hostnameVerification", "zookeeper.ssl.endpoint.identification.algorithm"),
    ("zookeeper.ssl.crl", "zookeeper.ssl.crl.enable"),
    ("zookeeper.ssl.ocsp", "zookeeper.ssl.ocsp.enable"),
];

/// What makes one side of a TLS connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// `keyStore.*`: who we are.
    pub key_store: Option<StoreFile>,
    /// `trustStore.*`: whom we trust.
    pub trust_store: Option<StoreFile>,
    /// TLS 1.2 is among the `enabledProtocols`; by default the one `protocol`.
    pub tls12: bool,
    /// TLS 1.3 is.
    pub tls13: bool,
    /// `ciphersuites` that can be spoken, by Java's names; none: the default.
    pub cipher_suites: Option<Vec<String>>,
    /// `clientAuth`
    pub client_auth: ClientAuth,
    /// `hostnameVerification`
    pub verify_hosts: bool,
}

/// A store and how to open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFile {
    /// `location`
    pub path: String,
    /// `password`; empty if there is none.
    pub password: Secret,
    /// `type`, or what the file's name says: PEM, not JKS or PKCS12.
    pub pem: bool,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[hidden]")
    }
}

/// What a server asks of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// No certificate.
    None,
    /// A certificate, if they have one.
    Want,
    /// A certificate.
    Need,
}

/// TLS for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// `secureClientPort`, `secureClientPortAddress`; none: TLS is taken on the one port alone.
    pub address: Option<HostPort>,
    /// `zookeeper.client.portUnification`: the port for plain text takes TLS, too.
    pub unified: bool,
    /// `zookeeper.netty.server.outstandingHandshake.limit`; 0 or less: no limit.
    pub handshakes_max: i32,
    /// `zookeeper.ssl.*`
    pub tls: TlsSettings,
}

/// TLS between servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumTls {
    /// `sslQuorum`: other servers are met by TLS.
    pub dial: bool,
    /// `portUnification`: who comes in plain text is taken, too.
    pub unified: bool,
    /// `sslQuorumReloadCertFiles`
    pub reload: bool,
    /// `handshakeDetectionTimeoutMillis`: how long a peer may take to begin.
    pub detection_timeout_ms: u32,
    /// `zookeeper.ssl.quorum.*`
    pub tls: TlsSettings,
}

impl TlsSettings {
    /// From the values of the keys that begin with `prefix`, `get` by their full names. Those that need a word are told in `notices`.
    ///
    /// # Errors
    /// In words: which key is wrong, and why.
    pub fn read(prefix: &str, get: &dyn Fn(&str) -> Option<String>, notices: &mut Vec<Notice>) -> Result<Self, String> {
        let value = |name: &str| get(&format!("{prefix}{name}"));
        let bad = |name: &str, value: &str, why: &str| format!("{prefix}{name}={value}: {why}");
        let store = |name: &str| StoreFile::read(&format!("{prefix}{name}."), get);
        let protocols = value("enabledProtocols").or_else(|| value("protocol")).unwrap_or_else(|| "TLSv1.2".to_owned());
        let (mut tls12, mut tls13, mut unspoken) = (false, false, Vec::new());
        for protocol in protocols.split(',') {
            match protocol {
                "TLSv1.2" => tls12 = true,
                "TLSv1.3" => tls13 = true,
                other => unspoken.push(other),
            }
        }
        if !tls12 && !tls13 {
            return Err(bad(
                "enabledProtocols",
                &protocols,
                "TLSv1.2 and TLSv1.3 are spoken; the versions before are not safe, and other names are those of no version",
            ));
        }
        if !unspoken.is_empty() {
            let text = format!("{prefix}enabledProtocols: {} are not spoken and left out", unspoken.join(", "));
            notices.push(Notice::warn(UTIL, text));
        }
        Ok(Self {
            key_store: store("keyStore")?,
            trust_store: store("trustStore")?,
            tls12,
            tls13,
            cipher_suites: value("ciphersuites").map(|suites| cipher_suites(&suites, prefix, notices)).transpose()?,
            client_auth: match value("clientAuth").unwrap_or_default().to_ascii_lowercase().as_str() {
                "" | "need" => ClientAuth::Need,
                "want" => ClientAuth::Want,
                "none" => ClientAuth::None,
                other => return Err(bad("clientAuth", other, "it is need, want or none")),
            },
            verify_hosts: match value("hostnameVerification").unwrap_or_default().to_ascii_lowercase().as_str() {
                "" | "true" => true,
                "false" => false,
                other => return Err(bad("hostnameVerification", other, "it is either true or false")),
            },
        })
    }

    /// Of a client of ZooKeeper (`ZKClientConfig`, `ClientX509Util`): `zookeeper.client.secure` and the keys `zookeeper.ssl.*`, `get` by
    /// their full names. `None` if it speaks plain text.
    ///
    /// # Errors
    /// In words: which key is wrong or missing, and why.
    pub fn of_client(get: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let is_true = |name: &str| get(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        if !is_true("zookeeper.client.secure") {
            return Ok(None);
        }
        for key in ["crl", "ocsp"].map(|name| format!("{CLIENT}{name}")) {
            if is_true(&key) {
                return Err(format!("{key}=true: {NO_REVOCATION}"));
            }
        }
        if let Some(class) = get(&format!("{CLIENT}context.supplier.class")) {
            return Err(format!("{CLIENT}context.supplier.class={class}: {NO_SUPPLIER}"));
        }
        // Tools print what they are asked for; what is left out of a list shows when the server has nothing else.
        let settings = Self::read(CLIENT, get, &mut Vec::new())?;
        match settings.trust_store {
            Some(_) => Ok(Some(settings)),
            None => Err(format!("{CLIENT}trustStore.location is not set: it says which servers are trusted")),
        }
    }

    /// The same by the names that brokers and Kafka's tools have for the keys: `zookeeper.ssl.client.enable`,
    /// `zookeeper.ssl.keystore.location` and so on (`KafkaConfig.ZkSslConfigToSystemPropertyMap`).
    ///
    /// # Errors
    /// As [`TlsSettings::of_client`], which says the keys by their other names.
    pub fn of_kafka(get: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        Self::of_client(&|name| match KAFKA_NAMES.iter().find(|(own, _)| *own == name) {
            Some((_, "zookeeper.ssl.endpoint.identification.algorithm")) => {
                let algorithm = get("zookeeper.ssl.endpoint.identification.algorithm");
                Some(algorithm.is_none_or(|algorithm| algorithm.trim().eq_ignore_ascii_case("https")).to_string())
            }
            Some((_, key)) => get(key),
            None => None,
        })
    }

    /// Adds to a broker's file what Java's properties say of its TLS with ZooKeeper and the file does not, as the original looks there, too.
    pub fn add_of_java(file: &mut Properties, java: &Properties) {
        for (own, key) in KAFKA_NAMES {
            let Some(value) = java.get(own).filter(|_| file.get(key).is_none()) else { continue };
            let value = match key {
                "zookeeper.ssl.endpoint.identification.algorithm" if value.trim().eq_ignore_ascii_case("true") => {
                    "HTTPS"
                }
                "zookeeper.ssl.endpoint.identification.algorithm" => "",
                _ => value,
            };
            file.set(key, value);
        }
    }

    /// What a server needs beyond that.
    fn check_server(&self, prefix: &str, why: &str) -> Result<(), Problem> {
        if self.key_store.is_none() {
            return Err(Problem::config(format!(
                "{why} needs a certificate of this server, but {prefix}keyStore.location is not set"
            )));
        }
        if self.trust_store.is_none() && self.client_auth != ClientAuth::None {
            return Err(Problem::config(format!(
                "{why} asks for certificates, but {prefix}trustStore.location, which says whose are trusted, is not set \
                 ({prefix}clientAuth=none asks for none)"
            )));
        }
        Ok(())
    }
}

impl StoreFile {
    /// From `location`, `password` and `type` behind `prefix`; `None` without a location.
    ///
    /// # Errors
    /// In words.
    fn read(prefix: &str, get: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let value = |name: &str| get(&format!("{prefix}{name}")).unwrap_or_default();
        let (path, kind) = (value("location"), value("type"));
        if path.is_empty() {
            return Ok(None);
        }
        let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
        let pem = match (kind.to_ascii_uppercase().as_str(), extension) {
            ("PEM", _) | ("", "pem") => true,
            ("JKS" | "PKCS12", _) | ("", "jks" | "p12") => false,
            ("BCFKS", _) | ("", "bcfks") => {
                return Err(format!(
                    "{prefix}type=BCFKS is not read: convert the file to PKCS12 with keytool -importkeystore"
                ));
            }
            ("", _) => {
                return Err(format!("Unable to auto-detect store file type from file name: {path}: set {prefix}type"));
            }
            _ => return Err(format!("{prefix}type={kind}: it is JKS, PKCS12 or PEM")),
        };
        Ok(Some(Self { path, password: Secret(value("password")), pem }))
    }
}

fn cipher_suites(written: &str, prefix: &str, notices: &mut Vec<Notice>) -> Result<Vec<String>, String> {
    let (spoken, unspoken): (Vec<_>, Vec<_>) = written.split(',').partition(|suite| CIPHER_SUITES.contains(suite));
    if spoken.is_empty() {
        return Err(format!(
            "{prefix}ciphersuites={written}: none of them is spoken; these are: {}",
            CIPHER_SUITES.join(",")
        ));
    }
    if !unspoken.is_empty() {
        let text = format!("{prefix}ciphersuites: {} are not spoken and left out", unspoken.join(", "));
        notices.push(Notice::warn(UTIL, text));
    }
    Ok(spoken.into_iter().map(str::to_owned).collect())
}

/// TLS for clients, if it is asked for (`QuorumPeerConfig.configureSSLAuth`, `NettyServerCnxnFactory`).
pub(super) fn client(raw: &Raw, notices: &mut Vec<Notice>) -> Result<Option<ClientTls>, Problem> {
    const PORT: &str = "secureClientPort";
    const ADDRESS: &str = "secureClientPortAddress";
    const UNIFIED: &str = "zookeeper.client.portUnification";
    let (port, host, unified) = (raw.int(PORT)?, raw.text(ADDRESS), raw.boolean(UNIFIED)?);
    let address = if port == 0 {
        notices.push(Notice::info(CONFIG, format!("{PORT} is not set")));
        if host.is_some() {
            return Err(Problem::illegal(format!("{ADDRESS} is set but {PORT} is not set")));
        }
        None
    } else {
        let host = host.unwrap_or_else(|| "0.0.0.0".to_owned());
        notices.push(Notice::info(CONFIG, format!("{ADDRESS} is {host}:{port}")));
        Some(HostPort { host, port: port_number(port)? })
    };
    if address.is_none() && !unified {
        return Ok(None);
    }
    check_provider(raw)?;
    let tls = TlsSettings::read(CLIENT, &|name| raw.text(name), notices).map_err(Problem::config)?;
    tls.check_server(CLIENT, if address.is_some() { PORT } else { UNIFIED })?;
    let handshakes_max = raw.int("zookeeper.netty.server.outstandingHandshake.limit")?;
    Ok(Some(ClientTls { address, unified, handshakes_max, tls }))
}

/// `zookeeper.ssl.authProvider` names the one that is built in, or another `authProvider.NAME` that is of its class.
fn check_provider(raw: &Raw) -> Result<(), Problem> {
    let name = raw.text("zookeeper.ssl.authProvider").unwrap_or_else(|| "x509".to_owned());
    let class = raw.text(&format!("zookeeper.authProvider.{name}"));
    match class.as_deref() {
        Some(X509_PROVIDER) => Ok(()),
        None if name == "x509" => Ok(()),
        None => {
            Err(Problem::config(format!("No auth provider configured for the SSL authentication scheme '{name}'.")))
        }
        Some(class) => Err(Problem::config(format!(
            "zookeeper.authProvider.{name}={class}: it can't take certificates; {X509_PROVIDER} can"
        ))),
    }
}

/// Whether ids of the scheme `x509` are taken in ACLs: with TLS for clients, or if the provider is named.
pub(super) fn has_x509(raw: &Raw, client: Option<&ClientTls>) -> bool {
    client.is_some() || raw.provides(X509_PROVIDER)
}

/// TLS between servers, if it is asked for.
pub(super) fn quorum(raw: &Raw, notices: &mut Vec<Notice>) -> Result<Option<QuorumTls>, Problem> {
    let (dial, unified) = (raw.boolean("sslQuorum")?, raw.boolean("portUnification")?);
    if !dial && !unified {
        return Ok(None);
    }
    let tls = TlsSettings::read(QUORUM, &|name| raw.text(name), notices).map_err(Problem::config)?;
    tls.check_server(QUORUM, if dial { "sslQuorum" } else { "portUnification" })?;
    if dial && tls.trust_store.is_none() {
        return Err(Problem::config(format!(
            "sslQuorum meets other servers, but {QUORUM}trustStore.location, which says whose certificates are trusted, is not set"
        )));
    }
    let timeout = raw.int(&format!("{QUORUM}handshakeDetectionTimeoutMillis"))?;
    let detection_timeout_ms = u32::try_from(timeout).ok().filter(|timeout| *timeout > 0).unwrap_or_else(|| {
        let text = format!(
            "Invalid value for {QUORUM}handshakeDetectionTimeoutMillis: {timeout}, using the default value of 5000"
        );
        notices.push(Notice::warn(UTIL, text));
        5000
    });
    Ok(Some(QuorumTls { dial, unified, reload: raw.boolean("sslQuorumReloadCertFiles")?, detection_timeout_ms, tls }))
}
