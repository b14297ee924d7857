//! The guardian's own life: it waits for the broker's end, and closes the session that it was told of.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use base::{Monotonic, Now};
use bytes::BytesMut;
use parking_lot::Mutex;
use rustix::net::{RecvFlags, recv};
use zk_client::{Closer, Closing, Effect};

use super::GUARDIAN;
use super::charge::{FAREWELL, Target};
use crate::link::{LinkEffect, Session, run_link};
use crate::{Clock, System};

/// The longest packet: what a `server.properties` says of ZooKeeper is far shorter.
const PACKET_BYTES_MAX: usize = 64 * 1024;

/// Nothing was left to close, or it is closed.
const DONE: i32 = 0;
/// What the broker said was not understood, or the session could not be closed in time.
const FAILED: i32 = 1;

/// Lives beside the broker at the other end of standard input, until that is gone; the exit code.
pub fn watch() -> i32 {
    if let Err(error) = detach() {
        eprintln!("jackdaw {GUARDIAN}: {error}");
        return FAILED;
    }
    match await_end(rustix::stdio::stdin()) {
        Ok(Some(target)) => close(target),
        Ok(None) => DONE,
        Err(error) => {
            eprintln!("jackdaw {GUARDIAN}: {error}");
            FAILED
        }
    }
}

/// Waits until the broker has said farewell, or is gone: then what is to be closed, if it said so much.
fn await_end(broker: impl AsFd) -> Result<Option<Target>, String> {
    let mut target = None;
    let mut packet = vec![0; PACKET_BYTES_MAX];
    loop {
        let length = match recv(&broker, packet.as_mut_slice(), RecvFlags::TRUNC) {
            Ok((_, 0)) | Err(rustix::io::Errno::CONNRESET) => return Ok(target),
            Ok((_, length)) => length,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(format!("standard input leads to no broker: {error}")),
        };
        let packet = packet.get(..length).ok_or("a packet that is too long")?;
        if packet == FAREWELL.as_bytes() {
            return Ok(None);
        }
        target = Some(Target::parse(packet)?);
    }
}

/// Closes the session; a runtime is had only now.
fn close(target: Target) -> i32 {
    let started = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (Ok(runtime), Ok(random)) = (started, System::random()) else { return FAILED };
    let clock = Clock::start();
    let closer = Closer::new(target.config, target.session, random, clock.now().monotonic);
    let session = Arc::new(OfTheDead(Mutex::new(closer)));
    runtime.block_on(run_link(Arc::clone(&session), target.tls.map(Arc::new), Arc::default(), clock));
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    match session.0.lock().ended() {
        Some(Closing::Closed) => DONE,
        Some(Closing::GivenUp) | None => FAILED,
    }
}

/// The session, as the link drives it.
struct OfTheDead(Mutex<Closer>);

impl Session for OfTheDead {
    fn take_effects(&self) -> Vec<LinkEffect> {
        let link_effect = |effect| match effect {
            Effect::Connect(host) => Some(LinkEffect::Connect { host: host.name, port: host.port }),
            Effect::Send(bytes) => Some(LinkEffect::Send(bytes)),
            Effect::Disconnect => Some(LinkEffect::Disconnect),
            Effect::Event(_) => None,
        };
        self.0.lock().take_effects().into_iter().filter_map(link_effect).collect()
    }

    fn deadline(&self) -> Option<Monotonic> {
        self.0.lock().deadline()
    }

    fn dialling(&self, _server: &str) {}

    fn connected(&self, _local: SocketAddr, _server: &str, now: Now) {
        self.0.lock().connected(now.monotonic);
    }

    fn disconnected(&self, _server: &str, _error: Option<&io::Error>, now: Now) {
        self.0.lock().disconnected(now.monotonic);
    }

    fn received(&self, input: &mut BytesMut, now: Now) {
        self.0.lock().receive(&input.split(), now.monotonic);
    }

    fn tick(&self, now: Now) {
        self.0.lock().tick(now.monotonic);
    }

    fn is_over(&self) -> bool {
        self.0.lock().ended().is_some()
    }
}

/// Leaves all that the broker shares with those who end it: its terminal, its signals, its descriptors, its name.
fn detach() -> io::Result<()> {
    // Whoever leads a group of processes is refused, and has no terminal's signals to fear from others either.
    let _ = rustix::process::setsid();
    ignore_signals();
    close_descriptors()?;
    // So that who ends all processes of this binary's name has its session closed.
    std::fs::write("/proc/self/comm", GUARDIAN)
}

#[expect(unsafe_code, reason = "no library in use has the system ignore a signal")]
fn ignore_signals() {
    let to_groups =
        [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    for signal in to_groups.into_iter().chain([libc::SIGUSR1, libc::SIGUSR2, libc::SIGALRM]) {
        // SAFETY: ignoring a signal runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Closes what the broker itself was given beyond the standard streams: a pipe or a lock would seem to live on with the guardian.
#[expect(unsafe_code, reason = "nobody in this process owns these descriptors")]
fn close_descriptors() -> io::Result<()> {
    let open = std::fs::read_dir("/proc/self/fd")?;
    let numbers: Vec<libc::c_int> =
        open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(|number| *number > 2).collect();
    for number in numbers {
        // SAFETY: the process has just begun: but for the folder's own, which is closed, nobody uses a descriptor beyond the streams.
        unsafe { libc::close(number) };
    }
    Ok(())
}
