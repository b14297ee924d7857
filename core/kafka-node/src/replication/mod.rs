//! How this broker follows the leaders of its other partitions (upstream: `ReplicaFetcherManager`), and leads its followers
//! (`Partition`, `AlterIsrManager`).
//!
//! A [`Lane`] is one fetcher at one leader: `num.replica.fetchers` of them share a leader's partitions by the hash of their names. What a
//! lane fetches is appended on the event loop of its link; logs are cut on disk threads. Locks are taken in this order, each for a
//! moment: the list of lanes, a lane, a partition. What waits for a partition is woken with none of them held.

mod follower;
mod isr;
mod lane;
mod moves;
mod states;
mod throttle;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use base::{Now, Str};
use config::{ApiVersion, BrokerSettings};
use kafka_control::znode::Endpoint;
use kafka_log::TopicPartition;
use kafka_replica::{FetcherSettings, FetcherVersions};
use parking_lot::Mutex;

use crate::broker::Broker;
use crate::partitions::Partition;
use follower::Follower;
use lane::Lane;

pub(crate) use isr::IsrChanges;
pub(crate) use moves::Moves;
pub(crate) use throttle::Throttles;

/// All that this broker follows.
#[derive(Default)]
pub(crate) struct Replication {
    lanes: Mutex<Lanes>,
    /// The broker hands over what it leads, and does not follow that: it would come back into ISRs that it is to leave for good.
    pub(crate) is_handing_over: AtomicBool,
    /// Replicas that a full disk had no room for, and whether they were new.
    unmade: Mutex<BTreeMap<TopicPartition, bool>>,
}

#[derive(Default)]
struct Lanes {
    /// By leader and number.
    lanes: BTreeMap<(i32, i32), Arc<Lane>>,
    /// The lane of each partition that is followed; `None`: nobody knows yet where its leader is.
    places: BTreeMap<(Str, i32), Place>,
    /// Nothing is followed any more.
    is_closed: bool,
}

/// Where a partition is followed.
struct Place {
    partition: Arc<Partition>,
    leader: i32,
    leader_epoch: i32,
    /// `None` while the leader is not known to live.
    lane: Option<(i32, i32)>,
}

/// A partition to be followed.
pub(crate) struct Follow {
    pub(crate) partition: Arc<Partition>,
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
}

impl Broker {
    /// Follows partitions from now on. A leader that is not known to live yet is followed when it is.
    pub(crate) fn follow(self: &Arc<Self>, all: Vec<Follow>, now: Now) {
        let mut lanes = self.replication.lanes.lock();
        for Follow { partition, leader, leader_epoch } in all {
            let name = (partition.name.topic.clone(), partition.name.partition);
            lanes.places.insert(name.clone(), Place { partition, leader, leader_epoch, lane: None });
            self.place(&mut lanes, &name);
        }
        self.drive(lanes, now);
    }

    /// Follows partitions no more. When it returns, nothing that their leaders sent is appended.
    pub(crate) fn unfollow(&self, names: impl Iterator<Item = (Str, i32)>) {
        let mut lanes = self.replication.lanes.lock();
        for name in names {
            let Some(place) = lanes.places.remove(&name) else { continue };
            if let Some(lane) = place.lane.and_then(|key| lanes.lanes.get(&key)) {
                lane.remove(&name.0, name.1);
            }
        }
    }

    /// Ends the lanes that have nothing to follow.
    pub(crate) fn close_idle_lanes(&self) {
        let mut lanes = self.replication.lanes.lock();
        lanes.lanes.retain(|_, lane| {
            let is_idle = lane.is_empty();
            if is_idle {
                lane.close();
            }
            !is_idle
        });
    }

    /// Brokers came, went or moved: leaders that were not found are looked for again.
    pub(crate) fn follow_again(self: &Arc<Self>, now: Now) {
        let mut lanes = self.replication.lanes.lock();
        for ((leader, _), lane) in &lanes.lanes {
            if let Some(endpoint) = self.leader_endpoint(*leader) {
                lane.lead_to(self, &endpoint);
            }
        }
        let waiting = lanes.places.iter().filter(|(_, place)| place.lane.is_none());
        let waiting: Vec<_> = waiting.map(|(name, _)| name.clone()).collect();
        for name in waiting {
            self.place(&mut lanes, &name);
        }
        self.drive(lanes, now);
    }

    /// The broker's settings changed: the fetchers' follow, and partitions change lanes if their number is another.
    pub(crate) fn replication_settings_changed(self: &Arc<Self>, now: Now) {
        let mut lanes = self.replication.lanes.lock();
        let settings = fetcher_settings(self.id(), &self.settings());
        lanes.lanes.values().for_each(|lane| lane.set_settings(&settings));
        let count = self.settings().replication.fetchers;
        let moves = lanes.places.iter().filter(|(name, place)| {
            place.lane.is_some_and(|(_, number)| number != fetcher_number(&name.0, name.1, count))
        });
        let moves: Vec<_> = moves.map(|(name, _)| name.clone()).collect();
        for name in moves {
            let Some(place) = lanes.places.get_mut(&name) else { continue };
            let before = place.lane.take();
            if let Some(lane) = before.and_then(|key| lanes.lanes.get(&key)) {
                lane.remove(&name.0, name.1);
            }
            self.place(&mut lanes, &name);
        }
        self.drive(lanes, now);
        self.close_idle_lanes();
    }

    /// The starts of logs may have moved, which leaders are told of.
    fn tell_log_starts(self: &Arc<Self>, now: Now) {
        let lanes: Vec<_> = self.replication.lanes.lock().lanes.values().cloned().collect();
        for lane in lanes {
            lane.refresh(self, now);
        }
    }

    /// Ends all following, before the logs are closed.
    pub(crate) fn stop_following(&self) {
        let mut lanes = self.replication.lanes.lock();
        lanes.is_closed = true;
        lanes.places.clear();
        std::mem::take(&mut lanes.lanes).values().for_each(|lane| lane.close());
    }

    /// Puts a partition into its lane, which is made if it is the first there.
    fn place(self: &Arc<Self>, lanes: &mut Lanes, name: &(Str, i32)) {
        let Some(place) = lanes.places.get_mut(name) else { return };
        let settings = self.settings();
        let key = (place.leader, fetcher_number(&name.0, name.1, settings.replication.fetchers));
        if lanes.is_closed {
            return;
        }
        let lane = match lanes.lanes.get(&key) {
            Some(lane) => lane.clone(),
            None => {
                let Some(endpoint) = self.leader_endpoint(place.leader) else { return };
                let lane = Lane::start(self, key, &endpoint, fetcher_settings(self.id(), &settings));
                lanes.lanes.insert(key, lane.clone());
                lane
            }
        };
        place.lane = Some(key);
        lane.add(self, &name.0, name.1, Follower::new(self, place.partition.clone()), place.leader_epoch);
    }

    /// Lets every lane ask for what it has got to ask for.
    fn drive(self: &Arc<Self>, lanes: parking_lot::MutexGuard<'_, Lanes>, now: Now) {
        let all: Vec<_> = lanes.lanes.values().cloned().collect();
        drop(lanes);
        all.iter().for_each(|lane| lane.drive(self, now));
    }

    fn leader_endpoint(&self, leader: i32) -> Option<Endpoint> {
        let listener = &self.settings().listeners.inter_broker;
        self.metadata.read().endpoint(leader, listener).cloned()
    }
}

/// Which of a leader's fetchers has a partition (upstream: `AbstractFetcherManager.getFetcherId`).
fn fetcher_number(topic: &str, partition: i32, count: i32) -> i32 {
    // As Java hashes strings.
    let hash = topic.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    let hash = hash.wrapping_mul(31).wrapping_add(partition);
    // The smallest number of all has no positive counterpart.
    hash.checked_abs().unwrap_or(0) % count.max(1)
}

fn fetcher_settings(replica_id: i32, settings: &BrokerSettings) -> FetcherSettings {
    FetcherSettings {
        replica_id,
        wait_ms_max: settings.replication.fetch_wait_ms_max,
        bytes_min: settings.replication.fetch_bytes_min,
        response_bytes_max: settings.replication.fetch_response_bytes_max,
        partition_bytes_max: settings.replication.fetch_bytes_max,
        backoff_ms: u64::try_from(settings.replication.fetch_backoff_ms).unwrap_or(0),
        versions: fetcher_versions(settings.inter_broker_protocol),
    }
}

/// Versions of a follower's requests (upstream: `ReplicaFetcherThread`).
fn fetcher_versions(protocol: ApiVersion) -> FetcherVersions {
    let newest = |known: &[(ApiVersion, i16)]| {
        known.iter().find(|(from, _)| protocol >= *from).map_or(0, |(_, version)| *version)
    };
    let fetch = newest(&[
        (ApiVersion::V2_7_IV1, 12),
        (ApiVersion::V2_3_IV1, 11),
        (ApiVersion::V2_1_IV2, 10),
        (ApiVersion::V2_0_IV1, 8),
        (ApiVersion::V1_1_IV0, 7),
        (ApiVersion::V0_11_0_IV1, 5),
        (ApiVersion::V0_11_0_IV0, 4),
        (ApiVersion::V0_10_1_IV1, 3),
        (ApiVersion::V0_10_0_IV0, 2),
        (ApiVersion::V0_9_0, 1),
    ]);
    let epochs = newest(&[(ApiVersion::V2_3_IV1, 3), (ApiVersion::V2_1_IV1, 2), (ApiVersion::V2_0_IV0, 1)]);
    let offsets = newest(&[
        (ApiVersion::V2_2_IV1, 5),
        (ApiVersion::V2_1_IV1, 4),
        (ApiVersion::V2_0_IV1, 3),
        (ApiVersion::V0_11_0_IV0, 2),
        (ApiVersion::V0_10_1_IV2, 1),
    ]);
    FetcherVersions { fetch, epochs: (protocol >= ApiVersion::V0_11_0_IV2).then_some(epochs), offsets }
}

#[cfg(test)]
mod cluster;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_spread_as_in_the_original() {
        // "test".hashCode() is 3556498.
        assert_eq!(fetcher_number("test", 0, 4), (31 * 3_556_498) % 4);
        assert_eq!(fetcher_number("test", 3, 4), (31 * 3_556_498 + 3) % 4);
        assert_eq!(fetcher_number("a rather long name of a topic", 7, 1), 0);
    }

    #[test]
    fn versions_go_by_the_protocol() {
        let of = |name| {
            let versions = fetcher_versions(ApiVersion::parse(name).unwrap());
            (versions.fetch, versions.epochs, versions.offsets)
        };
        assert_eq!(of("2.7"), (12, Some(3), 5));
        assert_eq!(of("2.7-IV0"), (11, Some(3), 5));
        assert_eq!(of("2.2"), (10, Some(2), 5));
        assert_eq!(of("2.0"), (8, Some(1), 3));
        assert_eq!(of("1.1"), (7, Some(0), 2));
        assert_eq!(of("0.11.0"), (5, Some(0), 2));
        assert_eq!(of("0.11.0-IV0"), (4, None, 2));
        assert_eq!(of("0.10.1"), (3, None, 1));
        assert_eq!(of("0.9.0"), (1, None, 0));
        assert_eq!(of("0.8.2"), (0, None, 0));
    }
}
