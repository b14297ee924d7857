//! What clients do, and see: the shipped client machines, with a simple user behind each.

mod administering;
mod committing;
mod consuming;
mod deleting;
mod describing;
mod electing;
mod making;
mod pipelining;
mod reading;
mod writing;

use std::collections::BTreeMap;

use base::{Now, Random, Str};
use bytes::Bytes;
use kafka_client::metadata::Partition;
use kafka_client::{ClientError, Effect, Input, Machine, TopicPartition};
use kafka_proto::messages::metadata::ResponsePartition;

use self::administering::Administering;
use self::committing::Committing;
use self::consuming::Consuming;
pub(crate) use self::consuming::Held;
use self::deleting::Deleting;
use self::describing::Describing;
use self::electing::Electing;
use self::making::Making;
use self::pipelining::Pipelining;
use self::reading::Reading;
use self::writing::Writing;
use super::invariants::Onlooker;
use super::settings::{BrokerId, Deletion, Draw, TOPIC};

/// One client.
pub(crate) struct Client {
    user: User,
    /// Producers write no more, and readers read to the end.
    pub(crate) rests: bool,
}

enum User {
    Producer(Box<Writing>),
    Pipelining(Box<Pipelining>),
    Reader(Box<Reading>),
    Maker(Box<Making>),
    Administrator(Box<Administering>),
    Committer(Box<Committing>),
    Member(Box<Consuming>),
    Describer(Box<Describing>),
    Elector(Box<Electing>),
    Deleter(Box<Deleting>),
}

impl Client {
    /// All clients of a run.
    pub(crate) fn all(brokers: i32, draw: &Draw, random: &mut Random) -> Result<Vec<Self>, ClientError> {
        let mut users = vec![
            User::Maker(Box::new(Making::new(brokers, draw, random.next_u64())?)),
            User::Reader(Box::new(Reading::new(brokers, draw, random.next_u64())?)),
        ];
        for index in 0..2 {
            users.push(User::Producer(Box::new(Writing::new(index, index == 0, brokers, random.next_u64())?)));
        }
        for index in 0..draw.pipelining {
            users.push(User::Pipelining(Box::new(Pipelining::new(index, brokers, draw.hesitates, random.next_u64())?)));
        }
        users.push(User::Committer(Box::new(Committing::new(0, brokers, random.next_u64())?)));
        if draw.administered {
            users.push(User::Administrator(Box::new(Administering::new(brokers, draw, random.next_u64())?)));
        }
        if let Some(pace) = draw.elections {
            users.push(User::Elector(Box::new(Electing::new(brokers, pace, random.next_u64())?)));
        }
        if draw.deletion == Deletion::ByRequest {
            users.push(User::Deleter(Box::new(Deleting::new(brokers, random.next_u64())?)));
        }
        if draw.members > 0 {
            users.extend(Consuming::all(brokers, draw, random)?.into_iter().map(|one| User::Member(Box::new(one))));
            users.push(User::Describer(Box::new(Describing::new(brokers, draw, random.next_u64())?)));
        }
        Ok(users.into_iter().map(|user| Self { user, rests: false }).collect())
    }

    /// Whether it changes topics, moves replicas, elects leaders or lets records go.
    pub(crate) const fn administers(&self) -> bool {
        matches!(self.user, User::Administrator(_) | User::Elector(_) | User::Deleter(_))
    }

    /// Whether it writes records.
    pub(crate) const fn writes(&self) -> bool {
        matches!(self.user, User::Producer(_) | User::Pipelining(_))
    }

    /// Topics that are gone for good.
    pub(crate) fn deleted(&self) -> Vec<Str> {
        match &self.user {
            User::Administrator(administering) => administering.deleted().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Counts the machines that it had: the connections of one are none of the next.
    pub(crate) fn life(&self) -> u64 {
        match &self.user {
            User::Producer(writing) => writing.life,
            User::Pipelining(pipelining) => pipelining.life,
            User::Reader(reading) => reading.life,
            User::Member(consuming) => consuming.life,
            User::Maker(_)
            | User::Administrator(_)
            | User::Committer(_)
            | User::Describer(_)
            | User::Deleter(_)
            | User::Elector(_) => 0,
        }
    }

    fn machine(&mut self) -> &mut dyn Machine {
        match &mut self.user {
            User::Producer(writing) => &mut writing.producer,
            User::Pipelining(pipelining) => &mut pipelining.admin,
            User::Reader(reading) => &mut reading.consumer,
            User::Maker(making) => &mut making.admin,
            User::Administrator(administering) => &mut administering.admin,
            User::Committer(committing) => &mut committing.admin,
            User::Elector(electing) => &mut electing.admin,
            User::Deleter(deleting) => &mut deleting.admin,
            User::Member(consuming) => &mut consuming.consumer,
            User::Describer(describing) => &mut describing.admin,
        }
    }

    pub(crate) fn hear(&mut self, input: Input, now: Now) {
        self.machine().handle(input, now);
    }

    /// The user looks, and wants something; then the machine works.
    pub(crate) fn turn(
        &mut self,
        now: Now,
        random: &mut Random,
        onlooker: &mut Onlooker,
    ) -> Result<Vec<Effect>, String> {
        let rests = self.rests;
        if let User::Member(consuming) = &mut self.user
            && !consuming.wakes(rests, now, onlooker)
        {
            return Ok(Vec::new());
        }
        self.machine().advance(now);
        match &mut self.user {
            User::Producer(writing) => writing.turn(rests, now, random, onlooker)?,
            User::Pipelining(pipelining) => pipelining.turn(rests, now, random, onlooker)?,
            User::Reader(reading) => reading.turn(rests, now, random, onlooker)?,
            User::Maker(making) => making.turn(rests, now, onlooker),
            User::Administrator(administering) => administering.turn(rests, now, random, onlooker),
            User::Committer(committing) => committing.turn(rests, now, random, onlooker)?,
            User::Elector(electing) => electing.turn(rests, now, random, onlooker),
            User::Deleter(deleting) => deleting.turn(rests, now, random, onlooker),
            User::Member(consuming) => consuming.turn(rests, now, random, onlooker)?,
            User::Describer(describing) => describing.turn(rests, now),
        }
        self.machine().advance(now);
        Ok(self.machine().take_effects())
    }

    /// How long until it is to be called at the latest, in milliseconds.
    pub(crate) fn wait_ms(&mut self, now: Now) -> u64 {
        let deadline = self.machine().deadline();
        deadline.map_or(20, |at| at.ms().saturating_sub(now.monotonic.ms())).clamp(1, 20)
    }

    /// What it has asked for without an answer so far.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        let named = |(partition, value): (i32, &Bytes)| {
            let text = String::from_utf8_lossy(value);
            format!("{} to partition {partition}", text.split(' ').next().unwrap_or_default())
        };
        match &self.user {
            User::Producer(writing) => writing.outstanding.values().map(|(to, value)| named((*to, value))).collect(),
            User::Pipelining(pipelining) => pipelining.outstanding().map(named).collect(),
            User::Administrator(administering) => administering.unfinished(),
            User::Committer(committing) if !committing.is_done() => vec!["a look at an offset".to_owned()],
            User::Elector(electing) if electing.is_busy() => vec!["an election".to_owned()],
            User::Deleter(deleting) if deleting.is_busy() => vec!["a deletion of records".to_owned()],
            User::Maker(making) => making.unfinished().collect(),
            User::Describer(describing) => describing.unfinished(),
            User::Reader(_) | User::Committer(_) | User::Elector(_) | User::Member(_) | User::Deleter(_) => Vec::new(),
        }
    }

    /// How many records were acknowledged.
    pub(crate) fn acknowledged(&self) -> Option<u64> {
        match &self.user {
            User::Producer(writing) => Some(writing.acknowledged),
            User::Pipelining(pipelining) => Some(pipelining.acknowledged),
            _ => None,
        }
    }

    /// The broker that holds the office, as it was described last.
    pub(crate) fn controller(&self) -> Option<BrokerId> {
        let User::Maker(making) = &self.user else { return None };
        Some(making.admin.cluster().controller)
    }

    /// Where a reader is, by partition.
    pub(crate) fn positions(&self) -> Option<BTreeMap<i32, i64>> {
        let User::Reader(reading) = &self.user else { return None };
        let position = |partition: &TopicPartition| Some((partition.partition, reading.consumer.position(partition)?));
        Some(reading.consumer.assignment().filter_map(position).collect())
    }

    /// What a member of the group reads.
    pub(crate) fn held(&self) -> Option<Held> {
        let User::Member(consuming) = &self.user else { return None };
        consuming.held()
    }

    /// Whether it is, or may be, a member of the group.
    pub(crate) const fn is_member(&self) -> bool {
        matches!(self.user, User::Member(_))
    }

    /// Whether it reads, and is to be told when that can't go on.
    pub(crate) const fn reads(&self) -> bool {
        matches!(self.user, User::Reader(_))
    }

    /// The topic's partitions as each broker described them last.
    pub(crate) fn described(&self) -> Option<&BTreeMap<BrokerId, BTreeMap<i32, ResponsePartition>>> {
        let User::Maker(making) = &self.user else { return None };
        Some(&making.described)
    }

    /// The topic's partitions as they were described last.
    pub(crate) fn partitions(&self) -> Option<&BTreeMap<i32, Partition>> {
        let User::Maker(making) = &self.user else { return None };
        making.admin.cluster().topics.get(TOPIC).map(|topic| &topic.partitions)
    }
}

/// Settings that all clients have.
fn network<'a>(bootstrap: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let common = [
        ("bootstrap.servers", bootstrap),
        ("request.timeout.ms", "1000"),
        ("reconnect.backoff.ms", "20"),
        ("reconnect.backoff.max.ms", "100"),
        ("retry.backoff.ms", "30"),
        ("metadata.max.age.ms", "1000"),
    ];
    common.into_iter().chain(more.iter().copied()).collect()
}

fn illegal(error: impl std::fmt::Display) -> ClientError {
    ClientError::Illegal(error.to_string())
}
