//! The benchmark: Jackdaw, the JVM originals and a bare loop, in turn, in one run, under one load generator.
//!
//! `cargo xtask bench` runs it. Each server is a process of its own on loopback with its data in a temporary folder;
//! CPU time and memory are those of that process. Figures are ratios of servers on one machine in one run: absolute
//! numbers say as much about the machine.

mod bare;
mod cluster;
mod ensemble;
mod histogram;
mod load;
mod machine;
mod options;
mod requests;
mod sections;
mod servers;
mod table;
mod usage;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::options::{HELP, Options, Page, Section};
use crate::sections::{Setting, cluster as clusters, ensemble as ensembles, kafka, latency, startup, tools, zookeeper};
use crate::servers::Programs;

const METHOD: &str = "\
# Benchmarks

Jackdaw beside the JVM originals (ZooKeeper 3.6.3, Kafka 2.7.1) and a bare loop, made by `cargo xtask bench`.

## Method

- One generator for all: one thread, requests encoded beforehand, answers looked at for nothing but their error code.
  An error ends the run. A star behind a rate: the generator was busy for more than 90 % of the time, so the server
  can do more.
- The servers run in turn, alone, each as a process of its own on loopback, with default settings but for ports and
  folders and without a limit on connections per client. They share the cores with the generator.
- The JVMs have the options of their own start scripts (G1; heap of 1 GiB for the broker, up to 1,000 MB for
  ZooKeeper). Each server is warmed up before its first case and before each case.
- The bare loop is one thread that receives, checks the CRC-32C, writes to a file and answers (for ZooKeeper:
  Adler-32, a write to a log, one `fdatasync` for all requests that came together; for fetch: one `sendfile`): the
  limit, not a server.
- Before each produce case as much memory is touched and freed as the case may fill with page cache, at most 2 GiB; a
  case that has written so much ends. A virtual machine may have lent its free pages to its host, and their first touch
  costs more than the write: without this the server that runs first pays for those behind it. The files of the case
  before are gone by then.
- CPU is that of the server's process, user and system, all threads, from `/proc/PID/stat`, divided by the answered
  requests.
- `n x m`: n connections, each with m requests under way.
- Other work on the machine makes all figures rough and rates low; CPU per request suffers least. The share is told
  below; the kernel's own threads count as others.
- `jackdaw : jvm` above 1 is better in rates, below 1 in CPU, memory and time.
";

const ENSEMBLE_METHOD: &str = "\
# Benchmarks of an ensemble

Three servers of Jackdaw beside three of the original (ZooKeeper 3.6.3), made by `cargo xtask bench --only ensemble`. The method is
that of `benchmarks.md`, but for the order: the original comes first, since half of its rates pace the latencies of both.
Each server is a process of its own, on the same disk; generator and servers share the cores.
";

const CLUSTER_METHOD: &str = "\
# Benchmarks of a cluster

Three brokers of Jackdaw beside three of the original (Kafka 2.7.1), made by `cargo xtask bench --only cluster`. The method is that
of `benchmarks.md`. Each broker is a process of its own, on the same disk, with its kind's defaults: a broker of the original is
missed after `zookeeper.session.timeout.ms`, 18 s. The ZooKeeper of either kind is one server of that kind, on the same machine. Generator,
brokers and ZooKeeper share the cores. CPU and memory are those of the brokers, without ZooKeeper and without the guardians beside
the brokers of Jackdaw.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["bare", system, folder] => bare::serve(system, Path::new(folder)),
        ["--help" | "-h" | "help", ..] => {
            print!("{HELP}");
            Ok(())
        }
        _ => Options::parse(&arguments).and_then(run),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    let programs = Programs::find(&options.kinds)?;
    let machine = machine::describe();
    let start = usage::Machine::now()?;
    let command = format!("- command: `cargo xtask bench {}`\n", options.line);
    let setting = Setting { options, programs, folder: tempfile::Builder::new().prefix("jackdaw-bench-").tempdir()? };
    let mut chapters = String::new();
    for section in &setting.options.sections {
        let chapter = match section {
            Section::ZooKeeper => zookeeper::run(&setting),
            Section::Kafka => kafka::run(&setting),
            Section::Latency => latency::run(&setting),
            Section::Startup => startup::run(&setting),
            Section::Tools => tools::run(&setting),
            Section::Ensemble => ensembles::run(&setting),
            Section::Cluster => clusters::run(&setting),
        };
        let chapter = chapter.with_context(|| format!("in section {section:?}"))?;
        println!("\n{chapter}");
        chapters.push('\n');
        chapters.push_str(&chapter);
    }
    let others = usage::Machine::now()?.others_since(&start);
    let others = format!("- other work on the machine during the run: {:.0} % of its CPU time\n", others * 100.0);
    println!("{machine}{others}{command}");
    let machine = format!("## Machine\n\n{machine}{others}{command}");
    let (name, method) = match setting.options.page {
        Some(Page::All) => ("benchmarks.md", METHOD),
        Some(Page::Ensemble) => ("benchmarks-ensemble.md", ENSEMBLE_METHOD),
        Some(Page::Cluster) => ("benchmarks-cluster.md", CLUSTER_METHOD),
        None => return Ok(()),
    };
    write(name, &format!("{method}\n{machine}{chapters}"))
}

/// Puts a report into `docs/`.
fn write(name: &str, report: &str) -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    std::fs::write(&file, report).with_context(|| format!("can't write {}", file.display()))?;
    println!("written to docs/{name}");
    Ok(())
}
