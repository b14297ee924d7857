//! What a client counts, for `--print-metrics` of the tools (upstream: `SelectorMetrics`, `SenderMetricsRegistry`,
//! `FetcherMetricsRegistry`). Over its whole life, where the original's averages and maxima are of the last minute.

use std::collections::BTreeMap;

use base::{Monotonic, Str};
use kafka_proto::{AnyResponse, ApiKey};

use crate::network::RequestId;

/// Values' number, sum and largest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The largest; 0 if there is none.
    pub max: u64,
}

impl Summary {
    pub(crate) fn add(&mut self, value: u64) {
        self.count += 1;
        self.sum += value;
        self.max = self.max.max(value);
    }

    fn join(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    /// The average, NaN of none.
    pub fn average(&self) -> f64 {
        self.sum as f64 / self.count as f64
    }

    /// The largest, NaN of none.
    pub fn largest(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.max as f64 }
    }
}

/// Of one broker, by the number that its link has.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeTraffic {
    /// Lengths of requests with their frames.
    pub request_bytes: Summary,
    /// Answers.
    pub responses: u64,
    /// Bytes that came.
    pub received_bytes: u64,
    /// Milliseconds from a request's sending to its answer.
    pub latency_ms: Summary,
}

impl NodeTraffic {
    /// Adds what another one counted.
    pub fn join(&mut self, other: &Self) {
        self.request_bytes.join(&other.request_bytes);
        self.responses += other.responses;
        self.received_bytes += other.received_bytes;
        self.latency_ms.join(&other.latency_ms);
    }
}

/// Of all connections of a client.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// By broker.
    pub nodes: BTreeMap<i32, NodeTraffic>,
    /// Latencies of answered requests by API; of joins and syncs only those that succeeded.
    pub latency_ms: BTreeMap<ApiKey, Summary>,
    /// Connections that were made.
    pub connections_made: u64,
    /// Of these, closed.
    pub connections_closed: u64,
    /// Requests whose answer is awaited.
    sent: BTreeMap<RequestId, (i32, ApiKey, Monotonic)>,
}

impl Traffic {
    /// Requests whose answer is awaited.
    pub fn in_flight(&self) -> usize {
        self.sent.len()
    }

    pub(crate) fn connected(&mut self) {
        self.connections_made += 1;
    }

    pub(crate) fn closed(&mut self) {
        self.connections_closed += 1;
    }

    pub(crate) fn sent_bytes(&mut self, node: i32, bytes: usize) {
        self.nodes.entry(node).or_default().request_bytes.add(bytes as u64);
    }

    pub(crate) fn awaits(&mut self, id: RequestId, node: i32, key: ApiKey, now: Monotonic) {
        self.sent.insert(id, (node, key, now));
    }

    pub(crate) fn received(&mut self, node: i32, bytes: usize, answers: usize) {
        let node = self.nodes.entry(node).or_default();
        node.received_bytes += bytes as u64;
        node.responses += answers as u64;
    }

    /// The request is over; `answer` if it has one.
    pub(crate) fn over(&mut self, id: RequestId, answer: Option<&AnyResponse>, now: Monotonic) {
        let Some((node, key, sent_at)) = self.sent.remove(&id) else { return };
        let Some(answer) = answer else { return };
        let latency_ms = now.since(sent_at).as_millis() as u64;
        self.nodes.entry(node).or_default().latency_ms.add(latency_ms);
        if has_succeeded(answer) {
            self.latency_ms.entry(key).or_default().add(latency_ms);
        }
    }
}

/// A member's first join only brings its id.
fn has_succeeded(answer: &AnyResponse) -> bool {
    match answer {
        AnyResponse::JoinGroup(response) => response.error_code.is_none(),
        AnyResponse::SyncGroup(response) => response.error_code.is_none(),
        _ => true,
    }
}

/// What a producer has sent of a topic.
#[derive(Clone, Copy, Debug, Default)]
pub struct TopicTraffic {
    /// Records in requests, those sent again included.
    pub records: u64,
    /// Their batches' bytes.
    pub bytes: u64,
    /// Records that failed for good.
    pub errors: u64,
    /// Records that were to be sent again.
    pub retries: u64,
}

/// What a producer has sent.
#[derive(Clone, Debug, Default)]
pub struct ProducerTraffic {
    /// By topic.
    pub topics: BTreeMap<Str, TopicTraffic>,
    /// Lengths of batches.
    pub batch_bytes: Summary,
    /// Records of requests.
    pub records_per_request: Summary,
}

impl ProducerTraffic {
    pub(crate) fn topic(&mut self, topic: &Str) -> &mut TopicTraffic {
        if !self.topics.contains_key(topic) {
            self.topics.insert(Str::copied(topic), TopicTraffic::default());
        }
        self.topics.entry(topic.clone()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use kafka_proto::ErrorCode;
    use kafka_proto::messages::{heartbeat, join_group};

    use super::*;

    #[test]
    fn a_latency_is_counted_with_its_answer_and_a_join_with_its_success() {
        let at = Monotonic::from_ms;
        let mut traffic = Traffic::default();
        let keys = [ApiKey::JoinGroup, ApiKey::JoinGroup, ApiKey::Heartbeat];
        for (id, key) in (1..).map(RequestId).zip(keys) {
            traffic.awaits(id, 7, key, at(100));
        }
        let refused = join_group::Response { error_code: ErrorCode::MEMBER_ID_REQUIRED, ..Default::default() };
        traffic.over(RequestId(1), Some(&refused.into()), at(104));
        traffic.over(RequestId(2), Some(&join_group::Response::default().into()), at(110));
        assert_eq!(traffic.in_flight(), 1);
        traffic.over(RequestId(3), None, at(200));
        traffic.over(RequestId(3), Some(&heartbeat::Response::default().into()), at(300));
        assert_eq!(traffic.in_flight(), 0);
        assert_eq!(traffic.nodes[&7].latency_ms, Summary { count: 2, sum: 14, max: 10 });
        assert_eq!(traffic.latency_ms[&ApiKey::JoinGroup], Summary { count: 1, sum: 10, max: 10 });
        assert!(!traffic.latency_ms.contains_key(&ApiKey::Heartbeat), "its answer was lost");
    }
}
