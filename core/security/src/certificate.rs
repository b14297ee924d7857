//! What is read of a certificate: its subject as Java names it, whether it speaks for a host, and what it may be used for.

use std::fmt::Write;
use std::net::IpAddr;

use x509_parser::prelude::{AttributeTypeAndValue, FromDer, GeneralName, X509Certificate};

/// An X.509 certificate that was parsed.
pub struct Certificate<'a>(X509Certificate<'a>);

/// Not an X.509 certificate; the reason in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a certificate: {0}")]
pub struct CertificateError(String);

/// Short names of attributes in RFC 2253, by their object identifiers. Java writes others as numbers.
const KEYWORDS: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// The other names that Java reads in a distinguished name.
const READ_ONLY_KEYWORDS: [&str; 12] = [
    "S",
    "T",
    "IP",
    "DNQUALIFIER",
    "DNQ",
    "SURNAME",
    "GIVENNAME",
    "INITIALS",
    "GENERATION",
    "EMAIL",
    "EMAILADDRESS",
    "SERIALNUMBER",
];

/// Tags of values that are texts: UTF-8, printable, teletex, IA5, general, universal and BMP strings.
const TEXT_TAGS: [u32; 7] = [12, 19, 20, 22, 27, 28, 30];

impl<'a> Certificate<'a> {
    /// Parses DER; what follows it is not looked at.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn parse(der: &'a [u8]) -> Result<Self, CertificateError> {
        X509Certificate::from_der(der).map(|(_, certificate)| Self(certificate)).map_err(|error| {
            CertificateError(match error {
                x509_parser::nom::Err::Incomplete(_) => "it is cut off".to_owned(),
                x509_parser::nom::Err::Error(error) | x509_parser::nom::Err::Failure(error) => error.to_string(),
            })
        })
    }

    /// The subject in the form of RFC 2253, as Java's `X500Principal.getName` writes it: the id of the scheme `x509`.
    pub fn subject(&self) -> String {
        let names: Vec<_> = self.0.subject().iter_rdn().collect();
        let relative = names.into_iter().rev().map(|name| {
            let parts: Vec<_> = name.iter().map(attribute).collect();
            parts.join("+")
        });
        relative.collect::<Vec<_>>().join(",")
    }

    /// Whether it speaks for this address or name, by the rules of `ZKHostnameVerifier`: its alternative names count; the common name
    /// does if there are none.
    pub fn is_for_host(&self, host: &str) -> bool {
        let alternatives: Vec<_> = self.alternatives().collect();
        if alternatives.is_empty() {
            return self.common_name().is_some_and(|name| name_matches(host, &name));
        }
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        alternatives.iter().any(|alternative| match (alternative, address) {
            (Alternative::Address(own), Some(address)) => *own == address.to_canonical(),
            (Alternative::Name(name), None) => name_matches(host, name),
            _ => false,
        })
    }

    /// Whether it may be shown by a client, or by a server: so it says, or it says nothing.
    pub fn is_for(&self, client: bool) -> bool {
        self.0.extended_key_usage().is_ok_and(|usage| {
            usage.is_none_or(|usage| {
                usage.value.any || if client { usage.value.client_auth } else { usage.value.server_auth }
            })
        })
    }

    fn alternatives(&self) -> impl Iterator<Item = Alternative<'_>> {
        let names = self.0.subject_alternative_name().ok().flatten();
        names.into_iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(Alternative::Name(name)),
            GeneralName::IPAddress(bytes) => {
                let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                let sixteen = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
                four.or(sixteen).ok().map(|address| Alternative::Address(address.to_canonical()))
            }
            _ => None,
        })
    }

    /// The common name nearest to the subject itself.
    fn common_name(&self) -> Option<String> {
        let name = self.0.subject().iter_common_name().last()?;
        Some(String::from_utf8_lossy(name.attr_value().data).into_owned())
    }
}

enum Alternative<'a> {
    Name(&'a str),
    Address(IpAddr),
}

/// One `*` stands for any characters within one label.
fn name_matches(host: &str, name: &str) -> bool {
    let (host, name) = (host.to_lowercase(), name.to_lowercase());
    match name.split_once('*') {
        None => host == name,
        Some((front, back)) => host
            .strip_prefix(front)
            .and_then(|rest| rest.strip_suffix(back))
            .is_some_and(|covered| !covered.contains('.')),
    }
}

/// `CN=value`: escaped, or in hexadecimal if the kind of attribute has no name or the value is no text.
fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let value = attribute.attr_value();
    let keyword = KEYWORDS.iter().find(|(id, _)| *id == oid).map(|(_, keyword)| *keyword);
    match keyword {
        Some(keyword) if TEXT_TAGS.contains(&value.tag().0) => {
            format!("{keyword}={}", escaped(&String::from_utf8_lossy(value.data)))
        }
        _ => {
            let mut text = format!("{}=#{:02x}", keyword.unwrap_or(&oid), value.tag().0);
            let length = value.data.len();
            if length > 0x7f {
                let bytes: Vec<_> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
                hex(&mut text, &[0x80 | bytes.len() as u8]);
                hex(&mut text, &bytes);
            } else {
                hex(&mut text, &[length as u8]);
            }
            hex(&mut text, value.data);
            text
        }
    }
}

fn hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // A string takes all.
        let _ = write!(text, "{byte:02x}");
    }
}

fn escaped(value: &str) -> String {
    let is_blank = |character: char| matches!(character, ' ' | '\r');
    let front = value.len() - value.trim_start_matches(is_blank).len();
    let back = value.trim_end_matches(is_blank).len();
    let mut text = String::with_capacity(value.len());
    for (place, character) in value.char_indices() {
        if character == '\0' {
            text.push_str("\\00");
            continue;
        }
        if ",=+<>#;\"\\".contains(character) || place < front || place >= back {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

/// Whether Java's `X500Principal` takes a text for a name: `CN=a,O=b`, with names of attributes that it knows, or numbers. The empty
/// text is one.
pub fn is_distinguished_name(text: &str) -> bool {
    if text.trim().is_empty() {
        return true;
    }
    let (mut quoted, mut escaped) = (false, false);
    let is_end = |character: char| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        escaped = character == '\\';
        quoted ^= character == '"';
        !quoted && matches!(character, ',' | ';' | '+')
    };
    text.split(is_end).all(|part| part.split_once('=').is_some_and(|(keyword, _)| is_keyword(keyword.trim())))
}

fn is_keyword(keyword: &str) -> bool {
    let upper = keyword.to_ascii_uppercase();
    let number = upper.strip_prefix("OID.").unwrap_or(&upper);
    let is_number = number.contains('.')
        && number.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    is_number || KEYWORDS.iter().any(|(_, known)| *known == upper) || READ_ONLY_KEYWORDS.contains(&upper.as_str())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn certificate(names: &[&str], subject: &[(DnType, &str)]) -> Vec<u8> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        parameters.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            parameters.distinguished_name.push(kind.clone(), *value);
        }
        parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn subjects_are_named_as_java_names_them() {
        let subject = [
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, " A+B, \"C\" <d>; e=f\\g "),
            (DnType::CommonName, "#müller"),
            (DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]), "a@b"),
        ];
        let der = certificate(&[], &subject);
        // X500Principal.getName of OpenJDK 17 for the same name, but for the string type of the last attribute.
        assert_eq!(
            Certificate::parse(&der).unwrap().subject(),
            "1.2.840.113549.1.9.1=#0c03614062,CN=\\#müller,O=\\ A\\+B\\, \\\"C\\\" \\<d\\>\\; e\\=f\\\\g\\ ,C=DE"
        );
    }

    #[test]
    fn hosts_match_by_alternative_names_else_by_the_common_name() {
        let common = [(DnType::CommonName, "zk1.example.com")];
        let with = certificate(&["*.example.org", "127.0.0.1", "::1"], &common);
        let with = Certificate::parse(&with).unwrap();
        for (host, expected) in [
            ("a.example.org", true),
            ("A.Example.ORG", true),
            ("a.b.example.org", false),
            ("example.org", false),
            ("zk1.example.com", false),
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("127.0.0.2", false),
            ("[::1]", true),
        ] {
            assert_eq!(with.is_for_host(host), expected, "{host}");
        }
        let without = certificate(&[], &common);
        let without = Certificate::parse(&without).unwrap();
        assert!(without.is_for_host("zk1.example.com") && !without.is_for_host("zk2.example.com"));
    }

    #[test]
    fn names_are_told_from_other_texts() {
        for (text, expected) in [
            ("", true),
            ("CN=a", true),
            ("cn=a, OU = b;o=c+L=d", true),
            ("CN=a\\,b", true),
            ("CN=\"a,b=\",O=c", true),
            ("OID.1.2.3=#0c", true),
            ("1.2.3=a", true),
            ("EMAILADDRESS=a@b", true),
            ("FOO=a", false),
            ("CN", false),
            ("CN=a,", false),
            ("CN=a,b", false),
        ] {
            assert_eq!(is_distinguished_name(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_an_error() {
        assert!(Certificate::parse(b"").is_err() && Certificate::parse(b"\x30\x03abc").is_err());
    }
}
