//! Znodes, sessions, watches, ACLs and quotas: a request becomes a transaction ([`prep`]), a transaction becomes state and
//! events ([`Tree::apply`]).
//!
//! [`Tree`] is the replicated state: equal on all servers that applied the same transactions. [`watch::Watches`] and
//! [`session::Sessions`] are one server's own. A write goes `Prep::prepare` (against the tree and what is on the way),
//! log, `Tree::apply`, `Watches::trigger`, reply; a read goes [`reads::answer`].

mod acl_cache;
mod apply;
pub mod auth;
mod digest;
mod nodes;
pub mod prep;
mod quota;
pub mod reads;
pub mod session;
mod tree;
mod walk;
pub mod watch;

pub use acl_cache::AclList;
pub use apply::TxnResult;
pub use tree::{CONFIG, Touched, Tree, TreeEvent, TreeSettings, ZnodeRef};
pub use walk::{Restore, RestoreError, SnapshotHead, WalkId};
