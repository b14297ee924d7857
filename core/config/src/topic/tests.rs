//! Overrides in, settings or the original's refusal out.

use super::*;
use crate::{BrokerConfig, Properties};

fn overrides(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn refusal(pairs: &[(&str, &str)]) -> (ErrorKind, String) {
    let error = TopicSettings::validate(&overrides(pairs)).unwrap_err();
    (error.kind(), error.message().to_owned())
}

fn defaults(text: &str) -> TopicDefaults {
    let file = Properties::parse(format!("zookeeper.connect=z\n{text}").as_bytes()).unwrap();
    BrokerConfig::new(file).unwrap().0.settings().topic_defaults.clone()
}

#[test]
fn overrides_stand_over_the_brokers_defaults() {
    let defaults =
        defaults("log.segment.bytes=1000\nlog.message.format.version=2.0\nlog.cleanup.policy=compact,delete");
    let topic = TopicSettings::resolve(&defaults, &overrides(&[("retention.ms", "-1"), ("unknown", "kept")])).unwrap();
    assert_eq!((topic.segment_bytes, topic.retention_ms, topic.message_format.name()), (1000, -1, "2.0-IV1"));
    assert!(topic.compact && topic.delete && !topic.preallocate);
    let error = TopicSettings::resolve(&defaults, &overrides(&[("segment.bytes", "13")])).unwrap_err();
    assert_eq!(error.message(), "Invalid value 13 for configuration segment.bytes: Value must be at least 14");
}

#[test]
fn what_a_client_wants_is_checked_in_the_words_of_the_original() {
    assert_eq!(
        refusal(&[("retention", "1")]),
        (ErrorKind::InvalidConfiguration, "Unknown topic config name: retention".to_owned())
    );
    assert_eq!(
        refusal(&[("min.compaction.lag.ms", "9"), ("max.compaction.lag.ms", "8")]).1,
        "conflict topic config setting min.compaction.lag.ms (9) > max.compaction.lag.ms (8)"
    );
    assert_eq!(
        refusal(&[("cleanup.policy", "delete,drop")]),
        (
            ErrorKind::Config,
            "Invalid value drop for configuration cleanup.policy: String must be one of: compact, delete".to_owned()
        )
    );
    assert_eq!(
        refusal(&[("min.cleanable.dirty.ratio", "1.5")]).1,
        "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1"
    );
    TopicSettings::validate(&overrides(&[
        ("leader.replication.throttled.replicas", "0:1,1:2"),
        ("follower.replication.throttled.replicas", "*"),
    ]))
    .unwrap();
}

#[test]
fn a_compacted_topic_rolls_in_time_for_the_cleaner() {
    let defaults = defaults("");
    let roll = |pairs: &[(&str, &str)]| TopicSettings::resolve(&defaults, &overrides(pairs)).unwrap().segment_ms_max();
    assert_eq!(roll(&[("max.compaction.lag.ms", "5")]), 604_800_000);
    assert_eq!(roll(&[("max.compaction.lag.ms", "5"), ("cleanup.policy", "compact")]), 5);
}
