//! Requests, encoded once by the project's own codecs, and the few exchanges that set a case up.

pub(crate) mod kafka;
pub(crate) mod zookeeper;
