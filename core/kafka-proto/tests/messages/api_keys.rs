//! The API keys and their versions are those of Kafka 2.7.1.

use kafka_proto::ApiKey;

/// `name first-last flexible-from`, by key.
const APIS: &str = "
Produce 0-8 -
Fetch 0-12 12
ListOffset 0-5 -
Metadata 0-9 9
LeaderAndIsr 0-4 4
StopReplica 0-3 2
UpdateMetadata 0-6 6
ControlledShutdown 0-3 3
OffsetCommit 0-8 8
OffsetFetch 0-7 6
FindCoordinator 0-3 3
JoinGroup 0-7 6
Heartbeat 0-4 4
LeaveGroup 0-4 4
SyncGroup 0-5 4
DescribeGroups 0-5 5
ListGroups 0-4 3
SaslHandshake 0-1 -
ApiVersions 0-3 3
CreateTopics 0-6 5
DeleteTopics 0-5 4
DeleteRecords 0-2 2
InitProducerId 0-4 2
OffsetForLeaderEpoch 0-3 -
AddPartitionsToTxn 0-2 -
AddOffsetsToTxn 0-2 -
EndTxn 0-2 -
WriteTxnMarkers 0-0 -
TxnOffsetCommit 0-3 3
DescribeAcls 0-2 2
CreateAcls 0-2 2
DeleteAcls 0-2 2
DescribeConfigs 0-3 -
AlterConfigs 0-1 -
AlterReplicaLogDirs 0-1 -
DescribeLogDirs 0-2 2
SaslAuthenticate 0-2 2
CreatePartitions 0-3 2
CreateDelegationToken 0-2 2
RenewDelegationToken 0-2 2
ExpireDelegationToken 0-2 2
DescribeDelegationToken 0-2 2
DeleteGroups 0-2 2
ElectLeaders 0-2 2
IncrementalAlterConfigs 0-1 1
AlterPartitionReassignments 0-0 0
ListPartitionReassignments 0-0 0
OffsetDelete 0-0 -
DescribeClientQuotas 0-0 -
AlterClientQuotas 0-0 -
DescribeUserScramCredentials 0-0 0
AlterUserScramCredentials 0-0 0
Vote 0-0 0
BeginQuorumEpoch 0-0 -
EndQuorumEpoch 0-0 -
DescribeQuorum 0-0 0
AlterIsr 0-0 0
UpdateFeatures 0-0 0
";

#[test]
fn versions_are_those_of_2_7_1() {
    let expected: Vec<_> = APIS.trim().lines().collect();
    let actual = ApiKey::ALL.iter().map(|key| {
        let versions = key.versions();
        let flexible = match key.flexible_from() {
            i16::MAX => "-".to_owned(),
            first => first.to_string(),
        };
        format!("{key} {}-{} {flexible}", versions.first, versions.last)
    });
    assert_eq!(actual.collect::<Vec<_>>(), expected);
}

#[test]
fn keys_count_from_zero() {
    for (code, &key) in (0_i16..).zip(ApiKey::ALL) {
        assert_eq!((key.code(), ApiKey::from_code(code)), (code, Some(key)));
    }
    assert_eq!((ApiKey::from_code(58), ApiKey::from_code(-1)), (None, None));
}

#[test]
fn the_quorums_own_are_not_served() {
    let unserved = ApiKey::ALL.iter().filter(|key| !key.is_served()).map(|key| key.code());
    assert_eq!(unserved.collect::<Vec<_>>(), [52, 53, 54, 55]);
}

#[test]
fn header_versions() {
    let headers = |key: ApiKey, version| (key.request_header_version(version), key.response_header_version(version));
    assert_eq!(headers(ApiKey::ControlledShutdown, 0), (0, 0));
    assert_eq!(headers(ApiKey::ControlledShutdown, 1), (1, 0));
    assert_eq!(headers(ApiKey::ControlledShutdown, 3), (2, 1));
    assert_eq!(headers(ApiKey::ApiVersions, 3), (2, 0));
    assert_eq!(headers(ApiKey::Produce, 8), (1, 0));
    assert_eq!(headers(ApiKey::Fetch, 12), (2, 1));
}
