//! Network namespaces, one for each member of an ensemble, joined by a bridge to the tests' own: a link can be cut as if
//! somebody pulled the cable. Needs root.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

/// How many networks a process may make.
const PER_PROCESS: u32 = 8;

/// The namespaces, the links and the bridge; all are removed with it.
pub(crate) struct Network {
    /// Part of all names: of the process, and of this network in it.
    tag: u32,
    count: usize,
}

impl Network {
    /// Namespaces for servers 1 to `count`.
    pub(crate) fn new(count: usize) -> Result<Self> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        if serial >= PER_PROCESS {
            bail!("no address is left");
        }
        let network = Self { tag: (std::process::id() * PER_PROCESS + serial) % 65_536, count };
        let bridge = network.bridge();
        ip(&["link", "add", &bridge, "type", "bridge"])
            .context("network namespaces need root and Debian's package iproute2")?;
        ip(&["address", "add", &format!("{}/24", network.address(254)), "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])?;
        for id in 1..=count {
            let (space, link, inner) = (network.space(id), network.link(id), network.inner(id));
            ip(&["netns", "add", &space])?;
            ip(&["link", "add", &link, "type", "veth", "peer", "name", &inner])?;
            ip(&["link", "set", &inner, "netns", &space])?;
            ip(&["link", "set", &link, "master", &bridge, "up"])?;
            ip(&["-n", &space, "address", "add", &format!("{}/24", network.address(id)), "dev", &inner])?;
            ip(&["-n", &space, "link", "set", &inner, "up"])?;
            ip(&["-n", &space, "link", "set", "lo", "up"])?;
        }
        Ok(network)
    }

    /// The address of a server.
    pub(crate) fn address(&self, id: usize) -> String {
        format!("10.{}.{}.{id}", 64 + (self.tag >> 8) % 128, self.tag % 256)
    }

    /// Another address of a server, once it was added.
    pub(crate) fn second_address(&self, id: usize) -> String {
        self.address(100 + id)
    }

    pub(crate) fn add_second_address(&self, id: usize) -> Result<()> {
        let address = format!("{}/24", self.second_address(id));
        ip(&["-n", &self.space(id), "address", "add", &address, "dev", &self.inner(id)])
    }

    pub(crate) fn remove_second_address(&self, id: usize) -> Result<()> {
        let address = format!("{}/24", self.second_address(id));
        ip(&["-n", &self.space(id), "address", "delete", &address, "dev", &self.inner(id)])
    }

    /// The same command in a server's namespace; the program runs in the process that is started.
    pub(crate) fn within(&self, id: usize, command: &Command) -> Command {
        let mut within = Command::new("nsenter");
        within.arg(format!("--net=/run/netns/{}", self.space(id))).arg("--");
        within.arg(command.get_program()).args(command.get_args());
        within
    }

    /// Nothing passes to or from a server any more, and nobody is told.
    pub(crate) fn cut(&self, id: usize) -> Result<()> {
        ip(&["link", "set", &self.link(id), "down"])
    }

    /// The link is there again.
    pub(crate) fn heal(&self, id: usize) -> Result<()> {
        ip(&["link", "set", &self.link(id), "up"])
    }

    /// What two servers send to each other is lost, and nobody is told: each looks for the other where nobody is.
    pub(crate) fn part(&self, one: usize, other: usize) -> Result<()> {
        for (from, to) in [(one, other), (other, one)] {
            let (address, inner) = (self.address(to), self.inner(from));
            let nowhere = ["lladdr", "02:00:00:00:00:01", "nud", "permanent"];
            ip(&[&["-n", &self.space(from), "neigh", "replace", &address, "dev", &inner], &nowhere[..]].concat())?;
        }
        Ok(())
    }

    /// They find each other again.
    pub(crate) fn join(&self, one: usize, other: usize) -> Result<()> {
        for (from, to) in [(one, other), (other, one)] {
            ip(&["-n", &self.space(from), "neigh", "delete", &self.address(to), "dev", &self.inner(from)])?;
        }
        Ok(())
    }

    // Names of links have 15 characters at most.
    fn bridge(&self) -> String {
        format!("jd{}b", self.tag)
    }

    fn space(&self, id: usize) -> String {
        format!("jd{}-{id}", self.tag)
    }

    fn link(&self, id: usize) -> String {
        format!("jd{}v{id}", self.tag)
    }

    fn inner(&self, id: usize) -> String {
        format!("jd{}i{id}", self.tag)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // A failed set-up leaves a part of it.
        for id in 1..=self.count {
            let _ = ip(&["link", "delete", &self.link(id)]);
            let _ = ip(&["netns", "delete", &self.space(id)]);
        }
        let _ = ip(&["link", "delete", &self.bridge()]);
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("can't run ip")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
