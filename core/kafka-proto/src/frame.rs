//! Frames: a length, a header, a message. Encoding makes a whole frame; decoding starts behind the length.

use base::{DecodeError, Part, Parts, Reader, Str};
use bytes::{Bytes, BytesMut};
use wire_derive::Message;

use crate::wire::{EncodeError, Writer};
use crate::{AnyRequest, ApiKey, Message, Request};

/// What most messages fit into, so that the buffer seldom grows.
const FRAME_BYTES: usize = 512;

/// `RequestHeader`: version 0 has no client id, version 2 ends in tagged fields.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+")]
pub struct RequestHeader {
    /// Number of the API.
    pub api_key: i16,
    /// Version of the request and its response.
    pub api_version: i16,
    /// Returned with the response.
    pub correlation_id: i32,
    /// How the client calls itself; never in compact form, so that a broker of any age can read it.
    #[wire(versions = "1+", ignorable, classic)]
    pub client_id: Option<Str>,
}

/// `ResponseHeader`: version 1 ends in tagged fields.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[wire(versions = "0-1", flexible = "1+")]
pub struct ResponseHeader {
    /// The request's.
    pub correlation_id: i32,
}

/// Why a request's header can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The bytes are wrong.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// No API has this number, so the header's form is unknown.
    #[error("unknown API key {0}")]
    UnknownKey(i16),
}

impl RequestHeader {
    /// Reads the header in the version that its key and version ask for. The version itself may be one that is not known:
    /// the header is readable all the same.
    pub fn decode_any(reader: &mut Reader<'_>) -> Result<(ApiKey, Self), HeaderError> {
        let mut ahead = reader.clone();
        let (code, version) = (ahead.i16()?, ahead.i16()?);
        let key = ApiKey::from_code(code).ok_or(HeaderError::UnknownKey(code))?;
        Ok((key, Self::decode(key.request_header_version(version), reader)?))
    }
}

/// Encodes a request with its header and length. Long record batches are parts of their own, not copied.
pub fn request<R: Request>(
    request: &R,
    api_version: i16,
    correlation_id: i32,
    client_id: Option<&Str>,
) -> Result<Parts, EncodeError> {
    encode_request(R::KEY, api_version, correlation_id, client_id, |writer| request.encode_to(api_version, writer))
}

/// Encodes a request of any API as [`request`] does.
pub fn any_request(
    request: &AnyRequest,
    api_version: i16,
    correlation_id: i32,
    client_id: Option<&Str>,
) -> Result<Parts, EncodeError> {
    encode_request(request.key(), api_version, correlation_id, client_id, |writer| {
        request.encode_to(api_version, writer)
    })
}

fn encode_request(
    key: ApiKey,
    api_version: i16,
    correlation_id: i32,
    client_id: Option<&Str>,
    body: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
) -> Result<Parts, EncodeError> {
    let mut writer = Writer::parts(FRAME_BYTES);
    writer.put_slice(&[0; 4]);
    let header = RequestHeader { api_key: key.code(), api_version, correlation_id, client_id: client_id.cloned() };
    header.encode_to(key.request_header_version(api_version), &mut writer)?;
    body(&mut writer)?;
    writer.into_frame()
}

/// Encodes a request as [`request`] does, in one piece.
pub fn request_bytes<R: Request>(
    message: &R,
    api_version: i16,
    correlation_id: i32,
    client_id: Option<&Str>,
) -> Result<Bytes, EncodeError> {
    Ok(join(request(message, api_version, correlation_id, client_id)?))
}

/// Encodes a response with its header and length. Long records are parts of their own: bytes not copied, ranges of files
/// not read.
pub fn response<M: Message>(
    response: &M,
    key: ApiKey,
    version: i16,
    correlation_id: i32,
) -> Result<Parts, EncodeError> {
    let mut writer = Writer::parts(FRAME_BYTES);
    writer.put_slice(&[0; 4]);
    ResponseHeader { correlation_id }.encode_to(key.response_header_version(version), &mut writer)?;
    response.encode_to(version, &mut writer)?;
    writer.into_frame()
}

/// Reads a response to `R` from a frame without its length; the caller compares the correlation id.
pub fn decode_response<R: Request>(version: i16, frame: &Bytes) -> Result<(i32, R::Response), DecodeError> {
    let mut reader = Reader::new(frame);
    let header = ResponseHeader::decode(R::KEY.response_header_version(version), &mut reader)?;
    Ok((header.correlation_id, R::Response::decode(version, &mut reader)?))
}

/// Joins parts that are all bytes, as those of a request are.
fn join(parts: Parts) -> Bytes {
    let mut joined = BytesMut::new();
    for part in parts {
        if let Part::Bytes(bytes) = part {
            if joined.is_empty() {
                joined = BytesMut::from(bytes);
            } else {
                joined.extend_from_slice(&bytes);
            }
        }
    }
    joined.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{api_versions, controlled_shutdown, fetch, produce};
    use crate::wire::Records;

    #[test]
    fn headers_follow_the_request() {
        let shutdown = controlled_shutdown::Request { broker_id: 7, ..Default::default() };
        let id = Str::from_static("me");
        let frame = request_bytes(&shutdown, 0, 5, Some(&id)).unwrap();
        assert_eq!(&frame[..], [0, 0, 0, 12, 0, 7, 0, 0, 0, 0, 0, 5, 0, 0, 0, 7]);
        let frame = request_bytes(&shutdown, 3, 5, Some(&id)).unwrap();
        let body = frame.slice(4..);
        let mut reader = Reader::new(&body);
        let (key, header) = RequestHeader::decode_any(&mut reader).unwrap();
        assert_eq!((key, header.client_id.as_deref()), (ApiKey::ControlledShutdown, Some("me")));
        assert_eq!(controlled_shutdown::Request::decode(3, &mut reader).unwrap(), shutdown);
        assert_eq!(reader.remaining(), 0);
    }

    #[test]
    fn an_unknown_version_still_has_a_header() {
        let frame = Bytes::from_static(&[0, 18, 0, 99, 0, 0, 0, 1, 0xff, 0xff, 0]);
        let (key, header) = RequestHeader::decode_any(&mut Reader::new(&frame)).unwrap();
        assert_eq!((key, header.api_version, header.client_id), (ApiKey::ApiVersions, 99, None));
        let frame = Bytes::from_static(&[0, 58, 0, 0, 0, 0, 0, 1]);
        assert_eq!(RequestHeader::decode_any(&mut Reader::new(&frame)), Err(HeaderError::UnknownKey(58)));
    }

    #[test]
    fn api_versions_responses_have_the_plain_header() {
        let parts = response(&api_versions::Response::default(), ApiKey::ApiVersions, 3, 9).unwrap();
        let [Part::Bytes(frame)] = parts.as_slice() else { panic!("{parts:?}") };
        assert_eq!(&frame[..], [0, 0, 0, 12, 0, 0, 0, 9, 0, 0, 1, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn long_records_are_not_copied() {
        let batch = Bytes::from(vec![7; 5000]);
        let partitions = vec![produce::RequestPartition { partition_index: 0, records: Some(batch.clone()) }; 2];
        let produce = produce::Request {
            topics: vec![produce::RequestTopic { name: Str::from_static("t"), partitions }],
            ..Default::default()
        };
        let parts = request(&produce, 8, 1, None).unwrap();
        let views = parts.iter().filter(|part| matches!(part, Part::Bytes(view) if view.as_ptr() == batch.as_ptr()));
        assert_eq!(views.count(), 2);
        let joined = join(parts);
        assert_eq!(i32::from_be_bytes(*joined.first_chunk().unwrap()) as usize, joined.len() - 4);
        let mut whole = BytesMut::new();
        produce.encode(8, &mut whole).unwrap();
        assert!(joined.ends_with(&whole));
    }

    #[test]
    fn responses_come_back() {
        let partition = fetch::ResponsePartition {
            records: Some(Records::from(Bytes::from(vec![1; 3000]))),
            current_leader: fetch::LeaderAndEpoch { leader_id: 3, leader_epoch: 4 },
            ..Default::default()
        };
        let topics = vec![fetch::ResponseTopic { topic: Str::from_static("t"), partitions: vec![partition] }];
        let sent = fetch::Response { topics, ..Default::default() };
        let frame = join(response(&sent, ApiKey::Fetch, 12, 77).unwrap()).slice(4..);
        assert_eq!(decode_response::<fetch::Request>(12, &frame).unwrap(), (77, sent));
    }
}
