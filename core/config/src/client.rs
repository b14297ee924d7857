//! The registry of our clients' properties: producer, consumer and admin client of 2.7.1 (`--producer-property`,
//! `--consumer.config`, `--command-config` and the like).
//!
//! A tool refuses an ill-typed value in the words of `ConfigDef`, and warns of keys that it does not know.

use std::collections::BTreeMap;

use crate::error::{ConfigError, ErrorKind};
use crate::key::{Key, State, Valid, boolean, class, double, int, list, long, password, short, string};
use crate::notice::Notice;
use crate::properties::Properties;
use crate::value::Value;

const NO_TRANSACTIONS: &str = "transactions are not served yet: remove the key, or use the original tool";
const NO_SECURITY: &str = "TLS and SASL are not served yet: use PLAINTEXT, or the original tool";
const SASL_UNUSED: &str = "SASL is not served yet, so nothing reads it";
const TLS_UNUSED: &str = "TLS is not served yet, so nothing reads it";
const METRICS: &str = "clients publish no metrics";
const INTERNAL: &str = "it is internal to the original";

const NO_CLASSES: Valid = Valid::Classes(&[]);
const JMX: Valid = Valid::Classes(&["org.apache.kafka.common.metrics.JmxReporter"]);
const SERIALIZERS: Valid = Valid::Classes(&[
    "org.apache.kafka.common.serialization.ByteArraySerializer",
    "org.apache.kafka.common.serialization.StringSerializer",
]);
const DESERIALIZERS: Valid = Valid::Classes(&[
    "org.apache.kafka.common.serialization.ByteArrayDeserializer",
    "org.apache.kafka.common.serialization.BytesDeserializer",
    "org.apache.kafka.common.serialization.DoubleDeserializer",
    "org.apache.kafka.common.serialization.FloatDeserializer",
    "org.apache.kafka.common.serialization.IntegerDeserializer",
    "org.apache.kafka.common.serialization.LongDeserializer",
    "org.apache.kafka.common.serialization.ShortDeserializer",
    "org.apache.kafka.common.serialization.StringDeserializer",
    "org.apache.kafka.common.serialization.UUIDDeserializer",
]);
const PARTITIONERS: Valid = Valid::Classes(&[
    "org.apache.kafka.clients.producer.internals.DefaultPartitioner",
    "org.apache.kafka.clients.producer.RoundRobinPartitioner",
    "org.apache.kafka.clients.producer.UniformStickyPartitioner",
]);
const ASSIGNORS: Valid = Valid::Classes(&[
    "org.apache.kafka.clients.consumer.RangeAssignor",
    "org.apache.kafka.clients.consumer.RoundRobinAssignor",
    "org.apache.kafka.clients.consumer.StickyAssignor",
    "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
]);

/// Which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// `ProducerConfig`
    Producer,
    /// `ConsumerConfig`
    Consumer,
    /// `AdminClientConfig`
    Admin,
}

impl Client {
    /// All keys of this client.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> {
        let own = match self {
            Self::Producer => PRODUCER,
            Self::Consumer => CONSUMER,
            Self::Admin => ADMIN,
        };
        COMMON.iter().chain(own)
    }

    /// The entry of a key.
    #[must_use]
    pub fn find(self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}

/// A client's values, read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientSettings {
    by_name: BTreeMap<&'static str, Value>,
}

impl ClientSettings {
    /// Reads what was written over the defaults. Required keys may be missing: the tool says what it needs in its own
    /// words. The lines are for the log.
    ///
    /// # Errors
    /// The original's message for the first bad value, or why a value is not served.
    pub fn resolve(client: Client, written: &Properties) -> Result<(Self, Vec<Notice>), ConfigError> {
        let mut by_name = BTreeMap::new();
        let mut notices = Vec::new();
        for key in client.keys() {
            let default = key.default_value().unwrap_or(Value::Null);
            let value = match written.get(key.name) {
                Some(text) => key.parse(text)?,
                None => default.clone(),
            };
            match key.state {
                State::Refused(why) if value != default => {
                    return Err(ConfigError::new(ErrorKind::NotServed, format!("{}={value}: {why}", key.name)));
                }
                State::NoEffect(why) if value != default => {
                    notices.push(Notice::warn(LOGGER, format!("{} has no effect: {why}", key.name)));
                }
                _ => {}
            }
            by_name.insert(key.name, value);
        }
        for (name, _) in written.iter().filter(|(name, _)| client.find(name).is_none()) {
            notices.push(Notice::warn(
                LOGGER,
                format!("The configuration '{name}' was supplied but isn't a known config."),
            ));
        }
        Ok((Self { by_name }, notices))
    }

    /// The value of a key; none for a key that this client does not have.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.by_name.get(name)
    }

    /// An `INT`, `SHORT` or `LONG`; none for null, another type, or a key that this client does not have.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.value(name)? {
            Value::Int(number) => Some(i64::from(*number)),
            Value::Short(number) => Some(i64::from(*number)),
            Value::Long(number) => Some(*number),
            _ => None,
        }
    }

    /// A `STRING` or `CLASS`.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name)?.as_str()
    }

    /// A `BOOLEAN`; false for a key that this client does not have.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.value(name) == Some(&Value::Boolean(true))
    }
}

const LOGGER: &str = "org.apache.kafka.common.config.AbstractConfig";

/// The same in all three.
static COMMON: &[Key] = &[
    string("client.dns.lookup").default("use_all_dns_ips").valid(&[Valid::OneOf(&["default", "use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"])]).medium().doc("use_all_dns_ips tries every address of a name; resolve_canonical_bootstrap_servers_only takes each address of a first broker by its own name."),
    long("metadata.max.age.ms").default("300000").valid(&[Valid::AtLeast("0")]).doc("Milliseconds after which topics and leaders are asked for anew."),
    int("metrics.num.samples").default("2").valid(&[Valid::AtLeast("1")]).no_effect(METRICS).doc("Samples from which a metric is computed."),
    string("metrics.recording.level").default("INFO").valid(&[Valid::OneOf(&["INFO", "DEBUG", "TRACE"])]).no_effect(METRICS).doc("How much is measured: INFO, DEBUG or TRACE."),
    long("metrics.sample.window.ms").default("30000").valid(&[Valid::AtLeast("0")]).no_effect(METRICS).doc("Milliseconds of one sample."),
    long("reconnect.backoff.max.ms").default("1000").valid(&[Valid::AtLeast("0")]).doc("Most milliseconds between two tries to connect to a broker."),
    long("reconnect.backoff.ms").default("50").valid(&[Valid::AtLeast("0")]).doc("Milliseconds between the first two tries to connect to a broker; it doubles with each failure."),
    int("request.timeout.ms").default("30000").valid(&[Valid::AtLeast("0")]).medium().doc("Milliseconds that an answer may take."),
    long("retry.backoff.ms").default("100").valid(&[Valid::AtLeast("0")]).doc("Milliseconds before a failed request is sent again."),
    class("sasl.client.callback.handler.class").medium().valid(&[NO_CLASSES]).doc("Class that answers a SASL server."),
    password("sasl.jaas.config").medium().no_effect(SASL_UNUSED).doc("JAAS login, instead of a JAAS file."),
    string("sasl.kerberos.kinit.cmd").default("/usr/bin/kinit").no_effect(SASL_UNUSED).doc("Program that renews Kerberos tickets."),
    long("sasl.kerberos.min.time.before.relogin").default("60000").no_effect(SASL_UNUSED).doc("Milliseconds between two Kerberos logins at least."),
    string("sasl.kerberos.service.name").medium().no_effect(SASL_UNUSED).doc("Kerberos name of the brokers."),
    double("sasl.kerberos.ticket.renew.jitter").default("0.05").no_effect(SASL_UNUSED).doc("Random share that is added to the renewal time of a ticket."),
    double("sasl.kerberos.ticket.renew.window.factor").default("0.8").no_effect(SASL_UNUSED).doc("Share of a ticket's life after which it is renewed."),
    class("sasl.login.callback.handler.class").medium().valid(&[NO_CLASSES]).doc("Class that answers a login."),
    class("sasl.login.class").medium().valid(&[NO_CLASSES]).doc("Class that logs in."),
    short("sasl.login.refresh.buffer.seconds").default("300").valid(&[Valid::AtLeast("0"), Valid::AtMost("3600")]).no_effect(SASL_UNUSED).doc("Seconds before a token's end by which it is renewed."),
    short("sasl.login.refresh.min.period.seconds").default("60").valid(&[Valid::AtLeast("0"), Valid::AtMost("900")]).no_effect(SASL_UNUSED).doc("Seconds that a token is used at least before it is renewed."),
    double("sasl.login.refresh.window.factor").default("0.8").valid(&[Valid::AtLeast("0.5"), Valid::AtMost("1.0")]).no_effect(SASL_UNUSED).doc("Share of a token's life after which it is renewed."),
    double("sasl.login.refresh.window.jitter").default("0.05").valid(&[Valid::AtLeast("0.0"), Valid::AtMost("0.25")]).no_effect(SASL_UNUSED).doc("Random share that is added to the renewal time of a token."),
    string("sasl.mechanism").default("GSSAPI").medium().no_effect(SASL_UNUSED).doc("SASL mechanism."),
    string("security.protocol").default("PLAINTEXT").medium().refused(NO_SECURITY).doc("How brokers are spoken to: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."),
    string("security.providers").valid(&[NO_CLASSES]).doc("Java classes that bring security algorithms."),
    int("send.buffer.bytes").default("131072").valid(&[Valid::AtLeast("-1")]).medium().doc("SO_SNDBUF of a connection. -1: the system's default."),
    long("socket.connection.setup.timeout.max.ms").default("127000").medium().doc("Most milliseconds that connecting may take."),
    long("socket.connection.setup.timeout.ms").default("10000").medium().doc("Milliseconds that connecting may take at first; it doubles with each failure."),
    list("ssl.cipher.suites").no_effect(TLS_UNUSED).doc("Cipher suites that are accepted."),
    list("ssl.enabled.protocols").default("TLSv1.2,TLSv1.3").medium().no_effect(TLS_UNUSED).doc("TLS versions that are accepted."),
    string("ssl.endpoint.identification.algorithm").default("https").no_effect(TLS_UNUSED).doc("https checks that a broker's certificate bears its host name; empty does not."),
    class("ssl.engine.factory.class").valid(&[NO_CLASSES]).doc("Class that makes TLS engines."),
    password("ssl.key.password").high().no_effect(TLS_UNUSED).doc("Password of the key in the key store."),
    string("ssl.keymanager.algorithm").default("SunX509").no_effect(TLS_UNUSED).doc("Java's way to pick a key."),
    password("ssl.keystore.certificate.chain").high().no_effect(TLS_UNUSED).doc("The certificate chain itself, as PEM."),
    password("ssl.keystore.key").high().no_effect(TLS_UNUSED).doc("The private key itself, as PEM."),
    string("ssl.keystore.location").high().no_effect(TLS_UNUSED).doc("File with the client's certificate and key."),
    password("ssl.keystore.password").high().no_effect(TLS_UNUSED).doc("Password of the key store."),
    string("ssl.keystore.type").default("JKS").medium().no_effect(TLS_UNUSED).doc("Format of the key store: JKS, PKCS12 or PEM."),
    string("ssl.protocol").default("TLSv1.3").medium().no_effect(TLS_UNUSED).doc("TLS version that is asked for."),
    string("ssl.provider").medium().no_effect(TLS_UNUSED).doc("Java security provider of TLS."),
    string("ssl.secure.random.implementation").no_effect(TLS_UNUSED).doc("Java's source of random numbers for TLS."),
    string("ssl.trustmanager.algorithm").default("PKIX").no_effect(TLS_UNUSED).doc("Java's way to check a certificate."),
    password("ssl.truststore.certificates").high().no_effect(TLS_UNUSED).doc("The trusted certificates themselves, as PEM."),
    string("ssl.truststore.location").high().no_effect(TLS_UNUSED).doc("File with the certificates that are trusted."),
    password("ssl.truststore.password").high().no_effect(TLS_UNUSED).doc("Password of the trust store."),
    string("ssl.truststore.type").default("JKS").medium().no_effect(TLS_UNUSED).doc("Format of the trust store: JKS, PKCS12 or PEM."),
];

/// The rest of `ProducerConfig`.
static PRODUCER: &[Key] = &[
    string("acks")
        .default("1")
        .valid(&[Valid::OneOf(&["all", "-1", "0", "1"])])
        .high()
        .doc("Acknowledgements a write waits for: 0 none, 1 the leader's, all those of the in-sync replicas."),
    int("batch.size")
        .default("16384")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .doc("Bytes of records for one partition that are sent together at most. 0: each record alone."),
    list("bootstrap.servers")
        .default("")
        .valid(&[Valid::NonNull])
        .high()
        .doc("Brokers to ask first, as host:port,host:port. The others are learnt from them."),
    long("buffer.memory")
        .default("33554432")
        .valid(&[Valid::AtLeast("0")])
        .high()
        .doc("Bytes of records that may wait to be sent; more wait up to max.block.ms."),
    string("client.id").default("").medium().doc("Name of the client in requests, logs and quotas."),
    string("compression.type").default("none").high().doc("Compression of batches: none, gzip, snappy, lz4 or zstd."),
    long("connections.max.idle.ms")
        .default("540000")
        .medium()
        .doc("Milliseconds after which an idle connection is closed."),
    int("delivery.timeout.ms")
        .default("120000")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .doc("Milliseconds from sending a record to its success or failure at most, retries included."),
    boolean("enable.idempotence")
        .default("false")
        .doc("Write each record once, retries or not. Needs acks=all and at most 5 requests in flight."),
    list("interceptor.classes")
        .default("")
        .valid(&[Valid::NonNull, NO_CLASSES])
        .doc("Classes that see records on their way."),
    boolean("internal.auto.downgrade.txn.commit")
        .default("false")
        .no_effect(INTERNAL)
        .doc("Fall back to an older request for commits of offsets in transactions."),
    class("key.serializer").required().high().valid(&[SERIALIZERS]).doc("Class that turns a key into bytes."),
    long("linger.ms")
        .default("0")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .doc("Milliseconds that a batch waits for more records."),
    long("max.block.ms")
        .default("60000")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .doc("Milliseconds that a send waits for metadata or memory."),
    int("max.in.flight.requests.per.connection")
        .default("5")
        .valid(&[Valid::AtLeast("1")])
        .doc("Requests without an answer on a connection at most."),
    int("max.request.size")
        .default("1048576")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .doc("Bytes of a request, and of a record before compression, at most."),
    long("metadata.max.idle.ms")
        .default("300000")
        .valid(&[Valid::AtLeast("5000")])
        .doc("Milliseconds after which a topic nobody writes to is forgotten."),
    list("metric.reporters").default("").valid(&[Valid::NonNull, JMX]).doc("Classes that publish metrics."),
    class("partitioner.class")
        .default("org.apache.kafka.clients.producer.internals.DefaultPartitioner")
        .medium()
        .valid(&[PARTITIONERS])
        .doc("Class that picks a record's partition."),
    int("receive.buffer.bytes")
        .default("32768")
        .valid(&[Valid::AtLeast("-1")])
        .medium()
        .doc("SO_RCVBUF of a connection. -1: the system's default."),
    int("retries")
        .default("2147483647")
        .valid(&[Valid::AtLeast("0"), Valid::AtMost("2147483647")])
        .high()
        .doc("Times that a failed request is sent again."),
    int("transaction.timeout.ms")
        .default("60000")
        .doc("Milliseconds after which the coordinator aborts a transaction."),
    string("transactional.id")
        .valid(&[Valid::NonEmpty])
        .refused(NO_TRANSACTIONS)
        .doc("Name under which transactions outlive the producer. None: no transactions."),
    class("value.serializer").required().high().valid(&[SERIALIZERS]).doc("Class that turns a value into bytes."),
];

/// The rest of `ConsumerConfig`.
static CONSUMER: &[Key] = &[
    boolean("allow.auto.create.topics")
        .default("true")
        .medium()
        .doc("Let the broker create a topic that is subscribed to and missing."),
    int("auto.commit.interval.ms")
        .default("5000")
        .valid(&[Valid::AtLeast("0")])
        .doc("Milliseconds between two automatic commits."),
    string("auto.offset.reset")
        .default("latest")
        .valid(&[Valid::OneOf(&["latest", "earliest", "none"])])
        .medium()
        .doc("Where to begin when nothing is committed: earliest, latest, or none for an error."),
    list("bootstrap.servers")
        .default("")
        .valid(&[Valid::NonNull])
        .high()
        .doc("Brokers to ask first, as host:port,host:port. The others are learnt from them."),
    boolean("check.crcs").default("true").doc("Check the checksums of what is fetched."),
    string("client.id").default("").doc("Name of the client in requests, logs and quotas."),
    string("client.rack").default("").doc("Rack of the client, so that a near replica is read."),
    long("connections.max.idle.ms")
        .default("540000")
        .medium()
        .doc("Milliseconds after which an idle connection is closed."),
    int("default.api.timeout.ms")
        .default("60000")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .doc("Milliseconds that a call may take, retries included."),
    boolean("enable.auto.commit").default("true").medium().doc("Commit offsets in the background."),
    boolean("exclude.internal.topics").default("true").medium().doc("A pattern does not match internal topics."),
    int("fetch.max.bytes")
        .default("52428800")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .doc("Bytes of a fetch at most; the first batch comes whole."),
    int("fetch.max.wait.ms")
        .default("500")
        .valid(&[Valid::AtLeast("0")])
        .doc("Milliseconds that a fetch waits for fetch.min.bytes."),
    int("fetch.min.bytes").default("1").valid(&[Valid::AtLeast("0")]).high().doc("Bytes for which a fetch waits."),
    string("group.id").high().doc("Group in which partitions are shared and offsets kept."),
    string("group.instance.id")
        .medium()
        .doc("Name of a static member, which may leave for a while without a rebalance."),
    int("heartbeat.interval.ms")
        .default("3000")
        .high()
        .doc("Milliseconds between two signs of life to the coordinator; a third of session.timeout.ms is good."),
    list("interceptor.classes")
        .default("")
        .valid(&[Valid::NonNull, NO_CLASSES])
        .doc("Classes that see records on their way."),
    boolean("internal.leave.group.on.close").default("true").doc("Leave the group when the consumer is closed."),
    boolean("internal.throw.on.fetch.stable.offset.unsupported")
        .default("false")
        .no_effect(INTERNAL)
        .doc("Fail where a coordinator does not know pending offsets."),
    string("isolation.level")
        .default("read_uncommitted")
        .valid(&[Valid::OneOf(&["read_committed", "read_uncommitted"])])
        .medium()
        .doc("read_committed passes over records of open and aborted transactions."),
    class("key.deserializer").required().high().valid(&[DESERIALIZERS]).doc("Class that turns bytes into a key."),
    int("max.partition.fetch.bytes")
        .default("1048576")
        .valid(&[Valid::AtLeast("0")])
        .high()
        .doc("Bytes of one partition in a fetch at most; the first batch comes whole."),
    int("max.poll.interval.ms")
        .default("300000")
        .valid(&[Valid::AtLeast("1")])
        .medium()
        .doc("Milliseconds between two polls after which a member is taken for dead."),
    int("max.poll.records")
        .default("500")
        .valid(&[Valid::AtLeast("1")])
        .medium()
        .doc("Records that a poll gives at most."),
    list("metric.reporters").default("").valid(&[Valid::NonNull, JMX]).doc("Classes that publish metrics."),
    list("partition.assignment.strategy")
        .default("org.apache.kafka.clients.consumer.RangeAssignor")
        .valid(&[Valid::NonNull, ASSIGNORS])
        .medium()
        .doc("Classes that share partitions among members, the preferred one first."),
    int("receive.buffer.bytes")
        .default("65536")
        .valid(&[Valid::AtLeast("-1")])
        .medium()
        .doc("SO_RCVBUF of a connection. -1: the system's default."),
    int("session.timeout.ms")
        .default("10000")
        .high()
        .doc("Milliseconds without a sign of life after which a member is taken for dead."),
    class("value.deserializer").required().high().valid(&[DESERIALIZERS]).doc("Class that turns bytes into a value."),
];

/// The rest of `AdminClientConfig`.
static ADMIN: &[Key] = &[
    list("bootstrap.servers")
        .required()
        .high()
        .doc("Brokers to ask first, as host:port,host:port. The others are learnt from them."),
    string("client.id").default("").medium().doc("Name of the client in requests, logs and quotas."),
    long("connections.max.idle.ms")
        .default("300000")
        .medium()
        .doc("Milliseconds after which an idle connection is closed."),
    int("default.api.timeout.ms")
        .default("60000")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .doc("Milliseconds that a call may take, retries included."),
    list("metric.reporters").default("").valid(&[JMX]).doc("Classes that publish metrics."),
    int("receive.buffer.bytes")
        .default("65536")
        .valid(&[Valid::AtLeast("-1")])
        .medium()
        .doc("SO_RCVBUF of a connection. -1: the system's default."),
    int("retries")
        .default("2147483647")
        .valid(&[Valid::AtLeast("0"), Valid::AtMost("2147483647")])
        .doc("Times that a failed request is sent again."),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(client: Client, text: &str) -> Result<(ClientSettings, Vec<Notice>), ConfigError> {
        ClientSettings::resolve(client, &Properties::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn written_values_stand_over_defaults() {
        let (settings, notices) =
            resolve(Client::Producer, "linger.ms=5\nacks=all\nunknown=1\nsasl.mechanism=PLAIN").unwrap();
        assert_eq!(
            (settings.number("linger.ms"), settings.text("acks"), settings.number("retries")),
            (Some(5), Some("all"), Some(2_147_483_647))
        );
        assert!(!settings.flag("enable.idempotence") && settings.value("group.id").is_none());
        assert_eq!(notices.len(), 2);
    }

    #[test]
    fn bad_values_are_refused_in_the_words_of_the_original() {
        let refuse = |client, text| resolve(client, text).unwrap_err().message().to_owned();
        assert_eq!(
            refuse(Client::Producer, "acks=2"),
            "Invalid value 2 for configuration acks: String must be one of: all, -1, 0, 1"
        );
        assert_eq!(
            refuse(Client::Consumer, "max.poll.records=0"),
            "Invalid value 0 for configuration max.poll.records: Value must be at least 1"
        );
        assert_eq!(
            refuse(Client::Producer, "retries=-1"),
            "Invalid value -1 for configuration retries: Value must be at least 0"
        );
        assert!(
            refuse(Client::Admin, "security.protocol=SSL")
                .starts_with("security.protocol=SSL: TLS and SASL are not served yet")
        );
        assert_eq!(
            refuse(Client::Producer, "transactional.id=t"),
            "transactional.id=t: transactions are not served yet: remove the key, or use the original tool"
        );
        assert!(refuse(Client::Consumer, "key.deserializer=my.Own").contains("Class my.Own could not be found."));
    }
}
