//! What is left of a follower: it receives, writes to a file, syncs it and acknowledges.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};

use super::LENGTH_BYTES;
use super::zookeeper::PREALLOCATED_BYTES;

/// Two of three have what the leader and one of these has.
const COUNT: usize = 2;
/// A message without bytes: what came before is committed.
const COMMIT: [u8; LENGTH_BYTES] = [0; LENGTH_BYTES];

/// Those who log what the bare loop logs, each a thread with a connection to it. None, and nothing is waited for.
#[derive(Default)]
pub(super) struct Followers(Vec<Follower>);

struct Follower {
    stream: TcpStream,
    /// Batches that it has not acknowledged.
    owed: usize,
}

impl Followers {
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut followers = Vec::new();
        for number in 0..COUNT {
            let stream = TcpStream::connect(listener.local_addr()?)?;
            let file = File::create(folder.join(format!("follower-{number}")))?;
            // Ends with the process, or with its connection.
            thread::spawn(move || follow(stream, &file));
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            followers.push(Follower { stream, owed: 0 });
        }
        Ok(Self(followers))
    }

    /// Sends a batch to all.
    pub(super) fn propose(&mut self, batch: &[u8]) -> Result<()> {
        let message = [&u32::try_from(batch.len())?.to_be_bytes()[..], batch].concat();
        for follower in &mut self.0 {
            follower.stream.write_all(&message)?;
            follower.owed += 1;
        }
        Ok(())
    }

    /// Waits until one has acknowledged everything, and tells all.
    pub(super) fn commit(&mut self) -> Result<()> {
        while !self.0.is_empty() && self.0.iter().all(|follower| follower.owed > 0) {
            let mut polled: Vec<_> =
                self.0.iter().map(|follower| PollFd::new(&follower.stream, PollFlags::IN)).collect();
            poll(&mut polled, None)?;
            let ready: Vec<bool> = polled.iter().map(|one| !one.revents().is_empty()).collect();
            for (follower, _) in self.0.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
                follower.owed -= match follower.stream.read(&mut [0; 64])? {
                    0 => bail!("a follower has ended"),
                    count => count,
                };
            }
        }
        self.0.iter_mut().try_for_each(|follower| Ok(follower.stream.write_all(&COMMIT)?))
    }
}

/// Logs what comes, until the connection ends.
fn follow(mut stream: TcpStream, file: &File) -> Result<()> {
    stream.set_nodelay(true)?;
    let (mut written, mut allocated) = (0, 0);
    let mut batch = Vec::new();
    loop {
        let mut length = [0; LENGTH_BYTES];
        match stream.read_exact(&mut length) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            result => result?,
        }
        if length == COMMIT {
            continue;
        }
        batch.resize(u32::from_be_bytes(length) as usize, 0);
        stream.read_exact(&mut batch)?;
        let end = written + batch.len() as u64;
        if end > allocated {
            allocated = end + PREALLOCATED_BYTES;
            file.set_len(allocated).context("no room")?;
        }
        file.write_all_at(&batch, written)?;
        written = end;
        file.sync_data()?;
        stream.write_all(&[1])?;
    }
}
