//! Which replica a consumer reads from (KIP-392; upstream: `RackAwareReplicaSelector`).
//!
//! With `replica.selector.class` a leader sends consumers of Fetch v11 and later to the in-sync replica in their rack that has most.

use base::Str;
use config::BrokerSettings;
use kafka_proto::messages::fetch;
use kafka_replica::ReadableFollower;

use crate::broker::Broker;

/// The selector that goes by racks; the other one that the original brings, and none at all, choose the leader.
const RACK_AWARE: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

/// The first version of Fetch whose clients can be sent elsewhere.
const VERSION_MIN: i16 = 11;

/// A consumer that may be sent to another replica.
pub(crate) struct Reader {
    rack: Str,
    /// Where it came in, and must be able to come in elsewhere.
    listener: String,
}

impl Reader {
    /// The consumer that asks, if it may be sent anywhere.
    pub(crate) fn of(
        settings: &BrokerSettings,
        version: i16,
        request: &fetch::Request,
        listener: &str,
    ) -> Option<Self> {
        let is_consumer = request.replica_id < 0;
        let goes_by_racks = settings.replication.selector_class.as_deref() == Some(RACK_AWARE);
        let reader = || Self { rack: Str::copied(&request.rack_id), listener: listener.to_owned() };
        (is_consumer && goes_by_racks && version >= VERSION_MIN && !request.rack_id.is_empty()).then(reader)
    }

    /// The follower to be read in its rack; `None` if there is none, or the leader is there itself.
    pub(crate) fn choose(&self, broker: &Broker, followers: &[ReadableFollower]) -> Option<i32> {
        let metadata = broker.metadata.read();
        let is_there = |id: i32| {
            let rack = metadata.brokers.get(&id).and_then(|broker| broker.rack.as_deref());
            rack == Some(&*self.rack) && metadata.endpoint(id, &self.listener).is_some()
        };
        if is_there(broker.id()) {
            return None;
        }
        let near = followers.iter().filter(|follower| is_there(follower.broker));
        let best = near.max_by_key(|follower| (follower.log_end, std::cmp::Reverse(follower.behind), follower.broker));
        best.map(|follower| follower.broker)
    }
}
