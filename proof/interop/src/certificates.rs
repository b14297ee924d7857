//! Certificates for tests of TLS, made by OpenSSL and keytool: an authority, and what it signs in every format of store.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process::run;

/// The password of all stores but the PEM ones, which have none.
pub const STORE_PASSWORD: &str = "secret";

/// An authority and what it has signed, in a folder.
pub struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    /// Makes the authority: `authority.pem`, `authority.p12` and `authority.jks` hold its certificate, to be trusted.
    pub fn new() -> Result<Self> {
        let own = Self { folder: tempfile::tempdir()? };
        let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=authority"];
        own.openssl(&[&request[..], &["-keyout", "authority.key", "-out", "authority.pem"]].concat())?;
        for (file, kind) in [("authority.p12", "PKCS12"), ("authority.jks", "JKS")] {
            let import = ["-importcert", "-noprompt", "-alias", "authority", "-file", "authority.pem"];
            own.keytool(
                &[&import[..], &["-keystore", file, "-storetype", kind, "-storepass", STORE_PASSWORD]].concat(),
            )?;
        }
        Ok(own)
    }

    /// Makes a key and a certificate of this subject (`/O=team/CN=name`) for these hosts (`IP:127.0.0.1`, `DNS:localhost`):
    /// `name.pem`, `name.p12` and `name.jks`; also `name.key` and `name.crt`, one each.
    pub fn sign(&self, name: &str, subject: &str, hosts: &[&str]) -> Result<()> {
        let file = |ending: &str| format!("{name}.{ending}");
        let (key, request, certificate) = (file("key"), file("csr"), file("crt"));
        let new = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-utf8", "-subj", subject];
        self.openssl(&[&new[..], &["-keyout", &key, "-out", &request]].concat())?;
        let extensions = match hosts {
            [] => "basicConstraints=CA:FALSE\n".to_owned(),
            hosts => format!("basicConstraints=CA:FALSE\nsubjectAltName={}\n", hosts.join(",")),
        };
        fs::write(self.path(&file("ext")), extensions)?;
        let sign = ["x509", "-req", "-in", &request, "-CA", "authority.pem", "-CAkey", "authority.key", "-days", "30"];
        self.openssl(&[&sign[..], &["-extfile", &file("ext"), "-out", &certificate]].concat())?;
        let read = |ending: &str| fs::read_to_string(self.path(&file(ending)));
        fs::write(self.path(&file("pem")), read("key")? + &read("crt")?)?;
        let password = format!("pass:{STORE_PASSWORD}");
        let export = ["pkcs12", "-export", "-inkey", &key, "-in", &certificate, "-name", name, "-passout", &password];
        self.openssl(&[&export[..], &["-out", &file("p12")]].concat())?;
        let import = ["-importkeystore", "-srckeystore", &file("p12"), "-srcstorepass", STORE_PASSWORD];
        let to = ["-destkeystore", &file("jks"), "-deststoretype", "JKS", "-deststorepass", STORE_PASSWORD];
        self.keytool(&[&import[..], &to].concat())
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The values of `keyStore.*` and `trustStore.*`, one `PREFIXkey=value` each, for `name` in stores that end with `ending`.
    pub fn stores(&self, prefix: &str, name: &str, ending: &str) -> Vec<String> {
        let store = |key: &str, name: &str| {
            let path = self.path(&format!("{name}.{ending}"));
            let mut lines = vec![format!("{prefix}{key}.location={}", path.display())];
            if ending != "pem" {
                lines.push(format!("{prefix}{key}.password={STORE_PASSWORD}"));
            }
            lines
        };
        [store("keyStore", name), store("trustStore", "authority")].concat()
    }

    fn openssl(&self, arguments: &[&str]) -> Result<()> {
        self.make("openssl", arguments)
    }

    fn keytool(&self, arguments: &[&str]) -> Result<()> {
        self.make("keytool", arguments)
    }

    fn make(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let folder: &Path = self.folder.path();
        run(Command::new(program).args(arguments).current_dir(folder), b"")?.success()?;
        Ok(())
    }
}
