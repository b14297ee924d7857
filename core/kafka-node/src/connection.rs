//! One client's connection: frames in, answers out, in order (upstream: `SocketServer`, `RequestChannel`).
//!
//! Requests are answered in the order in which they came. A request starts when all earlier ones of its connection are
//! answered, as in 2.7.1, whose channel is muted meanwhile, so it sees their effects. One case is pipelined: a produce
//! behind produces is appended while they wait for their replicas, in a bounded number and size; those that came together are
//! appended together.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Waker;

use base::{Monotonic, Now, Parts, Reader};
use bytes::{Buf, BytesMut};
use kafka_proto::ApiKey;
use kafka_proto::frame::RequestHeader;
use parking_lot::Mutex;

use crate::answer::{Answer, Ending, Slot};
use crate::api::produce;
use crate::broker::Broker;
use crate::connections::Place;
use crate::dispatch;

/// Produce requests of one connection that may wait for their replicas at a time.
const PIPELINED_REQUESTS_MAX: usize = 64;

/// Bytes that those requests may hold in memory together.
const PIPELINED_BYTES_MAX: usize = 32 << 20;

/// What is known of the other side.
#[derive(Debug)]
pub struct Client {
    /// Index of the listener in the broker's settings.
    pub listener: usize,
    /// Name of the listener.
    pub listener_name: String,
    /// Where the client connects from.
    pub peer: SocketAddr,
    /// What the client said of its library in ApiVersions (KIP-511).
    pub software: Mutex<Option<(String, String)>>,
}

/// Why a connection ends; the text goes to the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Closed(pub String);

/// What a connection wants after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// More bytes of the socket.
    Input,
    /// To be woken: requests wait to be answered before it goes on. Reading stops, so that the client is held back too.
    Answers,
}

/// One connection. Its event loop owns it and calls [`Connection::turn`] when bytes came, or when it was woken.
pub struct Connection {
    broker: Arc<Broker>,
    client: Arc<Client>,
    waker: Waker,
    in_flight: VecDeque<InFlight>,
    /// The last answered request's, for the next one.
    spare_slot: Option<Arc<Slot>>,
    bytes_in_flight: usize,
    /// Produce requests of this turn whose records are not appended yet.
    produces: RefCell<produce::Run>,
    /// `socket.request.max.bytes`.
    request_bytes_max: usize,
    last_active: Monotonic,
    /// Nobody takes the answers.
    left: bool,
    /// Counted as long as the connection lives.
    place: Place,
}

struct InFlight {
    slot: Arc<Slot>,
    key: ApiKey,
    bytes: usize,
}

impl Connection {
    pub(crate) fn new(broker: Arc<Broker>, client: Client, place: Place, waker: Waker, now: Now) -> Self {
        place.set_waker(&waker);
        let request_bytes_max = usize::try_from(broker.settings().network.request_bytes_max).unwrap_or(0);
        Self {
            produces: RefCell::default(),
            broker,
            client: Arc::new(client),
            waker,
            in_flight: VecDeque::new(),
            spare_slot: None,
            bytes_in_flight: 0,
            request_bytes_max,
            last_active: now.monotonic,
            left: false,
            place,
        }
    }

    /// The client has closed its side, and takes no answers: what it sent before is handled without waiting for them.
    pub fn peer_left(&mut self) {
        self.left = true;
    }

    /// Handles what is in `input` as far as the order allows, and appends finished answers to `output`.
    pub fn turn(&mut self, input: &mut BytesMut, now: Now, output: &mut Parts) -> Result<Wants, Closed> {
        if self.place.is_evicted() {
            return Err(Closed("it made room for others (max.connections)".to_owned()));
        }
        loop {
            if self.left {
                self.abandon();
            }
            self.collect(output)?;
            let started = self.start_all(input, now);
            self.produces.get_mut().finish(&self.broker, now);
            match started {
                // There may be answers by now, and room for more.
                Ok(None) => {}
                Ok(Some(wants)) => return Ok(wants),
                Err(closed) => {
                    // The answers in front of it. An error is this same one, in other words.
                    let _ = self.collect(output);
                    return Err(closed);
                }
            }
        }
    }

    /// Starts the next request, and all produces behind a produce. What is wanted if none may start.
    fn start_all(&mut self, input: &mut BytesMut, now: Now) -> Result<Option<Wants>, Closed> {
        let mut wants = Some(Wants::Input);
        while let Some(frame_len) = self.next_frame(input)? {
            let key = peek_key(input);
            if !self.may_start(key, frame_len) {
                return Ok(wants.and(Some(Wants::Answers)));
            }
            input.advance(4);
            let frame = input.split_to(frame_len).freeze();
            self.last_active = now.monotonic;
            self.place.touch(now.monotonic);
            self.start(&frame, now)?;
            wants = None;
            if self.produces.get_mut().is_closed() {
                break;
            }
        }
        Ok(wants)
    }

    /// When the connection has been idle for `connections.max.idle.ms`, unless something happens before.
    pub fn idle_deadline(&self) -> Monotonic {
        let idle_ms_max = self.broker.settings().network.idle_ms_max;
        self.last_active.plus_ms(u64::try_from(idle_ms_max).unwrap_or(u64::MAX))
    }

    /// Who is at the other end.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Gives up the answers that are under way. A fetch of a client that left would hold its partitions' lists, and room, until its
    /// time is up.
    fn abandon(&mut self) {
        self.in_flight.drain(..).for_each(|request| request.slot.abandon());
        self.bytes_in_flight = 0;
    }

    /// Moves the answers that are there, up to the first that is not, to the output.
    fn collect(&mut self, output: &mut Parts) -> Result<(), Closed> {
        while let Some(first) = self.in_flight.front() {
            let Some(ending) = first.slot.take_or_park(&self.waker) else { return Ok(()) };
            self.bytes_in_flight -= first.bytes;
            let answered = self.in_flight.pop_front();
            self.spare_slot = answered.and_then(|request| Slot::again(request.slot));
            match ending {
                Ending::Reply(parts) => output.extend(parts),
                Ending::Silence => {}
                Ending::Close(reason) => return Err(Closed(reason)),
            }
        }
        Ok(())
    }

    /// Length of the next frame, if it is there in whole.
    fn next_frame(&self, input: &BytesMut) -> Result<Option<usize>, Closed> {
        let Some(prefix) = input.first_chunk() else { return Ok(None) };
        let length = i32::from_be_bytes(*prefix);
        let limit = self.request_bytes_max;
        match usize::try_from(length) {
            Ok(length) if length <= limit => Ok((input.len() >= 4 + length).then_some(length)),
            Ok(_) => Err(Closed(format!("Invalid receive (size = {length} larger than {limit})"))),
            Err(_) => Err(Closed(format!("Invalid receive (size = {length})"))),
        }
    }

    fn may_start(&self, key: Option<ApiKey>, bytes: usize) -> bool {
        self.in_flight.is_empty()
            || (key == Some(ApiKey::Produce)
                && self.in_flight.iter().all(|request| request.key == ApiKey::Produce)
                && self.in_flight.len() < PIPELINED_REQUESTS_MAX
                && self.bytes_in_flight + bytes <= PIPELINED_BYTES_MAX)
    }

    fn start(&mut self, frame: &bytes::Bytes, now: Now) -> Result<(), Closed> {
        let mut reader = Reader::new(frame);
        let (key, header) = RequestHeader::decode_any(&mut reader)
            .map_err(|error| Closed(format!("Error parsing request header: {error}")))?;
        let slot = self.spare_slot.take().unwrap_or_else(Slot::new);
        let answer = Answer::new(slot.clone(), key, header.api_version, header.correlation_id);
        let context = dispatch::Context {
            broker: &self.broker,
            client: &self.client,
            client_id: header.client_id,
            version: header.api_version,
            now,
            produces: &self.produces,
        };
        self.in_flight.push_back(InFlight { slot, key, bytes: frame.len() });
        self.bytes_in_flight += frame.len();
        dispatch::dispatch(&context, key, &mut reader, answer).map_err(Closed)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// The API of the next frame, without taking it.
fn peek_key(input: &BytesMut) -> Option<ApiKey> {
    let code = input.get(4..6)?.first_chunk().copied().map(i16::from_be_bytes)?;
    ApiKey::from_code(code)
}
