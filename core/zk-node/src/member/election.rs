//! Votes and the links that carry them.

use std::collections::VecDeque;

use base::{DecodeError, Now};
use config::zookeeper::{HostPort, MemberSettings, PeerType, Server as ServerLine};
use zk_zab::{
    Address, Election, ElectionEffect, ElectionSettings, LinkEffect as Wanted, LinkId, LinkSettings, Links,
    Notification, ServerId,
};

use super::lists::Lists;
use super::{milliseconds, ticks};
use crate::log::Logger;
use crate::{Effect, Effects, LinkEffect, LinkEvent, PeerPort, Server, ServerConfig};

/// How long a greeting may take when no `syncLimit` says so.
const GREETING_MS_MIN: u64 = 1000;
/// The shortest notification, of servers before 3.4.
const NOTIFICATION_LEN_MIN: usize = 28;
/// How long a vote stands before it is final (upstream `finalizeWait`).
const FINALIZE_WAIT_MS: u64 = 200;

/// What one of the two machines asks for.
enum Todo {
    Vote(ElectionEffect),
    Link(Wanted),
}

/// The two machines of a member.
pub(super) fn machines(
    settings: &MemberSettings,
    config: &ServerConfig,
    lists: &Lists,
    own: &ServerLine,
) -> (Election, Links) {
    let election = ElectionSettings {
        finalize_wait_ms: FINALIZE_WAIT_MS,
        notification_interval_min_ms: milliseconds(settings.notification_interval_ms_min),
        notification_interval_max_ms: milliseconds(settings.notification_interval_ms_max),
        reconfig_enabled: config.reconfig,
    };
    let addresses = own.election.iter().map(HostPort::to_string).collect();
    let links = LinkSettings {
        addresses,
        is_multi_address: settings.multiple_addresses,
        connect_timeout_ms: milliseconds(settings.election_connect_timeout_ms),
        greeting_timeout_ms: ticks(config, settings.sync_limit).max(GREETING_MS_MIN),
    };
    let is_observer = settings.peer_type == PeerType::Observer;
    let election = Election::new(settings.id, is_observer, lists.electorate(), election);
    (election, Links::new(settings.id, lists.servers(), links))
}

/// What is told of a notification that can't be read.
fn malformed(from: ServerId, length: usize, error: &DecodeError) -> String {
    match length {
        0..NOTIFICATION_LEN_MIN => format!("Got a short response from server {from}: {length}"),
        _ => format!(
            "Skipping the processing of a partial / malformed response message sent by sid={from} (message length: {length}): {error}"
        ),
    }
}

impl Server {
    /// Something happened to a link of the election port.
    pub(super) fn election_link(&mut self, link: LinkId, event: LinkEvent, now: Now, effects: &mut Effects) {
        self.connect_voters(now, effects, |links, out| match event {
            LinkEvent::Accepted { .. } => links.accepted(link, now.monotonic, out),
            LinkEvent::Connected { .. } => links.dialled(link, out),
            LinkEvent::Received { bytes, .. } => links.received(link, &bytes, now.monotonic, out),
            LinkEvent::Congested { congested, .. } => links.congested(link, congested, out),
            LinkEvent::Closed { .. } => links.closed(link, out),
        });
    }

    pub(super) fn election_tick(&mut self, now: Now, effects: &mut Effects) {
        self.connect_voters(now, effects, |links, out| links.tick(now.monotonic, out));
        self.vote(now, effects, |election, out| election.tick(now.monotonic, out));
    }

    /// Does something with the election, and carries out what it asks for.
    pub(super) fn vote(
        &mut self,
        now: Now,
        effects: &mut Effects,
        act: impl FnOnce(&mut Election, &mut Vec<ElectionEffect>),
    ) {
        let Some(member) = self.role.member_mut() else { return };
        let mut wanted = Vec::new();
        act(&mut member.election, &mut wanted);
        self.carry_out_votes(wanted.into_iter().map(Todo::Vote).collect(), now, effects);
    }

    /// Does something with the voters' links, and carries out what they ask for.
    fn connect_voters(&mut self, now: Now, effects: &mut Effects, act: impl FnOnce(&mut Links, &mut Vec<Wanted>)) {
        let Some(member) = self.role.member_mut() else { return };
        let mut wanted = Vec::new();
        act(&mut member.links, &mut wanted);
        self.carry_out_votes(wanted.into_iter().map(Todo::Link).collect(), now, effects);
    }

    /// What one machine asks for goes to the other, until neither asks for more.
    fn carry_out_votes(&mut self, mut todo: VecDeque<Todo>, now: Now, effects: &mut Effects) {
        while let Some(next) = todo.pop_front() {
            let Some(member) = self.role.member_mut() else { return };
            let (mut votes, mut links) = (Vec::new(), Vec::new());
            match next {
                Todo::Vote(ElectionEffect::Send { to, notification }) => {
                    member.links.send(to, &notification, now.monotonic, &mut links);
                }
                Todo::Vote(ElectionEffect::Elected { vote, state }) => self.elected(vote.leader, state, now, effects),
                Todo::Vote(ElectionEffect::StillLooking { peer }) => {
                    self.voter_looks(peer, now);
                    self.forsake_unmet_leader(peer, "it looks for a leader itself", now, effects);
                }
                Todo::Vote(ElectionEffect::NewerConfig { from, config }) => {
                    self.take_newer_list(from, &config, now, effects);
                }
                Todo::Vote(ElectionEffect::Ignored { from, leader }) => {
                    let text = format!(
                        "Ignoring notification for non-cluster member sid {leader} from sid {from}: the lists of servers differ"
                    );
                    self.log.warn(Logger::Election, text);
                }
                Todo::Link(Wanted::Message { from, bytes }) => match Notification::decode(&bytes) {
                    Ok(notification) => member.election.received(from, &notification, now.monotonic, &mut votes),
                    Err(error) => {
                        self.log.warn(Logger::Election, malformed(from, bytes.len(), &error));
                    }
                },
                Todo::Link(Wanted::Lost { peer }) => {
                    member.election.peer_lost(peer, now.monotonic, &mut votes);
                    self.forsake_unmet_leader(peer, "its election connection is lost", now, effects);
                }
                Todo::Link(Wanted::Send { link, bytes }) => member.send(link, &bytes),
                Todo::Link(Wanted::Dial { link, peer, addresses }) => self.dial_voter(link, peer, addresses, effects),
                Todo::Link(Wanted::Close { link, reason }) => {
                    let text = format!("Closing an election connection {}: {reason}", member.peer(link));
                    match reason.is_trouble() {
                        true => self.log.warn(Logger::Connections, text),
                        false => self.log.debug(Logger::Connections, text),
                    }
                    self.close_link(link, effects);
                }
            }
            todo.extend(votes.into_iter().map(Todo::Vote));
            todo.extend(links.into_iter().map(Todo::Link));
        }
    }

    fn dial_voter(&mut self, link: LinkId, peer: i64, addresses: Vec<Address>, effects: &mut Effects) {
        let Some(member) = self.role.member_mut() else { return };
        member.ports.insert(link, PeerPort::Election);
        let addresses = match addresses.is_empty() {
            true => member.lists.election_addresses(peer),
            false => addresses.into_iter().map(|Address { host, port }| HostPort { host, port }).collect(),
        };
        let timeout_ms = milliseconds(member.settings.election_connect_timeout_ms);
        effects.push(Effect::Link(LinkEffect::Dial { link, addresses, timeout_ms }));
    }
}
