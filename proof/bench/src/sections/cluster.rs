//! Three brokers that replicate: produce that all replicas acknowledge, latency at a fixed rate, fail-over, topics of many partitions,
//! memory.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kafka_proto::record::Codec;

use super::kafka::{BUSY, CASE_BYTES_MAX, Produce, RATE_MAX, wait_until_gone};
use super::latency::{PACED_COLUMNS, row};
use super::{Figures, Setting};
use crate::cluster::{BROKERS, Cluster};
use crate::load::{self, EndToEnd, Load, Measured, Paced, Template, end_to_end, paced};
use crate::machine;
use crate::requests::kafka::{Client, PRODUCE_ERROR_AT, batch, produce, topic};
use crate::servers::{self, BrokerAt, Kind, Server};
use crate::table::{self, Rows};
use crate::usage::{open_files, resident_bytes};

const PARTITIONS: usize = 6;
/// Connections x window.
const SHAPES: [(usize, usize); 3] = [(16, 5), (1, 5), (1, 1)];
/// Records x bytes.
const SIZES: [(usize, usize); 3] = [(100, 100), (10, 1000), (1, 100)];
const PACED_PER_SECOND: u32 = 2000;
const PACED_RECORDS: usize = 10;
const PACED_CONNECTIONS: usize = 16;
const END_TO_END_PER_SECOND: u32 = 500;
/// Percentiles of the tail need many; a paced case runs at least so long.
const PACED_SPAN_MIN: Duration = Duration::from_secs(4);
const FAIL_OVERS: usize = 3;
/// Of the topics of many partitions.
const MANY: [usize; 3] = [1_000, 10_000, 50_000];
/// The original maps two files a partition, of which Linux by default allows 65,530.
const MANY_OF_THE_ORIGINAL: usize = 2;
/// One broker with many topics.
const TOPICS: usize = 50;
const PARTITIONS_A_TOPIC: i32 = 1_000;
const DESCRIPTORS_MAX: u32 = 20_000;

/// Runs everything that is wanted against a cluster of each kind.
pub(crate) fn run(setting: &Setting) -> Result<String> {
    let mut report = Report::default();
    setting.for_each_kind("cluster", |kind, folder| {
        if kind == Kind::Bare {
            return Ok(());
        }
        let mut part = Part { setting, kind, folder, clusters: 0, topics: 0 };
        part.throughput(&mut report)?;
        part.fail_over(&mut report)?;
        let sizes = match kind {
            _ if setting.options.quick => 1,
            Kind::Jvm => MANY_OF_THE_ORIGINAL,
            _ => MANY.len(),
        };
        for partitions in MANY.into_iter().take(sizes) {
            match part.many(partitions, &mut report) {
                // The original may not get so far; what it did is told.
                Err(error) if kind == Kind::Jvm => eprintln!("jvm      {partitions} partitions: {error:#}"),
                outcome => outcome?,
            }
        }
        if kind == Kind::Jackdaw && !setting.options.quick { part.one_broker(&mut report) } else { Ok(()) }
    })?;
    Ok(report.render())
}

/// What came of it.
#[derive(Default)]
struct Report {
    rows: Rows,
    paced: Vec<Vec<String>>,
    figures: Figures,
}

impl Report {
    fn render(mut self) -> String {
        let mut text = format!(
            "## Three brokers\n\nProduce: connections x window, records x bytes of a request; {PARTITIONS} partitions, {BROKERS} replicas of \
             each, acks all. One batch a request, to the partition's leader, no producer id. Rates are those of records; CPU is \
             that of all three brokers for each record (µs, or seconds for a million).\n\n{}\n",
            self.rows.render()
        );
        text.push_str(&format!(
            "At a fixed rate, acks all: {PACED_PER_SECOND} requests a second of {PACED_RECORDS} records of 100 bytes, \
             {PACED_CONNECTIONS} connections; and one producer of {END_TO_END_PER_SECOND} records a second to one consumer. Counted \
             from the time when a request was due.\n\n",
        ));
        text.push_str(&table::table(&PACED_COLUMNS));
        self.paced.sort_by(|left, right| left.first().cmp(&right.first()));
        self.paced.iter().for_each(|row| table::push(&mut text, row));
        text.push_str(&format!(
            "\nFail-over of a leader: from `kill -9` to the first record that is acknowledged with acks all; of the controller: from \
             `kill -9` until another broker is named, and until all partitions are known to be led by others. Without more \
             partitions, the median of {FAIL_OVERS}. A topic counts as created when each broker names a leader of each partition and \
             the last partition took a record. Start-up of three: until each names all and the controller; of one: until it names a \
             controller. Memory is a broker's, the mean of the three; memory for a partition is what it grew by with the topic, \
             one replica of each partition on each broker. The original is not asked for 50,000 partitions on a broker: it maps two \
             files for each, more than Linux by default lets a process map.\n\n",
        ));
        text.push_str(&self.figures.render());
        text
    }
}

/// Everything of one kind.
struct Part<'a> {
    setting: &'a Setting,
    kind: Kind,
    folder: PathBuf,
    clusters: u32,
    topics: usize,
}

impl<'a> Part<'a> {
    /// A cluster that runs; how long its start took. What the one before wrote is on the disk by then: ZooKeeper's syncs are not to
    /// wait behind it.
    fn started(&mut self) -> Result<(Cluster<'a>, Duration)> {
        rustix::fs::sync();
        self.clusters += 1;
        Cluster::start(self.kind, &self.setting.programs, &self.folder.join(self.clusters.to_string()))
    }

    /// A name that no topic had.
    fn topic(&mut self) -> String {
        self.topics += 1;
        topic(self.topics)
    }

    fn throughput(&mut self, report: &mut Report) -> Result<()> {
        const FOLLOWER: &str = "CPU of a follower for a million records of 100 bytes, 100 a request, s";
        let options = &self.setting.options;
        let cases = SIZES.into_iter().flat_map(|(records, record_bytes)| {
            let acks = -1;
            SHAPES.map(|(connections, window)| Produce { connections, window, records, record_bytes, acks, ..BUSY })
        });
        let cases: Vec<_> = cases.filter(|case| options.wants(&case.name())).collect();
        let paced = format!("produce of {PACED_RECORDS} records, {PACED_PER_SECOND}/s");
        let to_consumer = format!("producer to consumer, {END_TO_END_PER_SECOND}/s");
        if cases.is_empty() && ![FOLLOWER, &paced, &to_consumer].iter().any(|name| options.wants(name)) {
            return Ok(());
        }
        let (cluster, start_up) = self.started()?;
        report.figures.add("start-up of three without data, ms", self.kind, millis(start_up));
        report.figures.add("memory idle, MiB", self.kind, mebibytes(cluster.memory()?));
        let busy = Produce { acks: -1, ..BUSY };
        self.produce(&cluster, busy, Duration::ZERO, options.server_warm_up())?;
        for case in cases {
            let measured = self.produce(&cluster, case, options.warm_up(), options.span)?;
            report.rows.add(&case.name(), self.kind, measured.in_records(case.records));
        }
        if options.wants(FOLLOWER) {
            let measured = self.follow(&cluster, busy)?.in_records(busy.records);
            let followers = (BROKERS - 1) as f64;
            let seconds = measured.server_cpu.as_secs_f64() * 1e6 / measured.requests.max(1) as f64 / followers;
            report.figures.add(FOLLOWER, self.kind, seconds);
        }
        if options.wants(&paced) {
            report.paced.push(self.paced(&cluster, &paced)?);
        }
        if options.wants(&to_consumer) {
            report.paced.push(self.end_to_end(&cluster, &to_consumer)?);
        }
        report.figures.add("memory loaded, MiB", self.kind, mebibytes(cluster.memory()?));
        Ok(())
    }

    /// A case with a topic of its own, which is deleted behind it.
    fn produce(&mut self, cluster: &Cluster<'_>, case: Produce, warm_up: Duration, span: Duration) -> Result<Measured> {
        let topic = self.topic();
        let records = batch(case.records, case.record_bytes, case.codec)?;
        // Each broker writes all of it.
        let bytes_max = RATE_MAX * (BROKERS * records.len()) as f64 * (warm_up + span).as_secs_f64();
        machine::touch_memory(CASE_BYTES_MAX.min(bytes_max as usize));
        let leaders = cluster.create_topic(&topic, PARTITIONS)?;
        let mut connections = Vec::new();
        for (partition, leader) in leaders.iter().enumerate().cycle().take(case.connections) {
            let request = produce(&topic, partition as i32, case.acks, records.clone())?;
            connections.push((cluster.client(*leader)?.into_stream(), Template::fixed(request)));
        }
        let requests_max = (CASE_BYTES_MAX / BROKERS / records.len()) as u64;
        let (window, error_at, pids) = (case.window, PRODUCE_ERROR_AT, cluster.pids());
        let measured = load::run(Load { connections, window, error_at, warm_up, span, requests_max, pids })?;
        cluster.delete_topic(&topic)?;
        cluster.logs().iter().try_for_each(|logs| wait_until_gone(logs, &topic))?;
        Ok(measured)
    }

    /// One partition alone, and the CPU time of those that follow.
    fn follow(&mut self, cluster: &Cluster<'_>, case: Produce) -> Result<Measured> {
        let options = &self.setting.options;
        let topic = self.topic();
        let leader = *cluster.create_topic(&topic, 1)?.first().context("one leads")?;
        let request = produce(&topic, 0, -1, batch(case.records, case.record_bytes, case.codec)?)?;
        let mut connections = Vec::new();
        for _ in 0..case.connections {
            connections.push((cluster.client(leader)?.into_stream(), Template::fixed(request.clone())));
        }
        let mut pids = cluster.pids();
        pids.remove(leader);
        let requests_max = (CASE_BYTES_MAX / BROKERS / request.len()) as u64;
        let (window, error_at) = (case.window, PRODUCE_ERROR_AT);
        let (warm_up, span) = (options.warm_up(), options.span);
        load::run(Load { connections, window, error_at, warm_up, span, requests_max, pids })
    }

    fn paced(&mut self, cluster: &Cluster<'_>, case: &str) -> Result<Vec<String>> {
        let topic = self.topic();
        let leaders = cluster.create_topic(&topic, PARTITIONS)?;
        let records = batch(PACED_RECORDS, 100, Codec::None)?;
        let mut connections = Vec::new();
        for (partition, leader) in leaders.iter().enumerate().cycle().take(PACED_CONNECTIONS) {
            let request = produce(&topic, partition as i32, -1, records.clone())?;
            connections.push((cluster.client(*leader)?.into_stream(), request));
        }
        let (warm_up, span) = self.paced_spans();
        let (error_at, requests_per_second, pids) = (PRODUCE_ERROR_AT, PACED_PER_SECOND, cluster.pids());
        let (histogram, cpu) = paced(&Paced { connections, error_at, requests_per_second, warm_up, span, pids })?;
        let requests = (warm_up + span).as_secs_f64() * f64::from(requests_per_second);
        Ok(row(case, self.kind, &histogram, table::three_digits(cpu.as_secs_f64() * 1e6 / requests)))
    }

    fn end_to_end(&mut self, cluster: &Cluster<'_>, case: &str) -> Result<Vec<String>> {
        // Read from its first offset, which a topic's creation takes in its last partition.
        let topic = self.topic();
        let leader = *cluster.create_topic(&topic, 2)?.first().context("two lead")?;
        let mut consumer = cluster.client(leader)?;
        let (warm_up, span) = self.paced_spans();
        let histogram = end_to_end(EndToEnd {
            producer: cluster.client(leader)?.into_stream(),
            produce: produce(&topic, 0, -1, batch(1, 100, Codec::None)?)?,
            error_at: PRODUCE_ERROR_AT,
            fetch: |offset| consumer.fetch_behind(&topic, offset),
            requests_per_second: END_TO_END_PER_SECOND,
            warm_up,
            span,
        })?;
        Ok(row(case, self.kind, &histogram, table::dash()))
    }

    fn paced_spans(&self) -> (Duration, Duration) {
        (self.setting.options.warm_up(), self.setting.options.span.max(PACED_SPAN_MIN))
    }

    fn fail_over(&mut self, report: &mut Report) -> Result<()> {
        const LEADER: &str = "fail-over of a leader, ms";
        const NAMED: &str = "fail-over of the controller, ms";
        const LED: &str = "fail-over of the controller, until others lead, ms";
        let options = &self.setting.options;
        if ![LEADER, NAMED, LED].iter().any(|name| options.wants(name)) {
            return Ok(());
        }
        let (mut cluster, _) = self.started()?;
        let (mut leader, mut named, mut led) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..FAIL_OVERS {
            // New topics have leaders on all brokers.
            let topic = self.topic();
            cluster.create_topic(&topic, PARTITIONS)?;
            leader.push(cluster.lose_leader(&topic)?);
            cluster.await_in_sync(&topic, PARTITIONS)?;
            let (lost, times) = cluster.lose_controller(&topic, PARTITIONS)?;
            cluster.start_one(lost)?;
            named.push(times.named);
            led.push(times.led);
        }
        for (name, times) in [(LEADER, leader), (NAMED, named), (LED, led)] {
            report.figures.add(name, self.kind, median(times)?);
        }
        Ok(())
    }

    /// A topic of many partitions, and what it costs.
    fn many(&mut self, partitions: usize, report: &mut Report) -> Result<()> {
        let kind = self.kind;
        let suffix = format!("with {partitions} partitions");
        if !self.setting.options.wants(&suffix) {
            return Ok(());
        }
        let mut add =
            |what: &str, unit: &str, value| report.figures.add(&format!("{what} {suffix}, {unit}"), kind, value);
        let (mut cluster, _) = self.started()?;
        let idle = cluster.memory()?;
        let topic = self.topic();
        let start = Instant::now();
        cluster.create_topic(&topic, partitions)?;
        add("creation of a topic", "ms", millis(start.elapsed()));
        let grown = cluster.memory()?.saturating_sub(idle) as f64 / 1024.0;
        add("memory for a partition", "KiB", grown / partitions as f64);
        let other = (cluster.controller()? + 1) % BROKERS;
        add("controlled shutdown", "ms", millis(cluster.stop_one(other)?));
        add("start-up behind it", "ms", millis(cluster.start_one(other)?));
        cluster.await_in_sync(&topic, partitions)?;
        let (_, times) = cluster.lose_controller(&topic, partitions)?;
        add("fail-over of the controller", "ms", millis(times.named));
        add("fail-over of the controller, until others lead,", "ms", millis(times.led));
        Ok(())
    }
}

impl Part<'_> {
    /// One broker with 50 topics of 1,000 partitions and few descriptors, and its clean restart.
    fn one_broker(&self, report: &mut Report) -> Result<()> {
        let kind = self.kind;
        let suffix = format!("one broker with {TOPICS} topics of {PARTITIONS_A_TOPIC} partitions");
        if !self.setting.options.wants(&suffix) {
            return Ok(());
        }
        let mut add =
            |what: &str, unit: &str, value| report.figures.add(&format!("{suffix}: {what}, {unit}"), kind, value);
        let folder = self.folder.join("one");
        let zookeeper = servers::zookeeper(kind, &self.setting.programs, &folder.join("zookeeper"))?;
        let start = || {
            let (port, zookeeper_port) = (servers::free_port()?, zookeeper.port);
            let at = BrokerAt { id: 0, port, zookeeper_port, descriptors_max: Some(DESCRIPTORS_MAX) };
            servers::broker_with(kind, &self.setting.programs, &folder.join("kafka"), at)?.wait()
        };
        let broker = start()?;
        let begin = Instant::now();
        for number in 0..TOPICS {
            Client::connect(broker.port)?.create_topic(&topic(number), PARTITIONS_A_TOPIC)?;
        }
        add("creation of all", "ms", millis(begin.elapsed()));
        fill(&broker)?;
        add("memory with a record in each", "MiB", mebibytes(resident_bytes(broker.pid())?));
        add("open files", "count", open_files(broker.pid())? as f64);
        let begin = Instant::now();
        broker.stop()?;
        add("clean stop", "ms", millis(begin.elapsed()));
        let broker = start()?;
        add("start-up behind it", "ms", millis(broker.start_up));
        fill(&broker)?;
        add("memory behind it, with another record in each", "MiB", mebibytes(resident_bytes(broker.pid())?));
        Ok(())
    }
}

/// A record for each partition of the many topics.
fn fill(broker: &Server) -> Result<()> {
    let mut client = Client::connect(broker.port)?;
    let record = batch(1, 100, Codec::None)?;
    for name in (0..TOPICS).map(topic) {
        for partition in 0..PARTITIONS_A_TOPIC {
            client.produce_once(&produce(&name, partition, -1, record.clone())?)?;
        }
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Result<f64> {
    eprintln!("fail-overs: {times:?}");
    times.sort_unstable();
    Ok(millis(*times.get(times.len() / 2).context("there is one")?))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
