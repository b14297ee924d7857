//! Drives a [`Client`] over a real socket: `cargo run -p zk-client --example session -- HOST:PORT[/CHROOT]` makes, watches,
//! changes and removes nodes, loses its connection on purpose, and prints what it is told. To be run against any server.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "an example may do I/O and fail"
)]

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base::{Monotonic, Random};
use bytes::Bytes;
use zk_client::{Client, ClientConfig, Effect, Event, Failure, Reply, State, ops};
use zk_proto::requests::Request;
use zk_proto::{Acl, AddWatchMode, CreateMode};

struct Driver {
    client: Client,
    socket: Option<TcpStream>,
    start: Instant,
    events: VecDeque<Event>,
}

impl Driver {
    fn now(&self) -> Monotonic {
        Monotonic::from_nanoseconds(self.start.elapsed().as_nanos() as u64)
    }

    /// Carries out effects, then waits for bytes or for the client's deadline.
    fn turn(&mut self) {
        for effect in self.client.take_effects() {
            match effect {
                Effect::Connect(host) => {
                    self.socket = TcpStream::connect((host.name.as_str(), host.port)).ok();
                    match self.socket {
                        Some(_) => self.client.connected(self.now()),
                        None => self.client.disconnected(self.now()),
                    }
                }
                Effect::Send(bytes) => self.socket.as_mut().unwrap().write_all(&bytes).unwrap_or_default(),
                Effect::Disconnect => self.socket = None,
                Effect::Event(event) => self.events.push_back(event),
            }
        }
        let Some(deadline) = self.client.deadline() else { return };
        let wait = (deadline - self.now()).clamp(Duration::from_millis(1), Duration::from_millis(20));
        let mut buffer = [0; 65536];
        match &mut self.socket {
            Some(socket) => {
                socket.set_read_timeout(Some(wait)).unwrap();
                match socket.read(&mut buffer) {
                    Ok(0) => self.client.disconnected(self.now()),
                    Ok(read) => self.client.receive(buffer.get(..read).unwrap(), self.now()),
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(_) => self.client.disconnected(self.now()),
                }
            }
            None => std::thread::sleep(wait),
        }
        self.client.tick(self.now());
    }

    fn event(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                println!("{event:?}");
                return event;
            }
            self.turn();
        }
    }

    fn call(&mut self, request: Request) -> Result<Reply, Failure> {
        let id = self.client.submit(request, self.now());
        loop {
            match self.event() {
                Event::Reply(answered, result) if answered == id => return result,
                _ => {}
            }
        }
    }

    fn wait_for(&mut self, wanted: &Event) {
        while self.event() != *wanted {}
    }
}

fn main() {
    let connect = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:2181".into());
    let config = ClientConfig::new(connect.parse().unwrap(), 6000);
    let start = Instant::now();
    let client = Client::new(config, Random::from_seed(std::process::id().into()), Monotonic::default());
    let mut driver = Driver { client, socket: None, start, events: VecDeque::new() };
    driver.client.add_auth("digest", Bytes::from_static(b"jack:daw"), Monotonic::default());
    let data = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));

    let root = format!("/example-{}", std::process::id());
    driver.call(ops::create(root.as_str(), data("one"), vec![Acl::OPEN], CreateMode::Persistent)).unwrap();
    driver.call(ops::create2(format!("{root}/e-"), None, vec![Acl::OPEN], CreateMode::EphemeralSequential)).unwrap();
    driver.call(ops::get_data(root.as_str(), true)).unwrap();
    driver.call(ops::exists(format!("{root}/later"), true)).unwrap_err();
    driver.call(ops::add_watch(root.as_str(), AddWatchMode::PersistentRecursive)).unwrap();
    let failed =
        driver.call(ops::multi(vec![ops::op_check(root.as_str(), 7), ops::op_delete(root.as_str(), -1)])).unwrap();
    println!("a multi that fails: {failed:?}");

    println!("--- the connection is lost");
    driver.socket = None;
    let now = driver.now();
    driver.client.disconnected(now);
    driver.wait_for(&Event::State(State::Connected));
    driver.call(ops::set_data(root.as_str(), data("two"), -1)).unwrap();
    driver.call(ops::create(format!("{root}/later"), None, vec![Acl::OPEN], CreateMode::Container)).unwrap();
    driver.call(ops::get_ephemerals("/")).unwrap();
    driver.call(ops::get_all_children_number(root.as_str())).unwrap();
    driver.call(ops::multi_read(vec![ops::op_get_data(root.as_str()), ops::op_get_children(root.as_str())])).unwrap();

    println!("--- idle for a while: pings");
    let until = Instant::now() + Duration::from_secs(7);
    while Instant::now() < until {
        driver.turn();
    }
    driver.call(ops::delete(format!("{root}/later"), -1)).unwrap();
    let now = driver.now();
    driver.client.close(now);
    driver.wait_for(&Event::State(State::Closed));
}
