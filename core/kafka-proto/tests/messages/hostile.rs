//! Bytes of a peer that means harm, or was cut off: an error each time, no panic, and no memory on its word alone.

use base::{DecodeError, Random, Reader};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_proto::messages::{api_versions, create_topics, list_groups, metadata};
use kafka_proto::{ApiKey, Message};

use crate::allocation::allocated_by;
use crate::sample::sample;
use crate::{Any, Side, for_each_message};

/// The largest structure for a byte: a list of empty compact strings makes 32 bytes of views of each.
const BYTES_FOR_A_BYTE: usize = 64;

fn decode_bounded(side: Side, key: ApiKey, version: i16, input: &Bytes) -> Result<Any, DecodeError> {
    let (result, allocated) = allocated_by(|| Any::decode(side, key, version, &mut Reader::new(input)));
    let bound = BYTES_FOR_A_BYTE * input.len();
    assert!(allocated <= bound, "{key} {side:?} version {version}: {} bytes made {allocated}", input.len());
    result
}

#[test]
fn cut_anywhere_is_an_error() {
    for_each_message(|side, key, version, shape| {
        let whole = sample(shape, version, &mut Random::from_seed(version.number as u64), true);
        for length in 0..whole.len() {
            let cut = decode_bounded(side, key, version.number, &whole.slice(..length));
            assert!(cut.is_err(), "{key} {side:?} {version:?} cut to {length} of {}", whole.len());
        }
        assert!(decode_bounded(side, key, version.number, &whole).is_ok());
    });
}

#[test]
fn changed_bytes_neither_panic_nor_allocate_beyond_the_input() {
    for_each_message(|side, key, version, shape| {
        for seed in 0..8 {
            let mut random = Random::from_seed(seed);
            let whole = sample(shape, version, &mut random, false);
            for _ in 0..40 {
                let mut changed = BytesMut::from(&whole[..]);
                for _ in 0..=random.below(3) {
                    if changed.is_empty() {
                        break;
                    }
                    let at = random.below(changed.len() as u64) as usize;
                    let value = [0x7f, 0xff, 0x80, 0x00, random.next_u64() as u8][random.below(5) as usize];
                    // Four at once reach the lengths of 32 bits.
                    let end = changed.len().min(at + [1, 4][random.below(2) as usize]);
                    changed[at..end].fill(value);
                }
                if let Ok(message) = decode_bounded(side, key, version.number, &changed.freeze()) {
                    message.encode(version.number).unwrap();
                }
            }
        }
    });
}

#[test]
fn bytes_of_nothing_but_one_value() {
    for_each_message(|side, key, version, _| {
        for value in [0x00, 0x01, 0x02, 0x7f, 0x80, 0xff] {
            let input = Bytes::from(vec![value; 300]);
            let _ = decode_bounded(side, key, version.number, &input);
        }
    });
}

#[test]
fn a_count_beyond_the_bytes_left_is_refused_before_memory_is_taken() {
    let mut frame = BytesMut::new();
    frame.put_i32(i32::MAX);
    frame.put_bytes(0, 1000);
    let frame = frame.freeze();
    let (result, allocated) = allocated_by(|| metadata::Request::decode(1, &mut Reader::new(&frame)));
    assert_eq!(result, Err(DecodeError::Length { at: 0, length: i64::from(i32::MAX) }));
    assert_eq!(allocated, 0);
}

#[test]
fn null_where_none_is_allowed() {
    let frame = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff]);
    assert_eq!(metadata::Request::decode(0, &mut Reader::new(&frame)), Err(DecodeError::Length { at: 0, length: -1 }));
    assert_eq!(metadata::Request::decode(1, &mut Reader::new(&frame)).unwrap().topics, None);
    // A name that is null.
    let frame = Bytes::from_static(&[0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        create_topics::Request::decode(0, &mut Reader::new(&frame)),
        Err(DecodeError::Length { at: 4, length: -1 })
    );
}

#[test]
fn text_that_is_no_text() {
    let frame = Bytes::from_static(&[0, 0, 0, 1, 0, 2, 0xc3, 0x28]);
    assert_eq!(metadata::Request::decode(1, &mut Reader::new(&frame)), Err(DecodeError::Utf8 { at: 6 }));
}

#[test]
fn compact_text_beyond_32767_bytes() {
    let mut frame = BytesMut::from(&[0x81, 0x80, 0x02][..]);
    frame.put_bytes(b'a', 40_000);
    let frame = frame.freeze();
    assert_eq!(
        api_versions::Request::decode(3, &mut Reader::new(&frame)),
        Err(DecodeError::Length { at: 0, length: 32_768 })
    );
}

#[test]
fn tagged_fields_must_fill_their_size() {
    // ApiVersions response version 3, tag 1 (a number of 8 bytes) with a size of 7, 8 and 9.
    let frame = |size: u8| {
        let mut frame = vec![0, 0, 1, 0, 0, 0, 0, 1, 1, size];
        frame.extend_from_slice(&[0; 9]);
        Bytes::from(frame)
    };
    assert!(api_versions::Response::decode(3, &mut Reader::new(&frame(8))).is_ok());
    for size in [7, 9] {
        let refused = api_versions::Response::decode(3, &mut Reader::new(&frame(size)));
        assert_eq!(refused, Err(DecodeError::Length { at: 9, length: i64::from(size) }));
    }
    // An unknown tag whose size goes beyond the frame.
    let frame = Bytes::from_static(&[0, 0, 1, 0, 0, 0, 0, 1, 77, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert!(api_versions::Response::decode(3, &mut Reader::new(&frame)).is_err());
}

#[test]
fn tags_rise() {
    // ListGroups version 3 is tags alone: two unknown ones, empty.
    let tags = |one: &[u8], other: &[u8]| {
        let frame = Bytes::from([&[2], one, &[0], other, &[0]].concat());
        list_groups::Request::decode(3, &mut Reader::new(&frame)).is_ok()
    };
    assert!(tags(&[1], &[3]));
    assert!(!tags(&[3], &[1]) && !tags(&[3], &[3]));
    assert!(!tags(&[1], &[0xff, 0xff, 0xff, 0xff, 0x0f]), "it has 31 bits");
}

#[test]
fn unknown_versions_are_errors_both_ways() {
    for version in [-1, 10, i16::MAX] {
        let frame = Bytes::from_static(&[0; 64]);
        assert!(metadata::Request::decode(version, &mut Reader::new(&frame)).is_err());
        assert!(metadata::Request::default().encode(version, &mut BytesMut::new()).is_err());
    }
}
