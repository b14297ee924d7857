//! What a guardian is told: the lines of a `.properties` file in one packet, so that passwords stand on no command line and in no
//! environment, and what is longer tomorrow is still understood.

use config::zookeeper::TlsSettings;
use config::{BrokerConfig, Properties};
use tls::Tls;
use zk_client::{ClientConfig, Credentials, SessionKey};

/// The packet of a broker that has closed its session itself.
pub(super) const FAREWELL: &str = "farewell";

const TLS: &str = "zookeeper.ssl.";
const CONNECT: &str = "zookeeper.connect";
const TIMEOUT: &str = "zookeeper.session.timeout.ms";
const USER: &str = "login.user";
const PASSWORD: &str = "login.password";
const SESSION: &str = "session";

/// How ZooKeeper is reached, in the broker's own keys.
pub(super) struct Charge {
    lines: Properties,
}

/// A charge as the guardian has understood it.
pub(super) struct Target {
    pub(super) config: ClientConfig,
    pub(super) session: SessionKey,
    pub(super) tls: Option<Tls>,
}

impl Charge {
    pub(super) fn new(config: &BrokerConfig) -> Self {
        let zookeeper = &config.settings().zookeeper;
        let mut lines: Properties = config.file().iter().filter(|(name, _)| name.starts_with(TLS)).collect();
        lines.set(CONNECT, zookeeper.connect.as_str());
        lines.set(TIMEOUT, zookeeper.session_timeout_ms.to_string());
        if let Some((user, password)) = config.zookeeper_login() {
            lines.set(USER, user.as_str());
            lines.set(PASSWORD, password.0.as_str());
        }
        Self { lines }
    }

    /// The packet that charges a guardian with this session.
    pub(super) fn to_text(&self, session: &SessionKey) -> String {
        let mut lines = self.lines.clone();
        lines.set(SESSION, session.to_text());
        lines.to_text()
    }
}

impl Target {
    /// Understands a packet, and reads the stores of TLS; why it can't be used.
    pub(super) fn parse(packet: &[u8]) -> Result<Self, String> {
        let lines = Properties::parse(packet).map_err(|error| error.to_string())?;
        let get = |name: &str| lines.get(name).ok_or_else(|| format!("no {name}"));
        let connect = get(CONNECT)?.parse().map_err(|error| format!("{CONNECT}: {error}"))?;
        let timeout_ms = get(TIMEOUT)?.parse().map_err(|error| format!("{TIMEOUT}: {error}"))?;
        let session = SessionKey::parse(get(SESSION)?).ok_or("no session")?;
        let mut config = ClientConfig::new(connect, timeout_ms);
        config.login = lines
            .get(USER)
            .zip(lines.get(PASSWORD))
            .map(|(user, password)| Credentials { user: user.to_owned(), password: password.to_owned() });
        let tls = TlsSettings::of_kafka(&|name| lines.get(name).map(|text| text.trim().to_owned()))?;
        let tls = tls.as_ref().map(Tls::load).transpose().map_err(|error| error.to_string())?;
        Ok(Self { config, session, tls })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use config::zookeeper::Secret;

    use super::*;

    #[test]
    fn a_charge_is_understood_with_its_login_and_its_tls() {
        let dir = tempfile::tempdir().unwrap();
        let authority = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let store = dir.path().join("trust ü.pem").display().to_string();
        std::fs::write(&store, authority.cert.pem()).unwrap();
        let mut file: Properties = [
            ("zookeeper.connect", "a:1,b:2/ch"),
            ("zookeeper.session.timeout.ms", "6000"),
            ("zookeeper.ssl.client.enable", "true"),
            ("zookeeper.clientCnxnSocket", "org.apache.zookeeper.ClientCnxnSocketNetty"),
        ]
        .into_iter()
        .collect();
        file.set("zookeeper.ssl.truststore.location", store);
        let login = Some(("kafka".to_owned(), Secret(" p=w\n#".to_owned())));
        let (config, _) = BrokerConfig::new(file).unwrap();
        let session = SessionKey { id: 0x1a2, password: Bytes::from_static(&[0, 255, 16]) };
        let text = Charge::new(&config.with_zookeeper_login(login)).to_text(&session);

        let target = Target::parse(text.as_bytes()).unwrap();
        assert_eq!(target.session, session);
        assert_eq!((target.config.connect.hosts.len(), target.config.session_timeout_ms), (2, 6000));
        let password = " p=w\n#".to_owned();
        assert_eq!(target.config.login, Some(Credentials { user: "kafka".to_owned(), password }));
        assert!(target.tls.is_some());
    }

    #[test]
    fn what_is_no_charge_is_told() {
        let error = |packet: &[u8]| Target::parse(packet).err().unwrap();
        assert_eq!(error(b""), "no zookeeper.connect");
        assert!(error(b"zookeeper.connect=/x").starts_with("zookeeper.connect: "));
        let charge = |session: &str| format!("zookeeper.connect=a\nzookeeper.session.timeout.ms=1\nsession={session}");
        assert_eq!(error(charge("nonsense").as_bytes()), "no session");
        assert!(Target::parse(charge("1f 00ff").as_bytes()).unwrap().tls.is_none());
    }
}
