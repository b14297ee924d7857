//! Runs seeds until time is up or a rule is broken, or one seed alone.

mod tell;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sim::{Fault, Plan, Seen, cluster, run};

const HELP: &str = "\
sim [--minutes N] [--servers N | --brokers N] [--seed FIRST] [--seeds COUNT] [--faults-ms N] [--only FAULT] [--tell]

  --minutes    runs seed after seed for so long (1 unless --seed or --seeds is given)
  --servers    ensembles of this size only (3, 5 and 7 in turn)
  --brokers    clusters of this size in place of ensembles
  --seed       the first seed (0); alone, this one is run and no other
  --seeds      so many seeds
  --faults-ms  how long things go wrong in a run (5000)
  --only       of what goes wrong, this alone: power kill stop cut split break slow-network slow-disk stall clock client
               failed-disk full-disk rot; of clusters: kill power stop cut cut-zookeeper break slow-network slow-disk stall clock server
               failed-disk full-disk
  --tell       prints what happens
";

struct Options {
    minutes: Option<u64>,
    servers: Option<u64>,
    brokers: Option<i32>,
    seed: Option<u64>,
    seeds: Option<u64>,
    faults_ms: u64,
    only: Option<String>,
    tells: bool,
}

impl Options {
    /// One seed of what is wanted, and how it is run again.
    fn run(&self, seed: u64) -> Result<(Result<Seen, String>, String)> {
        let (faults_ms, tells) = (self.faults_ms, self.tells);
        let unknown = || format!("no fault '{}'\n{HELP}", self.only.as_deref().unwrap_or_default());
        Ok(match self.brokers {
            Some(brokers) => {
                let named = self.only.as_deref().map(|name| cluster::Fault::parse(name).with_context(unknown));
                let only = named.transpose()?;
                (cluster::run(cluster::Plan { seed, brokers, faults_ms, only, tells }), format!("--brokers {brokers}"))
            }
            None => {
                let only = self.only.as_deref().map(|name| Fault::parse(name).with_context(unknown)).transpose()?;
                let servers = self.servers.unwrap_or(3 + 2 * (seed % 3));
                (run(Plan { seed, servers, faults_ms, only, tells }), format!("--servers {servers}"))
            }
        })
    }
}

fn options() -> Result<Option<Options>> {
    let mut options = Options {
        minutes: None,
        servers: None,
        brokers: None,
        seed: None,
        seeds: None,
        faults_ms: 5_000,
        only: None,
        tells: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<u64> {
            let value = arguments.next().with_context(|| format!("{argument} wants a number"))?;
            value.parse().with_context(|| format!("{argument} {value}"))
        };
        match argument.as_str() {
            "--minutes" => options.minutes = Some(number()?),
            "--servers" => options.servers = Some(number()?),
            "--brokers" => options.brokers = Some(i32::try_from(number()?).context("--brokers")?),
            "--seed" => options.seed = Some(number()?),
            "--seeds" => options.seeds = Some(number()?),
            "--faults-ms" => options.faults_ms = number()?,
            "--only" => options.only = arguments.next(),
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
    if options.tells {
        tell::events();
    }
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
        runs += 1;
        let (result, what) = options.run(seed)?;
        match result {
            Ok(seen) => seen.into_iter().for_each(|(what, times)| *all.entry(what).or_default() += times),
            Err(broken) => {
                failed += 1;
                println!("{what} --faults-ms {} --seed {seed}: {broken}", options.faults_ms);
            }
        }
    }
    println!("{runs} runs, {failed} failed; gone through: {all:?}");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
