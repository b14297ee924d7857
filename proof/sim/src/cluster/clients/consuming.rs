//! A member of a consumer group: the shipped consumer, with a user who reads on from where the group is and commits where it got to. Now and
//! then it is gone, leaves, or stands still for longer than its session and goes on as if nothing had been. Where members have names, one
//! without waits until another stands still, and takes its name.

use std::collections::BTreeMap;

use base::{Monotonic, Now, Random, Str};
use kafka_client::{ClientError, CommitOffset, Consumer, ConsumerConfig, ConsumerEvent, TopicPartition};
use kafka_proto::ErrorCode;

use super::{illegal, network};
use crate::cluster::invariants::Onlooker;
use crate::cluster::invariants::commits::Commit;
use crate::cluster::settings::{Draw, GROUP, TOPIC, bootstrap};
use crate::invariants::Verdict;

/// A member that was asked to leave is gone after so long in any case.
const LEAVE_MS: u64 = 2_000;
/// Longer than a session, and than the time between two polls.
const STANDS_MS_MAX: u64 = 3_000;

pub(in crate::cluster) struct Consuming {
    brokers: i32,
    draw: Draw,
    pub(super) life: u64,
    pub(super) consumer: Consumer,
    role: Role,
    /// What it reads, since the generation in which it got it.
    held: BTreeMap<i32, Place>,
    generation: i32,
    commit: Option<(u64, Vec<Commit>)>,
    commits: u64,
    stands_until: Option<Monotonic>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    /// By its name, if it has one.
    Member(Option<Str>),
    Leaving(Option<Str>, Monotonic),
    /// It waits for a name.
    Spare,
}

/// A partition that it reads.
#[derive(Debug, Default)]
struct Place {
    /// The record that comes next, once it is known.
    next: Option<i64>,
    /// The lowest leader epoch in which the coordinator that it asks has led since it got the partition; `None` if it has not, by its account.
    epoch: Option<Option<i32>>,
    /// What it has committed.
    committed: Option<i64>,
}

impl Consuming {
    /// All members of a run.
    pub(super) fn all(brokers: i32, draw: &Draw, random: &mut Random) -> Result<Vec<Self>, ClientError> {
        let names = (0..draw.members).map(|index| draw.statics.then(|| Str::from(format!("name-{index}"))));
        let roles = names.map(Role::Member).chain(draw.statics.then_some(Role::Spare));
        roles.map(|role| Self::new(role, brokers, draw, random.next_u64())).collect()
    }

    fn new(role: Role, brokers: i32, draw: &Draw, seed: u64) -> Result<Self, ClientError> {
        let consumer = Self::machine(&role, brokers, draw, seed)?;
        let held = BTreeMap::new();
        Ok(Self {
            brokers,
            draw: *draw,
            life: 0,
            consumer,
            role,
            held,
            generation: -1,
            commit: None,
            commits: 0,
            stands_until: None,
        })
    }

    fn machine(role: &Role, brokers: i32, draw: &Draw, seed: u64) -> Result<Consumer, ClientError> {
        let bootstrap = bootstrap(brokers);
        let name = if let Role::Member(Some(name)) = role { name.as_str() } else { "" };
        let (session_ms, poll_ms) = if draw.long_sessions { ("3000", "700") } else { ("1000", "2000") };
        let more = [
            ("group.id", GROUP),
            ("group.instance.id", name),
            ("session.timeout.ms", session_ms),
            ("heartbeat.interval.ms", "200"),
            ("max.poll.interval.ms", poll_ms),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
            ("default.api.timeout.ms", "1500"),
            ("fetch.max.wait.ms", "200"),
            ("partition.assignment.strategy", "org.apache.kafka.clients.consumer.StickyAssignor"),
        ];
        let (config, _) = ConsumerConfig::new(network(&bootstrap, &more)).map_err(illegal)?;
        let mut consumer = Consumer::new(config, seed);
        if *role != Role::Spare {
            consumer.subscribe([Str::from_static(TOPIC)])?;
        }
        Ok(consumer)
    }

    /// Whether it does anything at all now. Who has stood still commits where it was, whatever it may hear next.
    pub(super) fn wakes(&mut self, rests: bool, now: Now, onlooker: &mut Onlooker) -> bool {
        match self.stands_until {
            Some(until) if !rests && until > now.monotonic => false,
            Some(_) => {
                self.stands_until = None;
                self.commit(now, onlooker);
                true
            }
            None => true,
        }
    }

    pub(super) fn turn(&mut self, rests: bool, now: Now, random: &mut Random, onlooker: &mut Onlooker) -> Verdict {
        if self.role == Role::Spare {
            return self.take_a_name(rests, random, onlooker);
        }
        let life = self.life;
        self.hear(random, onlooker)?;
        self.look(onlooker)?;
        self.read(random, onlooker, now)?;
        if let Role::Leaving(_, until) = &self.role {
            let is_over = self.consumer.is_closed() || *until <= now.monotonic;
            return if is_over { self.begin_again(Role::Member(self.name()), random) } else { Ok(()) };
        }
        if self.life != life {
            return Ok(());
        }
        if rests || random.below(8) == 0 {
            self.commit(now, onlooker);
        }
        if !rests {
            self.something_else(now, random, onlooker)?;
        }
        Ok(())
    }

    fn something_else(&mut self, now: Now, random: &mut Random, onlooker: &mut Onlooker) -> Verdict {
        let name = self.name();
        match random.below(600) {
            0 => {
                onlooker.count("member gone");
                return self.begin_again(Role::Member(name), random);
            }
            1 => {
                onlooker.count("member leaves");
                self.consumer.close(now);
                self.role = Role::Leaving(name, now.monotonic.plus_ms(LEAVE_MS));
            }
            2 | 3 => {
                onlooker.count("member stands still");
                onlooker.tell(|| format!("member {} of generation {} stands still", self.life, self.generation));
                onlooker.names.free = name;
                self.stands_until = Some(now.monotonic.plus_ms(random.below(STANDS_MS_MAX)));
            }
            _ => {}
        }
        Ok(())
    }

    fn name(&self) -> Option<Str> {
        match &self.role {
            Role::Member(name) | Role::Leaving(name, _) => name.clone(),
            Role::Spare => None,
        }
    }

    fn take_a_name(&mut self, rests: bool, random: &mut Random, onlooker: &mut Onlooker) -> Verdict {
        match onlooker.names.free.take().filter(|_| !rests) {
            Some(name) => {
                onlooker.names.taken(&name);
                onlooker.count("name taken");
                onlooker.tell(|| format!("{name} is taken by another"));
                self.begin_again(Role::Member(Some(name)), random)
            }
            None => Ok(()),
        }
    }

    fn hear(&mut self, random: &mut Random, onlooker: &mut Onlooker) -> Verdict {
        while let Some(event) = self.consumer.next_event() {
            let failure = match event {
                ConsumerEvent::Assigned(partitions) => {
                    self.assigned(&partitions, onlooker)?;
                    continue;
                }
                ConsumerEvent::Revoked(_) => {
                    self.held.clear();
                    continue;
                }
                ConsumerEvent::Committed(id, result) => match self.committed(id, result, onlooker)? {
                    Some(ClientError::Broker { code: ErrorCode::FENCED_INSTANCE_ID, .. }) => {
                        ClientError::Broker { code: ErrorCode::FENCED_INSTANCE_ID, message: None }
                    }
                    _ => continue,
                },
                ConsumerEvent::Failed(error) => error,
            };
            return self.failed(&failure, random, onlooker);
        }
        Ok(())
    }

    fn failed(&mut self, error: &ClientError, random: &mut Random, onlooker: &mut Onlooker) -> Verdict {
        onlooker.tell(|| format!("member {} fails: {error}", self.life));
        onlooker.reads.failed(error)?;
        match error {
            ClientError::Broker { code: ErrorCode::FENCED_INSTANCE_ID, .. } => {
                onlooker.count("member fenced");
                // Whose name nobody has taken knows a coordinator that was gone before it could log that, as in the original.
                let is_spare = self.name().is_some_and(|name| onlooker.names.given_up(&name));
                self.begin_again(if is_spare { Role::Spare } else { Role::Member(self.name()) }, random)
            }
            _ => self.begin_again(Role::Member(self.name()), random),
        }
    }

    fn assigned(&mut self, partitions: &[TopicPartition], onlooker: &mut Onlooker) -> Verdict {
        let Some((generation, member, name)) = self.consumer.membership().filter(|(generation, ..)| *generation >= 0)
        else {
            // It has lost its place again, which it is told next.
            return Ok(());
        };
        onlooker.count("assigned");
        let numbers: Vec<i32> = partitions.iter().map(|partition| partition.partition).collect();
        onlooker.tell(|| format!("generation {generation}: {member} has {numbers:?}"));
        onlooker.owners.assigned(generation, name.as_ref().unwrap_or(&member), &numbers)?;
        onlooker.commits.assigned(generation, &member);
        self.generation = generation;
        self.held = numbers.into_iter().map(|number| (number, Place::default())).collect();
        Ok(())
    }

    fn committed(
        &mut self,
        id: u64,
        result: Result<(), ClientError>,
        onlooker: &mut Onlooker,
    ) -> Result<Option<ClientError>, String> {
        let Some((_, commits)) = self.commit.take_if(|(of, _)| *of == id) else { return Ok(None) };
        match result {
            Ok(()) => {
                onlooker.count("committed by a member");
                for commit in commits {
                    if commit.generation == self.generation
                        && let Some(place) = self.held.get_mut(&commit.partition)
                    {
                        place.committed = Some(commit.offset);
                    }
                    onlooker.commits.acknowledged(&commit)?;
                }
                Ok(None)
            }
            Err(error) => {
                onlooker.tell(|| format!("member {}: commit {commits:?}: {error}", self.life));
                Ok(Some(error))
            }
        }
    }

    /// Learns where it begins to read.
    fn look(&mut self, onlooker: &mut Onlooker) -> Verdict {
        let coordinator = self.consumer.coordinator();
        let leads = coordinator.and_then(|broker| onlooker.commits.leader_epoch(broker));
        for (number, place) in self.held.iter_mut().filter(|(_, place)| place.next.is_none()) {
            place.epoch = Some(place.epoch.map_or(leads, |before| before.min(leads)));
            if let Some(position) = self.consumer.position(&TopicPartition::new(TOPIC, *number)) {
                place.next = Some(position);
                onlooker.commits.begins(self.generation, *number, position, place.epoch.flatten())?;
            }
        }
        Ok(())
    }

    fn read(&mut self, random: &mut Random, onlooker: &mut Onlooker, now: Now) -> Verdict {
        let records = match self.consumer.poll(now) {
            Ok(records) => records,
            Err(error) => return self.failed(&error, random, onlooker),
        };
        for record in records {
            let number = record.partition.partition;
            let Some(next) = self.held.get_mut(&number).and_then(|place| place.next.as_mut()) else { continue };
            if record.offset != *next && (record.offset < *next || !self.draw.deletes()) {
                return Err(format!(
                    "a member that reads partition {number} got offset {} where {next} comes next",
                    record.offset
                ));
            }
            *next = record.offset + 1;
            onlooker.reads.read(number, record.offset, &record.value.unwrap_or_default())?;
        }
        Ok(())
    }

    /// Commits where it is, one request at a time.
    fn commit(&mut self, now: Now, onlooker: &mut Onlooker) {
        let Some((_, member, _)) = self.consumer.membership().filter(|_| self.commit.is_none()) else { return };
        let mut commits = Vec::new();
        for (number, place) in &self.held {
            if let Some(offset) = place.next.filter(|next| place.committed != Some(*next)) {
                self.commits += 1;
                let (generation, serial) = (self.generation, self.commits);
                let member = member.clone();
                commits.push(Commit { generation, member, life: self.life, serial, partition: *number, offset });
            }
        }
        if commits.is_empty() {
            return;
        }
        let offsets = commits.iter().map(|commit| {
            let metadata = Str::from(commit.tag());
            let offset = CommitOffset { offset: commit.offset, leader_epoch: None, metadata };
            (TopicPartition::new(TOPIC, commit.partition), offset)
        });
        let id = self.consumer.commit(offsets.collect(), now);
        commits.iter().for_each(|commit| onlooker.commits.asked(commit));
        self.commit = Some((id, commits));
    }

    fn begin_again(&mut self, role: Role, random: &mut Random) -> Verdict {
        let consumer = Self::machine(&role, self.brokers, &self.draw, random.next_u64());
        self.consumer = consumer.map_err(|error| error.to_string())?;
        self.role = role;
        self.life += 1;
        self.held.clear();
        (self.generation, self.commit) = (-1, None);
        Ok(())
    }

    /// Generation, and what it reads: where it is, and what it has committed. `None` if it waits for a name.
    pub(super) fn held(&self) -> Option<Held> {
        let place = |(number, place): (&i32, &Place)| (*number, (place.next, place.committed));
        (self.role != Role::Spare).then(|| (self.generation, self.held.iter().map(place).collect()))
    }
}

/// A generation, and partitions with the next offset and the one that is committed.
pub(crate) type Held = (i32, BTreeMap<i32, (Option<i64>, Option<i64>)>);
