//! Starts Jackdaw and the JVM originals as a user would, and runs real clients against them.
//!
//! `cargo xtask interop` installs the clients into a cache folder and names it in `JACKDAW_INTEROP_CACHE`. Every server
//! listens on free ports of loopback, or in a network namespace of the test, keeps its data in a folder of its own, and is ended by its process id.

mod addresses;
mod certificates;
mod clients;
mod cluster;
mod daemon;
mod disks;
mod ensemble;
mod folder;
mod load;
mod network;
mod originals;
mod process;
mod requests;
mod server;
mod tools;
mod traffic;
mod znodes;

pub use certificates::{Certificates, STORE_PASSWORD};
pub use clients::{kafka_cli, node, python, python_command};
pub use cluster::Cluster;
pub use daemon::Kind;
pub use disks::{FullDisk, SlowSyncs};
pub use ensemble::Ensemble;
pub use load::Load;
pub use originals::{Original, OriginalKind, class_path};
pub use process::{Finished, run};
pub use requests::Requests;
pub use server::{Jackdaw, Server, binary, free_port};
pub use tools::OriginalTools;
pub use traffic::{Account, Traffic};
pub use znodes::Znodes;
