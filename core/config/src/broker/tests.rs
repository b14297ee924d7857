//! `server.properties` in, settings or the original's refusal out.

use super::*;
use crate::key::State;
use crate::notice::Level;
use crate::topic::Compression;

fn config(text: &str) -> Result<(BrokerConfig, Vec<Notice>), ConfigError> {
    BrokerConfig::new(Properties::parse(format!("zookeeper.connect=zk:2181\n{text}").as_bytes()).unwrap())
}

fn settings_of(text: &str) -> Arc<BrokerSettings> {
    config(text).unwrap().0.settings().clone()
}

fn layer(pairs: &[(&str, &str)]) -> Layer {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn defaults_resolve() {
    let settings = settings_of("");
    assert_eq!((settings.broker_id, settings.log_dirs.as_slice()), (None, &["/tmp/kafka-logs".to_owned()][..]));
    assert_eq!(settings.listeners.listeners.first().unwrap().to_string(), "PLAINTEXT://:9092");
    assert_eq!((settings.topic.retention_ms, settings.topic.segment_ms), (604_800_000, 604_800_000));
    assert_eq!(settings.inter_broker_protocol, crate::ApiVersion::LATEST);
}

/// Keys that mean something beyond a field of a section, each with a value that is not its default. What else has to be set for that is
/// in the same text.
const BEYOND_SECTIONS: &[(&str, &str)] = &[
    ("broker.id", "broker.id=5"),
    ("reserved.broker.max.id", "reserved.broker.max.id=7"),
    ("broker.id.generation.enable", "broker.id.generation.enable=false"),
    ("broker.rack", "broker.rack=r"),
    ("log.dir", "log.dir=/a"),
    ("log.dirs", "log.dirs=/a"),
    ("host.name", "host.name=h"),
    ("port", "port=1"),
    ("listeners", "listeners=PLAINTEXT://:1"),
    ("advertised.host.name", "advertised.host.name=h"),
    ("advertised.port", "advertised.port=1"),
    ("advertised.listeners", "advertised.listeners=PLAINTEXT://h:1"),
    ("listener.security.protocol.map", "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,A:PLAINTEXT"),
    ("inter.broker.listener.name", "inter.broker.listener.name=A"),
    ("control.plane.listener.name", "control.plane.listener.name=A"),
    ("inter.broker.protocol.version", "inter.broker.protocol.version=2.0"),
    ("max.connections.per.ip.overrides", "max.connections.per.ip.overrides=h:1"),
    ("log.roll.hours", "log.roll.hours=1"),
    ("log.roll.jitter.hours", "log.roll.jitter.hours=1"),
    ("log.retention.minutes", "log.retention.minutes=1"),
    ("log.retention.hours", "log.retention.hours=1"),
    ("zookeeper.connect", "zookeeper.connect=other:2181"),
    ("log.message.format.version", "log.message.format.version=2.0"),
    ("log.message.timestamp.type", "log.message.timestamp.type=LogAppendTime"),
    ("log.cleanup.policy", "log.cleanup.policy=compact"),
    ("compression.type", "compression.type=zstd"),
    ("zookeeper.ssl.client.enable", "zookeeper.ssl.client.enable=false"),
    ("zookeeper.ssl.keystore.location", "zookeeper.ssl.keystore.location=/other.p12"),
    ("zookeeper.ssl.keystore.password", "zookeeper.ssl.keystore.password=x"),
    ("zookeeper.ssl.keystore.type", "zookeeper.ssl.keystore.type=PEM"),
    ("replica.selector.class", "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector"),
    ("zookeeper.ssl.truststore.location", "zookeeper.ssl.truststore.location=/other.pem"),
    ("zookeeper.ssl.truststore.password", "zookeeper.ssl.truststore.password=x"),
    ("zookeeper.ssl.truststore.type", "zookeeper.ssl.truststore.type=JKS"),
    ("zookeeper.ssl.protocol", "zookeeper.ssl.protocol=TLSv1.3"),
    ("zookeeper.ssl.enabled.protocols", "zookeeper.ssl.enabled.protocols=TLSv1.3"),
    ("zookeeper.ssl.cipher.suites", "zookeeper.ssl.cipher.suites=TLS_AES_128_GCM_SHA256"),
    ("zookeeper.ssl.endpoint.identification.algorithm", "zookeeper.ssl.endpoint.identification.algorithm="),
];

/// TLS with ZooKeeper, for its keys.
const ZOOKEEPER_TLS: &str = "zookeeper.ssl.client.enable=true\nzookeeper.ssl.truststore.location=/t.pem\nzookeeper.ssl.keystore.location=/k.p12\n";

/// Two listeners of clients and brokers, for the keys that choose between them.
const TWO_LISTENERS: &str = "listeners=PLAINTEXT://:1,A://:2\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,A:PLAINTEXT\ninter.broker.listener.name=PLAINTEXT\n";

/// All that the broker runs by, but for the list of values as they were written.
fn meaning(text: &str) -> Option<BrokerSettings> {
    let values = settings_of("").values.clone();
    let resolved = config(text).ok()?.0.settings().clone();
    Some(BrokerSettings { values, ..(*resolved).clone() })
}

/// Whether some value other than the default changes what the broker runs by.
fn changes_meaning(key: &crate::key::Key) -> bool {
    if let Some((_, text)) = BEYOND_SECTIONS.iter().find(|(name, _)| *name == key.name) {
        let before = match key.name {
            "broker.id.generation.enable" => "broker.id=1\n",
            name if name.ends_with("listener.name") => TWO_LISTENERS,
            name if name.starts_with("zookeeper.ssl.") => ZOOKEEPER_TLS,
            _ => "",
        };
        return meaning(&format!("{before}{text}")).is_some_and(|changed| Some(changed) != meaning(before));
    }
    let default = key.default_value().unwrap().to_string();
    let near = default.parse::<i64>().map(|number| [number.saturating_add(1), number.saturating_sub(1), number / 2]);
    let numbers = near.into_iter().flatten().map(|number| number.to_string());
    let texts = ["true", "false", "0.25", "1", "2"].map(str::to_owned);
    let base = meaning("");
    let mut candidates = numbers.chain(texts).filter(|text| *text != default);
    candidates.any(|text| meaning(&format!("{}={text}", key.name)).is_some_and(|changed| Some(changed) != base))
}

#[test]
fn every_honoured_key_changes_what_the_broker_runs_by() {
    for key in keys::all().chain(keys::OURS).filter(|key| key.state == State::Honoured) {
        // The original's only other value wants TLS or SASL.
        if key.name != "security.inter.broker.protocol" {
            assert!(changes_meaning(key), "{} is honoured, but changes nothing", key.name);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test of the sources reads them")]
fn list(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[expect(clippy::disallowed_methods, reason = "a test of the sources reads them")]
fn source(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The sources that use settings, without blanks, so that a chain over several lines is found too.
fn readers(folder: &std::path::Path, text: &mut String) {
    for path in list(folder) {
        if path.is_dir() && !path.ends_with("config") && !path.ends_with("target") {
            readers(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.extend(source(&path).split_whitespace());
        }
    }
}

#[test]
fn what_is_honoured_is_read_by_the_broker_and_what_has_no_effect_is_not() {
    let mut sources = String::new();
    for folder in ["core", "app"] {
        let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        readers(&root.join(folder), &mut sources);
    }
    for (section, field, key) in super::settings::SECTION_FIELDS {
        let section = if *section == "ZooKeeperClient" { "zookeeper".to_owned() } else { section.to_lowercase() };
        let path = format!(".{section}.{field}");
        let ends = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
        let is_read = sources.match_indices(&path).any(|(at, _)| ends(&sources[at + path.len()..]));
        let state = keys::find(key).unwrap().state;
        assert_eq!(is_read, state == State::Honoured, "{key} is {state:?}; settings{path} is read: {is_read}");
    }
}

#[test]
fn finer_units_are_stronger() {
    let times = |text: &str| {
        let topic = settings_of(text).topic.clone();
        (topic.retention_ms, topic.segment_ms, topic.segment_jitter_ms, topic.flush_ms)
    };
    assert_eq!(times("log.retention.hours=1\nlog.retention.minutes=2\nlog.retention.ms=3").0, 3);
    assert_eq!(times("log.retention.hours=1\nlog.retention.minutes=2").0, 120_000);
    assert_eq!(times("log.retention.hours=-1").0, -1);
    assert_eq!(
        times("log.roll.hours=2\nlog.roll.jitter.hours=1\nlog.flush.scheduler.interval.ms=9"),
        (604_800_000, 7_200_000, 3_600_000, 9)
    );
    assert_eq!(times("log.roll.hours=2\nlog.roll.ms=5\nlog.roll.jitter.ms=6").1, 5);
}

#[test]
fn listeners_are_read_as_the_original_reads_them() {
    let listeners = |text: &str| settings_of(text).listeners.clone();
    let two = listeners(
        "listeners=EXT://[::1]:9093,PLAINTEXT://:9092\nlistener.security.protocol.map=ext:plaintext,PLAINTEXT:PLAINTEXT\nadvertised.listeners=PLAINTEXT://me:1,EXT://you:1",
    );
    assert_eq!(
        two.listeners.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["EXT://[::1]:9093", "PLAINTEXT://:9092"]
    );
    assert_eq!(two.advertised.iter().map(ToString::to_string).collect::<Vec<_>>(), ["PLAINTEXT://me:1", "EXT://you:1"]);
    assert_eq!((two.inter_broker.as_str(), two.listeners.first().unwrap().host.as_deref()), ("PLAINTEXT", Some("::1")));
    let old = listeners("port=1234\nhost.name=here\nadvertised.host.name=there");
    assert_eq!(old.listeners.first().unwrap().to_string(), "PLAINTEXT://here:1234");
    assert_eq!(old.advertised.first().unwrap().to_string(), "PLAINTEXT://there:1234");
}

#[test]
fn security_that_is_not_served_refuses_the_start() {
    for text in [
        "listeners=PLAINTEXT://:9092,SSL://:9093",
        "listeners=SASL_PLAINTEXT://:9092\nsecurity.inter.broker.protocol=SASL_PLAINTEXT",
        "authorizer.class.name=kafka.security.authorizer.AclAuthorizer",
        "zookeeper.set.acl=true",
        "zookeeper.ssl.crl.enable=true",
        "delegation.token.master.key=x",
    ] {
        let error = config(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotServed, "{text}: {error}");
    }
    config("zookeeper.set.acl=false\nauthorizer.class.name=\nssl.keystore.location=/x").unwrap();
}

#[test]
fn tls_with_zookeeper_says_what_it_lacks() {
    assert!(settings_of("").zookeeper_tls.is_none() && settings_of(ZOOKEEPER_TLS).zookeeper_tls.is_some());
    for (text, told) in [
        ("zookeeper.ssl.client.enable=true", "trustStore.location is not set"),
        (&format!("{ZOOKEEPER_TLS}zookeeper.ssl.keystore.location=/k.store"), "Unable to auto-detect store file type"),
        (&format!("{ZOOKEEPER_TLS}zookeeper.ssl.protocol=TLSv1"), "not safe"),
    ] {
        let error = config(text).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn keys_without_effect_and_unknown_keys_are_told_once() {
    let (_, notices) = config(
        "num.io.threads=9\nnum.network.threads=3\nbackground.threads=11\nquota.producer.default=5\nsuper.users=a\n",
    )
    .unwrap();
    let texts: Vec<_> = notices.iter().map(|notice| (notice.level, notice.text.as_str())).collect();
    assert!(
        texts
            .iter()
            .any(|(level, text)| *level == Level::Info
                && text.starts_with("num.io.threads, background.threads: accepted"))
    );
    assert!(
        texts.iter().any(|(level, text)| *level == Level::Warn && text.starts_with("quota.producer.default: accepted"))
    );
    assert!(texts.contains(&(Level::Warn, "The configuration 'super.users' was supplied but isn't a known config.")));
    assert_eq!(texts.len(), 3);
}

#[test]
fn a_comment_behind_a_value_is_told() {
    let error = config("num.partitions=3 # three").unwrap_err();
    assert_eq!(error.message(), "Invalid value 3 # three for configuration num.partitions: Not a number of type INT");
    assert!(error.to_string().ends_with("'# three' is part of it; put it on a line of its own)"));
    assert!(config("listeners=PLAINTEXT://:9092 # here").unwrap_err().to_string().contains("'# here' is part of it"));
}

#[test]
fn only_built_in_classes_are_taken() {
    let error = config("metric.reporters=com.example.Reporter").unwrap_err();
    assert_eq!(
        error.message(),
        "Invalid value com.example.Reporter for configuration metric.reporters: Class com.example.Reporter could not be found."
    );
    assert!(error.to_string().contains("org.apache.kafka.common.metrics.JmxReporter"));
    config("metric.reporters=org.apache.kafka.common.metrics.JmxReporter").unwrap();
}

#[test]
fn described_values_name_their_sources() {
    let (config, _) =
        config("log.retention.hours=24\nnum.io.threads=8\nmy.own=1\nlisteners=PLAINTEXT://:9092").unwrap();
    let config = config.validate_update(Scope::Default, &layer(&[("log.cleaner.threads", "2")])).unwrap();
    let config = config
        .validate_update(Scope::Broker, &layer(&[("log.retention.ms", "5000"), ("log.cleaner.threads", "1")]))
        .unwrap();
    let all = config.describe();
    let entry = |name: &str| all.iter().find(|entry| entry.name == name).unwrap();
    let sources = |name: &str| {
        entry(name).synonyms.iter().map(|synonym| (synonym.name.clone(), synonym.source)).collect::<Vec<_>>()
    };
    assert_eq!(
        (entry("log.retention.ms").value.as_deref(), entry("log.retention.ms").source),
        (Some("5000"), ConfigSource::DynamicBroker)
    );
    assert_eq!(
        sources("log.retention.ms").iter().map(|(_, source)| *source).collect::<Vec<_>>(),
        [ConfigSource::DynamicBroker, ConfigSource::StaticBroker, ConfigSource::Default]
    );
    // A stronger name hides the weaker one in the layers, as in the original.
    assert_eq!(entry("log.retention.hours").value.as_deref(), Some("168"));
    assert_eq!(entry("log.cleaner.threads").source, ConfigSource::DynamicBroker);
    assert_eq!(
        (entry("num.io.threads").source, entry("num.io.threads").is_read_only),
        (ConfigSource::StaticBroker, false)
    );
    assert!(entry("my.own").is_sensitive && entry("my.own").value.is_none() && entry("my.own").kind.is_none());
    assert!(entry("ssl.keystore.password").is_sensitive && entry("broker.id").is_read_only);
    assert_eq!(all.len(), 217);
    let defaults = config.describe_default();
    assert_eq!(defaults.len(), 1);
    assert_eq!(defaults.first().unwrap().source, ConfigSource::DynamicDefaultBroker);
}

#[test]
fn described_topics_follow_the_broker() {
    let (config, _) = config("log.segment.bytes=1000\nlog.retention.hours=24").unwrap();
    let all = config.describe_topic(&layer(&[("retention.bytes", "7")])).unwrap();
    let entry = |name: &str| all.iter().find(|entry| entry.name == name).unwrap();
    assert_eq!(all.len(), 26);
    assert_eq!(
        (entry("retention.bytes").value.as_deref(), entry("retention.bytes").source),
        (Some("7"), ConfigSource::DynamicTopic)
    );
    assert_eq!(
        (entry("segment.bytes").value.as_deref(), entry("segment.bytes").source),
        (Some("1000"), ConfigSource::StaticBroker)
    );
    // log.retention.ms itself is set nowhere, so the original calls this a default.
    assert_eq!(
        (entry("retention.ms").value.as_deref(), entry("retention.ms").source),
        (Some("86400000"), ConfigSource::Default)
    );
}

#[test]
fn updates_keep_the_rules() {
    let (config, _) = config("").unwrap();
    let refuse = |scope, pairs: &[(&str, &str)]| config.validate_update(scope, &layer(pairs)).unwrap_err();
    assert_eq!(
        refuse(Scope::Broker, &[("log.roll.hours", "1")]).message(),
        "Cannot update these configs dynamically: Set(log.roll.hours)"
    );
    assert_eq!(
        refuse(Scope::Default, &[("listeners", "PLAINTEXT://:1")]).message(),
        "Cannot update these configs at default cluster level, broker id must be specified: Set(listeners)"
    );
    assert!(
        refuse(Scope::Broker, &[("ssl.keystore.location", "/x")]).message().starts_with(
            "These security configs can be dynamically updated only per-listener using the listener prefix"
        )
    );
    assert_eq!(
        refuse(Scope::Default, &[("log.segment.bytes", "x")]).message(),
        "Invalid value x for configuration log.segment.bytes: Not a number of type INT"
    );
    let threads = refuse(Scope::Default, &[("num.io.threads", "17")]);
    assert_eq!(
        (threads.message(), threads.cause().unwrap().message()),
        (
            "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update validation failed for \
             num.io.threads=17, value should not be greater than double the current value 8 for configuration Invalid dynamic \
             configuration",
            "Dynamic thread count update validation failed for num.io.threads=17, value should not be greater than double the current value 8"
        )
    );
    assert_eq!(
        refuse(Scope::Default, &[("num.io.threads", "3")]).cause().unwrap().message(),
        "Dynamic thread count update validation failed for num.io.threads=3, value should be at least half the current value 8"
    );
    assert_eq!(
        refuse(Scope::Broker, &[("log.cleaner.threads", "3")]).cause().unwrap().message(),
        "Log cleaner threads cannot be increased to more than double the current value 1"
    );
    assert_eq!(
        refuse(Scope::Broker, &[("log.retention.ms", "0")]).message(),
        "requirement failed: log.retention.ms must be unlimited (-1) or, equal or greater than 1"
    );
    let updated = config
        .validate_update(
            Scope::Default,
            &layer(&[("compression.type", "zstd"), ("num.io.threads", "16"), ("custom", "1")]),
        )
        .unwrap();
    assert_eq!(updated.settings().topic.compression, Compression::Zstd);
    assert_eq!(config.settings().topic.compression, Compression::Producer);
}

#[test]
fn wrong_values_in_zookeeper_are_left_out() {
    let (config, _) = config("").unwrap();
    let stored = layer(&[
        ("log.segment.bytes", "x"),
        ("num.partitions", "5"),
        ("listeners", "PLAINTEXT://:1"),
        ("log.retention.ms", "77"),
    ]);
    let (updated, notices) = config.apply_stored(Scope::Default, &stored);
    assert_eq!(updated.settings().topic.retention_ms, 77);
    assert_eq!((updated.settings().topics.partitions, updated.settings().topic.segment_bytes), (1, 1 << 30));
    assert_eq!(notices.len(), 3);
    let (unchanged, notices) = config.apply_stored(Scope::Broker, &layer(&[("log.retention.ms", "0")]));
    assert_eq!(unchanged.settings(), config.settings());
    assert!(notices.first().unwrap().text.starts_with("Per-broker configs could not be applied: requirement failed"));
}

#[test]
fn the_start_logs_every_value() {
    let text = config("ssl.keystore.password=s3same\nbroker.id=3").unwrap().0.log_text();
    assert!(text.starts_with("KafkaConfig values: \n\tadvertised.host.name = null\n"));
    assert!(text.contains("\tbroker.id = 3\n") && text.contains("\tlog.cleanup.policy = [delete]\n"));
    assert!(text.contains("\tssl.keystore.password = [hidden]\n") && !text.contains("s3same"));
}
