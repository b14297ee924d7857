//! A member of an ensemble (upstream `QuorumPeer`): looks for a leader, then leads or follows, and looks again when that
//! ends. Votes and Zab are `zk-zab`'s; here they meet the connections, the log and the tree.
//!
//! | to find | see |
//! |---|---|
//! | the life of a member, its links and votes | here |
//! | the leader's part | [`leading`] |
//! | the follower's and the observer's part | [`following`] |
//! | lists of servers, and how they change | [`lists`], [`reconfig`] |
//! | the follower that feeds observers, and how they find it | [`relaying`] |
//! | the log and the tree made to match the leader's | [`matching`] |
//! | packets and bytes | [`wire`], [`stream`] |
//!
//! Outgoing bytes are gathered by link and leave at the end of the turn, as clients' do.

mod election;
mod following;
mod leading;
mod lists;
mod matching;
mod read_only;
mod reconfig;
mod relaying;
mod stream;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use base::{Disk, Monotonic, Now};
use bytes::BytesMut;
use config::zookeeper::{HostPort, MemberSettings, PeerType, Server as ServerLine};
use zk_store::{Epoch, StoreError};
use zk_zab::{Election, Epochs, History, LinkId, Links, PeerState, ServerId, Vote, Zxid, epoch_of};

use crate::event::Outcome;
use crate::log::Logger;
use crate::server::State;
use crate::{
    DiskTask, Effect, Effects, Lane, LinkEffect, LinkEvent, PeerPort, Server, ServerConfig, StartError, StopReason,
};
pub(crate) use following::Asker;
use following::Following;
use leading::Leading;
pub(crate) use leading::LogRead;
pub(crate) use lists::List;
use lists::Lists;
pub(crate) use matching::Matched;
use reconfig::Keep;
pub(crate) use reconfig::ListKept;
use relaying::Masters;

/// Names of the links to leaders: above those of the election's.
const LEADER_LINKS: u64 = 1 << 63 | 1 << 62;
/// Room for what goes to another server in a turn.
const USUAL_PACKETS_LEN: usize = 1024;
/// What a learner may say before this server knows that it leads.
const EARLY_BYTES_MAX: usize = 4096;
/// How many of them there may be; the oldest makes room.
const EARLY_MAX: usize = 64;

/// One of several servers.
pub(crate) struct Member {
    settings: MemberSettings,
    lists: Lists,
    /// This server's line by which it listens.
    own: ServerLine,
    /// Where it serves clients.
    client: Option<HostPort>,
    /// Its part.
    peer_type: PeerType,
    /// What is to be done to the files of the lists, and how much of that is under way.
    to_keep: Vec<Keep>,
    keeping: usize,
    /// The proposal of a list that is not kept yet.
    unkept: Option<Zxid>,
    /// Who leads next, by the list in force.
    designated: Option<ServerId>,
    election: Election,
    links: Links,
    ports: BTreeMap<LinkId, PeerPort>,
    /// Where links that others have made come from.
    peers: BTreeMap<LinkId, SocketAddr>,
    /// Learners that know of this server's election before it does: what they have said so far.
    early: BTreeMap<LinkId, BytesMut>,
    dialled: u64,
    /// What leaves at the end of the turn.
    out: BTreeMap<LinkId, BytesMut>,
    epochs: Epochs,
    committed: Zxid,
    /// The log can't be cut back as a leader wanted: the next one is asked for its tree.
    needs_tree: bool,
    /// It found no data where there should be some: what it has decides nothing until a leader has given it a tree.
    is_blank: bool,
    phase: Phase,
    /// When it serves reads, if it has no leader by then.
    read_only_at: Option<Monotonic>,
    /// Whom an observer tries for its history.
    masters: Masters,
    /// An observer that was left does not look for a leader before.
    look_at: Option<Monotonic>,
}

/// The zxid of a server that finds no data where there should be some.
const NO_HISTORY: Zxid = -1;

/// How far its life has come.
enum Phase {
    /// What is in the log is being made durable, then applied: it counts in the election.
    Settling {
        history: History,
    },
    Looking {
        history: History,
    },
    Leading(Box<Leading>),
    Following(Box<Following>),
}

/// The disk's answer to an epoch that was to be stored.
#[derive(Debug)]
pub(crate) struct EpochStored {
    which: Epoch,
    epoch: i64,
    result: Result<(), StoreError>,
}

impl Member {
    /// A member that has recovered its tree up to `last_zxid`, and is about to look for a leader.
    pub(crate) fn open(
        settings: &MemberSettings,
        config: &ServerConfig,
        disk: &dyn Disk,
        snap_dir: &Path,
        last_zxid: Zxid,
    ) -> Result<Self, StartError> {
        let epochs = epochs(disk, snap_dir, last_zxid)?;
        let lists = Lists::new(&settings.ensemble, settings.next.as_ref());
        let own = lists.current.line(settings.id).expect("a member is in its list: its settings say so").clone();
        let (election, links) = election::machines(settings, config, &lists, &own);
        Ok(Self {
            settings: settings.clone(),
            lists,
            own,
            client: settings.client.clone(),
            peer_type: settings.peer_type,
            to_keep: Vec::new(),
            keeping: 0,
            unkept: None,
            designated: None,
            election,
            links,
            ports: BTreeMap::new(),
            peers: BTreeMap::new(),
            early: BTreeMap::new(),
            dialled: 0,
            out: BTreeMap::new(),
            epochs,
            committed: last_zxid,
            needs_tree: false,
            is_blank: false,
            phase: Phase::Settling { history: History::starting_behind(last_zxid) },
            read_only_at: None,
            masters: Masters::default(),
            look_at: None,
        })
    }

    /// Nothing was found where data should be (`db.autocreate`).
    pub(crate) const fn has_no_history(&mut self) {
        self.is_blank = true;
    }

    /// Whether clients are to be taken, by the part that this server has.
    pub(crate) const fn takes_clients(&self) -> bool {
        self.settings.leader_serves || !self.leads()
    }

    /// Up to here transactions may be applied.
    pub(crate) const fn committed(&self) -> Zxid {
        self.committed
    }

    pub(crate) const fn leads(&self) -> bool {
        matches!(self.phase, Phase::Leading(_))
    }

    /// As `srvr` tells it.
    pub(crate) const fn mode(&self) -> &'static str {
        match (&self.phase, self.peer_type) {
            (Phase::Leading(_), _) => "leader",
            (Phase::Following(_), PeerType::Participant) => "follower",
            (Phase::Following(_), PeerType::Observer) => "observer",
            (Phase::Settling { .. } | Phase::Looking { .. }, _) => "leaderelection",
        }
    }

    pub(crate) const fn settings(&self) -> &MemberSettings {
        &self.settings
    }

    pub(crate) const fn peer_type(&self) -> PeerType {
        self.peer_type
    }

    /// Its state as `mntr` tells it.
    pub(crate) const fn state(&self) -> &'static str {
        match (&self.phase, self.peer_type) {
            (Phase::Leading(_), _) => "leading",
            (Phase::Following(_), PeerType::Participant) => "following",
            (Phase::Following(_), PeerType::Observer) => "observing",
            (Phase::Settling { .. } | Phase::Looking { .. }, _) => "looking",
        }
    }

    /// The leader's part, for figures.
    pub(crate) fn as_leader(&self) -> Option<&Leading> {
        match &self.phase {
            Phase::Leading(leading) => Some(leading),
            Phase::Settling { .. } | Phase::Looking { .. } | Phase::Following(_) => None,
        }
    }

    /// Whether its files hold its lists.
    fn is_kept(&self) -> bool {
        self.to_keep.is_empty() && self.keeping == 0
    }

    /// What `mntr` tells of an observer, and of a follower that feeds some.
    pub(crate) fn observer_figures(&self) -> Option<(&'static str, String)> {
        let Phase::Following(following) = &self.phase else { return None };
        match self.peer_type {
            PeerType::Observer => Some(("observer_master_id", following.source().to_string())),
            PeerType::Participant => following.synced_observers().map(|count| ("synced_observers", count.to_string())),
        }
    }

    fn leading(&mut self) -> Option<&mut Leading> {
        match &mut self.phase {
            Phase::Leading(leading) => Some(leading),
            _ => None,
        }
    }

    fn following(&mut self) -> Option<&mut Following> {
        match &mut self.phase {
            Phase::Following(following) => Some(following),
            _ => None,
        }
    }

    fn deadline(&self) -> Option<Monotonic> {
        let of_phase = match &self.phase {
            Phase::Settling { .. } | Phase::Looking { .. } => None,
            Phase::Leading(leading) => leading.deadline(),
            Phase::Following(following) => following.deadline(),
        };
        [of_phase, self.election.deadline(), self.links.deadline(), self.read_only_at, self.look_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// The tree and the log were replaced by what ends with `last_zxid`.
    fn replaced(&mut self, last_zxid: Zxid) {
        self.committed = last_zxid;
        (self.needs_tree, self.is_blank) = (false, false);
        if let Phase::Settling { history } | Phase::Looking { history } = &mut self.phase {
            *history = History::starting_behind(last_zxid);
        }
    }

    /// Where a link comes from, as Java prints it; nothing of links that this server has made.
    fn peer(&self, link: LinkId) -> String {
        self.peers.get(&link).map_or_else(String::new, |peer| format!("/{peer}"))
    }

    /// Puts bytes behind all others of a link.
    fn send(&mut self, link: LinkId, bytes: &[u8]) {
        self.out(link).extend_from_slice(bytes);
    }

    /// What leaves on a link at the end of the turn.
    fn out(&mut self, link: LinkId) -> &mut BytesMut {
        self.out.entry(link).or_insert_with(|| BytesMut::with_capacity(USUAL_PACKETS_LEN))
    }
}

/// The two epochs from their files, which are checked against the log (`QuorumPeer.loadDataBase`).
///
/// A log may be ahead of the current epoch: a crash in the middle of taking a leader's history over leaves that. The server
/// has promised the epoch then, and has not entered it: it goes on in the earlier one, with what it has. The original, which
/// keeps in memory what it is given up to that point, refuses to start.
fn epochs(disk: &dyn Disk, snap_dir: &Path, last_zxid: Zxid) -> Result<Epochs, StartError> {
    let of_log = epoch_of(last_zxid);
    let promised = Epoch::Accepted.read(disk, snap_dir, false)?;
    let mut current = Epoch::Current.read(disk, snap_dir, false)?.unwrap_or(of_log);
    if of_log > current {
        // A crash after the history was taken over and before the file had its name.
        let pending = Epoch::Current.read(disk, snap_dir, true)?;
        if pending == Some(of_log) {
            current = of_log;
        } else if promised.is_none_or(|promised| promised < of_log) {
            return Err(StartError::CurrentEpoch { epoch: current, last_zxid });
        }
    }
    let accepted = promised.unwrap_or(of_log.max(current));
    if accepted < current {
        return Err(StartError::AcceptedEpoch { accepted, current });
    }
    Ok(Epochs::new(accepted, current))
}

impl Server {
    /// Something happened to a link.
    pub(crate) fn link_event(&mut self, event: LinkEvent, now: Now, effects: &mut Effects) {
        let Some(member) = self.role.member_mut() else { return };
        let (link, port) = match &event {
            LinkEvent::Accepted { link, port, peer } => {
                member.ports.insert(*link, *port);
                member.peers.insert(*link, *peer);
                (*link, Some(*port))
            }
            LinkEvent::Closed { link, .. } => (*link, member.ports.remove(link)),
            LinkEvent::Connected { link } | LinkEvent::Received { link, .. } | LinkEvent::Congested { link, .. } => {
                (*link, member.ports.get(link).copied())
            }
        };
        let is_over = matches!(event, LinkEvent::Closed { .. });
        match port {
            Some(PeerPort::Election) => self.election_link(link, event, now, effects),
            Some(PeerPort::Quorum) => self.quorum_link(link, event, now, effects),
            Some(PeerPort::Observers) => self.observer_link(link, event, now, effects),
            None => {}
        }
        if let Some(member) = self.role.member_mut().filter(|_| is_over) {
            member.peers.remove(&link);
        }
    }

    fn quorum_link(&mut self, link: LinkId, event: LinkEvent, now: Now, effects: &mut Effects) {
        let Some(member) = self.role.member_mut() else { return };
        if member.following().is_some_and(|following| following.is_link(link)) {
            return self.leader_link(event, now, effects);
        }
        match (&mut member.phase, event) {
            (Phase::Leading(_), LinkEvent::Closed { reason, .. }) => self.lose_learner(link, &reason, effects),
            (Phase::Leading(_), event) => {
                if matches!(event, LinkEvent::Accepted { .. }) {
                    self.make_room_for_learner(effects);
                }
                if let Some(leading) = self.role.member_mut().and_then(Member::leading) {
                    leading.learner_link(link, event, now.monotonic);
                }
                self.hear_learners(link, now, effects);
            }
            (Phase::Settling { .. } | Phase::Looking { .. }, event) => match event {
                LinkEvent::Accepted { .. } => {
                    let oldest = member.early.keys().next().copied().filter(|_| member.early.len() >= EARLY_MAX);
                    member.early.insert(link, BytesMut::new());
                    if let Some(oldest) = oldest {
                        self.close_link(oldest, effects);
                    }
                }
                LinkEvent::Received { bytes, .. } => {
                    let Some(said) = member.early.get_mut(&link) else { return };
                    said.extend_from_slice(&bytes);
                    if said.len() > EARLY_BYTES_MAX {
                        self.close_link(link, effects);
                    }
                }
                LinkEvent::Closed { .. } => {
                    member.early.remove(&link);
                }
                LinkEvent::Connected { .. } | LinkEvent::Congested { .. } => {}
            },
            (Phase::Following(_), LinkEvent::Closed { .. }) => {}
            (Phase::Following(_), _) => self.close_link(link, effects),
        }
    }

    /// Forgets a link and asks the host to close it.
    fn close_link(&mut self, link: LinkId, effects: &mut Effects) {
        let Some(member) = self.role.member_mut() else { return };
        member.early.remove(&link);
        member.peers.remove(&link);
        if member.ports.remove(&link).is_some() {
            if let Some(bytes) = member.out.remove(&link).filter(|bytes| !bytes.is_empty()) {
                effects.push(Effect::Link(LinkEffect::Send { link, bytes: bytes.freeze() }));
            }
            effects.push(Effect::Link(LinkEffect::Close(link)));
        }
    }

    /// What a member does by the clock.
    pub(crate) fn member_tick(&mut self, now: Now, effects: &mut Effects) {
        if self.role.member().is_none() {
            return;
        }
        if let Some(member) = self.role.member_mut() {
            member.look_at.take_if(|at| *at <= now.monotonic);
        }
        self.election_tick(now, effects);
        self.read_only_tick(now);
        self.leading_tick(now);
        self.following_tick(now, effects);
    }

    pub(crate) fn member_deadline(&self) -> Option<Monotonic> {
        self.role.member().and_then(Member::deadline)
    }

    /// Part of a turn's end: what Zab wants done.
    pub(crate) fn member_turn(&mut self, now: Now, effects: &mut Effects) {
        if self.role.member().is_some() {
            self.settle_log(now, effects);
            self.carry_out_leading(now, effects);
            self.carry_out_following(now, effects);
            self.pause_leader(now, effects);
        }
    }

    /// What goes to other servers leaves.
    pub(crate) fn flush_links(&mut self, now: Now, effects: &mut Effects) {
        self.keep_lists(effects);
        self.send_snapshots(now);
        self.carry_out_leading(now, effects);
        if let Some(member) = self.role.member_mut() {
            for (link, bytes) in std::mem::take(&mut member.out) {
                if !bytes.is_empty() {
                    effects.push(Effect::Link(LinkEffect::Send { link, bytes: bytes.freeze() }));
                }
            }
        }
    }

    /// Ends what this server was, and looks for a leader once its log is durable and applied.
    fn look_again(&mut self, reason: &str, now: Now, effects: &mut Effects) {
        self.log.warn(Logger::Member, format!("Shutdown: {reason}"));
        self.leave_service(effects);
        let looking = Phase::Looking { history: History::default() };
        self.stop_snapshots(effects);
        let Some(member) = self.role.member_mut() else { return };
        let delay_ms = member.settings.observer_election_delay_ms;
        if matches!(member.phase, Phase::Following(_)) && member.peer_type == PeerType::Observer && delay_ms > 0 {
            member.look_at = Some(now.monotonic.plus_ms(self.random.below(delay_ms)));
        }
        if let Some(writer) = member.following().and_then(Following::give_up_tree) {
            self.abandon_snapshot(writer, effects);
        }
        let Some(member) = self.role.member_mut() else { return };
        let (history, links, walks) = match std::mem::replace(&mut member.phase, looking) {
            Phase::Leading(leading) => leading.end(),
            Phase::Following(following) => {
                if following.synced_observers().is_some() {
                    effects.push(Effect::ServePeers { port: PeerPort::Observers, addresses: Vec::new() });
                }
                following.end()
            }
            Phase::Settling { history } | Phase::Looking { history } => (history, Vec::new(), Vec::new()),
        };
        member.phase = Phase::Settling { history };
        member.election.role_ended(now.monotonic);
        for link in links {
            self.close_link(link, effects);
        }
        for walk in walks {
            walk.abandon(&mut self.tree);
        }
        self.settle_log(now, effects);
    }

    /// Serves no client any more: all are told so by the end of their connections.
    fn leave_service(&mut self, effects: &mut Effects) {
        if self.state == State::Running {
            self.state = State::Looking;
        }
        for id in self.connections.ids() {
            self.close(id, effects);
        }
        for proposal in &mut self.pipeline.proposals {
            proposal.origin = None;
        }
        // Who does not lead lets no session expire: that is a transaction of the leader's.
        self.sessions.clear();
        self.pipeline.prep.clear();
        self.pipeline.syncs.clear();
        (self.in_process, self.large_bytes) = (0, 0);
    }

    /// Applies what is in the log and durable, though nobody committed it: the next leader knows whether it counts. Then
    /// the search for that leader begins.
    fn settle_log(&mut self, now: Now, effects: &mut Effects) {
        let Some(member) = self.role.member_mut() else { return };
        let may_look = member.look_at.is_none_or(|at| at <= now.monotonic);
        let is_settled = may_look
            && self.journal.is_idle()
            && !self.matching
            && member.epochs.is_settled()
            && member.is_kept()
            && self.state == State::Looking;
        if !matches!(member.phase, Phase::Settling { .. }) || !is_settled {
            return;
        }
        member.look_at = None;
        member.committed = self.pipeline.last_zxid().max(member.committed);
        self.commit(now, effects);
        let Some(member) = self.role.member_mut() else { return };
        let idle = Phase::Looking { history: History::default() };
        if let Phase::Settling { mut history } = std::mem::replace(&mut member.phase, idle) {
            // A proposal that could not be read was the last one of its leader. It is in no log.
            if history.last_zxid() > self.pipeline.last_zxid() {
                history.truncate(self.pipeline.last_zxid());
            }
            member.phase = Phase::Looking { history };
        }
        if let Some(leader) = member.designated.take() {
            return self.appoint(leader, now, effects);
        }
        member.await_read_only(&self.config, now.monotonic);
        self.log.info(Logger::Member, "LOOKING");
        self.look(now, effects);
    }

    /// A round of the election begins.
    fn look(&mut self, now: Now, effects: &mut Effects) {
        let Some(member) = self.role.member() else { return };
        let epoch = member.epochs.current();
        let last_zxid = if member.is_blank { NO_HISTORY } else { self.tree.last_zxid() };
        self.vote(now, effects, |election, out| election.look(now.monotonic, last_zxid, epoch, out));
    }

    /// The list of servers came with its leader: nobody need be elected.
    fn appoint(&mut self, leader: ServerId, now: Now, effects: &mut Effects) {
        let zxid = self.tree.last_zxid();
        let Some(member) = self.role.member_mut() else { return };
        let state = match member.peer_type {
            _ if leader == member.settings.id => PeerState::Leading,
            PeerType::Observer => PeerState::Observing,
            PeerType::Participant => PeerState::Following,
        };
        // Such a vote has no epoch until there is a new one.
        member.election.settled(state, Vote { leader, zxid, peer_epoch: -1 });
        self.elected(leader, state, now, effects);
    }

    /// The election is over.
    fn elected(&mut self, leader: ServerId, state: PeerState, now: Now, effects: &mut Effects) {
        self.end_read_only(effects);
        let last_zxid = self.tree.last_zxid();
        let Some(member) = self.role.member_mut() else { return };
        let idle = Phase::Looking { history: History::default() };
        let history = match std::mem::replace(&mut member.phase, idle) {
            Phase::Looking { history } => history,
            other => {
                member.phase = other;
                return;
            }
        };
        debug_assert!(history.last_zxid() <= last_zxid, "what is in the history is applied");
        if state == PeerState::Leading {
            self.log.info(Logger::Member, "LEADING");
            self.begin_leading(history, now, effects);
        } else {
            let name = if state == PeerState::Observing { "OBSERVING" } else { "FOLLOWING" };
            self.log.info(Logger::Member, name);
            self.begin_following(leader, history, now, effects);
        }
    }

    /// Takes clients from now on.
    fn enter_service(&mut self, epoch: i64, now: Now) {
        if let Some(member) = self.role.member() {
            self.tree.set_config(&member.lists.current.text, member.lists.current.version(), now.wall_ms);
        }
        if self.state == State::Looking {
            self.state = State::Running;
        }
        if self.role.orders() {
            self.begin_sessions(now);
        }
        if let Some(member) = self.role.member_mut() {
            member.election.update_vote(epoch);
        }
    }

    /// Watches over the sessions of the tree from now on.
    fn begin_sessions(&mut self, now: Now) {
        let mut sessions = crate::start::sessions(&self.tree, &self.config, now);
        sessions.go_on_from(&self.sessions);
        self.sessions = sessions;
    }

    /// Writes an epoch's file; the answer comes as [`Outcome::Epoch`].
    fn store_epoch(&mut self, which: Epoch, epoch: i64, effects: &mut Effects) {
        if let Some(member) = self.role.member_mut() {
            member.epochs.write();
        }
        let (disk, dir) = (self.disk.clone(), self.dirs.snap_dir().to_owned());
        effects.push(Effect::Disk(DiskTask::new(Lane::Background, move |slow| {
            let result = which.write(&*disk, &dir, epoch, slow);
            Outcome::Epoch(EpochStored { which, epoch, result })
        })));
    }

    /// An epoch's file is written.
    pub(crate) fn epoch_stored(&mut self, stored: EpochStored, now: Now, effects: &mut Effects) {
        if let Err(error) = stored.result {
            let reason = error.to_string();
            self.log.error(Logger::Member, format!("Severe unrecoverable error, exiting\n{reason}"));
            return self.stop(StopReason::LogFailed(reason), effects);
        }
        let Some(member) = self.role.member_mut() else { return };
        match stored.which {
            Epoch::Accepted => member.epochs.accepted_written(stored.epoch),
            Epoch::Current => member.epochs.current_written(stored.epoch),
        }
        match &mut member.phase {
            Phase::Leading(leading) => leading.epoch_stored(stored.which, stored.epoch, now.monotonic),
            Phase::Following(following) => following.epoch_stored(stored.which, stored.epoch),
            Phase::Settling { .. } | Phase::Looking { .. } => {}
        }
    }

    /// The own log is durable up to `zxid`.
    pub(crate) fn member_logged(&mut self, zxid: Zxid) {
        let Some(member) = self.role.member_mut() else { return };
        let zxid = member.acknowledged(zxid);
        match &mut member.phase {
            Phase::Leading(leading) => leading.logged(zxid),
            Phase::Following(following) => following.logged(zxid),
            Phase::Settling { .. } | Phase::Looking { .. } => {}
        }
    }

    /// Ends all that other servers have of this one: it stops.
    pub(crate) fn leave_ensemble(&mut self, effects: &mut Effects) {
        let Some(member) = self.role.member_mut() else { return };
        let links: Vec<LinkId> = member.ports.keys().copied().collect();
        for link in links {
            self.close_link(link, effects);
        }
        for id in self.connections.ids() {
            self.close(id, effects);
        }
        self.pipeline.proposals.clear();
        self.pipeline.syncs.clear();
        (self.in_process, self.large_bytes) = (0, 0);
    }
}

/// The setting in milliseconds, none below zero.
fn milliseconds(setting: i64) -> u64 {
    u64::try_from(setting).unwrap_or(0)
}

/// `limit` ticks in milliseconds.
fn ticks(config: &ServerConfig, limit: i32) -> u64 {
    u64::from(config.tick_time_ms) * u64::try_from(limit).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use base::{MemDisk, Slow};
    use zk_zab::epoch_start;

    use super::*;

    /// What a start makes of the files `acceptedEpoch`, `currentEpoch` and `currentEpoch.tmp`, and a log of epoch 5.
    fn started(accepted: Option<i64>, current: Option<i64>, pending: Option<i64>) -> Result<(i64, i64), String> {
        let (disk, slow) = (MemDisk::new(), Slow::allowed());
        let files = [("/acceptedEpoch", accepted), ("/currentEpoch", current), ("/currentEpoch.tmp", pending)];
        for (path, epoch) in files {
            if let Some(epoch) = epoch {
                disk.replace(Path::new(path), epoch.to_string().as_bytes(), &slow).unwrap();
            }
        }
        let epochs = epochs(&disk, Path::new("/"), epoch_start(5) + 3).map_err(|error| error.to_string())?;
        Ok((epochs.accepted(), epochs.current()))
    }

    #[test]
    fn epochs_are_checked_against_the_log() {
        assert_eq!(started(None, None, None), Ok((5, 5)), "files of before there were epochs");
        assert_eq!(started(Some(6), Some(5), None), Ok((6, 5)));
        assert_eq!(started(Some(5), Some(4), Some(5)), Ok((5, 5)), "the epoch was entered but for the file's name");
        assert_eq!(started(Some(5), Some(4), None), Ok((5, 4)), "the epoch was being taken over");
        assert_eq!(started(Some(7), Some(4), Some(4)), Ok((7, 4)), "its history was, by the leader of a later one");
        let stale = Err("The current epoch, 4, is older than the last zxid, 21474836483".to_owned());
        assert_eq!(started(Some(4), Some(4), None), stale, "the files are another server's");
        assert_eq!(started(None, Some(4), None), stale);
        let stale = Err("The accepted epoch, 4 is less than the current epoch, 5".to_owned());
        assert_eq!(started(Some(4), Some(5), None), stale);
    }
}
