//! Files of ZooKeeper 3.6.3, see `tests/golden/README.md`.

use zk_proto::{Acl, OpCode};

use super::*;

const LOG: &[u8] = include_bytes!("../golden/log.1");
const SNAPSHOT_0: &[u8] = include_bytes!("../golden/snapshot.0");
const SNAPSHOT: &[u8] = include_bytes!("../golden/snapshot.17");
const SNAPSHOT_GZIP: &[u8] = include_bytes!("../golden/snapshot.17.gz");
const SNAPSHOT_SNAPPY: &[u8] = include_bytes!("../golden/snapshot.17.snappy");

fn store(files: &[(&str, &[u8])]) -> Store {
    let store = Store::open(&MemDisk::new()).unwrap();
    for (name, content) in files {
        put(&store.disk, in_dir(name).to_str().unwrap(), content);
    }
    store
}

#[test]
fn a_log_of_the_original_is_recovered_and_written_again_byte_for_byte() {
    let (recovery, collected) = store(&[("log.1", LOG), ("snapshot.0", SNAPSHOT_0)]).recover().unwrap();
    assert_eq!((recovery.last_zxid, recovery.txns, recovery.snapshot.unwrap().zxid), (0x17, 0x17, 0));
    let zxids: Vec<i64> = collected.txns.iter().map(|entry| entry.header.zxid).collect();
    assert_eq!(zxids, (1..=0x17).collect::<Vec<_>>());
    let ops: Vec<OpCode> = collected.txns.iter().map(|entry| entry.txn.op()).collect();
    for op in [
        OpCode::CreateSession,
        OpCode::Create,
        OpCode::CreateContainer,
        OpCode::CreateTtl,
        OpCode::SetData,
        OpCode::SetAcl,
        OpCode::Multi,
        OpCode::Delete,
        OpCode::Error,
        OpCode::CloseSession,
    ] {
        assert!(ops.contains(&op), "{op:?} is not in the golden log");
    }
    let again = store(&[]);
    let mut log = again.log(0, 16 << 10);
    for entry in &collected.txns {
        append(&mut log, entry);
        commit(&mut log).unwrap();
    }
    assert!(file(&again.disk, in_dir("log.1")) == LOG, "padding included");
}

#[test]
fn a_snapshot_of_the_original_is_read_and_written_again_byte_for_byte() {
    let (recovery, collected) = store(&[("log.1", LOG), ("snapshot.17", SNAPSHOT)]).recover().unwrap();
    assert_eq!((recovery.last_zxid, recovery.txns), (0x17, 0));
    let node = |path: &str| collected.nodes.iter().find(|node| node.path == path).unwrap();
    assert_eq!(collected.nodes[0].path, "");
    assert_eq!(node("/nulldata").data, None);
    assert_eq!(node("/v\u{161}e").data.as_deref(), Some(&b"unicode"[..]));
    assert_eq!(node("/persistent").data.as_ref().unwrap().len(), 9000);
    assert_ne!(node("/ephemeral").stat.ephemeral_owner, 0);
    let readonly = collected.acls.iter().find(|(index, _)| *index == node("/readonly").acl_index).unwrap();
    assert_eq!(readonly.1, [Acl::READ]);
    assert_eq!(collected.sessions.len(), 1);
    assert_eq!(collected.digest.unwrap().zxid, 0x17);
    let again = store(&[]);
    let info = again.snapshot(&collected, Compression::None).unwrap();
    assert_eq!(info.path, in_dir("snapshot.17"));
    assert!(file(&again.disk, info.path) == SNAPSHOT);
}

#[test]
fn compressed_snapshots_of_the_original_are_read_and_ours_come_back() {
    for (name, stored, compression) in [
        ("snapshot.17.gz", SNAPSHOT_GZIP, Compression::Gzip),
        ("snapshot.17.snappy", SNAPSHOT_SNAPPY, Compression::Snappy),
    ] {
        let (_, collected) = store(&[(name, stored)]).recover().unwrap();
        assert_eq!((collected.nodes.len(), collected.zxid), (15, 0x17), "{name}");
        let again = store(&[]);
        assert_eq!(again.snapshot(&collected, compression).unwrap().path, in_dir(name));
        assert_eq!(again.recover().unwrap().1, collected);
        // The last 8 bytes of gzip are its own seal, behind ours.
        for cut in [1, 20, stored.len() - 12] {
            let damaged = store(&[(name, &stored[..cut])]).recover();
            assert!(matches!(damaged, Err(StoreError::NoValidSnapshot { .. })), "{name} cut at {cut}");
        }
    }
}

#[test]
fn any_changed_byte_of_a_snapshot_is_found() {
    let whole = store(&[("snapshot.17", SNAPSHOT), ("snapshot.0", SNAPSHOT_0), ("log.1", LOG)]).recover().unwrap().1;
    // Behind the header's magic every byte counts: version and dbid are under the seal.
    for at in (0..SNAPSHOT.len()).step_by(37).chain(SNAPSHOT.len() - 50..SNAPSHOT.len()) {
        let mut damaged = SNAPSHOT.to_vec();
        damaged[at] ^= 0x10;
        let damaged = store(&[("snapshot.17", &damaged), ("snapshot.0", SNAPSHOT_0), ("log.1", LOG)]);
        let (recovery, collected) = damaged.recover().unwrap();
        assert_eq!((collected.zxid, collected.txns.len(), recovery.last_zxid), (0, 0x17, 0x17), "byte {at}");
        assert!(recovery.notes.iter().any(|note| note.warning), "byte {at}");
        assert_ne!(collected, whole);
    }
}
