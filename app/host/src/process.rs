//! The process: what it may use, and how it is told to stop.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Raises the limit of open descriptors to the hard one; the limit that holds then.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    current.unwrap_or(u64::MAX)
}

/// The limit of open descriptors as it is.
pub(crate) fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// A signal that asks the process to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGHUP: the terminal is gone. Not listened to under `nohup`.
    HangUp,
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl StopSignal {
    /// The exit code that the JVM gives for it.
    pub const fn exit_code(self) -> i32 {
        match self {
            Self::HangUp => 129,
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// Listens to the signals that stop a process.
pub struct StopSignals {
    hang_up: Option<Signal>,
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Starts to listen; on a tokio runtime.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            hang_up: if is_ignored(libc::SIGHUP) { None } else { Some(signal(SignalKind::hangup())?) },
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> StopSignal {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => _ = signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = hang_up => StopSignal::HangUp,
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.terminate.recv() => StopSignal::Terminate,
        }
    }

    /// Waits for a Ctrl-C while the process stops: somebody at a terminal who will wait no longer. Other signals pass unheeded then, as
    /// the JVM lets them pass: `kafka-server-stop.sh`, run once for each of a machine's brokers, signals all of them each time.
    pub async fn impatience(&mut self) -> StopSignal {
        self.interrupt.recv().await;
        StopSignal::Interrupt
    }
}

/// Whether whoever started the process had it ignore a signal.
#[expect(unsafe_code, reason = "no library in use asks for a signal's disposition")]
fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: plain data for which zeros are valid; the call only fills it in.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a null new action only asks; `action` outlives the call.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}
