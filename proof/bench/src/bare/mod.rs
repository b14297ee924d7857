//! The bare loop: what is left of a server when it only receives, checksums, writes to a file and answers.
//!
//! The limit that the figures are held against. One thread, one epoll, no state but the sockets. It runs as a process
//! of its own (`bench bare kafka|zookeeper|ensemble FOLDER`), so that its CPU time is its own, and prints the port it listens
//! on.

mod followers;
mod kafka;
mod zookeeper;

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::event::epoll;

use self::followers::Followers;

/// Room for one read; grows to the longest frame.
const BUFFER_BYTES: usize = 256 << 10;
const LENGTH_BYTES: usize = 4;

/// What differs between the systems.
trait Protocol {
    /// Serves one frame (without its length); the answer, length included, is appended to the output.
    fn serve(&mut self, frame: &[u8], connection: &mut Channel) -> Result<()>;

    /// Before the answers of one round leave: makes durable what must be.
    fn commit(&mut self) -> Result<()>;

    /// A file of its own for each connection, or one for all.
    fn open(&self, folder: &Path) -> Result<Option<File>>;
}

/// What a protocol sees of a connection.
struct Channel {
    output: Vec<u8>,
    /// To be sent behind the output, from a file in the page cache.
    range: Option<Range>,
    file: Option<File>,
    frames: u64,
}

/// The first bytes of a file.
struct Range {
    file: File,
    sent: u64,
    bytes: u64,
}

struct Connection {
    stream: TcpStream,
    channel: Channel,
    input: Vec<u8>,
    filled: usize,
    sent: usize,
    waits_to_write: bool,
}

/// Serves until the process is ended.
pub(crate) fn serve(system: &str, folder: &Path) -> Result<()> {
    match system {
        "kafka" => Loop::new(kafka::Kafka::new(folder)?, folder)?.run(),
        "zookeeper" => Loop::new(zookeeper::ZooKeeper::new(folder, Followers::default())?, folder)?.run(),
        "ensemble" => Loop::new(zookeeper::ZooKeeper::new(folder, Followers::start(folder)?)?, folder)?.run(),
        other => bail!("no bare loop for '{other}'"),
    }
}

struct Loop<'a, P> {
    protocol: P,
    folder: &'a Path,
    epoll: OwnedFd,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
}

const LISTENER: u64 = u64::MAX;

impl<'a, P: Protocol> Loop<'a, P> {
    fn new(protocol: P, folder: &'a Path) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
        println!("{}", listener.local_addr()?.port());
        Ok(Self { protocol, folder, epoll, listener, connections: Vec::new() })
    }

    fn run(mut self) -> Result<()> {
        let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 128];
        loop {
            let ready = epoll::wait(&self.epoll, &mut events, None).context("epoll")?;
            let mut round = Vec::with_capacity(ready);
            for event in events.iter().take(ready) {
                let data = event.data;
                if data.u64() == LISTENER {
                    self.accept()?;
                } else {
                    round.push(usize::try_from(data.u64())?);
                }
            }
            round.retain(|at| self.receive(*at));
            self.protocol.commit()?;
            for at in round {
                self.send(at);
            }
        }
    }

    fn accept(&mut self) -> Result<()> {
        let (stream, _) = self.listener.accept()?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let at = self.connections.len() as u64;
        epoll::add(&self.epoll, &stream, epoll::EventData::new_u64(at), epoll::EventFlags::IN)?;
        let file = self.protocol.open(self.folder)?;
        self.connections.push(Some(Connection {
            stream,
            channel: Channel { output: Vec::new(), range: None, file, frames: 0 },
            input: vec![0; BUFFER_BYTES],
            filled: 0,
            sent: 0,
            waits_to_write: false,
        }));
        Ok(())
    }

    /// Whether the connection is still there.
    fn receive(&mut self, at: usize) -> bool {
        let Some(place) = self.connections.get_mut(at) else { return false };
        let Some(connection) = place else { return false };
        if connection.receive(&mut self.protocol).is_err() {
            *place = None;
            return false;
        }
        true
    }

    fn send(&mut self, at: usize) {
        let Some(place) = self.connections.get_mut(at) else { return };
        let Some(connection) = place else { return };
        let waited = connection.waits_to_write;
        if connection.send().is_err() {
            *place = None;
            return;
        }
        if waited != connection.waits_to_write {
            let flags = if connection.waits_to_write { epoll::EventFlags::OUT } else { epoll::EventFlags::IN };
            let changed = epoll::modify(&self.epoll, &connection.stream, epoll::EventData::new_u64(at as u64), flags);
            changed.expect("the socket is registered");
        }
    }
}

impl Connection {
    /// Reads once and serves the frames that are whole. A connection that waits to write is not read.
    fn receive(&mut self, protocol: &mut impl Protocol) -> Result<()> {
        if self.waits_to_write {
            return Ok(());
        }
        match self.stream.read(self.input.get_mut(self.filled..).context("no room")?) {
            Ok(0) => bail!("closed"),
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let mut used = 0;
        while let Some(rest) = self.input.get(used..self.filled)
            && let Some(length) = rest.first_chunk()
        {
            let end = LENGTH_BYTES + u32::from_be_bytes(*length) as usize;
            let Some(frame) = rest.get(LENGTH_BYTES..end) else {
                let wanted = used + end;
                if self.input.len() < wanted {
                    self.input.resize(wanted.next_power_of_two(), 0);
                }
                break;
            };
            protocol.serve(frame, &mut self.channel)?;
            self.channel.frames += 1;
            used += end;
        }
        self.input.copy_within(used..self.filled, 0);
        self.filled -= used;
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        self.waits_to_write = false;
        while let Some(left) = self.channel.output.get(self.sent..).filter(|left| !left.is_empty()) {
            match self.stream.write(left) {
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.waits_to_write = true;
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.channel.output.clear();
        self.sent = 0;
        while let Some(range) = &mut self.channel.range {
            let left = usize::try_from(range.bytes - range.sent)?;
            match rustix::fs::sendfile(&self.stream, &range.file, Some(&mut range.sent), left) {
                Ok(0) => bail!("the file is too short"),
                Ok(_) if range.sent == range.bytes => self.channel.range = None,
                Ok(_) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    self.waits_to_write = true;
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
