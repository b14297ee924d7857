//! Bodies that are no request of the API and version that their header names.

use base::Random;
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
            let bodies = [
                (&[][..], "nothing"),
                (&[0xff; 64], "ones"),
                (&[0x7f; 64], "sevens"),
                (&[0, 0, 0, 1, 0xff, 0xff], "one null"),
                (&[0xff, 0xff, 0xff, 0xfe], "fewer than none"),
                (&[0x7f, 0xff, 0xff, 0xff], "all there could be"),
                (&[0xff, 0xff, 0xff, 0xff, 0x0f], "as many, flexible"),
                (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80], "a number without end"),
            ];
            for (body, what) in bodies {
                ask(session, key, version, body, what);
            }
            for body in chance(key, version) {
                ask(session, key, version, &body, &format!("{body:?}"));
            }
        }
        for version in [-1, versions.last + 1, i16::MIN, i16::MAX] {
            ask(session, key, version, &[0; 64], "a version that is none");
        }
    }
}

/// Bytes by chance, of a kind that may come far in a decoder: small numbers, and lengths of what follows.
fn chance(key: ApiKey, version: i16) -> impl Iterator<Item = Vec<u8>> {
    let mut random = Random::from_seed(u64::from(key.code().unsigned_abs()) * 100 + u64::from(version.unsigned_abs()));
    let bytes = [0, 0, 0, 0, 1, 1, 2, 3, b'a', b'a', 0x7f];
    (0..40).map(move |_| (0..40).map(|_| bytes[random.below(bytes.len() as u64) as usize]).collect())
}

fn ask(session: &mut Session<'_>, key: ApiKey, version: i16, body: &[u8], what: &str) {
    session.client = session.side.connect_with(super::PATIENCE);
    let answer = session.client.ask_bytes(key, version, body);
    session.note(what, key, version, &answer);
}
