//! What no crash explains is refused; what one does is put right.

use zk_store::{LogEnd, LogReader};

use super::*;

/// A store with a snapshot of 0 and records 1 to `last`, all durable, of `len` bytes each.
fn written(last: i64, len: usize, preallocation: u64) -> Store {
    let store = Store::open(&MemDisk::new()).unwrap();
    store.snapshot(&Collected::default(), Compression::None).unwrap();
    let mut log = store.log(0, preallocation);
    for zxid in 1..=last {
        append(&mut log, &long_entry(zxid, len));
    }
    commit(&mut log).unwrap();
    store
}

fn warnings(recovery: &Recovery) -> usize {
    recovery.notes.iter().filter(|note| note.warning).count()
}

#[test]
fn a_log_cut_at_any_byte_is_recovered_to_its_last_whole_record() {
    let whole = file(&written(4, 100, 0).disk, in_dir("log.1"));
    let record = (whole.len() - 16) / 4;
    for padding in [0, 5000] {
        for cut in 0..whole.len() {
            let store = Store::open(&MemDisk::new()).unwrap();
            store.snapshot(&Collected::default(), Compression::None).unwrap();
            let mut content = whole[..cut].to_vec();
            content.resize(cut + padding, 0);
            put(&store.disk, "/data/version-2/log.1", &content);
            let (recovery, _) = store.recover().unwrap();
            let expected = cut.saturating_sub(16) / record;
            assert_eq!(recovery.last_zxid as usize, expected, "cut at {cut}");
            // What is torn is gone, since an original stops where it can't read on.
            let left = store.disk.metadata(&in_dir("log.1")).unwrap().map(|file| file.len as usize);
            assert_eq!(left, (expected > 0).then_some(16 + expected * record), "cut at {cut}");
            let rest = &whole[if cut < 16 { 0 } else { 16 + expected * record }..cut];
            // Zeros behind a record are padding, unless the file ends in them.
            let torn = expected == 0 || rest.iter().any(|byte| *byte != 0) || !rest.is_empty() && padding == 0;
            assert_eq!(warnings(&recovery), usize::from(torn), "cut at {cut}: {:?}", recovery.notes);
            let mut log = store.log(recovery.last_zxid, 0);
            append(&mut log, &long_entry(recovery.last_zxid + 1, 10));
            commit(&mut log).unwrap();
            assert_eq!(store.recover().unwrap().0.last_zxid, recovery.last_zxid + 1);
        }
    }
}

#[test]
fn a_rotten_byte_in_any_record_is_an_error_and_changes_nothing() {
    for at in (16..700).step_by(11) {
        let store = written(5, 100, 16 << 10);
        store.disk.rot(&in_dir("log.1"), at, 0x04).unwrap();
        let before = file(&store.disk, in_dir("log.1"));
        let refused = store.recover();
        assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "byte {at}: {refused:?}");
        assert!(file(&store.disk, in_dir("log.1")) == before);
    }
}

#[test]
fn a_sector_lost_before_synced_records_is_an_error() {
    let store = written(30, 100, 16 << 10);
    let log = store.disk.open(&in_dir("log.1"), OpenMode::Write).unwrap();
    log.write_at(&[IoSlice::new(&[0; 512])], 1024).unwrap();
    let refused = store.recover().unwrap_err();
    assert!(refused.to_string().contains("is whole"), "{refused}");
    // Without the mark, as in a log of the original, it is not known that it was not synced.
    store.disk.remove_file(&in_dir(".jackdaw.synced"), &SLOW).unwrap();
    assert!(matches!(store.recover(), Err(StoreError::Corrupt { .. })));
}

/// It looks like one that a crash has torn; but it was synced.
#[test]
fn a_rotten_length_of_the_last_record_is_an_error() {
    for (preallocation, mask) in [(0, 0x01), (16 << 10, 0x01), (16 << 10, 0x40)] {
        let store = written(3, 100, preallocation);
        let last = 16 + 2 * ((file(&written(3, 100, 0).disk, in_dir("log.1")).len() as u64 - 16) / 3);
        store.disk.rot(&in_dir("log.1"), last + 10, mask).unwrap();
        let before = file(&store.disk, in_dir("log.1"));
        let refused = store.recover();
        assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{preallocation} {mask}: {refused:?}");
        assert!(file(&store.disk, in_dir("log.1")) == before);
    }
}

#[test]
fn padding_is_not_read() {
    let store = written(3, 100, 1 << 40);
    assert_eq!(store.recover().unwrap().0.last_zxid, 3, "it would take hours");
    assert!(file(&store.disk, in_dir("log.1")).len() < 1000, "and it is cut");
}

#[test]
fn a_whole_record_is_found_wherever_it_starts_and_whatever_stands_before_it() {
    let mut two = file(&written(2, 100, 0).disk, in_dir("log.1"));
    let torn = 16 + (two.len() as u64 - 16) / 2;
    let record = two.split_off(torn as usize);
    let junk_at = torn + 600;
    // Right behind, far behind, and at each byte around the end of what is read at once.
    let starts = [junk_at, 2 << 20].into_iter().chain((1 << 20) - 9..(1 << 20) + 2);
    let cases = starts.map(|whole| (0, whole)).chain([(20_000, junk_at + 20_000), (20_000, 900_000)]);
    for (junk, whole) in cases {
        let store = written(1, 100, 0);
        store.disk.remove_file(&in_dir(".jackdaw.synced"), &SLOW).unwrap();
        let log = store.disk.open(&in_dir("log.1"), OpenMode::Write).unwrap();
        // The head of a record that was not written to its end, then junk, then zeros.
        log.write_at(&[IoSlice::new(&record[..30])], torn).unwrap();
        log.write_at(&[IoSlice::new(&vec![0x55; junk])], junk_at).unwrap();
        log.write_at(&[IoSlice::new(&record)], whole).unwrap();
        let refused = store.recover().unwrap_err().to_string();
        assert!(refused.contains(&format!("0x2 at byte {whole}, is whole")), "{junk} {whole}: {refused}");
    }
}

#[test]
fn foreign_files_and_versions_are_refused() {
    for content in
        [&b"ZKLG\0\0\0\x03\0\0\0\0\0\0\0\0"[..], b"ZKSN\0\0\0\x02\0\0\0\0\0\0\0\0", b"hello, this is not a log"]
    {
        let store = written(1, 10, 0);
        put(&store.disk, "/data/version-2/log.2", content);
        assert!(matches!(store.recover(), Err(StoreError::Corrupt { .. })));
    }
}

#[test]
fn an_absurd_length_is_an_error_and_reserves_nothing() {
    let store = written(2, 10, 0);
    let log = store.disk.open(&in_dir("log.1"), OpenMode::Write).unwrap();
    log.write_at(&[IoSlice::new(&i32::MIN.to_be_bytes())], 16 + 8).unwrap();
    assert!(matches!(store.recover(), Err(StoreError::Corrupt { .. })));
}

#[test]
fn an_empty_or_half_written_last_log_does_not_stop_the_start() {
    for content in [&b""[..], b"ZK", b"ZKLG\0\0\0\x02", b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0", &[0; 100]] {
        let store = written(2, 10, 16 << 10);
        put(&store.disk, "/data/version-2/log.3", content);
        let (recovery, _) = store.recover().unwrap();
        assert_eq!((recovery.last_zxid, warnings(&recovery)), (2, 1), "{content:?}");
        assert_eq!(store.disk.metadata(&in_dir("log.3")).unwrap(), None);
    }
}

#[test]
fn a_log_without_a_snapshot_is_refused_unless_trusted() {
    let store = written(2, 10, 0);
    store.disk.remove_file(&in_dir("snapshot.0"), &SLOW).unwrap();
    assert!(matches!(store.recover(), Err(StoreError::NoSnapshot)));
    let (recovery, collected) = store.recover_with(true).unwrap();
    assert_eq!((recovery.last_zxid, collected.txns.len(), warnings(&recovery)), (2, 2, 1));
    // A damaged snapshot of the empty tree is as good as a whole one; of a later tree it is not.
    put(&store.disk, "/data/version-2/snapshot.0", b"ZKSN");
    assert_eq!(store.recover().unwrap().0.last_zxid, 2);
    put(&store.disk, "/data/version-2/snapshot.1", b"ZKSN");
    store.disk.remove_file(&in_dir("snapshot.0"), &SLOW).unwrap();
    assert!(matches!(store.recover(), Err(StoreError::NoValidSnapshot { .. })));
}

#[test]
fn records_missing_behind_a_torn_log_are_an_error() {
    let store = written(3, 100, 0);
    let log = store.disk.open(&in_dir("log.1"), OpenMode::Write).unwrap();
    log.truncate(log.len().unwrap() - 5, &SLOW).unwrap();
    let mut later = store.log(3, 0);
    append(&mut later, &entry(4));
    commit(&mut later).unwrap();
    assert!(matches!(store.recover(), Err(StoreError::Corrupt { .. })), "3 was torn, and 4 follows");
    // After a restart of the original, 3 is written anew: right.
    let mut restarted = store.log(2, 0);
    append(&mut restarted, &entry(3));
    append(&mut restarted, &entry(4));
    commit(&mut restarted).unwrap();
    store.disk.remove_file(&in_dir("log.4"), &SLOW).unwrap();
    assert_eq!(store.recover().unwrap().0.last_zxid, 4);
}

/// A follower of the originals that fails while it takes over its leader's history (ZOOKEEPER-4394) has logged it, and logs it again.
#[test]
fn what_an_original_logged_twice_is_recovered_and_read_once() {
    let whole = file(&written(7, 10, 0).disk, in_dir("log.1"));
    let record = (whole.len() - 16) / 7;
    let upto = |zxid: usize| 16 + zxid * record;
    for again in [4, 6] {
        let store = Store::open(&MemDisk::new()).unwrap();
        store.snapshot(&Collected::default(), Compression::None).unwrap();
        // Up to 6, then from 3 on again, as far as a crash let it or to the end; and 7.
        let content = [&whole[..upto(6)], &whole[upto(2)..upto(again)], &whole[upto(6)..]].concat();
        put(&store.disk, "/data/version-2/log.1", &content);
        let (recovery, found) = store.recover().unwrap();
        assert_eq!((recovery.last_zxid, recovery.txns, warnings(&recovery)), (7, 7, 0));
        assert!(found.txns.iter().map(|txn| txn.header.zxid).eq(1..=7));
        for after in 1..=7 {
            let mut read = vec![after];
            loop {
                let after = *read.last().unwrap();
                let (log_dir, snap_dir) = (store.dirs.log_dir(), store.dirs.snap_dir());
                let piece = zk_store::read_piece(&store.disk, log_dir, snap_dir, after, 7, 1 << 20, &SLOW).unwrap();
                assert_eq!(piece.start, Some(after));
                if piece.records.is_empty() {
                    break;
                }
                read.extend(piece.records.iter().map(|record| record.zxid));
            }
            assert!(read.iter().copied().eq(after..=7), "{read:?}");
        }
        for zxid in 3..=7 {
            zk_store::truncate(&store.disk, store.dirs.log_dir(), store.dirs.snap_dir(), 10 - zxid, &SLOW).unwrap();
            assert_eq!(store.recover().unwrap().0.last_zxid, 10 - zxid);
        }
    }
}

#[test]
fn only_what_the_snapshot_lacks_is_replayed() {
    let store = written(6, 10, 0);
    store.snapshot(&Collected { zxid: 4, ..Collected::default() }, Compression::None).unwrap();
    let (recovery, collected) = store.recover().unwrap();
    let zxids: Vec<i64> = collected.txns.iter().map(|entry| entry.header.zxid).collect();
    assert_eq!((recovery.snapshot.unwrap().zxid, zxids), (4, vec![5, 6]));
}

#[test]
fn the_log_rolls_by_size_and_by_order_and_each_file_is_named_by_its_first_record() {
    let store = Store::open(&MemDisk::new()).unwrap();
    let config = LogConfig { file_len_max: Some(1000), preallocation: 4096, force_sync: true };
    let mut log = TxnLog::new(Arc::new(store.disk.clone()), store.dirs.log_dir(), config, 0x1_0000_0000);
    for zxid in 0x1_0000_0001..=0x1_0000_0008 {
        append(&mut log, &long_entry(zxid, 400));
        assert_eq!(commit(&mut log).unwrap(), zxid);
    }
    log.roll();
    append(&mut log, &entry(0x1_0000_0009));
    commit(&mut log).unwrap();
    log.close().unwrap().run(&SLOW).unwrap();
    append(&mut log, &entry(0x1_0000_000a));
    assert!(log.begin().is_none() && log.close().is_none(), "it is closed for good");
    let logs: Vec<String> = disk_names(&store).into_iter().filter(|name| name.starts_with("log.")).collect();
    assert_eq!(logs, ["log.100000001", "log.100000004", "log.100000007", "log.100000009"]);
    let mut reader = LogReader::open(&store.disk, &in_dir("log.100000009")).unwrap();
    let record = reader.read_next().unwrap().unwrap();
    assert_eq!(record.decode(&in_dir("x")).unwrap(), entry(0x1_0000_0009));
    let end = reader.read_next().unwrap().unwrap_err();
    assert_eq!(end, LogEnd::Clean(reader.file_len()), "closed without padding");
}

fn disk_names(store: &Store) -> Vec<String> {
    store.disk.list(store.dirs.log_dir()).unwrap().into_iter().map(|entry| entry.name).collect()
}

#[test]
fn purging_keeps_what_the_kept_snapshots_need() {
    let store = Store::open(&MemDisk::new()).unwrap();
    let mut log = store.log(0, 0);
    for zxid in 1..=10 {
        log.roll();
        append(&mut log, &entry(zxid));
        commit(&mut log).unwrap();
    }
    for zxid in [0, 2, 4, 5, 8] {
        store.snapshot(&Collected { zxid, ..Collected::default() }, Compression::None).unwrap();
    }
    put(&store.disk, "/data/version-2/snapshot.9", b"half of one does not count");
    put(&store.disk, "/data/version-2/snapshot.1.tmp", b"left by the original");
    let removed = zk_store::purge(&store.disk, store.dirs.log_dir(), store.dirs.snap_dir(), 3, &SLOW).unwrap();
    let removed: Vec<_> = removed.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(removed, ["log.1", "log.2", "log.3", "snapshot.0", "snapshot.1.tmp", "snapshot.2"]);
    assert_eq!(store.recover().unwrap().0.last_zxid, 10);
    store.disk.remove_file(&in_dir("log.4"), &SLOW).unwrap();
    assert!(zk_store::purge(&store.disk, store.dirs.log_dir(), store.dirs.snap_dir(), 3, &SLOW).unwrap().is_empty());
}

#[test]
fn truncation_keeps_exactly_what_is_up_to_the_zxid() {
    for zxid in 0..=9 {
        let store = Store::open(&MemDisk::new()).unwrap();
        let mut log = store.log(0, 4096);
        for appended in 1..=9 {
            if appended % 4 == 0 {
                log.roll();
            }
            append(&mut log, &entry(appended));
            commit(&mut log).unwrap();
        }
        for snapshot in [0, 5] {
            store.snapshot(&Collected { zxid: snapshot, ..Collected::default() }, Compression::None).unwrap();
        }
        zk_store::truncate(&store.disk, store.dirs.log_dir(), store.dirs.snap_dir(), zxid, &SLOW).unwrap();
        let (recovery, _) = store.recover().unwrap();
        assert_eq!((recovery.last_zxid, recovery.snapshot.unwrap().zxid), (zxid, if zxid < 5 { 0 } else { 5 }));
        assert_eq!(warnings(&Recovery { notes: recovery.notes, ..Recovery::default() }), 0);
    }
    let store = written(2, 10, 0);
    store.snapshot(&Collected { zxid: 2, ..Collected::default() }, Compression::None).unwrap();
    store.disk.remove_file(&in_dir("snapshot.0"), &SLOW).unwrap();
    let refused = zk_store::truncate(&store.disk, store.dirs.log_dir(), store.dirs.snap_dir(), 1, &SLOW);
    assert!(matches!(refused, Err(StoreError::CannotTruncate { zxid: 1 })));
    assert_eq!(store.recover().unwrap().0.last_zxid, 2);
}
