//! A session's login by SASL's DIGEST-MD5 (`ZooKeeperSaslClient`): the first thing on each connection; what else is to be sent waits for it.

use std::fmt;

use bytes::Bytes;
use security::{ClientLogin, Service};
use zk_proto::requests::{Request, SaslRequest};

const SERVICE: Service = Service { protocol: "zookeeper", server: "zk-sasl-md5" };

/// As whom a session logs in.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `username` of the JAAS file.
    pub user: String,
    /// `password`
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Credentials({}, [hidden])", self.user)
    }
}

/// A login under way.
#[derive(Debug)]
pub(crate) struct Login {
    mechanism: ClientLogin,
    /// Of the request that is to be answered next.
    pub(crate) xid: i32,
}

impl Login {
    /// The login and its first request, which is to be sent as `xid`.
    pub(crate) fn begin(credentials: &Credentials, xid: i32) -> (Self, Request) {
        let mechanism = ClientLogin::new(SERVICE, &credentials.user, &credentials.password);
        (Self { mechanism, xid }, Request::Sasl(SaslRequest { token: Bytes::new() }))
    }

    /// The request that answers the server's token; `None` when the login is done.
    ///
    /// # Errors
    /// The server is not the one that knows the password, or does not log clients in.
    pub(crate) fn step(&mut self, token: &[u8], random: &[u8]) -> Result<Option<Request>, security::SaslError> {
        let response = self.mechanism.step(token, random)?;
        Ok(response.map(|response| Request::Sasl(SaslRequest { token: Bytes::from(response) })))
    }
}
