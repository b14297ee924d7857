//! `kafka-configs --bootstrap-server`: configs of topics, brokers and their loggers through the admin client.

use kafka_client::{ClientError, To};
use kafka_proto::messages::{alter_configs, describe_configs, incremental_alter_configs};
use kafka_proto::{AnyRequest, AnyResponse};

use super::options::ConfigOptions;
use super::{End, INVALID};
use crate::console::{Console, Stop, Thrown};
use crate::java;
use crate::kafka_admin::{KafkaAdmin, mismatched, thrown};

/// Where a config comes from, by its number on the wire.
const SOURCES: [&str; 7] = [
    "UNKNOWN",
    "DYNAMIC_TOPIC_CONFIG",
    "DYNAMIC_BROKER_CONFIG",
    "DYNAMIC_DEFAULT_BROKER_CONFIG",
    "STATIC_BROKER_CONFIG",
    "DEFAULT_CONFIG",
    "DYNAMIC_BROKER_LOGGER_CONFIG",
];
const SET: i8 = 0;
const DELETE: i8 = 1;

/// What configs are asked of: a kind in the plural and a name, empty for the default of all brokers.
struct Resource<'a> {
    kind: &'a str,
    name: &'a str,
}

impl Resource<'_> {
    fn check(&self) -> Result<(), Thrown> {
        let Self { kind, name } = self;
        if *kind == "topics" || name.is_empty() || name.parse::<i32>().is_ok() {
            return Ok(());
        }
        Err(Thrown::illegal_argument(format!(
            "The entity name for {kind} must be a valid integer broker id, found: {name}"
        )))
    }

    fn type_code(&self) -> i8 {
        match self.kind {
            "topics" => 2,
            "brokers" => 4,
            _ => 8,
        }
    }

    /// A broker answers for itself.
    fn to(&self) -> To {
        let broker = self.name.parse().ok().filter(|_| self.kind != "topics");
        broker.map_or(To::Any, To::Node)
    }

    /// The source of what was set for just this; none for loggers, which have no other.
    fn own_source(&self) -> Option<i8> {
        match (self.kind, self.name) {
            ("topics", _) => Some(1),
            ("brokers", "") => Some(3),
            ("brokers", _) => Some(2),
            _ => None,
        }
    }
}

/// Runs the command through the brokers.
pub(super) fn execute(options: &ConfigOptions, console: &mut Console<'_>) -> Result<(), End> {
    let (kinds, names) = (options.kinds(), options.names()?);
    let kind = kinds.first().map_or("", String::as_str);
    if !["topics", "brokers", "broker-loggers"].contains(&kind) {
        let message = "kafka-configs: quotas and credentials over --bootstrap-server are not part of this version of \
                       Jackdaw yet.";
        return Err(Stop::failure(message).into());
    }
    let (servers, command_config) = options.brokers()?;
    let mut admin = KafkaAdmin::new(command_config.as_deref(), &[("bootstrap.servers", &servers)])?;
    if options.has("alter") {
        let name = names.first().map_or("", String::as_str);
        return Ok(alter(&mut admin, &Resource { kind, name }, options, console)?);
    }
    let names = match names.first() {
        Some(name) => vec![name.clone()],
        None => all_names(&mut admin, kind).map_err(executed)?,
    };
    for name in names {
        describe(&mut admin, &Resource { kind, name: &name }, options.has("all"), console)?;
    }
    Ok(())
}

fn all_names(admin: &mut KafkaAdmin, kind: &str) -> Result<Vec<String>, ClientError> {
    if kind == "topics" {
        let cluster = admin.metadata("listTopics", None)?;
        let names = cluster.topics.iter().map(|topic| topic.name.to_string()).collect();
        return Ok(java::hash_order(names, |name: &String| name));
    }
    let cluster = admin.metadata("listNodes", Some(&[]))?;
    let ids = cluster.brokers.iter().map(|broker| broker.node_id.to_string());
    Ok(ids.chain([String::new()]).collect())
}

fn describe(
    admin: &mut KafkaAdmin,
    resource: &Resource<'_>,
    all: bool,
    console: &mut Console<'_>,
) -> Result<(), Thrown> {
    let Resource { kind, name } = resource;
    if name.is_empty() {
        console.line(format_args!("Default configs for {kind} in the cluster are:"));
    } else {
        let which = if all { "All" } else { "Dynamic" };
        console.line(format_args!("{which} configs for {} {name} are:", singular(kind)));
    }
    for config in configs_of(admin, resource, true, all)? {
        let synonym = |synonym: &describe_configs::Synonym| {
            format!("{}:{}={}", source(synonym.source), synonym.name, synonym.value.as_deref().unwrap_or("null"))
        };
        let synonyms: Vec<String> = config.synonyms.iter().map(synonym).collect();
        let (value, synonyms) = (config.value.as_deref().unwrap_or("null"), synonyms.join(", "));
        console
            .line(format_args!("  {}={value} sensitive={} synonyms={{{synonyms}}}", config.name, config.is_sensitive));
    }
    Ok(())
}

fn source(code: i8) -> &'static str {
    usize::try_from(code).ok().and_then(|at| SOURCES.get(at)).copied().unwrap_or("UNKNOWN")
}

/// The configs of a resource in the original's order: all, or those that were set for just this.
fn configs_of(
    admin: &mut KafkaAdmin,
    resource: &Resource<'_>,
    include_synonyms: bool,
    all: bool,
) -> Result<Vec<describe_configs::Config>, Thrown> {
    resource.check()?;
    let asked = describe_configs::Resource {
        resource_type: resource.type_code(),
        resource_name: resource.name.into(),
        configuration_keys: None,
    };
    let request = describe_configs::Request { resources: vec![asked], include_synonyms, include_documentation: false };
    let AnyResponse::DescribeConfigs(response) =
        admin.call("describeConfigs", resource.to(), request).map_err(executed)?
    else {
        return Err(executed(mismatched()));
    };
    let mut configs = Vec::new();
    for outcome in response.results {
        ClientError::check_with(outcome.error_code, outcome.error_message.as_ref()).map_err(executed)?;
        configs.extend(outcome.configs);
    }
    let wanted = resource.own_source().filter(|_| !all);
    let mut configs = java::hash_order(configs, |config| &config.name);
    configs.retain(|config| wanted.is_none_or(|source| config.config_source == source));
    Ok(configs)
}

fn alter(
    admin: &mut KafkaAdmin,
    resource: &Resource<'_>,
    options: &ConfigOptions,
    console: &mut Console<'_>,
) -> Result<(), Thrown> {
    let (to_add, to_delete) = (options.to_add(console)?, options.to_delete());
    let old = configs_of(admin, resource, resource.kind == "broker-loggers", false)?;
    let is_set = |name: &&String| old.iter().any(|config| *config.name == ***name);
    let is_logger = resource.kind == "broker-loggers";
    let added = to_add.keys().filter(|_| is_logger);
    let unknown: Vec<&str> = to_delete.iter().chain(added).filter(|name| !is_set(name)).map(String::as_str).collect();
    if !unknown.is_empty() {
        let what = if is_logger { "broker logger(s)" } else { "config(s)" };
        return Err(Thrown::new(INVALID, format!("Invalid {what}: {}", unknown.join(","))));
    }
    if resource.kind == "brokers" {
        let mut all: super::Configs = to_add;
        let secret: Vec<&str> = old
            .iter()
            .filter(|config| config.value.is_none())
            .map(|config| &*config.name)
            .filter(|name| !all.contains_key(*name) && !to_delete.iter().any(|other| other == name))
            .collect();
        if !secret.is_empty() {
            let secret = secret.join(", ");
            let message = format!(
                "All sensitive broker config entries must be specified for --alter, missing entries: Set({secret})"
            );
            return Err(Thrown::new(INVALID, message));
        }
        for config in &old {
            let value = config.value.as_deref().unwrap_or_default().to_owned();
            all.entry(config.name.to_string()).or_insert(value);
        }
        all.retain(|name, _| !to_delete.contains(name));
        replace(admin, resource, &all)?;
    } else {
        change(admin, resource, &to_add, &to_delete)?;
    }
    if resource.name.is_empty() {
        console.line(format_args!("Completed updating default config for {} in the cluster.", resource.kind));
    } else {
        console.line(format_args!("Completed updating config for {} {}.", singular(resource.kind), resource.name));
    }
    Ok(())
}

/// Replaces all that is set.
fn replace(admin: &mut KafkaAdmin, resource: &Resource<'_>, configs: &super::Configs) -> Result<(), Thrown> {
    let config = |(name, value): (&String, &String)| alter_configs::Config {
        name: name.as_str().into(),
        value: Some(value.as_str().into()),
    };
    let altered = alter_configs::Resource {
        resource_type: resource.type_code(),
        resource_name: resource.name.into(),
        configs: configs.iter().map(config).collect(),
    };
    let request = alter_configs::Request { resources: vec![altered], validate_only: false };
    send(admin, "alterConfigs", resource, request.into())
}

/// Sets some and deletes others.
fn change(
    admin: &mut KafkaAdmin,
    resource: &Resource<'_>,
    to_add: &super::Configs,
    to_delete: &[String],
) -> Result<(), Thrown> {
    let config = |name: &String, config_operation, value: &str| incremental_alter_configs::Config {
        name: name.as_str().into(),
        config_operation,
        value: Some(value.into()),
    };
    let set = to_add.iter().map(|(name, value)| config(name, SET, value));
    let deleted = to_delete.iter().map(|name| config(name, DELETE, ""));
    let altered = incremental_alter_configs::Resource {
        resource_type: resource.type_code(),
        resource_name: resource.name.into(),
        configs: set.chain(deleted).collect(),
    };
    let request = incremental_alter_configs::Request { resources: vec![altered], validate_only: false };
    send(admin, "incrementalAlterConfigs", resource, request.into())
}

fn send(admin: &mut KafkaAdmin, name: &str, resource: &Resource<'_>, request: AnyRequest) -> Result<(), Thrown> {
    let check = |code, message: Option<&base::Str>| ClientError::check_with(code, message).map_err(executed);
    match admin.call(name, resource.to(), request).map_err(executed)? {
        AnyResponse::AlterConfigs(response) => {
            response.responses.iter().try_for_each(|outcome| check(outcome.error_code, outcome.error_message.as_ref()))
        }
        AnyResponse::IncrementalAlterConfigs(response) => {
            response.responses.iter().try_for_each(|outcome| check(outcome.error_code, outcome.error_message.as_ref()))
        }
        _ => Err(executed(mismatched())),
    }
}

/// What a future of the original throws.
fn executed(error: ClientError) -> Thrown {
    Thrown::executed(thrown(error))
}

fn singular(kind: &str) -> &str {
    kind.strip_suffix('s').unwrap_or(kind)
}
