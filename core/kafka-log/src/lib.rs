//! A partition's log: segments, indexes, producer state, leader epochs, retention, recovery, over base::Disk.
