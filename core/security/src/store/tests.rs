//! Stores that keytool of OpenJDK 17 and OpenSSL 3.0 wrote, all of one identity, `CN=test`, and the password `secret`.

use super::*;
use crate::Certificate;

const PKCS12: &[u8] = include_bytes!("golden/keystore.p12");
const JKS: &[u8] = include_bytes!("golden/keystore.jks");
const JKS_TRUST: &[u8] = include_bytes!("golden/truststore.jks");
const PKCS12_TRUST: &[u8] = include_bytes!("golden/truststore.p12");
const PKCS12_OLD: &[u8] = include_bytes!("golden/old.p12");
const PEM: &[u8] = include_bytes!("golden/plain.pem");
const PEM_ENCRYPTED: &[u8] = include_bytes!("golden/encrypted.pem");

#[test]
fn every_format_gives_the_same_identity() {
    let expected = Store::read(PEM, StoreKind::Pem, "").unwrap().identities;
    assert_eq!(Certificate::parse(&expected[0].chain[0]).unwrap().subject(), "CN=test");
    for (bytes, kind) in [
        (PEM_ENCRYPTED, StoreKind::Pem),
        (PEM, StoreKind::Pem),
        (JKS, StoreKind::Java),
        (PKCS12, StoreKind::Java),
        (PKCS12_OLD, StoreKind::Java),
    ] {
        let store = Store::read(bytes, kind, "secret").unwrap();
        assert!(store.identities == expected);
    }
}

#[test]
fn trusted_certificates_are_told_from_identities() {
    let own = Store::read(PEM, StoreKind::Pem, "").unwrap().trusted;
    for bytes in [JKS_TRUST, PKCS12_TRUST] {
        let store = Store::read(bytes, StoreKind::Java, "secret").unwrap();
        assert!(store.identities.is_empty());
        assert_eq!(store.trusted, own);
    }
}

#[test]
fn a_wrong_password_is_told_from_damage() {
    for (bytes, kind) in [(JKS, StoreKind::Java), (PKCS12, StoreKind::Java), (PEM_ENCRYPTED, StoreKind::Pem)] {
        assert_eq!(Store::read(bytes, kind, "wrong"), Err(StoreError::WrongPassword));
    }
    assert!(matches!(Store::read(b"garbage", StoreKind::Java, "secret"), Err(StoreError::Damaged(_))));
    let cut = &PEM[..PEM.len() - 30];
    assert!(matches!(Store::read(cut, StoreKind::Pem, ""), Err(StoreError::Damaged(_))));
}

#[test]
fn what_is_not_read_says_what_to_do() {
    let told = |bytes: &[u8], kind| Store::read(bytes, kind, "secret").unwrap_err().to_string();
    assert!(told(b"\xce\xce\xce\xce\0\0\0\x02", StoreKind::Java).contains("-deststoretype PKCS12"));
    let rsa = b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    assert!(told(rsa, StoreKind::Pem).contains("openssl pkcs8 -topk8"));
    let alone = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(told(alone, StoreKind::Pem).contains("no certificate"));
}

#[test]
fn any_cut_of_a_jks_is_refused() {
    for length in 0..JKS.len() {
        assert!(Store::read(&JKS[..length], StoreKind::Java, "secret").is_err());
    }
}
