//! One connection to a broker: versions are agreed on first, then requests leave and answers come in the same order.

use std::collections::{BTreeMap, VecDeque};

use base::{Monotonic, Parts, Reader, Str};
use bytes::{Buf, Bytes, BytesMut};
use kafka_proto::messages::api_versions;
use kafka_proto::wire::Versions;
use kafka_proto::{AnyRequest, AnyResponse, ApiKey, ErrorCode, Message, Request, frame};

use crate::ClientError;
use crate::network::RequestId;

/// How our clients call themselves in ApiVersions (KIP-511).
const SOFTWARE_NAME: Str = Str::from_static("jackdaw");
const SOFTWARE_VERSION: Str = Str::from_static(env!("CARGO_PKG_VERSION"));

/// What came of received bytes.
#[derive(Debug)]
pub(crate) enum Received {
    /// The broker knows us: requests may be sent.
    Ready,
    /// Send this: the handshake goes on in an older version.
    Reply(Parts),
    /// An answer.
    Answer(RequestId, Box<Result<AnyResponse, ClientError>>),
}

/// A request that waits for its answer.
#[derive(Debug)]
struct InFlight {
    id: RequestId,
    correlation_id: i32,
    key: ApiKey,
    version: i16,
    deadline: Monotonic,
}

/// The state of a connection from the moment its bytes can flow.
#[derive(Debug)]
pub(crate) struct Connection {
    client_id: Str,
    /// What the broker serves, once it has said so.
    versions: Option<BTreeMap<ApiKey, Versions>>,
    handshake_version: i16,
    handshake_deadline: Monotonic,
    next_correlation_id: i32,
    in_flight: VecDeque<InFlight>,
    input: BytesMut,
}

impl Connection {
    /// A connection that has just been made, and the handshake to send.
    pub(crate) fn open(client_id: Str, deadline: Monotonic) -> Result<(Self, Parts), ClientError> {
        let mut connection = Self {
            client_id,
            versions: None,
            handshake_version: api_versions::Request::VERSIONS.last,
            handshake_deadline: deadline,
            next_correlation_id: 0,
            in_flight: VecDeque::new(),
            input: BytesMut::new(),
        };
        let handshake = connection.handshake()?;
        Ok((connection, handshake))
    }

    /// Whether the handshake is over.
    pub(crate) const fn is_ready(&self) -> bool {
        self.versions.is_some()
    }

    /// How many requests wait for answers.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// When the oldest request, or the handshake, has waited too long.
    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        match self.versions {
            None => Some(self.handshake_deadline),
            Some(_) => self.in_flight.iter().map(|request| request.deadline).min(),
        }
    }

    /// What the broker serves of an API.
    pub(crate) fn served(&self, key: ApiKey) -> Option<Versions> {
        self.versions.as_ref()?.get(&key).copied()
    }

    /// The newest version of an API that both sides know, within `wanted`.
    pub(crate) fn version(&self, key: ApiKey, wanted: Versions) -> Result<i16, ClientError> {
        let served = self.served(key).ok_or(ClientError::UnsupportedApi(key))?;
        let ours = key.versions().intersection(wanted).ok_or(ClientError::UnsupportedApi(key))?;
        Ok(served.intersection(ours).ok_or(ClientError::UnsupportedApi(key))?.last)
    }

    /// Encodes a request; its answer is awaited unless `answered` is false.
    pub(crate) fn send(
        &mut self,
        id: RequestId,
        request: &AnyRequest,
        version: i16,
        answered: bool,
        deadline: Monotonic,
    ) -> Result<Parts, ClientError> {
        let correlation_id = self.take_correlation_id();
        let parts = frame::any_request(request, version, correlation_id, Some(&self.client_id))
            .map_err(|error| ClientError::Unsupported(error.to_string()))?;
        if answered {
            self.in_flight.push_back(InFlight { id, correlation_id, key: request.key(), version, deadline });
        }
        Ok(parts)
    }

    /// Takes in bytes and adds what came of them to `out`. After an error the connection is of no more use.
    pub(crate) fn receive(&mut self, bytes: &[u8], out: &mut Vec<Received>) -> Result<(), ClientError> {
        self.input.extend_from_slice(bytes);
        while let Some(frame) = self.next_frame()? {
            let received = if self.is_ready() { self.answer(&frame)? } else { self.handshake_answer(&frame)? };
            out.push(received);
        }
        Ok(())
    }

    /// The requests that will not be answered any more.
    pub(crate) fn close(self) -> impl Iterator<Item = RequestId> {
        self.in_flight.into_iter().map(|request| request.id)
    }

    fn next_frame(&mut self) -> Result<Option<Bytes>, ClientError> {
        let Some(prefix) = self.input.first_chunk::<4>() else { return Ok(None) };
        let length = i32::from_be_bytes(*prefix);
        let Ok(length) = usize::try_from(length) else {
            return Err(base::DecodeError::Length { at: 0, length: i64::from(length) }.into());
        };
        if self.input.len() < 4 + length {
            return Ok(None);
        }
        self.input.advance(4);
        Ok(Some(self.input.split_to(length).freeze()))
    }

    fn take_correlation_id(&mut self) -> i32 {
        let id = self.next_correlation_id;
        self.next_correlation_id = id.wrapping_add(1).max(0);
        id
    }

    fn handshake(&mut self) -> Result<Parts, ClientError> {
        let request =
            api_versions::Request { client_software_name: SOFTWARE_NAME, client_software_version: SOFTWARE_VERSION };
        let correlation_id = self.take_correlation_id();
        frame::request(&request, self.handshake_version, correlation_id, Some(&self.client_id))
            .map_err(|error| ClientError::Unsupported(error.to_string()))
    }

    fn handshake_answer(&mut self, frame: &Bytes) -> Result<Received, ClientError> {
        let mut reader = Reader::new(frame);
        frame::ResponseHeader::decode(0, &mut reader)?;
        let answer = api_versions::Response::decode_any(self.handshake_version, &mut reader)?;
        let served = answer
            .api_keys
            .iter()
            .filter_map(|api| Some((ApiKey::from_code(api.api_key)?, Versions::new(api.min_version, api.max_version))));
        let served: BTreeMap<_, _> = served.collect();
        if answer.error_code == ErrorCode::UNSUPPORTED_VERSION && self.handshake_version > 0 {
            let newest = served.get(&ApiKey::ApiVersions).map_or(0, |versions| versions.last);
            self.handshake_version = newest.clamp(0, self.handshake_version - 1);
            return self.handshake().map(Received::Reply);
        }
        ClientError::check(answer.error_code)?;
        self.versions = Some(served);
        Ok(Received::Ready)
    }

    fn answer(&mut self, frame: &Bytes) -> Result<Received, ClientError> {
        let mut reader = Reader::new(frame);
        let correlation_id = reader.clone().i32()?;
        let Some(request) = self.in_flight.pop_front() else {
            return Err(ClientError::Illegal(format!("answer {correlation_id} to no request")));
        };
        if correlation_id != request.correlation_id {
            let expected = request.correlation_id;
            self.in_flight.push_front(request);
            return Err(ClientError::Illegal(format!("answer {correlation_id} in place of {expected}")));
        }
        let header_version = request.key.response_header_version(request.version);
        let decoded = frame::ResponseHeader::decode(header_version, &mut reader)
            .and_then(|_| AnyResponse::decode(request.key, request.version, &mut reader));
        Ok(Received::Answer(request.id, Box::new(decoded.map_err(ClientError::from))))
    }
}

/// The API of a request type.
pub(crate) const fn key_of<R: Request>(_: &R) -> ApiKey {
    R::KEY
}
