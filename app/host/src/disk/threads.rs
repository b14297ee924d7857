//! The threads that may wait for a disk.
//!
//! Jobs run step by step and take turns, so that a long one starves nobody. *Urgent* jobs (a sync that a request waits
//! for) go before *background* ones and have a thread for themselves, since a step can't be interrupted. A [`SerialLane`] keeps its
//! own jobs in order, one at a time.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use base::{Job, Next, Slow};
use parking_lot::{Condvar, Mutex};

/// Who waits for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// A request does: before all background work.
    Urgent,
    /// Nobody in particular.
    Background,
}

/// A small pool of disk threads. Clones share it.
#[derive(Clone)]
pub struct DiskThreads {
    shared: Arc<Shared>,
}

struct Shared {
    queues: Mutex<Queues>,
    /// The thread for urgent jobs waits here.
    urgent: Condvar,
    /// The others wait here.
    any: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Queues {
    urgent: VecDeque<Box<dyn Job>>,
    background: VecDeque<Box<dyn Job>>,
    /// Jobs that a thread is stepping: they come back unless done.
    stepping: usize,
    /// The thread for urgent jobs waits and has not been called.
    urgent_idle: bool,
    stopping: bool,
}

impl DiskThreads {
    /// Starts one thread for urgent jobs alone, and `background` more (at least one) for all jobs.
    pub fn start(background: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queues: Mutex::default(),
            urgent: Condvar::new(),
            any: Condvar::new(),
            threads: Mutex::default(),
        });
        for index in 0..=background.max(1) {
            let worker = Arc::clone(&shared);
            let urgent_only = index == 0;
            let run = move || worker.run(urgent_only);
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
        match priority {
            Priority::Urgent => queues.urgent.push_back(job),
            Priority::Background => queues.background.push_back(job),
        }
        let called = if priority == Priority::Urgent && std::mem::take(&mut queues.urgent_idle) {
            &self.shared.urgent
        } else {
            &self.shared.any
        };
        drop(queues);
        called.notify_one();
    }

    /// A queue of its own whose jobs run one behind the other.
    pub fn serial(&self, priority: Priority) -> SerialLane {
        SerialLane { threads: self.clone(), priority, waiting: Arc::default() }
    }

    /// Finishes all jobs that are queued, then ends the threads. Not to be called from a job.
    pub fn stop(&self) {
        self.shared.queues.lock().stopping = true;
        self.shared.call_all();
        for thread in std::mem::take(&mut *self.shared.threads.lock()) {
            // A job that panicked has ended its thread, and has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, urgent_only: bool) {
        let slow = Slow::allowed();
        while let Some((priority, mut job)) = self.next(urgent_only) {
            let unfinished = match job.step(&slow) {
                Next::More => Some(job),
                Next::Done => None,
            };
            let mut queues = self.queues.lock();
            queues.stepping -= 1;
            match (unfinished, priority) {
                (Some(job), Priority::Urgent) => queues.urgent.push_back(job),
                (Some(job), Priority::Background) => queues.background.push_back(job),
                (None, _) if queues.stopping && queues.stepping == 0 => self.call_all(),
                (None, _) => {}
            }
        }
    }

    fn call_all(&self) {
        self.urgent.notify_all();
        self.any.notify_all();
    }

    /// The next job to step; `None` when stopping and nothing is left.
    fn next(&self, urgent_only: bool) -> Option<(Priority, Box<dyn Job>)> {
        let mut queues = self.queues.lock();
        loop {
            let mut taken = queues.urgent.pop_front().map(|job| (Priority::Urgent, job));
            if taken.is_none() && !urgent_only {
                taken = queues.background.pop_front().map(|job| (Priority::Background, job));
            }
            if taken.is_some() {
                queues.stepping += 1;
                return taken;
            }
            // What is being stepped may come back, or submit another job.
            if queues.stopping && queues.stepping == 0 && (urgent_only || queues.background.is_empty()) {
                return None;
            }
            if urgent_only {
                queues.urgent_idle = true;
                self.urgent.wait(&mut queues);
                queues.urgent_idle = false;
            } else {
                self.any.wait(&mut queues);
            }
        }
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
        let threads = DiskThreads::start(1).unwrap();
        let (told, heard) = mpsc::channel();
        let (go, wait) = mpsc::channel();
        threads
            .submit(Priority::Background, Box::new(Scripted { name: "long", steps: 3, go: wait, told: told.clone() }));
        threads.submit(Priority::Background, at_once("short", &told));
        for _ in 0..3 {
            go.send(()).unwrap();
        }
        let order: Vec<_> = (0..4).map(|_| heard.recv().unwrap()).collect();
        // The short one may even be first, if it is queued before the long one's first step is.
        assert_ne!(order.last(), Some(&"short"), "{order:?}");
        threads.stop();
    }

    #[test]
    fn an_urgent_job_waits_for_no_background_step() {
        let threads = DiskThreads::start(1).unwrap();
        let (told, heard) = mpsc::channel();
        let (go, wait) = mpsc::channel();
        threads
            .submit(Priority::Background, Box::new(Scripted { name: "stuck", steps: 1, go: wait, told: told.clone() }));
        threads.submit(Priority::Urgent, at_once("urgent", &told));
        assert_eq!(heard.recv().unwrap(), "urgent");
        go.send(()).unwrap();
        assert_eq!(heard.recv().unwrap(), "stuck");
        threads.stop();
    }

    #[test]
    fn a_lane_keeps_its_order_and_stop_finishes_all() {
        let threads = DiskThreads::start(3).unwrap();
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
