//! Three Kafka brokers of one kind, each with a port and a folder of its own, and the ZooKeeper server that they need.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kafka_proto::messages::metadata::ResponsePartition;
use kafka_proto::record::Codec;

use crate::requests::kafka::{Client, batch, produce};
use crate::servers::{self, BrokerAt, Kind, Programs, Server};
use crate::usage::resident_bytes;

pub(crate) const BROKERS: usize = 3;

/// What has not come within this time does not come.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two attempts of a client.
const PAUSE: Duration = Duration::from_millis(1);
/// A look at a large topic is work for a broker: a pause for so many of its partitions.
const PARTITIONS_A_PAUSE: usize = 100;

/// The brokers; all are ended with it.
pub(crate) struct Cluster<'a> {
    kind: Kind,
    programs: &'a Programs,
    // Dropped first: a broker without its ZooKeeper would complain.
    members: Vec<Member>,
    zookeeper: Server,
}

/// A broker, whose id is its place in the list.
struct Member {
    folder: PathBuf,
    port: u16,
    server: Option<Server>,
}

/// From the end of the controller.
pub(crate) struct ControllerFailOver {
    /// Until another broker is known as the controller.
    pub(crate) named: Duration,
    /// Until each partition of a topic is known to have a leader among the others.
    pub(crate) led: Duration,
}

impl<'a> Cluster<'a> {
    /// Starts ZooKeeper and then three brokers at once, with their data in `folder`; how long it took until each knew all.
    pub(crate) fn start(kind: Kind, programs: &'a Programs, folder: &Path) -> Result<(Self, Duration)> {
        let zookeeper = servers::zookeeper(kind, programs, &folder.join("zookeeper"))?;
        let mut members = Vec::new();
        for id in 0..BROKERS {
            members.push(Member { folder: folder.join(id.to_string()), port: servers::free_port()?, server: None });
        }
        let mut cluster = Self { kind, programs, members, zookeeper };
        let start = Instant::now();
        let starting = (0..BROKERS).map(|id| cluster.starting(id)).collect::<Result<Vec<_>>>()?;
        for (member, starting) in cluster.members.iter_mut().zip(starting) {
            member.server = Some(starting.wait()?);
        }
        cluster.await_all()?;
        Ok((cluster, start.elapsed()))
    }

    fn starting(&self, id: usize) -> Result<servers::Starting> {
        let Member { folder, port, .. } = self.members.get(id).context("there are three")?;
        let zookeeper_port = self.zookeeper.port;
        let at = BrokerAt { id: i32::try_from(id)?, port: *port, zookeeper_port, descriptors_max: None };
        servers::broker_with(self.kind, self.programs, folder, at)
    }

    /// Starts one again; how long it took until it named a controller. Returns when all brokers know it.
    pub(crate) fn start_one(&mut self, id: usize) -> Result<Duration> {
        let server = self.starting(id)?.wait()?;
        let start_up = server.start_up;
        self.member(id)?.server = Some(server);
        self.await_all()?;
        Ok(start_up)
    }

    /// Stops one in good order, its leaders handed over; how long it took.
    pub(crate) fn stop_one(&mut self, id: usize) -> Result<Duration> {
        let server = self.member(id)?.server.take().context("it does not run")?;
        let start = Instant::now();
        server.stop()?;
        Ok(start.elapsed())
    }

    /// Waits until each broker knows all of them, and the same controller.
    fn await_all(&self) -> Result<()> {
        await_that("brokers that know each other", PAUSE, || {
            let known = self.running().iter().map(|id| self.client(*id)?.brokers()).collect::<Result<Vec<_>>>()?;
            let first = known.first().copied();
            Ok(known.iter().all(|(controller, count)| {
                *controller >= 0 && *count == BROKERS && Some(*controller) == first.map(|(first, _)| first)
            }))
        })
    }

    /// Which broker is the controller.
    pub(crate) fn controller(&self) -> Result<usize> {
        self.await_all()?;
        let (controller, _) = self.client(0)?.brokers()?;
        Ok(usize::try_from(controller)?)
    }

    /// A connection to one of the brokers.
    pub(crate) fn client(&self, id: usize) -> Result<Client> {
        Client::connect(self.members.get(id).context("there are three")?.port)
    }

    /// Creates a topic with three replicas of each partition. Returns, with the leaders, when all brokers know one of each partition, and
    /// the last partition takes a record.
    pub(crate) fn create_topic(&self, name: &str, partitions: usize) -> Result<Vec<usize>> {
        let controller = self.controller()?;
        self.client(controller)?.begin_topic(name, i32::try_from(partitions)?, BROKERS as i16)?;
        let mut leaders = Vec::new();
        for id in self.running() {
            let mut client = self.client(id)?;
            await_that("a topic with leaders", pause(partitions), || {
                let known = client.partitions(name)?;
                leaders = known.iter().filter_map(|partition| usize::try_from(partition.leader_id).ok()).collect();
                Ok(leaders.len() == partitions)
            })?;
        }
        let mut client = self.client(*leaders.last().context("a topic has partitions")?)?;
        let record = produce(name, i32::try_from(partitions - 1)?, -1, batch(1, 100, Codec::None)?)?;
        await_that("a record in a new topic", PAUSE, || Ok(client.produce_once(&record).is_ok()))?;
        Ok(leaders)
    }

    /// Deletes a topic.
    pub(crate) fn delete_topic(&self, name: &str) -> Result<()> {
        self.client(self.controller()?)?.delete_topic(name)
    }

    /// Waits until all replicas of a topic are in sync.
    pub(crate) fn await_in_sync(&self, topic: &str, partitions: usize) -> Result<()> {
        let mut client = self.client(self.controller()?)?;
        await_that("replicas in sync", pause(partitions), || {
            let known = client.partitions(topic)?;
            Ok(known.len() == partitions && known.iter().all(|partition| partition.isr_nodes.len() == BROKERS))
        })
    }

    /// The log directories.
    pub(crate) fn logs(&self) -> Vec<PathBuf> {
        self.members.iter().map(|member| servers::logs(&member.folder)).collect()
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.members.iter().filter_map(|member| member.server.as_ref().map(Server::pid)).collect()
    }

    /// Resident memory of a broker in bytes, the mean of all.
    pub(crate) fn memory(&self) -> Result<u64> {
        let pids = self.pids();
        let all: u64 = pids.iter().map(|pid| resident_bytes(*pid)).sum::<Result<u64>>()?;
        Ok(all / pids.len().max(1) as u64)
    }

    /// Kills a leader of a topic's partition that is not the controller: how long it takes until another broker acknowledges a
    /// record for all. The killed one is started again behind that.
    pub(crate) fn lose_leader(&mut self, topic: &str) -> Result<Duration> {
        let controller = self.controller()?;
        let known = self.client(controller)?.partitions(topic)?;
        let is_elsewhere = |partition: &&ResponsePartition| usize::try_from(partition.leader_id) != Ok(controller);
        let partition = known.iter().find(is_elsewhere).context("the controller leads all")?;
        let leader = usize::try_from(partition.leader_id)?;
        let record = produce(topic, partition.partition_index, -1, batch(1, 100, Codec::None)?)?;
        self.client(leader)?.produce_once(&record)?;
        let first = self.kill(leader, |others, start| {
            await_that("an acknowledged record", PAUSE, || {
                Ok(others.iter_mut().any(|client| client.produce_once(&record).is_ok()))
            })?;
            Ok(start.elapsed())
        })?;
        self.start_one(leader)?;
        Ok(first)
    }

    /// Kills the controller, which stays away, and looks at the others.
    pub(crate) fn lose_controller(&mut self, topic: &str, partitions: usize) -> Result<(usize, ControllerFailOver)> {
        let controller = self.controller()?;
        let times = self.kill(controller, |others, start| {
            let is_other = |id: i32| usize::try_from(id).is_ok_and(|id| id != controller);
            await_that("another controller", PAUSE, || {
                let named = others.iter_mut().map(|client| client.brokers()).collect::<Result<Vec<_>>>()?;
                Ok(named.iter().any(|(named, _)| is_other(*named)))
            })?;
            let named = start.elapsed();
            for client in others {
                await_that("other leaders", pause(partitions), || {
                    let known = client.partitions(topic)?;
                    let led = known.iter().filter(|partition| is_other(partition.leader_id));
                    Ok(led.count() == partitions)
                })?;
            }
            Ok(ControllerFailOver { named, led: start.elapsed() })
        })?;
        Ok((controller, times))
    }

    /// Kills one, and lets clients of the others wait for what comes of it.
    fn kill<T>(&mut self, id: usize, wait: impl FnOnce(&mut [Client], Instant) -> Result<T>) -> Result<T> {
        let mut killed = self.member(id)?.server.take().context("it does not run")?;
        let mut others = self.running().into_iter().map(|id| self.client(id)).collect::<Result<Vec<_>>>()?;
        let start = Instant::now();
        killed.begin_to_die()?;
        let outcome = wait(&mut others, start)?;
        killed.kill()?;
        Ok(outcome)
    }

    fn running(&self) -> Vec<usize> {
        let members = self.members.iter().enumerate();
        members.filter(|(_, member)| member.server.is_some()).map(|(id, _)| id).collect()
    }

    fn member(&mut self, id: usize) -> Result<&mut Member> {
        self.members.get_mut(id).context("there are three")
    }
}

fn pause(partitions: usize) -> Duration {
    PAUSE * u32::try_from(partitions / PARTITIONS_A_PAUSE + 1).expect("topics are small")
}

fn await_that(what: &str, pause: Duration, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !is_so()? {
        ensure!(start.elapsed() < PATIENCE, "no {what} within {PATIENCE:?}");
        thread::sleep(pause);
    }
    Ok(())
}
