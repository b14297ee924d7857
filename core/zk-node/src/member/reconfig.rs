//! Another list of servers while the ensemble runs (upstream `PrepRequestProcessor`, `QuorumPeer.processReconfig`): what a
//! client asks for is checked and proposed by the leader; each server keeps a proposed list for good before it acknowledges
//! it, and takes it over when it is in force: votes, ports, its own part, and the files beside `zoo.cfg`.
//!
//! A server that gets another part, or another leader, ends what it does. The leader that came along with the list is
//! followed without an election; else one is held.

use std::path::Path;
use std::sync::Arc;

use base::{Disk, Now, Slow};
use config::zookeeper::{Ensemble, HostPort, ListFiles, PeerType, ReconfigError, Server as ServerLine, static_file};
use zk_proto::ErrorCode;
use zk_proto::requests::ReconfigRequest;
use zk_zab::{ServerId, Zxid, epoch_start};

use super::lists::List;
use super::{Member, Phase};
use crate::event::Outcome;
use crate::log::Logger;
use crate::{DiskTask, Effect, Effects, Lane, PeerPort, Server};

/// `zoo.cfg` and the files beside it are read up to here.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What is to be done to a server's files, in order.
pub(super) enum Keep {
    /// A list was proposed, by this transaction if by one.
    Next(Arc<List>, Option<Zxid>),
    /// A list is in force.
    Current(Arc<List>),
    /// What was proposed is over.
    DropNext,
}

/// The disk's answer.
#[derive(Debug)]
pub(crate) struct ListKept {
    /// The transaction that proposed it.
    proposal: Option<Zxid>,
    result: Result<(), String>,
}

impl Member {
    /// This server's own line, by which it listens: the last one in which it was listed.
    pub(super) const fn own(&self) -> &ServerLine {
        &self.own
    }

    /// The list in force.
    pub(crate) fn list(&self) -> &List {
        &self.lists.current
    }

    /// Up to where what is durable counts: a transaction that proposes a list does once that list is kept, too.
    pub(super) fn acknowledged(&self, durable: Zxid) -> Zxid {
        self.unkept.map_or(durable, |proposal| durable.min(proposal - 1))
    }

    fn set_next(&mut self, list: Option<&Arc<List>>, proposal: Option<Zxid>) {
        let next = list.filter(|list| list.version() > self.lists.current.version());
        match (next, &self.lists.next) {
            (None, None) => return,
            (Some(next), Some(known)) if next.version() == known.version() => return,
            (Some(next), _) => self.keep(Keep::Next(Arc::clone(next), proposal)),
            (None, Some(_)) => self.keep(Keep::DropNext),
        }
        self.lists.next = next.cloned();
        self.tell_lists();
    }

    fn keep(&mut self, keep: Keep) {
        if self.settings.files.is_none() {
            return;
        }
        if let Keep::Next(_, Some(proposal)) = &keep {
            self.unkept = Some(*proposal);
        }
        self.to_keep.push(keep);
    }

    /// Election and links go by the lists as they are now.
    fn tell_lists(&mut self) {
        self.election.set_electorate(self.peer_type == PeerType::Observer, self.lists.electorate());
        self.links.set_members(self.lists.servers());
    }

    /// Whether the list changes who this server's leader is, or where.
    fn changes_leader(&self, before: &List, list: &List, designated: Option<ServerId>) -> bool {
        let leader = match &self.phase {
            Phase::Leading(_) => self.settings.id,
            Phase::Following(following) => following.leader(),
            Phase::Settling { .. } | Phase::Looking { .. } => return false,
        };
        let address = |list: &List| {
            let line = list.line(leader).filter(|line| line.peer_type == PeerType::Participant);
            line.map(|line| line.quorum.clone())
        };
        match designated {
            Some(designated) => designated != leader,
            None => address(list).is_none() || address(before) != address(list),
        }
    }
}

impl Server {
    /// The list that a client asks for, as the transaction `zxid`.
    pub(crate) fn plan_reconfig(&mut self, request: &ReconfigRequest, zxid: Zxid) -> Result<Arc<List>, ErrorCode> {
        let Some(member) = self.role.member() else { return Err(ErrorCode::Unimplemented) };
        let Some(leading) = member.as_leader() else { return Err(ErrorCode::Unimplemented) };
        if member.lists.next.is_some() {
            return Err(ErrorCode::ReconfigInProgress);
        }
        let (current, settings) = (&member.lists.current.ensemble, &member.settings);
        if request.current_config_id != -1 && request.current_config_id != current.version {
            return Err(ErrorCode::BadVersion);
        }
        let planned = match &request.new_members {
            Some(members) => Ensemble::from_members(members, settings.standalone_enabled, settings.multiple_addresses),
            None => {
                let changes = [&request.joining_servers, &request.leaving_servers];
                let [joining, leaving] = changes.map(|list| list.as_deref().unwrap_or_default());
                current.with_changes(joining, leaving, settings.multiple_addresses)
            }
        };
        let voters_min = if settings.standalone_enabled { 2 } else { 1 };
        let planned = planned.and_then(|planned| match planned.voters().count() {
            voters if voters < voters_min => Err(ReconfigError::BadArguments(format!(
                "Reconfig failed - new configuration must include at least {voters_min} followers"
            ))),
            _ => Ok(List::new(Ensemble { version: zxid, ..planned })),
        });
        let planned = planned.map_err(|error| {
            let code = match error {
                ReconfigError::BadArguments(_) => ErrorCode::BadArguments,
                ReconfigError::Unreadable(_) => ErrorCode::MarshallingError,
            };
            (error.to_string(), code)
        });
        let synced = planned.and_then(|list| match leading.is_synced(&list.quorum) {
            true => Ok(list),
            false => {
                let text = "Reconfig failed - there must be a connected and synced quorum in new configuration";
                Err((text.to_owned(), ErrorCode::NewConfigNoQuorum))
            }
        });
        synced.map_err(|(text, code)| {
            self.log.warn(Logger::Prep, text);
            code
        })
    }

    /// The next transaction, `zxid`, proposes a list.
    pub(crate) fn propose_list(&mut self, list: &Arc<List>, zxid: Zxid) {
        let Some(member) = self.role.member_mut() else { return };
        let proposed = list.proposed(member.own());
        member.set_next(Some(list), Some(zxid));
        if let Some(leading) = member.leading() {
            leading.propose_list(zxid, proposed);
        }
    }

    /// The first list of all gets its version with the first epoch (ZOOKEEPER-1783), so that it counts for more than the
    /// lists of servers that were never in an ensemble.
    pub(super) fn number_first_list(&mut self, epoch: i64) {
        let is_enabled = self.config.reconfig;
        let Some(member) = self.role.member_mut() else { return };
        let is_first = member.lists.current.version() == 0 && member.lists.next.is_none();
        if !is_enabled || !is_first {
            return;
        }
        let list = List::new(Ensemble { version: epoch_start(epoch), ..member.lists.current.ensemble.clone() });
        let proposed = list.proposed(member.own());
        member.set_next(Some(&list), None);
        if let Some(leading) = member.leading() {
            leading.propose_list(0, proposed);
        }
    }

    /// The leader's list, as it came with its epoch or with a proposal; `None` if this server goes by its own alone, or can't
    /// read it.
    pub(super) fn learn_list(&mut self, text: &[u8], proposal: Option<Zxid>) -> Option<Arc<List>> {
        let is_enabled = self.config.reconfig && !text.is_empty();
        let member = self.role.member_mut().filter(|_| is_enabled)?;
        match List::read(text, &member.settings) {
            Ok(list) => {
                member.set_next(Some(&list), proposal);
                Some(list)
            }
            Err(error) => {
                self.log.error(Logger::Member, format!("The leader's list of servers can't be read: {error}"));
                None
            }
        }
    }

    /// The list that this transaction proposed is in force, and `leader` leads: whether this server has another part or
    /// another leader now.
    pub(super) fn activate_proposed(&mut self, zxid: Zxid, leader: ServerId, effects: &mut Effects) -> bool {
        let next = self.role.member().and_then(|member| member.lists.next.clone());
        match next.filter(|next| next.version() == zxid) {
            Some(list) => self.activate(&list, Some(leader), effects),
            // Known already, or reconfiguration is off here.
            None => false,
        }
    }

    /// The leader's own turn: the list that it has proposed is in force.
    pub(super) fn activate_next(&mut self, leader: ServerId, effects: &mut Effects) {
        if let Some(list) = self.role.member().and_then(|member| member.lists.next.clone()) {
            self.activate(&list, Some(leader), effects);
        }
        if let Some(member) = self.role.member_mut()
            && leader != member.settings.id
        {
            member.designated = Some(leader);
        }
    }

    /// A voter that looks for a leader knows a later list, which is in force.
    pub(super) fn take_newer_list(&mut self, from: ServerId, text: &[u8], now: Now, effects: &mut Effects) {
        let Some(member) = self.role.member() else { return };
        match List::read(text, &member.settings) {
            Ok(list) => {
                self.activate(&list, None, effects);
                self.look(now, effects);
            }
            Err(error) => {
                let text = format!("Something went wrong while processing config received from {from}: {error}");
                self.log.error(Logger::Election, text);
            }
        }
    }

    /// A list is in force; whether this server has another part or another leader now.
    pub(super) fn activate(&mut self, list: &Arc<List>, leader: Option<ServerId>, effects: &mut Effects) -> bool {
        let Some(member) = self.role.member_mut() else { return false };
        if list.version() <= member.lists.current.version() {
            return false;
        }
        let before = std::mem::replace(&mut member.lists.current, Arc::clone(list));
        if member.lists.next.as_ref().is_some_and(|next| next.version() <= list.version()) {
            member.lists.next = None;
        }
        member.keep(Keep::Current(Arc::clone(list)));
        let line = list.line(member.settings.id).cloned();
        let part = line.as_ref().map_or(PeerType::Participant, |line| line.peer_type);
        let has_new_part = std::mem::replace(&mut member.peer_type, part) != part;
        let has_new_leader = member.changes_leader(&before, list, leader);
        member.tell_lists();
        if list.ensemble.is_same_but_for_version(&before.ensemble) {
            return false;
        }
        self.log.info(Logger::Member, format!("The list of servers of version {:x} is in force", list.version()));
        if has_new_part {
            let what = match (part, line.is_some()) {
                (PeerType::Observer, _) => "an observer",
                (PeerType::Participant, true) => "a voting participant",
                (PeerType::Participant, false) => "a non-voting participant",
            };
            self.log.info(Logger::Member, format!("Becoming {what}"));
        }
        if let Some(leader) = leader.filter(|_| has_new_leader) {
            self.log.warn(Logger::Member, format!("Suggested leader: {leader}"));
        }
        if let Some(line) = line {
            self.move_ports(line, effects);
        }
        has_new_part || has_new_leader
    }

    /// Listens where the server's own line says.
    fn move_ports(&mut self, line: ServerLine, effects: &mut Effects) {
        let Some(member) = self.role.member_mut() else { return };
        let before = std::mem::replace(&mut member.own, line);
        let line = &member.own;
        for (port, old, new) in
            [(PeerPort::Quorum, &before.quorum, &line.quorum), (PeerPort::Election, &before.election, &line.election)]
        {
            if old != new {
                effects.push(Effect::ServePeers { port, addresses: new.clone() });
            }
        }
        if before.election != line.election {
            member.links.set_addresses(line.election.iter().map(HostPort::to_string).collect());
        }
        if let Some(client) = line.client.clone()
            && member.client.replace(client.clone()).as_ref() != Some(&client)
        {
            self.config.client_port = client.port.into();
            effects.push(Effect::ServeClients(client));
        }
    }

    /// Hands what is to be kept to the disk.
    pub(super) fn keep_lists(&mut self, effects: &mut Effects) {
        let Some(member) = self.role.member_mut() else { return };
        let Some(files) = &member.settings.files else { return };
        for keep in std::mem::take(&mut member.to_keep) {
            member.keeping += 1;
            let (disk, files, id) = (self.disk.clone(), files.clone(), member.settings.id);
            effects.push(Effect::Disk(DiskTask::new(Lane::Background, move |slow| {
                let result = store(&keep, &files, id, &*disk, slow);
                let proposal = if let Keep::Next(_, proposal) = keep { proposal } else { None };
                Outcome::List(ListKept { proposal, result })
            })));
        }
    }

    /// A list is kept. If it can't be, the ensemble goes on with it, as the original's does: after a crash this server has to
    /// learn it again.
    pub(crate) fn list_kept(&mut self, kept: ListKept) {
        if let Err(error) = kept.result {
            let text = format!("The list of servers can't be written, and a restart begins with an old one: {error}");
            self.log.error(Logger::Member, text);
        }
        let Some(member) = self.role.member_mut() else { return };
        member.keeping -= 1;
        if kept.proposal.is_some() && member.unkept == kept.proposal {
            member.unkept = None;
            self.member_logged(self.pipeline.durable);
        }
    }
}

/// Writes a list where the original would.
fn store(keep: &Keep, files: &ListFiles, id: ServerId, disk: &dyn Disk, slow: &Slow) -> Result<(), String> {
    let write =
        |path: &str, text: &[u8]| disk.replace(Path::new(path), text, slow).map_err(|error| format!("{path}: {error}"));
    let next = files.next();
    let drop_next = || {
        let path = Path::new(&next);
        let removed = match disk.metadata(path) {
            Ok(None) => Ok(()),
            _ => disk
                .remove_file(path, slow)
                .and_then(|()| path.parent().map_or(Ok(()), |folder| disk.sync_dir(folder, slow))),
        };
        removed.map_err(|error| format!("{next}: {error}"))
    };
    match keep {
        Keep::Next(list, _) => write(&next, list.ensemble.file_text(true).as_bytes()),
        Keep::DropNext => drop_next(),
        Keep::Current(list) => {
            let (path, dynamic) = (&files.path, files.dynamic(list.version()));
            write(&dynamic, list.ensemble.file_text(false).as_bytes())?;
            let text = disk.read(Path::new(path), FILE_BYTES_MAX).map_err(|error| format!("{path}: {error}"))?;
            let drops_client_port = list.line(id).is_some_and(|line| line.client.is_some());
            let text = static_file(&text, &dynamic, drops_client_port).map_err(|error| format!("{path}: {error}"))?;
            write(path, &text)?;
            drop_next()
        }
    }
}
