//! PKCS#12, as keytool and OpenSSL write it, with the ciphers of old and of today.

use p12_keystore::error::Error;
use p12_keystore::{KeyStore, KeyStoreEntry};

use super::{Identity, Store, StoreError, damaged};

pub(super) fn read(bytes: &[u8], password: &str) -> Result<Store, StoreError> {
    let file = KeyStore::from_pkcs12(bytes, password).map_err(|error| match error {
        Error::MacError(_) | Error::Pkcs5Error(_) => StoreError::WrongPassword,
        Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm | Error::UnsupportedContentType => {
            StoreError::NotServed(format!(
                "{error}: write the file anew with keytool -importkeystore or openssl pkcs12 -export"
            ))
        }
        other => damaged(format!("it is neither JKS nor PKCS#12 ({other})")),
    })?;
    let mut store = Store::default();
    for (_, entry) in file.entries() {
        match entry {
            KeyStoreEntry::PrivateKeyChain(chain) => store.identities.push(Identity {
                key: chain.key().to_vec(),
                chain: chain.chain().iter().map(|certificate| certificate.as_der().to_vec()).collect(),
            }),
            KeyStoreEntry::Certificate(certificate) => store.trusted.push(certificate.as_der().to_vec()),
            KeyStoreEntry::Secret(_) => {}
        }
    }
    Ok(store)
}
