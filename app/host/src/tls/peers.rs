//! TLS of a ZooKeeper server's ports: who comes in by it, who may come in plain text, and how others are met.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::tls::{Tls, TlsError};
use config::ZooKeeperSettings;
use config::zookeeper::{ClientTls, QuorumTls};
use tokio::net::TcpStream;
use zk_node::HandshakeCounts;

use super::handshake::{HANDSHAKE_MAX, Handshakes, begins_tls};
use crate::net::Transport;

/// Other servers of one address that have not said who they are: several may share one.
const PEER_HANDSHAKES_MAX: usize = 32;

/// The TLS of a ZooKeeper server; none by default.
#[derive(Clone, Default)]
pub struct ZooKeeperTls {
    pub(crate) clients: Option<Arc<ClientsTls>>,
    pub(crate) peers: Option<Arc<PeersTls>>,
}

impl ZooKeeperTls {
    /// Reads the stores that the settings name. May wait for the disk.
    pub fn load(settings: &ZooKeeperSettings) -> Result<Self, TlsError> {
        // The original knows no limit below 1.
        let per_address_max = usize::try_from(settings.connections_per_address_max).unwrap_or(0);
        let clients = settings.client_tls.as_ref().map(|tls| ClientsTls::load(tls, per_address_max)).transpose()?;
        let peers = settings.member.as_ref().and_then(|member| member.tls.as_ref()).map(PeersTls::load).transpose()?;
        Ok(Self { clients: clients.map(Arc::new), peers: peers.map(Arc::new) })
    }

    /// What handshakes with clients come to.
    pub fn counts(&self) -> Arc<HandshakeCounts> {
        self.clients.as_ref().map(|clients| Arc::clone(&clients.counts)).unwrap_or_default()
    }
}

/// TLS with clients.
pub(crate) struct ClientsTls {
    tls: Tls,
    /// It is taken on the port for plain text, too.
    pub(crate) unified: bool,
    handshakes: Arc<Handshakes>,
    counts: Arc<HandshakeCounts>,
}

impl ClientsTls {
    fn load(settings: &ClientTls, per_address_max: usize) -> Result<Self, TlsError> {
        Ok(Self {
            tls: Tls::load(&settings.tls)?,
            unified: settings.unified,
            handshakes: Arc::new(Handshakes::new(
                usize::try_from(settings.handshakes_max).unwrap_or(0),
                per_address_max,
            )),
            counts: Arc::default(),
        })
    }

    /// Takes one who came in by the secure port, or by one where either is taken.
    pub(crate) async fn receive(&self, stream: TcpStream, peer: SocketAddr, secure: bool) -> io::Result<Transport> {
        let counts = &self.counts;
        let admitted = self.handshakes.admit(peer.ip()).inspect_err(|_| add(&counts.refused));
        let _under_way = admitted.map_err(io::Error::other)?;
        let _counted = Counted::new(Arc::clone(counts));
        if !secure && begins_tls(&stream, HANDSHAKE_MAX).await? != Some(true) {
            return Ok(stream.into());
        }
        super::accept(&self.tls, stream).await.inspect_err(|_| add(&counts.failed))
    }
}

/// Counts as under way until it is dropped.
struct Counted(Arc<HandshakeCounts>);

impl Counted {
    fn new(counts: Arc<HandshakeCounts>) -> Self {
        add(&counts.under_way);
        Self(counts)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// TLS with other servers.
pub(crate) struct PeersTls {
    pub(crate) tls: Tls,
    /// Its files are looked at now and then.
    pub(crate) reload: bool,
    dial: bool,
    unified: bool,
    detection: Duration,
    handshakes: Arc<Handshakes>,
}

impl PeersTls {
    fn load(settings: &QuorumTls) -> Result<Self, TlsError> {
        Ok(Self {
            tls: Tls::load(&settings.tls)?,
            reload: settings.reload,
            dial: settings.dial,
            unified: settings.unified,
            detection: Duration::from_millis(settings.detection_timeout_ms.into()),
            handshakes: Arc::new(Handshakes::new(0, PEER_HANDSHAKES_MAX)),
        })
    }

    /// Takes another server.
    pub(crate) async fn receive(&self, stream: TcpStream, peer: SocketAddr) -> io::Result<Transport> {
        let _under_way = self.handshakes.admit(peer.ip()).map_err(io::Error::other)?;
        match begins_tls(&stream, self.detection).await? {
            Some(true) => {
                let transport = super::accept(&self.tls, stream).await?;
                super::verify_client_host(&self.tls, &transport, peer.ip()).await?;
                Ok(transport)
            }
            _ if self.unified => Ok(stream.into()),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it speaks plain text, and TLS alone is taken")),
        }
    }

    /// Goes on with one whom we dialled.
    pub(crate) async fn connect(&self, stream: TcpStream, host: &str) -> io::Result<Transport> {
        match self.dial {
            true => super::connect(&self.tls, stream, host).await,
            false => Ok(stream.into()),
        }
    }
}
