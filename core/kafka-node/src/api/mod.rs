//! One module for each API that is served, under its upstream name. The table says which, at which versions: ApiVersions
//! advertises exactly what it holds.

mod alter_configs;
mod alter_isr;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
pub(crate) mod api_versions;
mod controlled_shutdown;
mod create_partitions;
mod create_topics;
mod delete_groups;
pub(crate) mod delete_records;
mod delete_topics;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod elect_leaders;
pub(crate) mod fetch;
mod find_coordinator;
mod heartbeat;
pub(crate) mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leader_and_isr;
mod leave_group;
mod list_groups;
mod list_offset;
mod list_partition_reassignments;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
pub(crate) mod produce;
mod stop_replica;
mod sync_group;
mod update_features;
mod update_metadata;

use std::sync::Arc;

use base::{Reader, Str};
use kafka_proto::wire::Versions;
use kafka_proto::{ApiKey, ErrorCode};

use crate::answer::Answer;
use crate::dispatch::{Context, call};
use crate::groups::Entry;

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
    LeaderAndIsr leader_and_isr,
    StopReplica stop_replica,
    UpdateMetadata update_metadata,
    ControlledShutdown controlled_shutdown,
    OffsetCommit offset_commit,
    OffsetFetch offset_fetch,
    FindCoordinator find_coordinator,
    JoinGroup join_group,
    Heartbeat heartbeat,
    LeaveGroup leave_group,
    SyncGroup sync_group,
    DescribeGroups describe_groups,
    ListGroups list_groups,
    ApiVersions api_versions,
    CreateTopics create_topics,
    DeleteTopics delete_topics,
    DeleteRecords delete_records,
    InitProducerId init_producer_id,
    OffsetForLeaderEpoch offset_for_leader_epoch,
    DescribeConfigs describe_configs,
    AlterConfigs alter_configs,
    AlterReplicaLogDirs alter_replica_log_dirs,
    DescribeLogDirs describe_log_dirs,
    CreatePartitions create_partitions,
    DeleteGroups delete_groups,
    ElectLeaders elect_leaders,
    IncrementalAlterConfigs incremental_alter_configs,
    AlterPartitionReassignments alter_partition_reassignments,
    ListPartitionReassignments list_partition_reassignments,
    OffsetDelete offset_delete,
    AlterIsr alter_isr,
    UpdateFeatures update_features,
}

/// The versions that are served of an API: all of 2.7.1, or none.
pub(crate) fn served_versions(key: ApiKey) -> Option<Versions> {
    SERVED.contains(&key).then(|| key.versions())
}

/// Static members need that every broker understands their records (KIP-345).
fn static_members_allowed(context: &Context<'_>) -> bool {
    let level = context.broker.settings().inter_broker_protocol;
    config::ApiVersion::parse("2.3-IV0").is_ok_and(|since| level >= since)
}

/// Where old consumers keep an offset.
fn consumer_offset_path(group: &str, topic: &str, partition: i32) -> String {
    format!("/consumers/{group}/offsets/{topic}/{partition}")
}

/// How requests find their group.
trait GroupCall {
    /// The group of a request about members: it has a name.
    fn group(&self, id: &Str, create: bool) -> Result<Option<Arc<Entry>>, ErrorCode>;

    /// The group of a request about offsets, or about groups as a whole: the name may be empty.
    fn any_group(&self, id: &Str) -> Result<Option<Arc<Entry>>, ErrorCode>;
}

impl GroupCall for Context<'_> {
    fn group(&self, id: &Str, create: bool) -> Result<Option<Arc<Entry>>, ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::INVALID_GROUP_ID);
        }
        self.broker.group(id, create, self.now)
    }

    fn any_group(&self, id: &Str) -> Result<Option<Arc<Entry>>, ErrorCode> {
        self.broker.group(id, false, self.now)
    }
}
