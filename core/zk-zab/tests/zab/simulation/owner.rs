//! What a server does with the machines' effects, and what it tells them.

use std::collections::VecDeque;

use zk_zab::{
    DecidingLists, ElectionEffect, Entry, FromLeader, FromLearner, Leader, LeaderEffect, Learner, LearnerEffect,
    LinkId, LogChunk, LogStart, Notification, PeerState, Resignation, ServerId, Vote, epoch_start,
};

use super::disk::{Work, last};
use super::invariants;
use super::server::{Following, Intake, Leading, Role, Server};
use super::world::{Down, INIT_LIMIT_MS, World};

const OUTSTANDING_MAX: usize = 40;
const CHUNK_LEN_MAX: u64 = 5;

impl Server {
    /// Whether what comes from the leader is taken just now.
    pub(crate) fn takes(&self, link: LinkId) -> bool {
        match &self.role {
            Role::Following(following) => following.link == Some(link) && following.intake != Intake::Waiting,
            _ => true,
        }
    }
}

impl World {
    // Events.

    pub(crate) fn wake(&mut self, id: ServerId) {
        let (now, mut votes) = (self.now(), Vec::new());
        let server = self.of(id);
        server.wake = None;
        if server.election.deadline().is_some_and(|deadline| deadline <= now) {
            server.election.tick(now, &mut votes);
        }
        self.vote(id, votes);
        match &mut self.of(id).role {
            Role::Leading(leading) => {
                let mut wanted = Vec::new();
                leading.zab.tick(now, &mut wanted);
                self.lead(id, wanted);
            }
            Role::Following(following) if following.zab.deadline().is_some_and(|deadline| deadline <= now) => {
                let mut wanted = Vec::new();
                following.zab.tick(now, &mut wanted);
                self.follow(id, wanted);
            }
            _ => {}
        }
        self.plan_wake(id);
    }

    pub(crate) fn link_made(&mut self, link: LinkId, learner: ServerId, leader: ServerId) {
        let now = self.now();
        self.of(leader).leading().expect("it was asked").zab.opened(link, now);
        let mut wanted = Vec::new();
        let following = self.of(learner).following().expect("it dialled");
        following.link = Some(link);
        following.zab.connected(now, &mut wanted);
        self.follow(learner, wanted);
        self.plan_wake(leader);
    }

    pub(crate) fn link_lost(&mut self, link: LinkId, id: ServerId, as_leader: bool) {
        if as_leader {
            if let Some(leading) = self.of(id).leading() {
                leading.zab.closed(link);
            }
        } else if self.of(id).is_following_by(link) {
            self.look_again(id);
        }
    }

    pub(crate) fn leader_hears(&mut self, link: LinkId, id: ServerId, packet: FromLearner) {
        let now = self.now();
        let voted = match &packet {
            FromLearner::Info(info) => Some((info.id, self.of(info.id).epochs.current())),
            _ => None,
        };
        let Some(leading) = self.of(id).leading() else { return };
        let mut wanted = Vec::new();
        if let Some((voter, epoch)) = voted {
            leading.zab.voted(voter, Some(epoch));
        }
        leading.zab.packet(link, packet, now, &mut wanted);
        self.lead(id, wanted);
        self.plan_wake(id);
    }

    /// The learner took something.
    pub(crate) fn leader_is_heard(&mut self, link: LinkId, id: ServerId) {
        let now = self.now();
        if let Some(leading) = self.of(id).leading() {
            leading.zab.alive(link, now);
        }
    }

    pub(crate) fn congestion(&mut self, link: LinkId, congested: bool) {
        let Some(leader) = self.links.get(&link).map(|link| link.leader.server) else { return };
        let Some(leading) = self.of(leader).leading() else { return };
        let mut wanted = Vec::new();
        leading.zab.congested(link, congested, &mut wanted);
        self.lead(leader, wanted);
    }

    pub(crate) fn learner_hears(&mut self, link: LinkId, id: ServerId, thing: Down) {
        let now = self.now();
        let Some(following) = self.of(id).following().filter(|following| following.link == Some(link)) else { return };
        match thing {
            Down::Packet(packet) => {
                if matches!(packet, FromLeader::Ping { .. }) && following.serving {
                    self.send_up(link, FromLearner::Ping);
                }
                let Some(following) = self.of(id).following() else { return };
                let mut wanted = Vec::new();
                following.zab.packet(packet, now, &mut wanted);
                self.follow(id, wanted);
            }
            Down::Tree(tree) => {
                assert!(following.intake == Intake::Tree, "a tree comes behind SNAP");
                following.intake = Intake::Waiting;
                self.ask_disk(id, Work::Install(tree));
            }
        }
        self.plan_wake(id);
    }

    pub(crate) fn peer_lost(&mut self, peer: ServerId, by: ServerId) {
        if self.of(peer).alive {
            return;
        }
        let (now, mut votes) = (self.now(), Vec::new());
        self.of(by).election.peer_lost(peer, now, &mut votes);
        self.vote(by, votes);
        self.plan_wake(by);
    }

    pub(crate) fn notified(&mut self, from: ServerId, to: ServerId, note: &bytes::Bytes) {
        let (now, mut votes) = (self.now(), Vec::new());
        let note = Notification::decode(note).expect("one of ours");
        self.of(to).election.received(from, &note, now, &mut votes);
        self.vote(to, votes);
        self.plan_wake(to);
    }

    // Roles.

    /// The role is over: what is logged is made durable and applied, then a leader is looked for.
    pub(crate) fn look_again(&mut self, id: ServerId) {
        let links: Vec<_> =
            self.links.iter().map(|(link, made)| (*link, made.learner.server, made.leader.server)).collect();
        let server = self.of(id);
        server.term += 1;
        let (history, mine) = match std::mem::replace(&mut server.role, Role::Looking(Default::default())) {
            Role::Leading(leading) => (leading.zab.into_history(), None),
            Role::Following(following) => (following.zab.into_history(), following.link),
            Role::Settling(history) | Role::Looking(history) => (history, None),
        };
        server.role = Role::Settling(history);
        for (link, _, leader) in links {
            if leader == id {
                self.close(link, true);
            } else if Some(link) == mine {
                self.close(link, false);
            }
        }
        self.settle(id);
    }

    pub(crate) fn settle(&mut self, id: ServerId) {
        let now = self.now();
        let server = self.of(id);
        if !server.log_is_idle() || !server.epochs.is_settled() || !matches!(server.role, Role::Settling(_)) {
            return;
        }
        server.apply(i64::MAX);
        let Role::Settling(history) = std::mem::replace(&mut server.role, Role::Looking(Default::default())) else {
            return;
        };
        let zxid = history.last_zxid();
        assert_eq!(zxid, server.disk.last_zxid(), "memory and log of {id} end at the same place");
        assert_eq!(server.tree, server.disk.all, "tree and log of {id} are the same");
        server.role = Role::Looking(history);
        if self.hears_rumour(id) {
            return;
        }
        let mut votes = Vec::new();
        let server = self.of(id);
        let epoch = server.epochs.current();
        server.election.look(now, zxid, epoch, &mut votes);
        self.vote(id, votes);
        self.plan_wake(id);
    }

    /// Somebody is said to lead: one of two, who change now and then.
    fn hears_rumour(&mut self, id: ServerId) -> bool {
        if !self.is_rumour || self.now_ms >= self.chaos_until || self.chance(4) {
            return false;
        }
        let candidates: Vec<ServerId> = self.quorum.voters().filter(|id| self.quorum.may_lead(*id)).collect();
        let index = (self.now_ms / 700 + self.random.below(2)) as usize % candidates.len();
        let leader = candidates[index];
        let state = match leader == id {
            true => PeerState::Leading,
            false if self.quorum.is_voter(id) => PeerState::Following,
            false => PeerState::Observing,
        };
        let vote = Vote { leader, zxid: 0, peer_epoch: 0 };
        self.of(id).election.settled(state, vote);
        self.elected(id, vote, state);
        true
    }

    /// A server that does not serve yet believes another rumour.
    pub(crate) fn changes_its_mind(&mut self, id: ServerId) {
        let server = self.of(id);
        if server.alive && !server.serves() && matches!(server.role, Role::Following(_)) {
            self.look_again(id);
        }
    }

    fn vote(&mut self, id: ServerId, effects: Vec<ElectionEffect>) {
        let now = self.now();
        for effect in effects {
            match effect {
                ElectionEffect::Send { to, notification } => self.post(id, to, notification),
                ElectionEffect::Elected { vote, state } => self.elected(id, vote, state),
                ElectionEffect::StillLooking { peer } => {
                    if let Some(leading) = self.of(id).leading() {
                        let mut wanted = Vec::new();
                        leading.zab.looking(peer, now, &mut wanted);
                        self.lead(id, wanted);
                    }
                }
                ElectionEffect::NewerConfig { .. } | ElectionEffect::Ignored { .. } => {
                    unreachable!("one list of servers")
                }
            }
        }
    }

    fn elected(&mut self, id: ServerId, vote: Vote, state: PeerState) {
        let (now, now_ms, quorum) = (self.now(), self.now_ms, self.quorum.clone());
        let (leader_settings, learner_settings) = (self.leader_settings(id), self.learner_settings(id));
        let server = self.of(id);
        let Role::Looking(history) = std::mem::replace(&mut server.role, Role::Looking(Default::default())) else {
            panic!("{id} was not looking");
        };
        server.term += 1;
        if state == PeerState::Leading {
            let mut wanted = Vec::new();
            let config = bytes::Bytes::new();
            let zab = Leader::new(
                leader_settings,
                DecidingLists::new(quorum, config, None),
                history,
                &server.epochs,
                now,
                &mut wanted,
            );
            server.role = Role::Leading(Box::new(Leading { zab, established: None }));
            self.lead(id, wanted);
        } else {
            let mut zab = Learner::new(learner_settings, history, &server.epochs, now);
            if std::mem::take(&mut server.needs_snapshot) {
                zab.ask_for_snapshot();
            }
            server.role = Role::Following(Box::new(Following {
                zab,
                leader: vote.leader,
                link: None,
                dial_until: now_ms + INIT_LIMIT_MS,
                intake: Intake::Packets,
                serving: false,
            }));
            self.plan_dial(id, 1);
        }
        self.plan_wake(id);
    }

    // Leading.

    fn lead(&mut self, id: ServerId, effects: Vec<LeaderEffect>) {
        let term = self.of(id).term;
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            // What a leader wanted when it was one.
            if self.of(id).term != term {
                return;
            }
            self.count(name_of(&effect));
            match effect {
                LeaderEffect::Send { link, packet } => self.send_down(link, Down::Packet(packet)),
                LeaderEffect::Close { link, .. } => self.close(link, true),
                LeaderEffect::AcceptEpoch(epoch) => self.ask_disk(id, Work::Accept(epoch)),
                LeaderEffect::EnterEpoch(epoch) => {
                    let disks = self.servers.iter().map(|(id, server)| (*id, &server.disk)).collect();
                    if self.onlooker.begins(epoch, id, &self.quorum, &disks) {
                        self.count("begun late");
                    }
                    self.ask_disk(id, Work::Enter(epoch));
                }
                LeaderEffect::SendSnapshot { link } => self.plan_tree(id, link),
                LeaderEffect::ReadLog { link, after } => self.plan_read(id, link, after),
                LeaderEffect::Activate { .. } => unreachable!("this ensemble keeps its list of servers"),
                LeaderEffect::Established { epoch } => {
                    let disks = self.servers.iter().map(|(id, server)| (*id, &server.disk)).collect();
                    self.onlooker.established(epoch, (id, term), &self.quorum, &disks);
                    let server = self.of(id);
                    server.leading().expect("it leads").established = Some(epoch);
                    server.election.update_vote(epoch);
                    self.leader_commits(id, i64::MAX);
                    self.plan_write(id);
                }
                LeaderEffect::Commit(zxid) => self.leader_commits(id, zxid),
                LeaderEffect::Resign(_) => return self.look_again(id),
            }
        }
    }

    fn leader_commits(&mut self, id: ServerId, zxid: i64) {
        let server = self.servers.get_mut(&id).expect("a server of the ensemble");
        let since = server.tree.len();
        server.apply(zxid);
        let disks = self.servers.iter().map(|(id, server)| (*id, &server.disk)).collect();
        let server = &self.servers[&id];
        let epoch = server.leads().expect("nobody else commits");
        self.onlooker.commits(epoch, &server.tree, &self.quorum, &disks);
        self.onlooker.shows(id, &server.tree, since);
    }

    pub(crate) fn client_writes(&mut self, id: ServerId, term: u64) {
        let server = self.of(id);
        let Some(epoch) = server.leads().filter(|_| server.term == term) else { return };
        if server.pending.len() < OUTSTANDING_MAX {
            let payload = self.next_write();
            let server = self.of(id);
            let zxid = server.disk.last_zxid().max(epoch_start(epoch)) + 1;
            let entry = Entry { zxid, payload };
            self.append(id, entry.clone());
            let mut wanted = Vec::new();
            self.of(id).leading().expect("it leads").zab.proposed(entry, &mut wanted);
            self.lead(id, wanted);
        }
        self.plan_write(id);
    }

    pub(crate) fn tree_walked(&mut self, id: ServerId, link: LinkId) {
        let now = self.now();
        let server = self.of(id);
        let tree = server.tree.clone();
        let zxid = last(&tree);
        if server.leading().is_none() {
            return;
        }
        self.send_down(link, Down::Packet(FromLeader::Snap { zxid }));
        self.send_down(link, Down::Tree(tree));
        let mut wanted = Vec::new();
        if let Some(leading) = self.of(id).leading() {
            leading.zab.snapshot_sent(link, zxid, now, &mut wanted);
        }
        self.lead(id, wanted);
    }

    pub(crate) fn log_read(&mut self, id: ServerId, link: LinkId, after: i64) {
        let len_max = 1 + self.random.below(CHUNK_LEN_MAX) as usize;
        let is_refused = self.chance(40);
        let server = self.of(id);
        let chunk = server.disk.read(after, last(&server.tree), len_max);
        let found = match chunk.start {
            LogStart::Found => "log read",
            LogStart::Behind(_) => "log read behind",
            LogStart::Missing => "log missing",
        };
        self.count(found);
        let Some(leading) = self.of(id).leading() else { return };
        let mut wanted = Vec::new();
        match is_refused {
            true => leading.zab.log_refused(link, &mut wanted),
            false => leading.zab.log_read(link, LogChunk { ..chunk }, &mut wanted),
        }
        self.lead(id, wanted);
    }

    // Following.

    fn follow(&mut self, id: ServerId, effects: Vec<LearnerEffect>) {
        let term = self.of(id).term;
        for effect in effects {
            if self.of(id).term != term {
                return;
            }
            match effect {
                LearnerEffect::Send(packet) => {
                    if let Some(link) = self.of(id).following().and_then(|following| following.link) {
                        self.send_up(link, packet);
                    }
                }
                LearnerEffect::AcceptEpoch(epoch) => self.ask_disk(id, Work::Accept(epoch)),
                LearnerEffect::EnterEpoch(epoch) => self.ask_disk(id, Work::Enter(epoch)),
                LearnerEffect::Truncate(zxid) => {
                    self.count("truncate");
                    self.of(id).following().expect("it follows").intake = Intake::Waiting;
                    self.ask_disk(id, Work::Truncate(zxid));
                }
                LearnerEffect::ReceiveSnapshot { .. } => {
                    self.of(id).following().expect("it follows").intake = Intake::Tree;
                }
                LearnerEffect::Log(entry) => self.append(id, entry),
                LearnerEffect::Commit(zxid) => {
                    let server = self.servers.get_mut(&id).expect("a server of the ensemble");
                    let since = server.tree.len();
                    server.apply(zxid);
                    if server.serves() {
                        self.onlooker.shows(id, &server.tree, since);
                    }
                }
                LearnerEffect::Config(_) => {}
                LearnerEffect::Activate { .. } => unreachable!("this ensemble keeps its list of servers"),
                LearnerEffect::Serve { epoch } => {
                    self.count("serve");
                    let server = self.servers.get_mut(&id).expect("a server of the ensemble");
                    server.election.update_vote(epoch);
                    self.onlooker.shows(id, &server.tree, 0);
                    self.of(id).following().expect("it follows").serving = true;
                }
                LearnerEffect::Abandon(reason) => {
                    self.left(&reason);
                    return self.look_again(id);
                }
            }
        }
    }

    /// Peers of our own kind never make each other leave for a breach of the protocol.
    fn left(&mut self, reason: &zk_zab::Abandonment) {
        use zk_zab::Abandonment as Why;
        match reason {
            Why::Silent => self.count("silent"),
            Why::OldEpoch { .. } => self.count("old epoch"),
            Why::CannotTruncate(_) => self.count("cannot truncate"),
            Why::Unexpected { .. } | Why::OutOfOrder { .. } | Why::UnmatchedCommit { .. } => panic!("{reason}"),
        }
    }

    // The disk.

    fn append(&mut self, id: ServerId, entry: Entry) {
        let server = self.of(id);
        server.disk.all.push(entry.clone());
        server.pending.push_back(entry);
        self.sync(id);
    }

    /// One sync at a time, for everything written before it.
    fn sync(&mut self, id: ServerId) {
        let server = self.of(id);
        let is_under_way = server.in_progress.iter().any(|work| matches!(work, Work::Sync(_)));
        let len = server.disk.all.len();
        if !is_under_way && len > server.disk.durable {
            self.ask_disk(id, Work::Sync(len));
        }
    }

    pub(crate) fn disk_done(&mut self, id: ServerId, term: u64, work: &Work) {
        let now = self.now();
        let server = self.of(id);
        // Lanes are in order.
        let position = server.in_progress.iter().position(|other| other.is_epoch() == work.is_epoch());
        server.in_progress.remove(position.expect("it was asked"));
        server.disk.carry_out(work);
        let is_same_role = server.term == term;
        let (mut leads, mut follows) = (Vec::new(), Vec::new());
        match work {
            Work::Sync(_) => {
                let zxid = last(server.disk.durable_log());
                match &mut server.role {
                    Role::Leading(leading) => leading.zab.logged(zxid, &mut leads),
                    Role::Following(following) => following.zab.logged(zxid, &mut follows),
                    _ => {}
                }
            }
            Work::Accept(epoch) => {
                server.epochs.accepted_written(*epoch);
                match &mut server.role {
                    Role::Leading(leading) => leading.zab.epoch_accepted(*epoch, now, &mut leads),
                    Role::Following(following) => following.zab.epoch_accepted(*epoch, &mut follows),
                    _ => {}
                }
            }
            Work::Enter(epoch) => {
                server.epochs.current_written(*epoch);
                match &mut server.role {
                    Role::Leading(leading) => leading.zab.epoch_entered(*epoch, now, &mut leads),
                    Role::Following(following) => following.zab.epoch_entered(*epoch, &mut follows),
                    _ => {}
                }
                let disks = self.servers.iter().map(|(id, server)| (*id, &server.disk)).collect();
                self.onlooker.entered(*epoch, id, &disks);
            }
            Work::Truncate(_) | Work::Install(_) => follows = self.replaced(id, work, is_same_role),
        }
        self.lead(id, leads);
        self.follow(id, follows);
        self.sync(id);
        self.settle(id);
        self.plan_wake(id);
    }

    /// Log and tree are other ones.
    fn replaced(&mut self, id: ServerId, work: &Work, is_same_role: bool) -> Vec<LearnerEffect> {
        let mut wanted = Vec::new();
        let now = self.now();
        let server = self.of(id);
        let can = !matches!(work, Work::Truncate(zxid) if !server.disk.can_truncate(*zxid));
        let zxid = server.disk.last_zxid();
        if can {
            server.reload();
        }
        invariants::is_ordered(id, &server.disk.all);
        match &mut server.role {
            Role::Following(following) if is_same_role => {
                following.intake = Intake::Packets;
                match work {
                    Work::Install(_) => following.zab.snapshot_received(zxid, now),
                    _ if can => following.zab.truncated(now),
                    _ => {
                        server.needs_snapshot = true;
                        following.zab.cannot_truncate(&mut wanted);
                    }
                }
            }
            Role::Settling(history) => *history = zk_zab::History::starting_behind(zxid),
            _ => unreachable!("nothing else begins before the disk is done"),
        }
        wanted
    }
}

const fn name_of(effect: &LeaderEffect) -> &'static str {
    match effect {
        LeaderEffect::Send { packet: FromLeader::Diff { .. }, .. } => "DIFF",
        LeaderEffect::Send { packet: FromLeader::Trunc { .. }, .. } => "TRUNC",
        LeaderEffect::Send { .. } => "packet",
        LeaderEffect::Close { .. } => "learner lost",
        LeaderEffect::AcceptEpoch(_) | LeaderEffect::EnterEpoch(_) => "epoch written",
        LeaderEffect::SendSnapshot { .. } => "SNAP",
        LeaderEffect::ReadLog { .. } => "log wanted",
        LeaderEffect::Established { .. } => "established",
        LeaderEffect::Commit(_) => "commit",
        LeaderEffect::Activate { .. } => "another list of servers",
        LeaderEffect::Resign(Resignation::Overtaken { .. }) => "overtaken",
        LeaderEffect::Resign(_) => "resigned",
    }
}
