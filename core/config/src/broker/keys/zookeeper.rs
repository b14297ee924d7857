//! Broker keys: how the broker reaches ZooKeeper.

use super::reasons::{NO_SASL, PIPELINE, ZK_SOCKET};
use crate::key::{Key, Valid, boolean, int, list, password, string};
use crate::zookeeper::keys::NO_REVOCATION;

pub(crate) static KEYS: &[Key] = &[
    string("zookeeper.connect").required().high().doc("Hosts of ZooKeeper as host:port,host:port, and behind the last one the path under which this cluster keeps its nodes, as in zk1:2181,zk2:2181/kafka."),
    int("zookeeper.session.timeout.ms").default("18000").high().doc("Session timeout that the broker asks ZooKeeper for, in milliseconds. A broker that is silent longer counts as dead."),
    int("zookeeper.connection.timeout.ms").high().doc("Milliseconds that the broker waits at its start for a connection to ZooKeeper, and then gives up. Not set: it waits for ever."),
    int("zookeeper.sync.time.ms").default("2000").no_effect("nothing read it in 2.7.1 either").doc("Milliseconds that a ZooKeeper follower may lag behind."),
    boolean("zookeeper.set.acl").default("false").high().refused(NO_SASL).doc("Protect the broker's nodes by ACLs, so that only brokers change them."),
    int("zookeeper.max.in.flight.requests").default("10").valid(&[Valid::AtLeast("1")]).high().doc("Requests that the broker sends to ZooKeeper without waiting for the answers.").no_effect(PIPELINE),
    boolean("zookeeper.ssl.client.enable").default("false").medium().doc("Speak TLS with ZooKeeper."),
    string("zookeeper.clientCnxnSocket").medium().no_effect(ZK_SOCKET).doc("Java class of the connection; TLS asks for the one of Netty."),
    string("zookeeper.ssl.keystore.location").medium().doc("File with the broker's certificate and key for ZooKeeper."),
    password("zookeeper.ssl.keystore.password").medium().doc("Password of that file."),
    string("zookeeper.ssl.keystore.type").medium().doc("Format of that file. Default: by its name."),
    string("zookeeper.ssl.truststore.location").medium().doc("File with the certificates that are trusted."),
    password("zookeeper.ssl.truststore.password").medium().doc("Password of the file of trusted certificates."),
    string("zookeeper.ssl.truststore.type").medium().doc("Format of the file of trusted certificates. Default: by its name."),
    string("zookeeper.ssl.protocol").default("TLSv1.2").doc("TLS version that is asked for."),
    list("zookeeper.ssl.enabled.protocols").doc("TLS versions that are accepted."),
    list("zookeeper.ssl.cipher.suites").doc("Cipher suites that are accepted."),
    string("zookeeper.ssl.endpoint.identification.algorithm").default("HTTPS").doc("https checks that the certificate bears ZooKeeper's host name; empty does not."),
    boolean("zookeeper.ssl.crl.enable").default("false").refused(NO_REVOCATION).doc("Ask revocation lists whether certificates are still good."),
    boolean("zookeeper.ssl.ocsp.enable").default("false").refused(NO_REVOCATION).doc("Ask OCSP servers whether certificates are still good."),
];
