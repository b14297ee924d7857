//! AlterReplicaLogDirs (key 34, versions 0 and 1): moves replicas to other log directories of this broker (KIP-113).
//!
//! The answer says that a move began, or that there is nothing to move; DescribeLogDirs shows how far it is. A replica that is not here
//! yet (REPLICA_NOT_AVAILABLE) is made in the directory when it comes. Another directory ends the move of before, that in
//! which the replica lies ends it for good.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Slow, Str, once};
use kafka_log::{LogManager, TopicPartition, future_folder};
use kafka_proto::ErrorCode;
use kafka_proto::messages::alter_replica_log_dirs::{Request, Response, ResponsePartition, ResponseTopic};

use crate::answer::Answer;
use crate::broker::Broker;
use crate::dispatch::Context;
use crate::errors;
use crate::partitions::Hosted;

/// The longest name of a folder.
const NAME_LENGTH_MAX: usize = 255;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let broker = context.broker.clone();
    context.broker.host.submit_for_request(once(move |slow| answer.send(&alter(&broker, request, slow))));
}

fn alter(broker: &Arc<Broker>, request: Request, slow: &Slow) -> Response {
    // Named twice, the last one counts.
    let mut wanted: BTreeMap<(Str, i32), Str> = BTreeMap::new();
    for dir in request.dirs {
        for topic in dir.topics {
            let names = topic.partitions.into_iter().map(|partition| (topic.name.clone(), partition));
            wanted.extend(names.map(|name| (name, dir.path.clone())));
        }
    }
    let _in_a_row = broker.moves.in_a_row();
    let mut topics: Vec<ResponseTopic> = Vec::new();
    for ((topic, partition_index), path) in wanted {
        let name = TopicPartition::new(topic.clone(), partition_index);
        let moved = match broker.logs() {
            Some(logs) => alter_one(broker, logs, &name, &path, slow),
            None => Err(ErrorCode::KAFKA_STORAGE_ERROR),
        };
        let error_code = moved.err().unwrap_or(ErrorCode::NONE);
        if error_code.is_error() {
            tracing::warn!(target: "kafka.server.ReplicaManager", "[ReplicaManager broker={}] Unable to alter log dirs for {name}: {error_code}", broker.id());
        }
        let partition = ResponsePartition { partition_index, error_code };
        match topics.last_mut().filter(|last| last.topic_name == topic) {
            Some(last) => last.partitions.push(partition),
            None => topics.push(ResponseTopic { topic_name: topic, partitions: vec![partition] }),
        }
    }
    Response { throttle_time_ms: 0, topics }
}

fn alter_one(
    broker: &Arc<Broker>,
    logs: &LogManager,
    name: &TopicPartition,
    path: &str,
    slow: &Slow,
) -> Result<(), ErrorCode> {
    let now = broker.host.now();
    if broker.with_random(|random| future_folder(name, random)).len() > NAME_LENGTH_MAX {
        return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    let dir = match logs.directory(path) {
        None => return Err(ErrorCode::LOG_DIR_NOT_FOUND),
        Some((_, false)) => return Err(ErrorCode::KAFKA_STORAGE_ERROR),
        Some((dir, true)) => dir,
    };
    if matches!(broker.partitions.hosted(&name.topic, name.partition), Some(Hosted::Offline)) {
        return Err(ErrorCode::KAFKA_STORAGE_ERROR);
    }
    if logs.future(name).is_some_and(|future| future.log_dir() != dir) {
        // The copy may have become the log meanwhile: then there is none any more.
        broker.moves.stop(&name.topic, name.partition);
        logs.delete_future(name, now, slow).map_err(|error| errors::of_log(&error))?;
    }
    logs.prefer(name, &dir);
    let partition = broker.partitions.get(broker, &name.topic, name.partition).map_err(|code| match code {
        ErrorCode::NOT_LEADER_OR_FOLLOWER => ErrorCode::REPLICA_NOT_AVAILABLE,
        code => code,
    })?;
    if partition.log().log_dir() == dir || logs.future(name).is_some() {
        return Ok(());
    }
    // Back to where it has just come from: that directory still has the old log for a moment.
    broker.moves.await_step(&name.topic, name.partition);
    let config = broker.log_config_of(&name.topic);
    let future = logs.create_future(name, &config, now, slow).map_err(|error| errors::of_log(&error))?;
    broker.start_move(partition, future);
    Ok(())
}
