//! Installs the real clients and the JVM originals into a cache folder, each by its own registry, and runs them.
//!
//! A client that can't be installed fails the run: a skipped oracle proves nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{cargo, root, step};

/// Python clients, pinned so that a run repeats.
const PYTHON_PACKAGES: [&str; 4] =
    ["kazoo==2.10.0", "pure-sasl==0.6.2", "kafka-python==2.0.6", "confluent-kafka==2.6.1"];

/// Node clients.
const NODE_PACKAGES: [&str; 1] = ["kafkajs@2.2.4"];

/// Debian's packages: kcat (librdkafka) and ZooKeeper's C command line; what cuts links and slows disks down.
const DEBIAN_PACKAGES: [&str; 4] = ["kcat", "zookeeper-bin", "iproute2", "strace"];

/// Prepares the cache, builds the release binary, runs the tests whose name contains the first argument.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    run_for(arguments, 0)
}

/// `[--hours N]`: faults on real processes.
pub(crate) fn faults(arguments: &[String]) -> Result<()> {
    let hours: f64 = match arguments {
        [] => 0.0,
        [option, hours] if option == "--hours" => hours.parse().context("--hours wants a number")?,
        _ => bail!("faults [--hours N]"),
    };
    run_for(&["zookeeper_faults", "kafka_faults"].map(str::to_owned), (hours * 60.0) as u64)
}

fn run_for(arguments: &[String], faults_minutes: u64) -> Result<()> {
    let cache = cache_folder();
    std::fs::create_dir_all(&cache).with_context(|| format!("can't make {}", cache.display()))?;
    python(&cache)?;
    node(&cache)?;
    debian()?;
    originals(&cache)?;
    step("build", cargo(["build", "--release", "--package", "jackdaw"]))?;
    let mut tests = cargo(["test", "--release", "--package", "interop", "--features", "oracles", "--"]);
    tests.env("JACKDAW_FAULTS_MINUTES", faults_minutes.to_string());
    tests.env("JACKDAW_INTEROP_CACHE", &cache).arg("--test-threads=2").args(arguments);
    step("interop", tests)
}

fn cache_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("JACKDAW_INTEROP_CACHE") {
        return folder.into();
    }
    let home = std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from);
    home.join(".cache/jackdaw/interop")
}

fn python(cache: &Path) -> Result<()> {
    let environment = cache.join("python");
    let stamp = environment.join("stamp");
    let wanted = PYTHON_PACKAGES.join(" ");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    step("python: environment", Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
    step(
        "python: clients",
        Command::new(environment.join("bin/pip")).args(["install", "--quiet"]).args(PYTHON_PACKAGES),
    )?;
    std::fs::write(stamp, wanted).context("can't note what was installed")
}

fn node(cache: &Path) -> Result<()> {
    let folder = cache.join("node");
    let stamp = folder.join("stamp");
    let wanted = NODE_PACKAGES.join(" ");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    std::fs::create_dir_all(&folder)?;
    step(
        "node: clients",
        Command::new("npm").args(["install", "--silent", "--no-save", "--prefix"]).arg(&folder).args(NODE_PACKAGES),
    )?;
    std::fs::write(stamp, wanted).context("can't note what was installed")
}

fn debian() -> Result<()> {
    let installed = |package: &&str| {
        let status = Command::new("dpkg").args(["-s", package]).output();
        status.is_ok_and(|output| output.status.success())
    };
    if DEBIAN_PACKAGES.iter().all(installed) {
        return Ok(());
    }
    step("debian: lists", Command::new("apt-get").args(["update", "-qq"]))?;
    step("debian: clients", Command::new("apt-get").args(["install", "-y", "-qq"]).args(DEBIAN_PACKAGES))
}

/// The JVM originals, by Maven, from the list in proof/interop/originals.xml.
fn originals(cache: &Path) -> Result<()> {
    let list = root().join("proof/interop/originals.xml");
    let wanted = std::fs::read_to_string(&list).context("can't read proof/interop/originals.xml")?;
    let folder = cache.join("originals");
    let stamp = folder.join("stamp");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    let output = format!("-DoutputDirectory={}", folder.join("libs").display());
    step(
        "originals",
        Command::new("mvn").args(["-q", "-B", "-f"]).arg(&list).args(["dependency:copy-dependencies", &output]),
    )?;
    std::fs::write(stamp, wanted).context("can't note what was fetched")
}
