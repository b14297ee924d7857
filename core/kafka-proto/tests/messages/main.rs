//! Every message at every version, against an independent codec, the JVM original's bytes, and hostile bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod allocation;
mod api_keys;
mod fields;
mod golden;
mod hostile;
mod oracle;
mod sample;

use base::{DecodeError, Reader};
use bytes::{Bytes, BytesMut};
use kafka_proto::wire::{EncodeError, Shape, Version, Writer};
use kafka_proto::{AnyRequest, AnyResponse, ApiKey};

/// Which of an API's two messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

/// A message of either side.
#[derive(Debug, PartialEq)]
pub(crate) enum Any {
    Request(AnyRequest),
    Response(AnyResponse),
}

impl Any {
    pub(crate) fn decode(side: Side, key: ApiKey, version: i16, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match side {
            Side::Request => AnyRequest::decode(key, version, reader).map(Self::Request),
            Side::Response => AnyResponse::decode(key, version, reader).map(Self::Response),
        }
    }

    pub(crate) fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut writer = Writer::joined(BytesMut::new());
        match self {
            Self::Request(message) => message.encode_to(version, &mut writer)?,
            Self::Response(message) => message.encode_to(version, &mut writer)?,
        }
        Ok(writer.into_buffer().freeze())
    }
}

/// Calls `check` with both messages of every API at every version.
pub(crate) fn for_each_message(mut check: impl FnMut(Side, ApiKey, Version, &'static Shape)) {
    let mut seen = 0;
    for &key in ApiKey::ALL {
        for number in key.versions().first..=key.versions().last {
            let version = Version { number, flexible: key.is_flexible(number) };
            check(Side::Request, key, version, key.request_shape());
            check(Side::Response, key, version, key.response_shape());
            seen += 1;
        }
    }
    assert_eq!(seen, 219);
}
