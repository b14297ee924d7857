//! Broker keys: identity, threads, listeners and limits of connections.

use super::reasons::{NO_AUTHORIZER, QUEUES, SASL_UNUSED, THREADS};
use crate::key::{Key, Valid, boolean, int, long, string};

pub(crate) static KEYS: &[Key] = &[
    boolean("broker.id.generation.enable").default("true").medium().doc("Let ZooKeeper hand out a number when broker.id is not set."),
    int("reserved.broker.max.id").default("1000").valid(&[Valid::AtLeast("0")]).medium().doc("Largest number that may be given by hand; generated ones begin above it."),
    int("broker.id").default("-1").high().doc("Number of this broker in its cluster. -1: a number is generated."),
    int("message.max.bytes").default("1048588").valid(&[Valid::AtLeast("0")]).high().cluster_wide().doc("Largest record batch that is taken, after compression, in bytes. A topic's max.message.bytes is stronger."),
    int("num.network.threads").default("3").valid(&[Valid::AtLeast("1")]).high().cluster_wide().no_effect(THREADS).doc("Threads that read requests and write replies."),
    int("num.io.threads").default("8").valid(&[Valid::AtLeast("1")]).high().cluster_wide().no_effect(THREADS).doc("Threads that work on requests, disk included."),
    int("num.replica.alter.log.dirs.threads").high().doc("Threads that move replicas between log directories. Default: one for each directory."),
    int("background.threads").default("10").valid(&[Valid::AtLeast("1")]).high().cluster_wide().no_effect(THREADS).doc("Threads for background work."),
    int("queued.max.requests").default("500").valid(&[Valid::AtLeast("1")]).high().doc("Requests that may wait for work before reading from connections stops.").no_effect(QUEUES),
    long("queued.max.request.bytes").default("-1").medium().doc("Bytes of requests that may wait before reading from connections stops. -1: no limit.").no_effect(QUEUES),
    int("request.timeout.ms").default("30000").high().doc("Milliseconds that a request to another broker may take."),
    long("socket.connection.setup.timeout.ms").default("10000").medium().doc("Milliseconds that a connection to another broker may take. It doubles with each failure."),
    long("socket.connection.setup.timeout.max.ms").default("127000").medium().doc("Most milliseconds that a connection to another broker may take."),
    string("authorizer.class.name").default("").refused(NO_AUTHORIZER).doc("Class that decides who may do what."),
    int("port").default("9092").high().doc("Older name for the port to listen on; used when listeners is not set."),
    string("host.name").default("").high().doc("Older name for the address to listen on; used when listeners is not set. Empty: all addresses."),
    string("listeners").high().per_broker().doc("Where to listen: NAME://host:port, separated by commas. An empty host is the default interface, 0.0.0.0 all of them."),
    string("advertised.host.name").high().doc("Older name for the host that clients are told; used when neither advertised.listeners nor listeners is set."),
    int("advertised.port").high().doc("Older name for the port that clients are told; used when neither advertised.listeners nor listeners is set."),
    string("advertised.listeners").high().per_broker().doc("Where clients and brokers find this broker, if that differs from listeners. 0.0.0.0 is no such address."),
    string("listener.security.protocol.map").default("PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL").per_broker().doc("Which security protocol each listener name stands for."),
    string("control.plane.listener.name").high().doc("Listener for requests of the controller, kept apart from data."),
    int("socket.send.buffer.bytes").default("102400").high().doc("SO_SNDBUF of each connection. -1: the system's default."),
    int("socket.receive.buffer.bytes").default("102400").high().doc("SO_RCVBUF of each connection. -1: the system's default."),
    int("socket.request.max.bytes").default("104857600").valid(&[Valid::AtLeast("1")]).high().doc("Largest request, in bytes. A larger one closes its connection."),
    int("max.connections.per.ip").default("2147483647").valid(&[Valid::AtLeast("0")]).medium().cluster_wide().doc("Connections allowed from one address. 0 allows the overrides alone."),
    string("max.connections.per.ip.overrides").default("").medium().cluster_wide().doc("host:count, separated by commas: limits for single addresses."),
    int("max.connections").default("2147483647").valid(&[Valid::AtLeast("0")]).medium().cluster_wide().doc("Connections allowed at the same time; with a listener's prefix, on that listener."),
    int("max.connection.creation.rate").default("2147483647").valid(&[Valid::AtLeast("0")]).medium().cluster_wide().doc("New connections allowed in a second; with a listener's prefix, on that listener."),
    long("connections.max.idle.ms").default("600000").medium().doc("Milliseconds after which an idle connection is closed. Negative: never."),
    int("connection.failed.authentication.delay.ms").default("100").valid(&[Valid::AtLeast("0")]).no_effect(SASL_UNUSED).doc("Milliseconds that a failed login is kept waiting for its answer."),
    string("broker.rack").medium().doc("Rack of this broker: replicas are spread over racks, and consumers may read nearby."),
];
