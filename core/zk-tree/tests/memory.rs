//! What a znode and a watch cost: a million znodes of 100 bytes are to fit into a quarter of the original's memory.
#![allow(unsafe_code, clippy::unwrap_used, reason = "tests; an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use zk_proto::txn::CreateTxn;
use zk_proto::{Acl, Txn, TxnHeader};
use zk_tree::watch::Watches;
use zk_tree::{Tree, TreeSettings};

struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        USED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_znode_of_100_bytes_costs_less_than_180_and_a_watch_less_than_150() {
    const COUNT: usize = 100_000;
    let mut tree = Tree::new(TreeSettings::default());
    let before = USED.load(Ordering::Relaxed);
    let mut zxid = 0;
    let mut create = |path: String, data: &'static [u8]| {
        zxid += 1;
        let txn = CreateTxn {
            path: path.into(),
            data: Some(Bytes::from_static(data)),
            acl: vec![Acl::OPEN],
            ephemeral: false,
            parent_cversion: -1,
        };
        let header = TxnHeader { session_id: 1, cxid: 0, zxid, time_ms: 0 };
        assert_eq!(tree.apply(&header, &Txn::Create(txn), &mut Vec::new()).err, 0);
    };
    create("/brokers".to_owned(), b"");
    for at in 0..COUNT {
        create(format!("/brokers/node-{at:010}"), &[7; 100]);
    }
    let each = (USED.load(Ordering::Relaxed) - before) / COUNT;
    assert!(each < 180, "{each} bytes a znode");

    let mut watches = Watches::default();
    let before = USED.load(Ordering::Relaxed);
    for at in 0..COUNT {
        watches.add_data(&format!("/brokers/node-{at:010}"), at as u64 % 1000);
    }
    let each = (USED.load(Ordering::Relaxed) - before) / COUNT;
    assert!(each < 150, "{each} bytes a watch");
}
