//! Key stores and trust stores: PEM, PKCS#12 and JKS, as bytes of a file and a password.
//!
//! As in Java since 9, a file that is called JKS may hold PKCS#12 and the other way round: the first bytes tell.

mod jks;
mod pem;
mod pkcs12;

/// How a store is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Java's own format or PKCS#12, which Java takes for each other.
    Java,
    /// Base64 between lines of dashes (RFC 7468).
    Pem,
}

/// A private key and the certificates that vouch for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// PKCS#8, DER.
    pub key: Vec<u8>,
    /// DER; the key's own certificate first, each followed by that of its issuer.
    pub chain: Vec<Vec<u8>>,
}

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    /// Keys, in the file's order.
    pub identities: Vec<Identity>,
    /// Certificates of those who are trusted, DER.
    pub trusted: Vec<Vec<u8>>,
}

/// Why a store can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Not what it is said to be, or cut off.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// The password does not open it.
    #[error("the password is wrong, or the file was tampered with")]
    WrongPassword,
    /// Something that is not read, and what to do.
    #[error("{0}")]
    NotServed(String),
    /// A key is there without a certificate, or a certificate without a key.
    #[error("{0}")]
    Incomplete(&'static str),
}

impl Store {
    /// Reads a store. An empty password opens what is not protected.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn read(bytes: &[u8], kind: StoreKind, password: &str) -> Result<Self, StoreError> {
        match (kind, bytes) {
            (StoreKind::Pem, _) => pem::read(bytes, password),
            (StoreKind::Java, [0xfe, 0xed, 0xfe, 0xed, ..]) => jks::read(bytes, password),
            (StoreKind::Java, [0xce, 0xce, 0xce, 0xce, ..]) => Err(StoreError::NotServed(
                "the format JCEKS is not read: convert the file with keytool -importkeystore -deststoretype PKCS12"
                    .to_owned(),
            )),
            (StoreKind::Java, _) => pkcs12::read(bytes, password),
        }
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Identity([hidden], {} certificates)", self.chain.len())
    }
}

fn damaged(what: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(what.to_string())
}

#[cfg(test)]
mod tests;
