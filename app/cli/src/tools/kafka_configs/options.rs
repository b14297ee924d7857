//! The command line of `kafka-configs`.

use std::collections::BTreeSet;
use std::ffi::OsString;

use config::{Properties, Update};

use super::entity::{ConfigEntity, DEFAULT, Entity, sanitize};
use super::{Configs, End, QUOTAS, SCRAM};
use crate::console::{Console, Thrown};
use crate::options::{Parsed, Parser};
use crate::tools::kafka_topics::config_names;

/// Options that name an entity, and its kind.
const FLAGS: [(&str, &str); 5] = [
    ("topic", "topics"),
    ("client", "clients"),
    ("user", "users"),
    ("broker", "brokers"),
    ("broker-logger", "broker-loggers"),
];
const DEFAULT_FLAGS: [(&str, &str); 3] =
    [("client-defaults", "clients"), ("user-defaults", "users"), ("broker-defaults", "brokers")];
const KINDS: [&str; 4] = ["topics", "clients", "users", "brokers"];
const TLS_KEYS: &str = "zookeeper.clientCnxnSocket, zookeeper.ssl.cipher.suites, zookeeper.ssl.client.enable, \
                        zookeeper.ssl.crl.enable, zookeeper.ssl.enabled.protocols, \
                        zookeeper.ssl.endpoint.identification.algorithm, zookeeper.ssl.keystore.location, \
                        zookeeper.ssl.keystore.password, zookeeper.ssl.keystore.type, zookeeper.ssl.ocsp.enable, \
                        zookeeper.ssl.protocol, zookeeper.ssl.truststore.location, zookeeper.ssl.truststore.password, \
                        zookeeper.ssl.truststore.type";

/// A command line that was checked.
pub(super) struct ConfigOptions(Parsed);

impl ConfigOptions {
    pub(super) fn parse(arguments: &[OsString]) -> Result<Self, End> {
        let parsed = parser().parse_or_throw(arguments)?;
        parsed.help_or_version(
            "This tool helps to manipulate and describe entity config for a topic, client, user or broker",
        )?;
        if parsed.has("alter") == parsed.has("describe") {
            return Err(parsed.usage("Command must include exactly one action: --describe, --alter").into());
        }
        parsed.check_invalid("describe", &["add-config", "delete-config"])?;
        let options = Self(parsed);
        options.check()?;
        Ok(options)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.has(name)
    }

    /// The file with the keys of TLS with ZooKeeper.
    pub(super) fn tls_file(&self) -> Result<Option<String>, Thrown> {
        Ok(self.0.value("zk-tls-config-file")?.map(str::to_owned))
    }

    pub(super) fn zookeeper(&self) -> Result<Option<String>, Thrown> {
        Ok(self.0.value("zookeeper")?.map(str::to_owned))
    }

    /// The brokers of `--bootstrap-server` and the file of `--command-config`.
    pub(super) fn brokers(&self) -> Result<(String, Option<String>), Thrown> {
        let servers = self.0.value("bootstrap-server")?.unwrap_or_default().to_owned();
        Ok((servers, self.0.value("command-config")?.map(str::to_owned)))
    }

    fn flags(&self) -> impl Iterator<Item = &'static (&'static str, &'static str)> + '_ {
        FLAGS.iter().chain(&DEFAULT_FLAGS).filter(|(flag, _)| self.has(flag))
    }

    /// Kinds of entities in the order given.
    pub(super) fn kinds(&self) -> Vec<String> {
        let given = self.0.values("entity-type").into_iter();
        given.chain(self.flags().map(|(_, kind)| *kind)).map(str::to_owned).collect()
    }

    /// Names in the order given; empty for a default.
    pub(super) fn names(&self) -> Result<Vec<String>, Thrown> {
        let mut given = self.0.values("entity-name").into_iter();
        let mut names: Vec<String> = Vec::new();
        for option in self.0.given() {
            match option {
                "entity-name" => names.extend(given.next().map(str::to_owned)),
                "entity-default" => names.push(String::new()),
                _ => {}
            }
        }
        for (flag, _) in FLAGS {
            names.extend(self.0.value(flag)?.map(str::to_owned));
        }
        names.extend(DEFAULT_FLAGS.iter().filter(|(flag, _)| self.has(flag)).map(|_| String::new()));
        Ok(names)
    }

    fn check(&self) -> Result<(), Thrown> {
        let refuse = |message: String| Err(Thrown::illegal_argument(message));
        let kinds = self.kinds();
        let mut seen = BTreeSet::new();
        let twice: Vec<&str> = kinds.iter().filter(|kind| !seen.insert(*kind)).map(String::as_str).collect();
        if !twice.is_empty() {
            return refuse(format!("Duplicate entity type(s) specified: {}", twice.join(",")));
        }
        let by_broker = self.has("bootstrap-server");
        let mut allowed = KINDS.to_vec();
        allowed.extend(by_broker.then_some("broker-loggers"));
        if let Some(kind) = kinds.iter().find(|kind| !allowed.contains(&kind.as_str())) {
            let allowed = allowed.join(",");
            let option = if by_broker { "--bootstrap-server" } else { "--zookeeper" };
            return refuse(format!(
                "Invalid entity type {kind}, the entity type must be one of {allowed} with the {option} argument"
            ));
        }
        if kinds.is_empty() {
            return refuse("At least one entity type must be specified".into());
        }
        if kinds.len() > 1 && !kinds.iter().all(|kind| kind == "users" || kind == "clients") {
            return refuse("Only 'users' and 'clients' entity types may be specified together".into());
        }
        let general = ["entity-name", "entity-type", "entity-default"].iter().any(|option| self.has(option));
        if general && self.flags().next().is_some() {
            return refuse(
                "--entity-{type,name,default} should not be used in conjunction with specific entity flags".into(),
            );
        }
        match (by_broker, self.has("zookeeper")) {
            (false, false) => {
                return refuse(
                    "One of the required --bootstrap-server or --zookeeper arguments must be specified".into(),
                );
            }
            (true, true) => return refuse("Only one of --bootstrap-server or --zookeeper must be specified".into()),
            (false, true) if self.has("all") => {
                return refuse("--bootstrap-server must be specified for --all".into());
            }
            _ => {}
        }
        self.check_names(&kinds)
    }

    fn check_names(&self, kinds: &[String]) -> Result<(), Thrown> {
        let refuse = |message: String| Err(Thrown::illegal_argument(message));
        let names = self.names()?;
        let (has_name, has_default) = (names.iter().any(|name| !name.is_empty()), names.iter().any(String::is_empty));
        let is_kind = |wanted: &[&str]| kinds.iter().any(|kind| wanted.contains(&kind.as_str()));
        let kind = kinds.first().map_or("", String::as_str);
        if has_name && is_kind(&["brokers", "broker-loggers"]) {
            for option in ["entity-name", "broker", "broker-logger"] {
                if let Some(id) = self.0.value(option)?.filter(|id| id.parse::<i32>().is_err()) {
                    return refuse(format!(
                        "The entity name for {kind} must be a valid integer broker id, but it is: {id}"
                    ));
                }
            }
        }
        let joined = kinds.join(",");
        if self.has("describe") && is_kind(&["broker-loggers"]) && !has_name {
            return refuse(format!("an entity name must be specified with --describe of {joined}"));
        }
        if !self.has("alter") {
            return Ok(());
        }
        if is_kind(&["users", "clients", "brokers"]) {
            if !has_name && !has_default {
                return refuse(
                    "an entity-name or default entity must be specified with --alter of users, clients or brokers"
                        .into(),
                );
            }
        } else if !has_name {
            return refuse(format!("an entity name must be specified with --alter of {joined}"));
        }
        match (self.has("add-config"), self.has("add-config-file"), self.has("delete-config")) {
            (true, true, _) => refuse("Only one of --add-config or --add-config-file must be specified".into()),
            (false, false, false) => refuse(
                "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter"
                    .into(),
            ),
            _ => Ok(()),
        }
    }

    pub(super) fn entity(&self) -> Result<ConfigEntity, Thrown> {
        let (mut kinds, mut names) = (self.kinds(), self.names()?);
        let is_quota = kinds.first().is_some_and(|kind| kind == "users" || kind == "clients");
        if is_quota && self.has("alter") && names.len() != kinds.len() {
            return Err(Thrown::illegal_argument(
                "--entity-name or --entity-default must be specified with each --entity-type for --alter",
            ));
        }
        if is_quota && kinds.len() == 2 && kinds.first().is_some_and(|kind| kind == "clients") {
            kinds.reverse();
            if names.len() == 2 {
                names.reverse();
            }
        }
        let in_zookeeper = |name: String| match name.as_str() {
            "" => DEFAULT.to_owned(),
            text if is_quota => sanitize(text),
            _ => name,
        };
        let mut names = names.into_iter();
        let mut entities = kinds.into_iter().map(|kind| Entity { kind, name: names.next().map(in_zookeeper) });
        let root =
            entities.next().ok_or_else(|| Thrown::illegal_argument("At least one entity type must be specified"))?;
        Ok(ConfigEntity { root, child: entities.next() })
    }

    pub(super) fn to_add(&self, console: &mut Console<'_>) -> Result<Configs, Thrown> {
        let mut configs = Configs::new();
        if let Some(file) = self.0.value("add-config-file")? {
            let text = std::fs::read(file).map_err(|_| {
                Thrown::new("java.io.FileNotFoundException", format!("{file} (No such file or directory)"))
            })?;
            let properties = Properties::parse(&text).map_err(Thrown::illegal_argument)?;
            configs.extend(properties.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        if let Some(text) = self.0.value("add-config")? {
            for pair in split_outside_brackets(text, ',') {
                let parts = split_outside_brackets(pair, '=');
                let [name, value] = parts.as_slice() else {
                    return Err(Thrown::illegal_argument(
                        "requirement failed: Invalid entity config: all configs to be added must be in the format \
                         \"key=val\".",
                    ));
                };
                configs.insert(name.trim().to_owned(), value.replace(['[', ']'], "").trim().to_owned());
            }
        }
        if let Some(version) = configs.get("message.format.version") {
            console.line(format_args!(
                "WARNING: The configuration message.format.version={version} is specified. This configuration will be \
                 ignored if the version is newer than the inter.broker.protocol.version specified in the broker."
            ));
        }
        Ok(configs)
    }

    pub(super) fn to_delete(&self) -> Vec<String> {
        let values = self.0.values("delete-config").into_iter();
        values.flat_map(|names| names.split(',')).map(|name| name.trim().to_owned()).collect()
    }
}

/// Cuts a text where no `]` follows before the next `[`.
fn split_outside_brackets(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(separator) {
        let behind = text.get(at + 1..).unwrap_or_default();
        if behind.chars().find(|letter| matches!(letter, '[' | ']')) != Some(']') {
            parts.extend(text.get(start..at));
            start = at + 1;
        }
    }
    parts.extend(text.get(start..));
    parts
}

fn parser() -> Parser {
    let mut parser = Parser::new();
    let mut text = |name, description: &str, placeholder| {
        parser.accepts(name, description).argument("String", placeholder);
    };
    text(
        "zookeeper",
        "DEPRECATED. The connection string for the zookeeper connection in the form host:port. Multiple URLS can be given \
         to allow fail-over. Replaced by --bootstrap-server, REQUIRED unless --bootstrap-server is given.",
        "urls",
    );
    text(
        "bootstrap-server",
        "The Kafka server to connect to. This is required for describing and altering broker configs.",
        "server to connect to",
    );
    text(
        "command-config",
        "Property file containing configs to be passed to Admin Client. This is used only with --bootstrap-server option \
         for describing and altering broker configs.",
        "command config property file",
    );
    text("entity-type", "Type of entity (topics/clients/users/brokers/broker-loggers)", "");
    text("entity-name", "Name of entity (topic name/client id/user principal name/broker id)", "");
    text("add-config", &add_config_description(), "");
    text(
        "add-config-file",
        "Path to a properties file with configs to add. See add-config for a list of valid configurations.",
        "",
    );
    text("delete-config", "config keys to remove 'k1,k2'", "");
    text("topic", "The topic's name.", "");
    text("client", "The client's ID.", "");
    text("user", "The user's principal name.", "");
    text("broker", "The broker's ID.", "");
    text("broker-logger", "The broker's ID for its logger config.", "");
    text(
        "zk-tls-config-file",
        &format!(
            "Identifies the file where ZooKeeper client TLS connectivity properties are defined.  Any properties other \
             than {TLS_KEYS} are ignored."
        ),
        "ZooKeeper TLS configuration",
    );
    for (name, description) in [
        ("alter", "Alter the configuration for the entity."),
        ("describe", "List configs for the given entity."),
        (
            "all",
            "List all configs for the given topic, broker, or broker-logger entity (includes static configuration when \
             the entity type is brokers)",
        ),
        (
            "entity-default",
            "Default entity name for clients/users/brokers (applies to corresponding entity type in command line)",
        ),
        ("force", "Suppress console prompts"),
        ("client-defaults", "The config defaults for all clients."),
        ("user-defaults", "The config defaults for all users."),
        ("broker-defaults", "The config defaults for all brokers."),
    ] {
        parser.accepts(name, description);
    }
    parser
}

fn add_config_description() -> String {
    let list = |names: &[&str]| -> String { names.iter().map(|name| format!("\n\t{name}")).collect::<String>() + "\n" };
    let dynamic = config::broker::keys::all().filter(|key| key.update != Update::ReadOnly);
    let brokers: BTreeSet<&str> = dynamic.chain(config::broker::keys::DYNAMIC_ONLY).map(|key| key.name).collect();
    let brokers: Vec<&str> = brokers.into_iter().collect();
    let clients: Vec<&str> = QUOTAS.iter().map(|(name, _)| *name).collect();
    let users = [SCRAM.to_vec(), clients.clone()].concat();
    format!(
        "Key Value pairs of configs to add. Square brackets can be used to group values which contain commas: \
         'k1=v1,k2=[v1,v2,v2],k3=v3'. The following is a list of valid configurations: For entity-type 'topics': {}For \
         entity-type 'brokers': {}For entity-type 'users': {}For entity-type 'clients': {}Entity types 'users' and \
         'clients' may be specified together to update config for clients of a specific user.",
        list(&config_names()),
        list(&brokers),
        list(&users),
        list(&clients)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_the_originals() {
        let Err(End::Stop(help)) = ConfigOptions::parse(&["--help".into()]) else { panic!("no help") };
        assert_eq!(help.err, include_str!("../../../tests/golden/kafka-configs-help.txt"));
    }

    #[test]
    fn brackets_hold_values_together() {
        assert_eq!(split_outside_brackets("a=1,b=[1,2],c=3", ','), ["a=1", "b=[1,2]", "c=3"]);
        assert_eq!(split_outside_brackets("b=[x=1,y=2]", '='), ["b", "[x=1,y=2]"]);
        assert_eq!(split_outside_brackets("a=", '='), ["a", ""]);
    }
}
