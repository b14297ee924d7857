//! Both directions against the crate `kafka-protocol`: what we encode it decodes and encodes to the same bytes, and what
//! it encodes so do we.

use base::{Random, Reader};
use bytes::{Bytes, BytesMut};
use kafka_proto::ApiKey;
use oracle_kafka::messages::{self as oracle, RequestKind, ResponseKind};

use crate::sample::sample;
use crate::{Any, Side, for_each_message};

const SAMPLES: u64 = 24;

/// Where the crate is not 2.7.1's codec, so that vectors of the JVM original decide (see `golden.rs`).
fn differs(side: Side, key: ApiKey) -> bool {
    // 2.7.1 sends the id of the replica too; later schemas took it out of version 0.
    side == Side::Request && key == ApiKey::EndQuorumEpoch
}

#[test]
fn every_version_agrees_with_the_oracle() {
    let mut failures = Vec::new();
    for_each_message(|side, key, version, shape| {
        if differs(side, key) {
            return;
        }
        for seed in 0..SAMPLES {
            let raw = sample(shape, version, &mut Random::from_seed(seed + 1000 * version.number as u64), false);
            if let Err(error) = compare(side, key, version.number, &raw) {
                failures.push(format!("{key} {side:?} version {} seed {seed}: {error:#}", version.number));
                break;
            }
        }
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn compare(side: Side, key: ApiKey, version: i16, raw: &Bytes) -> Result<(), String> {
    let mut reader = Reader::new(raw);
    let ours = Any::decode(side, key, version, &mut reader).map_err(|error| error.to_string())?;
    reader.finish().map_err(|error| error.to_string())?;
    let encoded = ours.encode(version).map_err(|error| error.to_string())?;
    let theirs = recode(side, key, version, &encoded)?;
    if theirs != encoded {
        return Err(format!("{ours:?}: {encoded:?}, {theirs:?}"));
    }
    match Any::decode(side, key, version, &mut Reader::new(&theirs)) {
        Ok(again) if again == ours => Ok(()),
        other => Err(format!("{other:?} instead of {ours:?}")),
    }
}

/// Without tagged fields there is one encoding alone, so nothing may be lost or changed.
#[test]
fn encoding_gives_back_the_bytes_decoded() {
    for_each_message(|side, key, version, shape| {
        for seed in 0..SAMPLES {
            let raw = sample(shape, version, &mut Random::from_seed(!seed), true);
            let ours = Any::decode(side, key, version.number, &mut Reader::new(&raw)).unwrap();
            assert_eq!(ours.encode(version.number).unwrap(), raw, "{key} {side:?} {version:?} {ours:?}");
        }
    });
}

/// Decodes and encodes with the oracle.
fn recode(side: Side, key: ApiKey, version: i16, bytes: &Bytes) -> Result<Bytes, String> {
    // Renamed later: AlterIsr is AlterPartition there, and its version 0 is the same.
    let oracle_key = oracle::ApiKey::try_from(key.code()).map_err(|()| "no such key".to_owned())?;
    let (mut input, mut output) = (bytes.clone(), BytesMut::new());
    let recoded = match side {
        Side::Request => RequestKind::decode(oracle_key, &mut input, version)
            .and_then(|message| message.encode(&mut output, version)),
        Side::Response => ResponseKind::decode(oracle_key, &mut input, version)
            .and_then(|message| message.encode(&mut output, version)),
    };
    recoded.map_err(|error| format!("oracle: {error:#}"))?;
    if !input.is_empty() {
        return Err(format!("oracle left {} bytes", input.len()));
    }
    Ok(output.freeze())
}
