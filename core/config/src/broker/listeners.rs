//! Listeners: where a broker listens, what it tells clients, and which listener brokers use among themselves
//! (`kafka.cluster.EndPoint`, `CoreUtils.listenerListToEndPoints`).

use std::collections::BTreeMap;
use std::fmt;

use super::values::Values;
use crate::error::{ConfigError, ErrorKind};
use crate::properties::{Properties, comment_hint};

/// How a listener is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecurityProtocol {
    /// Plain text, nobody logs in.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL over plain text.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    /// The number in requests between brokers.
    #[must_use]
    pub const fn id(self) -> i16 {
        match self {
            Self::Plaintext => 0,
            Self::Ssl => 1,
            Self::SaslPlaintext => 2,
            Self::SaslSsl => 3,
        }
    }

    fn parse(text: &str, key: &str) -> Result<Self, ConfigError> {
        let all = [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];
        let found = all.into_iter().find(|protocol| protocol.name() == text.to_uppercase());
        found.ok_or_else(|| {
            let message = format!("Invalid security protocol `{text}` defined in {key}");
            ConfigError::config(message).hint(comment_hint(text))
        })
    }

    /// Does a login take place?
    #[must_use]
    pub const fn uses_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// One listener or advertised listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name in capitals.
    pub listener: String,
    /// Its security protocol.
    pub protocol: SecurityProtocol,
    /// Name or address, IPv6 without brackets; none: the default interface, or this host's own name when advertised.
    pub host: Option<String>,
    /// 0 (any free one) to 65535; the original lets other numbers pass here too and fails when it binds.
    pub port: i32,
}

impl fmt::Display for Endpoint {
    /// `NAME://host:port`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.as_deref() {
            Some(host) if host.contains(':') => write!(formatter, "{}://[{host}]:{}", self.listener, self.port),
            host => write!(formatter, "{}://{}:{}", self.listener, host.unwrap_or_default(), self.port),
        }
    }
}

/// All that follows from the listener keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listeners {
    /// Where to listen.
    pub listeners: Vec<Endpoint>,
    /// What clients and brokers are told; hosts are never `0.0.0.0`.
    pub advertised: Vec<Endpoint>,
    /// Security protocol of each listener name.
    pub protocols: BTreeMap<String, SecurityProtocol>,
    /// The listener between brokers.
    pub inter_broker: String,
    /// Its security protocol.
    pub inter_broker_protocol: SecurityProtocol,
    /// The listener of the controller's requests, if it has one of its own.
    pub control_plane: Option<String>,
}

const ADVERTISED: &str = "advertised.listeners";

impl Listeners {
    pub(super) fn resolve(values: &Values, originals: &Properties) -> Result<Self, ConfigError> {
        let protocols = protocols(values)?;
        let (inter_broker, inter_broker_protocol) = inter_broker(values, originals, &protocols)?;
        let control_plane = control_plane(values, &protocols)?;
        let text = values.get::<Option<String>>("listeners").unwrap_or_else(|| {
            format!("PLAINTEXT://{}:{}", values.get::<String>("host.name"), values.get::<i32>("port"))
        });
        let listeners = endpoints(&text, &protocols, Ports::Distinct)?;
        let advertised = advertised(values, &protocols)?.map_or_else(|| Ok(listeners.clone()), Ok)?;
        Ok(Self { listeners, advertised, protocols, inter_broker, inter_broker_protocol, control_plane })
    }

    /// Whether a listener is the brokers' own, beside one for clients: no number of clients keeps them out.
    pub fn is_brokers_own(&self, listener: &str) -> bool {
        self.listeners.len() > 1 && self.inter_broker == listener
    }

    /// The rules of `KafkaConfig.validateValues` about listeners.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let names = |all: &[Endpoint]| all.iter().map(|endpoint| endpoint.listener.clone()).collect::<Vec<_>>();
        let (advertised, listeners) = (names(&self.advertised), names(&self.listeners));
        if !advertised.contains(&self.inter_broker) {
            return Err(ConfigError::requirement(format_args!(
                "inter.broker.listener.name must be a listener name defined in {ADVERTISED}. The valid options based on currently configured listeners are {}",
                advertised.join(",")
            )));
        }
        if !advertised.iter().all(|name| listeners.contains(name)) {
            return Err(ConfigError::requirement(format_args!(
                "{ADVERTISED} listener names must be equal to or a subset of the ones defined in listeners. Found {}. The valid options based on the current configuration are {}",
                advertised.join(","),
                listeners.join(",")
            )));
        }
        if self.advertised.iter().any(|endpoint| endpoint.host.as_deref() == Some("0.0.0.0")) {
            return Err(ConfigError::requirement(format_args!(
                "{ADVERTISED} cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address."
            )));
        }
        match &self.control_plane {
            Some(name) if !advertised.contains(name) => Err(ConfigError::requirement(format_args!(
                "control.plane.listener.name must be a listener name defined in {ADVERTISED}. The valid options based on currently configured listeners are {}",
                advertised.join(",")
            ))),
            Some(name) if *name == self.inter_broker => Err(ConfigError::requirement(format_args!(
                "control.plane.listener.name, when defined, should have a different value from the inter broker listener name. Currently they both have the value ListenerName({name})"
            ))),
            _ => Ok(()),
        }
    }

    /// What is not served yet.
    pub(super) fn refuse_security(&self) -> Result<(), ConfigError> {
        let secure = self.listeners.iter().find(|endpoint| endpoint.protocol != SecurityProtocol::Plaintext);
        match secure {
            Some(endpoint) => Err(ConfigError::new(
                ErrorKind::NotServed,
                format!(
                    "listener {endpoint} speaks {}, which is not served yet: listen on PLAINTEXT only, or keep this broker on the original until TLS and SASL are served",
                    endpoint.protocol.name()
                ),
            )),
            None => Ok(()),
        }
    }
}

fn protocols(values: &Values) -> Result<BTreeMap<String, SecurityProtocol>, ConfigError> {
    const KEY: &str = "listener.security.protocol.map";
    let pairs = parse_map(KEY, &values.get::<String>(KEY))?;
    pairs
        .into_iter()
        .map(|(name, protocol)| Ok((name.to_uppercase(), SecurityProtocol::parse(&protocol, KEY)?)))
        .collect()
}

type Protocols = BTreeMap<String, SecurityProtocol>;

fn inter_broker(
    values: &Values,
    originals: &Properties,
    protocols: &Protocols,
) -> Result<(String, SecurityProtocol), ConfigError> {
    const NAME: &str = "inter.broker.listener.name";
    const PROTOCOL: &str = "security.inter.broker.protocol";
    let Some(name) = values.get::<Option<String>>(NAME) else {
        let protocol = SecurityProtocol::parse(&values.get::<String>(PROTOCOL), PROTOCOL)?;
        return Ok((protocol.name().to_owned(), protocol));
    };
    if originals.get(PROTOCOL).is_some() {
        return Err(ConfigError::config(format!("Only one of {NAME} and {PROTOCOL} should be set.")));
    }
    let name = name.to_uppercase();
    match protocols.get(&name) {
        Some(protocol) => Ok((name, *protocol)),
        None => Err(ConfigError::config(format!(
            "Listener with name {name} defined in {NAME} not found in listener.security.protocol.map."
        ))),
    }
}

fn control_plane(values: &Values, protocols: &Protocols) -> Result<Option<String>, ConfigError> {
    let Some(name) = values.get::<Option<String>>("control.plane.listener.name") else { return Ok(None) };
    let name = name.to_uppercase();
    if protocols.contains_key(&name) {
        return Ok(Some(name));
    }
    Err(ConfigError::config(format!(
        "Listener with {name} defined in control.plane.listener.name not found in listener.security.protocol.map."
    )))
}

fn advertised(values: &Values, protocols: &Protocols) -> Result<Option<Vec<Endpoint>>, ConfigError> {
    let host = values.get::<Option<String>>("advertised.host.name");
    let port = values.get::<Option<i32>>("advertised.port");
    let text = match values.get::<Option<String>>(ADVERTISED) {
        Some(text) => text,
        None if host.is_none() && port.is_none() => return Ok(None),
        None => {
            let host = host.unwrap_or_else(|| values.get("host.name"));
            format!("PLAINTEXT://{host}:{}", port.unwrap_or_else(|| values.get("port")))
        }
    };
    endpoints(&text, protocols, Ports::MayRepeat).map(Some)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ports {
    Distinct,
    MayRepeat,
}

/// Reads a comma list of listeners; names are distinct, and so are ports other than 0 where something listens.
fn endpoints(text: &str, protocols: &Protocols, ports: Ports) -> Result<Vec<Endpoint>, ConfigError> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let endpoints: Vec<_> =
        parts.map(|part| endpoint(part, protocols)).collect::<Result<_, _>>().map_err(|why: String| {
            let message = format!("Error creating broker listeners from '{text}': {why}");
            ConfigError::new(ErrorKind::IllegalArgument, message).hint(comment_hint(text))
        })?;
    let repeats = |same: fn(&Endpoint, &Endpoint) -> bool| {
        endpoints.iter().enumerate().any(|(place, one)| endpoints.iter().take(place).any(|other| same(one, other)))
    };
    if repeats(|one, other| one.listener == other.listener) {
        return Err(ConfigError::requirement(format_args!(
            "Each listener must have a different name, listeners: {text}"
        )));
    }
    if ports == Ports::Distinct && repeats(|one, other| one.port == other.port && one.port != 0) {
        return Err(ConfigError::requirement(format_args!(
            "Each listener must have a different port, listeners: {text}"
        )));
    }
    Ok(endpoints)
}

/// `NAME://host:port`, `NAME://[IPv6]:port` or `NAME://:port`.
fn endpoint(text: &str, protocols: &Protocols) -> Result<Endpoint, String> {
    let unparsable = || format!("Unable to parse {text} to a broker endpoint");
    let (name, address) = text.rsplit_once("://").ok_or_else(unparsable)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(unparsable)?;
    let digits = port.strip_prefix('-').unwrap_or(port);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(unparsable());
    }
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    if !is_host_pattern(host) {
        return Err(unparsable());
    }
    let listener = name.to_uppercase();
    let port = port.parse().map_err(|_| format!("For input string: \"{port}\""))?;
    let protocol =
        *protocols.get(&listener).ok_or_else(|| format!("No security protocol defined for listener {listener}"))?;
    Ok(Endpoint { listener, protocol, host: Some(host).filter(|host| !host.is_empty()).map(str::to_owned), port })
}

/// `Utils.validHostPattern`: characters that a host may have, but not brackets.
pub(super) fn is_host_pattern(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-%._:".contains(&byte))
}

/// `name:value,name:value`; the last colon separates.
pub(super) fn parse_map(key: &str, text: &str) -> Result<Vec<(String, String)>, ConfigError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(str::trim)
        .map(|pair| match pair.rsplit_once(':') {
            Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
            None => {
                let message = format!(
                    "Error parsing configuration property '{key}': begin 0, end -1, length {}",
                    pair.encode_utf16().count()
                );
                Err(ConfigError::new(ErrorKind::IllegalArgument, message)
                    .hint(" (it is a list of name:value pairs between commas)"))
            }
        })
        .collect()
}
