//! `kafka-configs.sh` (`kafka.admin.ConfigCommand`): configs of topics and brokers, quotas of users and clients.
//!
//! With `--zookeeper` it writes the znodes itself; else the brokers are asked.

mod bootstrap;
mod entity;
mod options;

use std::collections::BTreeMap;
use std::ffi::OsString;

use config::broker::{BrokerConfig, Scope};
use config::{ConfigError, ErrorKind, Properties, TopicSettings};
use kafka_control::znode::{BROKER_IDS, EntityConfig, broker};

use crate::console::{Console, Stop, Thrown};
use crate::java;
use crate::kafka_admin::load_properties;
use crate::kafka_zookeeper::KafkaZookeeper;
use crate::properties::kafkas_zookeeper_tls;
use entity::{ConfigEntity, DEFAULT};
use options::ConfigOptions;

type Configs = BTreeMap<String, String>;

/// Broker configs that may be written at any time.
const WHILE_RUNNING: [&str; 3] = [
    "leader.replication.throttled.rate",
    "follower.replication.throttled.rate",
    "replica.alter.log.dirs.io.max.bytes.per.second",
];
const QUOTAS: [(&str, &str); 4] = [
    ("consumer_byte_rate", "LONG"),
    ("controller_mutation_rate", "DOUBLE"),
    ("producer_byte_rate", "LONG"),
    ("request_percentage", "DOUBLE"),
];
const SCRAM: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];
const INVALID: &str = "org.apache.kafka.common.errors.InvalidConfigurationException";

/// How the command ends early: as the original's `main` tells it, or with usage.
enum End {
    Thrown(Thrown),
    Stop(Stop),
}

impl From<Thrown> for End {
    fn from(thrown: Thrown) -> Self {
        Self::Thrown(thrown)
    }
}

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// Runs the command.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let thrown = match execute(arguments, console) {
        Ok(()) => return Ok(0),
        Err(End::Stop(stop)) => return Err(stop),
        Err(End::Thrown(thrown)) => thrown,
    };
    console.flush();
    let caught = ["java.lang.IllegalArgumentException", "java.lang.NumberFormatException", INVALID];
    if caught.contains(&&*thrown.class) || thrown.class.starts_with("joptsimple.") {
        return Err(Stop::failure(&thrown.message));
    }
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    let words = words.join(" ");
    let trace = thrown.trace();
    Err(Stop::failure(format!("Error while executing config command with args '{words}'\n{trace}")))
}

fn execute(arguments: &[OsString], console: &mut Console<'_>) -> Result<(), End> {
    let options = ConfigOptions::parse(arguments)?;
    let Some(servers) = options.zookeeper()? else {
        return bootstrap::execute(&options, console);
    };
    console.line(
        "Warning: --zookeeper is deprecated and will be removed in a future version of Kafka.\nUse --bootstrap-server \
         instead to specify a broker to connect to.",
    );
    let file =
        options.tls_file()?.map(|path| load_properties(&path)).transpose().map_err(Stop::from)?.unwrap_or_default();
    let tls = kafkas_zookeeper_tls(&file).map_err(Stop::failure)?;
    let mut zookeeper = KafkaZookeeper::connect(&servers, tls)?;
    if options.has("alter") {
        alter(&mut zookeeper, &options, console)
    } else {
        Ok(describe(&mut zookeeper, &options, console)?)
    }
}

fn alter(zookeeper: &mut KafkaZookeeper, options: &ConfigOptions, console: &mut Console<'_>) -> Result<(), End> {
    let added = options.to_add(console)?;
    let deleted = options.to_delete();
    let entity = options.entity()?;
    let (kind, name) = (entity.root.kind.as_str(), entity.full_name());
    match kind {
        "users" if entity.child.is_none() => check_scram(&added)?,
        "brokers" => check_broker_is_down(zookeeper, &name, &added)?,
        _ => {}
    }
    let mut configs = zookeeper.entity_config(kind, &name)?;
    let unknown: Vec<&str> =
        deleted.iter().map(String::as_str).filter(|deleted| !configs.0.contains_key(*deleted)).collect();
    if !unknown.is_empty() {
        return Err(Thrown::new(INVALID, format!("Invalid config(s): {}", unknown.join(","))).into());
    }
    configs.0.extend(added);
    for name in &deleted {
        configs.0.remove(name);
    }
    check(zookeeper, &entity, &configs)?;
    zookeeper.change_entity_config(kind, &name, &configs)?;
    console.line(format_args!("Completed updating config for entity: {entity}."));
    Ok(())
}

fn describe(zookeeper: &mut KafkaZookeeper, options: &ConfigOptions, console: &mut Console<'_>) -> Result<(), Thrown> {
    let entity = options.entity()?;
    let all_users = entity.root.kind == "users" && entity.root.name.is_none() && entity.child.is_none();
    for entity in entity.expand(zookeeper)? {
        let configs = zookeeper.entity_config(&entity.root.kind, &entity.full_name())?;
        if configs.0.is_empty() && all_users {
            continue;
        }
        let configs = java::hash_order(configs.0.iter().collect(), |(name, _)| name);
        let configs: Vec<String> = configs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        console.line(format_args!("Configs for {entity} are {}", configs.join(",")));
    }
    Ok(())
}

/// What may be stored for an entity.
fn check(zookeeper: &mut KafkaZookeeper, entity: &ConfigEntity, configs: &EntityConfig) -> Result<(), Thrown> {
    let name = entity.full_name();
    match entity.root.kind.as_str() {
        "topics" => {
            if !zookeeper.topics()?.contains(&name) {
                return Err(Thrown::new(
                    "org.apache.kafka.common.errors.UnknownTopicOrPartitionException",
                    format!("Topic '{name}' does not exist."),
                ));
            }
            TopicSettings::validate(&configs.0).map_err(|error| refused(&error))
        }
        "brokers" => {
            let scope = if name == DEFAULT { Scope::Default } else { Scope::Broker };
            check_broker_configs(scope, &configs.0)
        }
        "users" if name != DEFAULT && entity.child.is_none() => check_quotas(&configs.0, true),
        _ => check_quotas(&configs.0, false),
    }
}

fn refused(error: &ConfigError) -> Thrown {
    let class = match error.kind() {
        ErrorKind::InvalidConfiguration => INVALID,
        _ => "org.apache.kafka.common.config.ConfigException",
    };
    Thrown::new(class, error.message())
}

fn check_broker_configs(scope: Scope, configs: &Configs) -> Result<(), Thrown> {
    // Any broker will do: only names and values are looked at.
    let file = [("zookeeper.connect", "localhost")].into_iter().collect::<Properties>();
    let (broker, _) = BrokerConfig::new(file).map_err(|error| refused(&error))?;
    broker.validate_update(scope, configs).map(|_| ()).map_err(|error| refused(&error))
}

/// Configs other than rates of replication are written to ZooKeeper only while nobody is there to take them.
fn check_broker_is_down(zookeeper: &mut KafkaZookeeper, name: &str, added: &Configs) -> Result<(), End> {
    let dynamic: Vec<&str> = added.keys().map(String::as_str).filter(|name| !WHILE_RUNNING.contains(name)).collect();
    if dynamic.is_empty() {
        return Ok(());
    }
    let is_default = name == DEFAULT;
    let running = if is_default {
        !zookeeper.children(BROKER_IDS)?.is_empty()
    } else {
        zookeeper.exists(&broker(name.parse().unwrap_or(-1)))?
    };
    if running {
        let when =
            if is_default { "for default cluster if any broker".to_owned() } else { format!("when broker {name}") };
        return Err(Thrown::illegal_argument(format!(
            "requirement failed: --bootstrap-server option must be specified to update broker configs Set({}). {when} is \
             running. Broker configuration updates using ZooKeeper are supported for bootstrapping before brokers are \
             started to enable encrypted password configs to be stored in ZooKeeper.",
            dynamic.join(", ")
        ))
        .into());
    }
    let is_secret = |name: &&str| {
        name.starts_with("password.encoder.")
            || config::broker::keys::find_dynamic(name).is_some_and(config::Key::is_sensitive)
    };
    match dynamic.iter().copied().find(is_secret) {
        Some(name) => {
            Err(Stop::failure(format!("{name}: passwords in ZooKeeper are not part of this version of Jackdaw yet."))
                .into())
        }
        None => Ok(()),
    }
}

fn check_scram(added: &Configs) -> Result<(), End> {
    for mechanism in SCRAM {
        let Some(credential) = added.get(mechanism) else { continue };
        let iterations = match credential.strip_prefix("iterations=").and_then(|rest| rest.split_once(",password=")) {
            Some((iterations, _)) => iterations.parse::<i32>().ok(),
            None => credential.starts_with("password=").then_some(4096),
        };
        let shown = mechanism.replace('-', "_");
        match iterations {
            None => {
                return Err(
                    Thrown::illegal_argument(format!("Invalid credential property {shown}={credential}")).into()
                );
            }
            Some(few @ ..4096) => {
                return Err(Thrown::illegal_argument(format!(
                    "Iterations {few} is less than the minimum 4096 required for {shown}"
                ))
                .into());
            }
            Some(_) => {
                let message = format!("{mechanism}: SCRAM credentials are not part of this version of Jackdaw yet.");
                return Err(Stop::failure(message).into());
            }
        }
    }
    Ok(())
}

fn check_quotas(configs: &Configs, with_scram: bool) -> Result<(), Thrown> {
    let known = |name: &str| QUOTAS.iter().any(|(quota, _)| *quota == name) || (with_scram && SCRAM.contains(&name));
    let unknown: Vec<&str> = configs.keys().map(String::as_str).filter(|name| !known(name)).collect();
    if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        return Err(Thrown::illegal_argument(format!(
            "requirement failed: Unknown Dynamic Configuration: HashSet({unknown})."
        )));
    }
    for (name, kind) in QUOTAS {
        let Some(value) = configs.get(name) else { continue };
        let valid =
            if kind == "LONG" { value.trim().parse::<i64>().is_ok() } else { value.trim().parse::<f64>().is_ok() };
        if !valid {
            return Err(Thrown::new(
                "org.apache.kafka.common.config.ConfigException",
                format!("Invalid value {value} for configuration {name}: Not a number of type {kind}"),
            ));
        }
    }
    Ok(())
}
