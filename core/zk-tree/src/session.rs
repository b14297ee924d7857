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
    owner: Option<u64>,
    timeout_ms: i32,
    /// Known to this server alone (ZOOKEEPER-1147).
    is_local: bool,
    life: Life,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Live,
    /// Its close is on the way.
    Closing,
    /// It is remembered for a while, so that what it has asked for elsewhere is not taken for a local session's.
    Ended,
}

/// What becomes of requests of sessions that are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strangers {
    /// A server alone calls them unknown.
    Unknown,
    /// A leader knows all sessions there are: they have expired.
    Expired,
    /// Other servers may have sessions that the leader has not heard of: those of their own ids go on.
    Local {
        /// How long a session that has ended is not taken for one of those. The original does not remember any: what a session
        /// has asked for at the server that it left may be done behind its end there.
        remembered_ms: u64,
    },
}

/// How far behind a live session's id new ones begin at the least, if the clock would give earlier ones: those between may have been given
/// out, too.
const IDS_AT_ONCE: i64 = 1 << 24;
/// As many such distances are there for processes that begin at different milliseconds.
const DISTANCES: i64 = 1 << 16;

/// The sessions that this server watches over.
pub struct Sessions {
    by_id: HashMap<i64, Session>,
    buckets: BTreeMap<u64, Vec<i64>>,
    tick_ms: u64,
    server_id: u8,
    next_id: i64,
    /// How far behind a live session's id new ones begin: in another process with the same sessions another one, since what that gave out
    /// behind them may have ended.
    distance: i64,
    strangers: Strangers,
}

impl Sessions {
    /// None yet. `tick_ms` is the granularity of expiry; ids of new sessions start from the clock's reading and hold
    /// `server_id` in the highest byte.
    pub fn new(tick_ms: u64, server_id: u8, strangers: Strangers, now: Monotonic) -> Self {
        let began_ms = i64::try_from(now.ms()).unwrap_or(i64::MAX);
        Self {
            by_id: HashMap::new(),
            buckets: BTreeMap::new(),
            tick_ms: tick_ms.max(1),
            server_id,
            next_id: first_id(server_id, now),
            distance: IDS_AT_ONCE * (1 + began_ms % DISTANCES),
            strangers,
        }
    }

    /// No id comes again that was given out before.
    pub fn go_on_from(&mut self, before: &Self) {
        self.next_id = self.next_id.max(before.next_id);
    }

    /// An id for a new session.
    pub const fn next_id(&mut self) -> i64 {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        id
    }

    /// Starts to watch over a session that all servers know, or hears of one that is known. `true` if it is new. A local one
    /// is known to all from now on.
    pub fn track(&mut self, id: i64, timeout_ms: i32, now: Monotonic) -> bool {
        let is_new = self.renew(id, timeout_ms, now);
        if let Some(session) = self.by_id.get_mut(&id) {
            session.is_local = false;
        }
        is_new
    }

    /// Starts to watch over a session that no other server knows.
    pub fn track_local(&mut self, id: i64, timeout_ms: i32, now: Monotonic) {
        self.renew(id, timeout_ms, now);
        if let Some(session) = self.by_id.get_mut(&id) {
            session.is_local = true;
        }
    }

    fn renew(&mut self, id: i64, timeout_ms: i32, now: Monotonic) -> bool {
        let deadline = self.deadline(timeout_ms, now);
        if let Some(session) = self.by_id.get_mut(&id) {
            session.deadline = deadline;
            if deadline < session.filed {
                session.filed = deadline;
                self.buckets.entry(deadline).or_default().push(id);
            }
            return false;
        }
        if (id >> 56) as u8 == self.server_id && id >= self.next_id {
            // The clock was set back since it began.
            self.next_id = id.wrapping_add(self.distance);
        }
        let session = Session { deadline, filed: deadline, owner: None, timeout_ms, is_local: false, life: Life::Live };
        self.by_id.insert(id, session);
        self.buckets.entry(deadline).or_default().push(id);
        true
    }

    /// Hears of a session. `false` if it is not known or closing.
    pub fn touch(&mut self, id: i64, timeout_ms: i32, now: Monotonic) -> bool {
        let is_live = self.by_id.get(&id).is_some_and(|session| session.life == Life::Live);
        if is_live {
            self.renew(id, timeout_ms, now);
        }
        is_live
    }

    /// Whether a request of this session may go on, from connection `owner`: the first one to ask owns the session.
    ///
    /// # Errors
    /// `SessionExpired` (also while it closes), `SessionMoved` (another connection owns it); what [`Strangers`] says.
    pub fn check(&mut self, id: i64, owner: u64) -> Result<(), ErrorCode> {
        let Some(session) = self.by_id.get_mut(&id) else { return self.check_stranger(id) };
        if session.life != Life::Live {
            return Err(ErrorCode::SessionExpired);
        }
        match *session.owner.get_or_insert(owner) == owner {
            true => Ok(()),
            false => Err(ErrorCode::SessionMoved),
        }
    }

    const fn check_stranger(&self, id: i64) -> Result<(), ErrorCode> {
        match self.strangers {
            Strangers::Unknown => Err(ErrorCode::UnknownSession),
            // One of its own it would know.
            Strangers::Local { .. } if (id >> 56) as u8 != self.server_id => Ok(()),
            Strangers::Expired | Strangers::Local { .. } => Err(ErrorCode::SessionExpired),
        }
    }

    /// As [`Sessions::check`] for requests that need a session that all servers know: an unknown one has expired.
    ///
    /// # Errors
    /// `SessionExpired`, `SessionMoved`, `EphemeralOnLocalSession`.
    pub fn check_global(&mut self, id: i64, owner: u64) -> Result<(), ErrorCode> {
        match self.by_id.get(&id) {
            None => Err(ErrorCode::SessionExpired),
            Some(session) if session.is_local => Err(ErrorCode::EphemeralOnLocalSession),
            Some(_) => self.check(id, owner),
        }
    }

    /// Hands the session to a connection.
    ///
    /// # Errors
    /// `SessionExpired` if it is not known or closing.
    pub fn set_owner(&mut self, id: i64, owner: u64) -> Result<(), ErrorCode> {
        let session = self.by_id.get_mut(&id).filter(|session| session.life == Life::Live);
        session.ok_or(ErrorCode::SessionExpired)?.owner = Some(owner);
        Ok(())
    }

    /// From now on its requests fail: its close is on the way.
    pub fn set_closing(&mut self, id: i64) {
        if let Some(session) = self.by_id.get_mut(&id) {
            session.life = Life::Closing;
        }
    }

    /// Its end is applied.
    pub fn end(&mut self, id: i64, now: Monotonic) {
        let Strangers::Local { remembered_ms } = self.strangers else { return self.remove(id) };
        let forgotten = self.deadline(i32::try_from(remembered_ms).unwrap_or(i32::MAX), now);
        if let Some(session) = self.by_id.get_mut(&id) {
            session.life = Life::Ended;
            (session.filed, session.deadline) = (forgotten, forgotten);
            self.buckets.entry(forgotten).or_default().push(id);
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

    /// The timeout of a session that no other server knows, as it began; `None` for any other.
    pub fn local_timeout_ms(&self, id: i64) -> Option<i32> {
        self.by_id.get(&id).filter(|session| session.is_local).map(|session| session.timeout_ms)
    }

    /// Whether no other server knows it.
    pub fn is_local(&self, id: i64) -> bool {
        self.local_timeout_ms(id).is_some()
    }

    /// Whether it is watched over, or is on its way out.
    pub fn is_known(&self, id: i64) -> bool {
        self.by_id.contains_key(&id)
    }

    /// How many no other server knows.
    pub fn local_count(&self) -> usize {
        self.by_id.values().filter(|session| session.is_local).count()
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
        if session.life == Life::Ended {
            self.by_id.remove(&id);
        } else if session.deadline > tick {
            session.filed = session.deadline;
            self.buckets.entry(session.deadline).or_default().push(id);
        } else {
            session.life = Life::Closing;
            // Out of all buckets until it is removed.
            session.filed = u64::MAX;
            session.deadline = u64::MAX;
            expired.push(id);
        }
    }

    /// Sessions by the time at which they expire, for the four-letter word `dump`: those that no other server knows, or
    /// the others.
    pub fn by_deadline(&self, is_local: bool) -> BTreeMap<Monotonic, Vec<i64>> {
        let mut by_deadline: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let is_told = |session: &Session| session.is_local == is_local && session.life != Life::Ended;
        for (id, session) in self.by_id.iter().filter(|(_, session)| is_told(session) && session.deadline != u64::MAX) {
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

    fn alone(tick_ms: u64) -> Sessions {
        Sessions::new(tick_ms, 1, Strangers::Unknown, at(0))
    }

    #[test]
    fn a_clock_that_was_set_back_gives_no_id_again() {
        let set = |ms| Sessions::new(1000, 3, Strangers::Expired, at(ms));
        let mut before = set(5000);
        let [live, ended] = [before.next_id(), before.next_id()];
        let mut in_one_process = set(4000);
        in_one_process.go_on_from(&before);
        assert_eq!(in_one_process.next_id(), ended + 1);
        let mut in_another = set(4000);
        in_another.track(first_id(4, at(9000)), 4000, at(0));
        in_another.track(live, 4000, at(0));
        let given_out = in_another.next_id();
        assert!(given_out > ended);
        // That one has ended when a third process begins.
        let mut in_a_third = set(4001);
        in_a_third.track(live, 4000, at(0));
        assert!(in_a_third.next_id() - given_out >= IDS_AT_ONCE);
    }

    #[test]
    fn expiry_is_at_the_tick_behind_the_timeout() {
        let mut sessions = alone(2000);
        sessions.track(7, 4000, at(0));
        sessions.track(8, 3999, at(0));
        assert_eq!(sessions.next_deadline(), Some(at(4000)));
        assert_eq!(sessions.expire(at(3999)), []);
        assert_eq!(sessions.expire(at(4000)), [8]);
        assert!(sessions.touch(7, 4000, at(5999)));
        assert_eq!(sessions.expire(at(6000)), []);
        assert_eq!(sessions.next_deadline(), Some(at(10_000)));
        assert_eq!(sessions.by_deadline(false), BTreeMap::from([(at(10_000), vec![7])]));
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
        let mut sessions = alone(10);
        sessions.track(7, 1000, at(0));
        sessions.track(7, 10, at(0));
        assert_eq!(sessions.expire(at(20)), [7]);
        assert_eq!(sessions.expire(at(5000)), []);
    }

    #[test]
    fn the_first_connection_owns_a_session_until_it_is_handed_over() {
        let mut sessions = alone(10);
        sessions.track(7, 1000, at(0));
        assert_eq!(sessions.check(7, 1), Ok(()));
        assert_eq!(sessions.check(7, 2), Err(ErrorCode::SessionMoved));
        assert_eq!(sessions.set_owner(7, 2), Ok(()));
        assert_eq!(sessions.check(7, 2), Ok(()));
        assert_eq!(sessions.check(7, 1), Err(ErrorCode::SessionMoved));
    }

    #[test]
    fn ids_hold_server_and_clock() {
        let mut sessions = Sessions::new(10, 3, Strangers::Unknown, at(0x0123_4567));
        assert_eq!(sessions.next_id(), 0x0300_0123_4567_0000);
        assert_eq!(sessions.next_id(), 0x0300_0123_4567_0001);
        assert_eq!(Sessions::new(10, 128, Strangers::Unknown, at(0)).next_id(), i64::MIN + 1);
    }

    #[test]
    fn a_local_session_makes_no_ephemerals_until_all_know_it() {
        let mut sessions = alone(10);
        sessions.track_local(7, 1000, at(0));
        assert!(sessions.touch(7, 500, at(0)));
        assert_eq!((sessions.local_timeout_ms(7), sessions.local_count()), (Some(1000), 1));
        assert_eq!((sessions.by_deadline(true).len(), sessions.by_deadline(false).len()), (1, 0));
        assert_eq!(sessions.check(7, 1), Ok(()));
        assert_eq!(sessions.check_global(7, 1), Err(ErrorCode::EphemeralOnLocalSession));
        assert!(!sessions.track(7, 1000, at(0)));
        assert_eq!(sessions.check_global(7, 1), Ok(()));
        assert_eq!((sessions.is_local(7), sessions.local_count()), (false, 0));
    }

    #[test]
    fn a_leader_takes_sessions_of_others_but_not_those_that_have_ended() {
        let of = |server: i64| server << 56 | 5;
        let mut strict = Sessions::new(10, 1, Strangers::Expired, at(0));
        assert_eq!(strict.check(of(2), 1), Err(ErrorCode::SessionExpired));
        let mut sessions = Sessions::new(10, 1, Strangers::Local { remembered_ms: 100 }, at(0));
        assert_eq!(sessions.check(of(1), 1), Err(ErrorCode::SessionExpired), "its own it would know");
        assert_eq!(sessions.check(of(2), 1), Ok(()));
        assert_eq!(sessions.check_global(of(2), 1), Err(ErrorCode::SessionExpired));
        sessions.track(of(2), 50, at(0));
        sessions.set_closing(of(2));
        sessions.end(of(2), at(0));
        assert_eq!(sessions.check(of(2), 1), Err(ErrorCode::SessionExpired));
        assert!(!sessions.touch(of(2), 50, at(0)) && sessions.by_deadline(false).is_empty());
        assert_eq!(sessions.expire(at(100)), []);
        assert_eq!(sessions.check(of(2), 1), Err(ErrorCode::SessionExpired));
        assert_eq!(sessions.expire(at(110)), []);
        assert_eq!(sessions.check(of(2), 1), Ok(()));
    }
}
