//! The session machine against a scripted server.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use base::{Monotonic, Random, Reader, Str};
use bytes::{BufMut, Bytes, BytesMut};
use security::{Answer, ServerLogin, Service};
use zk_client::{Client, ClientConfig, Credentials, Effect, Event, Failure, RequestId, SessionKey, State, ops};
use zk_proto::connect::{ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader};
use zk_proto::requests::{Request, SaslRequest, SetWatches2Request, SetWatchesRequest};
use zk_proto::responses::{GetDataResponse, PathResponse, Response, SaslResponse};
use zk_proto::{Acl, AddWatchMode, CreateMode, ErrorCode, EventType, Jute, Stat, WatcherEvent};

const LOST: Failure = Failure::Code(ErrorCode::ConnectionLoss);

/// A client, its clock, and the server's side of its socket.
struct World {
    client: Client,
    now: Monotonic,
}

impl World {
    fn new(connect: &str) -> Self {
        Self::with(ClientConfig::new(connect.parse().unwrap(), 6000))
    }

    fn with(config: ClientConfig) -> Self {
        let now = Monotonic::from_ms(1000);
        Self { client: Client::new(config, Random::from_seed(1), now), now }
    }

    fn after_ms(&mut self, ms: u64) -> &mut Self {
        self.now = self.now.plus_ms(ms);
        self.client.tick(self.now);
        self
    }

    fn submit(&mut self, request: Request) -> RequestId {
        self.client.submit(request, self.now)
    }

    /// Everything sent, as frames; panics on other effects.
    fn sent(&mut self) -> Vec<Bytes> {
        match &self.client.take_effects()[..] {
            [] => Vec::new(),
            [Effect::Send(bytes)] => frames(bytes),
            other => panic!("{other:?}"),
        }
    }

    fn sent_requests(&mut self) -> Vec<(i32, Request)> {
        self.sent().iter().map(request).collect()
    }

    fn events(&mut self) -> Vec<Event> {
        let event = |effect| if let Effect::Event(event) = effect { event } else { panic!("{effect:?}") };
        self.client.take_effects().into_iter().map(event).collect()
    }

    fn receive(&mut self, body: impl FnOnce(&mut BytesMut)) {
        self.client.receive(&framed(body), self.now);
    }

    fn greet(&mut self, timeout_ms: i32, session_id: i64) {
        let password = Bytes::from_static(b"0123456789abcdef");
        self.receive(|out| {
            ConnectResponse { protocol_version: 0, timeout_ms, session_id, password, read_only: Some(false) }
                .encode(out);
        });
    }

    fn reply(&mut self, xid: i32, zxid: i64, err: i32, body: &Response) {
        self.receive(|out| {
            ReplyHeader { xid, zxid, err }.encode(out);
            body.encode(out);
        });
    }

    fn notify(&mut self, event: EventType, path: &str) {
        self.receive(|out| {
            ReplyHeader { xid: -1, zxid: -1, err: 0 }.encode(out);
            WatcherEvent { event: event.code(), state: 3, path: Str::from(path) }.encode(out);
        });
    }

    /// Dials and gets a session; the connect request.
    fn connect(&mut self) -> ConnectRequest {
        let effects = self.client.take_effects();
        assert!(matches!(effects[..], [Effect::Connect(_)]), "{effects:?}");
        self.client.connected(self.now);
        let greeting = ConnectRequest::decode(&mut Reader::new(&self.sent()[0])).unwrap();
        self.greet(6000, 0x77);
        assert_eq!(self.events(), [Event::State(State::Connected)]);
        greeting
    }

    /// Waits out the back-off and dials again; all frames behind the connect request.
    fn reconnect(&mut self) -> (ConnectRequest, Vec<(i32, Request)>) {
        let due = self.client.deadline().unwrap();
        assert!(due > self.now, "no attempt without a pause");
        self.now = due;
        self.client.tick(due);
        assert!(matches!(self.client.take_effects()[..], [Effect::Connect(_)]));
        self.client.connected(due);
        let sent = self.sent();
        (ConnectRequest::decode(&mut Reader::new(&sent[0])).unwrap(), sent[1..].iter().map(request).collect())
    }
}

fn framed(body: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    body(&mut out);
    let mut frame = BytesMut::new();
    frame.put_i32(out.len() as i32);
    frame.put_slice(&out);
    frame.freeze()
}

fn frames(bytes: &Bytes) -> Vec<Bytes> {
    let mut reader = Reader::new(bytes);
    let mut frames = Vec::new();
    while reader.remaining() > 0 {
        let length = reader.i32().unwrap() as usize;
        frames.push(reader.bytes(length).unwrap());
    }
    frames
}

fn request(frame: &Bytes) -> (i32, Request) {
    let mut reader = Reader::new(frame);
    let header = RequestHeader::decode(&mut reader).unwrap();
    (header.xid, Request::decode(header.op, &mut reader).unwrap())
}

fn data(content: &'static [u8]) -> Response {
    Response::GetData(GetDataResponse { data: Some(Bytes::from_static(content)), stat: Stat::default() })
}

fn path(path: &str) -> Response {
    Response::Path(PathResponse { path: Str::from(path) })
}

#[test]
fn requests_wait_for_the_connection_and_leave_with_its_first_packet() {
    let mut world = World::new("one:1");
    let first = world.submit(ops::get_data("/a", false));
    let second = world.submit(ops::get_data("/b", false));
    world.client.take_effects();
    world.client.connected(world.now);
    let sent = world.sent();
    let greeting = ConnectRequest::decode(&mut Reader::new(&sent[0])).unwrap();
    assert_eq!((greeting.session_id, greeting.timeout_ms, greeting.read_only), (0, 6000, Some(false)));
    assert_eq!(request(&sent[1]), (1, ops::get_data("/a", false)));
    assert_eq!(request(&sent[2]), (2, ops::get_data("/b", false)));
    world.greet(4000, 0x77);
    world.reply(1, 5, 0, &data(b"a"));
    world.reply(2, 6, ErrorCode::NoNode.code(), &Response::Empty);
    let events = world.events();
    assert_eq!(events[0], Event::State(State::Connected));
    assert!(
        matches!(&events[1], Event::Reply(id, Ok(reply)) if *id == first && reply.response == data(b"a") && reply.zxid == 5)
    );
    assert_eq!(events[2], Event::Reply(second, Err(Failure::Code(ErrorCode::NoNode))));
    assert_eq!(
        (world.client.timeout_ms(), world.client.session().unwrap().id, world.client.last_zxid()),
        (4000, 0x77, 6)
    );
}

#[test]
fn frames_may_come_in_any_pieces() {
    let mut world = World::new("one:1");
    world.connect();
    let id = world.submit(ops::get_data("/a", false));
    world.sent();
    let frame = framed(|out| {
        ReplyHeader { xid: 1, zxid: 5, err: 0 }.encode(out);
        data(b"a").encode(out);
    });
    for byte in frame.chunks(1) {
        assert!(world.events().is_empty());
        world.client.receive(byte, world.now);
    }
    assert!(matches!(&world.events()[..], [Event::Reply(answered, Ok(_))] if *answered == id));
}

#[test]
fn what_was_sent_is_lost_with_the_connection_and_the_session_goes_on() {
    let mut world = World::new("one:1");
    world.connect();
    let lost = world.submit(ops::delete("/a", -1));
    world.sent();
    world.reply(99, 0, 0, &Response::Empty);
    assert_eq!(
        world.client.take_effects(),
        [
            Effect::Disconnect,
            Effect::Event(Event::Reply(lost, Err(LOST))),
            Effect::Event(Event::State(State::Disconnected)),
        ],
        "an answer out of order ends the connection"
    );
    let kept = world.submit(ops::delete("/b", -1));
    let (greeting, requests) = world.reconnect();
    assert_eq!((greeting.session_id, &greeting.password[..]), (0x77, &b"0123456789abcdef"[..]));
    assert_eq!(requests, [(2, ops::delete("/b", -1))]);
    world.greet(6000, 0x77);
    world.reply(2, 9, 0, &Response::Empty);
    assert!(matches!(&world.events()[1], Event::Reply(id, Ok(_)) if *id == kept));
}

#[test]
fn watches_and_credentials_are_set_again() {
    let mut world = World::new("one:1");
    world.connect();
    world.client.add_auth("digest", Bytes::from_static(b"u:p"), world.now);
    for (request, err) in [
        (ops::get_data("/data", true), 0),
        (ops::exists("/missing", true), ErrorCode::NoNode.code()),
        (ops::exists("/unwatched", false), ErrorCode::NoNode.code()),
        (ops::get_data("/gone", true), ErrorCode::NoNode.code()),
        (ops::get_children("/fired", true), 0),
        (ops::get_children("/children", true), 0),
    ] {
        world.submit(request.clone());
        let (xid, _) = world.sent_after_events();
        let body = match (&request, err) {
            (Request::GetData(_), 0) => data(b""),
            (Request::GetChildren(_), 0) => {
                Response::GetChildren(zk_proto::responses::GetChildrenResponse { children: vec![] })
            }
            _ => Response::Empty,
        };
        world.reply(xid, 40, err, &body);
    }
    world.notify(EventType::NodeChildrenChanged, "/fired");
    assert_eq!(*world.events().last().unwrap(), Event::Watch(EventType::NodeChildrenChanged, Str::from("/fired")));
    world.client.disconnected(world.now);
    world.events();
    let (greeting, requests) = world.reconnect();
    assert_eq!(greeting.last_zxid_seen, 40);
    assert!(matches!(&requests[0], (-4, Request::Auth(auth)) if auth.scheme == "digest" && &auth.auth[..] == b"u:p"));
    let paths = |paths: &[&str]| paths.iter().map(|path| Str::from(*path)).collect::<Vec<_>>();
    let old_form = SetWatchesRequest {
        relative_zxid: 40,
        data_watches: paths(&["/data"]),
        exist_watches: paths(&["/missing"]),
        child_watches: paths(&["/children"]),
    };
    assert_eq!(requests[1..], [(-8, Request::SetWatches(old_form))], "no persistent watch: the form all servers know");
    world.greet(6000, 0x77);
    world.submit(ops::add_watch("/tree", AddWatchMode::PersistentRecursive));
    let (xid, _) = world.sent_after_events();
    world.reply(xid, 41, 0, &Response::Error(zk_proto::responses::ErrorResponse { err: 0 }));
    world.notify(EventType::NodeDeleted, "/tree");
    world.notify(EventType::NodeDeleted, "/data");
    world.client.disconnected(world.now);
    world.events();
    let new_form = SetWatches2Request {
        relative_zxid: 41,
        data_watches: vec![],
        exist_watches: paths(&["/missing"]),
        child_watches: paths(&["/children"]),
        persistent_watches: vec![],
        persistent_recursive_watches: paths(&["/tree"]),
    };
    assert_eq!(world.reconnect().1[1..], [(-8, Request::SetWatches2(new_form))]);
}

impl World {
    /// The one request sent, whatever events came with it.
    fn sent_after_events(&mut self) -> (i32, Request) {
        match self.client.take_effects().pop() {
            Some(Effect::Send(bytes)) => request(frames(&bytes).last().unwrap()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn many_watches_are_set_in_several_requests() {
    let mut world = World::new("one:1");
    world.connect();
    for number in 0..3000 {
        world.submit(ops::get_data(format!("/{number:0100}"), true));
        let (xid, _) = world.sent_after_events();
        world.reply(xid, 1, 0, &data(b""));
    }
    world.client.disconnected(world.now);
    world.events();
    let counts: Vec<usize> = world
        .reconnect()
        .1
        .iter()
        .map(|(_, request)| match request {
            Request::SetWatches(body) => body.data_watches.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counts.iter().sum::<usize>(), 3000);
    assert!(counts.len() > 1 && counts.iter().all(|count| *count <= 1400), "{counts:?}");
}

#[test]
fn pings_go_out_when_nothing_else_does_and_silence_ends_the_connection() {
    let mut world = World::new("one:1");
    world.connect();
    assert!(world.after_ms(1999).sent().is_empty());
    assert_eq!(world.after_ms(1).sent_requests(), [(-2, Request::Ping)]);
    world.reply(-2, 3, 0, &Response::Empty);
    assert!(world.events().is_empty());
    // The answer came at 2 s: silence is given up at 2 s + 4 s.
    assert_eq!(world.after_ms(2000).sent_requests().len(), 1);
    assert!(world.after_ms(1999).sent().is_empty());
    let due = world.client.deadline().unwrap();
    world.after_ms(1);
    assert_eq!(due, world.now);
    assert_eq!(world.client.take_effects(), [Effect::Disconnect, Effect::Event(Event::State(State::Disconnected))]);
}

#[test]
fn all_hosts_are_tried_in_turn_with_growing_pauses() {
    let mut world = World::new("a:1,b:2,c:3");
    let mut tried = Vec::new();
    let mut pauses = Vec::new();
    for _ in 0..9 {
        match &world.client.take_effects()[..] {
            [Effect::Connect(host)] => tried.push(host.name.clone()),
            other => panic!("{other:?}"),
        }
        world.client.disconnected(world.now);
        let due = world.client.deadline().unwrap();
        pauses.push((due - world.now).as_millis());
        world.now = due;
        world.client.tick(due);
    }
    let mut first: Vec<_> = tried[..3].to_vec();
    assert_eq!(tried[..3], tried[3..6]);
    first.sort();
    assert_eq!(first, ["a", "b", "c"]);
    assert!(pauses[0] >= 50 && pauses[0] <= 100, "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= 1000) && pauses[8] >= 500, "{pauses:?}");
}

#[test]
fn a_dial_that_hangs_is_given_up() {
    let mut world = World::new("a:1,b:2");
    world.client.take_effects();
    world.after_ms(2999);
    assert!(world.client.take_effects().is_empty());
    world.after_ms(1);
    assert_eq!(world.client.take_effects(), [Effect::Disconnect]);
}

#[test]
fn an_expired_session_is_final() {
    let mut world = World::new("one:1");
    world.connect();
    world.client.disconnected(world.now);
    world.events();
    let id = world.submit(ops::sync("/"));
    world.reconnect();
    world.greet(0, 0);
    let expired = Failure::Code(ErrorCode::SessionExpired);
    assert_eq!(
        world.client.take_effects(),
        [
            Effect::Disconnect,
            Effect::Event(Event::State(State::Expired)),
            Effect::Event(Event::Reply(id, Err(expired))),
        ]
    );
    let late = world.submit(ops::sync("/"));
    assert_eq!(world.events(), [Event::Reply(late, Err(expired))]);
    assert_eq!(world.client.deadline(), None);
}

#[test]
fn refused_credentials_are_final() {
    let mut world = World::new("one:1");
    world.connect();
    world.client.add_auth("digest", Bytes::from_static(b"x"), world.now);
    world.sent();
    world.reply(-4, 0, ErrorCode::AuthFailed.code(), &Response::Empty);
    assert_eq!(world.client.take_effects(), [Effect::Disconnect, Effect::Event(Event::State(State::AuthFailed))]);
    let late = world.submit(ops::sync("/"));
    assert_eq!(world.events(), [Event::Reply(late, Err(Failure::Code(ErrorCode::AuthFailed)))]);
}

/// A token of the server's.
fn token(world: &mut World, xid: i32, token: &str) {
    world.reply(xid, 0, 0, &Response::Sasl(SaslResponse { token: Bytes::copy_from_slice(token.as_bytes()) }));
}

fn with_login() -> World {
    let login = Some(Credentials { user: "bob".into(), password: "secret".into() });
    let mut world = World::with(ClientConfig { login, ..ClientConfig::new("one:1".parse().unwrap(), 6000) });
    world.client.take_effects();
    world.client.connected(world.now);
    world
}

#[test]
fn a_login_comes_first_and_the_rest_waits_for_it() {
    let mut world = with_login();
    world.client.add_auth("digest", Bytes::from_static(b"x"), world.now);
    world.submit(ops::get_data("/a", false));
    assert_eq!(world.sent().len(), 1, "the connect request alone");
    world.greet(6000, 5);
    let effects = world.client.take_effects();
    let [Effect::Event(Event::State(State::Connected)), Effect::Send(first)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(request(&frames(first)[0]), (1, Request::Sasl(SaslRequest { token: Bytes::new() })));
    world.submit(ops::get_data("/b", false));
    token(&mut world, 1, "realm=\"zk-sasl-md5\",nonce=\"n\",charset=utf-8,algorithm=md5-sess");
    let sent = world.sent_requests();
    let [(2, Request::Sasl(response))] = &sent[..] else { panic!("{sent:?}") };
    let mut server = ServerLogin::Challenged { nonce: "n".into() };
    let service = Service { protocol: "zookeeper", server: "zk-sasl-md5" };
    let Ok(Answer::Done(user, proof)) = server.step(service, &response.token, &[], |_| Some("secret")) else {
        panic!()
    };
    assert_eq!(user, "bob");
    token(&mut world, 2, &proof);
    let effects = world.client.take_effects();
    let [Effect::Event(Event::State(State::SaslAuthenticated)), Effect::Send(rest)] = &effects[..] else {
        panic!("{effects:?}")
    };
    let sent: Vec<_> = frames(rest).iter().map(request).collect();
    assert!(matches!(sent[0].1, Request::Auth(_)));
    assert_eq!(sent[1..], [(3, ops::get_data("/a", false)), (4, ops::get_data("/b", false))]);
    // Anew on the next connection.
    world.client.disconnected(world.now);
    world.after_ms(1000).client.take_effects();
    world.client.connected(world.now);
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn a_failed_login_is_final() {
    for step in 0..3 {
        let mut world = with_login();
        let waiting = world.submit(ops::sync("/"));
        world.greet(6000, 5);
        world.client.take_effects();
        match step {
            0 => world.reply(1, 0, ErrorCode::AuthFailed.code(), &Response::Empty),
            1 => token(&mut world, 1, "garbage"),
            _ => {
                token(&mut world, 1, "realm=\"zk-sasl-md5\",nonce=\"n\"");
                world.client.take_effects();
                token(&mut world, 2, "rspauth=00000000000000000000000000000000");
            }
        }
        let refused = Event::Reply(waiting, Err(Failure::Code(ErrorCode::AuthFailed)));
        let state = Event::State(State::AuthFailed);
        assert_eq!(world.client.take_effects(), [Effect::Disconnect, Effect::Event(state), Effect::Event(refused)]);
    }
}

#[test]
fn closing_ends_the_session_behind_what_was_sent() {
    let mut world = World::new("one:1");
    world.connect();
    let id = world.submit(ops::get_data("/a", false));
    world.client.close(world.now);
    assert_eq!(world.sent_requests(), [(1, ops::get_data("/a", false)), (2, Request::CloseSession)]);
    world.reply(1, 5, 0, &data(b""));
    world.reply(2, 6, 0, &Response::Empty);
    let effects = world.client.take_effects();
    assert!(matches!(&effects[0], Effect::Event(Event::Reply(answered, Ok(_))) if *answered == id));
    assert_eq!(effects[1..], [Effect::Disconnect, Effect::Event(Event::State(State::Closed))]);
    assert!(world.client.is_over());
}

#[test]
fn a_session_is_taken_over_by_its_key() {
    let mut config = ClientConfig::new("one:1".parse().unwrap(), 6000);
    config.resume = Some(SessionKey { id: 0x99, password: Bytes::from_static(&[7; 16]) });
    let greeting = World::with(config).connect();
    assert_eq!((greeting.session_id, &greeting.password[..]), (0x99, &[7; 16][..]));
}

#[test]
fn the_chroot_goes_on_and_comes_off() {
    let mut world = World::new("one:1/kafka");
    world.connect();
    world.submit(ops::create("/brokers", None, vec![Acl::OPEN], CreateMode::Persistent));
    world.submit(ops::get_children("/", false));
    world.submit(ops::multi(vec![ops::op_check("/a", 1), ops::op_delete("/b", 2)]));
    let sent: Vec<Request> = world.sent_requests().into_iter().map(|(_, request)| request).collect();
    assert_eq!(
        sent,
        [
            ops::create("/kafka/brokers", None, vec![Acl::OPEN], CreateMode::Persistent),
            ops::get_children("/kafka", false),
            ops::multi(vec![ops::op_check("/kafka/a", 1), ops::op_delete("/kafka/b", 2)]),
        ]
    );
    world.reply(1, 1, 0, &path("/kafka/brokers"));
    assert!(matches!(&world.events()[..], [Event::Reply(_, Ok(reply))] if reply.response == path("/brokers")));
    world.notify(EventType::NodeCreated, "/kafka/brokers");
    world.notify(EventType::NodeChildrenChanged, "/kafka");
    assert_eq!(
        world.events(),
        [
            Event::Watch(EventType::NodeCreated, Str::from("/brokers")),
            Event::Watch(EventType::NodeChildrenChanged, Str::from("/")),
        ]
    );
}

#[test]
fn nonsense_of_a_server_ends_the_connection_only() {
    for nonsense in [
        &[0x7f, 0xff, 0xff, 0xff][..],
        &[0xff; 8],
        &[0, 0, 0, 1, 0],
        &[0, 0, 0, 16, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let mut world = World::new("one:1");
        world.connect();
        world.client.receive(nonsense, world.now);
        assert_eq!(world.client.take_effects()[0], Effect::Disconnect);
        assert!(!world.client.is_over());
        world.reconnect();
    }
}
