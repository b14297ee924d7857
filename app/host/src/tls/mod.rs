//! TLS of connections: handshakes within a time, who came in by which port, and who is met how.
//!
//! A connection comes to a machine when its handshake is done and its peer is known; until then it costs its socket and a bounded buffer.

mod handshake;
mod peers;

pub(crate) use peers::PeersTls;
pub use peers::ZooKeeperTls;

use std::io;
use std::net::IpAddr;

use ::tls::Tls;
use tokio::net::TcpStream;

use crate::net::Transport;

/// The handshake with one who connected.
pub(crate) async fn accept(tls: &Tls, stream: TcpStream) -> io::Result<Transport> {
    handshake::shake(stream, Box::new(tls.server_session()?.into())).await
}

/// The handshake with one whom we dialled by this name or address.
pub(crate) async fn connect(tls: &Tls, stream: TcpStream, host: &str) -> io::Result<Transport> {
    let address = stream.peer_addr()?.ip();
    let transport = handshake::shake(stream, Box::new(tls.client_session(host, address)?.into())).await?;
    tls.verify_server_host(transport.certificates().first().map(Vec::as_slice), host, address)?;
    Ok(transport)
}

/// Refuses a client whose certificate does not speak for where it came from.
pub(crate) async fn verify_client_host(tls: &Tls, transport: &Transport, address: IpAddr) -> io::Result<()> {
    let Some(shown) = transport.certificates().first() else { return Ok(()) };
    if tls.is_client_at(shown, address) {
        return Ok(());
    }
    let shown = shown.clone();
    let verified = tokio::task::spawn_blocking(move || Tls::verify_client_host(&shown, address));
    verified.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests;
