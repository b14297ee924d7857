//! One Kafka broker: connections, one module for each API key, fetch sessions, metadata, dynamic configs.
