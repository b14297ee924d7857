//! Closed loop: each connection keeps a window of requests under way, as fast as the server answers.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{Timespec, epoll};

use super::connection::{Connection, Template};
use super::frames::ErrorCodeAt;
use crate::histogram::Histogram;
use crate::usage::{cpu_time, thread_time};

const READ_BYTES: usize = 256 << 10;
/// A server that is silent for so long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// One case: connections that are ready for requests, and what each sends.
pub(crate) struct Load {
    pub(crate) connections: Vec<(TcpStream, Template)>,
    pub(crate) window: usize,
    pub(crate) error_at: ErrorCodeAt,
    /// Not counted: caches, compilers and sockets warm up.
    pub(crate) warm_up: Duration,
    pub(crate) span: Duration,
    /// Ends earlier once so many requests are answered, the warm-up's included.
    pub(crate) requests_max: u64,
    /// The servers, for their CPU time.
    pub(crate) pids: Vec<u32>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
    pub(crate) server_cpu: Duration,
    /// The generator's own: near `elapsed`, it was the limit and not the server.
    pub(crate) generator_cpu: Duration,
    pub(crate) latencies: Histogram,
}

impl Measured {
    /// The same, counted in records, of which each request has so many.
    pub(crate) const fn in_records(mut self, records: usize) -> Self {
        self.requests *= records as u64;
        self
    }
}

/// Runs one case to its end, the last answers included.
pub(crate) fn run(load: Load) -> Result<Measured> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("epoll")?;
    let mut connections = Vec::new();
    for (at, (stream, template)) in load.connections.into_iter().enumerate() {
        epoll::add(&epoll, &stream, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN).context("epoll")?;
        connections.push(Connection::new(stream, template, load.window)?);
    }
    let mut generator =
        Generator { epoll, connections, buffer: vec![0; READ_BYTES], error_at: load.error_at, filling: true };
    generator.start()?;
    let mut latencies = Histogram::new();
    let warm_until = Instant::now() + load.warm_up;
    while Instant::now() < warm_until && latencies.count() < load.requests_max {
        generator.turn(&mut latencies)?;
    }
    let left = load.requests_max.saturating_sub(latencies.count());
    let mut latencies = Histogram::new();
    let (start, server_start, own_start) = (Instant::now(), cpu_time(&load.pids)?, thread_time());
    while start.elapsed() < load.span && latencies.count() < left {
        generator.turn(&mut latencies)?;
    }
    let measured = Measured {
        requests: latencies.count(),
        elapsed: start.elapsed(),
        server_cpu: cpu_time(&load.pids)?.saturating_sub(server_start),
        generator_cpu: thread_time() - own_start,
        latencies,
    };
    generator.drain()?;
    Ok(measured)
}

struct Generator {
    epoll: std::os::fd::OwnedFd,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    error_at: ErrorCodeAt,
    /// Whether an answer makes room for a new request.
    filling: bool,
}

impl Generator {
    fn start(&mut self) -> Result<()> {
        let now = Instant::now();
        for at in 0..self.connections.len() {
            self.advance(at, |connection| connection.fill_window(now))?;
        }
        Ok(())
    }

    /// Waits for sockets that are ready and serves each once.
    fn turn(&mut self, latencies: &mut Histogram) -> Result<()> {
        let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 128];
        let timeout = Timespec { tv_sec: SILENCE_MAX.as_secs() as i64, tv_nsec: 0 };
        let ready = match epoll::wait(&self.epoll, &mut events, Some(&timeout)) {
            Ok(0) => bail!("no answer for {SILENCE_MAX:?}"),
            Ok(ready) => ready,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for event in events.iter().take(ready) {
            let (flags, data) = (event.flags, event.data);
            let at = usize::try_from(data.u64()).expect("an index of ours");
            if flags.contains(epoll::EventFlags::OUT) {
                self.advance(at, Connection::send)?;
            }
            if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
                let connection = self.connections.get_mut(at).expect("an index of ours");
                let ended = connection.receive(&mut self.buffer, self.error_at, latencies)?;
                if ended > 0 && self.filling {
                    let now = Instant::now();
                    self.advance(at, |connection| connection.fill_window(now))?;
                }
            }
        }
        Ok(())
    }

    /// Lets a connection send, and asks to be woken if its socket is full.
    fn advance(&mut self, at: usize, send: impl FnOnce(&mut Connection) -> Result<()>) -> Result<()> {
        let connection = self.connections.get_mut(at).expect("an index of ours");
        let waited = connection.waits_to_write;
        send(connection)?;
        if waited != connection.waits_to_write {
            let out = if connection.waits_to_write { epoll::EventFlags::OUT } else { epoll::EventFlags::empty() };
            let flags = epoll::EventFlags::IN | out;
            epoll::modify(&self.epoll, &connection.stream, epoll::EventData::new_u64(at as u64), flags)?;
        }
        Ok(())
    }

    /// Takes the last answers, so that the next case meets an idle server.
    fn drain(&mut self) -> Result<()> {
        self.filling = false;
        let mut latencies = Histogram::new();
        while self.connections.iter().any(|connection| connection.under_way() > 0) {
            self.turn(&mut latencies)?;
        }
        Ok(())
    }
}
