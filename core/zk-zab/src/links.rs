//! One connection for each pair of servers on the election port (upstream `QuorumCnxManager`).
//!
//! The server with the greater number is the one that dials. If the lesser has something to say it dials too, says who it
//! is and hangs up; the other one closes what it had and calls back. Past the greeting each side sends frames: a length,
//! and an election's notification. Nothing is queued: of two messages to the same server the later counts, and the
//! last one goes out again on each new connection, since the end of the old one may have swallowed it.
//!
//! ```text
//! greeting  version i64 (-65536, -65535), number i64, length i32 (1..=2048), addresses   or   number i64 (before 3.5)
//! frame     length i32 (1..=512 KiB), message
//! ```
//!
//! A greeting proves nothing about who sent it: as upstream, whoever reaches the port is believed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use base::{DecodeError, Monotonic, Reader};
use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{LinkId, ServerId};

/// The longest message (upstream `PACKETMAXSIZE`).
const MESSAGE_LEN_MAX: usize = 512 * 1024;

/// The longest text of addresses (upstream `maxBuffer`).
const ADDRESSES_LEN_MAX: usize = 2048;

/// Greeting with one address, since 3.5 (ZOOKEEPER-107).
const VERSION_ONE_ADDRESS: i64 = -65536;

/// Greeting with any number of addresses, since 3.6 (ZOOKEEPER-3188).
const VERSION_ADDRESSES: i64 = -65535;

/// The number that an observer without a number gives (upstream `QuorumPeer.OBSERVER_ID`).
const UNNUMBERED: ServerId = i64::MAX;

/// How many connections may stand without a greeting; the oldest makes room.
const GREETINGS_MAX: usize = 64;

/// How many servers outside of the list are dealt with at a time.
const STRANGERS_MAX: usize = 64;

/// How long a server that was asked to call back is given before it is asked again. Asking makes it close its side's
/// connection, perhaps the very one that it has just made.
const CALL_BACK_MS: u64 = 200;

/// With `multiAddress.enabled`: a link that has brought nothing for so long, and for so many messages, may end at an address that is
/// gone. TCP would find that out in many minutes.
const UNANSWERED_MS: u64 = 1000;
const UNANSWERED_MAX: u32 = 3;

/// Links that this server dials have the top bit set.
const DIALLED: u64 = 1 << 63;

/// How long things take, and what is said.
#[derive(Clone, Debug)]
pub struct LinkSettings {
    /// This server's election addresses as upstream's `NetUtils.formatInetAddr` writes them: `127.0.0.1:3888`, `[::1]:3888`.
    pub addresses: Vec<String>,
    /// `multiAddress.enabled`: all addresses are told, not the first alone.
    pub is_multi_address: bool,
    /// How long dialling may take (`zookeeper.cnxTimeout`).
    pub connect_timeout_ms: u64,
    /// How long a greeting may take (upstream the socket timeout, tickTime x syncLimit).
    pub greeting_timeout_ms: u64,
}

/// Where a server says that it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or number, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// What the owner is to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEffect {
    /// Connect, and say [`Links::dialled`] or [`Links::dial_failed`].
    Dial {
        /// What the connection is called from now on.
        link: LinkId,
        /// Whom to reach.
        peer: ServerId,
        /// Where, as the peer said; if empty, where the list of servers says.
        addresses: Vec<Address>,
    },
    /// Write.
    Send {
        /// Where.
        link: LinkId,
        /// A greeting or a frame.
        bytes: Bytes,
    },
    /// Close, once everything sent has left; or give up dialling. The link is not heard of again.
    Close {
        /// Which.
        link: LinkId,
        /// For the log.
        reason: CloseReason,
    },
    /// A message for the election.
    Message {
        /// Who sent it.
        from: ServerId,
        /// The message.
        bytes: Bytes,
    },
    /// There is no connection to this server, and none is being made.
    Lost {
        /// Which.
        peer: ServerId,
    },
}

/// Why a link is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The greater number dials; the other one has said that it has something to say.
    #[error("server {peer} has the greater number and calls back")]
    CallsBack {
        /// The other side.
        peer: ServerId,
    },
    /// The greater number dials: this server calls back.
    #[error("server {peer} has the smaller number and is called back")]
    CalledBack {
        /// The other side.
        peer: ServerId,
    },
    /// There is another connection to the same server.
    #[error("another connection to server {peer} takes its place")]
    Replaced {
        /// The other side.
        peer: ServerId,
    },
    /// Two servers with one number, or one that called itself.
    #[error(
        "We got a connection request from a server with our own ID {me}. This should be either a configuration error, or a bug."
    )]
    OwnNumber {
        /// This server.
        me: ServerId,
    },
    /// Not a greeting.
    #[error("Initial message parsing error! {0}")]
    Greeting(#[from] GreetingError),
    /// Not the length of a message.
    #[error("Connection broken for id {peer}: Received packet with invalid packet: {length}")]
    Length {
        /// The other side.
        peer: ServerId,
        /// As read.
        length: i32,
    },
    /// Neither connected nor refused.
    #[error("server {peer} could not be reached in time")]
    ConnectTimeout {
        /// The other side.
        peer: ServerId,
    },
    /// Connected, and said nothing.
    #[error("Exception reading or writing challenge: Read timed out")]
    GreetingTimeout,
    /// More connections without a greeting, or from servers outside of the list, than are dealt with.
    #[error("too many connections of unknown servers")]
    TooMany,
}

impl CloseReason {
    /// Whether a person may have to look after it; the others belong to every election.
    pub const fn is_trouble(&self) -> bool {
        matches!(
            self,
            Self::OwnNumber { .. } | Self::Greeting(_) | Self::Length { .. } | Self::GreetingTimeout | Self::TooMany
        )
    }
}

/// What is wrong with a greeting. The words are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GreetingError {
    /// A negative number that is no version.
    #[error("Got unrecognized protocol version {0}")]
    Version(i64),
    /// Outside of 1..=2048.
    #[error("Unreasonable buffer length: {0}")]
    Length(i32),
    /// Not `host:port`, not `[host]:port`.
    #[error("Badly formed address: {0}")]
    Address(String),
    /// Not a port.
    #[error("Bad port number: {0}")]
    Port(String),
}

/// What the one who dials says first (upstream `QuorumCnxManager.InitialMessage`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Its number.
    pub id: ServerId,
    /// Where to call it back; wildcards are left out, and servers before 3.5 don't say.
    pub addresses: Vec<Address>,
}

impl Greeting {
    /// Reads a greeting off the front of what has arrived; `None` if more is to come.
    ///
    /// # Errors
    /// See [`GreetingError`].
    pub fn decode(arrived: &Bytes) -> Result<Option<(Self, usize)>, GreetingError> {
        let mut reader = Reader::new(arrived);
        let Ok(version) = reader.i64() else { return Ok(None) };
        if version >= 0 {
            return Ok(Some((Self { id: version, addresses: Vec::new() }, reader.position())));
        }
        if version != VERSION_ONE_ADDRESS && version != VERSION_ADDRESSES {
            return Err(GreetingError::Version(version));
        }
        let head = |reader: &mut Reader<'_>| -> Result<_, DecodeError> { Ok((reader.i64()?, reader.i32()?)) };
        let Ok((id, length)) = head(&mut reader) else { return Ok(None) };
        let text_len = usize::try_from(length).ok().filter(|length| (1..=ADDRESSES_LEN_MAX).contains(length));
        let text_len = text_len.ok_or(GreetingError::Length(length))?;
        let Ok(text) = reader.slice(text_len) else { return Ok(None) };
        Ok(Some((Self { id, addresses: addresses(text)? }, reader.position())))
    }

    fn encode(me: ServerId, settings: &LinkSettings) -> Bytes {
        let (version, text) = if settings.is_multi_address {
            (VERSION_ADDRESSES, settings.addresses.join("|"))
        } else {
            (VERSION_ONE_ADDRESS, settings.addresses.first().cloned().unwrap_or_default())
        };
        let mut out = BytesMut::with_capacity(20 + text.len());
        out.put_i64(version);
        out.put_i64(me);
        out.put_i32(text.len() as i32);
        out.put_slice(text.as_bytes());
        out.freeze()
    }
}

/// `host:port|host:port`. Empty ones at the end don't count, as with Java's `String.split`.
fn addresses(text: &[u8]) -> Result<Vec<Address>, GreetingError> {
    let bad = |address: &[u8]| GreetingError::Address(String::from_utf8_lossy(address).into_owned());
    let text = str::from_utf8(text).map_err(|_| bad(text))?.trim_end_matches('|');
    let mut addresses = Vec::new();
    for address in text.split('|').filter(|_| !text.is_empty()) {
        let (host, port) = match address.strip_prefix('[') {
            Some(bracketed) => bracketed.split_once("]:"),
            None => address.split_once(':'),
        }
        .filter(|(_, port)| !port.is_empty() && !port.contains(':'))
        .ok_or_else(|| bad(address.as_bytes()))?;
        let port = port.parse().map_err(|_| GreetingError::Port(port.to_owned()))?;
        if !host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified()) {
            addresses.push(Address { host: host.to_owned(), port });
        }
    }
    Ok(addresses)
}

#[derive(Debug)]
enum Stage {
    Dialling { peer: ServerId, until: Monotonic },
    Greeting { until: Monotonic },
    Up { peer: ServerId, is_congested: bool },
}

#[derive(Debug)]
struct Link {
    stage: Stage,
    arrived: BytesMut,
}

#[derive(Debug, Default)]
struct Peer {
    up: Option<LinkId>,
    dialling: Option<LinkId>,
    /// Until then a server with a greater number need not be asked again to call back.
    asked_until: Option<Monotonic>,
    /// What was last to be sent, sent or not.
    latest: Option<Bytes>,
    /// The link could not take it.
    is_behind: bool,
    /// How many messages it was given since it brought something, and when the first.
    unanswered: Option<(Monotonic, u32)>,
}

/// All election connections of one server.
#[derive(Debug)]
pub struct Links {
    me: ServerId,
    /// The servers in the list, now or next.
    members: BTreeSet<ServerId>,
    settings: LinkSettings,
    links: BTreeMap<LinkId, Link>,
    peers: BTreeMap<ServerId, Peer>,
    dials: u64,
    /// The number that the next observer without one gets.
    unnumbered: ServerId,
}

impl Links {
    /// No connection yet; they are made as messages want to be sent. `members` are the servers in the list, now or next.
    pub const fn new(me: ServerId, members: BTreeSet<ServerId>, settings: LinkSettings) -> Self {
        Self { me, members, settings, links: BTreeMap::new(), peers: BTreeMap::new(), dials: 0, unnumbered: -1 }
    }

    /// Another list of servers.
    pub fn set_members(&mut self, members: BTreeSet<ServerId>) {
        self.peers.retain(|id, peer| members.contains(id) || peer.up.is_some() || peer.dialling.is_some());
        self.members = members;
    }

    /// This server listens elsewhere: what greetings say from now on.
    pub fn set_addresses(&mut self, addresses: Vec<String>) {
        self.settings.addresses = addresses;
    }

    /// Whether there is a connection to `peer`.
    pub fn is_connected(&self, peer: ServerId) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.up.is_some())
    }

    /// A message is to reach `to`, now or once there is a connection; an earlier one that waits is dropped.
    pub fn send(&mut self, to: ServerId, message: &Bytes, now: Monotonic, effects: &mut Vec<LinkEffect>) {
        if to == self.me {
            return;
        }
        let peer = self.peers.entry(to).or_default();
        peer.latest = Some(message.clone());
        let (since, count) = peer.unanswered.unwrap_or((now, 0));
        peer.unanswered = peer.up.map(|_| (since, count.saturating_add(1)));
        let is_silent = count >= UNANSWERED_MAX && since.plus_ms(UNANSWERED_MS) <= now;
        match peer.up {
            // Whichever of its addresses answers first is the next one.
            Some(_) if is_silent && self.settings.is_multi_address => {
                self.hang_up(to, effects);
                self.dial(to, Vec::new(), now, effects);
            }
            Some(link) => self.flush(link, effects),
            None if peer.asked_until.is_some_and(|until| now < until) => {}
            None => self.dial(to, Vec::new(), now, effects),
        }
    }

    /// Another server has connected; it is to say who it is. The owner has named the link, without the top bit.
    pub fn accepted(&mut self, link: LinkId, now: Monotonic, effects: &mut Vec<LinkEffect>) {
        let mut waiting = self.links.iter().filter(|(_, link)| matches!(link.stage, Stage::Greeting { .. }));
        if let (Some((oldest, _)), true) = (waiting.next(), waiting.count() + 1 >= GREETINGS_MAX) {
            self.close(*oldest, CloseReason::TooMany, effects);
        }
        let until = now.plus_ms(self.settings.greeting_timeout_ms);
        self.links.insert(link, Link { stage: Stage::Greeting { until }, arrived: BytesMut::new() });
    }

    /// A link of [`LinkEffect::Dial`] is connected.
    pub fn dialled(&mut self, link: LinkId, effects: &mut Vec<LinkEffect>) {
        let Some(&Link { stage: Stage::Dialling { peer: id, .. }, .. }) = self.links.get(&link) else { return };
        let peer = self.peers.entry(id).or_default();
        peer.dialling = None;
        if peer.up.is_some() {
            // The other side was quicker. Telling it who dials here would make it close that link.
            return self.close(link, CloseReason::Replaced { peer: id }, effects);
        }
        effects.push(LinkEffect::Send { link, bytes: Greeting::encode(self.me, &self.settings) });
        if id > self.me {
            self.close(link, CloseReason::CallsBack { peer: id }, effects);
            self.forget(id);
        } else {
            self.establish(link, id, effects);
        }
    }

    /// A link of [`LinkEffect::Dial`] could not be connected.
    pub fn dial_failed(&mut self, link: LinkId, effects: &mut Vec<LinkEffect>) {
        self.closed(link, effects);
    }

    /// Bytes have arrived.
    pub fn received(&mut self, link: LinkId, bytes: &[u8], now: Monotonic, effects: &mut Vec<LinkEffect>) {
        let Some(Link { stage, arrived }) = self.links.get_mut(&link) else { return };
        arrived.extend_from_slice(bytes);
        let peer = match *stage {
            Stage::Up { peer, .. } => peer,
            Stage::Dialling { .. } => return,
            Stage::Greeting { .. } => match Greeting::decode(&Bytes::copy_from_slice(arrived)) {
                Ok(None) => return,
                Ok(Some((greeting, len))) => {
                    arrived.advance(len);
                    match self.greeted(link, greeting, now, effects) {
                        Some(peer) => peer,
                        None => return,
                    }
                }
                Err(error) => return self.close(link, error.into(), effects),
            },
        };
        self.cut(link, peer, effects);
    }

    /// The link ended, by the other side or by an error.
    pub fn closed(&mut self, link: LinkId, effects: &mut Vec<LinkEffect>) {
        let Some(Link { stage, .. }) = self.links.remove(&link) else { return };
        let (Stage::Dialling { peer: id, .. } | Stage::Up { peer: id, .. }) = stage else { return };
        self.lost(link, id, effects);
    }

    /// The link can't take more for now, or can again.
    pub fn congested(&mut self, link: LinkId, is_congested: bool, effects: &mut Vec<LinkEffect>) {
        let Some(Link { stage: Stage::Up { peer, is_congested: known }, .. }) = self.links.get_mut(&link) else {
            return;
        };
        *known = is_congested;
        if self.peers.get(peer).is_some_and(|peer| peer.is_behind) {
            self.flush(link, effects);
        }
    }

    /// When [`tick`](Self::tick) is due.
    pub fn deadline(&self) -> Option<Monotonic> {
        self.links.values().filter_map(Link::until).min()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Monotonic, effects: &mut Vec<LinkEffect>) {
        let late = |(id, link): (&LinkId, &Link)| link.until().is_some_and(|at| at <= now).then_some(*id);
        let late: Vec<LinkId> = self.links.iter().filter_map(late).collect();
        for link in late {
            match self.links.get(&link).map(|link| &link.stage) {
                Some(&Stage::Dialling { peer, .. }) => {
                    self.close(link, CloseReason::ConnectTimeout { peer }, effects);
                    self.lost(link, peer, effects);
                }
                _ => self.close(link, CloseReason::GreetingTimeout, effects),
            }
        }
    }
}

impl Links {
    fn dial(&mut self, id: ServerId, addresses: Vec<Address>, now: Monotonic, effects: &mut Vec<LinkEffect>) {
        let peer = self.peers.entry(id).or_default();
        if peer.dialling.is_some() {
            return;
        }
        let link = LinkId(DIALLED | self.dials);
        self.dials += 1;
        peer.dialling = Some(link);
        peer.asked_until = (id > self.me).then(|| now.plus_ms(CALL_BACK_MS));
        let until = now.plus_ms(self.settings.connect_timeout_ms);
        let stage = Stage::Dialling { peer: id, until };
        self.links.insert(link, Link { stage, arrived: BytesMut::new() });
        effects.push(LinkEffect::Dial { link, peer: id, addresses });
    }

    /// Who called is known. Gives the peer if the link is kept.
    fn greeted(
        &mut self,
        link: LinkId,
        greeting: Greeting,
        now: Monotonic,
        effects: &mut Vec<LinkEffect>,
    ) -> Option<ServerId> {
        let mut id = greeting.id;
        if id == UNNUMBERED {
            id = self.unnumbered;
            self.unnumbered = self.unnumbered.wrapping_sub(1);
        }
        let strangers = self.peers.keys().filter(|peer| !self.members.contains(peer)).count();
        if id == self.me {
            self.close(link, CloseReason::OwnNumber { me: id }, effects);
        } else if strangers >= STRANGERS_MAX && !self.members.contains(&id) && !self.peers.contains_key(&id) {
            self.close(link, CloseReason::TooMany, effects);
        } else if id > self.me {
            self.establish(link, id, effects);
            return Some(id);
        } else {
            self.hang_up(id, effects);
            self.close(link, CloseReason::CalledBack { peer: id }, effects);
            self.dial(id, greeting.addresses, now, effects);
        }
        None
    }

    /// The link is the one to `id` from now on.
    fn establish(&mut self, link: LinkId, id: ServerId, effects: &mut Vec<LinkEffect>) {
        self.hang_up(id, effects);
        if let Some(link) = self.links.get_mut(&link) {
            link.stage = Stage::Up { peer: id, is_congested: false };
        }
        let peer = self.peers.entry(id).or_default();
        (peer.up, peer.asked_until, peer.unanswered) = (Some(link), None, None);
        self.flush(link, effects);
    }

    /// Closes the connection to `id`, if there is one, in favour of another.
    fn hang_up(&mut self, id: ServerId, effects: &mut Vec<LinkEffect>) {
        if let Some(link) = self.peers.get_mut(&id).and_then(|peer| peer.up.take()) {
            self.close(link, CloseReason::Replaced { peer: id }, effects);
        }
    }

    /// Sends the latest message, unless the link can't take it.
    fn flush(&mut self, link: LinkId, effects: &mut Vec<LinkEffect>) {
        let Some(&Link { stage: Stage::Up { peer, is_congested }, .. }) = self.links.get(&link) else { return };
        let Some(Peer { latest: Some(message), is_behind, .. }) = self.peers.get_mut(&peer) else { return };
        *is_behind = is_congested;
        if !is_congested {
            let mut frame = BytesMut::with_capacity(4 + message.len());
            frame.put_i32(message.len() as i32);
            frame.put_slice(message);
            effects.push(LinkEffect::Send { link, bytes: frame.freeze() });
        }
    }

    /// Hands out the complete messages.
    fn cut(&mut self, link: LinkId, peer: ServerId, effects: &mut Vec<LinkEffect>) {
        while let Some(Link { arrived, .. }) = self.links.get_mut(&link) {
            let Some(length) = arrived.first_chunk().copied().map(i32::from_be_bytes) else { return };
            let Some(len) = usize::try_from(length).ok().filter(|len| (1..=MESSAGE_LEN_MAX).contains(len)) else {
                self.close(link, CloseReason::Length { peer, length }, effects);
                return self.lost(link, peer, effects);
            };
            if arrived.len() < 4 + len {
                return;
            }
            arrived.advance(4);
            effects.push(LinkEffect::Message { from: peer, bytes: arrived.split_to(len).freeze() });
            if let Some(peer) = self.peers.get_mut(&peer) {
                peer.unanswered = None;
            }
        }
    }

    fn close(&mut self, link: LinkId, reason: CloseReason, effects: &mut Vec<LinkEffect>) {
        self.links.remove(&link);
        effects.push(LinkEffect::Close { link, reason });
    }

    /// `link` to `id` is gone, and it was this side's hope or hold.
    fn lost(&mut self, link: LinkId, id: ServerId, effects: &mut Vec<LinkEffect>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.up.take_if(|up| *up == link);
        peer.dialling.take_if(|dialling| *dialling == link);
        if peer.up.is_none() && peer.dialling.is_none() {
            peer.asked_until = None;
            effects.push(LinkEffect::Lost { peer: id });
            self.forget(id);
        }
    }

    /// Nothing is kept for a server outside of the list without a connection.
    fn forget(&mut self, id: ServerId) {
        if !self.members.contains(&id) {
            self.peers.remove(&id);
        }
    }
}

impl Link {
    const fn until(&self) -> Option<Monotonic> {
        match self.stage {
            Stage::Dialling { until, .. } | Stage::Greeting { until } => Some(until),
            Stage::Up { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_by_what_has_arrived() {
        let now = Monotonic::default();
        let settings = LinkSettings {
            addresses: vec!["two:1".to_owned()],
            is_multi_address: false,
            connect_timeout_ms: 1,
            greeting_timeout_ms: 1,
        };
        let mut links = Links::new(2, BTreeSet::from([3]), settings);
        let (link, mut effects) = (LinkId(1), Vec::new());
        links.accepted(link, now, &mut effects);
        links.received(link, &3_i64.to_be_bytes(), now, &mut effects);
        let held = |links: &Links| links.links.get(&link).expect("open").arrived.capacity();

        // A length is no reason to make room.
        links.received(link, &(MESSAGE_LEN_MAX as i32).to_be_bytes(), now, &mut effects);
        assert!(held(&links) < 1024, "{}", held(&links));

        // However much comes, one message is held, and no more than the buffer's growth makes of it.
        let mut received = 0;
        for _ in 0..10 {
            for piece in vec![0; MESSAGE_LEN_MAX].chunks(10_000) {
                links.received(link, piece, now, &mut effects);
                received += effects.drain(..).filter(|effect| matches!(effect, LinkEffect::Message { .. })).count();
                assert!(held(&links) <= 2 * MESSAGE_LEN_MAX + 20_000, "{}", held(&links));
            }
            links.received(link, &(MESSAGE_LEN_MAX as i32).to_be_bytes(), now, &mut effects);
        }
        assert_eq!(received, 10);

        links.closed(link, &mut effects);
        assert_eq!((links.links.len(), links.peers.len()), (0, 1));
        links.set_members(BTreeSet::new());
        assert_eq!(links.peers.len(), 0);
    }
}
