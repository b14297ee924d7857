//! TLS: the stores of its files, whom we believe, and a blocking client for the tools.

mod blocking;
mod verify;

pub use blocking::SecureStream;

use std::fs;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use config::zookeeper::{ClientAuth, StoreFile, TlsSettings};
use parking_lot::RwLock;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use security::{Certificate, Store, StoreError, StoreKind};
use verify::{Identities, Trust};

/// Why TLS can't be had with these settings.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, or may not be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// As configured.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Its content is of no use.
    #[error("{path}: {source}")]
    Store {
        /// As configured.
        path: String,
        /// Why.
        source: StoreError,
    },
    /// What it holds is of no use.
    #[error("{path}: {reason}")]
    Unusable {
        /// As configured.
        path: String,
        /// Why.
        reason: String,
    },
    /// The settings together make no TLS.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// Both sides of TLS with one set of stores, which may be read anew.
pub struct Tls {
    settings: TlsSettings,
    loaded: RwLock<Loaded>,
}

#[derive(Clone)]
struct Loaded {
    server: Option<Arc<ServerConfig>>,
    client: Option<Arc<ClientConfig>>,
    files: [Option<Stamp>; 2],
}

/// What tells a file from what it was before.
type Stamp = (Option<SystemTime>, u64);

impl Tls {
    /// Reads the stores. May wait for the disk.
    pub fn load(settings: &TlsSettings) -> Result<Self, TlsError> {
        Ok(Self { settings: settings.clone(), loaded: RwLock::new(load(settings)?) })
    }

    /// Reads the stores again if their files have changed; whether they had. What can't be read leaves all as it was, and is told once.
    /// May wait for the disk.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let files = stamps(&self.settings);
        if self.loaded.read().files == files {
            return Ok(false);
        }
        let loaded = load(&self.settings).inspect_err(|_| self.loaded.write().files = files)?;
        *self.loaded.write() = loaded;
        Ok(true)
    }

    /// A handshake with one who connects.
    pub fn server_session(&self) -> io::Result<ServerConnection> {
        let config = self.loaded.read().server.clone();
        let config = config.ok_or_else(|| io::Error::other("there is no certificate of this server"))?;
        ServerConnection::new(config).map_err(io::Error::other)
    }

    /// A handshake with one whom we dial by this name or address.
    pub fn client_session(&self, host: &str, address: IpAddr) -> io::Result<ClientConnection> {
        let config = self.loaded.read().client.clone();
        let config = config.ok_or_else(|| io::Error::other("there is no store that says whom to trust"))?;
        let name = match ServerName::try_from(host.to_owned()) {
            Ok(name) => name,
            Err(_) => address.to_canonical().into(),
        };
        ClientConnection::new(config, name).map_err(io::Error::other)
    }

    /// Refuses a server whose certificate speaks neither for its address nor for the name that it was dialled by (`ZKTrustManager`).
    pub fn verify_server_host(&self, shown: Option<&[u8]>, host: &str, address: IpAddr) -> io::Result<()> {
        let Some(shown) = shown.filter(|_| self.settings.verify_hosts) else { return Ok(()) };
        let own = Certificate::parse(shown).map_err(io::Error::other)?;
        let address = address.to_canonical();
        if own.is_for_host(&address.to_string()) || own.is_for_host(host) {
            return Ok(());
        }
        Err(other_host(&own, &format!("{host}/{address}")))
    }

    /// Refuses a client whose certificate speaks neither for the address it came from nor for the name of that. May wait for the
    /// resolver: see [`Tls::is_client_at`].
    pub fn verify_client_host(shown: &[u8], address: IpAddr) -> io::Result<()> {
        let own = Certificate::parse(shown).map_err(io::Error::other)?;
        match verify::name_of(address.to_canonical()) {
            Some(name) if own.is_for_host(&name) => Ok(()),
            name => Err(other_host(&own, &format!("{}/{}", name.unwrap_or_default(), address.to_canonical()))),
        }
    }

    /// Whether a client's certificate speaks for the address it came from, as far as that is seen without a resolver; always, if hosts
    /// are not compared.
    pub fn is_client_at(&self, shown: &[u8], address: IpAddr) -> bool {
        let address = address.to_canonical().to_string();
        !self.settings.verify_hosts || Certificate::parse(shown).is_ok_and(|own| own.is_for_host(&address))
    }
}

fn other_host(certificate: &Certificate<'_>, host: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("the certificate of {} is not one for {host}", certificate.subject()),
    )
}

fn stamps(settings: &TlsSettings) -> [Option<Stamp>; 2] {
    [&settings.key_store, &settings.trust_store].map(|store| {
        let metadata = fs::metadata(&store.as_ref()?.path).ok()?;
        Some((metadata.modified().ok(), metadata.len()))
    })
}

fn load(settings: &TlsSettings) -> Result<Loaded, TlsError> {
    // Before the files: what changes while they are read is read again.
    let files = stamps(settings);
    let provider = Arc::new(provider(settings));
    let identities = settings.key_store.as_ref().map(|store| identities(store, &provider)).transpose()?;
    let trust = settings.trust_store.as_ref().map(|store| trust(store, &provider)).transpose()?;
    let versions: Vec<_> = [(settings.tls12, &rustls::version::TLS12), (settings.tls13, &rustls::version::TLS13)]
        .into_iter()
        .filter_map(|(spoken, version)| spoken.then_some(version))
        .collect();
    let server = match &identities {
        Some(identities) => {
            let builder =
                ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&versions)?;
            let builder = match (&trust, settings.client_auth) {
                (_, ClientAuth::None) | (None, _) => builder.with_no_client_auth(),
                (Some(trust), auth) => builder.with_client_cert_verifier(trust.of_clients(auth == ClientAuth::Need)),
            };
            Some(Arc::new(builder.with_cert_resolver(Arc::clone(identities) as _)))
        }
        None => None,
    };
    let client = match trust {
        Some(trust) => {
            let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&versions)?;
            let builder = builder.dangerous().with_custom_certificate_verifier(trust);
            Some(Arc::new(match identities {
                Some(identities) => builder.with_client_cert_resolver(identities),
                None => builder.with_no_client_auth(),
            }))
        }
        None => None,
    };
    Ok(Loaded { server, client, files })
}

/// Ring's algorithms with the suites that are configured; by default the original's own, and those of TLS 1.3.
fn provider(settings: &TlsSettings) -> CryptoProvider {
    let mut provider = ring::default_provider();
    let name = |suite: &rustls::SupportedCipherSuite| {
        suite.suite().as_str().map(|name| name.replace("TLS13_", "TLS_")).unwrap_or_default()
    };
    provider.cipher_suites.retain(|suite| match &settings.cipher_suites {
        Some(allowed) => allowed.contains(&name(suite)),
        None => suite.tls13().is_some() || name(suite).contains("_GCM_"),
    });
    provider
}

fn read(file: &StoreFile) -> Result<Store, TlsError> {
    let path = || file.path.clone();
    let bytes = fs::read(&file.path).map_err(|source| TlsError::Unreadable { path: path(), source })?;
    let kind = if file.pem { StoreKind::Pem } else { StoreKind::Java };
    Store::read(&bytes, kind, &file.password.0).map_err(|source| TlsError::Store { path: path(), source })
}

fn identities(file: &StoreFile, provider: &CryptoProvider) -> Result<Arc<Identities>, TlsError> {
    let unusable = |reason: String| TlsError::Unusable { path: file.path.clone(), reason };
    let mut keys = Vec::new();
    for identity in read(file)?.identities {
        let key = PrivatePkcs8KeyDer::from(identity.key);
        let key = provider.key_provider.load_private_key(key.into());
        let key = key.map_err(|error| unusable(format!("its private key can't be used: {error}")))?;
        let chain = identity.chain.into_iter().map(CertificateDer::from).collect();
        let key = CertifiedKey::new(chain, key);
        key.keys_match().map_err(|error| unusable(format!("its private key and certificate: {error}")))?;
        keys.push(Arc::new(key));
    }
    match keys.is_empty() {
        true => Err(unusable("it holds no private key with a certificate".to_owned())),
        false => Ok(Arc::new(Identities(keys))),
    }
}

fn trust(file: &StoreFile, provider: &Arc<CryptoProvider>) -> Result<Arc<Trust>, TlsError> {
    let unusable = |reason: String| TlsError::Unusable { path: file.path.clone(), reason };
    let trusted = read(file)?.trusted;
    if trusted.is_empty() {
        return Err(unusable("it holds no certificate that is trusted".to_owned()));
    }
    Trust::new(trusted, provider).map(Arc::new).map_err(|error| unusable(error.to_string()))
}
