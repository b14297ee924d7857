//! What TLS and logins decide, without I/O: key and trust stores in the originals' formats, the names in certificates, JAAS files, and
//! SASL's mechanisms.

mod certificate;
mod digest_md5;
mod jaas;
mod store;

pub use certificate::{Certificate, CertificateError, is_distinguished_name};
pub use digest_md5::{Answer, ClientLogin, SaslError, ServerLogin, Service};
pub use jaas::{Jaas, JaasError, LoginModule};
pub use store::{Identity, Store, StoreError, StoreKind};
