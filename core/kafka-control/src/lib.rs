//! The controller: topics, partition and leader state, configs, broker liveness, and the znode layout of Kafka 2.7.1.
