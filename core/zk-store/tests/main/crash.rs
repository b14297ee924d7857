//! Power off at every step, with every kind of loss: what was reported durable is there, in order, and the log goes on.

use base::Random;

use super::*;

/// What the test knows about the transactions so far.
#[derive(Default)]
struct Account {
    appended: i64,
    durable: i64,
}

impl Account {
    /// Some batches, two snapshots, a roll and a purge; ends where the power goes off.
    fn live(&mut self, disk: &MemDisk, random: &mut Random, preallocation: u64) -> Result<(), StoreError> {
        let store = Store::open(disk)?;
        let (recovery, collected) = store.recover()?;
        self.check(&recovery, &collected);
        if recovery.snapshot.is_none() {
            store.snapshot(&Collected { zxid: recovery.last_zxid, ..Collected::default() }, Compression::None)?;
        }
        let mut log = store.log(recovery.last_zxid, preallocation);
        for batch in 0..5 {
            for _ in 0..=random.below(4) {
                self.appended += 1;
                append(&mut log, &long_entry(self.appended, random.below(3000) as usize));
            }
            self.durable = commit(&mut log)?;
            if batch == 1 || batch == 3 {
                log.roll();
                let snapshot = Collected { zxid: self.durable, ..Collected::default() };
                store.snapshot(&snapshot, Compression::None)?;
            }
        }
        zk_store::purge(disk, store.dirs.log_dir(), store.dirs.snap_dir(), 3, &SLOW)?;
        match log.close() {
            Some(close) if random.below(2) == 0 => close.run(&SLOW),
            _ => Ok(()),
        }
    }

    fn check(&mut self, recovery: &Recovery, collected: &Collected) {
        let last = recovery.last_zxid;
        assert!(last >= self.durable, "0x{last:x} recovered, 0x{:x} was durable", self.durable);
        assert!(last <= self.appended);
        for (at, entry) in collected.txns.iter().enumerate() {
            let Txn::SetData(txn) = &entry.txn else { panic!("{entry:?}") };
            let len = txn.data.as_ref().unwrap().len();
            assert_eq!(*entry, long_entry(collected.zxid + 1 + at as i64, len));
        }
        assert_eq!(collected.zxid + collected.txns.len() as i64, last);
        self.appended = last;
        self.durable = last;
    }
}

#[test]
fn what_a_start_has_found_survives_the_power_going_off_right_after() {
    let disk = MemDisk::new();
    let store = Store::open(&disk).unwrap();
    store.recover().unwrap();
    store.snapshot(&Collected::default(), Compression::None).unwrap();
    let unsynced = zk_store::LogConfig { force_sync: false, preallocation: 0, file_len_max: None };
    let mut log = zk_store::TxnLog::new(Arc::new(disk.clone()), store.dirs.log_dir(), unsynced, 0);
    append(&mut log, &long_entry(1, 100));
    commit(&mut log).unwrap();
    drop((log, store));
    disk.kill();
    let store = Store::open(&disk).unwrap();
    assert_eq!(store.recover().unwrap().0.last_zxid, 1);
    drop(store);
    disk.crash_losing_all();
    assert_eq!(Store::open(&disk).unwrap().recover().unwrap().0.last_zxid, 1);
}

#[test]
fn what_is_durable_survives_the_power_going_off_at_any_step() {
    for (preallocation, seeds) in [(16 << 10, 4), (0, 2)] {
        let mut longest = 0;
        for seed in 0..seeds {
            for calls in 0.. {
                let disk = MemDisk::new();
                let mut random = Random::from_seed(seed * 1000 + calls);
                let mut account = Account::default();
                disk.power_off_after(calls);
                let finished = account.live(&disk, &mut random, preallocation).is_ok();
                for _ in 0..3 {
                    disk.crash(&mut random);
                    let later = random.below(60);
                    disk.power_off_after(later);
                    let lived = account.live(&disk, &mut random, preallocation);
                    // The power is what failed: nothing a crash leaves is refused.
                    assert!(
                        matches!(
                            lived,
                            Ok(())
                                | Err(StoreError::Io { .. }
                                    | StoreError::CreateDir { .. }
                                    | StoreError::NotWritable { .. })
                        ),
                        "seed {seed}, calls {calls}: {lived:?}"
                    );
                }
                disk.crash(&mut random);
                let store = Store::open(&disk).unwrap();
                let (recovery, collected) = store.recover().unwrap();
                account.check(&recovery, &collected);
                if finished {
                    break;
                }
                longest = longest.max(calls);
            }
        }
        assert!(longest > 40, "{longest} steps: too few for what the scenario does");
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_written() {
    let disk = MemDisk::new();
    let store = Store::open(&disk).unwrap();
    store.snapshot(&Collected::default(), Compression::None).unwrap();
    let mut log = store.log(0, 16 << 10);
    append(&mut log, &entry(1));
    assert_eq!(commit(&mut log).unwrap(), 1);
    disk.kill();
    assert_eq!(Store::open(&disk).unwrap().recover().unwrap().0.last_zxid, 1);
}

#[test]
fn a_failed_sync_or_write_is_final() {
    for fault in [base::Fault::Sync, base::Fault::Write] {
        let store = Store::open(&MemDisk::new()).unwrap();
        let mut log = store.log(0, 16 << 10);
        append(&mut log, &entry(1));
        commit(&mut log).unwrap();
        append(&mut log, &entry(2));
        store.disk.inject("/data/version-2/log.1", fault);
        assert!(matches!(commit(&mut log), Err(StoreError::Io { .. })));
        store.disk.heal();
        append(&mut log, &entry(3));
        assert!(log.begin().is_none() && log.failure().is_some());
    }
}

#[test]
fn a_full_disk_is_final_and_keeps_what_was_durable() {
    let store = Store::open(&MemDisk::new()).unwrap();
    store.snapshot(&Collected::default(), Compression::None).unwrap();
    let mut log = store.log(0, 4096);
    append(&mut log, &entry(1));
    commit(&mut log).unwrap();
    store.disk.set_free_bytes(Some(700));
    append(&mut log, &long_entry(2, 2000));
    assert!(commit(&mut log).is_err());
    store.disk.set_free_bytes(Some(0));
    let (recovery, _) = store.recover().unwrap();
    assert_eq!(recovery.last_zxid, 1, "recovery needs no space");
}

#[test]
fn half_a_snapshot_never_counts() {
    let content = Collected { zxid: 5, ..Collected::default() };
    for calls in 0.. {
        let disk = MemDisk::new();
        let store = Store::open(&disk).unwrap();
        store.snapshot(&Collected { zxid: 3, ..Collected::default() }, Compression::None).unwrap();
        disk.power_off_after(calls);
        let written = store.snapshot(&content, Compression::None);
        disk.crash(&mut Random::from_seed(calls));
        let store = Store::open(&disk).unwrap();
        let (recovery, _) = store.recover().unwrap();
        assert!(recovery.notes.iter().all(|note| !note.warning), "{:?}", recovery.notes);
        if written.is_ok() {
            assert_eq!(recovery.last_zxid, 5);
            break;
        }
        assert!([3, 5].contains(&recovery.last_zxid));
        let names: Vec<String> =
            disk.list(store.dirs.snap_dir()).unwrap().into_iter().map(|entry| entry.name).collect();
        assert!(!names.iter().any(|name| name.ends_with(".tmp")), "{names:?}");
    }
}
