//! What TLS and logins decide, without I/O: key and trust stores in the originals' formats, and the names in certificates.

mod certificate;
mod store;

pub use certificate::{Certificate, CertificateError, is_distinguished_name};
pub use store::{Identity, Store, StoreError, StoreKind};
