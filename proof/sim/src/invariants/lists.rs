//! One list of servers: when all is quiet, every server's files hold the same one, and none that waits to be in force.

use std::collections::BTreeMap;

use super::Verdict;
use crate::settings::ServerId;

/// What a disk holds.
pub(crate) struct Found {
    /// The list in force, with its version.
    pub(crate) list: Option<(i64, String)>,
    /// There is another one, which was proposed.
    pub(crate) waits: bool,
}

/// Looks at what is left.
pub(crate) fn check(found: &BTreeMap<ServerId, Found>) -> Verdict {
    let Some((first_of, first)) = found.first_key_value() else { return Ok(()) };
    for (server, Found { list, waits }) in found {
        if list.is_none() || *list != first.list {
            return Err(format!("server {server} has the list {list:?}, server {first_of} {:?}", first.list));
        }
        if *waits {
            return Err(format!("server {server} still keeps a list that was proposed"));
        }
    }
    Ok(())
}
