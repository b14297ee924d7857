//! One file per API, under its upstream name: `Request`, `Response` and the structures inside, each field with its
//! versions. The table below is the one list of them.
//!
//! Names are the upstream schemas' in Rust's case; the elements of a list are named after it. Kinds that recur: ids of
//! brokers, producers and sessions are -1 where there is none, times are milliseconds, throttle times are 0 if none.

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod alter_client_quotas;
pub mod alter_configs;
pub mod alter_isr;
pub mod alter_partition_reassignments;
pub mod alter_replica_log_dirs;
pub mod alter_user_scram_credentials;
pub mod api_versions;
pub mod begin_quorum_epoch;
pub mod consumer_protocol;
pub mod controlled_shutdown;
pub mod create_acls;
pub mod create_delegation_token;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_acls;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_acls;
pub mod describe_client_quotas;
pub mod describe_configs;
pub mod describe_delegation_token;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_quorum;
pub mod describe_user_scram_credentials;
pub mod elect_leaders;
pub mod end_quorum_epoch;
pub mod end_txn;
pub mod expire_delegation_token;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leader_and_isr;
pub mod leave_group;
pub mod list_groups;
pub mod list_offset;
pub mod list_partition_reassignments;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod renew_delegation_token;
pub mod sasl_authenticate;
pub mod sasl_handshake;
pub mod stop_replica;
pub mod sync_group;
pub mod txn_offset_commit;
pub mod update_features;
pub mod update_metadata;
pub mod vote;
pub mod write_txn_markers;

/// Passes the table of all APIs (`key Name module`) to a macro.
macro_rules! for_each_api {
    ($callback:ident) => {
        $callback! {
            0 Produce produce,
            1 Fetch fetch,
            2 ListOffset list_offset,
            3 Metadata metadata,
            4 LeaderAndIsr leader_and_isr,
            5 StopReplica stop_replica,
            6 UpdateMetadata update_metadata,
            7 ControlledShutdown controlled_shutdown,
            8 OffsetCommit offset_commit,
            9 OffsetFetch offset_fetch,
            10 FindCoordinator find_coordinator,
            11 JoinGroup join_group,
            12 Heartbeat heartbeat,
            13 LeaveGroup leave_group,
            14 SyncGroup sync_group,
            15 DescribeGroups describe_groups,
            16 ListGroups list_groups,
            17 SaslHandshake sasl_handshake,
            18 ApiVersions api_versions,
            19 CreateTopics create_topics,
            20 DeleteTopics delete_topics,
            21 DeleteRecords delete_records,
            22 InitProducerId init_producer_id,
            23 OffsetForLeaderEpoch offset_for_leader_epoch,
            24 AddPartitionsToTxn add_partitions_to_txn,
            25 AddOffsetsToTxn add_offsets_to_txn,
            26 EndTxn end_txn,
            27 WriteTxnMarkers write_txn_markers,
            28 TxnOffsetCommit txn_offset_commit,
            29 DescribeAcls describe_acls,
            30 CreateAcls create_acls,
            31 DeleteAcls delete_acls,
            32 DescribeConfigs describe_configs,
            33 AlterConfigs alter_configs,
            34 AlterReplicaLogDirs alter_replica_log_dirs,
            35 DescribeLogDirs describe_log_dirs,
            36 SaslAuthenticate sasl_authenticate,
            37 CreatePartitions create_partitions,
            38 CreateDelegationToken create_delegation_token,
            39 RenewDelegationToken renew_delegation_token,
            40 ExpireDelegationToken expire_delegation_token,
            41 DescribeDelegationToken describe_delegation_token,
            42 DeleteGroups delete_groups,
            43 ElectLeaders elect_leaders,
            44 IncrementalAlterConfigs incremental_alter_configs,
            45 AlterPartitionReassignments alter_partition_reassignments,
            46 ListPartitionReassignments list_partition_reassignments,
            47 OffsetDelete offset_delete,
            48 DescribeClientQuotas describe_client_quotas,
            49 AlterClientQuotas alter_client_quotas,
            50 DescribeUserScramCredentials describe_user_scram_credentials,
            51 AlterUserScramCredentials alter_user_scram_credentials,
            52 Vote vote,
            53 BeginQuorumEpoch begin_quorum_epoch,
            54 EndQuorumEpoch end_quorum_epoch,
            55 DescribeQuorum describe_quorum,
            56 AlterIsr alter_isr,
            57 UpdateFeatures update_features,
        }
    };
}

pub(crate) use for_each_api;
