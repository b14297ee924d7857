//! The registry and the refusals against files made by the originals: see `golden/Golden.java`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use config::broker::Scope;
use config::{
    ApiVersion, BrokerConfig, Client, Default, Importance, Key, Kind, Properties, TopicSettings, Update, Valid,
    ZooKeeperSettings,
};

const DEFINITIONS: &str = include_str!("golden/definitions.tsv");
const ANSWERS: &str = include_str!("golden/answers.tsv");

/// A registry entry as `Golden.java` writes one.
fn line(table: &str, key: &Key) -> String {
    let kind = match key.kind {
        Kind::Boolean => "BOOLEAN",
        Kind::String => "STRING",
        Kind::Int => "INT",
        Kind::Short => "SHORT",
        Kind::Long => "LONG",
        Kind::Double => "DOUBLE",
        Kind::List => "LIST",
        Kind::Class => "CLASS",
        Kind::Password => "PASSWORD",
    };
    let default = match key.default {
        Default::Required => "<required>",
        Default::Null => "<null>",
        Default::Is(text) => text,
    };
    let importance = match key.importance {
        Importance::High => "HIGH",
        Importance::Medium => "MEDIUM",
        Importance::Low => "LOW",
    };
    let more = match key.update {
        _ if table == "topic" => key.broker_synonym.unwrap_or_default(),
        Update::ReadOnly => "",
        update => update.name(),
    };
    [table, key.name, kind, default, &rules(key.valid), importance, more].join("\t")
}

/// The rules as `ConfigDef.Validator.toString` writes them; the rule about classes is ours.
fn rules(rules: &[Valid]) -> String {
    let rules: Vec<_> = rules.iter().filter(|rule| !matches!(rule, Valid::Classes(_))).collect();
    match rules[..] {
        [] => String::new(),
        [Valid::AtLeast(low)] => format!("[{low},...]"),
        [Valid::AtLeast(low), Valid::AtMost(high)] => format!("[{low},...,{high}]"),
        [Valid::OneOf(all) | Valid::EachOneOf(all)] => format!("[{}]", all.join(", ")),
        [Valid::NonNull] => "non-null string".to_owned(),
        [Valid::NonEmpty] => "non-empty string".to_owned(),
        [Valid::ApiVersion] => format!("[{}]", ApiVersion::all().map(ApiVersion::name).collect::<Vec<_>>().join(", ")),
        [Valid::ThrottledReplicas] => "[partitionId]:[brokerId],[partitionId]:[brokerId],...".to_owned(),
        _ => panic!("no such combination in the original: {rules:?}"),
    }
}

#[test]
fn the_registry_is_the_originals() {
    let tables: [(&str, Vec<&Key>); 5] = [
        ("broker", config::broker::keys::all().collect()),
        ("topic", config::topic::all().iter().collect()),
        ("producer", Client::Producer.keys().collect()),
        ("consumer", Client::Consumer.keys().collect()),
        ("admin", Client::Admin.keys().collect()),
    ];
    let ours: BTreeSet<String> =
        tables.iter().flat_map(|(table, keys)| keys.iter().map(|key| line(table, key))).collect();
    // A class in a list of classes is printed as Java prints classes.
    let theirs: BTreeSet<String> = DEFINITIONS.lines().map(|line| line.replace("\tclass org.", "\torg.")).collect();
    let differences: Vec<_> = ours.symmetric_difference(&theirs).collect();
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(tables.iter().flat_map(|(_, keys)| keys).all(|key| key.doc.ends_with('.')));
}

/// The text behind `Golden.escape`; `\uXXXX` is a UTF-16 unit there.
fn unescape(text: &str) -> String {
    let mut units = Vec::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let escaped = if character == '\\' { rest.next() } else { None };
        match escaped {
            None => units.extend(character.encode_utf16(&mut [0; 2]).iter()),
            Some('u') => units.push(u16::from_str_radix(&rest.by_ref().take(4).collect::<String>(), 16).unwrap()),
            Some('n') => units.push(10),
            Some('t') => units.push(9),
            Some('r') => units.push(13),
            Some('f') => units.push(12),
            Some(other) => units.push(other as u16),
        }
    }
    String::from_utf16_lossy(&units)
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect()
}

/// Questions and the original's answers.
fn cases(question: &str) -> Vec<(String, String)> {
    let rows = ANSWERS.lines().map(|line| line.split('\t').collect::<Vec<_>>()).filter(|row| row[0] == question);
    let cases: Vec<_> = rows.map(|row| (unescape(row[1]), row[2].to_owned())).collect();
    assert!(!cases.is_empty(), "no cases of {question}");
    cases
}

/// Every answer of ours must begin as the original's does (ours may add a hint), but for `ours`: texts with the reason.
fn compare(question: &str, ours: &[(&str, &str)], answer: impl Fn(&str) -> String) {
    let mut different = BTreeSet::new();
    let fits =
        |ours: &str, theirs: &str| if question == "properties" { ours == theirs } else { ours.starts_with(theirs) };
    for (text, theirs) in cases(question) {
        let theirs = theirs.split(" / ").map(unescape).collect::<Vec<_>>();
        let found = answer(&text);
        let same = found.split(" / ").zip(&theirs).all(|(ours, theirs)| fits(ours, theirs))
            && (found == "ok") == (theirs[0] == "ok");
        match ours.iter().find(|(exception, _)| text.ends_with(exception)) {
            Some((exception, reason)) => {
                assert!(!same, "{text:?} is the same after all: {reason}");
                different.insert(*exception);
            }
            None => assert!(same, "{question} {text:?}\n  theirs: {theirs:?}\n  ours:   {found}"),
        }
    }
    assert_eq!(different.len(), ours.len(), "an exception that is no case");
}

#[test]
fn the_grammar_is_the_originals() {
    compare("properties", &[], |text| match Properties::parse(&latin1(text)) {
        Err(error) => format!("java.lang.IllegalArgumentException: {error}"),
        Ok(properties) => {
            let sorted: BTreeMap<Vec<u16>, _> =
                properties.iter().map(|(key, value)| (key.encode_utf16().collect(), (key, value))).collect();
            sorted.values().map(|(key, value)| format!("{key}\u{1}{value}\u{2}")).collect()
        }
    });
}

fn refusal<T>(result: Result<T, config::ConfigError>) -> String {
    result.map_or_else(|error| error.lines()[0].clone(), |_| "ok".to_owned())
}

#[test]
fn brokers_are_refused_as_by_the_original() {
    let ours = [
        ("log.cleaner.threads=0", "a division by zero in the original has another class"),
        ("\ncompression.type=GZIP", "taken there at first, but its logs then die of it at the start"),
        ("offsets.topic.compression.codec=5", "an UnknownCodecException there"),
        ("max.connections.per.ip.overrides=h:x", "a NumberFormatException there"),
    ];
    compare("broker", &ours, |text| refusal(BrokerConfig::new(Properties::parse(&latin1(text)).unwrap())));
}

fn map(text: &str) -> BTreeMap<String, String> {
    Properties::parse(&latin1(text)).unwrap().iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn topics_are_refused_as_by_the_original() {
    compare("topic", &[], |text| refusal(TopicSettings::validate(&map(text))));
}

#[test]
fn updates_are_refused_as_by_the_original() {
    let (config, _) = BrokerConfig::new(Properties::parse(b"zookeeper.connect=z").unwrap()).unwrap();
    let ours = [("log.cleaner.threads=0", "a division by zero in the original has another class")];
    compare("broker update", &ours, |text| refusal(config.validate_update(Scope::Broker, &map(text))));
    compare("default update", &ours, |text| refusal(config.validate_update(Scope::Default, &map(text))));
}

#[test]
fn zookeepers_are_refused_as_by_the_original() {
    let answer = |text: &str| {
        let mut read = |path: &str| match path {
            "ZOO.CFG" => Ok(latin1(text)),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        match ZooKeeperSettings::load("ZOO.CFG", &Properties::new(), &mut read) {
            Err(error) => error.lines().join(" / ").replace("Caused by: ", ""),
            Ok(loaded) => {
                let settings = loaded.settings;
                let port =
                    settings.client_address.map_or_else(|| "none".to_owned(), |address| address.port.to_string());
                let numbers = [
                    settings.tick_time_ms,
                    settings.session_timeout_ms_min,
                    settings.session_timeout_ms_max,
                    settings.connections_per_address_max,
                    settings.purge.snapshots_retained,
                    settings.purge.interval_hours,
                ];
                let numbers = numbers.map(|number| number.to_string()).join(" ");
                format!("ok {} {} {numbers} {port}", settings.data_dir, settings.data_log_dir)
            }
        }
    };
    compare("zoo.cfg", &[], answer);
}
