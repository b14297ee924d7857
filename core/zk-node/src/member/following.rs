//! The follower's and the observer's part (upstream `Learner`, `Follower`, `Observer`, `FollowerZooKeeperServer`): reads
//! are answered here, writes go to the leader and are answered when they come back committed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use base::{Monotonic, Now, Reader};
use bytes::Bytes;
use config::zookeeper::PeerType;
use zk_proto::peer::{Revalidated, SessionTouch};
use zk_proto::{ErrorCode, Id, Jute, OpCode, Txn, TxnEntry};
use zk_store::{Epoch, SnapshotWriter};
use zk_zab::{
    Abandonment, Entry, FromLeader, History, Learner, LearnerEffect, LearnerSettings, LinkId, ServerId, Zxid,
};

use super::matching::Incoming;
use super::relaying::{Relay, Source};
use super::stream::PacketStream;
use super::wire::{self, LeaderSays};
use super::{LEADER_LINKS, List, Member, Phase, ticks};
use crate::connection::{Request, Waiting};
use crate::log::Logger;
use crate::pipeline::{Origin, Proposal};
use crate::snapshot::TreeWalk;
use crate::{ConnectionId, Effect, Effects, LinkEffect, LinkEvent, PeerPort, Server};

/// The first pause before the leader is dialled again; it doubles.
const DIAL_PAUSE_MS: u64 = 5;
const DIAL_PAUSE_MS_MAX: u64 = 200;
/// A leader that refuses connections for so long is none: the original tries five times, 100 ms apart.
const REFUSALS_MS_MAX: u64 = 500;
/// What the leader has sent and is not taken yet, at which no more is read.
const UNTAKEN_BYTES_MAX: usize = 1 << 20;
/// What waits for the own log, at which a server that is not up to date reads no more: the network may be faster than its disk.
const UNLOGGED_BYTES_MAX: usize = 16 << 20;
/// Sessions in one PING: the original refuses packets of more than 1 MiB.
const TOUCHES_MAX: usize = 50_000;

/// A server that follows, or is about to.
pub(crate) struct Following {
    zab: Learner,
    wanted: Vec<LearnerEffect>,
    leader: ServerId,
    /// The list of servers that the leader's epoch begins with.
    list: Option<Arc<List>>,
    source: Source,
    /// When it must be connected.
    until: Monotonic,
    /// Until then a leader that refuses connections is dialled again.
    refused_until: Monotonic,
    /// The next pause before it dials again.
    pause_ms: u64,
    link: LinkId,
    contact: Contact,
    pub(super) stream: PacketStream,
    pub(super) intake: Intake,
    reading_paused: bool,
    /// Sessions that were heard of since the last PING.
    touched: BTreeMap<i64, i32>,
    /// Sessions that were known here alone, and that the leader is to make known to all.
    upgrading: BTreeSet<i64>,
    /// `sync` requests, in the order in which they went to the leader.
    syncs: VecDeque<Syncing>,
    /// Who wants to go on with a session, while the leader is asked.
    revalidating: BTreeMap<i64, VecDeque<Asker>>,
    /// Its part for observers, if it has one.
    pub(super) relay: Option<Box<Relay>>,
}

/// Who wants to go on with a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asker {
    Client(ConnectionId),
    /// A client of an observer that this server feeds.
    Observer(LinkId),
}

/// Whose `sync` it is.
enum Syncing {
    Client(Request),
    Observer(LinkId),
}

/// How far the connection to the leader is.
#[derive(Clone, Copy, Debug)]
enum Contact {
    Dialling,
    Pausing { again: Monotonic },
    Connected,
}

/// What the leader's bytes are just now.
pub(super) enum Intake {
    Packets,
    /// The tree.
    Snapshot(Box<Incoming>),
    /// Nothing is taken: the log and the tree are being replaced.
    Waiting,
}

impl Following {
    pub(super) const fn leader(&self) -> ServerId {
        self.leader
    }

    pub(super) fn is_link(&self, link: LinkId) -> bool {
        self.link == link
    }

    pub(super) fn deadline(&self) -> Option<Monotonic> {
        match self.contact {
            Contact::Dialling => Some(self.until),
            Contact::Pausing { again } => Some(again),
            Contact::Connected => {
                let relay = self.relay.as_ref().and_then(|relay| relay.feed.deadline());
                self.zab.deadline().into_iter().chain(relay).min()
            }
        }
    }

    /// Whether the leader has not said a word.
    const fn is_unmet(&self) -> bool {
        !matches!(self.contact, Contact::Connected) || self.zab.is_registering()
    }

    /// Whether there is time for another try to reach its source.
    fn may_dial_again(&self, now: Monotonic) -> bool {
        let until = if matches!(self.source, Source::Master { .. }) { self.until } else { self.refused_until };
        self.is_turned_away() && now < until
    }

    /// Whether who is dialled does not answer, or is no observer master just now.
    const fn is_turned_away(&self) -> bool {
        match self.contact {
            Contact::Dialling | Contact::Pausing { .. } => true,
            Contact::Connected => matches!(self.source, Source::Master { .. }) && self.zab.is_registering(),
        }
    }

    /// Whom its history comes from.
    pub(crate) const fn source(&self) -> ServerId {
        self.source.id()
    }

    /// Observers that it feeds; `None` if it feeds none.
    pub(crate) fn synced_observers(&self) -> Option<usize> {
        self.relay.as_ref().map(|relay| relay.feed.synced_counts().1)
    }

    pub(super) const fn history(&self) -> &History {
        self.zab.history()
    }

    /// An observer's client waits for a `sync`.
    pub(super) fn await_sync(&mut self, link: LinkId) {
        self.syncs.push_back(Syncing::Observer(link));
    }

    pub(super) fn epoch_stored(&mut self, which: Epoch, epoch: i64) {
        match which {
            Epoch::Accepted => self.zab.epoch_accepted(epoch, &mut self.wanted),
            Epoch::Current => self.zab.epoch_entered(epoch, &mut self.wanted),
        }
    }

    pub(super) fn logged(&mut self, zxid: Zxid) {
        self.zab.logged(zxid, &mut self.wanted);
    }

    pub(super) fn truncated(&mut self, now: Monotonic) {
        self.intake = Intake::Packets;
        self.zab.truncated(now);
    }

    pub(super) fn cannot_truncate(&mut self) {
        self.intake = Intake::Packets;
        self.zab.cannot_truncate(&mut self.wanted);
    }

    pub(super) fn snapshot_received(&mut self, zxid: Zxid, now: Monotonic) {
        self.intake = Intake::Packets;
        self.zab.snapshot_received(zxid, now);
    }

    /// A part of the leader's tree is on the disk; the writer comes back if none is being received.
    pub(super) fn part_written(&mut self, writer: Box<SnapshotWriter>, now: Monotonic) -> Option<Box<SnapshotWriter>> {
        match &mut self.intake {
            Intake::Snapshot(incoming) => {
                incoming.part_written(writer);
                self.zab.alive(now);
                None
            }
            Intake::Packets | Intake::Waiting => Some(writer),
        }
    }

    /// Whether the own disk is at work on what the leader sent: that it is not heard meanwhile says nothing of it.
    fn waits_for_disk(&self) -> bool {
        match &self.intake {
            Intake::Packets => self.reading_paused,
            Intake::Snapshot(incoming) => incoming.is_with_disk(),
            Intake::Waiting => true,
        }
    }

    /// Takes what there is of a tree that came, unless the disk is at work on it.
    pub(super) fn give_up_tree(&mut self) -> Option<Box<SnapshotWriter>> {
        match &mut self.intake {
            Intake::Snapshot(incoming) => incoming.take_writer(),
            Intake::Packets | Intake::Waiting => None,
        }
    }

    /// What it leaves.
    pub(super) fn end(self) -> (History, Vec<LinkId>, Vec<TreeWalk>) {
        let (mut links, mut walks) = (vec![self.link], Vec::new());
        if let Some(relay) = self.relay {
            let (_, observers, on_their_way) = relay.feed.end();
            links.extend(observers);
            walks = on_their_way;
        }
        (self.zab.into_history(), links, walks)
    }
}

impl Server {
    pub(super) fn begin_following(&mut self, leader: ServerId, history: History, now: Now, effects: &mut Effects) {
        let Some(member) = self.role.member_mut() else { return };
        let settings = LearnerSettings {
            id: member.settings.id,
            is_observer: member.peer_type == PeerType::Observer,
            config_version: member.lists.current.version(),
            init_limit_ms: ticks(&self.config, member.settings.init_limit),
            sync_limit_ms: ticks(&self.config, member.settings.sync_limit),
            history_len: usize::try_from(member.settings.history_len).unwrap_or(0),
        };
        let mut zab = Learner::new(settings, history, &member.epochs, now.monotonic);
        if member.needs_tree || member.is_blank {
            zab.ask_for_snapshot();
        }
        let limit = match member.settings.connect_limit {
            0 => member.settings.init_limit,
            limit => limit,
        };
        let until = now.monotonic.plus_ms(ticks(&self.config, limit));
        let (source, is_round_over) = member.next_source(leader, false, &mut self.random);
        let delay_ms = if is_round_over { member.reconnect_delay_ms(&mut self.random) } else { 0 };
        member.phase = Phase::Following(Box::new(Following {
            zab,
            wanted: Vec::new(),
            leader,
            list: None,
            source,
            until,
            refused_until: until.min(now.monotonic.plus_ms(delay_ms + REFUSALS_MS_MAX)),
            pause_ms: DIAL_PAUSE_MS,
            link: LinkId(LEADER_LINKS),
            contact: Contact::Pausing { again: now.monotonic.plus_ms(delay_ms) },
            stream: PacketStream::default(),
            intake: Intake::Packets,
            reading_paused: false,
            touched: BTreeMap::new(),
            upgrading: BTreeSet::new(),
            syncs: VecDeque::new(),
            revalidating: BTreeMap::new(),
            relay: None,
        }));
        let early = std::mem::take(&mut member.early);
        for link in early.into_keys() {
            self.close_link(link, effects);
        }
        // The leader may tell of its own transactions as committed before a quorum has them, and they may be taken back: no snapshot that is
        // under way since the start may hold some of them.
        self.stop_snapshots(effects);
        self.following_tick(now, effects);
    }

    fn dial(&mut self, now: Now, effects: &mut Effects) {
        let Some(member) = self.role.member_mut() else { return };
        let link = member.next_leader_link();
        let Phase::Following(following) = &mut member.phase else { return };
        (following.link, following.contact, following.stream) = (link, Contact::Dialling, PacketStream::default());
        let (source, until) = (following.source, following.until);
        if let Source::Master { id, port } = source {
            self.log.info(Logger::Learner, format!("Observing new leader sid={id} port={port}"));
        }
        let addresses = source.addresses(member);
        let timeout_ms = (until.since(now.monotonic).as_millis() as u64).max(1);
        member.ports.insert(link, PeerPort::Quorum);
        effects.push(Effect::Link(LinkEffect::Dial { link, addresses, timeout_ms }));
    }

    /// Something happened to the link to the leader.
    pub(super) fn leader_link(&mut self, event: LinkEvent, now: Now, effects: &mut Effects) {
        let Some(following) = self.role.member_mut().and_then(Member::following) else { return };
        match event {
            LinkEvent::Connected { .. } => {
                following.contact = Contact::Connected;
                following.zab.connected(now.monotonic, &mut following.wanted);
                self.carry_out_following(now, effects);
            }
            LinkEvent::Received { bytes, .. } => {
                following.stream.push(&bytes);
                following.zab.alive(now.monotonic);
                self.hear_leader(now, effects);
            }
            LinkEvent::Congested { .. } | LinkEvent::Accepted { .. } => {}
            LinkEvent::Closed { reason, .. } => match following.may_dial_again(now.monotonic) {
                true => self.dial_later(now),
                false => self.look_again(&format!("the link to the leader is closed: {reason}"), now, effects),
            },
        }
    }

    /// Looks for another leader, if `peer` was elected and not heard of since: it is gone, or did not take the office, and one that came back
    /// might keep this server's connection without ever leading.
    pub(super) fn forsake_unmet_leader(&mut self, peer: ServerId, why: &str, now: Now, effects: &mut Effects) {
        let following = self.role.member_mut().and_then(Member::following);
        if following.is_some_and(|following| following.leader == peer && following.is_unmet()) {
            self.look_again(&format!("server {peer} does not lead: {why}"), now, effects);
        }
    }

    /// Goes on to the next observer master, or to the leader; after each round later.
    fn dial_later(&mut self, now: Now) {
        let Some(member) = self.role.member_mut() else { return };
        let Some(following) = member.following() else { return };
        let (leader, is_weary) = (following.leader, following.pause_ms >= DIAL_PAUSE_MS_MAX);
        let (source, is_round_over) = member.next_source(leader, is_weary, &mut self.random);
        let delay_ms = match source {
            Source::Master { .. } if is_round_over => member.reconnect_delay_ms(&mut self.random),
            _ => 0,
        };
        let Some(following) = member.following() else { return };
        following.source = source;
        let mut again = now.monotonic;
        if is_round_over {
            again = again.plus_ms(following.pause_ms.max(delay_ms));
            following.pause_ms = (following.pause_ms * 2).min(DIAL_PAUSE_MS_MAX);
        }
        following.contact = Contact::Pausing { again };
    }

    pub(super) fn following_tick(&mut self, now: Now, effects: &mut Effects) {
        let Some(following) = self.role.member_mut().and_then(Member::following) else { return };
        match following.contact {
            Contact::Dialling | Contact::Pausing { .. } if following.until <= now.monotonic => {
                self.look_again("connectToLeader exceeded on retries.", now, effects);
            }
            Contact::Pausing { again } if again <= now.monotonic => self.dial(now, effects),
            Contact::Pausing { .. } | Contact::Dialling => {}
            Contact::Connected if following.waits_for_disk() => following.zab.alive(now.monotonic),
            Contact::Connected => following.zab.tick(now.monotonic, &mut following.wanted),
        }
    }

    /// Takes what the leader has sent, one packet after the other: each may change what the next bytes are.
    pub(super) fn hear_leader(&mut self, now: Now, effects: &mut Effects) {
        let length_max = self.packet_length_max();
        loop {
            self.carry_out_following(now, effects);
            let Some(following) = self.role.member_mut().and_then(Member::following) else { return };
            match &following.intake {
                Intake::Waiting => break,
                Intake::Snapshot(_) => {
                    let bytes = following.stream.take_raw();
                    if bytes.is_empty() {
                        break;
                    }
                    self.take_tree(&bytes, now, effects);
                    continue;
                }
                Intake::Packets => {}
            }
            let said = match following.stream.next(length_max) {
                Ok(None) => break,
                Ok(Some(packet)) => wire::from_leader(packet),
                Err(error) => Err(wire::unreadable(&error)),
            };
            match said {
                Ok(said) => self.leader_said(said, now, effects),
                Err(nonsense) => return self.look_again(&nonsense, now, effects),
            }
        }
        self.pause_leader(now, effects);
    }

    /// Reads no more from the leader while what it has sent can't be taken.
    pub(super) fn pause_leader(&mut self, now: Now, effects: &mut Effects) {
        let (is_catching_up, unlogged) = (!self.is_serving(), self.journal.unlogged_bytes());
        let Some(following) = self.role.member_mut().and_then(Member::following) else { return };
        let is_behind = match &following.intake {
            Intake::Packets => is_catching_up && unlogged > UNLOGGED_BYTES_MAX,
            Intake::Snapshot(incoming) => incoming.untaken() > UNTAKEN_BYTES_MAX,
            Intake::Waiting => following.stream.len() > UNTAKEN_BYTES_MAX,
        };
        if is_behind != following.reading_paused {
            following.reading_paused = is_behind;
            following.zab.alive(now.monotonic);
            let link = following.link;
            effects.push(Effect::Link(match is_behind {
                true => LinkEffect::PauseReading(link),
                false => LinkEffect::ResumeReading(link),
            }));
        }
    }

    fn leader_said(&mut self, said: LeaderSays, now: Now, effects: &mut Effects) {
        if let LeaderSays::Zab(FromLeader::Diff { zxid }) = &said {
            self.log.info(Logger::Learner, format!("Getting a diff from the leader {zxid:#x}"));
        }
        let Some(following) = self.role.member_mut().and_then(Member::following) else { return };
        match said {
            LeaderSays::Zab(FromLeader::Ping { zxid }) => {
                following.zab.packet(FromLeader::Ping { zxid }, now.monotonic, &mut following.wanted);
                self.answer_ping(zxid);
            }
            LeaderSays::Zab(packet) => following.zab.packet(packet, now.monotonic, &mut following.wanted),
            LeaderSays::Sync => match following.syncs.pop_front() {
                Some(Syncing::Client(request)) => self.answer_sync(&request, now),
                Some(Syncing::Observer(link)) => self.tell_learner(link, wire::sync_bytes()),
                None => {}
            },
            LeaderSays::Revalidated(answer) => self.revalidated(answer, effects),
        }
    }

    fn answer_ping(&mut self, zxid: Zxid) {
        let Some(member) = self.role.member_mut() else { return };
        let Some(following) = member.following() else { return };
        let touched: Vec<SessionTouch> = std::mem::take(&mut following.touched)
            .into_iter()
            .map(|(session_id, timeout_ms)| SessionTouch { session_id, timeout_ms })
            .collect();
        let link = following.link;
        let mut pieces = touched.chunks(TOUCHES_MAX);
        let first = pieces.next().unwrap_or_default();
        member.send(link, &wire::touches_bytes(zxid, first.iter().copied()));
        for piece in pieces {
            member.send(link, &wire::touches_bytes(zxid, piece.iter().copied()));
        }
    }

    /// Does what Zab wants.
    pub(super) fn carry_out_following(&mut self, now: Now, effects: &mut Effects) {
        loop {
            let Some(following) = self.role.member_mut().and_then(Member::following) else { return };
            let wanted = std::mem::take(&mut following.wanted);
            if wanted.is_empty() {
                return;
            }
            for effect in &wanted {
                if let LearnerEffect::Activate { zxid, leader } = effect {
                    self.relay_activation(*zxid, *leader);
                }
            }
            for effect in wanted {
                self.follow(effect, now, effects);
            }
        }
    }

    fn follow(&mut self, effect: LearnerEffect, now: Now, effects: &mut Effects) {
        match effect {
            LearnerEffect::Send(packet) => self.tell_leader(&wire::learner_bytes(&packet)),
            LearnerEffect::AcceptEpoch(epoch) => self.store_epoch(Epoch::Accepted, epoch, effects),
            LearnerEffect::EnterEpoch(epoch) => self.store_epoch(Epoch::Current, epoch, effects),
            LearnerEffect::Truncate(zxid) => self.truncate_to(zxid, effects),
            LearnerEffect::ReceiveSnapshot { zxid } => self.receive_tree(zxid, effects),
            LearnerEffect::Log(entry) => self.log_entry(&entry, now, effects),
            LearnerEffect::Commit(zxid) => {
                if let Some(member) = self.role.member_mut() {
                    member.committed = zxid;
                }
                self.commit(now, effects);
                if let Some(relay) = self.relay() {
                    relay.committed(zxid);
                }
            }
            LearnerEffect::Config(text) => {
                let list = self.learn_list(&text, None);
                if let Some(following) = self.role.member_mut().and_then(Member::following) {
                    following.list = list;
                }
                self.keep_lists(effects);
            }
            LearnerEffect::Activate { zxid, leader } => {
                if self.activate_proposed(zxid, leader, effects) {
                    self.change_part(Some(leader), now, effects);
                }
            }
            LearnerEffect::Serve { epoch } => {
                let list =
                    self.role.member_mut().and_then(Member::following).and_then(|following| following.list.take());
                match list.is_some_and(|list| self.activate(&list, None, effects)) {
                    true => self.change_part(None, now, effects),
                    false => {
                        self.enter_service(epoch, now);
                        self.begin_relaying(epoch, now, effects);
                    }
                }
            }
            LearnerEffect::Abandon(reason) => {
                if let (Abandonment::CannotTruncate(_), Some(member)) = (&reason, self.role.member_mut()) {
                    member.needs_tree = true;
                }
                self.look_again(&reason.to_string(), now, effects);
            }
        }
    }

    /// By the list of servers in force this server has another part or another leader.
    fn change_part(&mut self, leader: Option<ServerId>, now: Now, effects: &mut Effects) {
        if let Some(member) = self.role.member_mut() {
            member.designated = leader;
        }
        self.look_again("changes proposed in reconfig", now, effects);
    }

    fn relay(&mut self) -> Option<&mut Relay> {
        self.role.member_mut().and_then(Member::following).and_then(|following| following.relay.as_deref_mut())
    }

    pub(super) fn tell_leader(&mut self, bytes: &[u8]) {
        let Some(member) = self.role.member_mut() else { return };
        if let Some(link) = member.following().map(|following| following.link) {
            member.send(link, bytes);
        }
    }

    /// Puts a proposal into the log; it is applied when it is committed.
    fn log_entry(&mut self, entry: &Entry, now: Now, effects: &mut Effects) {
        let decoded = TxnEntry::decode(&mut Reader::new(&entry.payload));
        let decoded = match decoded {
            Ok(decoded) if decoded.header.zxid == entry.zxid => decoded,
            Ok(_) => return self.look_again("a proposal with another zxid than its packet", now, effects),
            Err(error) => return self.look_again(&format!("a proposal that can't be read: {error}"), now, effects),
        };
        let error = match &decoded.txn {
            Txn::Error(error) => Some(ErrorCode::from_code(error.err).unwrap_or(ErrorCode::SystemError)),
            _ => None,
        };
        if let Txn::Reconfig(list) = &decoded.txn {
            self.learn_list(list.data.as_deref().unwrap_or_default(), Some(entry.zxid));
        }
        self.journal.append(entry.zxid, &entry.payload, now.monotonic);
        self.pipeline.accept(Proposal { entry: decoded, error, origin: None });
        if let Some(relay) = self.relay() {
            relay.logged(entry.clone());
        }
    }

    /// Whether this server follows and its leader is asked.
    pub(crate) fn follows(&self) -> bool {
        self.role.member().is_some_and(|member| matches!(member.phase, Phase::Following(_)))
    }

    /// Sends a client's write to the leader; its reply waits for the transaction.
    pub(crate) fn forward(&mut self, session: i64, body: &Bytes, ids: &[Id], origin: Origin) {
        self.tell_leader(&wire::request_bytes(session, origin.xid, origin.op, body, ids));
        if let Some(connection) = self.connections.get_mut(origin.connection) {
            connection.waiting.push_back(Waiting::Forwarded(origin));
        }
        self.in_process += 1;
        if self.config.is_large(origin.length) {
            self.large_bytes += origin.length;
        }
    }

    /// As [`Server::forward`], of a `sync`: it is no transaction, and the leader answers in the order of asking.
    pub(crate) fn forward_sync(&mut self, request: Request) {
        self.forward(request.session, &request.body, &request.ids, request.origin());
        if let Some(following) = self.role.member_mut().and_then(Member::following) {
            following.syncs.push_back(Syncing::Client(request));
        }
    }

    /// Whose request a transaction answers, if its client is at this server.
    pub(crate) fn origin_here(&self, entry: &TxnEntry) -> Option<Origin> {
        let id = self.connections.of_session(entry.header.session_id)?;
        match self.connections.get(id)?.waiting.front()? {
            Waiting::Forwarded(origin) if origin.xid == entry.header.cxid && may_answer(&entry.txn, origin.op) => {
                Some(*origin)
            }
            _ => None,
        }
    }

    /// Asks the leader to let all servers know a session.
    pub(crate) fn forward_upgrade(&mut self, session: i64, timeout_ms: i32) {
        if let Some(following) = self.role.member_mut().and_then(Member::following) {
            following.upgrading.insert(session);
        }
        self.tell_leader(&wire::request_bytes(session, 0, OpCode::CreateSession, &timeout_ms.to_be_bytes(), &[]));
    }

    /// A session has ended.
    pub(crate) fn session_forgotten(&mut self, session: i64) {
        if let Some(relay) = self.relay() {
            relay.session_ended(session);
        }
    }

    /// All servers know a session.
    pub(crate) fn session_upgraded(&mut self, session: i64) {
        if let Some(following) = self.role.member_mut().and_then(Member::following) {
            following.upgrading.remove(&session);
        }
    }

    /// Everything its session wrote before is answered by now: the leader sends in order.
    fn answer_sync(&mut self, request: &Request, now: Now) {
        let id = request.connection;
        let Some(connection) = self.connections.get_mut(id) else { return };
        let is_next = matches!(connection.waiting.front(), Some(Waiting::Forwarded(next)) if next.xid == request.xid);
        if is_next {
            connection.waiting.pop_front();
            self.in_process -= 1;
            self.read(request, now);
            self.drain_reads(id, now);
        }
    }

    /// Asks the leader whether a client may go on with its session.
    pub(crate) fn revalidate(&mut self, asker: Asker, session: i64, timeout_ms: i32) {
        if let Some(following) = self.role.member_mut().and_then(Member::following) {
            following.revalidating.entry(session).or_default().push_back(asker);
        }
        self.tell_leader(&wire::revalidate_bytes(session, timeout_ms));
    }

    fn revalidated(&mut self, answer: Revalidated, effects: &mut Effects) {
        let Some(following) = self.role.member_mut().and_then(Member::following) else { return };
        let Some(waiting) = following.revalidating.get_mut(&answer.session_id) else { return };
        let asker = waiting.pop_front();
        if waiting.is_empty() {
            following.revalidating.remove(&answer.session_id);
        }
        let Revalidated { session_id, valid } = answer;
        if let (Some(relay), Some(asker), true) = (&mut following.relay, asker, valid) {
            relay.moved(session_id, if let Asker::Observer(link) = asker { Some(link) } else { None });
        }
        match asker {
            Some(Asker::Client(id)) if self.connections.get(id).is_some() => {
                self.finish_resuming(id, session_id, valid, effects);
            }
            Some(Asker::Observer(link)) => {
                // For the leader it was here, and is.
                if let Some(left) = self.connections.of_session(session_id).filter(|_| valid) {
                    self.close(left, effects);
                }
                self.tell_learner(link, wire::revalidated_bytes(session_id, valid));
            }
            _ => {}
        }
    }

    /// Hears of a session. `false` if it is not known or closing.
    pub(crate) fn touch_session(&mut self, session: i64, timeout_ms: i32, now: Now) -> bool {
        if self.sessions.touch(session, timeout_ms, now.monotonic) {
            return true;
        }
        if let Some(following) = self.role.member_mut().and_then(Member::following) {
            let known = self.tree.sessions().contains_key(&session) || following.upgrading.contains(&session);
            if known {
                following.touched.insert(session, timeout_ms);
            }
            return known;
        }
        false
    }
}

/// Whether a transaction may be that of a request: one that makes a session known to all is nobody's request, and has the
/// number 0.
const fn may_answer(txn: &Txn, op: OpCode) -> bool {
    match (txn, op) {
        (_, OpCode::Sync) => false,
        (Txn::CreateSession(_), op) => matches!(op, OpCode::CreateSession),
        _ => true,
    }
}

impl Member {
    fn next_leader_link(&mut self) -> LinkId {
        self.dialled += 1;
        LinkId(LEADER_LINKS | self.dialled)
    }
}
