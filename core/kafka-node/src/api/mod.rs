//! One module for each API that is served, under its upstream name. The table says which, at which versions: ApiVersions
//! advertises exactly what it holds.

mod alter_configs;
pub(crate) mod api_versions;
mod create_partitions;
mod create_topics;
mod delete_records;
mod delete_topics;
mod describe_configs;
mod describe_log_dirs;
pub(crate) mod fetch;
mod incremental_alter_configs;
mod init_producer_id;
mod list_offset;
mod metadata;
mod offset_for_leader_epoch;
pub(crate) mod produce;

use base::Reader;
use kafka_proto::ApiKey;
use kafka_proto::wire::Versions;

use crate::answer::Answer;
use crate::dispatch::{Context, call};

macro_rules! served {
    ($($key:ident $module:ident,)*) => {
        /// The APIs that are served, in ascending order.
        pub(crate) const SERVED: &[ApiKey] = &[$(ApiKey::$key,)*];

        /// Decodes the request and hands it to its module.
        pub(crate) fn handle(
            context: &Context<'_>,
            key: ApiKey,
            reader: &mut Reader<'_>,
            answer: Answer,
        ) -> Result<(), String> {
            match key {
                $(ApiKey::$key => call(context, reader, answer, $module::handle),)*
                _ => Err(format!("{key} is not served")),
            }
        }
    };
}

served! {
    Produce produce,
    Fetch fetch,
    ListOffset list_offset,
    Metadata metadata,
    ApiVersions api_versions,
    CreateTopics create_topics,
    DeleteTopics delete_topics,
    DeleteRecords delete_records,
    InitProducerId init_producer_id,
    OffsetForLeaderEpoch offset_for_leader_epoch,
    DescribeConfigs describe_configs,
    AlterConfigs alter_configs,
    DescribeLogDirs describe_log_dirs,
    CreatePartitions create_partitions,
    IncrementalAlterConfigs incremental_alter_configs,
}

/// The versions that are served of an API: all of 2.7.1, or none.
pub(crate) fn served_versions(key: ApiKey) -> Option<Versions> {
    SERVED.contains(&key).then(|| key.versions())
}
