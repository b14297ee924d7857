//! The command line.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::servers::Kind;

pub(crate) const HELP: &str = "\
cargo xtask bench [OPTIONS]

Jackdaw, the JVM originals and a bare loop in turn, under one load generator. A whole run (without --only, --servers
or --cases) is written to docs/benchmarks.md.

  --quick              the cases that matter most, one second each: some three minutes in all
  --seconds N          how long each case is measured (5; with --quick 1)
  --only NAME,...      zookeeper, kafka, latency, startup, tools, ensemble, cluster. Each of the last two, alone and without
                       --servers, --cases, --quick or --znodes, is written to docs/benchmarks-ensemble.md or -cluster.md
  --servers NAME,...   jackdaw, jvm, bare
  --cases TEXT         cases of zookeeper, kafka, ensemble and cluster with this in their names
  --znodes N           size of the ensemble's tree, and its watches (1000000; with --quick 50000)
  --perf-tools         the performance tools of the JVM original too, as a user would run them
";

/// Parts of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    ZooKeeper,
    Kafka,
    Latency,
    Startup,
    Tools,
    Ensemble,
    Cluster,
}

impl Section {
    const ALL: [(&'static str, Self); 7] = [
        ("zookeeper", Self::ZooKeeper),
        ("kafka", Self::Kafka),
        ("latency", Self::Latency),
        ("startup", Self::Startup),
        ("tools", Self::Tools),
        ("ensemble", Self::Ensemble),
        ("cluster", Self::Cluster),
    ];

    /// Whether it takes long, and is run when it is asked for.
    const fn is_rare(self) -> bool {
        matches!(self, Self::Tools | Self::Ensemble | Self::Cluster)
    }
}

/// A page whose figures are worth keeping: nothing of it was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    All,
    Ensemble,
    Cluster,
}

impl Page {
    /// What a run with these words is; `only` is none when every usual section runs.
    fn of(only: Option<&[Section]>, is_quick: bool, has_tree_of_its_own: bool) -> Option<Self> {
        match only {
            None => Some(Self::All),
            Some(_) if is_quick || has_tree_of_its_own => None,
            Some([Section::Ensemble]) => Some(Self::Ensemble),
            Some([Section::Cluster]) => Some(Self::Cluster),
            Some(_) => None,
        }
    }
}

/// What to run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) sections: Vec<Section>,
    pub(crate) kinds: Vec<Kind>,
    /// Cases with this in their names are run.
    cases: String,
    pub(crate) quick: bool,
    /// How long each case is measured.
    pub(crate) span: Duration,
    /// Znodes of the ensemble's tree.
    pub(crate) znodes: u64,
    /// Where the figures go.
    pub(crate) page: Option<Page>,
    /// As given, to be named with the figures.
    pub(crate) line: String,
}

impl Options {
    /// Whether a case is to be run.
    pub(crate) fn wants(&self, case: &str) -> bool {
        case.contains(&self.cases)
    }

    /// Before each case.
    pub(crate) fn warm_up(&self) -> Duration {
        self.span.mul_f64(0.3)
    }

    /// Before a server's first case: a JVM compiles.
    pub(crate) const fn server_warm_up(&self) -> Duration {
        Duration::from_secs(if self.quick { 3 } else { 15 })
    }

    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let (mut quick, mut seconds, mut tools, mut znodes) = (false, None, false, None);
        let (mut only, mut kinds, mut cases) = (None, None, String::new());
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--quick" => quick = true,
                "--perf-tools" => tools = true,
                "--seconds" => seconds = Some(value()?.parse::<f64>().context("--seconds takes a number")?),
                "--only" => only = Some(named(value()?, &Section::ALL)?),
                "--servers" => kinds = Some(named(value()?, &Kind::ALL.map(|kind| (kind.name(), kind)))?),
                "--cases" => cases = value()?.clone(),
                "--znodes" => znodes = Some(value()?.parse::<u64>().context("--znodes takes a number")?),
                other => bail!("unknown option {other}\n{HELP}"),
            }
        }
        let all_cases = kinds.is_none() && cases.is_empty();
        let page = Page::of(only.as_deref(), quick, znodes.is_some()).filter(|_| all_cases);
        let mut sections = only.unwrap_or_else(|| {
            Section::ALL.map(|(_, section)| section).into_iter().filter(|section| !section.is_rare()).collect()
        });
        if tools && !sections.contains(&Section::Tools) {
            sections.push(Section::Tools);
        }
        let seconds = seconds.unwrap_or(if quick { 1.0 } else { 5.0 });
        let span = Duration::try_from_secs_f64(seconds).context("--seconds takes a time")?;
        let kinds = kinds.unwrap_or_else(|| Kind::ALL.to_vec());
        let znodes = znodes.unwrap_or(if quick { 50_000 } else { 1_000_000 });
        let line = arguments.join(" ");
        Ok(Self { sections, kinds, cases, quick, span, znodes, page, line })
    }
}

fn named<T: Copy>(list: &str, known: &[(&str, T)]) -> Result<Vec<T>> {
    let find = |name: &str| known.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    list.split(',').map(|name| find(name).with_context(|| format!("unknown name {name}\n{HELP}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_whole_run_leaves_out_the_slow_tools_alone() {
        let options = parse("").unwrap();
        assert!(options.page == Some(Page::All) && !options.quick);
        assert_eq!(options.kinds, Kind::ALL);
        assert_eq!(options.sections.len(), 4);
        assert_eq!(parse("--only ensemble").unwrap().page, Some(Page::Ensemble));
        assert_eq!(parse("--only cluster --seconds 2").unwrap().page, Some(Page::Cluster));
        for line in [
            "--only ensemble,kafka",
            "--only cluster --quick",
            "--only cluster --cases all",
            "--only ensemble --znodes 1",
        ] {
            assert_eq!(parse(line).unwrap().page, None, "{line}");
        }
        assert!(parse("--quick --perf-tools").unwrap().sections.contains(&Section::Tools));
    }

    #[test]
    fn parts_are_picked_by_name() {
        let options = parse("--only zookeeper,startup --servers jackdaw,bare --seconds 0.5").unwrap();
        assert_eq!(options.sections, [Section::ZooKeeper, Section::Startup]);
        assert_eq!(options.kinds, [Kind::Jackdaw, Kind::Bare]);
        assert_eq!(options.span, Duration::from_millis(500));
        assert_eq!(options.page, None);
        let options = parse("--cases 1x1").unwrap();
        assert!(options.wants("create 1x1") && !options.wants("create 16x1") && options.page.is_none());
    }

    #[test]
    fn what_is_unknown_is_an_error() {
        for line in ["--fast", "--only all", "--servers rust", "--seconds", "--seconds -1", "--seconds x"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
