//! Certificates, and `auth` and `sasl` packets: answered at once, outside of the order of requests, as in the original.

use base::{Reader, Str};
use bytes::{BufMut, Bytes};
use security::{Answer, Certificate, SaslError, Service};
use zk_proto::requests::{AuthRequest, SaslRequest};
use zk_proto::{ErrorCode, Id, Jute};
use zk_tree::auth::add_id;

use crate::connection::{Connection, host_address};
use crate::log::Logger;
use crate::reply::Header;
use crate::{ConnectionId, Effects, Server};

const SASL: &str = "sasl";
/// Who a client may say that it is, in all. Each request that a follower passes on to its leader carries that, in a packet of a bounded length;
/// the original has no such bound, and loses the follower's link.
const IDS_BYTES_MAX: usize = 64 << 10;
/// What clients log in to.
const SERVICE: Service = Service { protocol: "zookeeper", server: "zk-sasl-md5" };

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
        let authenticated =
            self.pipeline.prep.settings().auth.authenticate(&packet.scheme, &packet.auth, &address, &mut ids);
        let ids_bytes: usize = ids.iter().map(|id| id.scheme.len() + id.id.len()).sum();
        if authenticated.is_err() || ids_bytes > IDS_BYTES_MAX {
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

    /// `sasl`: a step of a login by DIGEST-MD5 (`ZooKeeperServer.processSasl`). With no users, the original trips over its missing SASL
    /// server, logs that, and answers with a null token.
    pub(crate) fn take_sasl(&mut self, id: ConnectionId, xid: i32, body: &Bytes, effects: &mut Effects) {
        let Ok(request) = SaslRequest::decode(&mut Reader::new(body)) else {
            return self.refuse(id, "A sasl packet that is cut off", effects);
        };
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Some(users) = &self.config.sasl.users else {
            let text = "cnxn.saslServer is null: cnxn object did not initialize its saslServer properly.";
            self.log.error(Logger::Server, text);
            return self.answer_login(id, xid, None);
        };
        let random = self.random.bytes_16();
        let password = |user: &str| users.get(user).map(|password| password.0.as_str());
        match connection.login.step(SERVICE, &request.token, &random, password) {
            Ok(Answer::Challenge(challenge)) => self.answer_login(id, xid, Some(&challenge)),
            Ok(Answer::Done(user, proof)) => {
                self.logged_in(id, &user);
                self.answer_login(id, xid, Some(&proof));
            }
            Err(error) => self.login_failed(id, xid, &error, effects),
        }
    }

    fn logged_in(&mut self, id: ConnectionId, user: &str) {
        let text = format!("adding SASL authorization for authorizationID: {user}");
        self.log.info(Logger::Server, text);
        let Some(connection) = self.connections.get_mut(id) else { return };
        let mut ids = connection.ids.to_vec();
        add_id(&mut ids, Id { scheme: Str::from_static(SASL), id: Str::from(user) });
        if self.config.sasl.super_user.as_deref() == Some(user) {
            add_id(&mut ids, Id::from_static("super", ""));
        }
        connection.ids = ids.into();
    }

    fn login_failed(&mut self, id: ConnectionId, xid: i32, error: &SaslError, effects: &mut Effects) {
        let Some(peer) = self.connections.get(id).map(Connection::peer_text) else { return };
        let (class, sasl) = (SaslError::CLASS, &self.config.sasl);
        self.log.warn(Logger::Server, format!("Client {peer} failed to SASL authenticate: {class}: {error}"));
        if sasl.failed_go_on && !sasl.required {
            self.log.warn(Logger::Server, "Maintaining client connection despite SASL authentication failure.");
            return self.answer_login(id, xid, None);
        }
        let error = if sasl.required { ErrorCode::SessionClosedRequireSaslAuth } else { ErrorCode::AuthFailed };
        self.log.warn(Logger::Server, "Closing client connection due to SASL authentication failure.");
        self.settle(id, xid);
        self.reply(id, Header { xid, zxid: 0, error }, |out| out.put_i32(-1));
        self.close(id, effects);
    }

    fn answer_login(&mut self, id: ConnectionId, xid: i32, token: Option<&str>) {
        self.settle(id, xid);
        self.reply(id, Header { xid, zxid: 0, error: ErrorCode::Ok }, |out| match token {
            Some(token) => {
                out.put_i32(token.len() as i32);
                out.put_slice(token.as_bytes());
            }
            None => out.put_i32(-1),
        });
    }

    /// Closes a client that was to log in first; whether it was so.
    pub(crate) fn requires_login(&mut self, id: ConnectionId, xid: i32, effects: &mut Effects) -> bool {
        let Some(connection) = self.connections.get(id) else { return false };
        if !self.config.sasl.required || connection.ids.iter().any(|id| id.scheme == SASL) {
            return false;
        }
        self.answer_out_of_order(id, Header { xid, zxid: 0, error: ErrorCode::SessionClosedRequireSaslAuth });
        self.close(id, effects);
        true
    }

    fn answer_out_of_order(&mut self, id: ConnectionId, header: Header) {
        self.settle(id, header.xid);
        self.reply(id, header, |_| {});
    }
}
