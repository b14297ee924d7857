//! What the two tools for leader elections share: partitions in a file, and how the outcome of each is told.

use kafka_client::{ClientError, TopicPartition};
use kafka_proto::ErrorCode;

use crate::console::{Console, Thrown};
use crate::java;
use crate::json::{array, field, integer, object, parse, text};
use crate::kafka_admin::thrown;
use crate::kafka_admin_calls::Elected;

/// The words of a tool.
pub(super) struct Words {
    /// How partitions that come twice are told.
    pub(super) duplicate: &'static str,
    /// When the file has no list of partitions.
    pub(super) no_partitions: &'static str,
    /// When the file has no JSON.
    pub(super) no_json: &'static str,
    /// What was elected where there was nothing to do.
    pub(super) already: &'static str,
    /// What could not be elected.
    pub(super) replicas: &'static str,
}

/// The partitions of a file, each once, as the original's set has them.
pub(super) fn partitions(content: &str, words: &Words) -> Result<Vec<TopicPartition>, Thrown> {
    let fields = parse(content)?.ok_or_else(|| Thrown::admin_operation(words.no_json))?;
    let list = fields.get("partitions").ok_or_else(|| Thrown::admin_operation(words.no_partitions))?;
    let mut partitions = Vec::new();
    for entry in array(list)? {
        let fields = object(entry)?;
        let topic = text(field(fields, "topic")?)?;
        partitions.push(TopicPartition::new(topic, integer(field(fields, "partition")?)?));
    }
    let twice = java::duplicates(&partitions, java::topic_partition_hash);
    if twice.is_empty() {
        return Ok(java::scala_set(partitions, java::topic_partition_hash));
    }
    let twice = twice.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    Err(Thrown::admin_operation(format!("{}: {twice}", words.duplicate)))
}

/// Why no election was made at all.
pub(super) fn not_made(error: ClientError, console: &mut Console<'_>) -> Thrown {
    let message = match &error {
        ClientError::Timeout(_) | ClientError::TimedOut { .. } => "Timeout waiting for election results",
        _ if error.code() == Some(ErrorCode::REQUEST_TIMED_OUT) => "Timeout waiting for election results",
        _ if error.code() == Some(ErrorCode::CLUSTER_AUTHORIZATION_FAILED) => {
            "Not authorized to perform leader election"
        }
        _ => return Thrown::executed(thrown(error)),
    };
    console.line(message);
    Thrown::command_failed(message).caused_by(thrown(error))
}

/// What became of each partition, of elections that are called `what`.
pub(super) fn tell(elected: Elected, what: &str, words: &Words, console: &mut Console<'_>) -> Result<(), Thrown> {
    let (succeeded, needless, failed) = sorted(elected);
    let listed =
        |partitions: &[TopicPartition]| partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if !succeeded.is_empty() {
        console.line(format_args!("Successfully completed {what} for partitions {}", listed(&succeeded)));
    }
    if !needless.is_empty() {
        console.line(format_args!("{} already elected for partitions {}", words.already, listed(&needless)));
    }
    if failed.is_empty() {
        return Ok(());
    }
    let mut root = Thrown::command_failed(format!("{} {} could not be elected", failed.len(), words.replicas));
    for (partition, error) in failed {
        let error = thrown(error);
        console.line(format_args!("Error completing {what} for partition: {partition}: {error}"));
        root.suppressed.push(error);
    }
    Err(root)
}

/// Partitions by what became of them: elected, with the right leader already, failed.
fn sorted(elected: Elected) -> (Vec<TopicPartition>, Vec<TopicPartition>, Vec<(TopicPartition, ClientError)>) {
    let (mut succeeded, mut needless, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (partition, outcome) in elected {
        match outcome {
            Ok(()) => succeeded.push(partition),
            Err(error) if error.code() == Some(ErrorCode::ELECTION_NOT_NEEDED) => needless.push(partition),
            Err(error) => failed.push((partition, error)),
        }
    }
    (
        java::scala_mutable_order(succeeded, java::topic_partition_hash),
        java::scala_mutable_order(needless, java::topic_partition_hash),
        java::scala_mutable_order(failed, |(partition, _)| java::topic_partition_hash(partition)),
    )
}
