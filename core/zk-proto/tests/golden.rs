//! Records against what the original wrote (see `core/zk-tree/tests/golden`), and against noise.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use base::{DecodeError, Reader};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use zk_proto::connect::{ConnectRequest, session_password};
use zk_proto::requests::Request;
use zk_proto::responses::Response;
use zk_proto::txn::{CloseSessionTxn, CreateTxn};
use zk_proto::{Acl, Jute, OpCode, Txn, TxnDigest, TxnEntry, TxnHeader, WatcherEvent};

fn hex(text: &str) -> Bytes {
    let digits = if text == "-" { "" } else { text };
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn encoded(encode: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    encode(&mut out);
    out.freeze()
}

#[test]
fn what_clients_and_the_original_said_comes_back_to_the_byte() {
    let mut seen = std::collections::BTreeSet::new();
    let mut malformed = 0;
    for line in include_str!("../../zk-tree/tests/golden/transcript.txt").lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        match fields[1] {
            "connect" => assert_eq!(hex(fields[4]), session_password(fields[2].parse().unwrap())[..]),
            "event" => {
                let bytes = hex(fields[2]);
                assert_eq!(WatcherEvent::decode(&mut Reader::new(&bytes)).unwrap().to_bytes(), bytes);
            }
            op => {
                let op = op.parse().unwrap();
                let (body, reply) = (hex(fields[2]), hex(fields[5]));
                match Request::decode(op, &mut Reader::new(&body)) {
                    Ok(request) => assert_eq!(encoded(|out| request.encode(out)), body, "{line}"),
                    Err(_) => malformed += 1,
                }
                if !reply.is_empty() {
                    let mut reader = Reader::new(&reply);
                    let response = Response::decode(OpCode::from_code(op).unwrap(), &mut reader).unwrap();
                    assert_eq!(encoded(|out| response.encode(out)), reply, "{line}");
                    reader.finish().unwrap();
                }
                seen.insert(op);
            }
        }
    }
    // A multi of writes and a read, a create and a getData cut short.
    assert_eq!(malformed, 3);
    assert_eq!(seen.len(), 27);
}

fn entry(txn: Txn, digest: Option<TxnDigest>) -> TxnEntry {
    TxnEntry { header: TxnHeader { session_id: 1, cxid: 2, zxid: 3, time_ms: 4 }, txn, digest }
}

fn decoded(bytes: &Bytes) -> Result<TxnEntry, DecodeError> {
    TxnEntry::decode(&mut Reader::new(bytes))
}

#[test]
fn old_entries_are_read() {
    let create =
        CreateTxn { path: "/a".into(), data: None, acl: vec![Acl::OPEN], ephemeral: true, parent_cversion: -1 };
    let create = entry(Txn::Create(create), None);
    let bytes = create.to_bytes();
    // 3.3 wrote no parent's cversion.
    assert_eq!(decoded(&bytes.slice(..bytes.len() - 4)), Ok(create));

    let digest = TxnDigest { version: 2, tree_digest: 10_215_277_336 };
    let named = CloseSessionTxn { paths_to_delete: vec!["/e".into()] };
    let none = CloseSessionTxn { paths_to_delete: Vec::new() };
    for close in [None, Some(none), Some(named)] {
        for digest in [None, Some(digest)] {
            let close = entry(Txn::CloseSession(close.clone()), digest);
            assert_eq!(decoded(&close.to_bytes()), Ok(close));
        }
    }
}

#[test]
fn a_digest_that_reads_as_paths_is_a_digest() {
    for digest in [
        // One "path" of four bytes; two empty ones.
        TxnDigest { version: 1, tree_digest: 0x4_0000_00ff },
        TxnDigest { version: 2, tree_digest: 0 },
    ] {
        let close = entry(Txn::CloseSession(None), Some(digest));
        assert_eq!(decoded(&close.to_bytes()), Ok(close.clone()));
        // What is behind it changes nothing.
        let followed = Bytes::from([&close.to_bytes()[..], &[0xff; 5]].concat());
        assert_eq!(decoded(&followed), Ok(close));
    }
}

#[test]
fn unknown_types_are_errors() {
    let none = Bytes::new();
    assert!(matches!(Txn::decode(OpCode::GetData.code(), &mut Reader::new(&none)), Err(DecodeError::Value { .. })));
    for op in [OpCode::Notification.code(), OpCode::Error.code(), OpCode::CreateSession.code(), 10, 999] {
        assert!(matches!(Request::decode(op, &mut Reader::new(&none)), Err(DecodeError::Value { .. })), "{op}");
    }
    // A multi within a multi would nest without end.
    let nested = entry(Txn::Multi(vec![Txn::Multi(Vec::new())]), None).to_bytes();
    assert!(matches!(decoded(&nested), Err(DecodeError::Value { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Noise decodes to an error or to something that comes back.
    #[test]
    fn noise_is_of_no_harm(bytes in prop::collection::vec(prop_oneof![3 => 0..4_u8, 1 => any::<u8>()], 0..80)) {
        let frame = Bytes::from(bytes);
        let _ = ConnectRequest::decode(&mut Reader::new(&frame));
        for op in OpCode::ALL {
            if let Ok(request) = Request::decode(op.code(), &mut Reader::new(&frame)) {
                let again = encoded(|out| request.encode(out));
                prop_assert_eq!(Request::decode(op.code(), &mut Reader::new(&again)), Ok(request));
            }
            if let Ok(response) = Response::decode(*op, &mut Reader::new(&frame)) {
                let again = encoded(|out| response.encode(out));
                prop_assert_eq!(Response::decode(*op, &mut Reader::new(&again)), Ok(response));
            }
            let typed = encoded(|out| {
                op.code().encode(out);
                out.extend_from_slice(&frame);
            });
            let header = entry(Txn::CloseSession(None), None).to_bytes();
            let framed = Bytes::from([&header[..header.len() - 4], &typed].concat());
            if let Ok(entry) = decoded(&framed) {
                prop_assert_eq!(decoded(&entry.to_bytes()), Ok(entry));
            }
        }
    }
}
