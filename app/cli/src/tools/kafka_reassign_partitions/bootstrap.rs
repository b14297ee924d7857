//! `kafka-reassign-partitions --bootstrap-server`: the controller moves partitions, each broker its log directories.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use kafka_client::{ClientError, TopicPartition};
use kafka_control::BrokerRack;
use kafka_proto::ErrorCode;
use kafka_proto::messages::metadata;

use super::json::{Parts, Wanted, joined};
use super::options::ReassignOptions;
use super::{
    ALREADY_GOING, Failure, RUN_VERIFY, State, json, plural, print_current, print_started, print_states, throttles,
    to_generate,
};
use crate::console::{Console, Thrown};
use crate::java;
use crate::json::read_file_as_string;
use crate::kafka_admin::{KafkaAdmin, thrown};
use crate::kafka_admin_calls::{Reassignment, Replica, ReplicaLogDir};

/// How long to wait until a broker is asked again to move a replica that it has not yet.
const MOVE_BACKOFF: Duration = Duration::from_millis(100);

pub(super) fn execute(options: &ReassignOptions, console: &mut Console<'_>) -> Result<(), Failure> {
    if options.has("zookeeper") {
        console.line(
            "Warning: ignoring deprecated --zookeeper option because --bootstrap-server was specified.  The --zookeeper \
             option will be removed in a future version of Kafka.",
        );
    }
    let command_config = options.has("command-config").then(|| options.value("command-config")).transpose()?;
    let servers = options.value("bootstrap-server")?;
    let admin = KafkaAdmin::named("reassign-partitions-tool", command_config, servers)?;
    let mut command = Command { admin, console };
    match options.action {
        "verify" => command.verify(options),
        "generate" => command.generate(options),
        "execute" => command.execute(options),
        "cancel" => command.cancel(options),
        _ => command.list(),
    }
}

struct Command<'a, 'b> {
    admin: KafkaAdmin,
    console: &'a mut Console<'b>,
}

impl Command<'_, '_> {
    fn verify(&mut self, options: &ReassignOptions) -> Result<(), Failure> {
        let wanted = json::assignment(&read_file_as_string(options.value("reassignment-json-file")?)?)?;
        let going = self.admin.reassignments(None)?;
        let states = self.states(&wanted.parts, &going)?;
        print_states(&states, self.console);
        let moving = self.verify_moves(&wanted.log_dirs)?;
        if going.is_empty() && !moving && !options.has("preserve-throttles") {
            self.clear_throttles(&wanted.parts)?;
        }
        Ok(())
    }

    fn states(
        &mut self,
        parts: &Parts,
        going: &BTreeMap<TopicPartition, Reassignment>,
    ) -> Result<BTreeMap<TopicPartition, (State, Vec<i32>)>, Failure> {
        let settled = parts.iter().filter(|(partition, _)| !going.contains_key(partition));
        let described = self.admin.describe_topics(&settled.map(|(part, _)| part.topic.to_string()).collect());
        let mut states = BTreeMap::new();
        for (partition, replicas) in parts {
            let state = match described.get(&*partition.topic) {
                Some(topic) if !going.contains_key(partition) => settled_state(partition.partition, topic)?,
                _ => State::Moving,
            };
            states.insert(partition.clone(), (state, replicas.clone()));
        }
        Ok(states)
    }

    /// Tells of replicas that shall lie in certain directories, and whether any of them is not there yet.
    fn verify_moves(&mut self, wanted: &BTreeMap<Replica, String>) -> Result<bool, Failure> {
        let found = self.admin.replica_log_dirs(&wanted.keys().cloned().collect::<Vec<_>>())?;
        let (mut lines, mut moving) = (Vec::new(), false);
        for (replica, target) in wanted {
            let (line, done) = told_of_move(replica, target, &found.get(replica).cloned().unwrap_or_default());
            lines.push(line);
            moving |= !done;
        }
        self.console.line(lines.join("\n"));
        Ok(moving)
    }

    fn clear_throttles(&mut self, parts: &Parts) -> Result<(), Failure> {
        let live = self.admin.brokers()?.iter().map(|broker| broker.node_id).collect();
        let admin = &mut self.admin;
        throttles::clear(live, parts, self.console, |changes| Ok(admin.change_configs(changes)?))
    }

    fn generate(&mut self, options: &ReassignOptions) -> Result<(), Failure> {
        let (brokers, topics) = to_generate(options)?;
        let current = self.assignment(&topics.into_iter().collect())?;
        let rack_aware = !options.has("disable-rack-aware");
        let live = self.admin.brokers()?.into_iter().filter(|broker| brokers.contains(&broker.node_id));
        let racks: Vec<BrokerRack> = live
            .map(|broker| BrokerRack {
                id: broker.node_id,
                rack: broker.rack.filter(|_| rack_aware).map(|rack| rack.to_string()),
            })
            .collect();
        Ok(super::generate(&current, &racks, self.console)?)
    }

    /// The replicas of all partitions of topics, which must be there.
    fn assignment(&mut self, topics: &BTreeSet<String>) -> Result<BTreeMap<TopicPartition, Vec<i32>>, Failure> {
        let described = self.admin.describe_topics(topics).into_iter().collect();
        let mut assignment = BTreeMap::new();
        for (_, topic) in java::hash_order_sized(described, |(name, _)| name) {
            let topic = topic?;
            for partition in topic.partitions {
                let name = TopicPartition::new(topic.name.clone(), partition.partition_index);
                assignment.insert(name, partition.replica_nodes);
            }
        }
        Ok(assignment)
    }

    fn execute(&mut self, options: &ReassignOptions) -> Result<(), Failure> {
        let file = read_file_as_string(options.value("reassignment-json-file")?)?;
        let (throttle, log_dir_throttle) =
            (options.number("throttle")?, options.number("replica-alter-log-dirs-throttle")?);
        let timeout_ms = options.number("timeout")?;
        let Wanted { parts, log_dirs } = json::executable(&file)?;
        let going = self.admin.reassignments(None)?;
        if !options.has("additional") && !going.is_empty() {
            return Err(Failure::Terse(ALREADY_GOING.to_owned()));
        }
        self.check_brokers(&parts)?;
        let wanted: BTreeMap<TopicPartition, Vec<i32>> = parts.into_iter().collect();
        let current = self.assignment(&wanted.keys().map(|partition| partition.topic.to_string()).collect())?;
        print_current(&current, &wanted, self.console);
        if throttle >= 0 || log_dir_throttle >= 0 {
            self.console.line(RUN_VERIFY);
        }
        if throttle >= 0 {
            let current = current.into_iter().filter(|(partition, _)| wanted.contains_key(partition)).collect();
            let moves = throttles::moves(&going, &wanted, &current);
            self.admin.change_configs(&throttles::topic_throttles(&moves))?;
            self.admin.change_configs(&throttles::broker_throttles(&moves, throttle))?;
            self.console.line(format_args!("The inter-broker throttle limit was set to {throttle} B/s"));
        }
        if log_dir_throttle >= 0 {
            let brokers = log_dirs.keys().map(|replica| replica.broker).collect();
            self.admin.change_configs(&throttles::log_dir_throttles(&brokers, log_dir_throttle))?;
            self.console.line(format_args!("The replica-alter-dir throttle limit was set to {log_dir_throttle} B/s"));
        }
        let asked = wanted.iter().map(|(partition, replicas)| (partition.clone(), Some(replicas.clone()))).collect();
        if let Some(failed) = self.alter(&asked) {
            return Err(Failure::Terse(format!("Error reassigning partition(s):\n{failed}")));
        }
        print_started(&wanted, self.console);
        if log_dirs.is_empty() { Ok(()) } else { self.move_replicas(log_dirs, timeout_ms) }
    }

    fn check_brokers(&mut self, parts: &Parts) -> Result<(), Failure> {
        let live: Vec<i32> = self.admin.brokers()?.iter().map(|broker| broker.node_id).collect();
        let ordered = java::scala_order(parts.iter().collect(), |(part, _)| java::topic_partition_hash(part));
        let wanted = java::scala_set(ordered.into_iter().flat_map(|(_, replicas)| replicas).copied(), java::int_hash);
        match wanted.iter().find(|id| !live.contains(id)) {
            Some(id) => Err(Thrown::command_failed(format!("Unknown broker id {id}")).into()),
            None => Ok(()),
        }
    }

    /// Asks for moves or their end; gives a line for each partition where that fails.
    fn alter(&mut self, asked: &BTreeMap<TopicPartition, Option<Vec<i32>>>) -> Option<String> {
        let outcomes = self.admin.alter_reassignments(asked).into_iter();
        let failed = outcomes.filter_map(|(partition, outcome)| Some(format!("{partition}: {}", outcome.err()?)));
        let failed: Vec<String> = failed.collect();
        (!failed.is_empty()).then(|| failed.join("\n"))
    }

    /// Has replicas moved to other directories. A broker that does not have one yet is asked again until it has.
    fn move_replicas(&mut self, mut wanted: BTreeMap<Replica, String>, timeout_ms: i64) -> Result<(), Failure> {
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        let started = Instant::now();
        loop {
            let moving = self.start_moves(&wanted)?;
            if !moving.is_empty() {
                let (plural, moving) = (plural(moving.len()), joined(&moving));
                self.console.line(format_args!("Successfully started log directory move{plural} for: {moving}"));
            }
            wanted.retain(|replica, _| !moving.contains(replica));
            if wanted.is_empty() {
                return Ok(());
            }
            if started.elapsed() >= timeout {
                let (plural, left) = (plural(wanted.len()), joined(wanted.keys()));
                return Err(Failure::Terse(format!(
                    "Timed out before log directory move{plural} could be started for: {left}"
                )));
            }
            self.console.flush();
            thread::sleep(MOVE_BACKOFF);
        }
    }

    fn start_moves(&mut self, wanted: &BTreeMap<Replica, String>) -> Result<BTreeSet<Replica>, Failure> {
        let mut moving = BTreeSet::new();
        for (replica, outcome) in self.admin.move_replicas(wanted) {
            match outcome {
                Ok(()) => drop(moving.insert(replica)),
                Err(error) if error.code() == Some(ErrorCode::REPLICA_NOT_AVAILABLE) => {}
                Err(error) => {
                    let failed = Thrown::command_failed(format!("Failed to alter dir for {replica}"));
                    return Err(failed.caused_by(thrown(error)).into());
                }
            }
        }
        Ok(moving)
    }

    fn cancel(&mut self, options: &ReassignOptions) -> Result<(), Failure> {
        let wanted = json::assignment(&read_file_as_string(options.value("reassignment-json-file")?)?)?;
        let timeout_ms = options.number("timeout")?;
        let partitions: BTreeSet<TopicPartition> =
            wanted.parts.iter().map(|(partition, _)| partition.clone()).collect();
        let going = self.admin.reassignments(Some(&partitions.into_iter().collect::<Vec<_>>()))?.into_iter();
        let going = going.filter(|(_, going)| !going.adding.is_empty() || !going.removing.is_empty());
        let going: BTreeMap<TopicPartition, Option<Vec<i32>>> = going.map(|(partition, _)| (partition, None)).collect();
        if going.is_empty() {
            self.console.line("None of the specified partition reassignments are active.");
        } else {
            if let Some(failed) = self.alter(&going) {
                let plural = plural(failed.lines().count());
                return Err(Failure::Terse(format!("Error cancelling partition reassignment{plural} for:\n{failed}")));
            }
            let (plural, partitions) = (plural(going.len()), joined(going.keys()));
            self.console.line(format_args!("Successfully cancelled partition reassignment{plural} for: {partitions}"));
        }
        let found = self.admin.replica_log_dirs(&wanted.log_dirs.into_keys().collect::<Vec<_>>())?;
        let moving: BTreeMap<Replica, String> = found
            .into_iter()
            .filter(|(_, place)| place.future.is_some())
            .filter_map(|(replica, place)| Some((replica, place.current?)))
            .collect();
        if moving.is_empty() {
            self.console.line("None of the specified partition moves are active.");
        } else {
            self.move_replicas(moving, timeout_ms)?;
        }
        if options.has("preserve-throttles") { Ok(()) } else { self.clear_throttles(&wanted.parts) }
    }

    fn list(&mut self) -> Result<(), Failure> {
        let going = self.admin.reassignments(None)?;
        if going.is_empty() {
            self.console.line("No partition reassignments found.");
            return Ok(());
        }
        self.console.line("Current partition reassignments:");
        for (partition, going) in going {
            let part = |name: &str, ids: &[i32]| match ids {
                [] => String::new(),
                ids => format!(" {name}: {}.", joined(ids)),
            };
            let (adding, removing) = (part("adding", &going.adding), part("removing", &going.removing));
            self.console.line(format_args!("{partition}: replicas: {}.{adding}{removing}", joined(&going.replicas)));
        }
        Ok(())
    }
}

/// Where a partition of a topic is that nothing moves; nowhere if there is none.
fn settled_state(index: i32, topic: &Result<metadata::ResponseTopic, ClientError>) -> Result<State, Failure> {
    let topic = match topic {
        Ok(topic) => topic,
        Err(error) if error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => {
            return Ok(State::Settled(Vec::new()));
        }
        Err(error) => {
            let message = format!("{} (of class {})", thrown(error.clone()), error.exception());
            return Err(Thrown::new("scala.MatchError", message).into());
        }
    };
    let count = topic.partitions.len();
    if i64::from(index) > count as i64 {
        return Ok(State::Settled(Vec::new()));
    }
    let partition = usize::try_from(index).ok().and_then(|index| topic.partitions.get(index));
    let partition = partition.ok_or_else(|| {
        let message = format!("Index {index} out of bounds for length {count}");
        Thrown::new("java.lang.IndexOutOfBoundsException", message)
    })?;
    Ok(State::Settled(partition.replica_nodes.clone()))
}

/// A line about a replica that shall lie in a directory, and whether it moves no more.
fn told_of_move(replica: &Replica, target: &str, found: &ReplicaLogDir) -> (String, bool) {
    let Replica { broker, partition } = replica;
    match (&found.current, &found.future) {
        (None, _) => {
            let line = format!(
                "Partition {partition} is not found in any live log dir on broker {broker}. There is likely an offline log \
                 directory on the broker."
            );
            (line, false)
        }
        (Some(_), Some(future)) if future == target => {
            (format!("Reassignment of replica {replica} is still in progress."), false)
        }
        (Some(_), Some(future)) => {
            let line = format!(
                "Partition {partition} on broker {broker} is being moved to log dir {future} instead of {target}."
            );
            (line, false)
        }
        (Some(current), None) if current == target => {
            (format!("Reassignment of replica {replica} completed successfully."), true)
        }
        (Some(current), None) => {
            let line = format!(
                "Partition {partition} on broker {broker} is not being moved from log dir {current} to {target}."
            );
            (line, true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_move() {
        let replica = Replica { broker: 2, partition: TopicPartition::new("t", 0) };
        let told = |current: Option<&str>, future: Option<&str>| {
            let place = ReplicaLogDir { current: current.map(str::to_owned), future: future.map(str::to_owned) };
            told_of_move(&replica, "/b", &place)
        };
        let line = |text: &str, done| (text.to_owned(), done);
        assert_eq!(told(Some("/b"), None), line("Reassignment of replica t-0-2 completed successfully.", true));
        assert_eq!(told(Some("/a"), Some("/b")), line("Reassignment of replica t-0-2 is still in progress.", false));
        let elsewhere = "Partition t-0 on broker 2 is being moved to log dir /c instead of /b.";
        assert_eq!(told(Some("/a"), Some("/c")), line(elsewhere, false));
        let resting = "Partition t-0 on broker 2 is not being moved from log dir /a to /b.";
        assert_eq!(told(Some("/a"), None), line(resting, true));
        assert!(told(None, None).0.ends_with("There is likely an offline log directory on the broker."));
    }
}
