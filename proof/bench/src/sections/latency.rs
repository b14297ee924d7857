//! Latency of a broker at a fixed rate: produce, and from a producer to a consumer.

use std::time::Duration;

use anyhow::Result;
use kafka_proto::record::Codec;

use super::Setting;
use crate::histogram::Histogram;
use crate::load::{EndToEnd, Paced, end_to_end, paced};
use crate::requests::kafka::{Client, PRODUCE_ERROR_AT, batch, produce, topic};
use crate::servers::{self, Kind};
use crate::table;

const PRODUCES_PER_SECOND: u32 = 2000;
const PRODUCERS: usize = 4;
const END_TO_END_PER_SECOND: u32 = 500;
/// Percentiles of the tail need many; a case runs at least so long.
const SPAN_MIN: Duration = Duration::from_secs(4);

pub(super) const PACED_COLUMNS: [&str; 6] =
    ["at a fixed rate", "server", "p50 ms", "p99 ms", "p99.9 ms", "CPU µs a request"];

/// Runs both cases against each broker in turn; the bare loop has no consumers.
pub(crate) fn run(setting: &Setting) -> Result<String> {
    let mut text = table::table(&PACED_COLUMNS);
    let mut rows = Vec::new();
    setting.for_each_kind("latency", |kind, folder| {
        let broker = servers::broker(kind, &setting.programs, &folder)?;
        let (port, pid) = (broker.server.port, broker.server.pid());
        let (warm_up, span) = (setting.options.server_warm_up(), setting.options.span.max(SPAN_MIN));
        let (histogram, cpu) = produce_at_rate(kind, port, pid, warm_up, span)?;
        let requests = (warm_up + span).as_secs_f64() * f64::from(PRODUCES_PER_SECOND);
        let cpu = table::three_digits(cpu.as_secs_f64() * 1e6 / requests);
        rows.push(row(&format!("produce, {PRODUCES_PER_SECOND}/s"), kind, &histogram, cpu));
        if kind != Kind::Bare {
            let histogram = to_consumer(port, warm_up, span)?;
            rows.push(row(
                &format!("producer to consumer, {END_TO_END_PER_SECOND}/s"),
                kind,
                &histogram,
                table::dash(),
            ));
        }
        Ok(())
    })?;
    rows.sort_by(|left, right| left.first().cmp(&right.first()));
    for row in rows {
        table::push(&mut text, &row);
    }
    Ok(format!(
        "## Latency at a fixed rate\n\nOne record of 100 bytes a request, acks 1, {PRODUCERS} producers (one to the \
         consumer). Counted from the time when a request was due, whether or not the ones before were answered.\n\n{text}"
    ))
}

/// The cells of a case, said at once.
pub(super) fn row(case: &str, kind: Kind, histogram: &Histogram, cpu: String) -> Vec<String> {
    let latency = |part| table::millis(histogram.quantile(part));
    let row = vec![case.to_owned(), kind.name().to_owned(), latency(0.5), latency(0.99), latency(0.999), cpu];
    eprintln!("{}", row.join("  "));
    row
}

fn produce_at_rate(
    kind: Kind,
    port: u16,
    pid: u32,
    warm_up: Duration,
    span: Duration,
) -> Result<(Histogram, Duration)> {
    let topic = topic(0);
    if kind != Kind::Bare {
        Client::connect(port)?.create_topic(&topic, i32::try_from(PRODUCERS)?)?;
    }
    let records = batch(1, 100, Codec::None)?;
    let mut connections = Vec::new();
    for partition in 0..PRODUCERS {
        let request = produce(&topic, partition as i32, 1, records.clone())?;
        connections.push((Client::connect(port)?.into_stream(), request));
    }
    let error_at = PRODUCE_ERROR_AT;
    paced(&Paced { connections, error_at, requests_per_second: PRODUCES_PER_SECOND, warm_up, span, pids: vec![pid] })
}

fn to_consumer(port: u16, warm_up: Duration, span: Duration) -> Result<Histogram> {
    let topic = topic(1);
    let mut consumer = Client::connect(port)?;
    consumer.create_topic(&topic, 1)?;
    end_to_end(EndToEnd {
        producer: Client::connect(port)?.into_stream(),
        produce: produce(&topic, 0, 1, batch(1, 100, Codec::None)?)?,
        error_at: PRODUCE_ERROR_AT,
        fetch: |offset| consumer.fetch_behind(&topic, offset),
        requests_per_second: END_TO_END_PER_SECOND,
        warm_up,
        span,
    })
}
