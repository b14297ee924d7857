//! A broker's logs on a [`MemDisk`], with jobs that run when a test says so.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base::{Disk, Job, MemDisk, Monotonic, Next, Now, OpenMode, Part, Random, Slow, Str};
use bytes::Bytes;
use kafka_log::validate::{self, Append, Checked};
use kafka_log::{
    AppendInfo, Bound, Fetched, Level, Loading, Log, LogConfig, LogError, LogManager, ManagerConfig, Origin,
    ReadRequest, Surroundings, TopicPartition,
};
use kafka_proto::record::{Batches, BuilderOptions, Codec, Magic, RecordsBuilder};

pub(crate) const DIR: &str = "/logs";

/// Collects what logs ask for.
#[derive(Default)]
pub(crate) struct Broker {
    jobs: Mutex<VecDeque<Box<dyn Job>>>,
    pub(crate) lines: Mutex<Vec<String>>,
    pub(crate) failed: Mutex<Vec<PathBuf>>,
    pub(crate) starts_moved: Mutex<Vec<TopicPartition>>,
    /// Looks at each line that is said, while whoever says it is at work.
    pub(crate) listener: Mutex<Option<Listener>>,
}

type Listener = Box<dyn Fn(&str) + Send>;

impl Surroundings for Broker {
    fn submit(&self, job: Box<dyn Job>) {
        self.jobs.lock().unwrap().push_back(job);
    }

    fn directory_failed(&self, dir: &Path, error: &LogError) {
        self.lines.lock().unwrap().push(error.to_string());
        self.failed.lock().unwrap().push(dir.to_owned());
    }

    fn start_moved(&self, partition: &TopicPartition) {
        self.starts_moved.lock().unwrap().push(partition.clone());
    }

    fn say(&self, _: Level, line: String) {
        if let Some(listener) = &*self.listener.lock().unwrap() {
            listener(&line);
        }
        self.lines.lock().unwrap().push(line);
    }
}

/// Logs on a disk, with a clock.
pub(crate) struct World {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) logs: LogManager,
    pub(crate) now: Now,
}

pub(crate) fn at(ms: i64) -> Now {
    Now { monotonic: Monotonic::from_ms(ms as u64), wall_ms: 1_600_000_000_000 + ms }
}

impl World {
    pub(crate) fn on(disk: &MemDisk, config: &LogConfig) -> Self {
        Self::try_on(Arc::new(disk.clone()), config).unwrap()
    }

    pub(crate) fn try_on(disk: Arc<dyn Disk>, config: &LogConfig) -> Result<Self, LogError> {
        Self::try_on_dirs(disk, config, &[DIR])
    }

    /// With these log directories.
    pub(crate) fn try_on_dirs(disk: Arc<dyn Disk>, config: &LogConfig, dirs: &[&str]) -> Result<Self, LogError> {
        let dirs = dirs.iter().map(PathBuf::from).collect();
        let broker = Arc::new(Broker::default());
        let config = config.clone();
        let loading = Loading::begin(
            Arc::clone(&disk),
            broker.clone(),
            ManagerConfig { dirs, recovery_threads: 2, ..ManagerConfig::default() },
            Arc::new(move |_| config.clone()),
            Random::from_seed(1),
            at(0),
        )?;
        let mut jobs = loading.jobs();
        while !jobs.is_empty() {
            jobs.retain_mut(|job| job.step(&Slow::allowed()) == Next::More);
        }
        let logs = loading
            .finish(at(0), &Slow::allowed())
            .inspect_err(|_| eprintln!("{:#?}", broker.lines.lock().unwrap()))?;
        Ok(Self { disk, broker, logs, now: at(0) })
    }

    pub(crate) fn partition(number: i32) -> TopicPartition {
        TopicPartition::new(Str::from_static("t"), number)
    }

    /// The log of partition 0 with these settings, made if need be.
    pub(crate) fn log(&self, config: &LogConfig) -> Arc<Log> {
        self.logs.get_or_create(&Self::partition(0), true, config, self.now, &Slow::allowed()).unwrap()
    }

    pub(crate) fn run_jobs(&self) {
        loop {
            let Some(mut job) = self.broker.jobs.lock().unwrap().pop_front() else { return };
            while job.step(&Slow::allowed()) == Next::More {}
        }
    }

    /// Lets time pass: regular work is done as often as it is due.
    pub(crate) fn advance(&mut self, ms: i64) {
        let end = self.now.wall_ms + ms;
        while self.now.wall_ms < end {
            let step = (end - self.now.wall_ms).min(1000);
            self.now = at(self.now.wall_ms - 1_600_000_000_000 + step);
            self.logs.tick(self.now);
            self.run_jobs();
        }
    }
}

/// A batch of records with values of `value_len` bytes that differ from record to record.
pub(crate) struct Records {
    pub(crate) count: usize,
    pub(crate) value_len: usize,
    pub(crate) timestamp: i64,
    pub(crate) codec: Codec,
    pub(crate) magic: Magic,
    /// Id, epoch, first sequence.
    pub(crate) producer: Option<(i64, i16, i32)>,
    pub(crate) transactional: bool,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            count: 1,
            value_len: 10,
            timestamp: 1_600_000_000_000,
            codec: Codec::None,
            magic: Magic::V2,
            producer: None,
            transactional: false,
        }
    }
}

impl Records {
    pub(crate) fn bytes(&self) -> Bytes {
        let mut options = BuilderOptions::new(self.magic, self.codec);
        if let Some((id, epoch, sequence)) = self.producer {
            (options.producer_id, options.producer_epoch, options.base_sequence) = (id, epoch, sequence);
        }
        options.transactional = self.transactional;
        let mut builder = RecordsBuilder::new(options).unwrap();
        for number in 0..self.count {
            let value: Vec<u8> = (0..self.value_len).map(|at| (number * 31 + at * 7) as u8).collect();
            builder.append(self.timestamp + number as i64, None, Some(&value), &[]).unwrap();
        }
        builder.build().unwrap().bytes
    }

    pub(crate) fn checked(&self, log: &Log, origin: Origin, now: Now) -> Checked {
        check(log, &self.bytes(), origin, now)
    }

    pub(crate) fn append(&self, log: &Log, now: Now) -> Result<AppendInfo, LogError> {
        log.append_as_leader(self.checked(log, Origin::Client, now), 0, Origin::Client, now)
    }
}

pub(crate) fn check(log: &Log, bytes: &Bytes, origin: Origin, now: Now) -> Checked {
    let produce_version = if bytes.get(16) == Some(&2) { 8 } else { 2 };
    let append =
        Append { partition: log.partition(), origin, produce_version, zstd_allowed: true, now_ms: now.wall_ms };
    validate::check(bytes, &log.config(), &append).unwrap()
}

pub(crate) fn request(offset: i64) -> ReadRequest {
    ReadRequest { offset, max_bytes: 1 << 20, min_one_message: true, bound: Bound::LogEnd, cached_only: false }
}

pub(crate) fn read(log: &Log, offset: i64) -> Result<Fetched, LogError> {
    log.read(&request(offset))
}

/// The bytes of what was fetched.
pub(crate) fn bytes_of(fetched: &Fetched) -> Bytes {
    let all = base::read_parts(&fetched.records).unwrap();
    assert_eq!(all.len(), fetched.records.iter().map(Part::len).sum(), "a range lies inside of its file");
    Bytes::from(all)
}

/// Last offsets of the whole batches that were fetched, checksums checked.
pub(crate) fn last_offsets(fetched: &Fetched) -> Vec<i64> {
    let bytes = bytes_of(fetched);
    Batches::new(&bytes)
        .map(|batch| {
            let batch = batch.unwrap();
            batch.verify().unwrap();
            batch.last_offset()
        })
        .collect()
}

pub(crate) fn content(disk: &dyn Disk, name: &str) -> Vec<u8> {
    let path = PathBuf::from(DIR).join(name);
    disk.read(&path, 1 << 30).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub(crate) fn names(disk: &dyn Disk, dir: &str) -> Vec<String> {
    disk.list(&PathBuf::from(DIR).join(dir)).unwrap().into_iter().map(|entry| entry.name).collect()
}

pub(crate) fn write(disk: &dyn Disk, name: &str, content: &[u8]) {
    let path = PathBuf::from(DIR).join(name);
    disk.create_dir_all(path.parent().unwrap()).unwrap();
    let file = disk.open(&path, OpenMode::Create).unwrap();
    file.write_at(&[std::io::IoSlice::new(content)], 0).unwrap();
}
