//! `--print-metrics` of the perf tests (`ToolsUtils.printMetrics`), with what our clients count: totals, averages and maxima
//! over the whole run. The original has rates, times of its threads and of its buffers besides, and its averages and maxima
//! are of the last minute.

use kafka_client::traffic::{NodeTraffic, ProducerTraffic, Summary, Traffic};
use kafka_client::{Consumer, Producer};
use kafka_proto::ApiKey;

use crate::console::Console;

/// Lines of a name and a value.
pub(super) struct Metrics {
    client_id: String,
    lines: Vec<(String, String)>,
}

impl Metrics {
    pub(super) fn of_producer(producer: &Producer, start_ms: i64) -> Self {
        let (traffic, sent) = producer.traffic();
        let mut metrics = Self::new(&producer.config().network.client_id);
        for (name, value) in
            [("commit-id", "61dbce85d0d41457"), ("version", "2.7.1"), ("start-time-ms", &start_ms.to_string())]
        {
            metrics.put_text("app-info", name, "", value);
        }
        metrics.connections("producer-metrics", traffic);
        metrics.records(sent);
        metrics.counted()
    }

    /// `read` is how many records of `topic` were taken from the consumer.
    pub(super) fn of_consumer(consumer: &Consumer, topic: &str, read: i64) -> Self {
        const COORDINATOR: &str = "consumer-coordinator-metrics";
        const FETCHES: &str = "consumer-fetch-manager-metrics";
        let mut metrics = Self::new(&consumer.config().network.client_id);
        let of = |key| consumer.traffic().latency_ms.get(&key).copied().unwrap_or_default();
        for (name, key) in [("join", ApiKey::JoinGroup), ("sync", ApiKey::SyncGroup)] {
            metrics.put(COORDINATOR, &format!("{name}-total"), "", of(key).count as f64);
            metrics.summary(COORDINATOR, &format!("{name}-time"), "", &of(key));
        }
        metrics.put(COORDINATOR, "commit-total", "", of(ApiKey::OffsetCommit).count as f64);
        metrics.summary(COORDINATOR, "commit-latency", "", &of(ApiKey::OffsetCommit));
        metrics.put(COORDINATOR, "heartbeat-total", "", of(ApiKey::Heartbeat).count as f64);
        metrics.put(COORDINATOR, "heartbeat-response-time-max", "", of(ApiKey::Heartbeat).largest());
        metrics.put(FETCHES, "fetch-total", "", of(ApiKey::Fetch).count as f64);
        metrics.summary(FETCHES, "fetch-latency", "", &of(ApiKey::Fetch));
        for tags in [String::new(), format!(", topic={topic}")] {
            metrics.put(FETCHES, "records-consumed-total", &tags, read as f64);
        }
        metrics.counted()
    }

    fn new(client_id: &str) -> Self {
        Self { client_id: client_id.to_owned(), lines: Vec::new() }
    }

    fn put_text(&mut self, group: &str, name: &str, tags: &str, value: &str) {
        let merged = format!("{group}:{name}:{{client-id={}{tags}}}", self.client_id);
        self.lines.push((merged, value.to_owned()));
    }

    fn put(&mut self, group: &str, name: &str, tags: &str, value: f64) {
        self.put_text(group, name, tags, &format!("{value:.3}"));
    }

    fn summary(&mut self, group: &str, name: &str, tags: &str, summary: &Summary) {
        self.put(group, &format!("{name}-avg"), tags, summary.average());
        self.put(group, &format!("{name}-max"), tags, summary.largest());
    }

    fn connections(&mut self, group: &str, traffic: &Traffic) {
        let mut all = NodeTraffic::default();
        for (node, of_node) in &traffic.nodes {
            all.join(of_node);
            self.node("producer-node-metrics", &format!(", node-id=node-{node}"), of_node);
        }
        self.node(group, "", &all);
        let open = traffic.connections_made - traffic.connections_closed;
        for (name, value) in [
            ("connection-count", open),
            ("connection-creation-total", traffic.connections_made),
            ("connection-close-total", traffic.connections_closed),
            ("network-io-total", all.request_bytes.count + all.responses),
            ("requests-in-flight", traffic.in_flight() as u64),
        ] {
            self.put(group, name, "", value as f64);
        }
    }

    fn node(&mut self, group: &str, tags: &str, node: &NodeTraffic) {
        self.put(group, "request-total", tags, node.request_bytes.count as f64);
        self.summary(group, "request-size", tags, &node.request_bytes);
        self.put(group, "outgoing-byte-total", tags, node.request_bytes.sum as f64);
        self.put(group, "response-total", tags, node.responses as f64);
        self.put(group, "incoming-byte-total", tags, node.received_bytes as f64);
        self.summary(group, "request-latency", tags, &node.latency_ms);
    }

    fn records(&mut self, sent: &ProducerTraffic) {
        const RECORDS: [&str; 3] = ["record-send-total", "record-error-total", "record-retry-total"];
        let mut all = [0; 3];
        for (topic, of_topic) in &sent.topics {
            let tags = format!(", topic={topic}");
            let counts = [of_topic.records, of_topic.errors, of_topic.retries];
            for ((name, count), all) in RECORDS.into_iter().zip(counts).zip(&mut all) {
                self.put("producer-topic-metrics", name, &tags, count as f64);
                *all += count;
            }
            self.put("producer-topic-metrics", "byte-total", &tags, of_topic.bytes as f64);
        }
        for (name, count) in RECORDS.into_iter().zip(all) {
            self.put("producer-metrics", name, "", count as f64);
        }
        self.summary("producer-metrics", "batch-size", "", &sent.batch_bytes);
        self.put("producer-metrics", "records-per-request-avg", "", sent.records_per_request.average());
    }

    fn counted(mut self) -> Self {
        let count = self.lines.len() + 1;
        self.put("kafka-metrics-count", "count", "", count as f64);
        self.lines.sort();
        self
    }

    pub(super) fn print(&self, console: &mut Console<'_>) {
        let width = self.lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        console.line("");
        console.line(format_args!("{:width$}   Value", "Metric Name"));
        for (name, value) in &self.lines {
            console.line(format_args!("{name:width$} : {value}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sorted_and_aligned_as_by_the_original() {
        let mut metrics = Metrics::new("me");
        metrics.summary("b", "size", "", &Summary { count: 2, sum: 5, max: 4 });
        metrics.summary("b", "none", ", topic=t", &Summary::default());
        metrics.put_text("a", "version", "", "2.7.1");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        metrics.counted().print(&mut Console { input: None, out: &mut out, err: &mut err });
        let width = "kafka-metrics-count:count:{client-id=me}".len();
        let expected = [
            ("a:version:{client-id=me}", "2.7.1"),
            ("b:none-avg:{client-id=me, topic=t}", "NaN"),
            ("b:none-max:{client-id=me, topic=t}", "NaN"),
            ("b:size-avg:{client-id=me}", "2.500"),
            ("b:size-max:{client-id=me}", "4.000"),
            ("kafka-metrics-count:count:{client-id=me}", "6.000"),
        ];
        let rows = expected.map(|(name, value)| format!("{name:width$} : {value}\n")).concat();
        let text = format!("\n{:width$}   Value\n{rows}", "Metric Name");
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }
}
