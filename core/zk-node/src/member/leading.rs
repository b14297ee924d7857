//! The leader's part (upstream `Leader`, `LearnerHandler`, `LeaderZooKeeperServer`): requests of all servers become
//! transactions here, and learners are brought up to date from memory, from the log, or by the whole tree.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base::{Monotonic, Now, Reader};
use bytes::{Bytes, BytesMut};
use config::zookeeper::MemberSettings;
use zk_proto::OpCode;
use zk_proto::peer::SessionTouch;
use zk_store::{Epoch, StoreError};
use zk_tree::prep::WriteBody;
use zk_zab::{
    DecidingLists, Entry, FromLeader, FromLearner, History, Leader, LeaderEffect, LeaderSettings, LearnerInfo, LinkId,
    LogChunk, ProposedList, Quorum, ServerId, Zxid, epoch_start,
};

use super::matching::{Folders, read_log};
use super::stream::PacketStream;
use super::wire::{self, Forwarded, LearnerSays};
use super::{EARLY_BYTES_MAX, Member, Phase, ticks};
use crate::event::Outcome;
use crate::log::Logger;
use crate::pipeline::Source;
use crate::read::decode_body;
use crate::snapshot::TreeWalk;
use crate::{DiskTask, Effect, Effects, Lane, LinkEvent, Server, ServerConfig};

/// Owners of sessions that live at learners: links, told apart from this server's connections.
const LEARNER_OWNER: u64 = 1 << 63;
/// Packets of a learner that wait for their end.
const PACKET_OVERHEAD: usize = 4096;
/// How many learners may be connected and not have said whose they are; the oldest makes room.
const UNNAMED_MAX: usize = 64;

/// A server that leads, or is about to.
pub(crate) struct Leading {
    zab: Leader,
    wanted: Vec<LeaderEffect>,
    learners: BTreeMap<LinkId, LearnerLink>,
    /// Clients' `sync` requests at learners whose answer waits, each for the proposal that was the last as it came.
    syncs: VecDeque<(Zxid, LinkId)>,
    began: Monotonic,
    sizes: ProposalSizes,
}

/// Lengths of transactions, in bytes; -1 before there is one (upstream `BufferStats`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProposalSizes {
    pub(crate) last: i64,
    pub(crate) least: i64,
    pub(crate) greatest: i64,
}

impl ProposalSizes {
    const NONE: Self = Self { last: -1, least: -1, greatest: -1 };

    fn add(&mut self, length: usize) {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        self.last = length;
        self.least = if self.least < 0 { length } else { self.least.min(length) };
        self.greatest = self.greatest.max(length);
    }
}

#[derive(Default)]
struct LearnerLink {
    stream: PacketStream,
    congested: bool,
    /// The tree on its way there.
    walk: Option<TreeWalk>,
}

/// What the own log holds for a learner.
#[derive(Debug)]
pub(crate) struct LogRead {
    link: LinkId,
    chunk: Result<LogChunk, StoreError>,
}

impl Leading {
    pub(super) const fn new(zab: Leader, wanted: Vec<LeaderEffect>, began: Monotonic) -> Self {
        Self { zab, wanted, learners: BTreeMap::new(), syncs: VecDeque::new(), began, sizes: ProposalSizes::NONE }
    }

    pub(super) fn deadline(&self) -> Option<Monotonic> {
        let sends_a_tree = self.learners.values().any(|learner| learner.walk.is_some() && !learner.congested);
        match sends_a_tree {
            true => Some(Monotonic::default()),
            false => self.zab.deadline(),
        }
    }

    pub(crate) const fn proposal_sizes(&self) -> ProposalSizes {
        self.sizes
    }

    /// Followers and observers that have taken the history over.
    pub(crate) fn synced_counts(&self) -> (usize, usize) {
        self.zab.synced_counts()
    }

    /// Followers and observers that are connected.
    pub(crate) fn learner_counts(&self) -> (usize, usize) {
        self.zab.learner_counts()
    }

    pub(crate) fn pending_syncs(&self) -> usize {
        self.syncs.len()
    }

    pub(crate) fn uptime_ms(&self, now: Now) -> u128 {
        now.monotonic.since(self.began).as_millis()
    }

    /// Something happened to a learner's link. Its packets are taken by [`Server::hear_learners`].
    pub(super) fn learner_link(&mut self, link: LinkId, event: LinkEvent, now: Monotonic) {
        match event {
            LinkEvent::Accepted { .. } => {
                self.learners.insert(link, LearnerLink::default());
                self.zab.opened(link, now);
            }
            LinkEvent::Received { bytes, .. } => {
                if let Some(learner) = self.learners.get_mut(&link) {
                    learner.stream.push(&bytes);
                }
            }
            LinkEvent::Congested { congested, .. } => {
                if let Some(learner) = self.learners.get_mut(&link) {
                    learner.congested = congested;
                    self.zab.congested(link, congested, &mut self.wanted);
                }
            }
            LinkEvent::Connected { .. } | LinkEvent::Closed { .. } => {}
        }
    }

    pub(super) fn epoch_stored(&mut self, which: Epoch, epoch: i64, now: Monotonic) {
        match which {
            Epoch::Accepted => self.zab.epoch_accepted(epoch, now, &mut self.wanted),
            Epoch::Current => self.zab.epoch_entered(epoch, now, &mut self.wanted),
        }
    }

    pub(super) fn logged(&mut self, zxid: Zxid) {
        self.zab.logged(zxid, &mut self.wanted);
    }

    /// Whether a quorum of this list follows.
    pub(super) fn is_synced(&self, list: &Quorum) -> bool {
        self.zab.is_synced(list)
    }

    pub(super) fn propose_list(&mut self, zxid: Zxid, list: ProposedList) {
        self.zab.propose_list(zxid, list);
    }

    /// A transaction is on its way to be logged.
    pub(super) fn propose(&mut self, entry: Entry) {
        self.sizes.add(entry.payload.len());
        self.zab.proposed(entry, &mut self.wanted);
    }

    /// For a follower that feeds observers: what puts a list of servers in force.
    pub(super) fn activates(&mut self, zxid: Zxid, leader: ServerId, list: Option<ProposedList>) {
        self.zab.activates(zxid, leader, list);
    }

    /// For a follower that feeds observers: the leader has committed up to here.
    pub(super) fn commit(&mut self, zxid: Zxid) {
        self.zab.committed(zxid, &mut self.wanted);
    }

    /// What it leaves: the history, its links, and trees that were on their way.
    pub(super) fn end(self) -> (History, Vec<LinkId>, Vec<TreeWalk>) {
        let links = self.learners.keys().copied().collect();
        let walks = self.learners.into_values().filter_map(|learner| learner.walk).collect();
        (self.zab.into_history(), links, walks)
    }
}

pub(super) fn settings(config: &ServerConfig, member: &MemberSettings) -> LeaderSettings {
    LeaderSettings {
        id: member.id,
        tick_ms: u64::from(config.tick_time_ms),
        init_limit_ms: ticks(config, member.init_limit),
        sync_limit_ms: ticks(config, member.sync_limit),
        history_len: usize::try_from(member.history_len).unwrap_or(0),
        force_snapshot: member.force_snapshot_sync,
        snapshot_syncs_max: usize::try_from(member.snapshot_syncs_max).unwrap_or(usize::MAX),
        epoch_wait_ms: u64::try_from(member.epoch_wait_ms_max).ok(),
    }
}

impl Server {
    pub(super) fn begin_leading(&mut self, history: History, now: Now, effects: &mut Effects) {
        let Some(member) = self.role.member_mut() else { return };
        let mut wanted = Vec::new();
        let (list, next) = (&member.lists.current, &member.lists.next);
        let next = next.as_ref().map(|next| next.proposed(&member.own));
        let lists = DecidingLists::new(Arc::clone(&list.quorum), list.text.clone(), next);
        let zab = Leader::new(
            settings(&self.config, &member.settings),
            lists,
            history,
            &member.epochs,
            now.monotonic,
            &mut wanted,
        );
        let mut leading = Leading::new(zab, wanted, now.monotonic);
        let early = std::mem::take(&mut member.early);
        for (link, said) in &early {
            let mut learner = LearnerLink::default();
            learner.stream.push(said);
            leading.learners.insert(*link, learner);
            leading.zab.opened(*link, now.monotonic);
        }
        member.phase = Phase::Leading(Box::new(leading));
        for link in early.into_keys() {
            self.hear_learners(link, now, effects);
        }
    }

    /// Takes what a learner has said.
    pub(super) fn hear_learners(&mut self, link: LinkId, now: Now, effects: &mut Effects) {
        let length_max = self.packet_length_max();
        loop {
            let Some(leading) = self.role.member_mut().and_then(Member::feeding) else { return };
            let Some(learner) = leading.learners.get_mut(&link) else { return };
            let awaited = leading.zab.awaited_of(link);
            // Nothing long comes from those who have not introduced themselves.
            let length_max = if awaited.is_some() { EARLY_BYTES_MAX } else { length_max };
            let said = match (learner.stream.next(length_max), awaited) {
                (Ok(None), _) => return,
                (Ok(Some(packet)), Some(reason)) if !wire::is_of_zab(&packet) => Err(reason.to_owned()),
                (Ok(Some(packet)), _) => wire::from_learner(packet),
                (Err(error), _) => Err(wire::unreadable(&error)),
            };
            match said {
                Ok(said) => self.learner_said(link, said, now),
                Err(nonsense) => return self.lose_learner(link, &nonsense, effects),
            }
        }
    }

    fn learner_said(&mut self, link: LinkId, said: LearnerSays, now: Now) {
        if !self.role.orders() {
            return self.observer_said(link, said, now);
        }
        match said {
            LearnerSays::Zab(packet) => {
                if let FromLearner::Info(info) = &packet {
                    self.meet(info);
                }
                self.tell_zab(link, packet, now);
            }
            LearnerSays::Touches(touches) => {
                for SessionTouch { session_id, timeout_ms } in touches {
                    self.sessions.touch(session_id, timeout_ms, now.monotonic);
                }
                self.tell_zab(link, FromLearner::Ping, now);
            }
            LearnerSays::Revalidate(SessionTouch { session_id, timeout_ms }) => {
                let valid = !self.sessions.is_local(session_id)
                    && self.sessions.touch(session_id, timeout_ms, now.monotonic)
                    && self.sessions.set_owner(session_id, LEARNER_OWNER | link.0).is_ok();
                self.tell_learner(link, wire::revalidated_bytes(session_id, valid));
            }
            LearnerSays::Request(request) => self.take_forwarded(link, &request, now),
        }
    }

    /// A learner says who it is.
    fn meet(&mut self, info: &LearnerInfo) {
        let Some(member) = self.role.member_mut() else { return };
        let (id, voted) = (info.id, member.election.voted_epoch(info.id));
        self.log.info(
            Logger::Handler,
            match member.lists.current.line(id) {
                Some(line) => format!("Follower sid: {id} : info : {line}"),
                None => format!("Follower sid: {id} not in the current config {:x}", member.list().version()),
            },
        );
        if let Some(leading) = member.leading() {
            leading.zab.voted(id, voted);
        }
    }

    pub(super) fn tell_zab(&mut self, link: LinkId, packet: FromLearner, now: Now) {
        if let Some(leading) = self.role.member_mut().and_then(Member::feeding) {
            leading.zab.packet(link, packet, now.monotonic, &mut leading.wanted);
        }
    }

    /// Sends a packet behind all commits so far.
    pub(super) fn tell_learner(&mut self, link: LinkId, bytes: Bytes) {
        if let Some(leading) = self.role.member_mut().and_then(Member::feeding) {
            leading.zab.send_behind(link, bytes, false, &mut leading.wanted);
        }
    }

    /// A client's request at a learner.
    fn take_forwarded(&mut self, link: LinkId, request: &Forwarded, now: Now) {
        if !self.is_serving() {
            return;
        }
        let header = request.header;
        let Some(op) = OpCode::from_code(header.op) else {
            let text = format!("Received a request of unknown type {} from a learner", header.op);
            return self.log.warn(Logger::Member, text);
        };
        if op == OpCode::Sync {
            let last_zxid = self.pipeline.last_zxid();
            let waits = !self.pipeline.is_empty();
            let Some(leading) = self.role.member_mut().and_then(Member::leading) else { return };
            if waits {
                leading.syncs.push_back((last_zxid, link));
            }
            return leading.zab.send_behind(link, wire::sync_bytes(), true, &mut leading.wanted);
        }
        let owner = LEARNER_OWNER | link.0;
        let source = Source { session: header.session_id, cxid: header.cxid, owner, ids: &request.ids };
        if op == OpCode::CreateSession {
            let timeout_ms = Reader::new(&request.body).i32().unwrap_or(0);
            return self.propose(source, WriteBody::CreateSession { timeout_ms }, None, now);
        }
        let decoded = decode_body(op, &request.body);
        let body = decoded.as_ref().map_or(WriteBody::Malformed, WriteBody::Request);
        self.propose(source, body, None, now);
    }

    /// Hands a new transaction to Zab.
    pub(crate) fn proposed(&mut self, zxid: Zxid, payload: &Bytes) {
        if let Some(leading) = self.role.member_mut().and_then(Member::leading) {
            leading.propose(Entry { zxid, payload: payload.clone() });
        }
    }

    pub(super) fn lose_learner(&mut self, link: LinkId, reason: &str, effects: &mut Effects) {
        let peer = self.role.member().map_or_else(String::new, |member| member.peer(link));
        self.log.warn(Logger::Handler, format!("******* GOODBYE {peer} ******** {reason}"));
        self.close_link(link, effects);
        self.forget_learner(link);
    }

    /// Another connection may be a learner's: those that stand unnamed for longest make room, if there are many.
    pub(super) fn make_room_for_learner(&mut self, effects: &mut Effects) {
        let Some(leading) = self.role.member_mut().and_then(Member::feeding) else { return };
        let unnamed = leading.zab.unnamed();
        if let Some(oldest) = unnamed.first().filter(|_| unnamed.len() >= UNNAMED_MAX) {
            self.lose_learner(*oldest, "too many connections of unknown servers", effects);
        }
    }

    /// A learner is gone.
    fn forget_learner(&mut self, link: LinkId) {
        let Some(leading) = self.role.member_mut().and_then(Member::feeding) else { return };
        leading.zab.closed(link);
        leading.syncs.retain(|(_, waiting)| *waiting != link);
        if let Some(walk) = leading.learners.remove(&link).and_then(|learner| learner.walk) {
            walk.abandon(&mut self.tree);
        }
    }

    /// A voter still looks for a leader, and has not found this one.
    pub(super) fn voter_looks(&mut self, id: ServerId, now: Now) {
        if let Some(leading) = self.role.member_mut().and_then(Member::leading) {
            leading.zab.looking(id, now.monotonic, &mut leading.wanted);
        }
    }

    pub(super) fn leading_tick(&mut self, now: Now) {
        if let Some(feed) = self.role.member_mut().and_then(Member::feeding) {
            feed.zab.tick(now.monotonic, &mut feed.wanted);
        }
    }

    /// Does what Zab wants, until it wants nothing more.
    pub(super) fn carry_out_leading(&mut self, now: Now, effects: &mut Effects) {
        loop {
            let Some(leading) = self.role.member_mut().and_then(Member::feeding) else { return };
            let wanted = std::mem::take(&mut leading.wanted);
            if wanted.is_empty() {
                return;
            }
            for effect in wanted {
                self.lead(effect, now, effects);
            }
        }
    }

    fn lead(&mut self, effect: LeaderEffect, now: Now, effects: &mut Effects) {
        match effect {
            LeaderEffect::Send { link, packet } => {
                if let Some(member) = self.role.member_mut() {
                    wire::put_leader(packet, member.out(link));
                }
            }
            LeaderEffect::Close { link, reason } => self.lose_learner(link, &reason.to_string(), effects),
            LeaderEffect::AcceptEpoch(epoch) => {
                self.number_first_list(epoch);
                self.store_epoch(Epoch::Accepted, epoch, effects);
            }
            LeaderEffect::EnterEpoch(epoch) => {
                self.keep_lists(effects);
                self.store_epoch(Epoch::Current, epoch, effects);
            }
            LeaderEffect::Activate { leader } => self.activate_next(leader, effects),
            LeaderEffect::SendSnapshot { link } => self.send_tree(link),
            LeaderEffect::ReadLog { link, after } => self.read_log(link, after, effects),
            LeaderEffect::Established { epoch } => self.lead_epoch(epoch, now),
            LeaderEffect::Commit(zxid) => {
                if let Some(member) = self.role.member_mut() {
                    member.committed = zxid;
                }
                self.commit(now, effects);
                self.count_syncs(zxid);
            }
            LeaderEffect::Resign(reason) => self.look_again(&reason.to_string(), now, effects),
        }
    }

    /// A quorum follows: requests are taken from now on.
    fn lead_epoch(&mut self, epoch: i64, now: Now) {
        let initial_counter = self.role.member().map_or(0, |member| member.settings.initial_counter);
        let start = epoch_start(epoch) + i64::from(initial_counter);
        self.pipeline.begin_epoch(start);
        self.tree.set_last_zxid(start);
        self.containers.begin_term(now.monotonic);
        self.enter_service(epoch, now);
        self.close_forgotten_sessions(now);
    }

    fn count_syncs(&mut self, committed: Zxid) {
        if let Some(leading) = self.role.member_mut().and_then(Member::leading) {
            let answered = leading.syncs.partition_point(|(zxid, _)| *zxid <= committed);
            leading.syncs.drain(..answered);
        }
    }

    /// Begins to send the whole tree: its head now, the nodes by and by.
    fn send_tree(&mut self, link: LinkId) {
        let mut bytes = BytesMut::new();
        let walk = TreeWalk::begin(&mut self.tree, &mut bytes);
        let zxid = walk.zxid();
        self.log.info(Logger::Handler, format!("Sending snapshot, send zxid of db as {zxid:#x}"));
        let Some(member) = self.role.member_mut() else { return };
        wire::put_leader(FromLeader::Snap { zxid }, member.out(link));
        member.send(link, &bytes);
        match member.feeding().and_then(|leading| leading.learners.get_mut(&link)) {
            Some(learner) => learner.walk = Some(walk),
            None => walk.abandon(&mut self.tree),
        }
    }

    /// Sends the next nodes to each learner that takes them.
    pub(super) fn send_snapshots(&mut self, now: Now) {
        let Some(leading) = self.role.member_mut().and_then(Member::feeding) else { return };
        let ready = |(link, learner): (&LinkId, &mut LearnerLink)| {
            (!learner.congested).then(|| learner.walk.take()).flatten().map(|walk| (*link, walk))
        };
        let ready: Vec<(LinkId, TreeWalk)> = leading.learners.iter_mut().filter_map(ready).collect();
        for (link, walk) in ready {
            let zxid = walk.zxid();
            let (slice, rest) = walk.slice(&mut self.tree, BytesMut::new());
            let Some(member) = self.role.member_mut() else { return };
            member.send(link, slice.body());
            let is_over = rest.is_err();
            if is_over {
                member.send(link, &wire::signature_bytes());
            }
            let Some(leading) = member.feeding() else { return };
            if let Some(learner) = leading.learners.get_mut(&link) {
                learner.walk = rest.ok();
            }
            leading.zab.alive(link, now.monotonic);
            if is_over {
                leading.zab.snapshot_sent(link, zxid, now.monotonic, &mut leading.wanted);
            }
        }
    }

    /// Reads a piece of the log on the disk thread.
    fn read_log(&mut self, link: LinkId, after: Zxid, effects: &mut Effects) {
        self.log.info(Logger::Handler, format!("Use txnlog for peer at {:#x}, behind {after:#x}", link.0));
        let (disk, dirs, committed) = (self.disk.clone(), Folders::of(&self.dirs), self.tree.last_zxid());
        effects.push(Effect::Disk(DiskTask::new(Lane::Background, move |slow| {
            let chunk = read_log(&*disk, &dirs, after, committed, slow);
            Outcome::LogRead(LogRead { link, chunk })
        })));
    }

    /// A piece of the log is read.
    pub(crate) fn log_read(&mut self, read: LogRead, now: Now) {
        let LogRead { link, chunk } = read;
        if let Err(error) = &chunk {
            self.log
                .warn(Logger::Handler, format!("The log can't be read for a learner, which gets a snapshot: {error}"));
        }
        let Some(leading) = self.role.member_mut().and_then(Member::feeding) else { return };
        match chunk {
            Ok(chunk) => {
                // It has taken what was read before, and says nothing until it has all.
                leading.zab.alive(link, now.monotonic);
                leading.zab.log_read(link, chunk, &mut leading.wanted);
            }
            Err(_) => leading.zab.log_refused(link, &mut leading.wanted),
        }
    }

    /// The longest packet that a server may send.
    pub(super) fn packet_length_max(&self) -> usize {
        self.config.frame_length_max as usize + self.config.entry_length_extra as usize + PACKET_OVERHEAD
    }
}
