//! Bodies that are no request of the API and version that their header names.

use kafka_proto::ApiKey;

use super::Session;

/// The APIs that both brokers serve.
const KEYS: [ApiKey; 26] = [
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffset,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::DescribeLogDirs,
    ApiKey::CreatePartitions,
    ApiKey::DeleteGroups,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::OffsetDelete,
];

pub(super) fn script(session: &mut Session<'_>) {
    for key in KEYS {
        let versions = key.versions();
        for version in versions.first..=versions.last {
            let bodies = [(&[][..], "nothing"), (&[0xff; 64], "ones"), (&[0x7f; 64], "sevens")];
            for (body, what) in bodies {
                ask(session, key, version, body, what);
            }
        }
        for version in [-1, versions.last + 1, i16::MIN, i16::MAX] {
            ask(session, key, version, &[0; 64], "a version that is none");
        }
    }
}

fn ask(session: &mut Session<'_>, key: ApiKey, version: i16, body: &[u8], what: &str) {
    session.client = session.side.connect_with(super::PATIENCE);
    let answer = session.client.ask_bytes(key, version, body);
    session.note(what, key, version, &answer);
}
