//! DescribeConfigs (key 32, versions 0 to 3): what topics and this broker run by, and where each value comes from; and the
//! levels of the broker's loggers (KIP-412).
//!
//! A topic's overrides are read from ZooKeeper, so that a change is seen by whoever made it. Version 0 says only whether
//! a value is the default, 1 adds synonyms, 3 types and texts.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::Str;
use config::Kind;
use config::broker::{ConfigEntry, ConfigSource};
use kafka_proto::ErrorCode;
use kafka_proto::messages::describe_configs::{Config, Outcome, Request, Resource as Wanted, Response, Synonym};

use crate::answer::Answer;
use crate::broker::Broker;
use crate::dispatch::Context;
use crate::entity_configs::Resource;
use crate::gather::Gather;
use crate::topics::TopicError;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let (synonyms, documentation) = (request.include_synonyms, request.include_documentation);
    let version = context.version;
    let gather = Gather::new(Vec::new(), move |results| answer.send(&Response { results, ..Response::default() }));
    for wanted in request.resources {
        let gather = gather.clone();
        describe(context.broker, wanted, move |wanted, entries| {
            gather.add(outcome(wanted, entries, |entry| config(entry, version, synonyms, documentation)));
        });
    }
}

/// The original leaves the schema's default where it has nothing to say: the empty text, not null.
const NO_MESSAGE: Option<Str> = Some(Str::EMPTY);

fn describe(
    broker: &Arc<Broker>,
    wanted: Wanted,
    then: impl FnOnce(&Wanted, Result<Vec<ConfigEntry>, TopicError>) + Send + 'static,
) {
    match Resource::described(broker, wanted.resource_type, &wanted.resource_name) {
        Err(error) => then(&wanted, Err(error)),
        Ok(Resource::Broker(Some(_))) => then(&wanted, Ok(broker.config().describe())),
        Ok(Resource::Broker(None)) => then(&wanted, Ok(broker.config().describe_default())),
        Ok(Resource::BrokerLogger(_)) => then(&wanted, Ok(loggers(broker))),
        Ok(topic @ Resource::Topic(_)) => {
            if let Err(error) = broker.check_described_topic(&wanted.resource_name) {
                return then(&wanted, Err(error));
            }
            broker.read_stored(&topic, move |broker, stored| {
                then(&wanted, stored.map(|stored| broker.describe_topic_configs(&stored)));
            });
        }
    }
}

fn loggers(broker: &Broker) -> Vec<ConfigEntry> {
    let entry = |(name, level)| ConfigEntry {
        name,
        value: Some(level),
        source: ConfigSource::DynamicBrokerLogger,
        is_sensitive: false,
        is_read_only: false,
        synonyms: Vec::new(),
        kind: None,
        doc: None,
    };
    broker.host.loggers().levels().into_iter().map(entry).collect()
}

fn outcome(
    wanted: &Wanted,
    entries: Result<Vec<ConfigEntry>, TopicError>,
    config: impl Fn(ConfigEntry) -> Config,
) -> Outcome {
    let keys: Option<BTreeSet<&str>> =
        wanted.configuration_keys.as_ref().map(|keys| keys.iter().map(Str::as_str).collect());
    // An empty list of keys asks for all of them, like none.
    let keys = keys.filter(|keys| !keys.is_empty());
    let (resource_type, resource_name) = (wanted.resource_type, wanted.resource_name.clone());
    match entries {
        Ok(entries) => {
            let listed =
                entries.into_iter().filter(|entry| keys.as_ref().is_none_or(|keys| keys.contains(&*entry.name)));
            let configs = listed.map(config).collect();
            Outcome { error_message: NO_MESSAGE, resource_type, resource_name, configs, ..Outcome::default() }
        }
        Err(TopicError { code, message }) => Outcome {
            error_code: if code.is_none() { ErrorCode::UNKNOWN_SERVER_ERROR } else { code },
            error_message: message.map(Str::from).or(NO_MESSAGE),
            resource_type,
            resource_name,
            configs: Vec::new(),
        },
    }
}

fn config(entry: ConfigEntry, version: i16, with_synonyms: bool, with_documentation: bool) -> Config {
    let synonyms = entry.synonyms.into_iter().filter(|_| with_synonyms).map(|synonym| Synonym {
        name: synonym.name.into(),
        value: synonym.value.map(Str::from),
        source: synonym.source.id(),
    });
    Config {
        name: entry.name.into(),
        value: entry.value.map(Str::from),
        read_only: entry.is_read_only,
        is_default: version == 0 && entry.source == ConfigSource::Default,
        config_source: entry.source.id(),
        is_sensitive: entry.is_sensitive,
        synonyms: synonyms.collect(),
        config_type: entry.kind.map_or(0, Kind::id),
        documentation: entry.doc.filter(|_| with_documentation).map(Str::from_static),
    }
}
