//! Producers and a consumer group on a cluster while a test does to it what it wants; then the account: what was acknowledged is
//! there, where it was acknowledged, as often and in the order that the producer was promised; the group has read all and went on from
//! its offsets; all replicas hold the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::clients::{kafka_cli, python_command};
use crate::cluster::Cluster;

const SCRIPT: &str = "traffic.py";
/// Records a second of each producer.
const RATE: u32 = 150;
/// Acknowledged records of each producer, and of those that are read, that show that a cluster serves.
const PROGRESS: usize = 40;

/// An offset that an acknowledgement does not tell.
const UNKNOWN: i64 = -1;

/// What the script says when it can't go on.
const FAILED: &str = "traffic ended: ";

/// The producers of `clients/traffic.py`, and what they are promised.
const IDEMPOTENT: &str = "idempotent";
const ALL: &str = "all";
const ONE: &str = "one";
const PRODUCERS: [&str; 3] = [IDEMPOTENT, ALL, ONE];

/// A load that goes on until its account is asked for, or it is dropped.
pub struct Traffic {
    child: Child,
    told: std::io::Lines<BufReader<ChildStdout>>,
    topic: String,
    books: PathBuf,
    producers: Vec<&'static str>,
    members: Members,
    /// How often a partition had been given to a member when all had begun.
    shared: usize,
}

/// Those of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Members {
    /// The coordinator names them.
    Dynamic,
    /// They have names of their own: nothing is to be shared out anew while they live, whoever coordinates.
    Static,
    /// There is no group.
    None,
}

/// What a load came to.
#[derive(Debug)]
pub struct Account {
    /// Records that were acknowledged, of all producers.
    pub acknowledged: usize,
    /// Records that are in the topic.
    pub kept: usize,
}

impl Traffic {
    /// Begins on a topic that is there; returns when all producers have written and the group has read.
    pub fn begin(cluster: &Cluster, topic: &str) -> Result<Self> {
        Self::begin_compressed(cluster, topic, ["none"; 3])
    }

    /// The same with a codec for each producer.
    pub fn begin_compressed(cluster: &Cluster, topic: &str, codecs: [&str; 3]) -> Result<Self> {
        Self::begin_with(cluster, topic, &PRODUCERS, Members::Dynamic, &codecs)
    }

    /// The same for messages of before 0.11: without the idempotent producer, and without the group, as librdkafka 2.6 takes the keys
    /// and values of such messages for nulls, from the original's brokers too.
    pub fn begin_with_old_messages(cluster: &Cluster, topic: &str) -> Result<Self> {
        Self::begin_with(cluster, topic, &[ALL, ONE], Members::None, &["none"; 2])
    }

    /// The same with members of the group that have names of their own (KIP-345).
    pub fn begin_with_static_members(cluster: &Cluster, topic: &str) -> Result<Self> {
        Self::begin_with(cluster, topic, &PRODUCERS, Members::Static, &["none"; 3])
    }

    fn begin_with(
        cluster: &Cluster,
        topic: &str,
        producers: &[&'static str],
        members: Members,
        codecs: &[&str],
    ) -> Result<Self> {
        let books = cluster.path(&format!("books-{topic}"));
        fs::create_dir_all(&books)?;
        let mut command = python_command(SCRIPT)?;
        command.args([&cluster.servers(), topic]).arg(&books).arg(RATE.to_string());
        command.arg(producers.join(",")).arg(format!("{members:?}").to_lowercase()).arg(codecs.join(","));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(fs::File::create(books.join("errors"))?).spawn()?;
        let told = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let (topic, producers) = (topic.to_owned(), producers.to_vec());
        let mut traffic = Self { child, told, topic, books, producers, members, shared: 0 };
        match traffic.told.next() {
            Some(Ok(line)) if line == "loaded" => {}
            _ => bail!("no load: {}\n{}", traffic.errors()?, cluster.log_ends()),
        }
        traffic.shared = traffic.shares()?;
        Ok(traffic)
    }

    /// Records acknowledged so far by each producer, then records read.
    fn counts(&self) -> Result<Vec<usize>> {
        let lines = |name: &str| -> Result<usize> {
            Ok(fs::read(self.books.join(name))?.iter().filter(|byte| **byte == b'\n').count())
        };
        let readers = (self.members != Members::None).then_some("consumers");
        self.producers.iter().copied().chain(readers).map(lines).collect()
    }

    /// Waits until all go on: still, or again.
    pub fn goes_on(&self, cluster: &mut Cluster, after: &str) -> Result<()> {
        let before = self.counts()?;
        let waited = cluster.wait(&format!("records behind {after}"), |_| {
            let errors = self.errors()?;
            Ok(errors.contains(FAILED)
                || self.counts()?.iter().zip(&before).all(|(now, before)| *now >= before + PROGRESS))
        });
        let errors = self.errors()?;
        waited.with_context(|| format!("{before:?} before, now {:?}; {errors}", self.counts()))?;
        ensure!(!errors.contains(FAILED), "{after}: {errors}\n{}", cluster.log_ends());
        Ok(())
    }

    /// Ends the load and accounts for it; all brokers run.
    pub fn account(mut self, cluster: &mut Cluster) -> Result<Account> {
        drop(self.child.stdin.take());
        let rest: Vec<String> = self.told.by_ref().map_while(Result::ok).collect();
        let errors = self.errors()?;
        ensure!(self.child.wait()?.success(), "{rest:?} {errors}\n{}", cluster.log_ends());
        cluster.await_all_in_sync()?;
        let kept = Kept::read(cluster, &self.topic)?;
        let mut acknowledged = 0;
        for producer in self.producers.iter().copied() {
            let sent = rest.iter().find_map(|line| line.strip_prefix(producer)?.trim().parse().ok());
            let book = fs::read_to_string(self.books.join(producer))?;
            acknowledged += told(cluster, kept.check(producer, sent.context("no count")?, &book))?;
        }
        if self.members != Members::None {
            let book = fs::read_to_string(self.books.join("consumers"))?;
            told(cluster, kept.check_readers(&book))?;
        }
        let shares = self.shares()?;
        ensure!(self.members != Members::Static || shares == self.shared, "shared out anew: {shares} {}", self.shared);
        replicas_are_equal(cluster)?;
        Ok(Account { acknowledged, kept: kept.0.iter().map(Vec::len).sum() })
    }

    fn shares(&self) -> Result<usize> {
        let book = fs::read_to_string(self.books.join("consumers"))?;
        Ok(book.lines().filter(|line| line.starts_with("assigned ")).count())
    }

    /// What the script and librdkafka complain of.
    fn errors(&self) -> Result<String> {
        Ok(fs::read_to_string(self.books.join("errors"))?)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The records of each partition, from offset 0: the producer and its number.
struct Kept(Vec<Vec<(String, u64)>>);

impl Kept {
    fn read(cluster: &Cluster, topic: &str) -> Result<Self> {
        let servers = cluster.servers();
        let arguments = ["-C", "-b", &servers, "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%p %o %k %s\n"];
        let text = kafka_cli(&[&arguments[..], &["-X", "fetch.wait.max.ms=10"]].concat(), b"")?.success()?;
        let mut partitions = vec![Vec::new(); cluster.assignment(topic)?.len()];
        for line in text.lines() {
            let words: Vec<_> = line.split(' ').collect();
            let [partition, offset, producer, number, ..] = words.as_slice() else { bail!("no record: {line}") };
            let partition = partitions.get_mut(partition.parse::<usize>()?).context("no such partition")?;
            ensure!(partition.len() == offset.parse::<usize>()?, "offset {} is not there: {line}", partition.len());
            partition.push(((*producer).to_owned(), number.parse()?));
        }
        Ok(Self(partitions))
    }

    fn at(&self, partition: usize, offset: usize) -> Option<&(String, u64)> {
        self.0.get(partition)?.get(offset)
    }

    /// A producer's records against its book; how many were acknowledged. Order is promised to the idempotent one alone: what another one has
    /// sent to a leader that is replaced, librdkafka sends again behind what its successor has been sent already.
    fn check(&self, producer: &str, sent: u64, book: &str) -> Result<usize> {
        let partitions = self.0.len() as u64;
        let mut acknowledged = 0;
        for line in book.lines() {
            let [partition, offset, number] = numbers(line)?;
            let number = number as u64;
            if offset == UNKNOWN && producer == IDEMPOTENT {
                // It was there already when it was sent again, and the leader does not know where any more.
                acknowledged += 1;
                continue;
            }
            let found = self.at(partition as usize, usize::try_from(offset)?);
            let is_there = found.is_some_and(|(name, found)| name == producer && *found == number);
            // With acks=1 a leader may take what it alone has into the grave.
            ensure!(is_there || producer == ONE, "{producer}: acknowledged as {line}, there is {found:?}");
            acknowledged += 1;
        }
        for (partition, records) in (0..).zip(&self.0) {
            let own: Vec<u64> =
                records.iter().filter(|(name, _)| name == producer).map(|(_, number)| *number).collect();
            let stray = own.iter().find(|number| **number % partitions != partition || **number >= sent);
            ensure!(stray.is_none(), "{producer}: {stray:?} in partition {partition} was never sent there");
            if producer == IDEMPOTENT {
                let expected: Vec<_> = (0..sent).filter(|number| number % partitions == partition).collect();
                let same = own.iter().zip(&expected).take_while(|(own, expected)| own == expected).count();
                let offsets = records.iter().enumerate().filter(|(_, (name, _))| name == producer);
                let there: Vec<_> = offsets
                    .map(|(offset, (_, number))| (offset, number))
                    .skip(same.saturating_sub(3))
                    .take(8)
                    .collect();
                let lengths = (own.len(), expected.len());
                ensure!(
                    own == expected,
                    "{producer}: partition {partition}, {lengths:?} records, {there:?} where they differ"
                );
            }
        }
        let all = sent as usize == acknowledged;
        ensure!(all, "{producer}: {sent} records were sent, {acknowledged} acknowledged");
        Ok(acknowledged)
    }

    /// What the group read, from where, up to the end.
    fn check_readers(&self, book: &str) -> Result<()> {
        let mut read = vec![0; self.0.len()];
        let mut committed = vec![0; self.0.len()];
        // Of each member and partition, the offset that comes next.
        let mut next = BTreeMap::new();
        for line in book.lines() {
            let words: Vec<_> = line.split(' ').collect();
            let [what, member, partition, offset, record @ ..] = words.as_slice() else { bail!("no entry: {line}") };
            let (partition, offset): (usize, usize) = (partition.parse()?, offset.parse()?);
            let (Some(read), Some(committed)) = (read.get_mut(partition), committed.get_mut(partition)) else {
                bail!("no such partition: {line}");
            };
            match *what {
                "assigned" => {
                    ensure!(offset >= *committed, "{line}, {committed} was committed: an offset is lost");
                    ensure!(offset <= *read, "{line}, but nobody has read beyond {read}");
                    next.insert((*member, partition), offset);
                }
                "read" => {
                    let expected = next.get_mut(&(*member, partition)).context("read without an assignment")?;
                    ensure!(offset == *expected, "{line}: {expected} was to come");
                    *expected += 1;
                    *read = (*read).max(offset + 1);
                    let [name, number] = record else { bail!("no entry: {line}") };
                    let there = self.at(partition, offset);
                    let same = there.is_some_and(|(there, at)| there == name && number.parse() == Ok(*at));
                    ensure!(same, "{line}, and now there is {there:?}");
                }
                "committed" => *committed = (*committed).max(offset),
                _ => bail!("no entry: {line}"),
            }
        }
        for (partition, records) in self.0.iter().enumerate() {
            let (read, committed) = (read.get(partition), committed.get(partition));
            ensure!(
                read == Some(&records.len()) && committed == read,
                "partition {partition} has {} records, {read:?} read, {committed:?} committed",
                records.len()
            );
        }
        Ok(())
    }
}

fn numbers(line: &str) -> Result<[i64; 3]> {
    let numbers: Vec<i64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    numbers.try_into().map_err(|_| anyhow::anyhow!("no entry: {line}"))
}

/// An error with the logs' ends behind it.
fn told<T>(cluster: &Cluster, result: Result<T>) -> Result<T> {
    result.map_err(|error| anyhow::anyhow!("{error:#}\n{}", cluster.log_ends()))
}

/// Waits until the segments of all replicas of all partitions hold the same bytes.
pub(crate) fn replicas_are_equal(cluster: &mut Cluster) -> Result<()> {
    for topic in cluster.topics()? {
        for (partition, replicas) in cluster.assignment(&topic)?.into_iter().enumerate() {
            let name = format!("{topic}-{partition}");
            cluster.wait(&format!("all replicas of {name} to hold the same"), |cluster| {
                let mut held = replicas.iter().map(|id| held(cluster, *id, &name));
                let first = held.next().context("no replica")??;
                held.try_fold(true, |equal, other| Ok(equal && other? == first))
            })?;
        }
    }
    Ok(())
}

/// The bytes of a partition's segments, one behind the other.
fn held(cluster: &Cluster, id: usize, partition: &str) -> Result<Vec<u8>> {
    let folders = cluster.log_dirs(id)?.map(|dir| dir.join(partition));
    let folder = folders.iter().find(|folder| folder.exists());
    let folder = folder.with_context(|| format!("broker {id} has no {partition}"))?;
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "log") {
            segments.push(path);
        }
    }
    segments.sort();
    let mut bytes = Vec::new();
    for segment in segments {
        bytes.extend(fs::read(segment)?);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One partition with these records.
    fn kept(records: &[(&str, u64)]) -> Kept {
        Kept(vec![records.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()])
    }

    fn says(result: Result<impl std::fmt::Debug>, words: &str) {
        let error = format!("{:#}", result.expect_err("an account that does not add up"));
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn a_producer_is_owed_what_was_acknowledged() {
        let whole = kept(&[(IDEMPOTENT, 0), (ONE, 0), (IDEMPOTENT, 1), (ALL, 0), (ALL, 0)]);
        assert_eq!(whole.check(IDEMPOTENT, 2, "0 0 0\n0 2 1\n").unwrap(), 2);
        assert_eq!(whole.check(ALL, 1, "0 4 0\n").unwrap(), 1);
        // With acks=1 it may be gone.
        assert_eq!(whole.check(ONE, 2, "0 1 0\n0 9 1\n").unwrap(), 2);
        assert_eq!(whole.check(IDEMPOTENT, 2, "0 -1 0\n0 2 1\n").unwrap(), 2);
        says(whole.check(IDEMPOTENT, 3, "0 0 0\n0 2 1\n0 5 2\n"), "acknowledged as 0 5 2, there is None");
        says(whole.check(ALL, 1, "0 2 0\n"), "acknowledged as 0 2 0, there is Some");
        says(whole.check(ALL, 2, "0 4 0\n"), "2 records were sent, 1 acknowledged");
        says(kept(&[(ALL, 7)]).check(ALL, 1, ""), "Some(7) in partition 0 was never sent");
    }

    #[test]
    fn an_idempotent_producers_records_come_once_and_in_order() {
        for records in [&[0, 1, 1][..], &[1, 0], &[0]] {
            let records: Vec<_> = records.iter().map(|number| (IDEMPOTENT, *number)).collect();
            says(kept(&records).check(IDEMPOTENT, 2, ""), "where they differ");
        }
    }

    #[test]
    fn readers_begin_where_they_committed_and_read_what_stays() {
        let kept = kept(&[(ALL, 0), (ALL, 1)]);
        let first = "assigned a 0 0\nread a 0 0 all 0\ncommitted a 0 1\n";
        let check = |rest: &str| kept.check_readers(&format!("{first}{rest}"));
        check("assigned b 0 1\nread b 0 1 all 1\ncommitted b 0 2\n").unwrap();
        says(check("assigned b 0 0\n"), "an offset is lost");
        says(check("assigned b 0 2\n"), "nobody has read");
        says(check("read a 0 2 all 2\n"), "1 was to come");
        says(check("read a 0 1 all 5\n"), "now there is");
        says(check(""), "2 records, Some(1) read");
    }
}
