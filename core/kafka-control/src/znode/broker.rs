//! `/brokers/ids/<id>`: a live broker (upstream: `BrokerIdZNode`).

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::json::{in_scala_order, integer, invalid, parse, to_bytes};
use super::{ZnodeError, broker};

/// Where clients of one listener connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Listener name, upper case.
    pub listener: String,
    /// PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
    pub security_protocol: String,
    /// Host name or address, an IPv6 one without brackets.
    pub host: String,
    /// TCP port.
    pub port: i32,
}

/// A broker's registration, versions 1 to 5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistration {
    /// The broker's id; it is in the path, not in the content.
    pub id: i32,
    /// 5 from inter-broker protocol 2.7-IV0, 4 from 0.10.0-IV1, 2 before.
    pub version: i32,
    /// The advertised listeners.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`, from version 3.
    pub rack: Option<String>,
    /// -1: no JMX.
    pub jmx_port: i32,
    /// When it was written, milliseconds since 1970.
    pub timestamp_ms: i64,
}

impl BrokerRegistration {
    /// The content. `host` and `port` name the first PLAINTEXT endpoint, for clients before 0.9; null and -1 without one.
    pub fn encode(&self) -> Bytes {
        let plaintext = self.endpoints.iter().find(|endpoint| endpoint.security_protocol == "PLAINTEXT");
        let mut entries = vec![
            ("version", json!(self.version)),
            ("host", json!(plaintext.map(|endpoint| &endpoint.host))),
            ("port", json!(plaintext.map_or(-1, |endpoint| endpoint.port))),
            ("endpoints", self.endpoints.iter().map(|endpoint| Value::from(endpoint.connection_string())).collect()),
            ("jmx_port", json!(self.jmx_port)),
            ("timestamp", json!(self.timestamp_ms.to_string())),
        ];
        if let (Some(rack), 3..) = (&self.rack, self.version) {
            entries.push(("rack", json!(rack)));
        }
        if self.version >= 4 {
            let protocols =
                self.endpoints.iter().map(|endpoint| (endpoint.listener.clone(), json!(endpoint.security_protocol)));
            entries.push(("listener_security_protocol_map", Value::Object(protocols.collect())));
        }
        if self.version >= 5 {
            entries.push(("features", json!({})));
        }
        let entries = entries.into_iter().map(|(key, value)| (key.to_owned(), value));
        to_bytes(&Value::Object(in_scala_order(entries).into_iter().collect()))
    }

    /// Reads any version.
    pub fn decode(id: i32, content: &[u8]) -> Result<Self, ZnodeError> {
        let path = broker(id);
        let object = parse(&path, content)?;
        let version = integer(&path, &object, "version")?;
        let endpoints = match version {
            ..1 => return Err(invalid(&path, format!("unsupported version {version} of a broker registration"))),
            1 => vec![Endpoint {
                listener: "PLAINTEXT".to_owned(),
                security_protocol: "PLAINTEXT".to_owned(),
                host: object.get("host").and_then(Value::as_str).unwrap_or_default().to_owned(),
                port: integer(&path, &object, "port")?,
            }],
            2.. => decode_endpoints(&path, &object)?,
        };
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        Ok(Self {
            id,
            version,
            endpoints,
            rack: text("rack").map(str::to_owned),
            jmx_port: integer(&path, &object, "jmx_port")?,
            timestamp_ms: text("timestamp").and_then(|text| text.parse().ok()).unwrap_or(-1),
        })
    }
}

impl Endpoint {
    /// `LISTENER://host:port`, an IPv6 address in brackets.
    pub fn connection_string(&self) -> String {
        let Self { listener, host, port, .. } = self;
        if host.contains(':') { format!("{listener}://[{host}]:{port}") } else { format!("{listener}://{host}:{port}") }
    }
}

fn decode_endpoints(path: &str, object: &Map<String, Value>) -> Result<Vec<Endpoint>, ZnodeError> {
    let listed = object.get("endpoints").and_then(Value::as_array).ok_or_else(|| invalid(path, "no endpoints"))?;
    let protocols = object.get("listener_security_protocol_map").and_then(Value::as_object);
    let decode = |value: &Value| {
        let text = value.as_str()?;
        let (listener, address) = text.split_once("://")?;
        let (host, port) = address.rsplit_once(':')?;
        // Before version 4 a listener's name was its protocol's.
        let protocol = match protocols {
            Some(protocols) => protocols.get(listener)?.as_str()?,
            None => listener,
        };
        Some(Endpoint {
            listener: listener.to_owned(),
            security_protocol: protocol.to_owned(),
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: port.parse().ok()?,
        })
    };
    listed.iter().map(|value| decode(value).ok_or_else(|| invalid(path, format!("invalid endpoint {value}")))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration() -> BrokerRegistration {
        let endpoint = |listener: &str, security_protocol: &str, port| Endpoint {
            listener: listener.to_owned(),
            security_protocol: security_protocol.to_owned(),
            host: "localhost".to_owned(),
            port,
        };
        BrokerRegistration {
            id: 0,
            version: 5,
            endpoints: vec![endpoint("PLAINTEXT", "PLAINTEXT", 9092)],
            rack: None,
            jmx_port: -1,
            timestamp_ms: 1_600_000_000_000,
        }
    }

    /// Order as read from a znode that broker 2.7.1 wrote.
    #[test]
    fn bytes_equal_the_originals() {
        let mut registration = registration();
        assert_eq!(
            registration.encode(),
            r#"{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},"endpoints":["PLAINTEXT://localhost:9092"],"jmx_port":-1,"port":9092,"host":"localhost","version":5,"timestamp":"1600000000000"}"#
        );
        registration.rack = Some("r1".to_owned());
        registration.endpoints[0].host = "::1".to_owned();
        let encoded = registration.encode();
        assert!(encoded.starts_with(br#"{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},"endpoints":["PLAINTEXT://[::1]:9092"],"rack":"r1","#), "{encoded:?}");
        assert_eq!(BrokerRegistration::decode(0, &encoded), Ok(registration));
    }

    #[test]
    fn old_versions_are_read_and_nonsense_refused() {
        let one = br#"{"version":1,"host":"h","port":9092,"jmx_port":9999,"timestamp":"2233345666"}"#;
        assert_eq!(BrokerRegistration::decode(3, one).unwrap().endpoints[0].connection_string(), "PLAINTEXT://h:9092");
        let two = br#"{"version":2,"host":"h","port":1,"jmx_port":1,"timestamp":"1","endpoints":["SSL://h:9093"]}"#;
        assert_eq!(BrokerRegistration::decode(3, two).unwrap().endpoints[0].security_protocol, "SSL");
        for bad in ["", "[]", "{}", r#"{"version":0,"jmx_port":1}"#, r#"{"version":4,"jmx_port":1,"endpoints":["x"]}"#]
        {
            assert!(BrokerRegistration::decode(3, bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
