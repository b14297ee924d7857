//! Who a client is, and what an ACL allows it: the schemes digest, ip, super, world; x509 and sasl where enabled.

use std::net::Ipv4Addr;

use base::Str;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hashbrown::HashSet;
use sha1::{Digest, Sha1};
use zk_proto::{Acl, ErrorCode, Id, Perms};

/// What the configuration says about authentication.
#[derive(Clone, Debug, Default)]
pub struct AuthSettings {
    /// `zookeeper.skipACL`: no check at all.
    pub skip_acl: bool,
    /// `zookeeper.DigestAuthenticationProvider.superDigest`: `user:base64(sha1(user:password))` of who may do anything.
    pub super_digest: Option<Str>,
    /// Whether a provider for `sasl` is configured.
    pub sasl: bool,
    /// `zookeeper.letAnySaslUserDoX`: an id that any sasl user matches.
    pub let_any_sasl_user_do: Option<Str>,
    /// Whether a provider for `x509` is configured.
    pub x509: bool,
    /// `zookeeper.X509AuthenticationProvider.superUser`: a subject that matches any x509 id.
    pub x509_super_user: Option<Str>,
}

impl AuthSettings {
    /// Takes a client's credentials: `auth` packets of the schemes digest and ip.
    ///
    /// # Errors
    /// `AuthFailed` for a scheme that is not known, or that is not authenticated by a packet.
    pub fn authenticate(&self, scheme: &str, auth: &[u8], address: &str, ids: &mut Vec<Id>) -> Result<(), ErrorCode> {
        match scheme {
            "digest" => {
                let digest = generate_digest(&String::from_utf8_lossy(auth));
                if self.super_digest.as_deref() == Some(digest.as_str()) {
                    add_id(ids, Id::from_static("super", ""));
                }
                add_id(ids, Id { scheme: Str::from_static("digest"), id: Str::from(digest) });
                Ok(())
            }
            "ip" => {
                add_id(ids, Id { scheme: Str::from_static("ip"), id: Str::from(address) });
                Ok(())
            }
            _ => Err(ErrorCode::AuthFailed),
        }
    }

    /// Takes the subject of a client's certificate, which was found to be trusted; whether it is the one who may do anything.
    pub fn certified(&self, subject: &Str, ids: &mut Vec<Id>) -> bool {
        let is_super = self.x509_super_user.as_ref() == Some(subject);
        if is_super {
            add_id(ids, Id { scheme: Str::from_static("super"), id: subject.clone() });
        }
        add_id(ids, Id { scheme: Str::from_static("x509"), id: subject.clone() });
        is_super
    }

    /// Fails with `NoAuth` unless one of `ids` has any of `perms` by this ACL (`ZooKeeperServer.checkACL`).
    ///
    /// # Errors
    /// `NoAuth`.
    pub fn check(&self, acl: &[Acl], perms: Perms, ids: &[Id]) -> Result<(), ErrorCode> {
        match self.allows(acl, perms, ids) {
            true => Ok(()),
            false => Err(ErrorCode::NoAuth),
        }
    }

    /// Whether one of `ids` has any of `perms` by this ACL. An empty ACL allows everything.
    pub fn allows(&self, acl: &[Acl], perms: Perms, ids: &[Id]) -> bool {
        self.skip_acl
            || acl.is_empty()
            || ids.iter().any(|id| id.scheme == "super")
            || acl.iter().filter(|entry| entry.perms.intersects(perms)).any(|entry| {
                is_anyone(&entry.id)
                    || self.has_provider(&entry.id.scheme)
                        && ids.iter().any(|id| id.scheme == entry.id.scheme && self.matches(&id.id, &entry.id))
            })
    }

    /// The ACL to store for one that a client asks for: no entry twice, `auth` replaced by the client's own ids
    /// (`PrepRequestProcessor.fixupACL`).
    ///
    /// # Errors
    /// `InvalidAcl` if it is empty, names an unknown scheme or an id that its scheme refuses, or says `auth` where the
    /// client has not authenticated itself.
    pub fn fix_acl(&self, acl: &[Acl], ids: &[Id]) -> Result<Vec<Acl>, ErrorCode> {
        let mut fixed = Vec::with_capacity(acl.len());
        let mut seen = HashSet::with_capacity(acl.len());
        for entry in acl.iter().filter(|entry| seen.insert(*entry)) {
            if is_anyone(&entry.id) {
                fixed.push(entry.clone());
            } else if entry.id.scheme == "auth" {
                let before = fixed.len();
                let own = ids.iter().filter(|id| matches!(&*id.scheme, "digest" | "sasl" | "x509"));
                let own = own.filter(|id| self.has_provider(&id.scheme));
                fixed.extend(own.map(|id| Acl { perms: entry.perms, id: id.clone() }));
                if fixed.len() == before {
                    return Err(ErrorCode::InvalidAcl);
                }
            } else if self.has_provider(&entry.id.scheme) && is_valid(&entry.id) {
                fixed.push(entry.clone());
            } else {
                return Err(ErrorCode::InvalidAcl);
            }
        }
        if fixed.is_empty() { Err(ErrorCode::InvalidAcl) } else { Ok(fixed) }
    }

    fn has_provider(&self, scheme: &str) -> bool {
        match scheme {
            "digest" | "ip" => true,
            "sasl" => self.sasl,
            "x509" => self.x509,
            _ => false,
        }
    }

    fn matches(&self, id: &str, acl_id: &Id) -> bool {
        match &*acl_id.scheme {
            "ip" => ip_matches(id, &acl_id.id),
            "sasl" => id == "super" || acl_id.id == id || self.let_any_sasl_user_do.as_ref() == Some(&acl_id.id),
            "x509" => acl_id.id == id || self.x509_super_user.as_deref() == Some(id),
            _ => acl_id.id == id,
        }
    }
}

/// Adds an id that is not there.
pub fn add_id(ids: &mut Vec<Id>, id: Id) {
    if !ids.contains(&id) {
        ids.push(id);
    }
}

/// `user:base64(sha1(user:password))` of `user:password`.
pub fn generate_digest(user_and_password: &str) -> String {
    let user = user_and_password.split(':').next().unwrap_or_default();
    format!("{user}:{}", STANDARD.encode(Sha1::digest(user_and_password)))
}

/// An ACL as those see it who may not set it: without hashes of passwords.
pub fn masked(acl: &[Acl]) -> Vec<Acl> {
    let mask = |acl: &Acl| match (&*acl.id.scheme, acl.id.id.split_once(':')) {
        ("digest", Some((user, _))) => {
            Acl { perms: acl.perms, id: Id { scheme: acl.id.scheme.clone(), id: Str::from(format!("{user}:x")) } }
        }
        _ => acl.clone(),
    };
    acl.iter().map(mask).collect()
}

fn is_anyone(id: &Id) -> bool {
    id.scheme == "world" && id.id == "anyone"
}

fn is_valid(id: &Id) -> bool {
    match &*id.scheme {
        // As Java splits: empty parts at the end don't count.
        "digest" => id.id.trim_end_matches(':').split(':').count() == 2,
        "ip" => ip_network(&id.id).is_some(),
        // A Kerberos name: service/host@realm, each part without the separators.
        "sasl" => id
            .id
            .split_once('@')
            .is_none_or(|(name, realm)| !realm.contains(['/', '@']) && name.split('/').count() <= 2),
        "x509" => security::is_distinguished_name(&id.id),
        _ => false,
    }
}

/// An address and how many of its bits count: `10.0.0.0/8`, or an address alone.
fn ip_network(text: &str) -> Option<(u32, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, bits.parse().ok().filter(|bits| *bits <= 32)?),
        None => (text, 32),
    };
    Some((ip_address(address)?, bits))
}

/// Four decimal numbers; unlike Rust's own parser, leading zeros are taken, as in the original.
fn ip_address(text: &str) -> Option<u32> {
    let mut octets = [0_u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        *octet = u8::try_from(parts.next()?.parse::<i32>().ok()?).ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets).to_bits())
}

fn ip_matches(address: &str, network: &str) -> bool {
    let (Some(address), Some((network, bits))) = (ip_address(address), ip_network(network)) else { return false };
    let differing = address ^ network;
    bits == 0 || differing >> (32 - bits) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(perms: i32, scheme: &'static str, id: &'static str) -> Acl {
        Acl { perms: Perms(perms), id: Id::from_static(scheme, id) }
    }

    #[test]
    fn digests_are_those_of_the_original() {
        // DigestAuthenticationProvider.generateDigest of 3.6.3.
        assert_eq!(generate_digest("super:admin"), "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=");
        let settings = AuthSettings {
            super_digest: Some(Str::from_static("super:xQJmxLMiHGwaqBvst5y6rkB6HQs=")),
            ..AuthSettings::default()
        };
        let mut ids = Vec::new();
        settings.authenticate("digest", b"super:admin", "10.0.0.1", &mut ids).unwrap();
        assert_eq!(ids.len(), 2);
        assert!(settings.allows(&[acl(1, "digest", "a:b")], Perms::ALL, &ids));
        assert_eq!(settings.authenticate("kerberos", b"", "10.0.0.1", &mut ids), Err(ErrorCode::AuthFailed));
    }

    #[test]
    fn networks_match_by_their_bits() {
        let settings = AuthSettings::default();
        let client = [Id::from_static("ip", "10.1.2.3")];
        for (network, expected) in [
            ("10.1.2.3", true),
            ("10.1.2.4", false),
            ("10.1.0.0/16", true),
            ("10.2.0.0/16", false),
            ("10.1.2.2/31", true),
            ("0.0.0.0/0", true),
            ("010.1.2.3", true),
        ] {
            assert_eq!(settings.allows(&[acl(1, "ip", network)], Perms::READ, &client), expected, "{network}");
        }
        for (id, valid) in [("10.0.0.0/33", false), ("10.0.0", false), ("10.0.0.256", false), ("1.2.3.4/8", true)] {
            assert_eq!(settings.fix_acl(&[acl(1, "ip", id)], &[]).is_ok(), valid, "{id}");
        }
    }

    #[test]
    fn acls_are_fixed_as_in_the_original() {
        let settings = AuthSettings::default();
        let ids = [Id::from_static("ip", "10.0.0.1"), Id::from_static("digest", "u:h")];
        let auth = acl(7, "auth", "");
        assert_eq!(settings.fix_acl(&[auth.clone(), auth.clone()], &ids).unwrap(), [acl(7, "digest", "u:h")]);
        assert_eq!(settings.fix_acl(&[auth], &ids[..1]), Err(ErrorCode::InvalidAcl));
        assert_eq!(settings.fix_acl(&[], &ids), Err(ErrorCode::InvalidAcl));
        for (scheme, id, valid) in [
            ("world", "anyone", true),
            ("world", "someone", false),
            ("digest", "u:h", true),
            ("digest", "u:h:", true),
            ("digest", ":h", true),
            ("digest", "u:", false),
            ("digest", "u:h:i", false),
            ("super", "", false),
            ("sasl", "u", false),
        ] {
            assert_eq!(settings.fix_acl(&[acl(1, scheme, id)], &ids).is_ok(), valid, "{scheme}:{id}");
        }
    }

    #[test]
    fn permissions_are_any_of_those_asked_for() {
        let settings = AuthSettings::default();
        let entry = [acl(Perms::ADMIN.0, "world", "anyone")];
        assert!(settings.allows(&entry, Perms::READ | Perms::ADMIN, &[]));
        assert!(!settings.allows(&entry, Perms::READ, &[]));
        assert!(settings.allows(&[], Perms::READ, &[]));
        assert_eq!(
            masked(&[acl(1, "digest", "u:hash"), acl(1, "ip", "1.2.3.4")]),
            [acl(1, "digest", "u:x"), acl(1, "ip", "1.2.3.4")]
        );
    }
}
