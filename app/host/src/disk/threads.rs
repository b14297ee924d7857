//! The threads that may wait for a disk.
//!
//! Jobs run step by step and take turns, so that a long one starves nobody. There are three lanes, and threads for each: a
//! thread serves its own lane and those before it, the first one first. So a [`Priority::Sync`] waits for no read and no background
//! work, and a [`Priority::Request`] for no background work, since a step can't be interrupted. A [`SerialLane`] keeps its own
//! jobs in order, one at a time.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use base::{Job, Next, Slow};
use parking_lot::{Condvar, Mutex};

/// Who waits for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// All writers of a server do: the sync of its log.
    Sync,
    /// A request does: a read that is not in the page cache.
    Request,
    /// Nobody in particular.
    Background,
}

impl Priority {
    const ALL: [Self; 3] = [Self::Sync, Self::Request, Self::Background];
    /// Threads that serve this lane and those before it.
    const THREADS: [usize; 3] = [1, 2, 2];
}

/// A small pool of disk threads. Clones share it.
#[derive(Clone)]
pub struct DiskThreads {
    shared: Arc<Shared>,
}

struct Shared {
    queues: Mutex<Queues>,
    /// Where the idle threads of each lane wait.
    called: [Condvar; 3],
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Queues {
    lanes: [VecDeque<Box<dyn Job>>; 3],
    /// Threads of each lane that wait and have not been called.
    idle: [usize; 3],
    /// Jobs that a thread is stepping: they come back unless done.
    stepping: usize,
    stopping: bool,
}

impl DiskThreads {
    /// Starts the threads.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queues: Mutex::default(),
            called: [const { Condvar::new() }; 3],
            threads: Mutex::default(),
        });
        let lanes = Priority::ALL.into_iter().zip(Priority::THREADS);
        for (index, lane) in lanes.flat_map(|(lane, count)| std::iter::repeat_n(lane, count)).enumerate() {
            let worker = Arc::clone(&shared);
            let run = move || worker.run(lane);
            shared.threads.lock().push(thread::Builder::new().name(format!("disk-{index}")).spawn(run)?);
        }
        Ok(Self { shared })
    }

    /// Queues a job. After [`DiskThreads::stop`] it is dropped.
    pub fn submit(&self, priority: Priority, job: Box<dyn Job>) {
        let mut queues = self.shared.queues.lock();
        if queues.stopping && queues.stepping == 0 {
            return;
        }
        queues.put(priority, job);
        self.shared.call_for(&mut queues, priority);
    }

    /// A queue of its own whose jobs run one behind the other.
    pub fn serial(&self, priority: Priority) -> SerialLane {
        SerialLane { threads: self.clone(), priority, waiting: Arc::default() }
    }

    /// Finishes all jobs that are queued, then ends the threads. Not to be called from a job.
    pub fn stop(&self) {
        let mut queues = self.shared.queues.lock();
        queues.stopping = true;
        self.shared.call_all(&mut queues);
        drop(queues);
        for thread in std::mem::take(&mut *self.shared.threads.lock()) {
            // A job that panicked has ended its thread, and has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Queues {
    fn put(&mut self, priority: Priority, job: Box<dyn Job>) {
        if let Some(lane) = self.lanes.get_mut(priority as usize) {
            lane.push_back(job);
        }
    }

    /// The next job for a thread of `lane`.
    fn take(&mut self, lane: Priority) -> Option<(Priority, Box<dyn Job>)> {
        let served = Priority::ALL.into_iter().zip(&mut self.lanes).take_while(|(priority, _)| *priority <= lane);
        let taken = served.into_iter().find_map(|(priority, jobs)| Some((priority, jobs.pop_front()?)));
        self.stepping += usize::from(taken.is_some());
        taken
    }

    /// Nothing is left for a thread of `lane`, and nothing will come: what is being stepped may come back, or submit another job.
    fn is_over(&self, lane: Priority) -> bool {
        self.stopping && self.stepping == 0 && self.lanes.iter().take(lane as usize + 1).all(VecDeque::is_empty)
    }
}

impl Shared {
    fn run(&self, lane: Priority) {
        let slow = Slow::allowed();
        let mut queues = self.queues.lock();
        while !queues.is_over(lane) {
            let Some((priority, mut job)) = queues.take(lane) else {
                self.wait(&mut queues, lane);
                continue;
            };
            drop(queues);
            let next = job.step(&slow);
            queues = self.queues.lock();
            queues.stepping -= 1;
            if next == Next::More {
                queues.put(priority, job);
                // This thread may go on with a more urgent one.
                self.call_for(&mut queues, priority);
            } else if queues.stopping && queues.stepping == 0 {
                self.call_all(&mut queues);
            }
        }
    }

    fn wait(&self, queues: &mut parking_lot::MutexGuard<'_, Queues>, lane: Priority) {
        let at = lane as usize;
        if let (Some(idle), Some(called)) = (queues.idle.get_mut(at), self.called.get(at)) {
            *idle += 1;
            // Whoever calls counts it out.
            called.wait(queues);
        }
    }

    /// Calls an idle thread that serves `priority`, one of its own lane rather than one of a later lane.
    fn call_for(&self, queues: &mut Queues, priority: Priority) {
        let lanes = queues.idle.iter_mut().zip(&self.called).skip(priority as usize);
        if let Some((idle, called)) = lanes.into_iter().find(|(idle, _)| **idle > 0) {
            *idle -= 1;
            called.notify_one();
        }
    }

    fn call_all(&self, queues: &mut Queues) {
        queues.idle = [0; 3];
        self.called.iter().for_each(|called| _ = called.notify_all());
    }
}

/// Jobs in the order given, one at a time. Clones share the lane.
#[derive(Clone)]
pub struct SerialLane {
    threads: DiskThreads,
    priority: Priority,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Box<dyn Job>>,
    running: bool,
}

impl SerialLane {
    /// Queues a job behind the lane's others.
    pub fn submit(&self, job: Box<dyn Job>) {
        let mut waiting = self.waiting.lock();
        waiting.jobs.push_back(job);
        if !std::mem::replace(&mut waiting.running, true) {
            drop(waiting);
            let lane = LaneJob { waiting: Arc::clone(&self.waiting), current: None };
            self.threads.submit(self.priority, Box::new(lane));
        }
    }
}

/// What the pool sees of a lane while it has jobs.
struct LaneJob {
    waiting: Arc<Mutex<Waiting>>,
    current: Option<Box<dyn Job>>,
}

impl Job for LaneJob {
    fn step(&mut self, slow: &Slow) -> Next {
        let next_in_line = || self.waiting.lock().jobs.pop_front();
        if let Some(mut job) = self.current.take().or_else(next_in_line)
            && job.step(slow) == Next::More
        {
            self.current = Some(job);
            return Next::More;
        }
        let mut waiting = self.waiting.lock();
        waiting.running = !waiting.jobs.is_empty();
        if waiting.running { Next::More } else { Next::Done }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    /// Works through steps, each of which waits for a word from the test and tells its name.
    struct Scripted {
        name: &'static str,
        steps: usize,
        go: Receiver<()>,
        told: Sender<&'static str>,
    }

    impl Job for Scripted {
        fn step(&mut self, _slow: &Slow) -> Next {
            let _ = self.go.recv();
            self.told.send(self.name).unwrap();
            self.steps -= 1;
            if self.steps == 0 { Next::Done } else { Next::More }
        }
    }

    fn at_once(name: &'static str, told: &Sender<&'static str>) -> Box<dyn Job> {
        let told = told.clone();
        base::once(move |_| told.send(name).unwrap())
    }

    #[test]
    fn a_long_job_gives_way_after_each_step() {
        let threads = DiskThreads::start().unwrap();
        let (told, heard) = mpsc::channel();
        let (go, wait) = mpsc::channel();
        let lane = threads.serial(Priority::Background);
        lane.submit(Box::new(Scripted { name: "long", steps: 3, go: wait, told: told.clone() }));
        threads.submit(Priority::Background, at_once("short", &told));
        for _ in 0..3 {
            go.send(()).unwrap();
        }
        let order: Vec<_> = (0..4).map(|_| heard.recv().unwrap()).collect();
        // The short one may even be first, if it is queued before the long one's first step is.
        assert_ne!(order.last(), Some(&"short"), "{order:?}");
        threads.stop();
    }

    /// Keeps every thread that takes background work, and more such jobs than there are threads, until the answer is dropped.
    fn keep_busy(threads: &DiskThreads, priority: Priority, told: &Sender<&'static str>) -> Vec<Sender<()>> {
        let stuck = |_| {
            let (go, wait) = mpsc::channel();
            threads.submit(priority, Box::new(Scripted { name: "stuck", steps: 1, go: wait, told: told.clone() }));
            go
        };
        (0..8).map(stuck).collect()
    }

    #[test]
    fn a_job_waits_for_none_of_a_later_lane() {
        let threads = DiskThreads::start().unwrap();
        let (told, heard) = mpsc::channel();
        let background = keep_busy(&threads, Priority::Background, &told);
        threads.submit(Priority::Request, at_once("read", &told));
        assert_eq!(heard.recv().unwrap(), "read");
        let reads = keep_busy(&threads, Priority::Request, &told);
        threads.submit(Priority::Sync, at_once("sync", &told));
        assert_eq!(heard.recv().unwrap(), "sync");
        drop((background, reads));
        threads.stop();
        assert_eq!(heard.try_iter().filter(|name| *name == "stuck").count(), 16);
    }

    #[test]
    fn idle_threads_of_later_lanes_help() {
        let threads = DiskThreads::start().unwrap();
        let (told, heard) = mpsc::channel();
        let (go, wait): (Vec<_>, Vec<_>) = (0..5).map(|_| mpsc::channel::<()>()).unzip();
        // Each waits for a word that comes when all of them run at once.
        for wait in wait {
            let told = told.clone();
            threads.submit(
                Priority::Sync,
                base::once(move |_| {
                    told.send("runs").unwrap();
                    let _ = wait.recv();
                }),
            );
        }
        for _ in 0..5 {
            assert_eq!(heard.recv().unwrap(), "runs");
        }
        drop(go);
        threads.stop();
    }

    #[test]
    fn a_lane_keeps_its_order_and_stop_finishes_all() {
        let threads = DiskThreads::start().unwrap();
        let lane = threads.serial(Priority::Background);
        let order = Arc::new(Mutex::new(Vec::new()));
        struct Two(usize, bool, Arc<Mutex<Vec<usize>>>);
        impl Job for Two {
            fn step(&mut self, _slow: &Slow) -> Next {
                self.2.lock().push(self.0);
                if std::mem::replace(&mut self.1, true) { Next::Done } else { Next::More }
            }
        }
        for index in 0..200 {
            lane.submit(Box::new(Two(index, false, Arc::clone(&order))));
        }
        threads.stop();
        let expected: Vec<_> = (0..200).flat_map(|index| [index, index]).collect();
        assert_eq!(*order.lock(), expected);
    }
}
