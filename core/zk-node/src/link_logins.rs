//! Logins between servers by SASL's DIGEST-MD5 (`QuorumAuth` and its `SaslQuorumAuthServer`, `SaslQuorumAuthLearner`): in front of the
//! machine, on each link.
//!
//! On a quorum port the login comes first, on an election port behind the greeting. The machine knows nothing of it: what a link says
//! meanwhile is read here, and what the machine wants to send on it waits.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use base::{Monotonic, Random, Reader};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use config::zookeeper::QuorumSasl;
use security::{Answer, ClientLogin, ServerLogin, Service};
use zk_zab::{Greeting, LinkId};

use crate::log::{Lines, Logger, java_exception};
use crate::{Effect, Effects, LinkEffect, LinkEvent, PeerPort};

const SERVICE: Service = Service { protocol: "zookeeper-quorum", server: "zk-quorum-sasl-md5" };
/// `-0xa0dbcafecafe1234L` as Java counts.
const MAGIC: i64 = 0x5f24_3501_3501_edcc;
/// The longest token.
const TOKEN_LENGTH_MAX: i32 = 4096;
/// What a link may say before its login is done: a greeting and a packet.
const ARRIVED_MAX: usize = 8192;
/// How long one that we dialled may take.
const LOGIN_MS_MAX: u64 = 10_000;
/// Set in the names of the links that a learner dials.
const TO_LEADER: u64 = 1 << 62;

/// The state of an exchange (`QuorumAuth.Status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    InProgress = 0,
    Success = 1,
    Error = -1,
}

/// All links that are not logged in yet.
pub(crate) struct LinkLogins {
    /// None: servers do not log in.
    settings: Option<QuorumSasl>,
    accepted: BTreeMap<LinkId, Accepted>,
    dialled: BTreeMap<LinkId, Dialled>,
    /// To be carried out before what the machine wants.
    out: Vec<LinkEffect>,
}

struct Accepted {
    port: PeerPort,
    peer: SocketAddr,
    login: ServerLogin,
    arrived: BytesMut,
    /// It is being closed.
    refused: bool,
}

struct Dialled {
    login: ClientLogin,
    arrived: BytesMut,
    /// Since when it is connected.
    since: Option<Monotonic>,
    /// The first packet is sent: behind it, what the machine wants waits.
    begun: bool,
    held: Vec<LinkEffect>,
    /// It is being closed.
    refused: bool,
}

/// What the first bytes of a link are.
enum First {
    /// More is to come.
    Unknown,
    /// A packet, behind so many bytes of greeting.
    Packet(usize),
    /// No login.
    Other,
}

impl LinkLogins {
    pub(crate) fn new(settings: Option<QuorumSasl>) -> Self {
        Self { settings, accepted: BTreeMap::new(), dialled: BTreeMap::new(), out: Vec::new() }
    }

    /// Whether servers log in at all.
    pub(crate) const fn is_on(&self) -> bool {
        self.settings.is_some()
    }

    /// When a login has taken too long.
    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        self.dialled.values().filter_map(|dialled| dialled.since).min().map(|since| since.plus_ms(LOGIN_MS_MAX))
    }

    /// Takes in what happened to a link; what the machine is told of it.
    pub(crate) fn event(
        &mut self,
        event: LinkEvent,
        now: Monotonic,
        random: &mut Random,
        log: &mut Lines,
    ) -> Vec<LinkEvent> {
        match event {
            LinkEvent::Accepted { link, port, peer } => {
                let accepted =
                    Accepted { port, peer, login: ServerLogin::default(), arrived: BytesMut::new(), refused: false };
                self.accepted.insert(link, accepted);
                vec![event]
            }
            LinkEvent::Connected { link } => {
                if let Some(dialled) = self.dialled.get_mut(&link) {
                    dialled.since = Some(now);
                    if link.0 & TO_LEADER != 0 {
                        dialled.begun = true;
                        self.out.push(LinkEffect::Send { link, bytes: packet(Status::InProgress, b"") });
                    }
                }
                vec![event]
            }
            LinkEvent::Received { link, bytes } => {
                if let Some(accepted) = self.accepted.get_mut(&link) {
                    if accepted.refused {
                        return Vec::new();
                    }
                    accepted.arrived.extend_from_slice(&bytes);
                    return self.hear_accepted(link, random, log);
                }
                if let Some(dialled) = self.dialled.get_mut(&link) {
                    if dialled.refused {
                        return Vec::new();
                    }
                    dialled.arrived.extend_from_slice(&bytes);
                    return self.hear_dialled(link, random, log);
                }
                vec![LinkEvent::Received { link, bytes }]
            }
            LinkEvent::Closed { link, .. } => {
                self.dialled.remove(&link);
                // One that greets and leaves is to be called back, unless it had to log in.
                let said = self.accepted.remove(&link).map(|accepted| accepted.arrived.freeze());
                let said = said.filter(|said| !said.is_empty() && !self.requires_login());
                said.map(|bytes| LinkEvent::Received { link, bytes }).into_iter().chain([event]).collect()
            }
            LinkEvent::Congested { .. } => vec![event],
        }
    }

    fn requires_login(&self) -> bool {
        self.settings.as_ref().is_some_and(|settings| settings.server_required)
    }

    /// Holds back what is for links that are logging in, and puts what logins say in front of the rest.
    pub(crate) fn rewrite(&mut self, effects: &mut Effects, now: Monotonic) {
        let wanted = std::mem::take(effects);
        effects.extend(self.out.drain(..).map(Effect::Link));
        for effect in wanted {
            match effect {
                Effect::Link(effect) => self.hold(effect, effects),
                other => effects.push(other),
            }
        }
        let is_late = |dialled: &Dialled| dialled.since.is_some_and(|since| since.plus_ms(LOGIN_MS_MAX) <= now);
        let late: Vec<_> = self.dialled.iter().filter(|(_, dialled)| is_late(dialled)).map(|(link, _)| *link).collect();
        for link in late {
            self.dialled.remove(&link);
            effects.push(Effect::Link(LinkEffect::Close(link)));
        }
    }

    fn hold(&mut self, effect: LinkEffect, effects: &mut Effects) {
        match effect {
            LinkEffect::Dial { link, .. } => {
                let learner = self.settings.as_ref().and_then(|settings| settings.learner.as_ref());
                if let Some((user, password)) = learner {
                    let login = ClientLogin::new(SERVICE, user, &password.0);
                    let arrived = BytesMut::new();
                    let (since, held) = (None, Vec::new());
                    self.dialled.insert(link, Dialled { login, arrived, since, begun: false, held, refused: false });
                }
                effects.push(Effect::Link(effect));
            }
            LinkEffect::Send { link, bytes } => match self.dialled.get_mut(&link) {
                Some(dialled) if dialled.begun => dialled.held.push(LinkEffect::Send { link, bytes }),
                Some(dialled) => {
                    // The greeting is first, alone or with more behind it.
                    let length = match Greeting::decode(&bytes) {
                        Ok(Some((_, length))) => length,
                        Ok(None) | Err(_) => bytes.len(),
                    };
                    dialled.begun = true;
                    let rest = bytes.slice(length..);
                    if !rest.is_empty() {
                        dialled.held.push(LinkEffect::Send { link, bytes: rest });
                    }
                    let first = packet(Status::InProgress, b"");
                    for bytes in [bytes.slice(..length), first] {
                        effects.push(Effect::Link(LinkEffect::Send { link, bytes }));
                    }
                }
                None => effects.push(Effect::Link(LinkEffect::Send { link, bytes })),
            },
            LinkEffect::Close(link) => {
                self.accepted.remove(&link);
                match self.dialled.get_mut(&link) {
                    // The other side is to hear the greeting out, and who sent it.
                    Some(dialled) if dialled.begun => dialled.held.push(effect),
                    _ => {
                        self.dialled.remove(&link);
                        effects.push(Effect::Link(effect));
                    }
                }
            }
            LinkEffect::PauseReading(_) | LinkEffect::ResumeReading(_) => effects.push(Effect::Link(effect)),
        }
    }

    /// One or more steps of a login that another server makes here.
    fn hear_accepted(&mut self, link: LinkId, random: &mut Random, log: &mut Lines) -> Vec<LinkEvent> {
        let (Some(settings), Some(accepted)) = (&self.settings, self.accepted.get_mut(&link)) else {
            return Vec::new();
        };
        let (peer, required) = (accepted.peer, settings.server_required);
        loop {
            let greeting = match accepted.first() {
                First::Unknown if accepted.arrived.len() <= ARRIVED_MAX => return Vec::new(),
                First::Packet(greeting) => greeting,
                First::Unknown | First::Other if required => {
                    let text = "Learner not trying to authenticate and authentication is required";
                    return self.refuse(link, peer, text, log);
                }
                First::Unknown | First::Other => return self.let_in(link),
            };
            let (token, length) = match take_packet(&accepted.arrived, greeting) {
                None => return Vec::new(),
                Some(Packet::Whole(_, token, length)) => (token, length),
                Some(Packet::Broken) => return self.refuse(link, peer, "a packet that is none", log),
            };
            cut_out(&mut accepted.arrived, greeting, length);
            let nonce = random.bytes_16();
            let password = |user: &str| settings.users.get(user).map(|password| password.0.as_str());
            match accepted.login.step(SERVICE, &token, &nonce, password) {
                Ok(Answer::Challenge(challenge)) => {
                    self.out.push(LinkEffect::Send { link, bytes: packet(Status::InProgress, challenge.as_bytes()) });
                }
                Ok(Answer::Done(_, proof)) => {
                    self.out.push(LinkEffect::Send { link, bytes: packet(Status::Success, proof.as_bytes()) });
                    let text = format!("Successfully completed the authentication using SASL. learner addr: /{peer}");
                    log.info(Logger::AuthServer, text);
                    return self.let_in(link);
                }
                Err(error) => {
                    self.out.push(LinkEffect::Send { link, bytes: packet(Status::Error, b"") });
                    if required {
                        return self.refuse(link, peer, &error.to_string(), log);
                    }
                    let text = format!(
                        "Maintaining learner connection despite SASL authentication failure. server addr: /{peer}, \
                         quorum.auth.serverRequireSasl: false ({error})"
                    );
                    log.warn(Logger::AuthServer, text);
                    return self.let_in(link);
                }
            }
        }
    }

    /// The machine hears what the link has said beside its login.
    fn let_in(&mut self, link: LinkId) -> Vec<LinkEvent> {
        let said = self.accepted.remove(&link).map(|accepted| accepted.arrived.freeze());
        let said = said.filter(|said| !said.is_empty());
        said.map(|bytes| LinkEvent::Received { link, bytes }).into_iter().collect()
    }

    fn refuse(&mut self, link: LinkId, peer: SocketAddr, why: &str, log: &mut Lines) -> Vec<LinkEvent> {
        // What it still says is not for the machine: the link stays here until it is closed.
        if let Some(accepted) = self.accepted.get_mut(&link) {
            accepted.refused = true;
        }
        let message = format!("Failed to authenticate using SASL, learner addr: /{peer}");
        log.warn(Logger::AuthServer, java_exception(&message, security::SaslError::CLASS, why));
        self.out.push(LinkEffect::Close(link));
        Vec::new()
    }

    /// A step of a login that this server makes at another.
    fn hear_dialled(&mut self, link: LinkId, random: &mut Random, log: &mut Lines) -> Vec<LinkEvent> {
        let Some(dialled) = self.dialled.get_mut(&link) else { return Vec::new() };
        while let Some(packet_of_login) = take_packet(&dialled.arrived, 0) {
            let Packet::Whole(status, token, length) = packet_of_login else {
                return self.give_up(link, "the other server does not log servers in", log);
            };
            dialled.arrived.advance(length);
            let step = match status {
                Some(Status::Error) | None => Err("the other server refuses it".to_owned()),
                Some(Status::InProgress | Status::Success) => {
                    dialled.login.step(&token, &random.bytes_16()).map_err(|error| error.to_string())
                }
            };
            match (step, status) {
                (Ok(Some(response)), Some(Status::InProgress)) => {
                    self.out.push(LinkEffect::Send { link, bytes: packet(Status::InProgress, response.as_bytes()) });
                }
                (Ok(None), Some(Status::Success)) => {
                    log.info(Logger::AuthLearner, "Successfully completed the authentication using SASL.");
                    let Some(dialled) = self.dialled.remove(&link) else { return Vec::new() };
                    self.out.extend(dialled.held);
                    let said = Some(dialled.arrived.freeze()).filter(|said| !said.is_empty());
                    return said.map(|bytes| LinkEvent::Received { link, bytes }).into_iter().collect();
                }
                (Ok(_), _) => return self.give_up(link, "the other server breaks off the exchange", log),
                (Err(why), _) => return self.give_up(link, &why, log),
            }
        }
        Vec::new()
    }

    fn give_up(&mut self, link: LinkId, why: &str, log: &mut Lines) -> Vec<LinkEvent> {
        log.warn(Logger::AuthLearner, format!("Authentication failed against another server: {why}"));
        if let Some(dialled) = self.dialled.get_mut(&link) {
            dialled.held.clear();
            dialled.refused = true;
        }
        self.out.push(LinkEffect::Close(link));
        Vec::new()
    }
}

impl Accepted {
    fn first(&self) -> First {
        let greeting = match self.port {
            PeerPort::Quorum | PeerPort::Observers => 0,
            PeerPort::Election => match Greeting::decode(&Bytes::copy_from_slice(&self.arrived)) {
                Ok(Some((_, length))) => length,
                Ok(None) => return First::Unknown,
                // The machine says what is wrong.
                Err(_) => return First::Other,
            },
        };
        let behind = self.arrived.get(greeting..).unwrap_or_default();
        match behind.first_chunk() {
            None => First::Unknown,
            Some(magic) if i64::from_be_bytes(*magic) == MAGIC => First::Packet(greeting),
            Some(_) => First::Other,
        }
    }
}

/// `QuorumAuthPacket`: magic, status, token.
fn packet(status: Status, token: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(16 + token.len());
    bytes.put_i64(MAGIC);
    bytes.put_i32(status as i32);
    bytes.put_i32(token.len() as i32);
    bytes.put_slice(token);
    bytes.freeze()
}

/// What stands at a place where a packet is to be.
enum Packet {
    /// Its status, if that is known; its token, and its length.
    Whole(Option<Status>, Bytes, usize),
    /// Something else.
    Broken,
}

/// The packet behind so many bytes; none if it is not whole yet, which it is within [`TOKEN_LENGTH_MAX`].
fn take_packet(arrived: &[u8], behind: usize) -> Option<Packet> {
    let bytes = Bytes::copy_from_slice(arrived.get(behind..)?);
    let mut reader = Reader::new(&bytes);
    if reader.i64().ok()? != MAGIC {
        return Some(Packet::Broken);
    }
    let (status, length) = (reader.i32().ok()?, reader.i32().ok()?);
    if length > TOKEN_LENGTH_MAX {
        return Some(Packet::Broken);
    }
    // -1 is null.
    let token = reader.bytes(usize::try_from(length).unwrap_or(0)).ok()?;
    let status = [Status::InProgress, Status::Success, Status::Error].into_iter().find(|known| *known as i32 == status);
    Some(Packet::Whole(status, token, reader.position()))
}

/// Takes `length` bytes out from behind the greeting, which stays.
fn cut_out(arrived: &mut BytesMut, greeting: usize, length: usize) {
    let mut rest = arrived.split_off(greeting.min(arrived.len()));
    rest.advance(length.min(rest.len()));
    arrived.unsplit(rest);
}

#[cfg(test)]
mod tests {
    use config::zookeeper::Secret;

    use super::*;

    const ACCEPTED: LinkId = LinkId(7);
    const TO_A_LEADER: LinkId = LinkId(1 << 63 | TO_LEADER | 1);
    const TO_A_VOTER: LinkId = LinkId(1 << 63 | 2);

    /// Two servers' logins, with a link between them.
    struct World {
        server: LinkLogins,
        learner: LinkLogins,
        link: LinkId,
        random: Random,
        log: Lines,
        /// What each machine was told, and what it was told to carry out of the other's.
        heard: Vec<u8>,
        answered: Vec<u8>,
        closed: (bool, bool),
    }

    fn settings(required: bool, password: &str) -> QuorumSasl {
        let users = [("server".to_owned(), Secret("secret".to_owned()))].into();
        let learner = (!password.is_empty()).then(|| ("server".to_owned(), Secret(password.to_owned())));
        QuorumSasl { server_required: required, users, learner }
    }

    impl World {
        fn new(link: LinkId, required: bool, password: &str) -> Self {
            let mut world = Self {
                server: LinkLogins::new(Some(settings(required, ""))),
                learner: LinkLogins::new(Some(settings(false, password))),
                link,
                random: Random::from_seed(1),
                log: Lines::default(),
                heard: Vec::new(),
                answered: Vec::new(),
                closed: (false, false),
            };
            let dial = LinkEffect::Dial { link, addresses: Vec::new(), timeout_ms: 1 };
            world.learner_wants(vec![dial]);
            let port = if link.0 & TO_LEADER != 0 { PeerPort::Quorum } else { PeerPort::Election };
            let peer = ([127, 0, 0, 1], 1).into();
            world.server_hears(LinkEvent::Accepted { link: ACCEPTED, port, peer });
            world.learner_hears(LinkEvent::Connected { link });
            world
        }

        fn learner_wants(&mut self, wanted: Vec<LinkEffect>) {
            let mut effects = wanted.into_iter().map(Effect::Link).collect();
            self.learner.rewrite(&mut effects, Monotonic::default());
            for effect in effects {
                match effect {
                    Effect::Link(LinkEffect::Send { bytes, .. }) => {
                        // Cut anywhere.
                        for piece in bytes.chunks(5) {
                            let bytes = Bytes::copy_from_slice(piece);
                            self.server_hears(LinkEvent::Received { link: ACCEPTED, bytes });
                        }
                    }
                    Effect::Link(LinkEffect::Close(_)) => self.closed.0 = true,
                    _ => {}
                }
            }
        }

        fn server_hears(&mut self, event: LinkEvent) {
            for event in self.server.event(event, Monotonic::default(), &mut self.random, &mut self.log) {
                if let LinkEvent::Received { bytes, .. } = event {
                    self.heard.extend_from_slice(&bytes);
                }
            }
            self.server_wants(Vec::new());
        }

        fn server_wants(&mut self, wanted: Vec<LinkEffect>) {
            let mut effects = wanted.into_iter().map(Effect::Link).collect();
            self.server.rewrite(&mut effects, Monotonic::default());
            for effect in effects {
                match effect {
                    Effect::Link(LinkEffect::Send { bytes, .. }) => {
                        let link = self.link;
                        self.learner_hears(LinkEvent::Received { link, bytes });
                    }
                    Effect::Link(LinkEffect::Close(_)) => self.closed.1 = true,
                    _ => {}
                }
            }
        }

        fn learner_hears(&mut self, event: LinkEvent) {
            for event in self.learner.event(event, Monotonic::default(), &mut self.random, &mut self.log) {
                if let LinkEvent::Received { bytes, .. } = event {
                    self.answered.extend_from_slice(&bytes);
                }
            }
            self.learner_wants(Vec::new());
        }

        fn say(&mut self, bytes: &[u8]) {
            let send = LinkEffect::Send { link: self.link, bytes: Bytes::copy_from_slice(bytes) };
            self.learner_wants(vec![send]);
        }

        fn answer(&mut self, bytes: &[u8]) {
            self.server_wants(vec![LinkEffect::Send { link: ACCEPTED, bytes: Bytes::copy_from_slice(bytes) }]);
        }
    }

    /// A greeting of server 3.
    fn greeting() -> Vec<u8> {
        3_i64.to_be_bytes().to_vec()
    }

    #[test]
    fn the_machines_hear_what_is_not_of_the_login_and_in_order() {
        for (link, first) in
            [(TO_A_LEADER, b"FOLLOWER".to_vec()), (TO_A_VOTER, [greeting(), b"vote".to_vec()].concat())]
        {
            let mut world = World::new(link, true, "secret");
            world.say(&first);
            world.say(b"more");
            assert_eq!(world.heard, [first, b"more".to_vec()].concat());
            world.answer(b"answer");
            assert_eq!((&world.answered[..], world.closed), (&b"answer"[..], (false, false)));
        }
    }

    #[test]
    fn a_wrong_password_closes_both_sides_and_nothing_is_heard() {
        for link in [TO_A_LEADER, TO_A_VOTER] {
            let mut world = World::new(link, true, "guess");
            world.say(&greeting());
            world.say(b"more");
            assert_eq!((world.heard.len(), world.answered.len(), world.closed), (0, 0, (true, true)));
        }
    }

    #[test]
    fn who_does_not_log_in_is_closed_or_let_in_as_configured() {
        for (link, first) in
            [(TO_A_LEADER, b"FOLLOWER".to_vec()), (TO_A_VOTER, [greeting(), b"votevote".to_vec()].concat())]
        {
            let mut world = World::new(link, true, "");
            world.say(&first);
            assert_eq!((world.heard.len(), world.closed), (0, (false, true)));
            let mut world = World::new(link, false, "");
            world.say(&first);
            assert_eq!((&world.heard, world.closed), (&first, (false, false)));
        }
        // One that greets and leaves is to be called back.
        let mut world = World::new(TO_A_VOTER, false, "");
        world.say(&greeting());
        world.server_hears(LinkEvent::Closed { link: ACCEPTED, reason: "closed".into() });
        assert_eq!(world.heard, greeting());
    }

    #[test]
    fn a_close_behind_the_greeting_waits_for_the_login() {
        let mut world = World::new(TO_A_VOTER, true, "secret");
        let send = LinkEffect::Send { link: TO_A_VOTER, bytes: greeting().into() };
        world.learner_wants(vec![send, LinkEffect::Close(TO_A_VOTER)]);
        assert_eq!((&world.heard, world.closed), (&greeting(), (true, false)));
    }

    #[test]
    fn a_server_that_is_silent_is_left_after_a_while() {
        let mut logins = LinkLogins::new(Some(settings(false, "secret")));
        let mut log = Lines::default();
        let mut effects =
            vec![Effect::Link(LinkEffect::Dial { link: TO_A_LEADER, addresses: Vec::new(), timeout_ms: 1 })];
        logins.rewrite(&mut effects, Monotonic::default());
        let connected = LinkEvent::Connected { link: TO_A_LEADER };
        logins.event(connected, Monotonic::from_ms(1), &mut Random::from_seed(1), &mut log);
        let mut effects = Vec::new();
        logins.rewrite(&mut effects, Monotonic::from_ms(LOGIN_MS_MAX));
        assert!(matches!(effects.as_slice(), [Effect::Link(LinkEffect::Send { .. })]), "{effects:?}");
        effects.clear();
        logins.rewrite(&mut effects, Monotonic::from_ms(LOGIN_MS_MAX + 2));
        assert!(matches!(effects.as_slice(), [Effect::Link(LinkEffect::Close(_))]), "{effects:?}");
    }

    #[test]
    fn garbage_and_absurd_lengths_are_refused() {
        let huge = [&MAGIC.to_be_bytes()[..], &0_i32.to_be_bytes(), &i32::MAX.to_be_bytes()].concat();
        let negative = [&MAGIC.to_be_bytes()[..], &0_i32.to_be_bytes(), &(-1_i32).to_be_bytes()].concat();
        for bytes in [huge, [negative.clone(), negative].concat(), vec![0xff; 100_000]] {
            let mut world = World::new(TO_A_LEADER, true, "");
            world.server_hears(LinkEvent::Received { link: ACCEPTED, bytes: bytes.into() });
            assert_eq!((world.heard.len(), world.closed.1), (0, true));
        }
    }
}
