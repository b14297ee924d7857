//! `kafka-leader-election.sh` (`kafka.admin.LeaderElectionCommand`): has the preferred replicas of partitions lead them, or
//! any replica where none else is left.

use std::ffi::OsString;

use kafka_client::TopicPartition;

use super::elections::{self, Words};
use crate::console::{Console, Stop, Thrown};
use crate::json::read_file_as_string;
use crate::kafka_admin::{KafkaAdmin, load_properties};
use crate::kafka_admin_calls::ElectionType;
use crate::options::{Parsed, Parser, Row};

const OPTIONS: [Row; 7] = [
    Row::taking(
        "bootstrap-server",
        "String",
        "host:port",
        "A hostname and port for the broker to connect to, in the form host:port. Multiple comma separated URLs can be \
         given. REQUIRED.",
    ),
    Row::taking("admin.config", "String", "config file", "Configuration properties files to pass to the admin client"),
    Row::taking(
        "path-to-json-file",
        "String",
        "Path to JSON file",
        "The JSON file with the list  of partition for which leader elections should be performed. This is an example \
         format. \n{\"partitions\":\n\t[{\"topic\": \"foo\", \"partition\": 1},\n\t {\"topic\": \"foobar\", \"partition\": \
         2}]\n}\nNot allowed if --all-topic-partitions or --topic flags are specified.",
    ),
    Row::taking(
        "topic",
        "String",
        "topic name",
        "Name of topic for which to perform an election. Not allowed if --path-to-json-file or --all-topic-partitions is \
         specified.",
    ),
    Row::taking(
        "partition",
        "Integer",
        "partition id",
        "Partition id for which to perform an election. REQUIRED if --topic is specified.",
    ),
    Row::flag(
        "all-topic-partitions",
        "Perform election on all of the eligible topic partitions based on the type of election (see the --election-type \
         flag). Not allowed if --topic or --path-to-json-file is specified.",
    ),
    Row::taking(
        "election-type",
        "[PREFERRED,UNCLEAN]",
        "election type",
        "Type of election to attempt. Possible values are \"preferred\" for preferred leader election or \"unclean\" for \
         unclean leader election. If preferred election is selection, the election is only performed if the current leader \
         is not the preferred leader for the topic partition. If unclean election is selected, the election is only \
         performed if there are no leader for the topic partition. REQUIRED.",
    ),
];

const WORDS: Words = Words {
    duplicate: "Replica election data contains duplicate partitions",
    no_partitions: "Replica election data is missing \"partitions\" field",
    no_json: "Replica election data is empty",
    already: "Valid replica",
    replicas: "replica(s)",
};
/// How long the election may take; a broker has half of it.
const TIMEOUT_MS: u64 = 30_000;

/// Runs the command.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let mut parser = Parser::new();
    parser.accept_all(&OPTIONS);
    let parsed = parser.parse(arguments)?;
    parsed.help_or_version(
        "This tool attempts to elect a new leader for a set of topic partitions. The type of elections supported are \
         preferred replicas and unclean replicas.",
    )?;
    check(&parsed)?;
    elect(&parsed, console)?;
    Ok(0)
}

fn check(parsed: &Parsed) -> Result<(), Thrown> {
    // The later one that is missing is named first.
    let missing = ["election-type", "bootstrap-server"].into_iter().filter(|name| !parsed.has(name));
    let missing: Vec<&str> = missing.collect();
    if !missing.is_empty() {
        return Err(Thrown::command_failed(format!("Missing required option(s): {}", missing.join(", "))));
    }
    let which = ["topic", "all-topic-partitions", "path-to-json-file"];
    if which.iter().filter(|name| parsed.has(name)).count() != 1 {
        let which = which.join(", ");
        return Err(Thrown::command_failed(format!("One and only one of the following options is required: {which}")));
    }
    match (parsed.has("topic"), parsed.has("partition")) {
        (true, false) => Err(Thrown::command_failed("Missing required option(s): partition")),
        (false, true) => Err(Thrown::command_failed("Option partition is only allowed if topic is used")),
        _ => Ok(()),
    }
}

fn elect(parsed: &Parsed, console: &mut Console<'_>) -> Result<(), Thrown> {
    let election = election_type(parsed.value("election-type")?.unwrap_or_default())?;
    let of_file = match parsed.value("path-to-json-file")? {
        Some(path) => Some(elections::partitions(&read_file_as_string(path)?, &WORDS)?),
        None => None,
    };
    let one = match (parsed.value("topic")?, parsed.number("partition")?) {
        (Some(topic), Some(partition)) => Some(vec![TopicPartition::new(topic, partition)]),
        _ => None,
    };
    let mut properties = parsed.value("admin.config")?.map(load_properties).transpose()?.unwrap_or_default();
    properties.set("bootstrap.servers", parsed.value("bootstrap-server")?.unwrap_or_default());
    properties.set("default.api.timeout.ms", TIMEOUT_MS.to_string());
    properties.set("request.timeout.ms", (TIMEOUT_MS / 2).to_string());
    let mut admin = KafkaAdmin::of(&properties)?;
    let elected = admin.elect_leaders(election, of_file.or(one).as_deref());
    let elected = elected.map_err(|error| elections::not_made(error, console))?;
    elections::tell(elected, &format!("leader election ({election})"), &WORDS, console)
}

/// `PREFERRED` or `UNCLEAN`, in any case of the letters.
fn election_type(text: &str) -> Result<ElectionType, Thrown> {
    match text.to_uppercase().as_str() {
        "PREFERRED" => Ok(ElectionType::Preferred),
        "UNCLEAN" => Ok(ElectionType::Unclean),
        _ => {
            let conversion = Thrown::new(
                "joptsimple.ValueConversionException",
                format!("Value [{text}] is not one of [[PREFERRED,UNCLEAN]]"),
            );
            let message = format!("Cannot parse argument '{text}' of option election-type");
            Err(Thrown::new("joptsimple.OptionArgumentConversionException", message).caused_by(conversion))
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_client::ClientError;
    use kafka_proto::ErrorCode;

    use super::*;

    #[test]
    fn help_is_the_originals() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let help = run(&[], &mut Console { input: None, out: &mut out, err: &mut err }).unwrap_err();
        assert_eq!(help.err, include_str!("../../tests/golden/kafka-leader-election-help.txt"));
    }

    #[test]
    fn outcomes_are_told_by_kind() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console { input: None, out: &mut out, err: &mut err };
        let failed = |code| Err(ClientError::Broker { code, message: None });
        let elected = vec![
            (TopicPartition::new("t", 0), Ok(())),
            (TopicPartition::new("t", 1), failed(ErrorCode::ELECTION_NOT_NEEDED)),
            (TopicPartition::new("t", 2), failed(ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE)),
        ];
        let root = elections::tell(elected, "leader election (PREFERRED)", &WORDS, &mut console).unwrap_err();
        assert_eq!(root.message, "1 replica(s) could not be elected");
        assert!(root.trace().contains("\n\tSuppressed: org.apache.kafka.common.errors.PreferredLeaderNotAvailable"));
        let out = String::from_utf8(out).unwrap();
        let told = "Successfully completed leader election (PREFERRED) for partitions t-0\nValid replica already elected for \
                    partitions t-1\nError completing leader election (PREFERRED) for partition: t-2: ";
        assert!(out.starts_with(told), "{out}");
    }
}
