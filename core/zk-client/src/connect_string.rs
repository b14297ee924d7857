//! `host:port,host:port/chroot` (upstream `ConnectStringParser`).

use base::Str;
use zk_proto::path::{self, PathError};

/// The port if none is given.
const PORT_DEFAULT: u16 = 2181;

/// Where a server may be. The name is resolved at each attempt, so that it may move.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    /// A name or an address, without brackets.
    pub name: String,
    /// The port.
    pub port: u16,
}

impl std::fmt::Display for Host {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.name, self.port)
    }
}

/// A list of servers and the folder that the client takes for its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectString {
    /// The servers in the order given, at least one.
    pub hosts: Vec<Host>,
    /// Put before each path; empty for none.
    pub chroot: Str,
}

/// Why a connect string is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectStringError {
    /// It names no server.
    #[error("A HostProvider may not be empty!")]
    NoHost,
    /// The part behind a colon is no port.
    #[error("not a port: {0:?}")]
    Port(String),
    /// The chroot is no path.
    #[error(transparent)]
    Chroot(#[from] PathError),
}

impl std::str::FromStr for ConnectString {
    type Err = ConnectStringError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (servers, chroot) = text.find('/').map_or((text, ""), |at| text.split_at(at));
        let chroot = if chroot == "/" { "" } else { chroot };
        if !chroot.is_empty() {
            path::validate(chroot)?;
        }
        let hosts = servers.split(',').map(str::trim).filter(|server| !server.is_empty());
        let hosts = hosts.map(host).collect::<Result<Vec<_>, _>>()?;
        if hosts.is_empty() {
            return Err(ConnectStringError::NoHost);
        }
        Ok(Self { hosts, chroot: Str::from(chroot) })
    }
}

/// `name`, `name:port`, `[v6]`, `[v6]:port`.
fn host(text: &str) -> Result<Host, ConnectStringError> {
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, rest)) => (name, rest.strip_prefix(':')),
        None => text.rsplit_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let parse = |port: &str| port.parse().map_err(|_| ConnectStringError::Port(port.into()));
    Ok(Host { name: name.into(), port: port.map_or(Ok(PORT_DEFAULT), parse)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_ports_and_chroot() {
        let parsed: ConnectString = "a:2182, b ,[::1]:7,[fe80::2]/kafka/one".parse().unwrap();
        let shown: Vec<String> = parsed.hosts.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["a:2182", "b:2181", "::1:7", "fe80::2:2181"]);
        assert_eq!(parsed.chroot, "/kafka/one");
        assert_eq!("a/".parse::<ConnectString>().unwrap().chroot, "");
    }

    #[test]
    fn what_is_no_connect_string_is_told() {
        let error = |text: &str| text.parse::<ConnectString>().unwrap_err();
        assert_eq!(error("/x"), ConnectStringError::NoHost);
        assert_eq!(error("a:port"), ConnectStringError::Port("port".into()));
        assert!(matches!(error("a/x/"), ConnectStringError::Chroot(PathError::TrailingSlash)));
    }
}
