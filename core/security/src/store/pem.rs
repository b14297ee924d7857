//! PEM: one private key and its chain, or certificates that are trusted (`PemReader`).

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use pkcs8::EncryptedPrivateKeyInfo;

use super::{Identity, Store, StoreError, damaged};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A file with a key holds an identity; one without holds certificates that are trusted.
pub(super) fn read(bytes: &[u8], password: &str) -> Result<Store, StoreError> {
    let text = String::from_utf8_lossy(bytes);
    let (mut keys, mut certificates) = (Vec::new(), Vec::new());
    for block in Blocks(&text) {
        let (label, content) = block?;
        if label.ends_with("CERTIFICATE") {
            certificates.push(content);
        } else if label.ends_with("PRIVATE KEY") {
            keys.push(key(label, content, password)?);
        }
    }
    match (keys.pop(), certificates.is_empty()) {
        (None, _) => Ok(Store { identities: Vec::new(), trusted: certificates }),
        (Some(_), true) => Err(StoreError::Incomplete("there is a private key, but no certificate for it")),
        (Some(_), false) if !keys.is_empty() => {
            Err(StoreError::NotServed("more than one private key: PEM has room for one".to_owned()))
        }
        (Some(key), false) => {
            Ok(Store { identities: vec![Identity { key, chain: certificates.clone() }], trusted: certificates })
        }
    }
}

fn key(label: &str, content: Vec<u8>, password: &str) -> Result<Vec<u8>, StoreError> {
    match label {
        "PRIVATE KEY" => Ok(content),
        "ENCRYPTED PRIVATE KEY" => {
            let encrypted = EncryptedPrivateKeyInfo::try_from(content.as_slice()).map_err(|error| {
                StoreError::NotServed(format!(
                    "the private key is encrypted in a way that is not read ({error}): \
                     encrypt it anew with openssl pkcs8 -topk8 -v2 aes-256-cbc"
                ))
            })?;
            let decrypted = encrypted.decrypt(password).map_err(|_| StoreError::WrongPassword)?;
            Ok(decrypted.as_bytes().to_vec())
        }
        other => Err(StoreError::NotServed(format!(
            "a key of the form \"{other}\" is not read: convert it to PKCS#8 with openssl pkcs8 -topk8"
        ))),
    }
}

/// What lies between `-----BEGIN LABEL-----` and `-----END LABEL-----`, each with its label; text around them is skipped.
struct Blocks<'a>(&'a str);

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<(&'a str, Vec<u8>), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (_, behind) = self.0.split_once("-----BEGIN ")?;
        let (label, behind) = behind.split_once("-----")?;
        let Some((content, rest)) = behind.split_once("-----END ") else {
            self.0 = "";
            return Some(Err(damaged(format!("a {label} has no end"))));
        };
        self.0 = rest;
        let base64: String = content.split_ascii_whitespace().collect();
        Some(
            BASE64.decode(base64).map(|content| (label, content)).map_err(|error| damaged(format!("{label}: {error}"))),
        )
    }
}
