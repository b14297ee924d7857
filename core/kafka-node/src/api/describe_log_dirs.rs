//! DescribeLogDirs (key 35, versions 0 to 2): the log directories, and how large each partition's log in them is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use base::Str;
use kafka_log::Log;
use kafka_proto::ErrorCode;
use kafka_proto::messages::describe_log_dirs::{
    Outcome, Request, RequestTopic, Response, ResponsePartition, ResponseTopic,
};

use crate::answer::Answer;
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
    for log in logs.logs() {
        // A topic is named even if none of its partitions is wanted.
        let topics = by_dir.entry(log.log_dir()).or_default();
        let partitions = topics.entry(log.partition().topic.clone()).or_default();
        if !is_wanted(&log) {
            continue;
        }
        let offsets = log.offsets();
        partitions.push(ResponsePartition {
            partition_index: log.partition().partition,
            partition_size: i64::try_from(log.size()).unwrap_or(i64::MAX),
            offset_lag: (offsets.high_watermark - offsets.log_end).max(0),
            is_future_key: false,
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
