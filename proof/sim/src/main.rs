//! Runs seeds until time is up or a rule is broken, or one seed alone.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sim::{Fault, Plan, Seen, run};

const HELP: &str = "\
sim [--minutes N] [--servers N] [--seed FIRST] [--seeds COUNT] [--faults-ms N] [--only FAULT] [--tell]

  --minutes    runs seed after seed for so long (1 unless --seed or --seeds is given)
  --servers    of this size only (3, 5 and 7 in turn)
  --seed       the first seed (0); alone, this one is run and no other
  --seeds      so many seeds
  --faults-ms  how long things go wrong in a run (5000)
  --only       of what goes wrong, this alone: power kill stop cut split break slow-network slow-disk stall clock client
               failed-disk full-disk
  --tell       prints what happens
";

struct Options {
    minutes: Option<u64>,
    servers: Option<u64>,
    seed: Option<u64>,
    seeds: Option<u64>,
    faults_ms: u64,
    only: Option<Fault>,
    tells: bool,
}

fn options() -> Result<Option<Options>> {
    let mut options =
        Options { minutes: None, servers: None, seed: None, seeds: None, faults_ms: 5_000, only: None, tells: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<u64> {
            let value = arguments.next().with_context(|| format!("{argument} wants a number"))?;
            value.parse().with_context(|| format!("{argument} {value}"))
        };
        match argument.as_str() {
            "--minutes" => options.minutes = Some(number()?),
            "--servers" => options.servers = Some(number()?),
            "--seed" => options.seed = Some(number()?),
            "--seeds" => options.seeds = Some(number()?),
            "--faults-ms" => options.faults_ms = number()?,
            "--only" => {
                let name = arguments.next().unwrap_or_default();
                let fault = Fault::parse(&name);
                options.only = Some(fault.with_context(|| format!("no fault '{name}'\n{HELP}"))?);
            }
            "--tell" => options.tells = true,
            "--help" | "-h" => return Ok(None),
            other => bail!("no option '{other}'\n{HELP}"),
        }
    }
    Ok(Some(options))
}

fn main() -> Result<ExitCode> {
    let Some(options) = options()? else {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    let first = options.seed.unwrap_or(0);
    let count = options.seeds.or((options.seed.is_some() && options.minutes.is_none()).then_some(1));
    let minutes = options.minutes.or(count.is_none().then_some(1));
    let until = minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let (mut all, mut failed, mut runs) = (Seen::new(), 0_u64, 0_u64);
    for seed in first.. {
        let is_over = until.is_some_and(|until| Instant::now() >= until);
        if is_over || count.is_some_and(|count| seed - first >= count) {
            break;
        }
        let servers = options.servers.unwrap_or(3 + 2 * (seed % 3));
        runs += 1;
        match run(Plan { seed, servers, faults_ms: options.faults_ms, only: options.only, tells: options.tells }) {
            Ok(seen) => seen.into_iter().for_each(|(what, times)| *all.entry(what).or_default() += times),
            Err(broken) => {
                failed += 1;
                println!("--servers {servers} --faults-ms {} --seed {seed}: {broken}", options.faults_ms);
            }
        }
    }
    println!("{runs} runs, {failed} failed; gone through: {all:?}");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
