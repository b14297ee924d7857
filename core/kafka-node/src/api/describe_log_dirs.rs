//! DescribeLogDirs (key 35, versions 0 to 2): the log directories, and how large each partition's log in them is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base::Str;
use kafka_log::Log;
use kafka_proto::ErrorCode;
use kafka_proto::messages::describe_log_dirs::{Outcome, Request, Response, ResponsePartition, ResponseTopic};

use crate::answer::Answer;
use crate::dispatch::Context;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let wanted: Option<BTreeMap<Str, Vec<i32>>> =
        request.topics.map(|topics| topics.into_iter().map(|topic| (topic.topic, topic.partition_indexes)).collect());
    let is_wanted = |log: &Log| {
        let name = log.partition();
        let listed =
            wanted.as_ref().map(|wanted| wanted.get(&name.topic).is_some_and(|all| all.contains(&name.partition)));
        listed.unwrap_or(true)
    };
    let mut by_dir: BTreeMap<PathBuf, BTreeMap<Str, Vec<ResponsePartition>>> = BTreeMap::new();
    let Some(logs) = context.broker.logs() else { return answer.send(&Response::default()) };
    for log in logs.logs().into_iter().filter(|log| is_wanted(log)) {
        let offsets = log.offsets();
        let partition = ResponsePartition {
            partition_index: log.partition().partition,
            partition_size: i64::try_from(log.size()).unwrap_or(i64::MAX),
            offset_lag: (offsets.high_watermark - offsets.log_end).max(0),
            is_future_key: false,
        };
        let topics = by_dir.entry(log.log_dir()).or_default();
        topics.entry(log.partition().topic.clone()).or_default().push(partition);
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
