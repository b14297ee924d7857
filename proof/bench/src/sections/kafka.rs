//! The broker: produce by records, size, acks, connections and window; compressed; fetch from the page cache; memory.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kafka_proto::record::Codec;

use super::{Memory, Setting};
use crate::load::{self, Load, Measured, Template};
use crate::machine;
use crate::requests::kafka::{
    Client, FETCH_BYTES, FETCH_ERROR_AT, PRODUCE_ERROR_AT, batch, fetch_from_start, produce, topic,
};
use crate::servers::{self, Kind, Server};
use crate::table::Rows;
use crate::usage::resident_bytes;

/// A produce case.
#[derive(Clone, Copy)]
pub(super) struct Produce {
    pub(super) connections: usize,
    pub(super) window: usize,
    pub(super) records: usize,
    pub(super) record_bytes: usize,
    pub(super) acks: i16,
    pub(super) codec: Codec,
}

/// Most producers do it so: a busy broker.
pub(super) const BUSY: Produce =
    Produce { connections: 16, window: 5, records: 100, record_bytes: 100, acks: 1, codec: Codec::None };

const FETCH_CONNECTIONS: usize = 16;
/// For a fetch: enough in each partition.
const FETCHED_BATCHES: usize = 24;
const FETCHED_RECORDS: usize = 60;
/// A case ends when it has sent so much: what is written stays below the share of memory from which on Linux holds writers up.
pub(super) const CASE_BYTES_MAX: usize = 2 << 30;
/// More requests a second than any server answers.
pub(super) const RATE_MAX: f64 = 600_000.0;
/// How long a deleted topic's files may take to go.
const DELETION_MAX: Duration = Duration::from_secs(60);

/// Runs the cases against each broker in turn.
pub(crate) fn run(setting: &Setting) -> Result<String> {
    let (mut rows, mut memory) = (Rows::default(), Memory::default());
    setting.for_each_kind("kafka", |kind, folder| {
        let broker = servers::broker(kind, &setting.programs, &folder)?;
        let mut cases = Cases { server: &broker.server, kind, logs: servers::broker_logs(&folder), topics: 0 };
        if kind != Kind::Bare {
            memory.add("idle", kind, resident_bytes(cases.server.pid())?);
        }
        cases.produce(BUSY, Duration::ZERO, setting.options.server_warm_up())?;
        let (warm_up, span) = (setting.options.warm_up(), setting.options.span);
        for case in chosen(setting.options.quick).into_iter().filter(|case| setting.options.wants(&case.name())) {
            rows.add(&case.name(), kind, cases.produce(case, warm_up, span)?);
        }
        let name = format!("fetch of 1 MiB, {FETCH_CONNECTIONS} x 1");
        if setting.options.wants(&name) {
            rows.add(&name, kind, cases.fetch(warm_up, span)?);
        }
        if kind != Kind::Bare {
            memory.add("loaded", kind, resident_bytes(cases.server.pid())?);
        }
        Ok(())
    })?;
    Ok(format!(
        "## Broker\n\nProduce: connections x window, records x bytes of a request. One batch a request, a partition for \
         each connection, no producer id.\n\n{}\n{}",
        rows.render(),
        memory.render()
    ))
}

fn chosen(quick: bool) -> Vec<Produce> {
    let compressed = [Codec::Lz4, Codec::Zstd].map(|codec| Produce { codec, ..BUSY });
    if quick {
        let mut cases = vec![
            BUSY,
            Produce { acks: -1, ..BUSY },
            Produce { records: 1, ..BUSY },
            Produce { records: 10, ..BUSY },
            Produce { record_bytes: 1000, ..BUSY },
            Produce { connections: 1, ..BUSY },
            Produce { connections: 1, window: 1, records: 1, ..BUSY },
        ];
        cases.extend(compressed);
        return cases;
    }
    let mut cases = Vec::new();
    for records in [1, 10, 100] {
        for record_bytes in [100, 1000] {
            for acks in [1, -1] {
                for (connections, window) in [(1, 1), (1, 5), (16, 1), (16, 5)] {
                    cases.push(Produce { connections, window, records, record_bytes, acks, codec: Codec::None });
                }
            }
        }
    }
    cases.extend(compressed);
    cases
}

impl Produce {
    pub(super) fn name(self) -> String {
        let Self { connections, window, records, record_bytes, .. } = self;
        let acks = if self.acks < 0 { ", acks all" } else { "" };
        let codec = match self.codec {
            Codec::None => "",
            Codec::Lz4 => ", lz4",
            Codec::Zstd => ", zstd",
            Codec::Gzip => ", gzip",
            Codec::Snappy => ", snappy",
        };
        format!("produce {connections} x {window}, {records} x {record_bytes}{acks}{codec}")
    }
}

struct Cases<'a> {
    server: &'a Server,
    kind: Kind,
    /// Where the broker keeps its logs.
    logs: PathBuf,
    topics: usize,
}

impl Cases<'_> {
    /// Each case has a topic of its own, which is deleted behind it.
    fn with_topic<T>(&mut self, partitions: usize, run: impl FnOnce(&Self, &str) -> Result<T>) -> Result<T> {
        let name = topic(self.topics);
        self.topics += 1;
        if self.kind == Kind::Bare {
            return run(self, &name);
        }
        let mut client = Client::connect(self.server.port)?;
        client.create_topic(&name, i32::try_from(partitions)?)?;
        let result = run(self, &name)?;
        client.delete_topic(&name)?;
        wait_until_gone(&self.logs, &name)?;
        Ok(result)
    }

    fn produce(&mut self, case: Produce, warm_up: Duration, span: Duration) -> Result<Measured> {
        let records = batch(case.records, case.record_bytes, case.codec)?;
        let bytes_max = RATE_MAX * records.len() as f64 * (warm_up + span).as_secs_f64();
        machine::touch_memory(CASE_BYTES_MAX.min(bytes_max as usize));
        self.with_topic(case.connections, |cases, topic| {
            let requests = (0..case.connections).map(|at| produce(topic, at as i32, case.acks, records.clone()));
            cases.run(
                requests,
                Load {
                    connections: Vec::new(),
                    window: case.window,
                    error_at: PRODUCE_ERROR_AT,
                    warm_up,
                    span,
                    requests_max: (CASE_BYTES_MAX / records.len()) as u64,
                    pids: vec![cases.server.pid()],
                },
            )
        })
    }

    fn fetch(&mut self, warm_up: Duration, span: Duration) -> Result<Measured> {
        let records = batch(FETCHED_RECORDS, 1000, Codec::None)?;
        assert!(FETCHED_BATCHES * records.len() > FETCH_BYTES, "a fetch finds enough");
        self.with_topic(FETCH_CONNECTIONS, |cases, topic| {
            if cases.kind != Kind::Bare {
                let mut client = Client::connect(cases.server.port)?;
                for partition in 0..FETCH_CONNECTIONS {
                    let request = produce(topic, partition as i32, 1, records.clone())?;
                    for _ in 0..FETCHED_BATCHES {
                        client.produce_once(&request)?;
                    }
                }
            }
            let requests = (0..FETCH_CONNECTIONS).map(|at| fetch_from_start(topic, at as i32));
            cases.run(
                requests,
                Load {
                    connections: Vec::new(),
                    window: 1,
                    error_at: FETCH_ERROR_AT,
                    warm_up,
                    span,
                    requests_max: u64::MAX,
                    pids: vec![cases.server.pid()],
                },
            )
        })
    }

    /// A connection for each request.
    fn run(&self, requests: impl Iterator<Item = Result<Vec<u8>>>, mut load: Load) -> Result<Measured> {
        for request in requests {
            let stream = Client::connect(self.server.port)?.into_stream();
            load.connections.push((stream, Template::fixed(request?)));
        }
        load::run(load)
    }
}

/// Waits until nothing of a deleted topic is on the disk, so that the next case does not pay for it.
pub(super) fn wait_until_gone(logs: &Path, topic: &str) -> Result<()> {
    let start = Instant::now();
    let mut prefix = topic.to_owned();
    prefix.push('-');
    while folders(logs)?.iter().any(|name| name.starts_with(&prefix)) {
        ensure!(start.elapsed() < DELETION_MAX, "the files of {topic} do not go");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn folders(parent: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(parent)?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}
