//! The ZooKeeper session machine: connect, ping, pipelined requests, watches, reconnection, chroot.
