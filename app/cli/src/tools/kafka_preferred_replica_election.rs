//! `kafka-preferred-replica-election.sh` (`kafka.admin.PreferredReplicaLeaderElectionCommand`): the older tool that has preferred
//! replicas lead their partitions, through brokers or by a znode that the controller watches.

use std::collections::BTreeSet;
use std::ffi::OsString;

use config::Properties;
use kafka_client::TopicPartition;
use kafka_control::znode::PreferredElection;

use super::elections::{self, Words};
use crate::console::{Console, Stop, Thrown};
use crate::java;
use crate::json::read_file_as_string;
use crate::kafka_admin::{KafkaAdmin, load_properties};
use crate::kafka_admin_calls::ElectionType;
use crate::kafka_zookeeper::{KafkaZookeeper, NODE_EXISTS};
use crate::options::{Parsed, Parser, Row};
use crate::properties::zookeeper_tls;

const OPTIONS: [Row; 3] = [
    Row::taking(
        "path-to-json-file",
        "String",
        "list of partitions for which preferred replica leader election needs to be triggered",
        "The JSON file with the list of partitions for which preferred replica leader election should be done, in the \
         following format - \n{\"partitions\":\n\t[{\"topic\": \"foo\", \"partition\": 1},\n\t {\"topic\": \"foobar\", \
         \"partition\": 2}]\n}\nDefaults to all existing partitions",
    ),
    Row::taking(
        "zookeeper",
        "String",
        "urls",
        "DEPRECATED. The connection string for the zookeeper connection in the form host:port. Multiple URLS can be given \
         to allow fail-over. Replaced by --bootstrap-server, REQUIRED unless --bootstrap-server is given.",
    ),
    Row::taking(
        "bootstrap-server",
        "String",
        "host:port",
        "A hostname and port for the broker to connect to, in the form host:port. Multiple comma-separated URLs can be \
         given. REQUIRED unless --zookeeper is given.",
    ),
];
const ADMIN_CONFIG: &str =
    "Admin client config properties file to pass to the admin client when --bootstrap-server is given.";

const EMPTY: &str = "Preferred replica election data is empty";
const WORDS: Words = Words {
    duplicate: "Preferred replica election data contains duplicate partitions",
    no_partitions: EMPTY,
    no_json: EMPTY,
    already: "Preferred replica",
    replicas: "preferred replica(s)",
};
/// How long a broker may take; the election has twice as long.
const TIMEOUT_MS: u64 = 30_000;

/// Runs the command.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    console.line("This tool is deprecated. Please use kafka-leader-election tool. Tracking issue: KAFKA-8405");
    let mut parser = Parser::new();
    parser.accept_all(&OPTIONS);
    parser.accepts("admin.config", ADMIN_CONFIG).argument("String", "config file").available_if(&["bootstrap-server"]);
    let parsed = parser.parse(arguments)?;
    parsed.help_or_version(
        "This tool helps to causes leadership for each partition to be transferred back to the 'preferred replica', it can \
         be used to balance leadership among the servers.",
    )?;
    if parsed.has("bootstrap-server") == parsed.has("zookeeper") {
        return Err(parsed.usage("Exactly one of '[bootstrap-server]' or '[zookeeper]' must be provided"));
    }
    execute(&parsed, console)?;
    Ok(0)
}

fn execute(parsed: &Parsed, console: &mut Console<'_>) -> Result<(), Thrown> {
    let partitions = match parsed.value("path-to-json-file")? {
        Some(path) => Some(elections::partitions(&read_file_as_string(path)?, &WORDS)?),
        None => None,
    };
    if let Some(servers) = parsed.value("zookeeper")? {
        console.line(
            "Warning: --zookeeper is deprecated and will be removed in a future version of Kafka.\nUse --bootstrap-server \
             instead to specify a broker to connect to.",
        );
        let tls = zookeeper_tls(&Properties::new()).map_err(Thrown::illegal_argument)?;
        let mut zookeeper = KafkaZookeeper::connect(servers, tls)?;
        return ask_by_znode(&mut zookeeper, partitions, console)
            .map_err(|cause| Thrown::command_failed("Admin command failed").caused_by(cause));
    }
    let mut properties = parsed.value("admin.config")?.map(load_properties).transpose()?.unwrap_or_default();
    properties.set("bootstrap.servers", parsed.value("bootstrap-server")?.unwrap_or_default());
    properties.set("request.timeout.ms", TIMEOUT_MS.to_string());
    properties.set("default.api.timeout.ms", (TIMEOUT_MS * 2).to_string());
    let mut admin = KafkaAdmin::of(&properties)?;
    let elected = admin.elect_leaders(ElectionType::Preferred, partitions.as_deref());
    let elected = elected.map_err(|error| elections::not_made(error, console))?;
    elections::tell(elected, "preferred leader election", &WORDS, console)
}

/// Leaves the partitions to the controller in a znode; those that are not there are told of.
fn ask_by_znode(
    zookeeper: &mut KafkaZookeeper,
    wanted: Option<Vec<TopicPartition>>,
    console: &mut Console<'_>,
) -> Result<(), Thrown> {
    let (valid, invalid) = match wanted {
        Some(wanted) => {
            let topics: BTreeSet<String> = wanted.iter().map(|partition| partition.topic.to_string()).collect();
            let mut there = BTreeSet::new();
            for topic in topics {
                let assigned = zookeeper.assignment(&topic)?.unwrap_or_default().0;
                there.extend(assigned.into_keys().map(|index| TopicPartition::new(topic.as_str(), index)));
            }
            wanted.into_iter().partition(|partition| there.contains(partition))
        }
        None => (java::scala_set(zookeeper.partitions()?, java::topic_partition_hash), Vec::new()),
    };
    let entries = valid.iter().map(|partition| (partition.topic.to_string(), partition.partition)).collect();
    let joined =
        |partitions: &[TopicPartition], gap| partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(gap);
    match zookeeper.create_preferred_election(&PreferredElection(entries)) {
        Ok(()) => {}
        Err(thrown) if thrown.class == NODE_EXISTS => {
            let going = zookeeper.preferred_election()?.0.into_iter();
            let going = going.map(|(topic, index)| TopicPartition::new(topic, index));
            let going = joined(&java::scala_set(going, java::topic_partition_hash), ",");
            return Err(Thrown::admin_operation(format!(
                "Preferred replica leader election currently in progress for {going}. Aborting operation"
            )));
        }
        Err(thrown) => return Err(Thrown::admin_operation(thrown.to_string())),
    }
    console.line(format_args!("Created preferred replica election path with {}", joined(&valid, ",")));
    // A set of up to four has the name of the trait, a larger one that of its class.
    let name = if valid.len() > 4 { "HashSet" } else { "Set" };
    console.line(format_args!(
        "Successfully started preferred replica election for partitions {name}({})",
        joined(&valid, ", ")
    ));
    for partition in invalid {
        console.line(format_args!(
            "Skipping preferred replica leader election for partition {partition} since it doesn't exist."
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_the_originals() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let help = run(&[], &mut Console { input: None, out: &mut out, err: &mut err }).unwrap_err();
        assert_eq!(help.err, include_str!("../../tests/golden/kafka-preferred-replica-election-help.txt"));
        assert!(String::from_utf8(out).unwrap().starts_with("This tool is deprecated. "));
    }
}
