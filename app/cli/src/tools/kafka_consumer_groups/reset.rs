//! `--reset-offsets`: what groups without members shall have committed.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::cluster::{Groups, Partition, executed};
use super::options::{self, GroupOptions};
use super::{End, csv, print_error, time, wanted};
use crate::console::{Console, Thrown};
use crate::java;
use crate::kafka_admin_calls::{EARLIEST, LATEST};

const LOGGER: &str = "kafka.admin.ConsumerGroupCommand$";

/// Offsets in the order of the original's map.
pub(super) type Offsets = Vec<(Partition, i64)>;

/// Plans the offsets, commits them with `--execute`, and prints them.
pub(super) fn run(options: &GroupOptions, groups: &mut Groups, console: &mut Console<'_>) -> Result<(), End> {
    let wanted = wanted(options, groups)?;
    let mut reset: Vec<(String, Offsets)> = Vec::new();
    let mut plan = None;
    for (name, group) in groups.describe(&wanted) {
        let state = group.map_err(Thrown::executed)?.state;
        if !["Empty", "Dead"].contains(&state.as_str()) {
            print_error(
                format_args!(
                    "Assignments can only be reset if the group '{name}' is inactive, but the current state is {state}."
                ),
                console,
            );
            reset.push((name, Offsets::new()));
            continue;
        }
        let offsets = Reset { options, groups: &mut *groups, plan: &mut plan, group: &name }.prepare(console)?;
        if options.has("execute") {
            groups.commit(&name, &offsets)?;
        }
        reset.push((name, offsets));
    }
    let reset = java::scala_order(reset, |(group, _)| java::string_hash(group));
    if options.has("export") {
        console.line(csv::export(&reset, options.groups().len() != 1));
    } else {
        print(&reset, console);
    }
    Ok(())
}

fn print(reset: &[(String, Offsets)], console: &mut Console<'_>) {
    if !reset.is_empty() {
        console.line(format_args!("\n{:30} {:30} {:10} {:15}", "GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"));
    }
    for (group, offsets) in reset {
        for ((topic, index), offset) in offsets {
            console.line(format_args!("{group:30} {topic:30} {index:<10} {offset:<15}"));
        }
    }
}

/// The reset of one group.
struct Reset<'a> {
    options: &'a GroupOptions,
    groups: &'a mut Groups,
    /// The file of `--from-file`, read once.
    plan: &'a mut Option<csv::Plan>,
    group: &'a str,
}

impl Reset<'_> {
    fn prepare(mut self, console: &mut Console<'_>) -> Result<Offsets, End> {
        let options = self.options;
        let partitions = self.partitions()?;
        if options.has("to-offset") {
            let offset = options.long("to-offset")?;
            let requested = partitions.into_iter().map(|partition| (partition, offset));
            return Ok(self.within_range(map_of(requested), console)?);
        }
        if options.has("to-earliest") {
            return Ok(self.at(partitions, EARLIEST)?);
        }
        if options.has("to-latest") {
            return Ok(self.at(partitions, LATEST)?);
        }
        if options.has("shift-by") {
            let shifted = self.shifted(partitions)?;
            return Ok(self.within_range(shifted, console)?);
        }
        if options.has("to-datetime") {
            let timestamp = time::timestamp_ms(&options.text("to-datetime")?)?;
            return Ok(self.since(partitions, timestamp)?);
        }
        if options.has("by-duration") {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let timestamp = time::before(now, &options.text("by-duration")?)?;
            return Ok(self.since(partitions, timestamp)?);
        }
        if options.has("from-file") {
            let planned = self.planned()?;
            if planned.is_none() {
                print_error(format_args!("No reset plan for group {} found", self.group), console);
            }
            return Ok(self.within_range(map_of(planned.unwrap_or_default()), console)?);
        }
        if options.has("to-current") {
            return Ok(self.current(partitions)?);
        }
        Err(options.usage(&options::no_scenario()).into())
    }

    /// The partitions that `--topic` or `--all-topics` mean.
    fn partitions(&mut self) -> Result<Vec<Partition>, End> {
        if self.options.has("all-topics") {
            return Ok(self.groups.committed(self.group)?.into_iter().map(|(partition, _)| partition).collect());
        }
        if !self.options.has("topic") {
            if self.options.has("from-file") {
                return Ok(Vec::new());
            }
            let message = "One of the reset scopes should be defined: --all-topics, --topic.";
            return Err(self.options.usage(message).into());
        }
        let mut partitions = Vec::new();
        for topic in self.options.topics() {
            if topic.contains(':') {
                partitions.extend(options::partitions_of(&topic)?);
                continue;
            }
            for (topic, indexes) in self.groups.partitions_of(&[topic]) {
                let indexes = indexes.map_err(Thrown::executed)?;
                partitions.extend(indexes.into_iter().map(|index| (topic.clone(), index)));
            }
        }
        Ok(partitions)
    }

    fn at(&mut self, partitions: Vec<Partition>, timestamp: i64) -> Result<Offsets, Thrown> {
        let offsets = self.groups.offsets(&partitions, timestamp)?;
        Ok(map_of(partitions.into_iter().filter_map(|partition| Some((partition.clone(), *offsets.get(&partition)?)))))
    }

    /// At the first records of a time or later, else at the end.
    fn since(&mut self, partitions: Vec<Partition>, timestamp: i64) -> Result<Offsets, Thrown> {
        let mut offsets = self.groups.offsets(&partitions, timestamp)?;
        let without: Vec<Partition> =
            offsets.iter().filter(|(_, offset)| **offset == -1).map(|(partition, _)| partition.clone()).collect();
        offsets.extend(self.groups.offsets(&without, LATEST)?);
        Ok(map_of(partitions.into_iter().filter_map(|partition| Some((partition.clone(), *offsets.get(&partition)?)))))
    }

    fn shifted(&mut self, partitions: Vec<Partition>) -> Result<Offsets, Thrown> {
        let committed: BTreeMap<Partition, i64> = self.groups.committed(self.group)?.into_iter().collect();
        let mut shifted = Offsets::new();
        for partition in partitions {
            let shift = self.options.long("shift-by")?;
            let Some(offset) = committed.get(&partition) else {
                let (topic, index) = partition;
                return Err(Thrown::illegal_argument(format!(
                    "Cannot shift offset for partition {topic}-{index} since there is no current committed offset"
                )));
            };
            shifted.push((partition, offset.wrapping_add(shift)));
        }
        Ok(map_of(shifted))
    }

    fn current(&mut self, partitions: Vec<Partition>) -> Result<Offsets, Thrown> {
        let committed: BTreeMap<Partition, i64> = self.groups.committed(self.group)?.into_iter().collect();
        let (with, without): (Vec<_>, Vec<_>) =
            partitions.into_iter().partition(|partition| committed.contains_key(partition));
        let ends = self.groups.offsets(&without, LATEST)?;
        let of = |partition: Partition| {
            let offset = committed.get(&partition).or_else(|| ends.get(&partition)).copied();
            offset.map(|offset| (partition, offset))
        };
        Ok(map_of(with.into_iter().chain(without).filter_map(of)))
    }

    fn planned(&mut self) -> Result<Option<Offsets>, Thrown> {
        if self.plan.is_none() {
            let groups = self.options.groups();
            let only = if let [only] = groups.as_slice() { Some(only.as_str()) } else { None };
            *self.plan = Some(csv::read(&self.options.text("from-file")?, only)?);
        }
        let plan = self.plan.as_ref().and_then(|plan| plan.iter().find(|(group, _)| group == self.group));
        Ok(plan.map(|(_, offsets)| offsets.clone()))
    }

    /// Offsets that are outside of their partition are moved to its start or end.
    fn within_range(&mut self, requested: Offsets, console: &mut Console<'_>) -> Result<Offsets, Thrown> {
        let partitions: Vec<Partition> = requested.iter().map(|(partition, _)| partition.clone()).collect();
        let starts = self.groups.offsets(&partitions, EARLIEST)?;
        let ends = self.groups.offsets(&partitions, LATEST)?;
        let mut offsets = Offsets::new();
        for (partition, offset) in requested {
            let bounds = starts.get(&partition).zip(ends.get(&partition));
            let (start, end) = bounds.ok_or_else(|| executed(crate::kafka_admin::mismatched()))?;
            let (limit, words) = if offset > *end {
                (*end, "higher than latest")
            } else if offset < *start {
                (*start, "lower than earliest")
            } else {
                offsets.push((partition, offset));
                continue;
            };
            let (topic, index) = &partition;
            let text = format!(
                "New offset ({offset}) is {words} offset for topic partition {topic}-{index}. Value will be set to {limit}"
            );
            console.log("WARN", text, LOGGER);
            offsets.push((partition, limit));
        }
        Ok(offsets)
    }
}

/// As a map of Scala: each partition once, with its last offset.
fn map_of(entries: impl IntoIterator<Item = (Partition, i64)>) -> Offsets {
    let mut once = Offsets::new();
    for (partition, offset) in entries {
        match once.iter_mut().find(|(known, _)| *known == partition) {
            Some((_, known)) => *known = offset,
            None => once.push((partition, offset)),
        }
    }
    java::scala_order(once, |((topic, index), _)| java::partition_hash(topic, *index))
}
