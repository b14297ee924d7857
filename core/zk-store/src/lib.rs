//! ZooKeeper's transaction log and snapshots: append, group commit, recovery, purge, over base::Disk.
