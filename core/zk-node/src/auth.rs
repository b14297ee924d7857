//! Certificates, and `auth` and `sasl` packets: answered at once, outside of the order of requests, as in the original.

use base::{Reader, Str};
use bytes::{BufMut, Bytes};
use security::Certificate;
use zk_proto::requests::{AuthRequest, SaslRequest};
use zk_proto::{ErrorCode, Jute};

use crate::connection::host_address;
use crate::log::Logger;
use crate::reply::Header;
use crate::{ConnectionId, Effects, Server};

impl Server {
    /// `auth`: adds an identity to the connection, or ends it.
    pub(crate) fn authenticate(&mut self, id: ConnectionId, xid: i32, body: &Bytes, effects: &mut Effects) {
        let Some(connection) = self.connections.get(id) else { return };
        let (peer, address) = (connection.peer_text(), host_address(connection.peer.ip()));
        self.log.info(Logger::Server, format!("got auth packet {peer}"));
        let Ok(packet) = AuthRequest::decode(&mut Reader::new(body)) else {
            return self.refuse(id, "An auth packet that is cut off", effects);
        };
        let mut ids = connection.ids.to_vec();
        if self.pipeline.prep.settings().auth.authenticate(&packet.scheme, &packet.auth, &address, &mut ids).is_err() {
            self.log.warn(
                Logger::Server,
                format!("No authentication provider for scheme: {} has ip digest ", packet.scheme),
            );
            self.answer_out_of_order(id, Header { xid, zxid: 0, error: ErrorCode::AuthFailed });
            return self.close(id, effects);
        }
        if let Some(connection) = self.connections.get_mut(id) {
            connection.ids = ids.into();
        }
        self.log.info(Logger::Server, format!("auth success {peer}"));
        self.answer_out_of_order(id, Header { xid, zxid: 0, error: ErrorCode::Ok });
    }

    /// The client has shown a certificate: its subject is who the client is (`X509AuthenticationProvider`).
    pub(crate) fn certified(&mut self, id: ConnectionId, certificates: &[Bytes], effects: &mut Effects) {
        let (Some(own), Some(connection)) = (certificates.first(), self.connections.get_mut(id)) else { return };
        let subject = match Certificate::parse(own) {
            Ok(certificate) => certificate.subject(),
            Err(error) => return self.refuse(id, &error.to_string(), effects),
        };
        let mut ids = connection.ids.to_vec();
        let is_super = self.pipeline.prep.settings().auth.certified(&Str::from(subject.as_str()), &mut ids);
        connection.ids = ids.into();
        if is_super {
            self.log.info(Logger::X509, format!("Authenticated Id '{subject}' as super user"));
        }
        self.log.info(Logger::X509, format!("Authenticated Id '{subject}' for Scheme 'x509'"));
    }

    /// `sasl`, with no SASL configured: the original trips over its missing SASL server, logs that, and answers with a
    /// null token.
    pub(crate) fn take_sasl(&mut self, id: ConnectionId, xid: i32, body: &Bytes, effects: &mut Effects) {
        if SaslRequest::decode(&mut Reader::new(body)).is_err() {
            return self.refuse(id, "A sasl packet that is cut off", effects);
        }
        self.log
            .error(Logger::Server, "cnxn.saslServer is null: cnxn object did not initialize its saslServer properly.");
        self.settle(id, xid);
        self.reply(id, Header { xid, zxid: 0, error: ErrorCode::Ok }, |out| out.put_i32(-1));
    }

    fn answer_out_of_order(&mut self, id: ConnectionId, header: Header) {
        self.settle(id, header.xid);
        self.reply(id, header, |_| {});
    }
}
