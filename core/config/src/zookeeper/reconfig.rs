//! Another list of servers for an ensemble that runs (`PrepRequestProcessor`, `QuorumPeerConfig`): what a client asks for
//! becomes a list, what servers tell each other is read, and the files of a server follow.

use super::error::Problem;
use super::servers::{Ensemble, HostPort, Server};
use crate::properties::{Properties, without_keys};

/// Why a list is refused. The request is answered with an error code; the words are for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReconfigError {
    /// `BadArguments`.
    #[error("{0}")]
    BadArguments(String),
    /// Where the original fails with an exception that it does not expect, and answers `MarshallingError`.
    #[error("{0}")]
    Unreadable(String),
}

impl From<Problem> for ReconfigError {
    fn from(problem: Problem) -> Self {
        let is_config = matches!(problem, Problem::Config(_));
        let text = problem.at("the list of servers").to_string();
        if is_config { Self::BadArguments(text) } else { Self::Unreadable(text) }
    }
}

impl Ensemble {
    /// The list that another server tells, or that a request gives as a whole (`QuorumPeer.configFromString`): lines of a
    /// dynamic file, with its version.
    ///
    /// # Errors
    /// [`ReconfigError`], also of a list that can't be an ensemble's.
    pub fn from_text(text: &str, standalone_enabled: bool, multiple_addresses: bool) -> Result<Self, ReconfigError> {
        let properties = Properties::parse_text(text).map_err(|error| Problem::illegal(error.to_string()))?;
        let ensemble = Self::parse(&properties, true, multiple_addresses)?;
        let (voters, observers) = (ensemble.voters().count(), ensemble.observers().count());
        match voters {
            0 if !standalone_enabled => {
                Err(Problem::illegal("standaloneEnabled = false then number of participants should be >0").into())
            }
            0 if observers > 0 => {
                Err(Problem::illegal("Observers w/o participants is an invalid configuration").into())
            }
            1 if standalone_enabled && observers > 0 => {
                Err(Problem::illegal("Observers w/o quorum is an invalid configuration").into())
            }
            _ => Ok(ensemble),
        }
    }

    /// The list that a request gives as a whole: lines between commas or line ends.
    ///
    /// # Errors
    /// As [`Ensemble::from_text`].
    pub fn from_members(
        members: &str,
        standalone_enabled: bool,
        multiple_addresses: bool,
    ) -> Result<Self, ReconfigError> {
        Self::from_text(&members.replace(',', "\n"), standalone_enabled, multiple_addresses)
    }

    /// This list without `leaving` (numbers between commas) and with `joining` (`server.N=...;client` between commas), which
    /// take the place of those with the same number.
    ///
    /// # Errors
    /// [`ReconfigError`]: groups and weights can't be changed in steps, a joiner must name all of its ports, and no address
    /// of another machine may be given twice.
    pub fn with_changes(&self, joining: &str, leaving: &str, multiple_addresses: bool) -> Result<Self, ReconfigError> {
        if self.is_hierarchical() {
            return Err(ReconfigError::BadArguments(
                "Incremental reconfiguration requested but last configuration seen has a non-majority quorum system"
                    .to_owned(),
            ));
        }
        let mut next = self.clone();
        for id in items(leaving) {
            next.servers.remove(&id.parse().map_err(|_| ReconfigError::from(Problem::not_a_number(id, "")))?);
        }
        for joiner in items(joining) {
            let server = joining_server(joiner, multiple_addresses)?;
            if let Some(text) = next.servers.values().find_map(|other| conflict(&server, other)) {
                return Err(ReconfigError::BadArguments(text));
            }
            next.servers.insert(server.id, server);
        }
        Ok(next)
    }

    /// Whether both lists have the same servers with the same ports and parts, and decide alike, whatever their versions.
    #[must_use]
    pub fn is_same_but_for_version(&self, other: &Self) -> bool {
        (&self.servers, &self.groups, &self.weights) == (&other.servers, &other.groups, &other.weights)
    }

    /// The file `zoo.cfg.dynamic.VERSION` (its version is in its name), or with its version, `zoo.cfg.dynamic.next`
    /// (`writeDynamicConfig`).
    #[must_use]
    pub fn file_text(&self, with_version: bool) -> String {
        let text = self.text();
        let mut lines: Vec<&str> = text.lines().filter(|line| with_version || !line.starts_with("version")).collect();
        lines.sort_unstable();
        lines.join("\n")
    }
}

/// `zoo.cfg` once the list of servers is in a file of its own (`editStaticConfig`). Unlike the original this keeps comments
/// and the order of lines. `clientPort` goes when the server's line has it.
///
/// # Errors
/// A file that is no `.properties` file.
pub fn static_file(file: &[u8], dynamic_file: &str, drops_client_port: bool) -> Result<Vec<u8>, ReconfigError> {
    let is_dropped = |key: &str| {
        let key = key.trim();
        let is_of_list =
            ["server.", "group", "weight", "dynamicConfigFile", "peerType"].iter().any(|start| key.starts_with(start));
        is_of_list || (drops_client_port && key.starts_with("clientPort"))
    };
    let mut text = without_keys(file, is_dropped).map_err(|error| ReconfigError::Unreadable(error.to_string()))?;
    if text.last().is_some_and(|last| !matches!(last, b'\n' | b'\r')) {
        text.push(b'\n');
    }
    text.extend_from_slice(format!("dynamicConfigFile={dynamic_file}\n").as_bytes());
    Ok(text)
}

/// `StringUtils.split`: parts without the spaces around them, empty ones left out.
fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn joining_server(joiner: &str, multiple_addresses: bool) -> Result<Server, ReconfigError> {
    let bad = |text: &str| ReconfigError::BadArguments(text.to_owned());
    let parts: Vec<&str> = joiner.split('=').map(str::trim).filter(|part| !part.is_empty()).collect();
    let [name, line] = parts.as_slice() else { return Err(bad("Wrong format of server string")) };
    let id = name.rsplit('.').next().unwrap_or_default();
    let id = id.parse().map_err(|_| ReconfigError::from(Problem::not_a_number(id, "")))?;
    let failed = |_| bad("Reconfiguration failed");
    let server = Server::parse(id, line, multiple_addresses).map_err(failed)?;
    match server.client {
        Some(_) => Ok(server),
        None => Err(bad("Wrong format of server string - each server should have 3 ports specified")),
    }
}

/// An address that two servers have, told in the original's words. Addresses of a machine's own (any, loopback) may be
/// those of several; names are compared as they are written.
fn conflict(server: &Server, other: &Server) -> Option<String> {
    if server.id == other.id {
        return None;
    }
    let of_machine = |address: &&HostPort| {
        let is_own = match address.host.parse::<std::net::IpAddr>() {
            Ok(ip) => ip.is_unspecified() || ip.is_loopback(),
            Err(_) => address.host.eq_ignore_ascii_case("localhost"),
        };
        !is_own
    };
    let all = |server: &'_ Server| -> Vec<HostPort> {
        let addresses = server.quorum.iter().chain(&server.client).chain(&server.election);
        addresses.filter(of_machine).cloned().collect()
    };
    let others = all(other);
    let same = all(server).into_iter().find(|own| others.contains(own))?;
    Some(format!("{same} of server.{} conflicts {same} of server.{}", server.id, other.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: &str = "server.1=a:2888:3888:participant;0.0.0.0:2181\nserver.2=b:2888:3888:participant\n\
                         server.3=c:2888:3888:observer\nversion=10000000a";

    fn three() -> Ensemble {
        Ensemble::from_text(THREE, true, false).unwrap()
    }

    #[test]
    fn a_list_is_told_and_read_alike() {
        let list = three();
        assert_eq!(list.version, 0x1_0000_000a);
        assert_eq!(list.text(), THREE);
        assert_eq!(list.file_text(true), THREE);
        assert_eq!(format!("{}\nversion=10000000a", list.file_text(false)), THREE);
        let later = Ensemble { version: 7, ..list.clone() };
        assert!(later.is_same_but_for_version(&list) && later != list);
    }

    #[test]
    fn changes_in_steps_remove_and_then_add() {
        let next = three().with_changes(" server.4 = d:1:2;3 ,server.3=c:2888:3888;2181", "2, 9", false).unwrap();
        let ids: Vec<i64> = next.servers.keys().copied().collect();
        assert_eq!(ids, [1, 3, 4]);
        assert_eq!(next.voters().count(), 3, "the observer comes back with a vote");
        assert_eq!(three().with_changes("", "", false), Ok(three()));
    }

    #[test]
    fn what_is_wrong_with_a_change_has_the_originals_code() {
        let refused = |joining: &str, leaving: &str| three().with_changes(joining, leaving, false).unwrap_err();
        let bad = |text: &str| ReconfigError::BadArguments(text.to_owned());
        assert_eq!(refused("server.4", ""), bad("Wrong format of server string"));
        let ports = "Wrong format of server string - each server should have 3 ports specified";
        assert_eq!(refused("server.4=d:1:2", ""), bad(ports));
        assert_eq!(refused("server.4=d:1;2", ""), bad("Reconfiguration failed"));
        assert_eq!(
            refused("server.4=a:2888:1;9", ""),
            bad("a:2888 of server.4 conflicts a:2888 of server.1"),
            "unless server 1 leaves"
        );
        assert!(three().with_changes("server.4=a:2888:1;9", "1", false).is_ok());
        assert!(matches!(refused("", "two"), ReconfigError::Unreadable(_)));
        assert!(matches!(refused("server.x=d:1:2;3", ""), ReconfigError::Unreadable(_)));
        let grouped = Ensemble::from_text("server.1=a:1:2\nserver.2=b:1:2\ngroup.1=1:2", true, false).unwrap();
        assert!(matches!(grouped.with_changes("", "1", false), Err(ReconfigError::BadArguments(_))));
    }

    #[test]
    fn a_whole_list_comes_between_commas() {
        let list = Ensemble::from_members("server.1=a:1:2;3,server.2=b:1:2;3", true, false).unwrap();
        assert_eq!((list.servers.len(), list.version), (2, 0));
        let refused = |text: &str, alone| Ensemble::from_members(text, alone, false).unwrap_err();
        assert!(matches!(refused("clientPort=1", true), ReconfigError::BadArguments(_)));
        assert!(matches!(refused("server.1=a:1:2:observer;3", true), ReconfigError::Unreadable(_)));
        assert!(matches!(refused("", false), ReconfigError::Unreadable(_)));
        assert!(matches!(refused("server.1=a:1:2;3,server.2=b:1:2:observer;3", true), ReconfigError::Unreadable(_)));
    }

    #[test]
    fn the_static_file_points_to_the_dynamic_one() {
        let file =
            b"# mine\ntickTime=2000\nclientPort=2181\nserver.1=a:1:2\nserver.2=b:1:2\ngroup.1=1:2\npeerType=observer";
        let text = |drops| String::from_utf8(static_file(file, "/d/zoo.cfg.dynamic.5", drops).unwrap()).unwrap();
        assert_eq!(text(false), "# mine\ntickTime=2000\nclientPort=2181\ndynamicConfigFile=/d/zoo.cfg.dynamic.5\n");
        assert_eq!(text(true), "# mine\ntickTime=2000\ndynamicConfigFile=/d/zoo.cfg.dynamic.5\n");
        let again = static_file(text(true).as_bytes(), "/d/zoo.cfg.dynamic.6", true).unwrap();
        assert_eq!(again, b"# mine\ntickTime=2000\ndynamicConfigFile=/d/zoo.cfg.dynamic.6\n");
    }
}
