//! `cargo xtask verify | fix | tidy | interop | faults | fuzz | sim | bench`: one command for people and CI.
//!
//! `verify` never writes to the tree, `fix` does. Each step is a command line that is printed before it runs, so that a
//! person can run it alone.

mod fuzz;
mod interop;
mod run;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::run::{cargo, step};

const HELP: &str = "\
cargo xtask COMMAND

  verify           format, lints as errors, tidy, docs, all tests; writes nothing
  fix              formats, applies lint suggestions, renders generated docs
  tidy             the rules of STYLE.md that a machine can see
  interop [NAME]   installs real clients and the JVM originals into a cache folder and runs them (tests whose name
                   contains NAME)
  faults [--hours N]
                   ZooKeeper's servers and brokers under load while they are killed, frozen, cut off and out of disk
                   (needs root); one round, or as many as fit
  fuzz [TARGET] [--seconds N]
                   gives every decoder bytes that no peer should send, 3 seconds each unless told otherwise
  sim [ARGS]       whole ensembles under seeds: --minutes N looks for a seed that breaks a rule, --seed N runs one again
  bench [ARGS]     Jackdaw, the originals and a bare loop, side by side; writes docs/benchmarks.md
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let (command, rest) = arguments.split_first().map_or(("help", &[][..]), |(first, rest)| (first.as_str(), rest));
    match command {
        "verify" => verify(),
        "fix" => fix(),
        "tidy" => tidy::check(),
        "interop" => interop::run(rest),
        "faults" => interop::faults(rest),
        "fuzz" => fuzz::run(rest),
        "sim" => sim(rest),
        "bench" => bench(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("no command '{other}'\n{HELP}"),
    }
}

fn verify() -> Result<()> {
    step("format", cargo(["fmt", "--all", "--check"]))?;
    step("format of proof/fuzz", cargo(["fmt", "--manifest-path", "proof/fuzz/Cargo.toml", "--check"]))?;
    tidy::check()?;
    step("lints", cargo(["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))?;
    step("docs", cargo(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    step("tests", cargo(["test", "--workspace"]))
}

fn fix() -> Result<()> {
    step("render docs/compatibility.md", cargo(["run", "--quiet", "--package", "config", "--example", "render"]))?;
    step("lints", cargo(["clippy", "--workspace", "--all-targets", "--fix", "--allow-dirty", "--allow-staged"]))?;
    step("format", cargo(["fmt", "--all"]))?;
    step("format of proof/fuzz", cargo(["fmt", "--manifest-path", "proof/fuzz/Cargo.toml"]))
}

fn bench(arguments: &[String]) -> Result<()> {
    let mut command = cargo(["run", "--release", "--package", "bench", "--"]);
    command.args(arguments);
    step("bench", command)
}

fn sim(arguments: &[String]) -> Result<()> {
    let mut command = cargo(["run", "--release", "--package", "sim", "--"]);
    command.args(arguments);
    step("sim", command)
}
