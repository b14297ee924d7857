//! Reading a piece of the log while it is being written, for a server that lags (upstream `ZKDatabase.getProposalsFromTxnLog`).

use std::path::Path;

use base::{Disk, Slow};

use crate::dirs::{logs, logs_beyond, snapshots};
use crate::log_reader::LogReader;
use crate::{LogRecord, StoreError};

/// A transaction's number in its epoch; 0 is the epoch's start.
const COUNTER_MASK: i64 = 0xffff_ffff;

/// Transactions behind another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPiece {
    /// The last transaction at or before the one asked for; `None` if the log begins later, or lacks what is around it.
    pub start: Option<i64>,
    /// What follows, without a gap.
    pub records: Vec<LogRecord>,
}

/// Reads what the log holds behind `after`, up to `up_to` and some `bytes_max`, at least one record if there is one. A record
/// that is still being written ends the piece, and so does a hole: an original's snapshot may be ahead of its log, as when its leader
/// sent it or when the power goes off, and the log goes on behind it. In an epoch the numbers tell, between two the names of snapshots.
pub fn read_piece(
    disk: &dyn Disk,
    log_dir: &Path,
    snap_dir: &Path,
    after: i64,
    up_to: i64,
    bytes_max: usize,
    _slow: &Slow,
) -> Result<LogPiece, StoreError> {
    let all = logs(disk, log_dir)?;
    let snapshots = snapshots(disk, snap_dir)?;
    let is_left_out = |last: i64, next: i64| {
        let is_txn = |zxid: i64| zxid & COUNTER_MASK != 0;
        snapshots.iter().any(|(zxid, ..)| is_txn(*zxid) && last < *zxid && *zxid < next)
    };
    let mut piece = LogPiece { start: None, records: Vec::new() };
    let mut bytes = 0;
    let mut last = None;
    for (first, path) in logs_beyond(&all, after) {
        if *first > after && piece.start.is_none() {
            return Ok(piece);
        }
        let mut reader = LogReader::open(disk, path)?;
        while let Ok(record) = reader.read_next()? {
            if record.zxid <= after {
                // An original that failed while it took history over has parts of it twice (ZOOKEEPER-4394).
                piece.start = piece.start.max(Some(record.zxid));
                continue;
            }
            let has_hole =
                last.or(piece.start).is_some_and(|last| !follows(record.zxid, last) || is_left_out(last, record.zxid));
            if has_hole && piece.start != Some(after) {
                // What was asked for may lie in the hole.
                return Ok(LogPiece { start: None, records: Vec::new() });
            }
            if record.zxid > up_to || bytes >= bytes_max || has_hole {
                return Ok(piece);
            }
            last = Some(record.zxid);
            bytes += record.payload.len();
            piece.records.push(record);
        }
    }
    Ok(piece)
}

/// Whether `zxid` may be the next one behind `last`: in an epoch none is left out.
const fn follows(zxid: i64, last: i64) -> bool {
    let is_first = zxid & COUNTER_MASK == 1;
    zxid == last + 1 || (is_first && zxid > last)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base::MemDisk;

    use super::*;
    use crate::{LogConfig, TxnLog};

    /// Logs of the zxids 5 to 7, and 8 to 9.
    fn disk() -> Arc<MemDisk> {
        disk_of(5..10)
    }

    /// A new file begins with zxid 8.
    fn disk_of(zxids: impl IntoIterator<Item = i64>) -> Arc<MemDisk> {
        let disk = Arc::new(MemDisk::new());
        disk.create_dir_all(Path::new("/log")).unwrap();
        let mut log = TxnLog::new(disk.clone(), Path::new("/log"), LogConfig::default(), 4);
        for zxid in zxids {
            if zxid == 8 {
                log.roll();
            }
            let mut payload = [0; 40];
            payload[12..20].copy_from_slice(&i64::to_be_bytes(zxid));
            log.append(zxid, &payload);
            let batch = log.begin().unwrap();
            log.finish(batch.run(&Slow::allowed())).unwrap();
        }
        disk
    }

    fn piece(after: i64, up_to: i64, bytes_max: usize) -> (Option<i64>, Vec<i64>) {
        let path = Path::new("/log");
        let piece = read_piece(&*disk(), path, path, after, up_to, bytes_max, &Slow::allowed()).unwrap();
        (piece.start, piece.records.iter().map(|record| record.zxid).collect())
    }

    #[test]
    fn a_piece_goes_on_across_files_up_to_its_bounds() {
        assert_eq!(piece(6, 100, 1 << 20), (Some(6), vec![7, 8, 9]));
        assert_eq!(piece(6, 8, 1 << 20), (Some(6), vec![7, 8]));
        assert_eq!(piece(5, 100, 1), (Some(5), vec![6]));
        assert_eq!(piece(9, 100, 1 << 20), (Some(9), vec![]));
        assert_eq!(piece(20, 100, 1 << 20), (Some(9), vec![]), "what was asked for is not there");
        assert_eq!(piece(4, 100, 1 << 20), (None, vec![]), "the log begins later");
    }

    #[test]
    fn a_hole_ends_a_piece_and_an_epochs_end_is_none() {
        const EPOCH: i64 = 1 << 32;
        let read_beside = |snapshots: &[i64], zxids: &[i64], after| {
            let (disk, path) = (disk_of(zxids.iter().copied()), Path::new("/log"));
            for zxid in snapshots {
                disk.open(&path.join(format!("snapshot.{zxid:x}")), base::OpenMode::Create).unwrap();
            }
            let piece = read_piece(&*disk, path, path, after, i64::MAX, 1 << 20, &Slow::allowed()).unwrap();
            (piece.start, piece.records.iter().map(|record| record.zxid).collect::<Vec<_>>())
        };
        let read = |zxids: &[i64], after| read_beside(&[], zxids, after);
        assert_eq!(read(&[5, 6, 8, 9], 5), (Some(5), vec![6]));
        assert_eq!(read(&[5, 6, 8, 9], 6), (Some(6), vec![]));
        assert_eq!(read(&[5, 6, 8, 9], 8), (Some(8), vec![9]));
        assert_eq!(read(&[5, 6, EPOCH + 1, EPOCH + 2], 6), (Some(6), vec![EPOCH + 1, EPOCH + 2]));
        assert_eq!(read(&[5, 6, EPOCH + 3], 5), (Some(5), vec![6]));
        // A tree that came from a leader stands for what its log lacks, up to the epoch's end.
        let across = [5, 6, EPOCH + 1];
        assert_eq!(read_beside(&[7], &across, 5), (Some(5), vec![6]));
        assert_eq!(read_beside(&[7], &across, 6), (Some(6), vec![]));
        assert_eq!(read_beside(&[8], &across, 7), (None, vec![]), "it may be in the hole");
        assert_eq!(read_beside(&[5, 6, EPOCH, EPOCH + 1], &across, 5), (Some(5), vec![6, EPOCH + 1]));
    }
}
