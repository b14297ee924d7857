//! One connection: a task on its loop reads, anybody sends.
//!
//! The task holds no buffer while nothing arrives: it reads into one that its loop's connections share. What is sent is
//! queued and written at once by whoever sends it, on any thread; only what the socket does not take waits for the task. Who finds
//! another thread writing leaves the queue to that one: nobody waits for a call into the system. While too much waits, nothing is read,
//! so that a peer that does not read can't make us hold ever more.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use base::Part;
use bytes::BytesMut;
use parking_lot::{Mutex, MutexGuard};
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, Sleep};

use super::output::Output;
use super::transport::{Tls, Transport};

/// How much is read at once, at most: several of a busy producer's requests.
const CHUNK_LENGTH: usize = 256 * 1024;
/// A shared read buffer with less room than this is replaced, if somebody still has a view of it.
const CHUNK_LENGTH_MIN: usize = 8 * 1024;
/// Reads in one turn of the task, after which others come first.
const READS_MAX: usize = 8;
/// How often one thread writes what others queue meanwhile, before the task goes on with it.
const WRITES_MAX: usize = 16;
/// How often a paused connection is looked at: whether its peer is still there.
const LOOK: Duration = Duration::from_secs(1);
/// How long a closed connection may take to read what is left for it.
const LINGER: Duration = Duration::from_secs(5);

thread_local! {
    static CHUNK: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// What is done with what arrives. Lives in the connection's task and is called on its loop alone.
pub trait Handler: Send + Unpin + 'static {
    /// Bytes arrived, cut anywhere. The chunk shares a buffer with others: copy what is kept for long.
    fn received(&mut self, chunk: BytesMut);

    /// A frame that is not complete yet, with room for what is missing: the next bytes are read straight into that room, and
    /// [`Handler::extended`] is called. Without one, and without room, chunks come.
    fn incomplete(&mut self) -> Option<&mut BytesMut> {
        None
    }

    /// Bytes were added to what [`Handler::incomplete`] gave.
    fn extended(&mut self) {}

    /// The waker that [`Connection::waker`] gave was used.
    fn woken(&mut self) {}

    /// The peer of a paused connection has closed its side, behind what it sent last. Comes within a second or so, unless more was
    /// sent than the socket takes: then the end is not here yet, and is seen once the connection goes on.
    fn left(&mut self) {}

    /// More than [`Limits::output_max`] waits to be sent, or no longer so.
    fn congested(&mut self, _congested: bool) {}

    /// Nothing arrives any more: the peer closed its side, the connection failed, or was closed. Called once, and the last call. The
    /// peer may still read: what is sent goes out until [`Connection::close`], which is to follow, or for five seconds.
    fn closed(&mut self);
}

/// Bounds of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// While more bytes than this wait to be sent, nothing is read.
    pub output_max: usize,
    /// Read even then: the handler, who is told ([`Handler::congested`]), sees to it that no more is sent.
    pub reads_when_congested: bool,
    /// A connection on which nothing arrives for this long is closed.
    pub idle: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { output_max: 1 << 20, reads_when_congested: false, idle: None }
    }
}

/// The sending side of a connection, shared by all who send. The socket is closed when the task has ended, whoever still holds one of
/// these: an answer that is waited for must not keep the descriptor of a client that left.
pub struct Connection {
    peer: SocketAddr,
    /// Held over calls into the system, by one thread at a time. Locked before `state`, if both are.
    wire: Mutex<Wire>,
    /// Held briefly.
    state: Mutex<State>,
}

/// The socket's sending side, in the hands of whoever writes.
struct Wire {
    /// Gone with the task.
    stream: Option<OwnedWriteHalf>,
    /// What encrypts, if anything does.
    tls: Option<Tls>,
    /// What was taken from the queue.
    output: Output,
    /// Nothing will be queued any more: behind the output the peer is told so, where that is told.
    ending: bool,
}

#[derive(Default)]
struct State {
    queue: Output,
    /// Bytes that were taken from the queue and are not written yet.
    taken: usize,
    /// The task is to write what is left, when the socket has room.
    left_to_task: bool,
    /// Closed when the output is written.
    closing: bool,
    /// Sending failed, or the task has ended: nothing is queued any more.
    dead: bool,
    /// What ended it, if it failed.
    failure: Option<io::Error>,
    paused: bool,
    /// Too much waits to be sent: the task is to see when there is room again.
    congested: bool,
    task: Option<Waker>,
    /// The handler is to be told that it was woken.
    woken: bool,
}

impl Wake for Connection {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.woken = true;
        state.wake();
    }
}

impl Connection {
    /// Where the peer is.
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Wakes the connection's handler, from any thread: [`Handler::woken`].
    pub fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// Puts a part behind what waits, to be written by the next [`Connection::flush`].
    pub fn queue(&self, part: Part) {
        self.queue_all(std::iter::once(part));
    }

    /// Puts parts behind what waits and writes what the socket takes at once.
    pub fn send(&self, parts: impl Iterator<Item = Part>) {
        self.queue_all(parts);
        self.flush();
    }

    fn queue_all(&self, parts: impl Iterator<Item = Part>) {
        let mut state = self.state.lock();
        if !state.dead && !state.closing {
            parts.for_each(|part| state.queue.push(part));
        }
    }

    /// Writes what the socket takes at once; the connection's task writes the rest when it takes more. What is queued while another thread
    /// writes is written by that one.
    pub fn flush(&self) {
        let Some(wire) = self.wire.try_lock() else { return };
        let mut state = self.write(wire);
        if state.left_to_task || state.dead || state.closing || state.congested {
            state.wake();
        }
    }

    /// Writes until nothing is queued; what the socket does not take, or others queue for too long, is left to the task. The wire is given
    /// back under the state's lock: whoever queues something later finds it free.
    fn write(&self, mut wire: MutexGuard<'_, Wire>) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        for _ in 0..WRITES_MAX {
            wire.output.append(&mut state.queue);
            state.taken = wire.output.len();
            // As long as this thread is at it, the task is not to try again and again.
            state.left_to_task = false;
            let written = MutexGuard::unlocked(&mut state, || wire.write());
            state.left_to_task = matches!(written, Ok(false));
            if let Err(error) = written {
                state.failure.get_or_insert(error);
                state.dead = true;
                state.queue.clear();
                wire.output.clear();
            }
            state.taken = wire.output.len();
            if state.left_to_task || state.queue.len() == 0 {
                return state;
            }
        }
        state.left_to_task = true;
        state
    }

    /// Closes when all that was queued is written, or can't be.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closing = true;
        state.wake();
    }

    /// Reads no more, until [`Connection::resume`].
    pub fn pause(&self) {
        self.state.lock().paused = true;
    }

    /// Reads again.
    pub fn resume(&self) {
        let mut state = self.state.lock();
        state.paused = false;
        state.wake();
    }

    /// Bytes that are queued and not written.
    pub fn unsent(&self) -> usize {
        self.state.lock().unsent()
    }

    /// What ended the connection, unless it was closed by one of its sides.
    pub fn take_failure(&self) -> Option<io::Error> {
        self.state.lock().failure.take()
    }

    /// Serves a connection until it ends. `handler` is made with the sending side.
    pub async fn serve<H: Handler>(
        transport: impl Into<Transport>,
        peer: SocketAddr,
        limits: Limits,
        handler: impl FnOnce(&Arc<Self>) -> H,
    ) {
        let Transport { stream, session, .. } = transport.into();
        let (reader, stream) = stream.into_split();
        let wire = Wire { stream: Some(stream), tls: session.map(Tls::new), output: Output::default(), ending: false };
        let secure = wire.tls.is_some();
        let connection = Arc::new(Self { peer, wire: Mutex::new(wire), state: Mutex::default() });
        let handler = handler(&connection);
        Task {
            connection,
            reader,
            handler,
            secure,
            fresh: true,
            ended: false,
            congested: false,
            limits,
            deadline: None,
            look: None,
            last_read: Instant::now(),
        }
        .await;
    }
}

impl Wire {
    /// Whether nothing is left to write.
    fn write(&mut self) -> io::Result<bool> {
        let Some(stream) = &self.stream else { return Ok(true) };
        let Some(tls) = &mut self.tls else { return self.output.write_to(stream.as_ref()) };
        let done = tls.write(&mut self.output, stream.as_ref())?;
        if !done || !self.ending {
            return Ok(done);
        }
        tls.say_end();
        tls.write(&mut self.output, stream.as_ref())
    }
}

impl State {
    fn unsent(&self) -> usize {
        self.taken + self.queue.len()
    }

    fn wake(&mut self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}

struct Task<H: Handler> {
    connection: Arc<Connection>,
    reader: OwnedReadHalf,
    handler: H,
    /// What arrives is encrypted.
    secure: bool,
    /// What came with the end of the handshake is still to be taken.
    fresh: bool,
    /// The handler knows that nothing arrives any more.
    ended: bool,
    /// What the handler knows of the output.
    congested: bool,
    limits: Limits,
    deadline: Option<Pin<Box<Sleep>>>,
    /// The next look for a paused connection's peer.
    look: Option<Pin<Box<Sleep>>>,
    last_read: Instant,
}

/// What a look at the sending side says.
enum Sending {
    Dead,
    Closed,
    /// The handler was woken meanwhile, by somebody who may have found no task to wake.
    Woken,
    /// May the task read, and is a close under way?
    Open {
        read: bool,
        paused: bool,
        closing: bool,
        unsent: bool,
        congested: bool,
    },
}

impl<H: Handler> Future for Task<H> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let task = &mut *self;
        for _ in 0..READS_MAX {
            let woken = std::mem::take(&mut task.connection.state.lock().woken);
            if woken && !task.ended {
                task.handler.woken();
            }
            let (read, paused, closing, unsent, congested) = match task.look_at_sending(context) {
                Sending::Dead => return Poll::Ready(()),
                Sending::Closed => {
                    // A failure means that the peer was faster.
                    let _ = rustix::net::shutdown(task.reader.as_ref(), rustix::net::Shutdown::Both);
                    return Poll::Ready(());
                }
                Sending::Woken => continue,
                Sending::Open { read, paused, closing, unsent, congested } => {
                    (read, paused, closing, unsent, congested)
                }
            };
            if congested != task.congested && !task.ended {
                task.congested = congested;
                task.handler.congested(congested);
            }
            if unsent && task.reader.as_ref().poll_write_ready(context).is_ready() {
                continue;
            }
            if task.is_overdue(closing || task.ended, context) {
                task.connection.state.lock().failure.get_or_insert(io::ErrorKind::TimedOut.into());
                return Poll::Ready(());
            }
            if paused && !closing && !task.ended && task.has_left(context) {
                task.handler.left();
                continue;
            }
            if !read {
                return Poll::Pending;
            }
            match task.read(context) {
                Poll::Ready(Ok(true)) => {}
                // The answers to what came before are still to be sent.
                Poll::Ready(Ok(false)) => task.end(),
                Poll::Ready(Err(error)) => {
                    task.connection.state.lock().failure.get_or_insert(error);
                    return Poll::Ready(());
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<H: Handler> Task<H> {
    fn look_at_sending(&mut self, context: &Context<'_>) -> Sending {
        let mut state = self.connection.state.lock();
        // First of all: another thread that is writing wakes it, if something is left.
        if state.task.as_ref().is_none_or(|task| !task.will_wake(context.waker())) {
            state.task = Some(context.waker().clone());
        }
        if state.left_to_task || state.closing {
            let closing = state.closing;
            drop(state);
            state = self.write(closing);
        }
        if state.dead {
            return Sending::Dead;
        }
        let written = state.unsent() == 0 && !state.left_to_task;
        if state.closing && written {
            return Sending::Closed;
        }
        if state.woken {
            return Sending::Woken;
        }
        // The handler is told of room when there is some to fill, not at each byte around the bound.
        let reported = self.limits.reads_when_congested && self.congested;
        let bound = if reported { self.limits.output_max / 2 } else { self.limits.output_max };
        let congested = state.unsent() > bound;
        state.congested = congested;
        let held_up = congested && !self.limits.reads_when_congested;
        let read = !held_up && !state.paused && !state.closing && !self.ended;
        Sending::Open { read, paused: state.paused, closing: state.closing, unsent: state.left_to_task, congested }
    }

    /// Writes what is left, unless another thread is at it. To end is the task's own business.
    fn write(&self, closing: bool) -> MutexGuard<'_, State> {
        let connection = &*self.connection;
        let wire = match closing {
            true => Some(connection.wire.lock()),
            false => connection.wire.try_lock(),
        };
        let Some(mut wire) = wire else { return connection.state.lock() };
        wire.ending = closing;
        connection.write(wire)
    }

    /// Tells the handler, once, that nothing arrives any more.
    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.handler.closed();
        }
    }

    /// Looks now and then whether the peer has closed its side. What it sent before is not read while the connection is paused, and
    /// the end behind it would not be seen.
    fn has_left(&mut self, context: &mut Context<'_>) -> bool {
        let look = self.look.get_or_insert_with(|| Box::pin(tokio::time::sleep(LOOK)));
        while look.as_mut().poll(context).is_ready() {
            look.as_mut().reset(Instant::now() + LOOK);
            let stream: &TcpStream = self.reader.as_ref();
            let mut polled = [PollFd::new(stream, PollFlags::RDHUP)];
            // A look that fails is made again.
            if rustix::event::poll(&mut polled, Some(&Timespec::default())).is_ok_and(|count| count > 0) {
                return true;
            }
        }
        false
    }

    /// Reads once; whether there may be more.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.secure {
            return self.read_secure(context);
        }
        if let Some(frame) = self.handler.incomplete().filter(|frame| frame.capacity() > frame.len()) {
            let read = match pin!(self.reader.read_buf(frame)).poll(context) {
                Poll::Ready(read) => read?,
                Poll::Pending => return Poll::Pending,
            };
            if read > 0 {
                self.last_read = Instant::now();
                self.handler.extended();
            }
            return Poll::Ready(Ok(read > 0));
        }
        match self.read_chunk(context) {
            Poll::Ready(Ok(chunk)) if chunk.is_empty() => Poll::Ready(Ok(false)),
            Poll::Ready(Ok(chunk)) => {
                self.handler.received(chunk);
                Poll::Ready(Ok(true))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Reads into the loop's buffer; nothing at the end.
    fn read_chunk(&mut self, context: &mut Context<'_>) -> Poll<io::Result<BytesMut>> {
        let chunk = CHUNK.with_borrow_mut(|buffer| {
            // Mostly nobody has a view of it: reading starts anew at its front, which the processor has in its cache.
            if !buffer.try_reclaim(CHUNK_LENGTH) && buffer.capacity() < CHUNK_LENGTH_MIN {
                buffer.reserve(CHUNK_LENGTH);
            }
            let read = match pin!(self.reader.read_buf(buffer)).poll(context) {
                Poll::Ready(read) => read?,
                Poll::Pending => return Poll::Pending,
            };
            Poll::Ready(Ok(buffer.split_to(read)))
        });
        if matches!(&chunk, Poll::Ready(Ok(chunk)) if !chunk.is_empty()) {
            self.last_read = Instant::now();
        }
        chunk
    }

    /// As [`Task::read`], of what is encrypted.
    fn read_secure(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let chunk = if std::mem::take(&mut self.fresh) {
            BytesMut::new()
        } else {
            match self.read_chunk(context) {
                Poll::Ready(Ok(chunk)) if chunk.is_empty() => return Poll::Ready(Ok(false)),
                Poll::Ready(Ok(chunk)) => chunk,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        };
        let mut plain = BytesMut::with_capacity(chunk.len());
        let mut wire = self.connection.wire.lock();
        let Some(tls) = &mut wire.tls else { return Poll::Ready(Ok(false)) };
        let result = tls.read(&chunk, &mut plain);
        // New keys are answered, and a peer that made a mistake is told which. Others leave what they send to whoever has the wire.
        drop(self.connection.write(wire));
        if !plain.is_empty() {
            self.handler.received(plain);
        }
        Poll::Ready(result)
    }

    /// Whether the connection has been idle, or closing, for too long. One timer, which is moved only when it fires.
    fn is_overdue(&mut self, closing: bool, context: &mut Context<'_>) -> bool {
        let now = Instant::now;
        let limit = match (closing, self.limits.idle) {
            (true, _) => {
                // From the first look at a connection that closes, whatever was waited for before.
                if self.limits.idle != Some(LINGER) {
                    self.limits.idle = Some(LINGER);
                    self.last_read = now();
                    self.deadline = None;
                }
                LINGER
            }
            (false, Some(idle)) => idle,
            (false, None) => return false,
        };
        loop {
            let due = self.last_read + limit;
            let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if deadline.as_mut().poll(context).is_pending() {
                return false;
            }
            if due <= now() {
                return true;
            }
            deadline.as_mut().reset(due);
        }
    }
}

impl<H: Handler> Drop for Task<H> {
    fn drop(&mut self) {
        let mut wire = self.connection.wire.lock();
        let stream = wire.stream.take();
        wire.output.clear();
        let mut state = self.connection.state.lock();
        state.task = None;
        state.dead = true;
        state.queue.clear();
        state.taken = 0;
        drop((state, wire));
        drop(stream);
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{IoSlice, Read, Write};
    use std::net::{Shutdown, TcpStream as Client};
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use base::{Disk, File, MemDisk, OpenMode};
    use bytes::Bytes;

    use super::*;
    use crate::{EventLoops, Listener, RealDisk};

    type Received = Box<dyn FnMut(&Arc<Connection>, Bytes) + Send>;

    struct Test {
        connection: Arc<Connection>,
        received: Received,
        ended: mpsc::Sender<usize>,
        frame: Option<BytesMut>,
    }

    impl Handler for Test {
        fn received(&mut self, chunk: BytesMut) {
            (self.received)(&self.connection, chunk.freeze());
        }

        fn woken(&mut self) {
            (self.received)(&self.connection, Bytes::from_static(b"woken"));
        }

        fn incomplete(&mut self) -> Option<&mut BytesMut> {
            self.frame.as_mut()
        }

        fn extended(&mut self) {
            if let Some(frame) = self.frame.take_if(|frame| frame.len() == frame.capacity()) {
                (self.received)(&self.connection, frame.freeze());
            }
        }

        fn closed(&mut self) {
            let _ = self.ended.send(self.connection.unsent());
            self.connection.close();
        }
    }

    struct World {
        loops: EventLoops,
        client: Client,
        ended: mpsc::Receiver<usize>,
    }

    impl Drop for World {
        fn drop(&mut self) {
            self.loops.stop();
        }
    }

    fn connect(
        limits: Limits,
        frame: Option<usize>,
        received: impl Fn(&Arc<Connection>, Bytes) + Send + 'static,
    ) -> World {
        let loops = EventLoops::start(1).unwrap();
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), None).unwrap();
        let address = listener.address();
        let (ended, told) = mpsc::channel();
        let received = Arc::new(Mutex::new(Some(received)));
        let serve = move |stream, peer, _| {
            let (ended, received) = (ended.clone(), received.lock().take().expect("one connection"));
            Connection::serve(stream, peer, limits, move |connection| Test {
                connection: Arc::clone(connection),
                received: Box::new(received),
                ended,
                frame: frame.map(BytesMut::with_capacity),
            })
        };
        listener.serve(&loops, serve, |error| panic!("{error}"));
        World { loops, client: Client::connect(address).unwrap(), ended: told }
    }

    fn echo(connection: &Arc<Connection>, chunk: Bytes) {
        connection.queue(Part::Bytes(chunk));
        connection.flush();
    }

    #[test]
    fn answers_and_ends_with_its_peer() {
        let mut world = connect(Limits::default(), None, echo);
        let mut buffer = [0; 3];
        for word in [b"one", b"two"] {
            world.client.write_all(word).unwrap();
            world.client.read_exact(&mut buffer).unwrap();
            assert_eq!(&buffer, word);
        }
        world.client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(world.ended.recv().unwrap(), 0);
        assert_eq!(world.client.read(&mut buffer).unwrap(), 0);
    }

    #[test]
    fn a_peer_that_closed_its_own_side_gets_its_answer() {
        let mut world = connect(Limits::default(), None, |connection, _| {
            connection.queue(Part::Bytes(Bytes::from(vec![1; 10_000_000])));
            connection.flush();
        });
        world.client.write_all(b"x").unwrap();
        world.client.shutdown(Shutdown::Write).unwrap();
        let mut all = Vec::new();
        world.client.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), 10_000_000);
    }

    #[test]
    fn a_peer_that_does_not_read_is_not_read_from() {
        let taken = Arc::new(Mutex::new(0));
        let count = Arc::clone(&taken);
        let limits = Limits { output_max: 100_000, ..Limits::default() };
        let mut world = connect(limits, None, move |connection, chunk| {
            *count.lock() += chunk.len();
            echo(connection, chunk);
        });
        // More than all socket buffers hold: written by one thread, which gets stuck until the other reads.
        let total = 64 << 20;
        let mut writer = world.client.try_clone().unwrap();
        let writing = std::thread::spawn(move || writer.write_all(&vec![7; total]));
        let mut first = [0];
        world.client.read_exact(&mut first).unwrap();
        let mut stuck_at = 0;
        while stuck_at == 0 || *taken.lock() != stuck_at {
            stuck_at = *taken.lock();
            std::thread::sleep(Duration::from_millis(300));
        }
        assert!(stuck_at < total, "all was taken in although nothing was read");
        let mut read = 1;
        let mut buffer = vec![0; 1 << 20];
        while read < total {
            read += world.client.read(&mut buffer).unwrap();
        }
        writing.join().unwrap().unwrap();
    }

    #[test]
    fn a_handler_is_woken_from_another_thread() {
        let mut world = connect(Limits::default(), None, |connection: &Arc<Connection>, chunk| {
            if &chunk[..] == b"wait" {
                let waker = connection.waker();
                std::thread::spawn(move || waker.wake());
            } else {
                echo(connection, chunk);
            }
        });
        world.client.write_all(b"wait").unwrap();
        let mut buffer = [0; 5];
        world.client.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"woken");
    }

    #[test]
    fn a_wake_is_not_lost_on_a_task_that_is_at_an_earlier_one() {
        let times = AtomicUsize::new(0);
        let mut world = connect(Limits::default(), None, move |connection: &Arc<Connection>, chunk| {
            match times.fetch_add(1, Ordering::Relaxed) {
                0 => {
                    let waker = connection.waker();
                    std::thread::spawn(move || waker.wake());
                }
                // Another's, that comes while the handler is at the first: the task is on its way, and nobody else is woken.
                1 => std::thread::scope(|scope| {
                    scope.spawn(|| connection.waker().wake());
                }),
                _ => echo(connection, chunk),
            }
        });
        world.client.write_all(b"wait").unwrap();
        world.client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut buffer = [0; 5];
        world.client.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"woken");
    }

    #[test]
    fn what_is_sent_while_another_thread_writes_is_written_by_that_one() {
        let mut world = connect(Limits::default(), None, |connection: &Arc<Connection>, chunk| {
            let wire = connection.wire.lock();
            // Waits for nobody.
            std::thread::scope(|scope| _ = scope.spawn(|| connection.send(std::iter::once(Part::Bytes(chunk)))));
            drop(connection.write(wire));
        });
        world.client.write_all(b"left").unwrap();
        world.client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut buffer = [0; 4];
        world.client.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"left");
    }

    #[test]
    fn what_many_threads_send_arrives_in_the_order_of_each() {
        const EACH: u32 = 20_000;
        let send = |connection: &Connection, thread: u8| {
            for number in 0..EACH {
                let bytes = [&[thread][..], &number.to_be_bytes()].concat();
                connection.send(std::iter::once(Part::Bytes(bytes.into())));
            }
        };
        let mut world = connect(Limits::default(), None, move |connection: &Arc<Connection>, _| {
            for thread in 0..4 {
                let connection = Arc::clone(connection);
                std::thread::spawn(move || send(&connection, thread));
            }
        });
        world.client.write_all(b"go").unwrap();
        world.client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut next = [0; 4];
        for _ in 0..4 * EACH {
            let mut message = [0; 5];
            world.client.read_exact(&mut message).unwrap();
            let next = &mut next[usize::from(message[0])];
            assert_eq!(message[1..], u32::to_be_bytes(*next));
            *next += 1;
        }
        assert_eq!(next, [EACH; 4]);
    }

    #[test]
    fn a_client_that_left_keeps_no_socket_though_its_answer_is_still_waited_for() {
        let (keep, kept) = mpsc::channel();
        let mut world = connect(Limits::default(), None, move |connection: &Arc<Connection>, _| {
            keep.send((connection.waker(), Arc::clone(connection))).unwrap();
        });
        world.client.write_all(b"wait").unwrap();
        let (waker, connection) = kept.recv().unwrap();
        world.client.shutdown(Shutdown::Both).unwrap();
        world.ended.recv().unwrap();
        // The end comes just behind the news of it.
        while connection.wire.lock().stream.is_some() {
            std::thread::yield_now();
        }
        waker.wake();
        connection.send(std::iter::once(Part::Bytes(Bytes::from_static(b"late"))));
        connection.flush();
        assert_eq!(connection.unsent(), 0);
    }

    #[test]
    fn long_frames_are_read_into_their_own_room() {
        let (told, heard) = mpsc::channel();
        let mut world = connect(Limits::default(), Some(300_000), move |_, bytes| told.send(bytes.len()).unwrap());
        world.client.write_all(&[1; 300_000]).unwrap();
        assert_eq!(heard.recv().unwrap(), 300_000);
        world.client.write_all(b"after").unwrap();
        assert_eq!(heard.recv().unwrap(), 5);
    }

    #[test]
    fn an_idle_connection_is_closed() {
        let limits = Limits { idle: Some(Duration::from_millis(50)), ..Limits::default() };
        let mut world = connect(limits, None, echo);
        assert_eq!(world.client.read(&mut [0]).unwrap(), 0);
        world.ended.recv().unwrap();
    }

    #[test]
    fn what_was_queued_before_a_close_is_sent_and_nothing_after() {
        let mut world = connect(Limits::default(), None, |connection, _| {
            connection.queue(Part::Bytes(Bytes::from(vec![1; 3_000_000])));
            connection.close();
            connection.queue(Part::Bytes(Bytes::from_static(b"late")));
        });
        world.client.write_all(b"x").unwrap();
        let mut all = Vec::new();
        world.client.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), 3_000_000);
    }

    fn send_ranges(file: &Arc<dyn File>) {
        let range = |position, length| Part::Range { file: Arc::clone(file), position, length };
        let parts = [
            Part::Bytes(Bytes::from_static(b"head")),
            range(0, 1_000_000),
            range(5, 10),
            Part::Bytes(Bytes::new()),
            range(50_000, 32 * 1024 + 1),
            Part::Bytes(Bytes::from_static(b"tail")),
        ];
        let mut world = connect(Limits::default(), None, move |connection, _| {
            parts.iter().for_each(|part| connection.queue(part.clone()));
            connection.flush();
        });
        world.client.write_all(b"x").unwrap();
        let content = content();
        let expected = [b"head", &content[..], &content[5..15], &content[50_000..50_000 + 32 * 1024 + 1], b"tail"];
        let expected = expected.concat();
        let mut all = vec![0; expected.len()];
        world.client.read_exact(&mut all).unwrap();
        assert!(all == expected);
    }

    fn content() -> Vec<u8> {
        (0..1_000_000_u32).map(|index| (index % 251) as u8).collect()
    }

    #[test]
    fn ranges_of_files_keep_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let disks: [(&dyn Disk, &Path); 2] = [(&RealDisk::new(8), dir.path()), (&MemDisk::new(), Path::new("/"))];
        for (disk, dir) in disks {
            let file = disk.open(&dir.join("log"), OpenMode::Create).unwrap();
            file.write_at(&[IoSlice::new(&content())], 0).unwrap();
            send_ranges(&file);
        }
    }

    #[test]
    fn a_file_shorter_than_its_range_ends_the_connection() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk::new(8).open(&dir.path().join("log"), OpenMode::Create).unwrap();
        file.write_at(&[IoSlice::new(&[1; 100_000])], 0).unwrap();
        let mut world = connect(Limits::default(), None, move |connection, _| {
            connection.queue(Part::Range { file: Arc::clone(&file), position: 0, length: 200_000 });
            connection.flush();
        });
        world.client.write_all(b"x").unwrap();
        let mut all = Vec::new();
        // An end or a reset, as the timing has it; never an answer of the promised length.
        let _ = world.client.read_to_end(&mut all);
        assert!(all.len() <= 100_000);
        world.ended.recv().unwrap();
    }
}
