//! One list of servers: when all is quiet, every server's files hold the same one, and none that waits to be in force.

use std::collections::BTreeMap;

use super::Verdict;
use crate::settings::ServerId;

/// What the disks hold: the list and its version, and whether another one waits.
pub(crate) fn check(found: &BTreeMap<ServerId, (Option<(i64, String)>, bool)>) -> Verdict {
    let Some((first_of, (first, _))) = found.first_key_value() else { return Ok(()) };
    for (server, (list, waits)) in found {
        if list.is_none() || list != first {
            return Err(format!("server {server} has the list {list:?}, server {first_of} {first:?}"));
        }
        if *waits {
            return Err(format!("server {server} still keeps a list that was proposed"));
        }
    }
    Ok(())
}
