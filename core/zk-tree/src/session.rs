//! Live sessions of this server: who is heard of in time, who is closing, which connection speaks for it
//! (`SessionTrackerImpl`, `ExpiryQueue`).
//!
//! Deadlines are rounded up to ticks. A touch only moves the session's own deadline; the session stays in the bucket where
//! it is until that bucket comes due, so that the packets of a busy session cost one look-up each.

use std::collections::BTreeMap;

use base::Monotonic;
use hashbrown::HashMap;
use zk_proto::ErrorCode;

struct Session {
    /// The tick at which it expires.
    deadline: u64,
    /// The bucket it is filed in: never later than the deadline.
    filed: u64,
    closing: bool,
    owner: Option<u64>,
}

/// The sessions that this server watches over.
pub struct Sessions {
    by_id: HashMap<i64, Session>,
    buckets: BTreeMap<u64, Vec<i64>>,
    tick_ms: u64,
    next_id: i64,
}

impl Sessions {
    /// None yet. `tick_ms` is the granularity of expiry; ids of new sessions start from the clock's reading and hold
    /// `server_id` in the highest byte.
    pub fn new(tick_ms: u64, server_id: u8, now: Monotonic) -> Self {
        Self {
            by_id: HashMap::new(),
            buckets: BTreeMap::new(),
            tick_ms: tick_ms.max(1),
            next_id: first_id(server_id, now),
        }
    }

    /// An id for a new session.
    pub const fn next_id(&mut self) -> i64 {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        id
    }

    /// Starts to watch over a session, or hears of one that is known. `true` if it is new.
    pub fn track(&mut self, id: i64, timeout_ms: i32, now: Monotonic) -> bool {
        let deadline = self.deadline(timeout_ms, now);
        if let Some(session) = self.by_id.get_mut(&id) {
            session.deadline = deadline;
            if deadline < session.filed {
                session.filed = deadline;
                self.buckets.entry(deadline).or_default().push(id);
            }
            return false;
        }
        self.by_id.insert(id, Session { deadline, filed: deadline, closing: false, owner: None });
        self.buckets.entry(deadline).or_default().push(id);
        true
    }

    /// Hears of a session. `false` if it is not known or closing.
    pub fn touch(&mut self, id: i64, timeout_ms: i32, now: Monotonic) -> bool {
        let live = self.by_id.get(&id).is_some_and(|session| !session.closing);
        if live {
            self.track(id, timeout_ms, now);
        }
        live
    }

    /// Whether a request of this session may go on, from connection `owner`: the first one to ask owns the session.
    ///
    /// # Errors
    /// `UnknownSession`, `SessionExpired` (also while it closes), `SessionMoved` (another connection owns it).
    pub fn check(&mut self, id: i64, owner: u64) -> Result<(), ErrorCode> {
        let session = self.by_id.get_mut(&id).ok_or(ErrorCode::UnknownSession)?;
        if session.closing {
            return Err(ErrorCode::SessionExpired);
        }
        match *session.owner.get_or_insert(owner) == owner {
            true => Ok(()),
            false => Err(ErrorCode::SessionMoved),
        }
    }

    /// As [`Sessions::check`] for requests that need a replicated session: an unknown one has expired.
    ///
    /// # Errors
    /// `SessionExpired`, `SessionMoved`.
    pub fn check_global(&mut self, id: i64, owner: u64) -> Result<(), ErrorCode> {
        self.check(id, owner).map_err(|error| match error {
            ErrorCode::UnknownSession => ErrorCode::SessionExpired,
            error => error,
        })
    }

    /// Hands the session to a connection.
    ///
    /// # Errors
    /// `SessionExpired` if it is not known or closing.
    pub fn set_owner(&mut self, id: i64, owner: u64) -> Result<(), ErrorCode> {
        let session = self.by_id.get_mut(&id).filter(|session| !session.closing).ok_or(ErrorCode::SessionExpired)?;
        session.owner = Some(owner);
        Ok(())
    }

    /// From now on its requests fail: its close is on the way.
    pub fn set_closing(&mut self, id: i64) {
        if let Some(session) = self.by_id.get_mut(&id) {
            session.closing = true;
        }
    }

    /// Forgets a session.
    pub fn remove(&mut self, id: i64) {
        // Its bucket finds it gone.
        self.by_id.remove(&id);
    }

    /// Watches over none any more; ids go on.
    pub fn clear(&mut self) {
        self.by_id.clear();
        self.buckets.clear();
    }

    /// Whether it is watched over.
    pub fn contains(&self, id: i64) -> bool {
        self.by_id.contains_key(&id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// When to call [`Sessions::expire`] next.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.buckets.first_key_value().map(|(tick, _)| Monotonic::from_ms(tick.saturating_mul(self.tick_ms)))
    }

    /// Marks the sessions that were not heard of in time as closing, and returns them in order of deadline, then id. Each
    /// is to be closed by a transaction.
    pub fn expire(&mut self, now: Monotonic) -> Vec<i64> {
        let mut expired = Vec::new();
        while let Some(entry) = self.buckets.first_entry() {
            let tick = *entry.key();
            if now.ms() < tick.saturating_mul(self.tick_ms) {
                break;
            }
            let mut ids = entry.remove();
            ids.sort_unstable();
            ids.dedup();
            for id in ids {
                self.come_due(id, tick, &mut expired);
            }
        }
        expired
    }

    fn come_due(&mut self, id: i64, tick: u64, expired: &mut Vec<i64>) {
        // Gone, or filed anew in an earlier bucket.
        let Some(session) = self.by_id.get_mut(&id).filter(|session| session.filed == tick) else { return };
        if session.deadline > tick {
            session.filed = session.deadline;
            self.buckets.entry(session.deadline).or_default().push(id);
        } else {
            session.closing = true;
            // Out of all buckets until it is removed.
            session.filed = u64::MAX;
            session.deadline = u64::MAX;
            expired.push(id);
        }
    }

    /// Sessions by the time at which they expire, for the four-letter word `dump`.
    pub fn by_deadline(&self) -> BTreeMap<Monotonic, Vec<i64>> {
        let mut by_deadline: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (id, session) in self.by_id.iter().filter(|(_, session)| session.deadline != u64::MAX) {
            by_deadline.entry(Monotonic::from_ms(session.deadline.saturating_mul(self.tick_ms))).or_default().push(*id);
        }
        by_deadline.values_mut().for_each(|ids| ids.sort_unstable());
        by_deadline
    }

    fn deadline(&self, timeout_ms: i32, now: Monotonic) -> u64 {
        (now.ms() + u64::try_from(timeout_ms).unwrap_or(0)) / self.tick_ms + 1
    }
}

/// The clock in the middle, the server in the highest byte. The value that marks container nodes is passed over.
fn first_id(server_id: u8, now: Monotonic) -> i64 {
    let id = ((now.ms() << 24) >> 8) | u64::from(server_id) << 56;
    match id as i64 {
        i64::MIN => i64::MIN + 1,
        id => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_ms(ms)
    }

    #[test]
    fn expiry_is_at_the_tick_behind_the_timeout() {
        let mut sessions = Sessions::new(2000, 1, at(0));
        sessions.track(7, 4000, at(0));
        sessions.track(8, 3999, at(0));
        assert_eq!(sessions.next_deadline(), Some(at(4000)));
        assert_eq!(sessions.expire(at(3999)), []);
        assert_eq!(sessions.expire(at(4000)), [8]);
        assert!(sessions.touch(7, 4000, at(5999)));
        assert_eq!(sessions.expire(at(6000)), []);
        assert_eq!(sessions.next_deadline(), Some(at(10_000)));
        assert_eq!(sessions.by_deadline(), BTreeMap::from([(at(10_000), vec![7])]));
        assert_eq!(sessions.expire(at(20_000)), [7]);
        assert!(!sessions.touch(7, 4000, at(20_000)));
        assert_eq!(sessions.expire(at(90_000)), []);
        assert_eq!(sessions.check(7, 1), Err(ErrorCode::SessionExpired));
        sessions.remove(7);
        assert_eq!(sessions.check(7, 1), Err(ErrorCode::UnknownSession));
        assert_eq!(sessions.check_global(7, 1), Err(ErrorCode::SessionExpired));
    }

    #[test]
    fn a_shorter_timeout_counts_at_once() {
        let mut sessions = Sessions::new(10, 1, at(0));
        sessions.track(7, 1000, at(0));
        sessions.track(7, 10, at(0));
        assert_eq!(sessions.expire(at(20)), [7]);
        assert_eq!(sessions.expire(at(5000)), []);
    }

    #[test]
    fn the_first_connection_owns_a_session_until_it_is_handed_over() {
        let mut sessions = Sessions::new(10, 1, at(0));
        sessions.track(7, 1000, at(0));
        assert_eq!(sessions.check(7, 1), Ok(()));
        assert_eq!(sessions.check(7, 2), Err(ErrorCode::SessionMoved));
        assert_eq!(sessions.set_owner(7, 2), Ok(()));
        assert_eq!(sessions.check(7, 2), Ok(()));
        assert_eq!(sessions.check(7, 1), Err(ErrorCode::SessionMoved));
    }

    #[test]
    fn ids_hold_server_and_clock() {
        let mut sessions = Sessions::new(10, 3, at(0x0123_4567));
        assert_eq!(sessions.next_id(), 0x0300_0123_4567_0000);
        assert_eq!(sessions.next_id(), 0x0300_0123_4567_0001);
        assert_eq!(Sessions::new(10, 128, at(0)).next_id(), i64::MIN + 1);
    }
}
