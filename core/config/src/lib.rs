//! The .properties grammar, and one registry entry for each key of zoo.cfg, server.properties, topics and clients.
