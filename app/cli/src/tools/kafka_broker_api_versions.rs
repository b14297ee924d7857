//! `kafka-broker-api-versions.sh` (`kafka.admin.BrokerApiVersionsCommand`): the versions of each API that each broker
//! serves, and the newest that both sides know.

use std::collections::BTreeMap;
use std::ffi::OsString;

use kafka_client::{ClientError, To};
use kafka_proto::messages::api_versions::{self, ApiVersion};
use kafka_proto::{AnyResponse, ApiKey};

use crate::console::{Console, Stop};
use crate::kafka_admin::{KafkaAdmin, load_properties, mismatched, thrown, until_brokers_are_known};
use crate::options::Parser;

/// Runs the command.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let mut parser = Parser::new();
    parser
        .accepts("command-config", "A property file containing configs to be passed to Admin Client.")
        .argument("String", "command config property file");
    parser
        .accepts("bootstrap-server", "REQUIRED: The server to connect to.")
        .argument("String", "server(s) to use for bootstrapping");
    let parsed = parser.parse(arguments)?;
    parsed.help_or_version("This tool helps to retrieve broker version information.")?;
    parsed.check_required(&["bootstrap-server"])?;
    let value = |name| parsed.value(name).map_err(|thrown| thrown.uncaught());
    let servers = value("bootstrap-server")?.unwrap_or_default();
    let mut admin = KafkaAdmin::new(value("command-config")?, &[("bootstrap.servers", servers)])?;
    let timeout_ms = request_timeout_ms(value("command-config")?)?;
    admin.set_timeout_ms(timeout_ms);
    let cluster = admin.metadata_with(until_brokers_are_known("metadata"), None);
    let cluster = cluster.map_err(|_| unreachable_brokers(servers))?;
    let asked = api_versions::Request {
        client_software_name: "jackdaw".into(),
        client_software_version: env!("CARGO_PKG_VERSION").into(),
    };
    let request = |broker| (To::Node(broker), asked.clone().into());
    let requests = cluster.brokers.iter().map(|broker| request(broker.node_id)).collect();
    for (broker, answer) in cluster.brokers.iter().zip(admin.call_all("apiVersions", requests)) {
        let (id, rack) = (broker.node_id, broker.rack.as_deref().unwrap_or("null"));
        let versions = answer
            .and_then(versions_of)
            .map_or_else(|error| format!("ERROR: {}", thrown(error)), |versions| describe(&versions));
        console.line(format_args!("{}:{} (id: {id} rack: {rack}) -> {versions}", broker.host, broker.port));
    }
    Ok(0)
}

/// `request.timeout.ms` of the property file; the tool's own default is shorter than other clients'.
fn request_timeout_ms(command_config: Option<&str>) -> Result<u64, Stop> {
    let properties = command_config.map(load_properties).transpose()?.unwrap_or_default();
    Ok(properties.get("request.timeout.ms").and_then(|value| value.trim().parse().ok()).unwrap_or(5_000))
}

/// None of the brokers that were named answers.
fn unreachable_brokers(servers: &str) -> Stop {
    let named = servers.split(',').map(str::trim).filter(|server| !server.is_empty());
    let nodes: Vec<String> = named.zip(1..).map(|(server, id)| format!("{server} (id: -{id} rack: null)")).collect();
    let nodes = nodes.join(", ");
    Stop::uncaught("java.lang.RuntimeException", format!("Request METADATA failed on brokers List({nodes})"))
}

fn versions_of(answer: AnyResponse) -> Result<Vec<ApiVersion>, ClientError> {
    let AnyResponse::ApiVersions(response) = answer else { return Err(mismatched()) };
    ClientError::check(response.error_code)?;
    Ok(response.api_keys)
}

/// One line for each API, by number; those that only this side knows are unsupported.
fn describe(versions: &[ApiVersion]) -> String {
    let known = ApiKey::ALL.iter().filter(|key| key.is_served());
    let mut lines: BTreeMap<i16, String> =
        known.map(|key| (key.code(), format!("{}({}): UNSUPPORTED", shown_name(*key), key.code()))).collect();
    lines.extend(versions.iter().map(|version| (version.api_key, describe_one(version))));
    let lines: Vec<String> = lines.into_values().collect();
    format!("(\n\t{}\n)", lines.join(",\n\t"))
}

fn describe_one(version: &ApiVersion) -> String {
    let (code, min, max) = (version.api_key, version.min_version, version.max_version);
    let range = if min == max { min.to_string() } else { format!("{min} to {max}") };
    let Some(key) = ApiKey::from_code(code) else { return format!("UNKNOWN({code}): {range}") };
    let ours = key.versions();
    let usable = if ours.last < min {
        "unusable: node too new".to_owned()
    } else if max < ours.first {
        "unusable: node too old".to_owned()
    } else {
        format!("usable: {}", ours.last.min(max))
    };
    format!("{}({code}): {range} [{usable}]", shown_name(key))
}

/// The original's own name of an API, which is not its message's everywhere.
fn shown_name(key: ApiKey) -> &'static str {
    match key {
        ApiKey::ListOffset => "ListOffsets",
        _ => key.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(api_key: i16, min_version: i16, max_version: i16) -> ApiVersion {
        ApiVersion { api_key, min_version, max_version }
    }

    #[test]
    fn every_kind_of_version() {
        assert_eq!(describe_one(&version(0, 0, 99)), "Produce(0): 0 to 99 [usable: 8]");
        assert_eq!(describe_one(&version(0, 50, 99)), "Produce(0): 50 to 99 [unusable: node too new]");
        assert_eq!(describe_one(&version(2, 1, 1)), "ListOffsets(2): 1 [usable: 1]");
        assert_eq!(describe_one(&version(999, 0, 1)), "UNKNOWN(999): 0 to 1");
        let all = describe(&[version(999, 3, 3)]);
        assert!(all.starts_with("(\n\tProduce(0): UNSUPPORTED,\n\tFetch(1): UNSUPPORTED,\n\t"), "{all}");
        assert!(all.ends_with(",\n\tUNKNOWN(999): 3\n)"), "{all}");
        assert!(!all.contains("Vote"), "the quorum's own are left out: {all}");
    }
}
