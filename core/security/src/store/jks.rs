//! Java's own key store (`sun.security.provider.JavaKeyStore`), version 1 and 2, with its password-based protection of keys.
//!
//! Big-endian: magic, version, count; entries; then SHA-1 over the password, a constant, and all before. An entry is a tag, an alias
//! and a date; a key (1) then has its length and bytes and its chain; a certificate (2) follows as in a chain: in version 2 its
//! type, then length and bytes.

use base::{DecodeError, Reader};
use bytes::Bytes;
use sha1::{Digest, Sha1};

use super::{Identity, Store, StoreError, damaged};

const DIGEST_LENGTH: usize = 20;
const WHITENER: &[u8] = b"Mighty Aphrodite";
const KEY: u32 = 1;
const CERTIFICATE: u32 = 2;

pub(super) fn read(bytes: &[u8], password: &str) -> Result<Store, StoreError> {
    let password: Vec<u8> = password.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let (content, digest) = bytes
        .len()
        .checked_sub(DIGEST_LENGTH)
        .and_then(|length| bytes.split_at_checked(length))
        .ok_or_else(|| damaged("it is cut off"))?;
    if Sha1::new().chain_update(&password).chain_update(WHITENER).chain_update(content).finalize().as_slice() != digest
    {
        return Err(StoreError::WrongPassword);
    }
    entries(content, &password)
}

fn entries(content: &[u8], password: &[u8]) -> Result<Store, StoreError> {
    let cut_off = |error: DecodeError| damaged(error);
    let content = Bytes::copy_from_slice(content);
    let mut reader = Reader::new(&content);
    reader.u32().map_err(cut_off)?;
    let version = reader.u32().map_err(cut_off)?;
    if !matches!(version, 1 | 2) {
        return Err(StoreError::NotServed(format!("JKS of version {version} is not read")));
    }
    let mut store = Store::default();
    for _ in 0..reader.u32().map_err(cut_off)? {
        let tag = reader.u32().map_err(cut_off)?;
        text(&mut reader).map_err(cut_off)?;
        reader.u64().map_err(cut_off)?;
        match tag {
            KEY => {
                let key = sized(&mut reader).map_err(cut_off)?;
                let mut chain = Vec::new();
                for _ in 0..reader.u32().map_err(cut_off)? {
                    chain.push(certificate(&mut reader, version).map_err(cut_off)?);
                }
                store.identities.push(Identity { key: unprotected(key, password)?, chain });
            }
            CERTIFICATE => store.trusted.push(certificate(&mut reader, version).map_err(cut_off)?),
            other => return Err(damaged(format!("an entry of kind {other}"))),
        }
    }
    Ok(store)
}

fn certificate(reader: &mut Reader<'_>, version: u32) -> Result<Vec<u8>, DecodeError> {
    if version == 2 {
        text(reader)?;
    }
    Ok(sized(reader)?.to_vec())
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let length = reader.u16()?;
    reader.slice(length.into())
}

fn sized<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let length = reader.u32()?;
    reader.slice(length as usize)
}

/// The key, PKCS#8, of an `EncryptedPrivateKeyInfo` with Java's own algorithm (`KeyProtector`): a salt, the key under a stream of
/// SHA-1s, and the SHA-1 of password and key.
fn unprotected(protected: &[u8], password: &[u8]) -> Result<Vec<u8>, StoreError> {
    // SEQUENCE { SEQUENCE { OBJECT IDENTIFIER, NULL }, OCTET STRING }
    let (sequence, _) = element(protected, 0x30)?;
    let (_, behind) = element(sequence, 0x30)?;
    let (data, _) = element(behind, 0x04)?;
    let cut_off = || damaged("a private key is cut off");
    let (salt, data) = data.split_at_checked(DIGEST_LENGTH).ok_or_else(cut_off)?;
    let length = data.len().checked_sub(DIGEST_LENGTH).ok_or_else(cut_off)?;
    let (data, digest) = data.split_at_checked(length).ok_or_else(cut_off)?;
    let mut key = data.to_vec();
    let mut stream = salt.to_vec();
    for block in key.chunks_mut(DIGEST_LENGTH) {
        stream = Sha1::new().chain_update(password).chain_update(&stream).finalize().to_vec();
        block.iter_mut().zip(&stream).for_each(|(byte, mask)| *byte ^= mask);
    }
    if Sha1::new().chain_update(password).chain_update(&key).finalize().as_slice() != digest {
        return Err(StoreError::WrongPassword);
    }
    Ok(key)
}

/// The content of a DER element that must have this tag, and what is behind it.
fn element(bytes: &[u8], tag: u8) -> Result<(&[u8], &[u8]), StoreError> {
    let wrong = || damaged("the frame of a private key is none");
    let (found, rest) = bytes.split_first().ok_or_else(wrong)?;
    let (first, rest) = rest.split_first().ok_or_else(wrong)?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f)).ok_or_else(wrong)?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return Err(wrong()),
    };
    rest.split_at_checked(length).filter(|_| *found == tag).ok_or_else(wrong)
}
