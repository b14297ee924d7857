//! Tables of figures and ratios, in Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use crate::load::Measured;
use crate::servers::Kind;

/// Above this part of a core, the generator and not the server is the limit.
const GENERATOR_BUSY: f64 = 0.9;

/// One case, as far as the servers were measured.
#[derive(Default)]
pub(crate) struct Row {
    case: String,
    measured: Vec<(Kind, Measured)>,
}

/// Cases in the order they were run.
#[derive(Default)]
pub(crate) struct Rows(Vec<Row>);

impl Rows {
    pub(crate) fn add(&mut self, case: &str, kind: Kind, measured: Measured) {
        progress(case, kind, &measured);
        match self.0.iter_mut().find(|row| row.case == case) {
            Some(row) => row.measured.push((kind, measured)),
            None => self.0.push(Row { case: case.to_owned(), measured: vec![(kind, measured)] }),
        }
    }

    /// Throughput, CPU time and latencies.
    pub(crate) fn render(&self) -> String {
        let mut text = table(&[
            "case",
            "jackdaw/s",
            "jvm/s",
            "bare/s",
            "jackdaw : jvm",
            "CPU µs jackdaw",
            "jvm",
            "bare",
            "jackdaw : jvm",
            "jackdaw : bare",
        ]);
        for row in &self.0 {
            let rate = |kind| row.of(kind).map(Measured::per_second);
            let cpu = |kind| row.of(kind).map(Measured::cpu_micros);
            let rates = Kind::ALL.map(|kind| row.of(kind).map_or_else(dash, Measured::rate_text));
            let cpus = Kind::ALL.map(|kind| cpu(kind).map_or_else(dash, three_digits));
            let faster = ratio(rate(Kind::Jackdaw), rate(Kind::Jvm));
            let less = ratio(cpu(Kind::Jackdaw), cpu(Kind::Jvm));
            let bare = ratio(cpu(Kind::Jackdaw), cpu(Kind::Bare));
            push(&mut text, &[&[row.case.clone()][..], &rates, &[faster], &cpus, &[less, bare]].concat());
        }
        text.push('\n');
        text.push_str(&table(&[
            "latency, ms",
            "p50 jackdaw",
            "jvm",
            "bare",
            "p99 jackdaw",
            "jvm",
            "bare",
            "p99.9 jackdaw",
            "jvm",
            "bare",
        ]));
        for row in &self.0 {
            let mut cells = vec![row.case.clone()];
            for part in [0.5, 0.99, 0.999] {
                let latency =
                    |kind| row.of(kind).map_or_else(dash, |measured| millis(measured.latencies.quantile(part)));
                cells.extend(Kind::ALL.map(latency));
            }
            push(&mut text, &cells);
        }
        text
    }
}

impl Row {
    fn of(&self, wanted: Kind) -> Option<&Measured> {
        self.measured.iter().find(|(kind, _)| *kind == wanted).map(|(_, measured)| measured)
    }
}

impl Measured {
    fn per_second(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }

    /// With a star where the server could have done more.
    fn rate_text(&self) -> String {
        let busy = self.generator_cpu.as_secs_f64() / self.elapsed.as_secs_f64() > GENERATOR_BUSY;
        format!("{:.0}{}", self.per_second(), if busy { "\\*" } else { "" })
    }

    fn cpu_micros(&self) -> f64 {
        self.server_cpu.as_secs_f64() * 1e6 / self.requests.max(1) as f64
    }
}

fn progress(case: &str, kind: Kind, measured: &Measured) {
    let latency = |part| millis(measured.latencies.quantile(part));
    eprintln!(
        "{:<8} {case:<44} {:>9}/s  {:>8} CPU µs  p50 {} p99 {} p99.9 {} ms",
        kind.name(),
        measured.rate_text(),
        three_digits(measured.cpu_micros()),
        latency(0.5),
        latency(0.99),
        latency(0.999)
    );
}

/// A table's head.
pub(crate) fn table(columns: &[&str]) -> String {
    let mut text = String::new();
    push(&mut text, &columns.iter().map(|column| (*column).to_owned()).collect::<Vec<_>>());
    let marks = columns.iter().enumerate().map(|(at, _)| if at == 0 { "---" } else { "---:" });
    push(&mut text, &marks.map(str::to_owned).collect::<Vec<_>>());
    text
}

/// A table's row.
pub(crate) fn push(text: &mut String, cells: &[String]) {
    writeln!(text, "| {} |", cells.join(" | ")).expect("a string takes all");
}

/// What was not measured.
pub(crate) fn dash() -> String {
    "–".to_owned()
}

/// `left : right`, a number above one where left is more.
pub(crate) fn ratio(left: Option<f64>, right: Option<f64>) -> String {
    match (left, right) {
        (Some(left), Some(right)) if right > 0.0 => format!("{:.2}", left / right),
        _ => dash(),
    }
}

pub(crate) fn three_digits(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

pub(crate) fn millis(latency: Duration) -> String {
    three_digits(latency.as_secs_f64() * 1e3)
}

pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.0}", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Histogram;

    fn measured(requests: u64, cpu_ms: u64, generator_ms: u64) -> Measured {
        Measured {
            requests,
            elapsed: Duration::from_secs(2),
            server_cpu: Duration::from_millis(cpu_ms),
            generator_cpu: Duration::from_millis(generator_ms),
            latencies: Histogram::new(),
        }
    }

    #[test]
    fn rates_and_cpu_are_per_request() {
        let measured = measured(1000, 500, 100);
        assert_eq!((measured.per_second(), measured.cpu_micros()), (500.0, 500.0));
        assert_eq!(measured.rate_text(), "500");
    }

    #[test]
    fn a_busy_generator_is_marked() {
        assert_eq!(measured(1000, 500, 1990).rate_text(), "500\\*");
    }

    #[test]
    fn ratios_are_jackdaw_to_the_others() {
        let mut rows = Rows::default();
        rows.add("a case", Kind::Jackdaw, measured(4000, 200, 0));
        rows.add("a case", Kind::Jvm, measured(1000, 200, 0));
        let text = rows.render();
        assert!(text.contains("| a case | 2000 | 500 | – | 4.00 | 50.0 | 200 | – | 0.25 | – |"), "{text}");
    }
}
