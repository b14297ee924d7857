//! Open loop: requests leave at a fixed rate, whether or not answers come.
//!
//! A latency counts from the moment a request was due, not from when it left: a server that stalls is charged for all
//! that waited (no coordinated omission). Blocking sockets and a thread for each direction keep the clock simple.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::frames::{ErrorCodeAt, Frames};
use crate::histogram::Histogram;
use crate::usage::cpu_time;

/// A server that is silent for so long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Requests at a rate, in turn over the connections.
pub(crate) struct Paced {
    /// Each with its request, length included.
    pub(crate) connections: Vec<(TcpStream, Vec<u8>)>,
    pub(crate) error_at: ErrorCodeAt,
    pub(crate) requests_per_second: u32,
    pub(crate) warm_up: Duration,
    pub(crate) span: Duration,
    pub(crate) pids: Vec<u32>,
}

/// Runs it: latencies from due time to answer, without those of the warm-up, and the server's CPU time for all.
pub(crate) fn paced(load: &Paced) -> Result<(Histogram, Duration)> {
    let schedule = Schedule::new(load.requests_per_second, load.warm_up, load.span);
    let step = u64::try_from(load.connections.len())?;
    let cpu_start = cpu_time(&load.pids)?;
    let histogram = thread::scope(|scope| -> Result<Histogram> {
        let mut readers = Vec::new();
        for (first, (stream, _)) in (0..step).zip(&load.connections) {
            let stream = stream.try_clone()?;
            let error_at = load.error_at;
            readers.push(scope.spawn(move || read_answers(stream, first, step, schedule, error_at)));
        }
        send_on_time(&load.connections, schedule)?;
        let mut histogram = Histogram::new();
        for reader in readers {
            histogram.add(&reader.join().map_err(|_| anyhow!("a reader panicked"))??);
        }
        Ok(histogram)
    })?;
    Ok((histogram, cpu_time(&load.pids)?.saturating_sub(cpu_start)))
}

/// When each request is due.
#[derive(Clone, Copy)]
struct Schedule {
    start: Instant,
    per_second: u32,
    requests: u64,
    /// Those before are the warm-up.
    first_counted: u64,
}

impl Schedule {
    fn new(per_second: u32, warm_up: Duration, span: Duration) -> Self {
        let requests_in = |time: Duration| (time.as_secs_f64() * f64::from(per_second)) as u64;
        let start = Instant::now() + Duration::from_millis(20);
        Self { start, per_second, requests: requests_in(warm_up + span), first_counted: requests_in(warm_up) }
    }

    fn due(self, number: u64) -> Instant {
        self.start + Duration::from_nanos(number * 1_000_000_000 / u64::from(self.per_second))
    }

    fn record(self, histogram: &mut Histogram, number: u64, now: Instant) {
        if number >= self.first_counted {
            histogram.record(now.saturating_duration_since(self.due(number)));
        }
    }
}

fn send_on_time(connections: &[(TcpStream, Vec<u8>)], schedule: Schedule) -> Result<()> {
    for (number, (stream, request)) in (0..schedule.requests).zip(connections.iter().cycle()) {
        thread::sleep(schedule.due(number).saturating_duration_since(Instant::now()));
        let mut stream = stream;
        stream.write_all(request)?;
    }
    Ok(())
}

/// Reads the answers to the requests `first`, `first + step` and so on.
fn read_answers(
    mut stream: TcpStream,
    first: u64,
    step: u64,
    schedule: Schedule,
    error_at: ErrorCodeAt,
) -> Result<Histogram> {
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    let mut histogram = Histogram::new();
    let mut frames = Frames::new();
    let mut buffer = vec![0; 64 << 10];
    let mut number = first;
    while number < schedule.requests {
        let read = stream.read(&mut buffer).context("no answer to a paced request")?;
        ensure!(read > 0, "the server closed a connection");
        let ended = frames.take(buffer.get(..read).expect("read no more than asked"), error_at)?;
        let now = Instant::now();
        for _ in 0..ended {
            schedule.record(&mut histogram, number, now);
            number += step;
        }
    }
    Ok(histogram)
}

/// Records produced at a rate to one partition that was empty, and read by a consumer that waits for them.
pub(crate) struct EndToEnd<F> {
    pub(crate) producer: TcpStream,
    /// One record, length included.
    pub(crate) produce: Vec<u8>,
    pub(crate) error_at: ErrorCodeAt,
    /// Waits for records at an offset; the offset behind those that came.
    pub(crate) fetch: F,
    pub(crate) requests_per_second: u32,
    pub(crate) warm_up: Duration,
    pub(crate) span: Duration,
}

/// Runs it: latencies from the time a record was due at the producer to its arrival at the consumer. The record's
/// offset tells which it is.
pub(crate) fn end_to_end<F>(load: EndToEnd<F>) -> Result<Histogram>
where
    F: FnMut(u64) -> Result<u64> + Send,
{
    let schedule = Schedule::new(load.requests_per_second, load.warm_up, load.span);
    let mut fetch = load.fetch;
    thread::scope(|scope| {
        let stream = load.producer.try_clone()?;
        let error_at = load.error_at;
        let answers = scope.spawn(move || read_answers(stream, 0, 1, schedule, error_at));
        let consumer = scope.spawn(move || -> Result<Histogram> {
            let mut histogram = Histogram::new();
            let mut offset = 0;
            let mut last_progress = Instant::now();
            while offset < schedule.requests {
                let next = fetch(offset)?;
                let now = Instant::now();
                if next == offset && now.saturating_duration_since(last_progress) > SILENCE_MAX {
                    bail!("nothing behind offset {offset} for {SILENCE_MAX:?}");
                }
                for number in offset..next {
                    schedule.record(&mut histogram, number, now);
                    last_progress = now;
                }
                offset = next;
            }
            Ok(histogram)
        });
        let sent = send_on_time(&[(load.producer, load.produce)], schedule);
        let histogram = consumer.join().map_err(|_| anyhow!("the consumer panicked"))?;
        answers.join().map_err(|_| anyhow!("the producer panicked"))??;
        sent?;
        histogram
    })
}
