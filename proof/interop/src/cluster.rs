//! Brokers of either kind on one ensemble of ZooKeeper, each with an address of its own: of loopback, or of a network namespace.
//!
//! A broker is ended by its process id and started again, as the same kind or the other, on the same log directories. What holds is
//! read from the znodes and from the brokers' own answers; what they log is told when something is waited for in vain.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base::Str;
use kafka_proto::messages::{create_topics, elect_leaders, metadata};
use kafka_proto::{ErrorCode, Request};
use serde_json::Value;

use crate::addresses::addresses;
use crate::daemon::{self, Daemon, Kind, WAIT_MAX};
use crate::disks::{FullDisk, SlowSyncs, SmallDisk};
use crate::ensemble::Ensemble;
use crate::folder::TestFolder;
use crate::network::Network;
use crate::originals::java;
use crate::requests::Requests;
use crate::server::binary;
use crate::traffic::replicas_are_equal;
use crate::znodes::Znodes;

const PORT: u16 = 9092;
/// Longer than a group takes that has lost a member and its coordinator, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(90);
/// Each broker's, for replicas to be spread over them and one to fail.
const LOG_DIRS: [&str; 2] = ["a", "b"];

/// What all brokers of a cluster are told. Brokers are missed soon and the cluster's own topics are small, but whole; memory is
/// for three brokers and more on one machine.
const SETTINGS: &str = "\
    num.network.threads=2\nnum.io.threads=3\nbackground.threads=2\nlog.cleaner.dedupe.buffer.size=4000000\n\
    zookeeper.session.timeout.ms=4000\nreplica.lag.time.max.ms=4000\nreplica.socket.timeout.ms=4000\n\
    controller.socket.timeout.ms=4000\ncontrolled.shutdown.retry.backoff.ms=500\nauto.leader.rebalance.enable=false\n\
    auto.create.topics.enable=false\nlog.segment.bytes=100000\nlog.index.interval.bytes=1000\n\
    offsets.topic.num.partitions=5\noffsets.topic.segment.bytes=1000000\ntransaction.state.log.num.partitions=3\n\
    group.initial.rebalance.delay.ms=0\n";

const LOG4J: &str = "log4j.rootLogger=INFO, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n\
    log4j.appender.out.layout=org.apache.log4j.PatternLayout\nlog4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n\n";

/// Brokers, numbered from 1, and their ZooKeeper. All are ended with it.
pub struct Cluster {
    brokers: Vec<Broker>,
    disks: Vec<SmallDisk>,
    ensemble: Ensemble,
    network: Option<Arc<Network>>,
    folder: TestFolder,
}

struct Broker {
    id: usize,
    address: String,
    folder: PathBuf,
    /// Its number in the network.
    link: usize,
    daemon: Daemon,
}

impl Cluster {
    /// Starts ZooKeeper, a server of each of these kinds, and lays out so many brokers with empty log directories; `lines` are more
    /// of `server.properties`. No broker is started.
    pub fn new(brokers: usize, zookeeper: &[Kind], lines: &str) -> Result<Self> {
        Self::laid_out(&addresses(brokers)?, Ensemble::new(zookeeper.len(), "")?, zookeeper, lines)
    }

    /// The same with members whose links can be cut, and disks of so many bytes: of each server's data, of each log directory.
    pub fn with_faults(brokers: usize, zookeeper: &[Kind], lines: &str, disk_bytes: u64) -> Result<Self> {
        let servers = zookeeper.len();
        let network = Arc::new(Network::new(servers + brokers)?);
        let ensemble = Ensemble::within(Arc::clone(&network), servers, "", disk_bytes)?;
        let addresses: Vec<_> = (servers + 1..=servers + brokers).map(|link| network.address(link)).collect();
        let mut cluster = Self::laid_out(&addresses, ensemble, zookeeper, lines)?;
        for broker in &cluster.brokers {
            for dir in LOG_DIRS {
                let folder = broker.folder.join("logs").join(dir);
                fs::create_dir(&folder)?;
                cluster.disks.push(SmallDisk::mount(&folder, disk_bytes)?);
            }
        }
        cluster.network = Some(network);
        Ok(cluster)
    }

    fn laid_out(addresses: &[String], mut ensemble: Ensemble, kinds: &[Kind], lines: &str) -> Result<Self> {
        let folder = TestFolder::new()?;
        fs::write(folder.path().join("log4j.properties"), LOG4J)?;
        for (id, kind) in (1..).zip(kinds) {
            ensemble.start(id, *kind)?;
        }
        let factor = addresses.len().min(3);
        let mut brokers = Vec::new();
        for (id, address) in (1..).zip(addresses) {
            let folder = folder.path().join(id.to_string());
            fs::create_dir_all(folder.join("logs"))?;
            let dirs = LOG_DIRS.map(|dir| folder.join("logs").join(dir).display().to_string()).join(",");
            let properties = format!(
                "broker.id={id}\nlisteners=PLAINTEXT://{address}:{PORT}\nzookeeper.connect={}\nlog.dirs={dirs}\n{SETTINGS}\
                 default.replication.factor={factor}\noffsets.topic.replication.factor={factor}\n\
                 transaction.state.log.replication.factor={factor}\n{lines}",
                ensemble.hosts()
            );
            fs::write(folder.join("server.properties"), properties)?;
            let daemon = Daemon::new(format!("broker {id}"), folder.join("server.log"));
            brokers.push(Broker { id, address: address.clone(), folder, link: kinds.len() + id, daemon });
        }
        let mut cluster = Self { brokers, disks: Vec::new(), ensemble, network: None, folder };
        cluster.ensemble.await_leader()?;
        Ok(cluster)
    }

    /// Its ZooKeeper.
    pub fn zookeeper(&mut self) -> &mut Ensemble {
        &mut self.ensemble
    }

    /// A session on that.
    pub fn znodes(&self) -> Result<Znodes> {
        Znodes::connect(&self.ensemble.hosts())
    }

    /// A path for a file of the test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds lines to one broker's `server.properties`; they win over what it says already.
    pub fn configure(&self, id: usize, lines: &str) -> Result<()> {
        let path = self.broker(id)?.folder.join("server.properties");
        let text = fs::read_to_string(&path)? + lines;
        Ok(fs::write(path, text)?)
    }

    /// Starts a broker as this kind. It takes a while until it serves: see [`Cluster::await_brokers`].
    ///
    /// An original that was not stopped can't register as long as its old session lives: that is waited for.
    pub fn start(&mut self, id: usize, kind: Kind) -> Result<()> {
        let mut command = match kind {
            Kind::Ours => {
                let mut command = Command::new(binary());
                command.arg("kafka-server-start");
                command
            }
            Kind::Theirs => {
                self.await_gone(id)?;
                let mut command = java()?;
                let log = self.path("log4j.properties");
                command.args(["-XX:TieredStopAtLevel=1", &format!("-Dlog4j.configuration=file:{}", log.display())]);
                command.arg("kafka.Kafka");
                command
            }
        };
        let broker = self.broker(id)?;
        command.arg(broker.folder.join("server.properties"));
        if let Some(network) = &self.network {
            command = network.within(broker.link, &command);
        }
        let broker = self.broker_mut(id)?;
        command.env_remove("LOG_DIR").current_dir(&broker.folder);
        broker.daemon.start(&mut command)
    }

    /// Starts all brokers, each as its kind, the first as the controller; returns when all serve.
    pub fn start_all(&mut self, kinds: &[Kind]) -> Result<()> {
        ensure!(kinds.len() == self.brokers.len(), "a kind for each broker");
        for (id, kind) in (1..).zip(kinds) {
            self.start(id, *kind)?;
            if id == 1 {
                self.await_brokers()?;
            }
        }
        self.await_brokers()
    }

    /// Ends a broker as `kill -9` does.
    pub fn kill(&mut self, id: usize) -> Result<()> {
        self.broker_mut(id)?.daemon.kill()
    }

    /// Ends a broker by SIGTERM and waits for its end: it hands over what it leads.
    pub fn stop(&mut self, id: usize) -> Result<()> {
        self.broker_mut(id)?.daemon.stop()
    }

    /// SIGSTOP: the broker does nothing more, until it goes on or is killed; its connections stay.
    pub fn freeze(&self, id: usize) -> Result<()> {
        self.broker(id)?.daemon.freeze()
    }

    /// SIGCONT.
    pub fn go_on(&self, id: usize) -> Result<()> {
        self.broker(id)?.daemon.go_on()
    }

    /// Pulls the cable of a broker.
    pub fn cut(&self, id: usize) -> Result<()> {
        let broker = self.broker(id)?;
        broker.daemon.set_silent(true);
        self.network()?.cut(broker.link)
    }

    /// Puts it in again.
    pub fn heal(&self, id: usize) -> Result<()> {
        let broker = self.broker(id)?;
        broker.daemon.set_silent(false);
        self.network()?.heal(broker.link)
    }

    /// Nothing passes between two brokers any more; all others reach both.
    pub fn part(&self, one: usize, other: usize) -> Result<()> {
        self.network()?.part(self.broker(one)?.link, self.broker(other)?.link)
    }

    /// They reach each other again.
    pub fn join(&self, one: usize, other: usize) -> Result<()> {
        self.network()?.join(self.broker(one)?.link, self.broker(other)?.link)
    }

    fn network(&self) -> Result<&Network> {
        self.network.as_deref().context("its links can't be cut")
    }

    /// Leaves no byte free on the disk of one of a broker's log directories, until the guard is dropped.
    pub fn fill_log_dir(&self, id: usize, index: usize) -> Result<FullDisk> {
        FullDisk::fill(&self.log_dir(id, index)?)
    }

    /// Takes the disk of one of a broker's log directories away: what is open there stays so, and nothing else is found.
    pub fn pull_disk(&mut self, id: usize, index: usize) -> Result<()> {
        let folder = self.log_dir(id, index)?;
        let place = self.disks.iter().position(|disk| disk.is_at(&folder)).context("it has no disk")?;
        drop(self.disks.swap_remove(place));
        Ok(())
    }

    /// Puts an empty disk in its place.
    pub fn replace_disk(&mut self, id: usize, index: usize, disk_bytes: u64) -> Result<()> {
        self.disks.push(SmallDisk::mount(&self.log_dir(id, index)?, disk_bytes)?);
        Ok(())
    }

    /// Each sync of a broker takes so much longer, until the guard is dropped.
    pub fn slow_syncs(&self, id: usize, delay: Duration) -> Result<SlowSyncs> {
        SlowSyncs::of(self.broker(id)?.daemon.process()?, delay)
    }

    /// The log directories of a broker.
    pub fn log_dirs(&self, id: usize) -> Result<[PathBuf; 2]> {
        let folder = &self.broker(id)?.folder;
        Ok(LOG_DIRS.map(|dir| folder.join("logs").join(dir)))
    }

    fn log_dir(&self, id: usize, index: usize) -> Result<PathBuf> {
        Ok(self.log_dirs(id)?.get(index).context("no such directory")?.clone())
    }

    /// `address:port` of a broker.
    pub fn server(&self, id: usize) -> Result<String> {
        Ok(format!("{}:{PORT}", self.broker(id)?.address))
    }

    /// Those of all brokers, between commas, whether they run or not.
    pub fn servers(&self) -> String {
        self.brokers.iter().map(|broker| format!("{}:{PORT}", broker.address)).collect::<Vec<_>>().join(",")
    }

    /// The brokers that run and can be asked.
    pub fn answering(&self) -> Vec<usize> {
        self.brokers.iter().filter(|broker| broker.daemon.answers()).map(|broker| broker.id).collect()
    }

    /// One question to a broker.
    pub fn ask<R: Request>(&self, id: usize, request: &R, version: i16) -> Result<R::Response> {
        let connected = Requests::connect(self.server(id)?, PATIENCE);
        connected?.ask(request, version).map_err(|error| anyhow::anyhow!("broker {id}: {error}"))
    }

    /// What a broker tells of a topic, or of itself and the others alone.
    pub fn metadata(&self, id: usize, topic: Option<&str>) -> Result<metadata::Response> {
        let topics = topic.map(|name| metadata::RequestTopic { name: Str::from(name) });
        let request = metadata::Request { topics: Some(topics.into_iter().collect()), ..Default::default() };
        self.ask(id, &request, 9)
    }

    /// Makes a topic; of each partition the brokers that hold it, the leader first. Returns when all its replicas are in sync.
    pub fn create(&mut self, topic: &str, partitions: &[&[usize]]) -> Result<()> {
        let assignment = |(index, ids): (usize, &&[usize])| create_topics::Assignment {
            partition_index: index as i32,
            broker_ids: ids.iter().map(|id| *id as i32).collect(),
        };
        let made = create_topics::RequestTopic {
            name: Str::from(topic),
            num_partitions: -1,
            replication_factor: -1,
            assignments: partitions.iter().enumerate().map(assignment).collect(),
            configs: Vec::new(),
        };
        let request = create_topics::Request { topics: vec![made], timeout_ms: 15_000, validate_only: false };
        let controller = self.await_controller()?;
        let answer = self.ask(controller, &request, 6)?;
        let outcome = answer.topics.first().context("no outcome")?;
        ensure!(outcome.error_code == ErrorCode::NONE, "{outcome:?}\n{}", self.log_ends());
        self.await_in_sync(topic)
    }

    /// Has each partition of a topic led by the first of its brokers again, and waits for it.
    pub fn elect_preferred(&mut self, topic: &str) -> Result<()> {
        let assignment = self.assignment(topic)?;
        let partitions = elect_leaders::RequestTopic {
            topic: Str::from(topic),
            partition_indexes: (0..assignment.len() as i32).collect(),
        };
        let request = elect_leaders::Request { election_type: 0, topics: Some(vec![partitions]), timeout_ms: 15_000 };
        let controller = self.await_controller()?;
        let answer = self.ask(controller, &request, 2)?;
        ensure!(answer.error_code == ErrorCode::NONE, "{answer:?}");
        for (partition, replicas) in assignment.iter().enumerate() {
            let preferred = replicas.first().context("no replica")?;
            self.await_leader(topic, partition, *preferred)?;
        }
        self.await_in_sync(topic)
    }

    /// Waits until all brokers that can be asked are registered, nobody else is, and each of them knows them all and the controller.
    pub fn await_brokers(&mut self) -> Result<()> {
        let ids = self.answering();
        self.wait("all brokers to know each other", |cluster| {
            let names: Vec<_> = ids.iter().map(ToString::to_string).collect();
            if cluster.znodes()?.children("/brokers/ids")? != names {
                return Ok(false);
            }
            Ok(ids.iter().all(|id| cluster.knows(*id, &ids)))
        })
    }

    fn knows(&self, id: usize, ids: &[usize]) -> bool {
        let Ok(told) = self.metadata(id, None) else { return false };
        let mut known: Vec<_> = told.brokers.iter().map(|broker| broker.node_id as usize).collect();
        known.sort_unstable();
        known == ids && ids.contains(&(told.controller_id as usize))
    }

    /// Waits until a broker is registered no more.
    pub fn await_gone(&mut self, id: usize) -> Result<()> {
        self.wait(&format!("the end of broker {id}'s session"), |cluster| {
            Ok(!cluster.znodes()?.children("/brokers/ids")?.contains(&id.to_string()))
        })
    }

    /// Waits until there is a controller; its id.
    pub fn await_controller(&mut self) -> Result<usize> {
        self.wait("a controller", |cluster| Ok(cluster.controller()?.is_some()))?;
        self.controller()?.context("the controller is gone")
    }

    /// The controller's id, if there is one.
    pub fn controller(&self) -> Result<Option<usize>> {
        let node = self.znodes()?.json("/controller")?;
        Ok(node.and_then(|node| node.get("brokerid")?.as_u64()).map(|id| id as usize))
    }

    /// The leader's id of a partition, if it has one.
    pub fn leader(&self, topic: &str, partition: usize) -> Result<Option<usize>> {
        Ok(leader(&self.state(topic, partition)?))
    }

    /// What all brokers have in their `meta.properties`.
    pub fn cluster_id(&self) -> Result<String> {
        let node = self.znodes()?.json("/cluster/id")?.context("no cluster has begun")?;
        Ok(node.get("id").and_then(Value::as_str).context("no id")?.to_owned())
    }

    /// Waits until the segments of all replicas of all partitions hold the same bytes.
    pub fn replicas_are_equal(&mut self) -> Result<()> {
        replicas_are_equal(self)
    }

    /// The state node of a partition: leader, its epoch, ISR; null before there is one.
    pub fn state(&self, topic: &str, partition: usize) -> Result<Value> {
        state(&mut self.znodes()?, topic, partition)
    }

    /// The brokers that hold each partition of a topic.
    pub fn assignment(&self, topic: &str) -> Result<Vec<Vec<usize>>> {
        let node = self.znodes()?.json(&format!("/brokers/topics/{topic}"))?;
        let node = node.with_context(|| format!("there is no topic {topic}"))?;
        let partitions = node.get("partitions").and_then(Value::as_object).context("no partitions")?;
        (0..partitions.len()).map(|index| ids(partitions.get(&index.to_string()))).collect()
    }

    /// All topics.
    pub fn topics(&self) -> Result<Vec<String>> {
        self.znodes()?.children("/brokers/topics")
    }

    /// Waits until all replicas of a topic are in sync, and all brokers that can be asked know who leads.
    pub fn await_in_sync(&mut self, topic: &str) -> Result<()> {
        self.wait(&format!("the replicas of {topic} to be in sync"), |cluster| {
            let mut znodes = cluster.znodes()?;
            let mut leaders = Vec::new();
            for (partition, mut replicas) in cluster.assignment(topic)?.into_iter().enumerate() {
                let state = state(&mut znodes, topic, partition)?;
                let mut in_sync = ids(state.get("isr"))?;
                replicas.sort_unstable();
                in_sync.sort_unstable();
                if in_sync != replicas {
                    return Ok(false);
                }
                leaders.push(leader(&state));
            }
            Ok(cluster.answering().iter().all(|id| cluster.knows_leaders(*id, topic, &leaders)))
        })
    }

    fn knows_leaders(&self, id: usize, topic: &str, leaders: &[Option<usize>]) -> bool {
        let Ok(told) = self.metadata(id, Some(topic)) else { return false };
        let Some(told) = told.topics.into_iter().next() else { return false };
        let mut known = vec![None; leaders.len()];
        for partition in told.partitions {
            if let Some(leader) = known.get_mut(partition.partition_index as usize) {
                *leader = usize::try_from(partition.leader_id).ok();
            }
        }
        known == leaders
    }

    /// Waits until all replicas of all topics are in sync.
    pub fn await_all_in_sync(&mut self) -> Result<()> {
        self.topics()?.iter().try_for_each(|topic| self.await_in_sync(topic))
    }

    /// Waits until a partition is led by a broker.
    pub fn await_leader(&mut self, topic: &str, partition: usize, id: usize) -> Result<()> {
        self.wait(&format!("broker {id} to lead {topic}-{partition}"), |cluster| {
            Ok(cluster.leader(topic, partition)? == Some(id))
        })
    }

    /// Waits until a broker has ended by itself; its exit code.
    pub fn await_end(&mut self, id: usize) -> Result<Option<i32>> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.broker_mut(id)?.daemon.ended()? {
                return Ok(status.code());
            }
            if start.elapsed() > WAIT_MAX {
                bail!("broker {id} did not end within {WAIT_MAX:?}\n{}", self.log_ends());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for a condition; a broker that ends meanwhile, or the time that passes, is an error with the logs' ends. A question
    /// that nobody answers is asked again.
    pub fn wait(&mut self, what: &str, mut holds: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let mut last = String::new();
        let asked = |cluster: &Self| {
            Ok(holds(cluster).unwrap_or_else(|error| {
                last = format!("{error:#}");
                false
            }))
        };
        let waited = daemon::wait(self, what, asked, Self::ended, Self::log_ends);
        waited.with_context(|| format!("the last question that failed: {last}"))
    }

    /// A broker that has ended by itself.
    fn ended(&mut self) -> Result<Option<String>> {
        for broker in &mut self.brokers {
            if let Some(status) = broker.daemon.ended()? {
                return Ok(Some(format!("broker {} ended with {status}", broker.id)));
            }
        }
        Ok(None)
    }

    /// What a broker has logged so far.
    pub fn log(&self, id: usize) -> Result<String> {
        self.broker(id)?.daemon.log()
    }

    /// The last lines of all logs, the znodes that tell who leads, and the last of ZooKeeper's logs.
    pub fn log_ends(&self) -> String {
        let mut text: String = self.brokers.iter().map(|broker| broker.daemon.end_of_log()).collect();
        text += &self.ensemble.log_ends();
        text += &self.states().unwrap_or_else(|error| format!("{error:#}\n"));
        text
    }

    fn states(&self) -> Result<String> {
        let mut znodes = self.znodes()?;
        let mut text = format!("--- brokers {:?}\n", znodes.children("/brokers/ids")?);
        for path in ["/controller", "/controller_epoch"] {
            text += &format!("{path} {:?}\n", znodes.get(path)?.map(|(data, _)| data));
        }
        for topic in znodes.children("/brokers/topics")? {
            for partition in znodes.children(&format!("/brokers/topics/{topic}/partitions"))? {
                let state = znodes.get(&format!("/brokers/topics/{topic}/partitions/{partition}/state"))?;
                text += &format!("{topic}-{partition} {:?}\n", state.map(|(data, _)| data));
            }
        }
        Ok(text)
    }

    fn broker(&self, id: usize) -> Result<&Broker> {
        self.brokers.iter().find(|broker| broker.id == id).with_context(|| format!("there is no broker {id}"))
    }

    fn broker_mut(&mut self, id: usize) -> Result<&mut Broker> {
        self.brokers.iter_mut().find(|broker| broker.id == id).with_context(|| format!("there is no broker {id}"))
    }
}

/// A state node; null if there is none.
fn state(znodes: &mut Znodes, topic: &str, partition: usize) -> Result<Value> {
    let path = format!("/brokers/topics/{topic}/partitions/{partition}/state");
    Ok(znodes.json(&path)?.unwrap_or_default())
}

fn leader(state: &Value) -> Option<usize> {
    state.get("leader").and_then(Value::as_u64).map(|id| id as usize)
}

/// A list of broker ids.
fn ids(list: Option<&Value>) -> Result<Vec<usize>> {
    let list = list.and_then(Value::as_array).context("no list of brokers")?;
    list.iter().map(|id| id.as_u64().map(|id| id as usize).context("no broker id")).collect()
}
