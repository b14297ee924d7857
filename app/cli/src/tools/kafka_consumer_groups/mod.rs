//! `kafka-consumer-groups.sh` (`kafka.admin.ConsumerGroupCommand`): lists, describes and deletes groups, resets and deletes
//! their offsets.
//!
//! As in the original, what fails while the command runs is told on standard output with exit code 0; bad usage has exit
//! code 1. Where the original prints a collection of Java or Scala, its order is kept.

mod cluster;
mod csv;
mod describe;
mod options;
mod reset;
mod time;

use std::ffi::OsString;

use kafka_proto::ErrorCode;

use crate::console::{Console, Stop, Thrown};
use crate::java;
use cluster::{Groups, thrown_by};
use options::GroupOptions;

/// What stands where there is nothing to say.
const MISSING: &str = "-";

/// How the command ends early: by an exception, or at once.
#[derive(Debug)]
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
    let options = GroupOptions::parse(arguments, console)?;
    let mut groups = options.connect()?;
    let thrown = match execute(&options, &mut groups, console) {
        Ok(()) => return Ok(0),
        Err(End::Stop(stop)) => return Err(stop),
        Err(End::Thrown(thrown)) => thrown,
    };
    if ["java.lang.IllegalArgumentException", "java.lang.NumberFormatException"].contains(&&*thrown.class) {
        return Err(options.usage(&thrown.message));
    }
    print_error(format_args!("Executing consumer group command failed due to {}", thrown.message), console);
    console.flush();
    console.error_line(thrown.trace());
    Ok(0)
}

fn execute(options: &GroupOptions, groups: &mut Groups, console: &mut Console<'_>) -> Result<(), End> {
    groups.set_timeout_ms(options.timeout_ms()?);
    if options.has("list") {
        Ok(list(options, groups, console)?)
    } else if options.has("describe") {
        Ok(describe::run(options, groups, console)?)
    } else if options.has("delete") {
        Ok(delete(options, groups, console)?)
    } else if options.has("reset-offsets") {
        reset::run(options, groups, console)
    } else {
        Ok(delete_offsets(options, groups, console)?)
    }
}

fn print_error(message: impl std::fmt::Display, console: &mut Console<'_>) {
    console.line(format_args!("\nError: {message}"));
}

/// The groups that the command is about, as they were named or as the brokers list them.
fn wanted(options: &GroupOptions, groups: &mut Groups) -> Result<Vec<String>, Thrown> {
    if options.has("all-groups") {
        return Ok(groups.list(&[])?.into_iter().map(|(group, _)| group).collect());
    }
    Ok(options.groups())
}

fn list(options: &GroupOptions, groups: &mut Groups, console: &mut Console<'_>) -> Result<(), Thrown> {
    if !options.has("state") {
        groups.list(&[])?.iter().for_each(|(group, _)| console.line(group));
        return Ok(());
    }
    let listed = groups.list(&options.states()?)?;
    let width = listed.iter().map(|(group, _)| group.chars().count()).max().unwrap_or(0).max(15);
    console.line(format_args!("{:width$} STATE", "GROUP"));
    for (group, state) in listed {
        console.line(format_args!("{group:width$} {state}"));
    }
    Ok(())
}

fn delete(options: &GroupOptions, groups: &mut Groups, console: &mut Console<'_>) -> Result<(), Thrown> {
    let wanted = wanted(options, groups)?;
    let outcomes = groups.delete(&wanted);
    let outcomes = java::scala_mutable_order(outcomes, |(group, _)| java::string_hash(group));
    let (deleted, failed): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|(_, outcome)| outcome.is_ok());
    let deleted = deleted.into_iter().map(|(group, _)| group).collect::<Vec<_>>().join("', '");
    if failed.is_empty() {
        console.line(format_args!("Deletion of requested consumer groups ('{deleted}') was successful."));
        return Ok(());
    }
    print_error("Deletion of some consumer groups failed:", console);
    for (group, outcome) in failed {
        let Err(thrown) = outcome else { continue };
        console.line(format_args!("* Group '{group}' could not be deleted due to: {thrown}"));
    }
    if !deleted.is_empty() {
        console.line(format_args!("\nThese consumer groups were deleted successfully: '{deleted}'"));
    }
    Ok(())
}

/// A partition, or -1 for a topic whose partitions are not known, and what became of it.
type Row = (String, i32, Option<String>);

fn delete_offsets(options: &GroupOptions, groups: &mut Groups, console: &mut Console<'_>) -> Result<(), Thrown> {
    let (group, topics) = (options.group()?, options.topics());
    let mut partitions = Vec::new();
    let mut unnamed = Vec::new();
    for topic in &topics {
        if topic.contains(':') {
            partitions.extend(options::partitions_of(topic)?);
        } else {
            unnamed.push(topic.clone());
        }
    }
    let mut rows: Vec<Row> = Vec::new();
    for (topic, described) in groups.partitions_of(&unnamed) {
        match described {
            Ok(indexes) => partitions.extend(indexes.into_iter().map(|index| (topic.clone(), index))),
            Err(thrown) => rows.push((topic, -1, Some(Thrown::executed(thrown).message))),
        }
    }
    let outcome = groups.delete_offsets(&group, &partitions);
    match &outcome {
        Ok(codes) => {
            let of = |(topic, index): &(String, i32)| codes.get(&(topic.as_str().into(), *index)).copied();
            for partition in &partitions {
                let error = of(partition).filter(|code| code.is_error());
                let message = error.map(|code| Thrown::executed(thrown_by(code)).message);
                rows.push((partition.0.clone(), partition.1, message));
            }
            let first = java::hash_order_by(partitions.clone(), |(topic, index)| java::partition_hash(topic, *index));
            let first = first.iter().filter_map(of).find(|code| code.is_error());
            tell_deleted(first.unwrap_or(ErrorCode::NONE), &group, &topics, console);
        }
        Err(error) => {
            let message = Thrown::executed(crate::kafka_admin::thrown(error.clone())).message;
            rows.extend(partitions.iter().map(|(topic, index)| (topic.clone(), *index, Some(message.clone()))));
            tell_deleted(cluster::code_of(error), &group, &topics, console);
        }
    }
    console.line(format_args!("\n{:30} {:15} {:15}", "TOPIC", "PARTITION", "STATUS"));
    rows.sort_by_key(|(topic, index, _)| format!("{topic}{index}"));
    rows.dedup_by(|one, other| (&one.0, one.1) == (&other.0, other.1));
    for (topic, index, error) in rows {
        let index = if index < 0 { "Not Provided".to_owned() } else { index.to_string() };
        let status = error.map_or_else(|| "Successful".to_owned(), |error| format!("Error: {error}"));
        console.line(format_args!("{topic:30} {index:15} {status:15}"));
    }
    Ok(())
}

fn tell_deleted(code: ErrorCode, group: &str, topics: &[String], console: &mut Console<'_>) {
    match code {
        ErrorCode::NONE => {
            let topics = topics.join(", ");
            console.line(format_args!("Request succeed for deleting offsets with topic {topics} group {group}"));
        }
        ErrorCode::INVALID_GROUP_ID => print_error(format_args!("'{group}' is not valid."), console),
        ErrorCode::GROUP_ID_NOT_FOUND => print_error(format_args!("'{group}' does not exist."), console),
        ErrorCode::GROUP_AUTHORIZATION_FAILED => {
            print_error(format_args!("Access to '{group}' is not authorized."), console);
        }
        ErrorCode::NON_EMPTY_GROUP => print_error(
            format_args!("Deleting offsets of a consumer group '{group}' is forbidden if the group is not empty."),
            console,
        ),
        ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC
        | ErrorCode::TOPIC_AUTHORIZATION_FAILED
        | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
            print_error("Encounter some partition level error, see the follow-up details:", console);
        }
        code => print_error(format_args!("Encounter some unknown error: {code}"), console),
    }
}
