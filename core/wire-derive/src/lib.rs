//! Derive macro for Kafka messages: one documented struct, its versions as attributes on its fields.
