//! Kafka's messages: all APIs at all versions, behind a header and without; what consumers say to each other.

use base::Reader;
use bytes::{Bytes, BytesMut};
use kafka_proto::frame::RequestHeader;
use kafka_proto::messages::consumer_protocol::{Assignment, Subscription};
use kafka_proto::wire::Writer;
use kafka_proto::{AnyRequest, AnyResponse, ApiKey};

use super::choice;

/// `(API, version, body)` of an input whose first two bytes choose.
fn chosen(input: &[u8]) -> Option<(ApiKey, i16, Bytes)> {
    let (api, rest) = choice(input)?;
    let (version, body) = choice(rest)?;
    let key = *ApiKey::ALL.get(api % ApiKey::ALL.len())?;
    let versions = key.versions();
    let count = i16::try_from(version).ok()? % (versions.last - versions.first + 1);
    Some((key, versions.first + count, Bytes::copy_from_slice(body)))
}

macro_rules! round_trip {
    ($any:ident, $key:expr, $version:expr, $body:expr) => {
        if let Ok(message) = $any::decode($key, $version, &mut Reader::new($body)) {
            let encode = |message: &$any| {
                let mut writer = Writer::joined(BytesMut::new());
                message.encode_to($version, &mut writer).expect("what was decoded has a form");
                writer.into_buffer().freeze()
            };
            let first = encode(&message);
            let again = $any::decode($key, $version, &mut Reader::new(&first)).expect("what was encoded is read");
            assert_eq!(encode(&again), first);
        }
    };
}

pub(crate) fn requests(input: &[u8]) {
    let Some((key, version, body)) = chosen(input) else { return };
    round_trip!(AnyRequest, key, version, &body);
}

pub(crate) fn responses(input: &[u8]) {
    let Some((key, version, body)) = chosen(input) else { return };
    round_trip!(AnyResponse, key, version, &body);
}

/// A frame as a connection cuts it: header, then the body by the header's word.
pub(crate) fn frames(input: &[u8]) {
    let frame = Bytes::copy_from_slice(input);
    let mut reader = Reader::new(&frame);
    if let Ok((key, header)) = RequestHeader::decode_any(&mut reader) {
        let _ = AnyRequest::decode(key, header.api_version, &mut reader);
    }
}

pub(crate) fn consumer_protocol(input: &[u8]) {
    let bytes = Bytes::copy_from_slice(input);
    for version in [0, 1] {
        if let Ok(subscription) = Subscription::from_bytes(&bytes) {
            let encoded = subscription.to_bytes(version).expect("what was decoded has a form");
            Subscription::from_bytes(&encoded).expect("what was encoded is read");
        }
        if let Ok(assignment) = Assignment::from_bytes(&bytes) {
            let encoded = assignment.to_bytes(version).expect("what was decoded has a form");
            Assignment::from_bytes(&encoded).expect("what was encoded is read");
        }
    }
}

/// For each API a body of zeros at each end of its versions: empty strings and lists.
fn seeds() -> Vec<Vec<u8>> {
    let apis = (0..ApiKey::ALL.len()).flat_map(|api| [0_u8, u8::MAX].map(|version| (api as u8, version)));
    apis.map(|(api, version)| [&[api, version][..], &[0; 64]].concat()).collect()
}

pub(crate) fn request_seeds() -> Vec<Vec<u8>> {
    seeds()
}

pub(crate) fn response_seeds() -> Vec<Vec<u8>> {
    seeds()
}

pub(crate) fn frame_seeds() -> Vec<Vec<u8>> {
    let newest = |key: &ApiKey| (*key, key.versions().last);
    let frame = |(key, version): (ApiKey, i16)| {
        let mut frame = key.code().to_be_bytes().to_vec();
        frame.extend(version.to_be_bytes());
        frame.extend([0, 0, 0, 1, 0xff, 0xff]);
        frame.extend([0; 64]);
        frame
    };
    ApiKey::ALL.iter().map(newest).map(frame).collect()
}
