//! The list of servers: `server.N`, `group.N`, `weight.N` (`QuorumPeer.QuorumServer`, `QuorumMaj`, `QuorumHierarchical`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use super::error::Problem;
use crate::properties::{Properties, comment_hint};

/// Host and port as they are written; the host resolves names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Name or address; IPv6 without brackets. `0.0.0.0` means all addresses.
    pub host: String,
    /// 0 to 65535.
    pub port: u16,
}

/// What a server may do in its ensemble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerType {
    /// Votes.
    Participant,
    /// Follows without a vote.
    Observer,
}

/// One `server.N` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// N, as in `myid`.
    pub id: i64,
    /// Quorum addresses, one unless `multiAddress.enabled`.
    pub quorum: Vec<HostPort>,
    /// Election addresses, as many.
    pub election: Vec<HostPort>,
    /// Vote or not.
    pub peer_type: PeerType,
    /// Where it serves clients, when its line says so.
    pub client: Option<HostPort>,
}

/// All servers, by id, and who votes with whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ensemble {
    /// By id.
    pub servers: BTreeMap<i64, Server>,
    /// Group of a server, when there are groups.
    pub groups: BTreeMap<i64, i64>,
    /// Weight of a server, when it is not 1.
    pub weights: BTreeMap<i64, i64>,
    /// Version of the list: the file name's suffix, or 0 before a leader was found; then the zxid that began it.
    pub version: i64,
}

const WRONG_FORMAT: &str = " does not have the form server_config or server_config;client_config where server_config is the \
     pipe separated list of host:port:port or host:port:port:type and client_config is port or host:port";

impl Ensemble {
    /// Reads the lines of `zoo.cfg` (other keys are passed over) or of a dynamic file (`strict`: no other keys).
    pub(super) fn parse(properties: &Properties, strict: bool, multiple_addresses: bool) -> Result<Self, Problem> {
        let mut ensemble = Self::default();
        let is_grouped = |(key, _): (&str, &str)| key.trim().starts_with("group") || key.trim().starts_with("weight");
        let hierarchical = properties.iter().any(is_grouped);
        for (key, value) in properties.iter() {
            if let Some(id) = key.strip_prefix("server.") {
                let server = Server::parse(number(id)?, value, multiple_addresses)?;
                ensemble.servers.insert(server.id, server);
            } else if key == "version" {
                ensemble.version =
                    i64::from_str_radix(value, 16).map_err(|_| Problem::not_a_number(value, " under radix 16"))?;
            } else if is_grouped((key, value)) {
                ensemble.add_group_or_weight(key, value)?;
            } else if strict {
                return Err(Problem::config(format!("Unrecognised parameter: {}", key.trim())));
            }
        }
        if hierarchical {
            ensemble.check_groups()?;
        }
        Ok(ensemble)
    }

    fn add_group_or_weight(&mut self, key: &str, value: &str) -> Result<(), Problem> {
        let id = number(key.split_once('.').map_or(key, |(_, id)| id))?;
        if key.starts_with("weight") {
            self.weights.insert(id, number(value)?);
            return Ok(());
        }
        for member in value.split(':') {
            let member = number(member)?;
            if self.groups.insert(member, id).is_some() {
                return Err(Problem::config(format!("Server {member}is in multiple groups")));
            }
        }
        Ok(())
    }

    fn check_groups(&self) -> Result<(), Problem> {
        if let Some(server) = self.voters().find(|server| !self.groups.contains_key(&server.id)) {
            return Err(Problem::config(format!("Server {}is not in a group", server.id)));
        }
        // The original ends with a NullPointerException.
        let voters: BTreeSet<i64> = self.voters().map(|server| server.id).collect();
        match self.groups.keys().find(|id| !voters.contains(id) && !self.weights.contains_key(id)) {
            Some(id) => Err(Problem::config(format!("Server {id} is in a group, but has no vote and no weight"))),
            None => Ok(()),
        }
    }

    /// Whether groups and weights decide, not the majority of heads.
    #[must_use]
    pub fn is_hierarchical(&self) -> bool {
        !self.groups.is_empty() || !self.weights.is_empty()
    }

    /// The list as servers tell it to each other and as `/zookeeper/config` holds it (`QuorumVerifier.toString`): lines in the
    /// form of a dynamic file, with the version in the last.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for server in self.servers.values() {
            let _ = writeln!(text, "server.{}={server}", server.id);
        }
        if self.is_hierarchical() {
            let mut groups: BTreeMap<i64, Vec<String>> = BTreeMap::new();
            for (id, group) in &self.groups {
                groups.entry(*group).or_default().push(id.to_string());
            }
            for (group, members) in groups {
                let _ = writeln!(text, "group.{group}={}", members.join(":"));
            }
            let mut weights: BTreeMap<i64, i64> = self.voters().map(|server| (server.id, 1)).collect();
            weights.extend(&self.weights);
            for (id, weight) in weights {
                let _ = writeln!(text, "weight.{id}={weight}");
            }
        }
        let _ = write!(text, "version={:x}", self.version);
        text
    }

    /// Servers with a vote.
    pub fn voters(&self) -> impl Iterator<Item = &Server> {
        self.servers.values().filter(|server| server.peer_type == PeerType::Participant)
    }

    /// Servers without a vote.
    pub fn observers(&self) -> impl Iterator<Item = &Server> {
        self.servers.values().filter(|server| server.peer_type == PeerType::Observer)
    }
}

/// As the original writes it: with the role, several addresses sorted by host.
impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sorted = |addresses: &[HostPort]| {
            let mut sorted = addresses.to_vec();
            sorted.sort_by(|one, other| one.host.cmp(&other.host));
            sorted
        };
        for (index, (quorum, election)) in sorted(&self.quorum).iter().zip(sorted(&self.election)).enumerate() {
            let separator = if index == 0 { "" } else { "|" };
            write!(formatter, "{separator}{quorum}:{}", election.port)?;
        }
        formatter.write_str(match self.peer_type {
            PeerType::Participant => ":participant",
            PeerType::Observer => ":observer",
        })?;
        match &self.client {
            Some(client) => write!(formatter, ";{client}"),
            None => Ok(()),
        }
    }
}

/// An IPv6 address stands in brackets.
impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(formatter, "[{}]:{}", self.host, self.port),
            false => write!(formatter, "{}:{}", self.host, self.port),
        }
    }
}

impl Server {
    /// Reads `host:port:port[:type][|...][;[host:]port]`. Nothing is trimmed, as in the original.
    pub(super) fn parse(id: i64, line: &str, multiple_addresses: bool) -> Result<Self, Problem> {
        let wrong_format = || Problem::config(format!("{line}{WRONG_FORMAT}{}", comment_hint(line)));
        let parts = split(line, ';');
        let addresses = split(parts.first().copied().unwrap_or_default(), '|');
        let client = match parts.get(1) {
            Some(client) if parts.len() == 2 => {
                Some(client_address(client).map_err(|problem| problem.unwrap_or_else(wrong_format))?)
            }
            _ => None,
        };
        if !multiple_addresses && addresses.len() > 1 {
            let text =
                format!("Multiple address feature is disabled, but multiple addresses were specified for sid {id}");
            return Err(Problem::config(text));
        }
        let mut server =
            Self { id, quorum: Vec::new(), election: Vec::new(), peer_type: PeerType::Participant, client };
        let mut peer_type = None;
        for address in addresses {
            let fields = host_and_ports(address)?;
            let (host, quorum, election, role) = match fields.as_slice() {
                [host, quorum, election] if parts.len() <= 2 => (host, quorum, election, None),
                [host, quorum, election, role] if parts.len() <= 2 => (host, quorum, election, Some(role)),
                _ => return Err(wrong_format()),
            };
            let quorum = port(host, quorum)?;
            let election = port(host, election)?;
            if quorum.port == election.port {
                let text = format!(
                    "Client and election port must be different! Please update the configuration file on server.{id}"
                );
                return Err(Problem::config(text));
            }
            if let Some(role) = role {
                let role = PeerType::parse(role)?;
                if *peer_type.get_or_insert(role) != role {
                    return Err(Problem::config("Multiple addresses should have similar roles"));
                }
            }
            server.quorum.push(quorum);
            server.election.push(election);
        }
        server.peer_type = peer_type.unwrap_or(PeerType::Participant);
        Ok(server)
    }
}

impl PeerType {
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        match text.trim().to_lowercase().as_str() {
            "observer" => Ok(Self::Observer),
            "participant" => Ok(Self::Participant),
            _ => Err(Problem::config(format!("Unrecognised peertype: {text}{}", comment_hint(text)))),
        }
    }
}

/// `port` or `host:port`; `Err(None)` when it has another form.
fn client_address(text: &str) -> Result<HostPort, Option<Problem>> {
    let fields = host_and_ports(text).map_err(Some)?;
    match fields.as_slice() {
        [only] => port("0.0.0.0", only).map_err(Some),
        [host, number] => port(host, number).map_err(Some),
        _ => Err(None),
    }
}

/// `ConfigUtils.getHostAndPort`: fields between colons; an IPv6 address stands in brackets.
fn host_and_ports(text: &str) -> Result<Vec<&str>, Problem> {
    let Some(inner) = text.strip_prefix('[') else { return Ok(split(text, ':')) };
    let Some((host, rest)) = inner.split_once(']') else {
        return Err(Problem::config(format!("{text} starts with '[' but has no matching ']:'")));
    };
    match rest.char_indices().nth(1) {
        None if rest.is_empty() => Ok(vec![host]),
        None => Err(Problem::config(format!("{text} doesn't have a port after colon"))),
        Some((ports, _)) => {
            Ok(std::iter::once(host).chain(split(rest.get(ports..).unwrap_or_default(), ':')).collect())
        }
    }
}

/// `String.split` of Java: empty parts at the end are dropped.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts: Vec<_> = text.split(separator).collect();
    while parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    parts
}

fn port(host: &str, text: &str) -> Result<HostPort, Problem> {
    let number: i32 = text
        .parse()
        .map_err(|_| Problem::config(format!("Address unresolved: {host}:{text}{}", comment_hint(text))))?;
    Ok(HostPort { host: host.to_owned(), port: port_number(number)? })
}

/// The check of `InetSocketAddress`.
pub(super) fn port_number(number: i32) -> Result<u16, Problem> {
    u16::try_from(number).map_err(|_| Problem::illegal(format!("port out of range:{number}")))
}

fn number(text: &str) -> Result<i64, Problem> {
    text.parse().map_err(|_| Problem::not_a_number(text, &comment_hint(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(line: &str) -> Result<Server, String> {
        Server::parse(1, line, false).map_err(|problem| problem.at("zoo.cfg").to_string())
    }

    #[test]
    fn a_line_names_ports_role_and_client_address() {
        let full = server("h:2888:3888:observer;10.0.0.1:2181").unwrap();
        assert_eq!(full.quorum, [HostPort { host: "h".into(), port: 2888 }]);
        assert_eq!(full.election, [HostPort { host: "h".into(), port: 3888 }]);
        assert_eq!(full.peer_type, PeerType::Observer);
        assert_eq!(full.client, Some(HostPort { host: "10.0.0.1".into(), port: 2181 }));
        let short = server("[::1]:2888:3888;2181").unwrap();
        assert_eq!(short.quorum, [HostPort { host: "::1".into(), port: 2888 }]);
        assert_eq!(short.client, Some(HostPort { host: "0.0.0.0".into(), port: 2181 }));
    }

    #[test]
    fn bad_lines_are_refused() {
        for (line, text) in [
            ("h:2888", "does not have the form"),
            ("h:2888:3888:x", "Unrecognised peertype: x"),
            ("h:2888:2888", "must be different"),
            ("h:a:3888", "Address unresolved: h:a"),
            ("h:2888:3888 # c", "'# c' is part of it"),
            ("h:2888:70000", "port out of range:70000"),
            ("h:1:2|i:1:2", "Multiple address feature is disabled"),
            ("[::1:2888:3888", "has no matching ']:'"),
            ("h:1:2;3;4", "does not have the form"),
        ] {
            let error = server(line).unwrap_err();
            assert!(error.contains(text), "{line}: {error}");
        }
    }

    #[test]
    fn every_voter_is_in_one_group() {
        let parse = |text: &str| Ensemble::parse(&Properties::parse(text.as_bytes()).unwrap(), false, false);
        let lines = "server.1=a:1:2\nserver.2=b:1:2\n";
        assert_eq!(parse(&format!("{lines}group.1=1:2\nweight.2=3")).unwrap().weights, [(2, 3)].into());
        assert_eq!(parse(&format!("{lines}group.1=1")), Err(Problem::config("Server 2is not in a group")));
        assert_eq!(parse(&format!("{lines}group.1=1:2:1")), Err(Problem::config("Server 1is in multiple groups")));
    }
}
