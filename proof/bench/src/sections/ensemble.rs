//! Three ZooKeeper servers that agree: throughput, latency at half of the original's rate, fail-over, a tree of a million znodes,
//! memory.
//!
//! The original comes first: its rates pace the latencies of both. The bare loop comes last, for its throughput alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::latency::{PACED_COLUMNS, row};
use super::{Figures, Setting};
use crate::ensemble::Ensemble;
use crate::load::{self, Load, Measured, Paced, paced};
use crate::requests::zookeeper::{DATA_BYTES, ERROR_AT, Operation, Session, long_name};
use crate::servers::{self, Kind};
use crate::table::{self, Rows};

/// What makes the tree grow comes last: snapshots are taken all the while, so that a tree that differs would count.
const OPERATIONS: [Operation; 3] = [Operation::Get, Operation::Mix, Operation::Create];
/// Sessions x window.
const SHAPES: [(usize, usize); 5] = [(1, 1), (16, 1), (128, 1), (128, 16), (1000, 1)];
const SESSIONS_MAX: usize = 1000;
/// Requests of each kind before the first case, by which a JVM compiles: as many of each server, so that all trees are the same.
const WARM_UP_REQUESTS: u64 = 150_000;
/// The case whose rate is halved.
const PACED_SHAPE: (usize, usize) = (128, 1);
/// Percentiles of the tail need many; a paced case runs at least so long.
const PACED_SPAN_MIN: Duration = Duration::from_secs(4);
/// Connections of a paced case; three in ten write, in a mix.
const PACED_CONNECTIONS: usize = 20;
const FAIL_OVERS: usize = 5;
/// With the tree each server that was killed loads it again.
const FAIL_OVERS_OF_TREE: usize = 3;
/// Znodes below one parent.
const BRANCH: u64 = 10_000;
const TREE_SPAN: Duration = Duration::from_secs(600);
const IDLE_SESSIONS: usize = 10_000;
const WATCHERS: usize = 100;
const WATCHES_AT_ONCE: usize = 500;

/// Runs everything that is wanted against an ensemble of each kind.
pub(crate) fn run(setting: &Setting) -> Result<String> {
    let kinds = [Kind::Jvm, Kind::Jackdaw];
    let kinds: Vec<Kind> = kinds.into_iter().filter(|kind| setting.options.kinds.contains(kind)).collect();
    let mut report = Report::default();
    let folder = setting.folder.path().join("ensemble");
    let wants_tree = report.wants_tree(setting) && !kinds.is_empty();
    let tree = if wants_tree { Some(make_tree(setting, &kinds, &folder.join("tree"))?) } else { None };
    for kind in kinds {
        let mut part = Part { setting, kind, folder: folder.join(kind.name()), serial: 0 };
        part.throughput(&mut report)?;
        part.fail_over(&mut report)?;
        if let Some(tree) = &tree {
            part.tree(tree, &mut report)?;
        }
        part.memory(&mut report)?;
    }
    if setting.options.kinds.contains(&Kind::Bare) {
        let kind = Kind::Bare;
        Part { setting, kind, folder: folder.join(kind.name()), serial: 0 }.limit(&mut report)?;
    }
    Ok(report.render(setting.options.znodes))
}

/// What came of it.
#[derive(Default)]
struct Report {
    rows: Rows,
    /// By operation: half of what the first kind did.
    rates: BTreeMap<&'static str, u32>,
    paced: Vec<Vec<String>>,
    figures: Figures,
}

impl Report {
    fn wants_tree(&self, setting: &Setting) -> bool {
        setting.options.wants(&tree_name(setting.options.znodes))
    }

    fn render(mut self, znodes: u64) -> String {
        let mut text = format!(
            "## Three servers\n\nOperation, sessions x window; sessions in turn at each server; {DATA_BYTES} bytes of data in \
             each znode. A write is on the disks of two servers before the answer. All but creations begin with the same \
             tree. CPU is that of all three servers. \
             `30 % set`: three sets and seven gets in turn. The bare loop sends what it logs to two followers that do nothing but \
             write it, sync it and acknowledge, and answers behind its own sync and the first acknowledgement; all sessions \
             are at it, and all of it is one process.\n\n{}\n",
            self.rows.render()
        );
        text.push_str(&format!(
            "At half of the rate that the original reached at {} x {}, {PACED_CONNECTIONS} sessions; counted from the time when \
             a request was due.\n\n",
            PACED_SHAPE.0, PACED_SHAPE.1
        ));
        text.push_str(&table::table(&PACED_COLUMNS));
        self.paced.sort_by(|left, right| left.first().cmp(&right.first()));
        self.paced.iter().for_each(|row| table::push(&mut text, row));
        text.push_str(&format!(
            "\nFail-over: from `kill -9` of the leader to the first write that is acknowledged, of sessions that are begun \
             then at the others; the median of {FAIL_OVERS}, or with a tree {FAIL_OVERS_OF_TREE}. The tree has {znodes} \
             znodes of {DATA_BYTES} bytes. Memory is a server's, the mean of the three.\n\n",
        ));
        text.push_str(&self.figures.render());
        text
    }
}

/// In the names of all cases with a tree.
fn tree_name(znodes: u64) -> String {
    format!("{znodes} znodes")
}

/// A snapshot with the tree, made by a server that is alone.
fn make_tree(setting: &Setting, kinds: &[Kind], folder: &Path) -> Result<PathBuf> {
    let maker = kinds.last().copied().context("no kind of server is wanted")?;
    let start = Instant::now();
    let server = servers::zookeeper(maker, &setting.programs, folder)?;
    let znodes = setting.options.znodes;
    let mut session = Session::open(server.port)?;
    session.create("/fail-over")?;
    session.create("/tree")?;
    let mut made = 0;
    for branch in 0..znodes.div_ceil(BRANCH) {
        let parent = format!("/tree/{branch:05}");
        session.create(&parent)?;
        let stream = Session::open(server.port)?.into_stream();
        let wanted = BRANCH.min(znodes - branch * BRANCH);
        let load = filling(vec![(stream, Operation::Create.template(&parent))], wanted, vec![server.pid()]);
        made += load::run(load)?.requests;
    }
    ensure!(made >= znodes, "{made} znodes were made");
    server.stop()?;
    // Its next start makes a snapshot of all that is in the log.
    let server = servers::zookeeper(maker, &setting.programs, folder)?;
    let snapshot = loop {
        if let Some(path) = snapshot_behind(&folder.join("data/version-2"), znodes)? {
            break path;
        }
        ensure!(start.elapsed() < TREE_SPAN, "there is no snapshot of the tree");
        thread::sleep(Duration::from_millis(100));
    };
    server.stop()?;
    eprintln!("a tree of {znodes} znodes: {:?}", start.elapsed());
    Ok(snapshot)
}

fn filling(connections: Vec<(std::net::TcpStream, load::Template)>, requests: u64, pids: Vec<u32>) -> Load {
    let (window, warm_up) = (64, Duration::ZERO);
    Load { connections, window, error_at: ERROR_AT, warm_up, span: TREE_SPAN, requests_max: requests, pids }
}

/// A snapshot of more transactions than these.
fn snapshot_behind(folder: &Path, transactions: u64) -> Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let zxid = name.strip_prefix("snapshot.").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        if zxid.is_some_and(|zxid| zxid > transactions) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Everything of one kind.
struct Part<'a> {
    setting: &'a Setting,
    kind: Kind,
    folder: PathBuf,
    serial: u32,
}

impl<'a> Part<'a> {
    /// An ensemble that runs; how long its start took.
    fn started(&mut self, snapshot: Option<&Path>) -> Result<(Ensemble<'a>, Duration)> {
        self.serial += 1;
        let folder = self.folder.join(self.serial.to_string());
        let mut ensemble = Ensemble::new(self.kind, &self.setting.programs, &folder, snapshot)?;
        let start_up = ensemble.start()?;
        Ok((ensemble, start_up))
    }

    fn throughput(&mut self, report: &mut Report) -> Result<()> {
        let options = &self.setting.options;
        let cases = self.cases();
        let paced: Vec<_> = OPERATIONS.into_iter().filter(|operation| options.wants(paced_case(*operation))).collect();
        if cases.is_empty() && paced.is_empty() {
            return Ok(());
        }
        let (ensemble, start_up) = self.started(None)?;
        report.figures.add("start-up without data, ms", self.kind, start_up.as_secs_f64() * 1e3);
        report.figures.add("memory idle, MiB", self.kind, mebibytes(ensemble.memory()?));
        self.measure_all(&ensemble, cases, report)?;
        for operation in paced {
            // Alone, a case of this kind has no other to follow.
            let rate = report.rates.get(operation.name()).copied().unwrap_or(1000);
            report.paced.push(self.at_rate(&ensemble, operation, rate)?);
        }
        Ok(())
    }

    /// What the machine lets three servers do that have nothing else to do.
    fn limit(&self, report: &mut Report) -> Result<()> {
        let cases = self.cases();
        if cases.is_empty() {
            return Ok(());
        }
        let ensemble = Ensemble::bare(&self.setting.programs, &self.folder)?;
        self.measure_all(&ensemble, cases, report)
    }

    /// The cases that are wanted.
    fn cases(&self) -> Vec<(Operation, (usize, usize))> {
        let cases = OPERATIONS.into_iter().flat_map(|operation| SHAPES.map(|shape| (operation, shape)));
        cases.filter(|(operation, shape)| self.setting.options.wants(&case(*operation, *shape))).collect()
    }

    fn measure_all(
        &self,
        ensemble: &Ensemble<'_>,
        cases: Vec<(Operation, (usize, usize))>,
        report: &mut Report,
    ) -> Result<()> {
        let options = &self.setting.options;
        prepare(ensemble)?;
        for operation in [Operation::Create, Operation::Get] {
            measure(ensemble, operation, (128, 16), &Stretch::WARM_UP)?;
        }
        for (operation, shape) in cases {
            let stretch =
                Stretch { tag: "case", warm_up: options.warm_up(), span: options.span, requests_max: u64::MAX };
            let measured = measure(ensemble, operation, shape, &stretch)?;
            if shape == PACED_SHAPE {
                let half = (measured.requests as f64 / measured.elapsed.as_secs_f64() / 2.0) as u32;
                report.rates.entry(operation.name()).or_insert(half.max(1));
            }
            report.rows.add(&case(operation, shape), self.kind, measured);
        }
        Ok(())
    }

    fn at_rate(&self, ensemble: &Ensemble<'_>, operation: Operation, rate: u32) -> Result<Vec<String>> {
        let options = &self.setting.options;
        let mut connections = Vec::new();
        for (at, session) in ensemble.sessions(PACED_CONNECTIONS)?.into_iter().enumerate() {
            let sets = match operation {
                Operation::Create | Operation::Set => true,
                Operation::Get => false,
                Operation::Mix => matches!(at % 10, 0 | 3 | 6),
            };
            let operation = if sets { Operation::Set } else { Operation::Get };
            connections.push((session.into_stream(), operation.request(&parent(at))));
        }
        let (warm_up, span) = (options.warm_up(), options.span.max(PACED_SPAN_MIN));
        let (error_at, pids) = (ERROR_AT, ensemble.pids());
        let (histogram, cpu) = paced(&Paced { connections, error_at, requests_per_second: rate, warm_up, span, pids })?;
        let requests = (warm_up + span).as_secs_f64() * f64::from(rate);
        let case = format!("{}, {rate}/s", paced_case(operation));
        Ok(row(&case, self.kind, &histogram, table::three_digits(cpu.as_secs_f64() * 1e6 / requests)))
    }

    fn fail_over(&mut self, report: &mut Report) -> Result<()> {
        const NAME: &str = "fail-over without data, ms";
        if !self.setting.options.wants(NAME) {
            return Ok(());
        }
        let (mut ensemble, _) = self.started(None)?;
        for session in &mut ensemble.sessions(1)? {
            session.create("/fail-over")?;
        }
        report.figures.add(NAME, self.kind, fail_overs(&mut ensemble, FAIL_OVERS)?);
        Ok(())
    }

    fn tree(&mut self, tree: &Path, report: &mut Report) -> Result<()> {
        let name = |what: &str, unit: &str| format!("{what} {}, {unit}", tree_name(self.setting.options.znodes));
        let names = [
            name("start-up with", "ms"),
            name("memory with", "MiB"),
            name("fail-over with", "ms"),
            name("a server without data joins", "ms"),
            name("the longest write while it gets", "ms"),
        ];
        let (mut ensemble, start_up) = self.started(Some(tree))?;
        let (kind, [starts, memory, fails, joins, longest]) = (self.kind, names.each_ref());
        report.figures.add(starts, kind, start_up.as_secs_f64() * 1e3);
        report.figures.add(memory, kind, mebibytes(ensemble.memory()?));
        report.figures.add(fails, kind, fail_overs(&mut ensemble, FAIL_OVERS_OF_TREE)?);
        let leader = ensemble.leader()?;
        let other = (leader + 1) % crate::ensemble::SERVERS;
        ensemble.stop_one(other)?;
        ensemble.forget(other)?;
        let ports = ensemble.ports();
        let port = ports.first().copied().context("two run")?;
        let is_over = AtomicBool::new(false);
        let (joined, write) = thread::scope(|scope| -> Result<_> {
            let writer = scope.spawn(|| longest_write(port, &is_over));
            let joined = ensemble.start_one(other);
            is_over.store(true, Ordering::Relaxed);
            let write = writer.join().map_err(|_| anyhow!("the writer panicked"))??;
            Ok((joined?, write))
        })?;
        report.figures.add(joins, kind, joined.as_secs_f64() * 1e3);
        report.figures.add(longest, kind, write.as_secs_f64() * 1e3);
        ensemble.stop()
    }

    fn memory(&mut self, report: &mut Report) -> Result<()> {
        let sessions = format!("memory with {IDLE_SESSIONS} sessions, MiB");
        if self.setting.options.wants(&sessions) {
            let (ensemble, _) = self.started(None)?;
            let open = ensemble.sessions(IDLE_SESSIONS)?;
            report.figures.add(&sessions, self.kind, mebibytes(ensemble.memory()?));
            drop(open);
        }
        let watched = self.setting.options.znodes / WATCHERS as u64;
        let watches = format!("memory with {} watches on {watched} znodes, MiB", self.setting.options.znodes);
        if self.setting.options.wants(&watches) {
            let (ensemble, _) = self.started(None)?;
            for mut session in ensemble.sessions(1)? {
                session.create("/watched")?;
                let connection = (session.into_stream(), Operation::Create.template("/watched"));
                load::run(filling(vec![connection], watched, ensemble.pids()))?;
            }
            let mut watchers = ensemble.sessions(WATCHERS)?;
            // In turn and few at a time: a session that waited for all the others would expire.
            for start in (0..watched).step_by(WATCHES_AT_ONCE) {
                let end = watched.min(start + WATCHES_AT_ONCE as u64);
                for watcher in &mut watchers {
                    watcher.watch((start..end).map(|number| format!("/watched/n{number:010}")))?;
                }
            }
            report.figures.add(&watches, self.kind, mebibytes(ensemble.memory()?));
        }
        Ok(())
    }
}

/// Writes one after the other until it is over.
fn longest_write(port: u16, is_over: &AtomicBool) -> Result<Duration> {
    let mut session = Session::open(port)?;
    let mut longest = Duration::ZERO;
    while !is_over.load(Ordering::Relaxed) {
        let start = Instant::now();
        session.set("/fail-over")?;
        longest = longest.max(start.elapsed());
    }
    Ok(longest)
}

/// The median in milliseconds.
fn fail_overs(ensemble: &mut Ensemble<'_>, count: usize) -> Result<f64> {
    let mut times = (0..count).map(|_| ensemble.fail_over("/fail-over")).collect::<Result<Vec<_>>>()?;
    eprintln!("fail-overs: {times:?}");
    times.sort_unstable();
    Ok(times.get(count / 2).context("there is one")?.as_secs_f64() * 1e3)
}

fn case(operation: Operation, (sessions, window): (usize, usize)) -> String {
    format!("{} {sessions} x {window}", operation.name())
}

/// Creates of any rate would fill the tree: the same znodes are set instead.
const fn paced_case(operation: Operation) -> &'static str {
    match operation {
        Operation::Create | Operation::Set => "set at half the rate",
        Operation::Get => "get at half the rate",
        Operation::Mix => "30 % set at half the rate",
    }
}

fn parent(at: usize) -> String {
    format!("/s{at:03}")
}

/// A znode for each session, to be read, written and created under, and one below it for the gets of a mix.
fn prepare(ensemble: &Ensemble<'_>) -> Result<()> {
    for mut session in ensemble.sessions(1)? {
        for at in 0..SESSIONS_MAX {
            session.create(&parent(at))?;
            session.create(&format!("{}/{}", parent(at), long_name()))?;
        }
    }
    Ok(())
}

/// How long something is done.
struct Stretch {
    /// In the names of what it makes.
    tag: &'static str,
    warm_up: Duration,
    span: Duration,
    requests_max: u64,
}

impl Stretch {
    const WARM_UP: Self =
        Self { tag: "warm-up", warm_up: Duration::ZERO, span: TREE_SPAN, requests_max: WARM_UP_REQUESTS };
}

fn measure(
    ensemble: &Ensemble<'_>,
    operation: Operation,
    (sessions, window): (usize, usize),
    &Stretch { tag, warm_up, span, requests_max }: &Stretch,
) -> Result<Measured> {
    let mut connections = Vec::new();
    for (at, mut session) in ensemble.sessions(sessions)?.into_iter().enumerate() {
        let template = if operation == Operation::Create {
            // Names start anew with each case, so each has parents of its own.
            let parent = format!("{}/{tag}-{sessions}x{window}", parent(at));
            session.create(&parent)?;
            operation.template(&parent)
        } else {
            operation.template(&parent(at))
        };
        connections.push((session.into_stream(), template));
    }
    let (error_at, pids) = (ERROR_AT, ensemble.pids());
    load::run(Load { connections, window, error_at, warm_up, span, requests_max, pids })
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
