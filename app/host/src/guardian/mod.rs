//! The guardian: a small process beside a broker that closes the broker's ZooKeeper session when the broker's process is gone.
//!
//! Without it, others learn of a crash only when the session times out. The guardian is this binary once more, started by exec, and
//! knows what it is told over a socket of its own: how ZooKeeper is reached, and the key of each new session (`charge`). The socket's
//! end without a farewell is the broker's end, whatever brought it (`watch`); a broker that is stopped, or slow, keeps its socket. What
//! the guardian closes is the session it was told of, never that of a next life of the broker.

mod charge;
mod watch;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use config::BrokerConfig;
use parking_lot::Mutex;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
use zk_client::SessionKey;

use crate::logging::{Level, Log};
use charge::{Charge, FAREWELL};

pub use watch::watch;

/// The command under which the binary is a guardian.
pub const GUARDIAN: &str = "guardian";

const LOGGER: &str = "kafka.server.KafkaServer";

/// Before another guardian takes the place of one that ended; doubled each time, up to the most, as long as each lives shorter than that.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Enough to start a process, and not more: the thread sleeps all its life.
const STACK_BYTES: usize = 256 * 1024;

/// The broker's side. Clones share it.
#[derive(Clone)]
pub struct Guardian {
    shared: Arc<Shared>,
}

struct Shared {
    /// How ZooKeeper is reached.
    reach: Charge,
    told: Mutex<Told>,
    log: Log,
}

#[derive(Default)]
struct Told {
    /// To the guardian that is there.
    socket: Option<OwnedFd>,
    /// The session that it is to close.
    session: Option<SessionKey>,
    /// Nothing is left to be closed.
    farewell: bool,
}

impl Guardian {
    /// Starts the process, and a thread that starts another one if it ends. Without a process the broker runs as well: its
    /// session times out then.
    pub fn start(config: &BrokerConfig, log: Log) -> io::Result<Self> {
        let shared = Arc::new(Shared { reach: Charge::new(config), told: Mutex::default(), log });
        let child = shared.start_process();
        if let Ok(child) = &child {
            let text = format!("Process {} closes the session with ZooKeeper when this one is gone", child.id());
            shared.log.write(Level::Info, LOGGER, text);
        }
        let keeper = Arc::clone(&shared);
        thread::Builder::new().name(GUARDIAN.to_owned()).stack_size(STACK_BYTES).spawn(move || keeper.keep(child))?;
        Ok(Self { shared })
    }

    /// The broker's session is this one now; none: it was closed in good order, and the guardian leaves.
    pub(crate) fn tell(&self, session: Option<&SessionKey>) {
        let mut told = self.shared.told.lock();
        told.farewell = session.is_none();
        told.session = session.cloned();
        // A guardian that is gone is told when there is another one.
        if let Err(error) = self.shared.send(&told)
            && error != rustix::io::Errno::PIPE
        {
            let text =
                format!("The guardian can't be told of a session: {error}. Should this process crash, it times out");
            self.shared.log.write(Level::Warn, LOGGER, text);
        }
    }
}

impl Shared {
    fn send(&self, told: &Told) -> rustix::io::Result<()> {
        let Some(socket) = &told.socket else { return Ok(()) };
        let text = match (&told.session, told.farewell) {
            (Some(session), _) => self.reach.to_text(session),
            (None, true) => FAREWELL.to_owned(),
            (None, false) => return Ok(()),
        };
        // Whole or not at all, and nobody waits for a guardian that does not read.
        send(socket, text.as_bytes(), SendFlags::DONTWAIT | SendFlags::NOSIGNAL).map(|_| ())
    }

    /// Starts a guardian and tells it what is known.
    fn start_process(&self) -> io::Result<Child> {
        let (own, its) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        // This very binary, even when another one lies in its place by now.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("jackdaw").arg(GUARDIAN).stdin(its).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn()?;
        let mut told = self.told.lock();
        told.socket = Some(own);
        // One that has ended already is noticed by who waits for it.
        let _ = self.send(&told);
        Ok(child)
    }

    /// Waits for the guardian's end, and starts another, until there was a farewell.
    fn keep(&self, mut child: io::Result<Child>) {
        let mut pause = PAUSE_MIN;
        loop {
            let started = Instant::now();
            let ended = child.and_then(|mut child| Ok(format!("process {} ended: {}", child.id(), child.wait()?)));
            if self.told.lock().farewell {
                return;
            }
            thread::sleep(pause);
            pause = if started.elapsed() < PAUSE_MAX { (pause * 2).min(PAUSE_MAX) } else { PAUSE_MIN };
            child = self.start_process();
            let what = ended.unwrap_or_else(|error| format!("none could be started: {error}"));
            let next =
                child.as_ref().map_or_else(ToString::to_string, |child| format!("process {} is another", child.id()));
            self.log.write(Level::Warn, LOGGER, format!("The guardian of the session with ZooKeeper: {what}; {next}"));
        }
    }
}
