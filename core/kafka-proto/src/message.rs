//! Whole messages: a request or a response at one of its versions.

use base::{DecodeError, Reader};
use bytes::BytesMut;

use crate::ApiKey;
use crate::messages::{self, for_each_api};
use crate::wire::{EncodeError, Version, Versions, Wire, Writer};

/// A request, a response, or another structure with versions of its own. Derived.
pub trait Message: Wire + Default {
    /// The versions that 2.7.1 knows.
    const VERSIONS: Versions;
    /// The first flexible version; `i16::MAX` if there is none.
    const FLEXIBLE_FROM: i16;

    /// How a version is encoded.
    fn version(number: i16) -> Version {
        Version { number, flexible: number >= Self::FLEXIBLE_FROM }
    }

    /// Reads the message. What follows it is left to the caller: 2.7.1 passes over bytes behind a request.
    fn decode(version: i16, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            let at = reader.position();
            return Err(DecodeError::Value { what: "message version", value: i64::from(version), at });
        }
        Self::read(Self::version(version), reader)
    }

    /// Appends the message to `out`, ranges of files included. After an error `out` holds a part of it.
    fn encode(&self, version: i16, out: &mut BytesMut) -> Result<(), EncodeError> {
        let mut writer = Writer::joined(std::mem::take(out));
        let result = self.encode_to(version, &mut writer);
        *out = writer.into_buffer();
        result
    }

    /// Appends the message to a writer, which may keep long records as parts of their own.
    fn encode_to(&self, version: i16, writer: &mut Writer) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::Version { message: std::any::type_name::<Self>(), version });
        }
        self.write(Self::version(version), writer)
    }
}

/// A request: a message with an API and an answer.
pub trait Request: Message {
    /// Its API.
    const KEY: ApiKey;
    /// Its answer, encoded in the same version.
    type Response: Message;
}

macro_rules! any_message {
    ($(#[$doc:meta])* $any:ident, $message:ident, $($key:ident $module:ident,)*) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs, reason = "a variant is the message of its name")]
        pub enum $any {
            $($key(messages::$module::$message),)*
        }

        impl $any {
            /// Which API it is of.
            pub const fn key(&self) -> ApiKey {
                match self {
                    $(Self::$key(_) => ApiKey::$key,)*
                }
            }

            /// Reads the message of `key`; see [`Message::decode`].
            pub fn decode(key: ApiKey, version: i16, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match key {
                    $(ApiKey::$key => Message::decode(version, reader).map(Self::$key),)*
                }
            }

            /// Appends the message to a writer; see [`Message::encode_to`].
            pub fn encode_to(&self, version: i16, writer: &mut Writer) -> Result<(), EncodeError> {
                match self {
                    $(Self::$key(message) => message.encode_to(version, writer),)*
                }
            }
        }

        $(
            impl From<messages::$module::$message> for $any {
                fn from(message: messages::$module::$message) -> Self {
                    Self::$key(message)
                }
            }

            /// The message if it is of this API, else the API that it is of.
            impl TryFrom<$any> for messages::$module::$message {
                type Error = ApiKey;

                fn try_from(any: $any) -> Result<Self, ApiKey> {
                    match any {
                        $any::$key(message) => Ok(message),
                        other => Err(other.key()),
                    }
                }
            }
        )*
    };
}

macro_rules! any_messages {
    ($($code:literal $key:ident $module:ident,)*) => {
        any_message!(
            /// A request of any API, for what treats all alike: request logs, fuzzers, tests.
            AnyRequest, Request, $($key $module,)*
        );
        any_message!(
            /// A response of any API, for what treats all alike: request logs, fuzzers, tests.
            AnyResponse, Response, $($key $module,)*
        );
    };
}

for_each_api!(any_messages);
