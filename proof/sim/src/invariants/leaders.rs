//! One leader per epoch: a server that serves as leader of an epoch, in one life, is the only one ever.

use std::collections::BTreeMap;

use super::Verdict;
use crate::settings::ServerId;

#[derive(Default)]
pub(crate) struct Leaders {
    of: BTreeMap<i64, (ServerId, u64)>,
}

impl Leaders {
    /// A server in its `boot`-th life says that it leads, and at which zxid it is.
    pub(crate) fn leads(&mut self, server: ServerId, boot: u64, zxid: i64) -> Verdict {
        let epoch = zxid >> 32;
        match self.of.insert(epoch, (server, boot)) {
            Some(other) if other != (server, boot) => {
                Err(format!("epoch {epoch} is led by server {server} in life {boot} and by {other:?}"))
            }
            _ => Ok(()),
        }
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.of.len() as u64
    }
}
