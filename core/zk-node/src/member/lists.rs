//! A member's lists of servers: the one in force, and a later one that was proposed (upstream `QuorumPeer`'s quorum
//! verifiers).

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use config::zookeeper::{Ensemble, HostPort, MemberSettings, Server as ServerLine};
use zk_zab::{Electorate, ProposedList, Quorum, ServerId, Voter};

/// One version of the list.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) ensemble: Ensemble,
    pub(super) quorum: Arc<Quorum>,
    /// As it travels, and as `/zookeeper/config` tells it.
    pub(crate) text: Bytes,
}

impl List {
    pub(super) fn new(ensemble: Ensemble) -> Arc<Self> {
        let quorum = Arc::new(quorum(&ensemble));
        let text = Bytes::from(ensemble.text());
        Arc::new(Self { ensemble, quorum, text })
    }

    /// Reads what another server tells.
    pub(super) fn read(text: &[u8], settings: &MemberSettings) -> Result<Arc<Self>, String> {
        let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
        let ensemble = Ensemble::from_text(text, settings.standalone_enabled, settings.multiple_addresses);
        ensemble.map(Self::new).map_err(|error| error.to_string())
    }

    pub(crate) const fn version(&self) -> i64 {
        self.ensemble.version
    }

    /// A server's line.
    pub(super) fn line(&self, id: ServerId) -> Option<&ServerLine> {
        self.ensemble.servers.get(&id)
    }

    /// As the leader `own` proposes it: it goes on to lead if it has a vote and the same quorum addresses.
    pub(super) fn proposed(&self, own: &ServerLine) -> ProposedList {
        let keeps_addresses = self.line(own.id).is_some_and(|line| line.quorum == own.quorum);
        let stays = self.quorum.is_voter(own.id) && keeps_addresses;
        ProposedList { quorum: Arc::clone(&self.quorum), config: self.text.clone(), stays }
    }
}

/// Both lists.
pub(super) struct Lists {
    pub(super) current: Arc<List>,
    /// Of a later version than the current one.
    pub(super) next: Option<Arc<List>>,
}

impl Lists {
    pub(super) fn new(current: &Ensemble, next: Option<&Ensemble>) -> Self {
        let next = next.filter(|next| next.version > current.version);
        Self { current: List::new(current.clone()), next: next.cloned().map(List::new) }
    }

    fn each(&self) -> impl Iterator<Item = &List> {
        std::iter::once(&self.current).chain(&self.next).map(Arc::as_ref)
    }

    /// A server's line: that of the list in force, or else of the next one.
    pub(super) fn line(&self, id: ServerId) -> Option<&ServerLine> {
        self.each().find_map(|list| list.line(id))
    }

    /// Where a server may be called for its vote: who has taken the next list over listens there already, or there still who has not.
    pub(super) fn election_addresses(&self, id: ServerId) -> Vec<HostPort> {
        let mut addresses: Vec<HostPort> = Vec::new();
        for address in self.each().filter_map(|list| list.line(id)).flat_map(|line| &line.election) {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        addresses
    }

    /// All servers of both.
    pub(super) fn servers(&self) -> BTreeSet<ServerId> {
        self.each().flat_map(|list| list.quorum.servers()).collect()
    }

    pub(super) fn electorate(&self) -> Electorate {
        Electorate {
            current: Arc::clone(&self.current.quorum),
            next: self.next.as_ref().map(|next| Arc::clone(&next.quorum)),
            config: self.current.text.clone(),
        }
    }
}

/// What the list of servers means for deciding.
fn quorum(ensemble: &Ensemble) -> Quorum {
    let observers = ensemble.observers().map(|server| server.id);
    let voters = ensemble.voters().map(|server| server.id);
    if !ensemble.is_hierarchical() {
        return Quorum::majority(ensemble.version, voters, observers);
    }
    let voters = voters.map(|id| {
        let weight = ensemble.weights.get(&id).copied().unwrap_or(1);
        (id, Voter { weight, group: ensemble.groups.get(&id).copied().unwrap_or(0) })
    });
    Quorum::hierarchical(ensemble.version, voters.collect(), observers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voter_is_called_where_either_list_has_it() {
        let [current, next] = [
            "server.1=a:2888:3888\nserver.2=b:2888:3888\nversion=100000001",
            "server.1=a:2888:3888\nserver.2=b:2888:3988\nserver.3=c:2888:3888\nversion=100000005",
        ]
        .map(|text| Ensemble::from_text(text, true, false).unwrap());
        let called = |lists: &Lists, id| -> Vec<String> {
            lists.election_addresses(id).iter().map(HostPort::to_string).collect()
        };
        let lists = Lists::new(&current, Some(&next));
        assert_eq!(called(&lists, 1), ["a:3888"]);
        assert_eq!(called(&lists, 2), ["b:3888", "b:3988"]);
        assert_eq!(called(&lists, 3), ["c:3888"]);
        assert_eq!(called(&Lists::new(&next, None), 2), ["b:3988"]);
    }
}
