//! A partition replica: leader and follower state, in-sync replicas, high watermark, delayed produce and fetch.
