//! ZooKeeper's jute codec, client and transaction records, op codes, error codes and path rules.
