//! One ZooKeeper server as a state machine: connections, the pipeline of prep, propose, log, commit, apply, and the four-letter words.
