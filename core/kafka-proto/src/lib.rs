//! Kafka's wire messages at every version, record batches, compression and error codes.

pub mod record;
