//! DescribeLogDirs (key 35, versions 0 to 2): the log directories, and how large each partition's log in them is, be it a copy on its
//! way (KIP-113).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use base::Str;
use kafka_log::Log;
use kafka_proto::ErrorCode;
use kafka_proto::messages::describe_log_dirs::{
    Outcome, Request, RequestTopic, Response, ResponsePartition, ResponseTopic,
};

use crate::answer::Answer;
use crate::broker::Broker;
use crate::dispatch::Context;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let wanted: Option<BTreeSet<(Str, i32)>> = request.topics.map(|topics| {
        let of_topic =
            |topic: RequestTopic| topic.partition_indexes.into_iter().map(move |index| (topic.topic.clone(), index));
        topics.into_iter().flat_map(of_topic).collect()
    });
    let is_wanted = |log: &Log| {
        let name = log.partition();
        wanted.as_ref().is_none_or(|wanted| wanted.contains(&(name.topic.clone(), name.partition)))
    };
    let mut by_dir: BTreeMap<PathBuf, BTreeMap<Str, Vec<ResponsePartition>>> = BTreeMap::new();
    let Some(logs) = context.broker.logs() else { return answer.send(&Response::default()) };
    let current = logs.logs().into_iter().map(|log| (log, false));
    for (log, is_future_key) in current.chain(logs.futures().into_iter().map(|log| (log, true))) {
        // A topic is named even if none of its partitions is wanted.
        let topics = by_dir.entry(log.log_dir()).or_default();
        let partitions = topics.entry(log.partition().topic.clone()).or_default();
        if !is_wanted(&log) {
            continue;
        }
        partitions.push(ResponsePartition {
            partition_index: log.partition().partition,
            partition_size: i64::try_from(log.size()).unwrap_or(i64::MAX),
            offset_lag: offset_lag(context.broker, &log, is_future_key),
            is_future_key,
        });
    }
    let results = logs.directories().into_iter().map(|(dir, online)| {
        let topics = by_dir.remove(&dir).unwrap_or_default().into_iter();
        Outcome {
            error_code: if online { ErrorCode::NONE } else { ErrorCode::KAFKA_STORAGE_ERROR },
            log_dir: Str::from(dir.to_string_lossy().as_ref()),
            topics: topics.map(|(name, partitions)| ResponseTopic { name, partitions }).collect(),
        }
    });
    answer.send(&Response { results: results.collect(), ..Response::default() });
}

/// How far a log is behind the high watermark, a copy behind its log; -1 for what is not served here (upstream: `getLogEndOffsetLag`).
fn offset_lag(broker: &Broker, log: &Log, is_future: bool) -> i64 {
    let name = log.partition();
    let Some(partition) = broker.partitions.existing(&name.topic, name.partition) else { return -1 };
    let (current, log_end) = (partition.log().offsets(), log.offsets().log_end);
    match is_future {
        true => current.log_end - log_end,
        false => (current.high_watermark - log_end).max(0),
    }
}
