//! Producer, consumer and admin machines of Kafka's protocol, for the tools and between brokers.
