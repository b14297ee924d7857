//! Ends the session of somebody who is gone and left its key: takes it up and closes it, so that its ephemeral nodes go at once.
//!
//! Driven as a [`Client`] is. The servers are asked one after the other, again and again, until one has confirmed that the session is
//! over, or for as long as the session could live without its owner. No other session is ever made: whoever knows no such session
//! says so, and that is the aim.

use base::{Monotonic, Random};

use crate::{Client, ClientConfig, Effect, Event, SessionKey, State};

/// How long each server may take to answer, in milliseconds. It is also the session timeout asked for, which the server raises to its
/// least: a session that is taken up and not closed shall not live longer for that.
const PATIENCE_MS: u64 = 1000;

/// The longest wait before a further try.
const RETRY_MS: u64 = 100;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// The session is over.
    Closed,
    /// No server said so in time.
    GivenUp,
}

/// The machine.
#[derive(Debug)]
pub struct Closer {
    config: ClientConfig,
    random: Random,
    client: Client,
    /// When a client that came to nothing is replaced.
    again: Option<Monotonic>,
    gives_up: Monotonic,
    ended: Option<Closing>,
    effects: Vec<Effect>,
}

impl Closer {
    /// Will connect at once: take its effects. `config` is the owner's; its session timeout is how long is tried.
    pub fn new(mut config: ClientConfig, session: SessionKey, mut random: Random, now: Monotonic) -> Self {
        let gives_up = now.plus_ms(config.session_timeout_ms.into());
        // A client has patience with each of its servers for its share of the timeout.
        let timeout_ms = PATIENCE_MS * config.connect.hosts.len() as u64;
        config.session_timeout_ms = config.session_timeout_ms.min(u32::try_from(timeout_ms).unwrap_or(u32::MAX));
        config.reconnect_delay_ms_max = RETRY_MS;
        config.resume = Some(session);
        let client = Client::new(config.clone(), Random::from_seed(random.next_u64()), now);
        let mut closer = Self { config, random, client, again: None, gives_up, ended: None, effects: Vec::new() };
        closer.go_on(now);
        closer
    }

    /// The socket asked for is open.
    pub fn connected(&mut self, now: Monotonic) {
        self.client.connected(now);
        self.go_on(now);
    }

    /// The socket is closed, or could not be opened.
    pub fn disconnected(&mut self, now: Monotonic) {
        self.client.disconnected(now);
        self.go_on(now);
    }

    /// Bytes of the socket, cut anywhere.
    pub fn receive(&mut self, bytes: &[u8], now: Monotonic) {
        self.client.receive(bytes, now);
        self.go_on(now);
    }

    /// [`Closer::deadline`] is reached.
    pub fn tick(&mut self, now: Monotonic) {
        if self.again.is_some_and(|again| again <= now) {
            self.again = None;
            self.client = Client::new(self.config.clone(), Random::from_seed(self.random.next_u64()), now);
        }
        self.client.tick(now);
        self.go_on(now);
    }

    /// When [`Closer::tick`] is wanted next; `None` when it has ended.
    pub fn deadline(&self) -> Option<Monotonic> {
        if self.ended.is_some() {
            return None;
        }
        let next = self.again.or_else(|| self.client.deadline());
        Some(next.map_or(self.gives_up, |next| next.min(self.gives_up)))
    }

    /// What is to be done, in order; there are no [`Effect::Event`]s among it.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// How it ended, if it has.
    pub const fn ended(&self) -> Option<Closing> {
        self.ended
    }

    fn go_on(&mut self, now: Monotonic) {
        if self.ended.is_some() {
            return;
        }
        loop {
            let effects = self.client.take_effects();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                self.take(effect, now);
            }
        }
        if self.client.is_over() {
            match self.client.session() {
                None => self.ended = Some(Closing::Closed),
                // The connection was lost before the answer, or the login was refused.
                Some(_) => self.again = self.again.or(Some(now.plus_ms(RETRY_MS))),
            }
        }
        if self.ended.is_none() && self.gives_up <= now {
            self.ended = Some(Closing::GivenUp);
            self.effects.push(Effect::Disconnect);
        }
    }

    fn take(&mut self, effect: Effect, now: Monotonic) {
        match effect {
            Effect::Event(Event::State(State::Connected)) if self.config.login.is_none() => self.client.close(now),
            // A server may want to know who closes a session.
            Effect::Event(Event::State(State::SaslAuthenticated)) => self.client.close(now),
            Effect::Event(_) => {}
            other => self.effects.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use base::Reader;
    use bytes::{BufMut, Bytes, BytesMut};
    use zk_proto::connect::{ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader};
    use zk_proto::{Jute, OpCode};

    use super::*;
    use crate::Credentials;

    const SESSION: i64 = 0x1_0000_0000_0007;

    fn start(timeout_ms: u32) -> (Closer, Monotonic) {
        let now = Monotonic::from_ms(1000);
        let key = SessionKey { id: SESSION, password: Bytes::from_static(b"0123456789abcdef") };
        let config = ClientConfig::new("a:1,b:2/chroot".parse().unwrap(), timeout_ms);
        (Closer::new(config, key, Random::from_seed(7), now), now)
    }

    fn frame(encode: impl FnOnce(&mut BytesMut)) -> Bytes {
        let mut body = BytesMut::new();
        encode(&mut body);
        let mut framed = BytesMut::new();
        framed.put_i32(i32::try_from(body.len()).unwrap());
        framed.extend_from_slice(&body);
        framed.freeze()
    }

    fn greeting(timeout_ms: i32) -> Bytes {
        let session_id = if timeout_ms == 0 { 0 } else { SESSION };
        let password = Bytes::from_static(b"0123456789abcdef");
        frame(|out| {
            ConnectResponse { protocol_version: 0, timeout_ms, session_id, password, read_only: Some(false) }
                .encode(out);
        })
    }

    /// Dials until somebody answers; the greeting that is sent then.
    fn connect(closer: &mut Closer, now: Monotonic) -> ConnectRequest {
        assert!(matches!(closer.take_effects()[..], [Effect::Connect(_)]));
        closer.connected(now);
        let effects = closer.take_effects();
        let [Effect::Send(bytes)] = &effects[..] else { panic!("{effects:?}") };
        ConnectRequest::decode(&mut Reader::new(&bytes.slice(4..))).unwrap()
    }

    fn asks_to_close(closer: &mut Closer) -> bool {
        let effects = closer.take_effects();
        let [Effect::Send(bytes)] = &effects[..] else { panic!("{effects:?}") };
        RequestHeader::decode(&mut Reader::new(&bytes.slice(4..))).unwrap().op == OpCode::CloseSession.code()
    }

    #[test]
    fn a_session_is_taken_up_with_little_time_and_closed() {
        let (mut closer, now) = start(18_000);
        let greeted = connect(&mut closer, now);
        assert_eq!((greeted.session_id, greeted.timeout_ms), (SESSION, 2000));
        closer.receive(&greeting(4000), now);
        assert!(asks_to_close(&mut closer));
        assert_eq!(closer.ended(), None, "nothing is confirmed");
        closer.receive(&frame(|out| ReplyHeader { xid: 1, zxid: 5, err: 0 }.encode(out)), now);
        assert_eq!((closer.ended(), closer.deadline()), (Some(Closing::Closed), None));
    }

    #[test]
    fn a_session_that_no_server_knows_is_over_and_no_other_is_made() {
        let (mut closer, now) = start(18_000);
        connect(&mut closer, now);
        closer.receive(&greeting(0), now);
        assert_eq!(closer.ended(), Some(Closing::Closed));
        assert_eq!(closer.take_effects(), [Effect::Disconnect]);
    }

    #[test]
    fn who_is_cut_off_before_the_answer_asks_again_until_the_session_must_be_over() {
        let (mut closer, mut now) = start(6000);
        let end = now.plus_ms(6000);
        for _ in 0..3 {
            connect(&mut closer, now);
            closer.receive(&greeting(4000), now);
            assert!(asks_to_close(&mut closer));
            closer.disconnected(now);
            let next = closer.deadline().unwrap();
            assert!(next > now && next <= now.plus_ms(RETRY_MS));
            now = next;
            closer.take_effects();
            closer.tick(now);
        }
        let mut hosts = Vec::new();
        while closer.ended().is_none() {
            for effect in closer.take_effects() {
                if let Effect::Connect(host) = effect {
                    hosts.push(host.name);
                    closer.disconnected(now);
                }
            }
            now = closer.deadline().unwrap();
            closer.tick(now);
        }
        assert_eq!((closer.ended(), now), (Some(Closing::GivenUp), end));
        assert!(hosts.len() > 50 && hosts.windows(2).all(|pair| pair[0] != pair[1]), "in turn, often: {hosts:?}");
    }

    #[test]
    fn with_a_login_the_session_is_closed_behind_it() {
        let (closer, now) = start(18_000);
        let login = Some(Credentials { user: "kafka".to_owned(), password: "secret".to_owned() });
        let mut closer = Closer::new(
            ClientConfig { login, ..closer.config },
            closer.client.session().unwrap().clone(),
            Random::from_seed(7),
            now,
        );
        connect(&mut closer, now);
        closer.receive(&greeting(4000), now);
        assert!(!asks_to_close(&mut closer), "the login is first");
        closer.take(Effect::Event(Event::State(State::SaslAuthenticated)), now);
        closer.go_on(now);
        assert!(asks_to_close(&mut closer));
    }
}
