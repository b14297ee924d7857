//! API keys: the number of each API, its versions, and which headers go with them.

use std::fmt;

use crate::Message;
use crate::messages::{self, for_each_api};
use crate::wire::{Shape, Versions, Wire};

macro_rules! api_keys {
    ($($code:literal $key:ident $module:ident,)*) => {
        /// The APIs of 2.7.1, under their upstream names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {
            $(
                #[doc = concat!("[`messages::", stringify!($module), "`]")]
                $key = $code,
            )*
        }

        impl ApiKey {
            /// All keys, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$key),*];

            /// The API of a number, if 2.7.1 knows it.
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$key),)*
                    _ => None,
                }
            }

            /// The upstream name, as `OffsetForLeaderEpoch`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$key => stringify!($key),)*
                }
            }

            /// The versions that 2.7.1 knows.
            pub const fn versions(self) -> Versions {
                match self {
                    $(Self::$key => messages::$module::Request::VERSIONS,)*
                }
            }

            /// The first flexible version; `i16::MAX` if there is none.
            pub const fn flexible_from(self) -> i16 {
                match self {
                    $(Self::$key => messages::$module::Request::FLEXIBLE_FROM,)*
                }
            }

            /// What the request is made of.
            pub const fn request_shape(self) -> &'static Shape {
                match self {
                    $(Self::$key => messages::$module::Request::SHAPE,)*
                }
            }

            /// What the response is made of.
            pub const fn response_shape(self) -> &'static Shape {
                match self {
                    $(Self::$key => messages::$module::Response::SHAPE,)*
                }
            }
        }
    };
}

for_each_api!(api_keys);

impl ApiKey {
    /// The number on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Whether requests and responses of this version are flexible.
    pub const fn is_flexible(self, version: i16) -> bool {
        version >= self.flexible_from()
    }

    /// Version of the request's header: 2 with flexible requests, 0 with the first ControlledShutdown, else 1.
    pub const fn request_header_version(self, version: i16) -> i16 {
        match self {
            Self::ControlledShutdown if version == 0 => 0,
            _ if self.is_flexible(version) => 2,
            _ => 1,
        }
    }

    /// Version of the response's header: 1 with flexible responses, but always 0 with ApiVersions, which a client reads
    /// before it knows anything of the broker.
    pub const fn response_header_version(self, version: i16) -> i16 {
        match self {
            Self::ApiVersions => 0,
            _ => self.is_flexible(version) as i16,
        }
    }

    /// Whether a broker of 2.7.1 in ZooKeeper mode serves it: all but the quorum's own.
    pub const fn is_served(self) -> bool {
        !matches!(self, Self::Vote | Self::BeginQuorumEpoch | Self::EndQuorumEpoch | Self::DescribeQuorum)
    }

    /// Whether only brokers may call it, with the right of a cluster action.
    pub const fn is_cluster_action(self) -> bool {
        matches!(
            self,
            Self::LeaderAndIsr
                | Self::StopReplica
                | Self::UpdateMetadata
                | Self::ControlledShutdown
                | Self::WriteTxnMarkers
                | Self::Vote
                | Self::BeginQuorumEpoch
                | Self::EndQuorumEpoch
                | Self::DescribeQuorum
                | Self::AlterIsr
        )
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
