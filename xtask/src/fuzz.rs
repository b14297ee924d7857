//! Builds the fuzz targets with coverage and runs them for so many seconds each.
//!
//! No nightly compiler and no `cargo-fuzz`: the instrumentation that libFuzzer wants is a pass of LLVM that stable `rustc` has, and
//! libFuzzer itself comes with a crate and is built by the C++ compiler that is there. All of `core/` is safe Rust, so no sanitizer
//! is needed to see a fault; memory is bounded by the targets themselves.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::run::{cargo, root, step};

/// Edges, and the operands of comparisons.
const INSTRUMENTATION: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=3",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Seconds for each target, unless told otherwise: what a check of every change can afford.
const SECONDS: u64 = 3;

/// `[TARGET] [--seconds N]`
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (wanted, seconds) = read(arguments)?;
    // A check of every change tries the same inputs each time; who gives it time looks for new ones.
    let seed = if seconds == SECONDS { 1 } else { 0 };
    let folder = root().join("proof/fuzz/target");
    let host = host()?;
    let mut build = cargo(["build", "--release", "--locked", "--manifest-path", "proof/fuzz/Cargo.toml"]);
    // With a target named, build scripts and macros stay without instrumentation.
    build.args(["--target", &host]).env("CARGO_TARGET_DIR", &folder).env("RUSTFLAGS", INSTRUMENTATION.join(" "));
    step("fuzz: build", build)?;
    let program = folder.join(host).join("release/fuzz");
    let names = Command::new(&program).output().with_context(|| format!("can't run {}", program.display()))?;
    let names = String::from_utf8_lossy(&names.stdout).into_owned();
    let chosen: Vec<&str> =
        names.lines().filter(|name| wanted.as_deref().is_none_or(|wanted| *name == wanted)).collect();
    if chosen.is_empty() {
        bail!("no such target; there are {}", names.lines().collect::<Vec<_>>().join(", "));
    }
    // As many at a time as there are cores.
    let waiting = Mutex::new(chosen.into_iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || std::iter::from_fn(next).try_for_each(|name| fuzz(&program, &folder, name, seconds, seed));
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("it does not panic"))
    })
}

fn read(arguments: &[String]) -> Result<(Option<String>, u64)> {
    let (mut target, mut seconds) = (None, SECONDS);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => seconds = words.next().context("--seconds wants a number")?.parse()?,
            name if !name.starts_with('-') && target.is_none() => target = Some(name.to_owned()),
            other => bail!("fuzz [TARGET] [--seconds N]; not {other}"),
        }
    }
    Ok((target, seconds))
}

/// The compiler's own platform.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("can't run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say its host")
}

fn fuzz(program: &Path, folder: &Path, name: &str, seconds: u64, seed: u32) -> Result<()> {
    let place = |what: &str| -> Result<PathBuf> {
        let path = folder.join(what).join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("can't make {}", path.display()))?;
        Ok(path)
    };
    // What was found in earlier runs goes on being used; seeds are written anew, since they change with the code.
    let (corpus, seeds, findings) = (place("corpus")?, place("seeds")?, place("findings")?);
    let target = || {
        let mut command = Command::new(program);
        command.env("JACKDAW_FUZZ_TARGET", name).env("RUST_BACKTRACE", "1");
        command
    };
    step(&format!("fuzz: seeds of {name}"), target().env("JACKDAW_FUZZ_SEEDS", &seeds))?;
    let mut run = target();
    run.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", findings.display()));
    // Seed 0 is one by the clock.
    run.arg(format!("-seed={seed}")).args(["-timeout=10", "-max_len=16384", "-verbosity=0"]).arg(corpus).arg(seeds);
    step(&format!("fuzz: {name}"), run)
}
