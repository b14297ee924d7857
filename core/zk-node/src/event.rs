//! What the owner of a [`Server`](crate::Server) tells it, and what the server asks for in return.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use base::{Job, Slow};
use bytes::Bytes;
use config::zookeeper::HostPort;
use zk_store::{LogBatchDone, StoreError};
use zk_zab::LinkId;

use crate::member::{EpochStored, ListKept, LogRead, Matched};
use crate::snapshot::Written;

/// Names one connection for its whole life. Chosen by the host, never used twice while the server lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Something happened outside of the state machine.
#[derive(Debug)]
pub enum Event {
    /// A client connected. The first event of a connection.
    Opened {
        /// The connection's new name.
        connection: ConnectionId,
        /// Where the client is: for limits per address, the `ip` scheme, logs and the `cons` command.
        peer: SocketAddr,
        /// What the client has shown and the host has found to be trusted, its own certificate first, DER; nothing if it was not
        /// asked, or had none. `None` if it came in plain text.
        certificates: Option<Box<[Bytes]>>,
    },
    /// Bytes arrived, cut anywhere. The chunk is shared, not copied: what the server keeps for long it copies out.
    Received {
        /// Who sent them.
        connection: ConnectionId,
        /// What was read from the socket at once; some 64 KiB at most is a good size.
        bytes: Bytes,
    },
    /// More than some 1 MiB waits unsent for this client, or no longer so. Until then it is given no more replies.
    Congested {
        /// Which connection.
        connection: ConnectionId,
        /// Whether it is so now.
        congested: bool,
    },
    /// The client closed, or the socket failed, or a [`Effect::Close`] was carried out. The last event of a connection;
    /// nothing is sent to it any more.
    Closed {
        /// The connection that is gone.
        connection: ConnectionId,
    },
    /// Something happened to a connection with another server of the ensemble.
    Link(LinkEvent),
    /// A [`DiskTask`] is finished.
    Disk(DiskDone),
    /// Time has passed: [`Server::deadline`](crate::Server::deadline) is reached.
    Tick,
    /// Stop in good order: answer what is in the pipeline, take nothing new, close all connections, then
    /// [`Effect::Stop`]. Sessions stay open for a later start.
    Stop,
}

/// Which of a server's ports for other servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerPort {
    /// Votes: the second port of a `server.N` line.
    Election,
    /// A leader and its learners: the first port.
    Quorum,
    /// A follower and the observers that it feeds: `observerMasterPort`.
    Observers,
}

/// Something happened to a connection with another server.
#[derive(Debug)]
pub enum LinkEvent {
    /// Another server connected. The first event of such a link; the host chose its name, below 2^63.
    Accepted {
        /// The link's new name.
        link: LinkId,
        /// The port it came in by.
        port: PeerPort,
        /// Where it came from, for logs.
        peer: SocketAddr,
    },
    /// A [`LinkEffect::Dial`] has succeeded.
    Connected {
        /// The link's name, as in the effect.
        link: LinkId,
    },
    /// Bytes arrived, cut anywhere.
    Received {
        /// From whom.
        link: LinkId,
        /// What was read from the socket at once.
        bytes: Bytes,
    },
    /// More than some 1 MiB waits unsent, or no longer so.
    Congested {
        /// Which link.
        link: LinkId,
        /// Whether it is so now.
        congested: bool,
    },
    /// The link is gone: it could not be made, failed, was closed by the peer, or a [`LinkEffect::Close`] was carried out.
    /// The last event of a link.
    Closed {
        /// Which link.
        link: LinkId,
        /// Why, in words for the log.
        reason: Cow<'static, str>,
    },
}

/// What the server wants of its connections with other servers.
#[derive(Debug)]
pub enum LinkEffect {
    /// Connect to the first of these addresses that answers; report [`LinkEvent::Connected`] or [`LinkEvent::Closed`].
    Dial {
        /// The link's name from now on, 2^63 or above.
        link: LinkId,
        /// Names are resolved anew for each attempt.
        addresses: Vec<HostPort>,
        /// For all of it.
        timeout_ms: u64,
    },
    /// Send `bytes` behind all earlier bytes of this link.
    Send {
        /// To whom.
        link: LinkId,
        /// Whole packets.
        bytes: Bytes,
    },
    /// Read no more from this link until told otherwise. A chunk read already may still be delivered.
    PauseReading(LinkId),
    /// Read again.
    ResumeReading(LinkId),
    /// Close this link once what was sent before is written (or it fails, or is not read for a while).
    Close(LinkId),
}

/// What the server wants done, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Send `bytes` behind all earlier bytes of this connection. At most one for each connection and turn.
    ///
    /// While more than some 1 MiB waits unsent, the host says so ([`Event::Congested`]) and reads nothing from that
    /// connection: a client that does not read gets no more replies and, pinging no more, loses its session.
    Send {
        /// Who gets them.
        connection: ConnectionId,
        /// Whole frames.
        bytes: Bytes,
    },
    /// Read no more from this connection until told otherwise (throttling). A chunk read already may still be delivered.
    PauseReading(ConnectionId),
    /// Read again.
    ResumeReading(ConnectionId),
    /// Close this connection once all bytes sent before are written (or it fails, or does not read them for a while),
    /// then report [`Event::Closed`]. The server has forgotten it by now and ignores what it still sends.
    Close(ConnectionId),
    /// Of a connection with another server.
    Link(LinkEffect),
    /// Accept clients here from now on, and no longer where they were accepted; connections that there are stay. The secure
    /// port is another one.
    ServeClients(HostPort),
    /// The same for other servers, of one of the two ports.
    ServePeers {
        /// Which port.
        port: PeerPort,
        /// Where; names are to be resolved. Nowhere, if there is none.
        addresses: Vec<HostPort>,
    },
    /// Run this on a disk thread, then report [`Event::Disk`].
    Disk(DiskTask),
    /// Write this line to the log.
    Log(LogLine),
    /// The server has ended: no further event changes anything. A background task may still be under way; what a snapshot
    /// that breaks off leaves is removed at the next start.
    Stop(StopReason),
}

/// Effects in the order in which they are to be carried out.
pub type Effects = Vec<Effect>;

/// Why a server ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// It was asked to, by [`Event::Stop`].
    Requested,
    /// The transaction log could not be written or synced. What is not acknowledged may or may not be there after a
    /// restart; everything acknowledged is.
    LogFailed(String),
    /// A snapshot could not be written. The original ends with exit code 10.
    SnapshotFailed(String),
}

impl fmt::Display for StopReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Requested => "it was asked to end",
            Self::LogFailed(reason) | Self::SnapshotFailed(reason) => reason.as_str(),
        })
    }
}

impl StopReason {
    /// The exit code of the process, as in the original's `ExitCode`.
    pub const fn exit_code(&self) -> i32 {
        match self {
            Self::Requested => 0,
            Self::LogFailed(_) => 1,
            Self::SnapshotFailed(_) => 10,
        }
    }
}

/// How much a log line matters, as in log4j.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who follow single requests.
    Debug,
    /// The ordinary course of things.
    Info,
    /// Something a person may want to look at.
    Warn,
    /// A person must act.
    Error,
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// The original's logger, a Java class name: log4j.properties selects by it.
    pub logger: &'static str,
    /// The text; behind a line break, the exception that it is about.
    pub message: Cow<'static, str>,
}

/// Which disk thread a task wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Somebody waits for an answer: never behind a task of the other lane. At most one is under way.
    Log,
    /// Snapshots and purging, in the order given.
    Background,
}

/// Work that may wait for a disk.
pub struct DiskTask {
    lane: Lane,
    work: Work,
}

type Work = Box<dyn FnOnce(&Slow) -> Outcome + Send>;

impl DiskTask {
    /// Work of one step.
    pub(crate) fn new(lane: Lane, work: impl FnOnce(&Slow) -> Outcome + Send + 'static) -> Self {
        Self { lane, work: Box::new(work) }
    }

    /// Which thread it wants.
    pub const fn lane(&self) -> Lane {
        self.lane
    }

    /// Does the work, which is bounded: a batch of the log, a slice of a snapshot. The outcome is for [`Event::Disk`].
    pub fn run(self, slow: &Slow) -> DiskDone {
        DiskDone((self.work)(slow))
    }

    /// The task as a job of the host, which hands the outcome to `report`.
    pub fn into_job(self, report: impl FnOnce(DiskDone) + Send + 'static) -> Box<dyn Job> {
        base::once(move |slow| report(self.run(slow)))
    }
}

impl fmt::Debug for DiskTask {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DiskTask({:?})", self.lane)
    }
}

/// The outcome of a [`DiskTask`], to be handed back in [`Event::Disk`].
#[derive(Debug)]
pub struct DiskDone(pub(crate) Outcome);

/// What a task reports.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A batch of the log is written, or not.
    Log(Box<LogBatchDone>),
    /// The log is closed, its padding cut off.
    LogClosed(Result<(), StoreError>),
    /// A slice of the snapshot of this number is written, or the whole.
    Snapshot(u64, Result<Written, StoreError>),
    /// What there was of a snapshot that was given up is removed, or not.
    SnapshotAbandoned(Result<(), StoreError>),
    /// An epoch's file is written, or not.
    Epoch(EpochStored),
    /// A list of servers is in its files, or not.
    List(ListKept),
    /// A piece of the log is read for a learner.
    LogRead(LogRead),
    /// Log or tree are made to match the leader's, or a step further.
    Matched(Matched),
    /// Old files are removed.
    Purge(Result<Vec<PathBuf>, StoreError>),
}
