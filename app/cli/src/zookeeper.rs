//! A ZooKeeper session over a blocking socket: a thread reads the socket, and one the lines of standard input for the
//! interactive tools; the caller's thread does the rest, so that pings go out and watches are told while it waits.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base::{Monotonic, Random, Str};
use bytes::Bytes;
use tls::{SecureStream, Tls};
use zk_client::{Client, ClientConfig, ConnectStringError, Effect, Event, Failure, Host, RequestId, State};
use zk_proto::requests::Request;
use zk_proto::responses::Response;
use zk_proto::{ErrorCode, EventType};

/// The longest time to make a connection to one address.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wait for the answer to the end of a session.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Replies of megabytes are read in a few steps.
const READ_BYTES: usize = 64 * 1024;

/// What was not asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The session has changed its state.
    State(State),
    /// A watch has fired.
    Watch(EventType, Str),
}

enum Input {
    /// Bytes of the socket with this number; none: its end.
    Socket(u64, Vec<u8>),
    /// A line of standard input; none: its end.
    Line(Option<String>),
}

/// What [`Session::wait`] waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A line of standard input, without its end.
    Line(String),
    /// Standard input is at its end.
    End,
    /// Happenings are there to be taken.
    Happened,
}

/// One session.
pub struct Session {
    client: Client,
    socket: Option<Socket>,
    /// What is spoken on sockets, if not plain text.
    tls: Option<Arc<Tls>>,
    /// The number of the socket: what an earlier one still says is not heard.
    generation: u64,
    /// Attempts to connect that failed.
    failures: u64,
    start: Instant,
    sender: Sender<Input>,
    inputs: Receiver<Input>,
    replies: VecDeque<(RequestId, Result<Response, Failure>)>,
    happenings: VecDeque<Happening>,
    lines: VecDeque<Option<String>>,
}

impl Session {
    /// A session with one of `host:port,host:port/chroot`; it connects when it is first used.
    ///
    /// # Errors
    /// When that is no connect string.
    pub fn open(connect: &str, timeout_ms: u32, read_only: bool) -> Result<Self, ConnectStringError> {
        let mut config = ClientConfig::new(connect.parse()?, timeout_ms);
        config.read_only = read_only;
        Ok(Self::with(config, None))
    }

    /// A session set up by hand; with TLS, if there is any.
    #[must_use]
    pub fn with(config: ClientConfig, tls: Option<Arc<Tls>>) -> Self {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let (sender, inputs) = channel();
        Self {
            client: Client::new(config, Random::from_seed(seed ^ u64::from(std::process::id())), Monotonic::default()),
            socket: None,
            tls,
            generation: 0,
            failures: 0,
            start: Instant::now(),
            sender,
            inputs,
            replies: VecDeque::new(),
            happenings: VecDeque::new(),
            lines: VecDeque::new(),
        }
    }

    /// Whether the session is established now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    /// Whether the session is over for good.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.client.is_over()
    }

    /// Sends a request and waits for its answer. Without a connection it waits for one attempt to connect, and the request
    /// is not sent when that fails.
    ///
    /// # Errors
    /// The server's refusal, or `ConnectionLoss` and the like.
    pub fn call(&mut self, request: Request) -> Result<Response, Failure> {
        let mut replies = self.call_all(vec![request]);
        replies.pop().unwrap_or(Err(Failure::Code(ErrorCode::ConnectionLoss)))
    }

    /// Sends requests one behind the other, and waits for all answers, in the same order.
    pub fn call_all(&mut self, requests: Vec<Request>) -> Vec<Result<Response, Failure>> {
        let failures = self.failures;
        while !self.client.is_connected() && !self.client.is_over() && self.failures == failures {
            self.turn(None);
        }
        if !self.client.is_connected() && !self.client.is_over() {
            return requests.iter().map(|_| Err(Failure::Code(ErrorCode::ConnectionLoss))).collect();
        }
        let now = self.now();
        let ids: Vec<RequestId> = requests.into_iter().map(|request| self.client.submit(request, now)).collect();
        self.carry_out();
        while self.replies.len() < ids.len() {
            self.turn(None);
        }
        self.replies.drain(..).map(|(_, reply)| reply).collect()
    }

    /// Adds credentials, now and on every later connection.
    pub fn add_auth(&mut self, scheme: &str, auth: Bytes) {
        let now = self.now();
        self.client.add_auth(Str::copied(scheme), auth, now);
        self.carry_out();
    }

    /// Waits until the session is established; false when the time is up or the session over.
    pub fn wait_connected(&mut self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while !self.client.is_connected() && !self.client.is_over() && Instant::now() < end {
            self.turn(Some(end));
        }
        self.client.is_connected()
    }

    /// Ends the session, so that its ephemeral nodes go at once.
    pub fn close(&mut self) {
        let end = Instant::now() + CLOSE_TIMEOUT;
        let now = self.now();
        self.client.close(now);
        self.carry_out();
        while !self.client.is_over() && Instant::now() < end {
            self.turn(Some(end));
        }
    }

    /// What has happened since the last time.
    pub fn take_happenings(&mut self) -> Vec<Happening> {
        self.happenings.drain(..).collect()
    }

    /// Starts to read standard input, for [`Session::wait`].
    pub fn read_lines(&mut self, input: impl BufRead + Send + 'static) {
        let sender = self.sender.clone();
        thread::spawn(move || {
            for line in input.lines() {
                let Ok(line) = line else { break };
                if sender.send(Input::Line(Some(line))).is_err() {
                    return;
                }
            }
            let _ = sender.send(Input::Line(None));
        });
    }

    /// Waits for a line of standard input or for a happening.
    pub fn wait(&mut self) -> Next {
        loop {
            if !self.happenings.is_empty() {
                return Next::Happened;
            }
            match self.lines.pop_front() {
                Some(Some(line)) => return Next::Line(line),
                Some(None) => return Next::End,
                None => self.turn(None),
            }
        }
    }

    /// Another session takes over the lines of this one.
    pub fn replace(&mut self, config: ClientConfig) {
        let mut other = Self::with(config, self.tls.take());
        std::mem::swap(&mut other.sender, &mut self.sender);
        std::mem::swap(&mut other.inputs, &mut self.inputs);
        std::mem::swap(&mut other.lines, &mut self.lines);
        // What the earlier sockets still say is not for the new session.
        other.generation = self.generation + 1;
        other.happenings = std::mem::take(&mut self.happenings);
        *self = other;
    }

    fn now(&self) -> Monotonic {
        Monotonic::from_nanoseconds(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Waits for something, at most until `end` or the client's next deadline, and lets the client answer.
    fn turn(&mut self, end: Option<Instant>) {
        self.carry_out();
        let now = self.now();
        let deadline = self.client.deadline().map(|deadline| deadline.since(now));
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let wait = deadline.into_iter().chain(left).min();
        let input = match wait {
            Some(wait) => self.inputs.recv_timeout(wait),
            None if self.replies.is_empty() => self.inputs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            None => Err(RecvTimeoutError::Timeout),
        };
        let now = self.now();
        match input {
            Ok(Input::Line(line)) => self.lines.push_back(line),
            Ok(Input::Socket(generation, bytes)) if generation == self.generation => {
                if bytes.is_empty() {
                    self.failures += u64::from(!self.client.is_connected());
                    self.client.disconnected(now);
                } else {
                    self.client.receive(&bytes, now);
                }
            }
            _ => {}
        }
        self.client.tick(now);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        loop {
            let effects = self.client.take_effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                match effect {
                    Effect::Connect(host) => self.dial(&host),
                    Effect::Send(bytes) => self.send(&bytes),
                    Effect::Disconnect => self.hang_up(),
                    Effect::Event(Event::Reply(id, result)) => {
                        self.replies.push_back((id, result.map(|reply| reply.response)));
                    }
                    Effect::Event(Event::State(state)) => self.happenings.push_back(Happening::State(state)),
                    Effect::Event(Event::Watch(event, path)) => {
                        self.happenings.push_back(Happening::Watch(event, path));
                    }
                }
            }
        }
    }

    fn dial(&mut self, host: &Host) {
        self.hang_up();
        let addresses = (host.name.as_str(), host.port).to_socket_addrs().into_iter().flatten();
        let stream = addresses.filter_map(|address| TcpStream::connect_timeout(&address, DIAL_TIMEOUT).ok()).next();
        let socket = stream.and_then(|stream| Socket::open(stream, &host.name, self.tls.as_deref()).ok());
        let now = self.now();
        if let Some((socket, reader)) = socket {
            self.socket = Some(socket);
            self.generation += 1;
            let (generation, sender) = (self.generation, self.sender.clone());
            thread::spawn(move || read_socket(reader, generation, &sender));
            self.client.connected(now);
        } else {
            self.failures += 1;
            self.client.disconnected(now);
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        let sent = self.socket.as_mut().is_some_and(|socket| socket.writer().write_all(bytes).is_ok());
        if !sent {
            let now = self.now();
            self.client.disconnected(now);
        }
    }

    fn hang_up(&mut self) {
        match self.socket.take() {
            Some(Socket::Plain(socket)) => drop(socket.shutdown(Shutdown::Both)),
            Some(Socket::Secure(mut socket)) => socket.close(),
            None => {}
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.hang_up();
    }
}

/// The writing half of a connection.
enum Socket {
    Plain(TcpStream),
    Secure(Box<SecureStream>),
}

impl Socket {
    /// Both halves of a connection on a socket to `host`.
    fn open(stream: TcpStream, host: &str, tls: Option<&Tls>) -> io::Result<(Self, Box<dyn Read + Send>)> {
        stream.set_nodelay(true)?;
        Ok(match tls {
            None => {
                let reader = stream.try_clone()?;
                (Self::Plain(stream), Box::new(reader))
            }
            Some(tls) => {
                let reader = tls.connect(stream, host)?;
                (Self::Secure(Box::new(reader.try_clone()?)), Box::new(reader))
            }
        })
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Plain(socket) => socket,
            Self::Secure(socket) => &mut **socket,
        }
    }
}

fn read_socket(mut socket: Box<dyn Read + Send>, generation: u64, sender: &Sender<Input>) {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = socket.read(&mut buffer).unwrap_or(0);
        let bytes = buffer.get(..read).unwrap_or_default().to_vec();
        if sender.send(Input::Socket(generation, bytes)).is_err() || read == 0 {
            return;
        }
    }
}
