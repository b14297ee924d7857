//! The group coordinator: membership, rebalances, committed offsets and their records.
//!
//! A [`Group`] is a state machine without I/O: requests go in with something that answers them, answers come out at once or when
//! the wait is over, records to append come out in order, and only an append that was acknowledged changes what is committed.
//! A [`Loader`] makes groups from the log of a partition of `__consumer_offsets`.

mod appends;
mod group;
mod join;
mod leave;
mod loader;
mod member;
mod offset_requests;
mod offsets;
mod rebalance;
pub mod record;
mod settings;
mod sync;

pub use appends::Append;
pub use group::{DescribedMember, Description, Group, Reply, State, Step};
pub use join::Joiner;
pub use loader::{Loader, Replayed, partition_of};
pub use offset_requests::Commit;
pub use offsets::Offsets;
pub use settings::Settings;
