//! `kafka-features.sh` (`kafka.admin.FeatureCommand`): tells and changes which features the brokers of a cluster agreed on
//! (KIP-584). Version 2.7 knows no feature of its own: an upgrade has nothing to add, a downgrade deletes what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use kafka_client::{ClientError, To};
use kafka_proto::messages::{api_versions, update_features};
use kafka_proto::{AnyResponse, ErrorCode};

use crate::console::{Console, Stop};
use crate::kafka_admin::{KafkaAdmin, mismatched, thrown};
use crate::options::{Parsed, Parser, Row};

const OPTIONS: [Row; 7] = [
    Row::taking(
        "bootstrap-server",
        "String",
        "server to connect to",
        "REQUIRED: A comma-separated list of host:port pairs to use for establishing the connection to the Kafka cluster.",
    ),
    Row::taking(
        "command-config",
        "String",
        "command config property file",
        "Property file containing configs to be passed to Admin Client. This is used with --bootstrap-server option when \
         required.",
    )
    .optional(),
    Row::flag(
        "describe",
        "Describe supported and finalized features. By default, the features are described from a random broker. The \
         request can be optionally directed only to the controller using the --from-controller option.",
    ),
    Row::flag("from-controller", "Describe supported and finalized features from the controller."),
    Row::flag(
        "upgrade-all",
        "Upgrades all finalized features to the maximum version levels known to the tool. This command finalizes new \
         features known to the tool that were never finalized previously in the cluster, but it is guaranteed to not \
         delete any existing feature.",
    ),
    Row::flag(
        "downgrade-all",
        "Downgrades all finalized features to the maximum version levels known to the tool. This command deletes unknown \
         features from the list of finalized features in the cluster, but it is guaranteed to not add a new feature.",
    ),
    Row::flag(
        "dry-run",
        "Performs a dry-run of upgrade/downgrade mutations to finalized feature without applying them.",
    ),
];

/// Runs the command.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let mut parser = Parser::new();
    parser.accept_all(&OPTIONS);
    let parsed = parser.parse(arguments)?;
    check(&parsed)?;
    let servers = parsed.value("bootstrap-server")?.unwrap_or_default();
    if parsed.has("command-config") && parsed.value("command-config")?.is_none() {
        console.line("Did not load any properties since the property file is not specified");
    }
    let mut admin = KafkaAdmin::new(parsed.value("command-config")?, &[("bootstrap.servers", servers)])?;
    let result = if parsed.has("describe") {
        let to = if parsed.has("from-controller") { To::Controller } else { To::Any };
        features(&mut admin, to).map(|features| {
            describe(&features, console);
            0
        })
    } else {
        features(&mut admin, To::Controller).and_then(|features| {
            let unknown = if parsed.has("downgrade-all") { finalized(&features) } else { BTreeMap::new() };
            delete(&mut admin, &unknown, parsed.has("dry-run"), console)
        })
    };
    result.map_err(|error| {
        let trace = thrown(error).trace();
        Stop::failure(format_args!("\nError encountered when executing command: {trace}\n"))
    })
}

fn check(parsed: &Parsed) -> Result<(), Stop> {
    parsed.help_or_version("This tool describes and updates finalized features.")?;
    let actions = ["describe", "upgrade-all", "downgrade-all"];
    if actions.iter().filter(|action| parsed.has(action)).count() != 1 {
        let message = "Command must include exactly one action: --describe, --upgrade-all, --downgrade-all.";
        return Err(parsed.usage(message));
    }
    parsed.check_required(&["bootstrap-server"])?;
    if parsed.has("dry-run") && parsed.has("describe") {
        return Err(parsed.usage(
            "Command can contain --dry-run option only when either --upgrade-all or --downgrade-all actions are provided.",
        ));
    }
    if parsed.has("from-controller") && !parsed.has("describe") {
        let message = "Command can contain --from-controller option only when --describe action is provided.";
        return Err(parsed.usage(message));
    }
    Ok(())
}

fn features(admin: &mut KafkaAdmin, to: To) -> Result<api_versions::Response, ClientError> {
    let request = api_versions::Request {
        client_software_name: "jackdaw".into(),
        client_software_version: env!("CARGO_PKG_VERSION").into(),
    };
    let AnyResponse::ApiVersions(response) = admin.call("describeFeatures", to, request)? else {
        return Err(mismatched());
    };
    ClientError::check(response.error_code)?;
    Ok(response)
}

/// The level of each feature that was agreed on.
fn finalized(features: &api_versions::Response) -> BTreeMap<&str, i16> {
    features.finalized_features.iter().map(|feature| (&*feature.name, feature.max_version_level)).collect()
}

fn describe(features: &api_versions::Response, console: &mut Console<'_>) {
    let supported = features.supported_features.iter().map(|feature| &*feature.name);
    let names: BTreeSet<&str> = supported.chain(finalized(features).into_keys()).collect();
    let range = |range: Option<(i16, i16)>| {
        range.map_or_else(|| ("-".to_owned(), "-".to_owned()), |(min, max)| (min.to_string(), max.to_string()))
    };
    for name in names {
        let supported = features.supported_features.iter().find(|feature| &*feature.name == name);
        let (min, max) = range(supported.map(|feature| (feature.min_version, feature.max_version)));
        let agreed = features.finalized_features.iter().find(|feature| &*feature.name == name);
        let (min_level, max_level) =
            range(agreed.map(|feature| (feature.min_version_level, feature.max_version_level)));
        let epoch = features.finalized_features_epoch;
        let epoch = if epoch >= 0 { epoch.to_string() } else { "-".to_owned() };
        console.line(format_args!(
            "Feature: {name}\tSupportedMinVersion: {min}\tSupportedMaxVersion: {max}\tFinalizedMinVersionLevel: \
             {min_level}\tFinalizedMaxVersionLevel: {max_level}\tEpoch: {epoch}"
        ));
    }
}

/// Deletes features with their levels, or tells what would be deleted; gives the exit code.
fn delete(
    admin: &mut KafkaAdmin,
    levels: &BTreeMap<&str, i16>,
    dry_run: bool,
    console: &mut Console<'_>,
) -> Result<i32, ClientError> {
    let told = |name: &str, level: i16| {
        format!("   [Delete]\tFeature: {name}\tExistingFinalizedMaxVersion: {level}\tNewFinalizedMaxVersion: -")
    };
    if levels.is_empty() {
        return Ok(0);
    }
    if dry_run {
        let lines: Vec<String> = levels.iter().map(|(name, level)| told(name, *level)).collect();
        console.line(format_args!("Expected feature updates:{}", lines.join("\n")));
        return Ok(0);
    }
    let update = |name: &&str| update_features::FeatureUpdate {
        feature: (*name).into(),
        max_version_level: 0,
        allow_downgrade: true,
    };
    let request = update_features::Request {
        timeout_ms: admin.request_timeout_ms(),
        feature_updates: levels.keys().map(update).collect(),
    };
    let outcomes = admin.call("updateFeatures", To::Controller, request).and_then(|answer| match answer {
        AnyResponse::UpdateFeatures(response) => Ok(response),
        _ => Err(mismatched()),
    });
    let mut code = 0;
    for (name, level) in levels {
        let result = match outcome(&outcomes, name) {
            Ok(()) => "OK".to_owned(),
            Err(error) => {
                code = 1;
                format!("FAILED due to {}", thrown(error))
            }
        };
        console.line(format_args!("{}\tResult: {result}", told(name, *level)));
    }
    Ok(code)
}

/// What became of one feature.
fn outcome(outcomes: &Result<update_features::Response, ClientError>, name: &str) -> Result<(), ClientError> {
    let response = outcomes.as_ref().map_err(Clone::clone)?;
    ClientError::check_with(response.error_code, response.error_message.as_ref())?;
    match response.results.iter().find(|outcome| &*outcome.feature == name) {
        Some(outcome) => ClientError::check_with(outcome.error_code, outcome.error_message.as_ref()),
        None => {
            let message = format!("The controller response did not contain a result for feature {name}");
            Err(ClientError::Broker { code: ErrorCode::UNKNOWN_SERVER_ERROR, message: Some(message.as_str().into()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_console(run: impl FnOnce(&mut Console<'_>)) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        run(&mut Console { input: None, out: &mut out, err: &mut err });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn help_is_the_originals() {
        on_console(|console| {
            let help = run(&[], console).unwrap_err();
            assert_eq!(help.err, include_str!("../../tests/golden/kafka-features-help.txt"));
        });
    }

    #[test]
    fn features_are_described_by_name() {
        let features = api_versions::Response {
            supported_features: vec![api_versions::SupportedFeature {
                name: "b".into(),
                min_version: 1,
                max_version: 2,
            }],
            finalized_features: vec![api_versions::FinalizedFeature {
                name: "a".into(),
                max_version_level: 4,
                min_version_level: 3,
            }],
            finalized_features_epoch: 7,
            ..Default::default()
        };
        let told = "Feature: a\tSupportedMinVersion: -\tSupportedMaxVersion: -\tFinalizedMinVersionLevel: \
                    3\tFinalizedMaxVersionLevel: 4\tEpoch: 7\nFeature: b\tSupportedMinVersion: 1\tSupportedMaxVersion: \
                    2\tFinalizedMinVersionLevel: -\tFinalizedMaxVersionLevel: -\tEpoch: 7\n";
        assert_eq!(on_console(|console| describe(&features, console)), told);
    }
}
