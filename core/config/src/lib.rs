//! Configuration: the `.properties` grammar, and one registry entry for each key of `zoo.cfg`, of the `zookeeper.*`
//! properties, of `server.properties`, of topics and of our own clients.
//!
//! The registry ([`Key`]) is the only place that knows a key's name, type, default, range, text and state. Parsers, log
//! lines, `DescribeConfigs`, `docs/compatibility.md` and `--help` come from it. What a user wrote ([`Properties`]) and
//! what a server runs by ([`ZooKeeperSettings`]) are two types: only resolving makes one of the other.

pub mod broker;
pub mod client;
mod error;
mod key;
mod notice;
mod properties;
pub mod topic;
mod value;
mod version;
pub mod zookeeper;

pub use broker::{BrokerConfig, BrokerSettings};
pub use client::{Client, ClientSettings};
pub use error::{ConfigError, ErrorKind};
pub use key::{Default, Importance, Key, Kind, State, Update, Valid};
pub use notice::{Level, Notice};
pub use properties::{Properties, PropertiesError, comment_hint, trailing_comment};
pub use topic::TopicSettings;
pub use value::Value;
pub use version::{ApiVersion, UnknownVersion};
pub use zookeeper::{ZooKeeperError, ZooKeeperSettings};
