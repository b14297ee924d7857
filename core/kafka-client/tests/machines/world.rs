//! A machine, the connections that it thinks it has, and a broker that answers by script.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::{Monotonic, Now, Part, Reader, Str};
use bytes::{Buf, Bytes, BytesMut};
use kafka_client::{ConnectionId, Effect, Input, Machine};
use kafka_proto::frame::{RequestHeader, ResponseHeader};
use kafka_proto::messages::{api_versions, fetch, find_coordinator, metadata};
use kafka_proto::wire::Writer;
use kafka_proto::{AnyRequest, AnyResponse, ApiKey, ErrorCode, Message};

/// What the broker does about a request.
pub(crate) enum Reply {
    Answer(AnyResponse),
    /// Bytes in place of a frame.
    Bytes(&'static [u8]),
    Close,
    Silence,
    /// The answer after so many milliseconds; the connection's next request waits that long.
    Later(u64, AnyResponse),
}

impl<R: Into<AnyResponse>> From<R> for Reply {
    fn from(response: R) -> Self {
        Self::Answer(response.into())
    }
}

/// What the broker holds of a connection.
#[derive(Default)]
struct Stream {
    received: BytesMut,
    /// An answer that is not due yet.
    held: Option<(Monotonic, Bytes)>,
}

type Script = Box<dyn FnMut(&AnyRequest, i16) -> Option<Reply>>;

pub(crate) struct World<M> {
    pub(crate) machine: M,
    pub(crate) now: Now,
    /// Answers; `None` leaves it to the usual answers.
    pub(crate) script: Script,
    /// What was asked for, but for the handshakes and metadata.
    pub(crate) requests: Vec<(AnyRequest, i16)>,
    pub(crate) warnings: Vec<String>,
    pub(crate) connects: Vec<(String, u16)>,
    /// Whether new connections are refused.
    pub(crate) refusing: bool,
    open: BTreeMap<ConnectionId, Stream>,
    inputs: VecDeque<Input>,
}

impl<M: Machine> World<M> {
    pub(crate) fn new(machine: M, script: impl FnMut(&AnyRequest, i16) -> Option<Reply> + 'static) -> Self {
        Self {
            machine,
            now: Now { monotonic: Monotonic::from_ms(1_000), wall_ms: 1_600_000_000_000 },
            script: Box::new(script),
            requests: Vec::new(),
            warnings: Vec::new(),
            connects: Vec::new(),
            refusing: false,
            open: BTreeMap::new(),
            inputs: VecDeque::new(),
        }
    }

    /// Runs for this long, from deadline to deadline.
    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.now.monotonic.plus_ms(ms);
        let mut turns = 0;
        loop {
            turns += 1;
            assert!(turns < 20_000, "the machine spins");
            self.machine.advance(self.now);
            for effect in self.machine.take_effects() {
                self.effect(effect);
            }
            if let Some(input) = self.inputs.pop_front() {
                self.machine.handle(input, self.now);
                continue;
            }
            let held = self.open.values().filter_map(|stream| stream.held.as_ref()).map(|(due, _)| *due).min();
            let next = self.machine.deadline().into_iter().chain(held).min().map_or(end, |due| due.min(end));
            // A deadline of now would be met by the advance above: going on without time passing is spinning.
            let next = next.max(self.now.monotonic);
            if next >= end {
                self.set(end);
                return;
            }
            assert!(next > self.now.monotonic, "due already: {next:?}");
            self.set(next);
            self.release();
        }
    }

    /// Sends the answers that are due.
    fn release(&mut self) {
        let now = self.now.monotonic;
        let due = |stream: &Stream| stream.held.as_ref().is_some_and(|(due, _)| *due <= now);
        let due: Vec<ConnectionId> = self.open.iter().filter(|(_, stream)| due(stream)).map(|(id, _)| *id).collect();
        for connection in due {
            let held = self.open.get_mut(&connection).and_then(|stream| stream.held.take());
            self.inputs.extend(held.map(|(_, bytes)| Input::Received(connection, bytes)));
            self.serve(connection);
        }
    }

    /// Cuts all connections.
    pub(crate) fn cut(&mut self) {
        let gone = std::mem::take(&mut self.open).into_keys();
        self.inputs.extend(gone.map(Input::Closed));
    }

    /// The requests of an API.
    pub(crate) fn asked(&self, key: ApiKey) -> Vec<&AnyRequest> {
        self.requests.iter().filter(|(request, _)| request.key() == key).map(|(request, _)| request).collect()
    }

    fn set(&mut self, monotonic: Monotonic) {
        self.now.wall_ms += monotonic.since(self.now.monotonic).as_millis() as i64;
        self.now.monotonic = monotonic;
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { connection, host, port } => {
                self.connects.push((host.to_string(), port));
                if self.refusing {
                    self.inputs.push_back(Input::Closed(connection));
                } else {
                    self.open.insert(connection, Stream::default());
                    self.inputs.push_back(Input::Connected(connection));
                }
            }
            Effect::Send { connection, parts } => {
                let Some(stream) = self.open.get_mut(&connection) else { return };
                for part in parts {
                    let Part::Bytes(bytes) = part else { panic!("a range of a file") };
                    stream.received.extend_from_slice(&bytes);
                }
                self.serve(connection);
            }
            Effect::Close(connection) => drop(self.open.remove(&connection)),
            Effect::Warn { message, .. } => self.warnings.push(message),
        }
    }

    fn serve(&mut self, connection: ConnectionId) {
        let waits = |stream: &&mut Stream| !stream.received.is_empty() && stream.held.is_none();
        while let Some(stream) = self.open.get_mut(&connection).filter(waits) {
            let length = stream.received.get_i32() as usize;
            let frame = stream.received.split_to(length).freeze();
            let mut reader = Reader::new(&frame);
            let (key, header) = RequestHeader::decode_any(&mut reader).unwrap();
            let request = AnyRequest::decode(key, header.api_version, &mut reader).unwrap();
            reader.finish().unwrap();
            let reply = (self.script)(&request, header.api_version).unwrap_or_else(|| usual(&request));
            if !matches!(key, ApiKey::ApiVersions | ApiKey::Metadata) {
                self.requests.push((request, header.api_version));
            }
            match reply {
                Reply::Answer(response) => {
                    let bytes = encode(key, header.api_version, header.correlation_id, &response);
                    // In two pieces, as a network would.
                    self.inputs.push_back(Input::Received(connection, bytes.slice(..5)));
                    self.inputs.push_back(Input::Received(connection, bytes.slice(5..)));
                }
                Reply::Bytes(bytes) => self.inputs.push_back(Input::Received(connection, Bytes::from_static(bytes))),
                Reply::Close => {
                    self.open.remove(&connection);
                    self.inputs.push_back(Input::Closed(connection));
                }
                Reply::Silence => {}
                Reply::Later(ms, response) => {
                    let bytes = encode(key, header.api_version, header.correlation_id, &response);
                    let due = self.now.monotonic.plus_ms(ms);
                    self.open.entry(connection).or_default().held = Some((due, bytes));
                }
            }
        }
    }
}

fn encode(key: ApiKey, version: i16, correlation_id: i32, response: &AnyResponse) -> Bytes {
    // A broker that does not know the version of ApiVersions answers in version 0.
    let refused = matches!(response, AnyResponse::ApiVersions(answer) if answer.error_code.is_error());
    let version = if refused { 0 } else { version };
    let mut writer = Writer::joined(BytesMut::new());
    writer.put_slice(&[0; 4]);
    ResponseHeader { correlation_id }.encode_to(key.response_header_version(version), &mut writer).unwrap();
    response.encode_to(version, &mut writer).unwrap();
    let mut parts = writer.into_frame().unwrap();
    let Some(Part::Bytes(bytes)) = parts.pop() else { panic!("no bytes") };
    bytes
}

/// All APIs of 2.7.1.
pub(crate) fn all_apis() -> api_versions::Response {
    let api = |key: &ApiKey| {
        let versions = key.versions();
        api_versions::ApiVersion { api_key: key.code(), min_version: versions.first, max_version: versions.last }
    };
    let api_keys = ApiKey::ALL.iter().map(api).collect();
    api_versions::Response { api_keys, ..Default::default() }
}

/// One broker, whatever topics are asked for with two partitions each; of all, `t` and `u`.
pub(crate) fn described(request: &metadata::Request) -> metadata::Response {
    let names: BTreeSet<Str> = match &request.topics {
        Some(topics) => topics.iter().map(|topic| topic.name.clone()).collect(),
        None => [Str::from_static("t"), Str::from_static("u")].into(),
    };
    let partition = |partition_index| metadata::ResponsePartition {
        partition_index,
        leader_id: 0,
        leader_epoch: 3,
        replica_nodes: vec![0],
        isr_nodes: vec![0],
        ..Default::default()
    };
    let topics = names.into_iter().map(|name| metadata::ResponseTopic {
        name,
        partitions: vec![partition(0), partition(1)],
        ..Default::default()
    });
    metadata::Response {
        brokers: vec![metadata::Broker { node_id: 0, host: Str::from_static("broker"), port: 9092, rack: None }],
        controller_id: 0,
        topics: topics.collect(),
        ..Default::default()
    }
}

fn usual(request: &AnyRequest) -> Reply {
    match request {
        AnyRequest::ApiVersions(_) => all_apis().into(),
        AnyRequest::Metadata(request) => described(request).into(),
        AnyRequest::FindCoordinator(_) => {
            find_coordinator::Response { error_code: ErrorCode::NONE, node_id: 0, ..Default::default() }.into()
        }
        AnyRequest::Fetch(request) => Reply::Later(request.max_wait_ms as u64, fetch::Response::default().into()),
        _ => Reply::Silence,
    }
}
