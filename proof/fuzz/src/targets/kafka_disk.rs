//! What a broker finds on its disk: a folder of a log with each of its files, and the records of groups.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base::{Disk, Job, MemDisk, Monotonic, Next, Now, OpenMode, Random, Slow, Str};
use bytes::Bytes;
use kafka_coord::record::{CommittedOffset, GroupValue, Key};
use kafka_coord::{Group, Loader, Settings, Step};
use kafka_log::{Bound, Level, Loading, LogConfig, LogError, ManagerConfig, ReadRequest, Surroundings, TopicPartition};

use super::choice;
use super::records::plain_seeds;

pub(crate) fn group_records(input: &[u8]) {
    let bytes = Bytes::copy_from_slice(input);
    if let Ok(key) = Key::decode(&bytes) {
        let _ = key.encode();
    }
    let _ = (CommittedOffset::decode(&bytes), GroupValue::decode(&bytes));
    let mut loader = Loader::default();
    let replayed = loader.replay(input);
    assert!(replayed.next.is_some() || replayed.broken.is_empty());
    let _: Vec<Group<()>> = loader.finish(&mut Step::new(&Settings::default(), now()));
}

/// Files of a log folder, and those beside it; the input's first byte chooses whose content is the rest.
const FILES: [&str; 11] = [
    "t-0/00000000000000000000.log",
    "t-0/00000000000000000000.index",
    "t-0/00000000000000000000.timeindex",
    "t-0/00000000000000000000.txnindex",
    "t-0/00000000000000000003.snapshot",
    "t-0/leader-epoch-checkpoint",
    "recovery-point-offset-checkpoint",
    "log-start-offset-checkpoint",
    "replication-offset-checkpoint",
    "meta.properties",
    ".kafka_cleanshutdown",
];

/// A folder with one file of the input's is opened, read, written to and closed, or refused.
pub(crate) fn log_folder(input: &[u8]) {
    let Some((choice, content)) = choice(input) else { return };
    let disk = MemDisk::new();
    put(&disk, FILES[0], &plain_seeds().concat());
    // A clean stop is believed; without it all is checked.
    if choice / FILES.len() % 2 == 1 {
        put(&disk, ".kafka_cleanshutdown", b"");
    }
    put(&disk, FILES[choice % FILES.len()], content);
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let broker = Arc::new(Broker::default());
    let loading = Loading::begin(
        disk,
        broker.clone(),
        ManagerConfig { dirs: vec![PathBuf::from("/logs")], recovery_threads: 1, ..ManagerConfig::default() },
        Arc::new(|_| LogConfig::default()),
        Random::from_seed(1),
        now(),
    );
    let Ok(loading) = loading else { return };
    let mut jobs = loading.jobs();
    while !jobs.is_empty() {
        jobs.retain_mut(|job| job.step(&Slow::allowed()) == Next::More);
    }
    let Ok(logs) = loading.finish(now(), &Slow::allowed()) else { return };
    let partition = TopicPartition::new(Str::from_static("t"), 0);
    if let Some(log) = logs.get(&partition) {
        let start = log.offsets().log_start;
        for offset in [start, start.saturating_add(1), log.offsets().log_end] {
            let request = ReadRequest {
                offset,
                max_bytes: 1 << 16,
                min_one_message: true,
                bound: Bound::LogEnd,
                cached_only: false,
            };
            let _ = log.read(&request);
        }
    }
    logs.tick(now());
    broker.run_jobs();
    logs.shutdown(&Slow::allowed());
}

pub(crate) fn folder_seeds() -> Vec<Vec<u8>> {
    let contents: [&[u8]; 11] = [
        &plain_seeds().concat(),
        &[0, 0, 0, 1, 0, 0, 0, 80],
        &[0, 0, 1, 0x74, 0x87, 0x6e, 0x80, 0, 0, 0, 0, 1],
        &[0; 34],
        &[0; 64],
        b"0\n1\n0 0\n",
        b"0\n1\nt 0 3\n",
        b"0\n1\nt 0 0\n",
        b"0\n1\nt 0 3\n",
        b"#\nbroker.id=0\nversion=0\ncluster.id=A-AAAAAAAAAAAAAAAAAAAA\n",
        b"",
    ];
    let whole = contents
        .iter()
        .enumerate()
        .flat_map(|(at, content)| [at, at + FILES.len()].map(|choice| [&[choice as u8], *content].concat()));
    whole.collect()
}

fn put(disk: &MemDisk, name: &str, content: &[u8]) {
    let path = Path::new("/logs").join(name);
    disk.create_dir_all(path.parent().expect("it has one")).expect("the disk is new");
    disk.remove_file(&path, &Slow::allowed()).ok();
    let file = disk.open(&path, OpenMode::Create).expect("the disk is new");
    file.write_at(&[IoSlice::new(content)], 0).expect("the disk has room");
}

fn now() -> Now {
    Now { monotonic: Monotonic::from_ms(1000), wall_ms: 1_600_000_000_000 }
}

#[derive(Default)]
struct Broker(Mutex<Vec<Box<dyn Job>>>);

impl Broker {
    fn run_jobs(&self) {
        while let Some(mut job) = self.0.lock().expect("one thread").pop() {
            while job.step(&Slow::allowed()) == Next::More {}
        }
    }
}

impl Surroundings for Broker {
    fn submit(&self, job: Box<dyn Job>) {
        self.0.lock().expect("one thread").push(job);
    }

    fn directory_failed(&self, _: &Path, _: &LogError) {}

    fn say(&self, _: Level, _: String) {}
}
