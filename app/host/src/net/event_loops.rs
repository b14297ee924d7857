//! One thread for each core, each with a runtime of its own: what is spawned on a loop stays there.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, watch};

/// The event loops of the process. Clones share them.
#[derive(Clone)]
pub struct EventLoops {
    shared: Arc<Shared>,
}

struct Shared {
    handles: Vec<Handle>,
    next: AtomicUsize,
    /// Places for connections that are accepted.
    places: Arc<Semaphore>,
    stop: watch::Sender<bool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl EventLoops {
    /// Starts `count` loops, at least one, for any number of connections.
    pub fn start(count: usize) -> io::Result<Self> {
        Self::start_limited(count, Semaphore::MAX_PERMITS)
    }

    /// Starts `count` loops, at least one. No more than `connections_max` connections are accepted at a time, all listeners' together.
    pub fn start_limited(count: usize, connections_max: usize) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let mut handles = Vec::new();
        let mut threads = Vec::new();
        for index in 0..count.max(1) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            handles.push(runtime.handle().clone());
            let mut stopped = stopped.clone();
            let run = move || {
                runtime.block_on(async move {
                    // An error means that the sender is gone, which is a stop too.
                    let _ = stopped.wait_for(|stopped| *stopped).await;
                });
                runtime.shutdown_background();
            };
            threads.push(thread::Builder::new().name(format!("loop-{index}")).spawn(run)?);
        }
        let places = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
        let shared = Shared { handles, next: AtomicUsize::new(0), places, stop, threads: Mutex::new(threads) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.shared.handles.len()
    }

    /// The loop of this number, counted round and round.
    #[expect(clippy::indexing_slicing, reason = "the remainder of a division by the length, which is at least one")]
    pub fn get(&self, index: usize) -> &Handle {
        &self.shared.handles[index % self.shared.handles.len()]
    }

    /// The number of the loop whose turn it is to take a new connection.
    pub fn next(&self) -> usize {
        self.shared.next.fetch_add(1, Ordering::Relaxed) % self.count()
    }

    /// The places for connections that are accepted.
    pub(super) fn places(&self) -> &Arc<Semaphore> {
        &self.shared.places
    }

    /// Drops all that runs on the loops and ends their threads. Not to be called on one of them.
    pub fn stop(&self) {
        self.shared.stop.send_replace(true);
        for thread in std::mem::take(&mut *self.shared.threads.lock()) {
            // A thread that panicked has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}
