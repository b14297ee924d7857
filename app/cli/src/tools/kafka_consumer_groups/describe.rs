//! `--describe`: offsets and lag, members, or the state of groups.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::cluster::{Group, Groups, Member, Partition};
use super::options::GroupOptions;
use super::{MISSING, print_error, wanted};
use crate::console::{Console, Thrown};
use crate::java;
use crate::kafka_admin_calls::LATEST;

/// Describes the groups in the order of their names.
pub(super) fn run(options: &GroupOptions, groups: &mut Groups, console: &mut Console<'_>) -> Result<(), Thrown> {
    let wanted = wanted(options, groups)?;
    let mut described = BTreeMap::new();
    for (name, group) in groups.describe(&wanted) {
        described.insert(name, group.map_err(Thrown::executed)?);
    }
    if options.has("members") {
        described.iter().try_for_each(|(name, group)| print_members(name, group, options.has("verbose"), console))
    } else if options.has("state") {
        described.iter().try_for_each(|(name, group)| print_state(name, group, console))
    } else {
        let rows: Vec<Vec<Row>> =
            described.iter().map(|(name, group)| rows(name, group, groups)).collect::<Result<_, _>>()?;
        described.iter().zip(rows).try_for_each(|((name, group), rows)| print_offsets(name, group, &rows, console))
    }
}

/// Says what there is to say of a group's state; whether its `count` rows are to be printed.
fn is_shown(name: &str, group: &Group, count: usize, console: &mut Console<'_>) -> Result<bool, Thrown> {
    match group.state.as_str() {
        "Dead" => {
            print_error(format_args!("Consumer group '{name}' does not exist."), console);
            return Ok(false);
        }
        "Empty" => warn(format_args!("\nConsumer group '{name}' has no active members."), console),
        "PreparingRebalance" | "CompletingRebalance" => {
            warn(format_args!("\nWarning: Consumer group '{name}' is rebalancing."), console);
        }
        "Stable" => {}
        _ => {
            let message = "Expected a valid consumer group state, but found 'Unknown'.";
            return Err(Thrown::new("org.apache.kafka.common.KafkaException", message));
        }
    }
    Ok(count > 0)
}

fn warn(text: impl Display, console: &mut Console<'_>) {
    console.flush();
    console.error_line(text);
}

/// A partition and who reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    partition: Partition,
    offset: Option<i64>,
    end: Option<i64>,
    consumer_id: String,
    host: String,
    client_id: String,
}

/// Members with their partitions, those with the most first, then what nobody reads.
fn rows(name: &str, group: &Group, groups: &mut Groups) -> Result<Vec<Row>, Thrown> {
    let committed = groups.committed(name)?;
    let mut members: Vec<&Member> = group.members.iter().filter(|member| !member.partitions.is_empty()).collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.partitions.len()));
    let assigned: Vec<&Partition> = members.iter().flat_map(|member| &member.partitions).collect();
    let unassigned: Vec<_> = committed.iter().filter(|(partition, _)| !assigned.contains(&partition)).collect();
    let unassigned = java::scala_mutable_order(unassigned, |(partition, _)| hash(partition));
    let mut wanted: Vec<Partition> = assigned.into_iter().cloned().collect();
    wanted.extend(unassigned.iter().map(|(partition, _)| partition.clone()));
    let ends = groups.offsets(&wanted, LATEST)?;
    let offsets: BTreeMap<&Partition, i64> = committed.iter().map(|(partition, offset)| (partition, *offset)).collect();
    let mut rows = Vec::new();
    for member in members {
        let mut partitions = member.partitions.clone();
        partitions.sort_by_key(|(_, index)| *index);
        for partition in java::scala_order(partitions, hash) {
            rows.push(Row {
                offset: offsets.get(&partition).copied(),
                end: ends.get(&partition).copied(),
                partition,
                consumer_id: member.id.clone(),
                host: member.host.clone(),
                client_id: member.client_id.clone(),
            });
        }
    }
    rows.extend(unassigned.into_iter().map(|(partition, offset)| Row {
        partition: partition.clone(),
        offset: Some(*offset),
        end: ends.get(partition).copied(),
        consumer_id: MISSING.to_owned(),
        host: MISSING.to_owned(),
        client_id: MISSING.to_owned(),
    }));
    Ok(rows)
}

fn hash((topic, index): &Partition) -> u32 {
    java::partition_hash(topic, *index)
}

fn print_offsets(name: &str, group: &Group, rows: &[Row], console: &mut Console<'_>) -> Result<(), Thrown> {
    if !is_shown(name, group, rows.len(), console)? {
        return Ok(());
    }
    let names = width(15, [name]);
    let topics = width(15, rows.iter().map(|row| &row.partition.0));
    let ids = width(15, rows.iter().map(|row| &row.consumer_id));
    let hosts = width(15, rows.iter().map(|row| &row.host));
    console.line("");
    let mut line = |group: &str, topic: &str, columns: [&str; 4], id: &str, host: &str, client_id: &str| {
        let [partition, offset, end, lag] = columns;
        console.line(format_args!(
            "{group:names$} {topic:topics$} {partition:10} {offset:15} {end:15} {lag:15} {id:ids$} {host:hosts$} {client_id}"
        ));
    };
    let columns = ["PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG"];
    line("GROUP", "TOPIC", columns, "CONSUMER-ID", "HOST", "CLIENT-ID");
    for row in rows {
        let lag = row.offset.filter(|offset| *offset != -1).and_then(|offset| Some(row.end? - offset));
        let (topic, index) = &row.partition;
        let columns = [Some(i64::from(*index)), row.offset, row.end, lag].map(or_missing);
        line(name, topic, columns.each_ref().map(String::as_str), &row.consumer_id, &row.host, &row.client_id);
    }
    Ok(())
}

fn print_members(name: &str, group: &Group, verbose: bool, console: &mut Console<'_>) -> Result<(), Thrown> {
    let members = &group.members;
    if !is_shown(name, group, members.len(), console)? {
        return Ok(());
    }
    let names = width(15, [name]);
    let ids = width(15, members.iter().map(|member| &member.id));
    let instances = width(17, members.iter().map(|member| &member.instance_id));
    let hosts = width(15, members.iter().map(|member| &member.host));
    let clients = width(15, members.iter().map(|member| &member.client_id));
    let any_static = members.iter().any(|member| !member.instance_id.is_empty());
    console.line("");
    let mut line = |columns: [&str; 6], assignment: &str| {
        let [group, id, instance, host, client, count] = columns;
        let instance = if any_static { format!("{instance:instances$} ") } else { String::new() };
        console.line(format_args!(
            "{group:names$} {id:ids$} {instance}{host:hosts$} {client:clients$} {count:15} {assignment}"
        ));
    };
    let columns = ["GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID", "#PARTITIONS"];
    line(columns, if verbose { "ASSIGNMENT" } else { "" });
    for member in members {
        let count = member.partitions.len().to_string();
        let columns = [name, &member.id, &member.instance_id, &member.host, &member.client_id, &count];
        line(columns, &if verbose { assignment(&member.partitions) } else { String::new() });
    }
    Ok(())
}

/// `topic(0,1), other(2)`.
fn assignment(partitions: &[Partition]) -> String {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, index) in partitions {
        topics.entry(topic).or_default().push(*index);
    }
    if topics.is_empty() {
        return MISSING.to_owned();
    }
    let mut texts: Vec<String> = topics
        .into_iter()
        .map(|(topic, mut indexes)| {
            indexes.sort_unstable();
            let indexes: Vec<String> = indexes.iter().map(ToString::to_string).collect();
            format!("{topic}({})", indexes.join(","))
        })
        .collect();
    texts.sort();
    texts.join(", ")
}

fn print_state(name: &str, group: &Group, console: &mut Console<'_>) -> Result<(), Thrown> {
    if !is_shown(name, group, 1, console)? {
        return Ok(());
    }
    let Group { coordinator, strategy, state, members } = group;
    let count = members.len();
    // The width that the coordinator needs is given to the first column, as in the original.
    let first = width(25, [coordinator]);
    console.line(format_args!(
        "\n{:first$} {:25} {:20} {:15} #MEMBERS",
        "GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE"
    ));
    console.line(format_args!("{name:first$} {coordinator:25} {strategy:20} {state:15} {count}"));
    Ok(())
}

fn or_missing(number: Option<i64>) -> String {
    number.map_or_else(|| MISSING.to_owned(), |number| number.to_string())
}

/// The width of a column: of its longest text, but at least `min`.
fn width(min: usize, texts: impl IntoIterator<Item = impl AsRef<str>>) -> usize {
    texts.into_iter().map(|text| text.as_ref().chars().count()).max().unwrap_or(0).max(min)
}
