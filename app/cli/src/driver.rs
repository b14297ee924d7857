//! Drives a Kafka client machine over blocking sockets: a thread for each connection makes it and reads from it, the
//! caller's thread does the rest.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base::{Monotonic, Now, Part, Parts};
use bytes::{Bytes, BytesMut};
use kafka_client::{ConnectionId, Effect, Input, Machine};

/// How much a reader takes at once.
const READ_BYTES: usize = 256 * 1024;
/// The longest time to make a connection to one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

enum Event {
    Connected(ConnectionId, TcpStream),
    Input(Input),
    Woken,
}

/// Ends a driver's wait from another thread.
#[derive(Clone)]
pub struct Waker(Sender<Event>);

impl Waker {
    /// Whoever waits in the driver looks again at what it waits for.
    pub fn wake(&self) {
        // Without a driver nobody waits.
        let _ = self.0.send(Event::Woken);
    }
}

/// What tells the user of a warning: the Java class that would log it, and the line.
pub type Warn = Box<dyn FnMut(&str, &str)>;

/// A machine and its sockets.
pub struct Driver<M> {
    /// The machine. After calls that change it, [`Driver::step`] carries out what they ask for.
    pub machine: M,
    started: Instant,
    streams: HashMap<ConnectionId, TcpStream>,
    sender: Sender<Event>,
    events: Receiver<Event>,
    warn: Warn,
}

impl<M: Machine> Driver<M> {
    /// A driver without any connection yet.
    pub fn new(machine: M, warn: Warn) -> Self {
        let (sender, events) = channel();
        Self { machine, started: Instant::now(), streams: HashMap::new(), sender, events, warn }
    }

    /// What ends the driver's waits.
    pub fn waker(&self) -> Waker {
        Waker(self.sender.clone())
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let monotonic = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Now {
            // The clock starts at a second, so that "long ago" can be said.
            monotonic: Monotonic::from_nanoseconds(monotonic.saturating_add(1_000_000_000)),
            wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// Lets the machine do what is due, waits for the network, at most `wait`, and lets it answer.
    pub fn step(&mut self, wait: Duration) {
        self.advance();
        self.wait(wait);
        self.advance();
    }

    /// Steps until `done` answers, or returns `None` after `limit`.
    pub fn run_until<T>(&mut self, limit: Duration, mut done: impl FnMut(&mut M, Now) -> Option<T>) -> Option<T> {
        let end = Instant::now() + limit;
        loop {
            // What the machine can do at once may be all that is waited for.
            self.advance();
            let now = self.now();
            if let Some(result) = done(&mut self.machine, now) {
                return Some(result);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.wait(left);
        }
    }

    /// Waits for something to happen: an input, the machine's deadline, or the end of `limit`.
    fn wait(&mut self, limit: Duration) {
        let due = self.machine.deadline().map(|deadline| deadline.since(self.now().monotonic));
        if let Ok(event) = self.events.recv_timeout(due.map_or(limit, |due| due.min(limit))) {
            self.take(event);
        }
        while let Ok(event) = self.events.try_recv() {
            self.take(event);
        }
    }

    fn advance(&mut self) {
        let now = self.now();
        self.machine.advance(now);
        for effect in self.machine.take_effects() {
            self.carry_out(effect);
        }
    }

    fn take(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Connected(connection, stream) => {
                self.streams.insert(connection, stream);
                self.machine.handle(Input::Connected(connection), now);
            }
            Event::Input(input) => {
                if let Input::Closed(connection) = input {
                    self.streams.remove(&connection);
                }
                self.machine.handle(input, now);
            }
            Event::Woken => {}
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { connection, host, port } => {
                let sender = self.sender.clone();
                thread::spawn(move || serve(connection, &host, port, &sender));
            }
            Effect::Send { connection, parts } => {
                let Some(stream) = self.streams.get_mut(&connection) else { return };
                if send(stream, parts).is_err() {
                    // The reader notices and tells the machine.
                    let _ = stream.shutdown(Shutdown::Both);
                }
            }
            Effect::Close(connection) => {
                if let Some(stream) = self.streams.remove(&connection) {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            }
            Effect::Warn { logger, message } => (self.warn)(logger, &message),
        }
    }
}

impl<M> Drop for Driver<M> {
    fn drop(&mut self) {
        for stream in self.streams.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Makes a connection and reads from it to its end.
fn serve(connection: ConnectionId, host: &str, port: u16, sender: &Sender<Event>) {
    if let Ok((reader, writer)) = connect(host, port)
        && sender.send(Event::Connected(connection, writer)).is_ok()
    {
        read(connection, reader, sender);
    }
    let _ = sender.send(Event::Input(Input::Closed(connection)));
}

/// Tries each address of the host in turn.
fn connect(host: &str, port: u16) -> io::Result<(TcpStream, TcpStream)> {
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok((stream.try_clone()?, stream));
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn read(connection: ConnectionId, mut stream: TcpStream, sender: &Sender<Event>) {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let taken = match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let bytes = Bytes::copy_from_slice(buffer.get(..taken).unwrap_or_default());
        if sender.send(Event::Input(Input::Received(connection, bytes))).is_err() {
            return;
        }
    }
}

/// Writes all parts. Requests hold no ranges of files.
fn send(stream: &mut TcpStream, parts: Parts) -> io::Result<()> {
    let mut joined = BytesMut::with_capacity(parts.iter().map(Part::len).sum());
    for part in parts {
        match part {
            Part::Bytes(bytes) => joined.extend_from_slice(&bytes),
            Part::Range { .. } => return Err(io::Error::from(io::ErrorKind::Unsupported)),
        }
    }
    stream.write_all(&joined)
}
