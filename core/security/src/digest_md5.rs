//! SASL's mechanism DIGEST-MD5 (RFC 2831) without protection of what follows, as Java's provider speaks it: both sides.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use sha1::Sha1;

/// The longest response that is looked at (the same in Java).
const RESPONSE_LENGTH_MAX: usize = 4096;

/// Why a login failed, in the words of Java's provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SaslError(String);

impl SaslError {
    /// The exception that Java throws.
    pub const CLASS: &str = "javax.security.sasl.SaslException";
}

fn failed<T>(what: impl std::fmt::Display) -> Result<T, SaslError> {
    Err(SaslError(format!("DIGEST-MD5: {what}")))
}

/// Whom a login is for: protocol and server name, which is also the realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// `zookeeper`
    pub protocol: &'static str,
    /// `zk-sasl-md5`
    pub server: &'static str,
}

impl Service {
    fn uri(self) -> String {
        format!("{}/{}", self.protocol, self.server)
    }
}

/// A server's side of one login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ServerLogin {
    /// The client is to begin.
    #[default]
    Fresh,
    /// The challenge was sent.
    Challenged {
        /// What the response must be made with.
        nonce: String,
    },
    /// It is done, or has failed.
    Over,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The challenge.
    Challenge(String),
    /// The client has proved to be this user; what proves the server to the client.
    Done(String, String),
}

impl ServerLogin {
    /// Takes a client's token. `random` makes the nonce, which does not tell it, and is never to come twice. `password` knows the users.
    ///
    /// # Errors
    /// [`SaslError`]: the login is over.
    pub fn step<'a>(
        &mut self,
        service: Service,
        token: &[u8],
        random: &[u8],
        password: impl FnOnce(&str) -> Option<&'a str>,
    ) -> Result<Answer, SaslError> {
        match std::mem::replace(self, Self::Over) {
            // Java's server does not look at the first token.
            Self::Fresh => {
                let nonce = STANDARD.encode(Sha1::digest(random));
                let challenge =
                    format!("realm=\"{}\",nonce=\"{nonce}\",charset=utf-8,algorithm=md5-sess", service.server);
                *self = Self::Challenged { nonce };
                Ok(Answer::Challenge(challenge))
            }
            Self::Challenged { nonce } => {
                let response = Directives::parse(token)?;
                let user = response.get("username").filter(|user| !user.is_empty());
                let Some(user) = user else { return violated("Missing username.") };
                let proof = check(service, &response, user, &nonce, password(user))?;
                Ok(Answer::Done(user.to_owned(), proof))
            }
            Self::Over => failed("Server at illegal state"),
        }
    }
}

fn violated<T>(what: impl std::fmt::Display) -> Result<T, SaslError> {
    failed(format!("digest response format violation. {what}"))
}

/// What a right response proves; the server's own proof.
fn check(
    service: Service,
    response: &Directives,
    user: &str,
    nonce: &str,
    password: Option<&str>,
) -> Result<String, SaslError> {
    let realm = response.get("realm").unwrap_or_default();
    if realm != service.server {
        return violated(format!("Nonexistent realm: {realm}"));
    }
    if response.get("nonce") != Some(nonce) {
        return violated("Mismatched nonce.");
    }
    let Some(client_nonce) = response.get("cnonce") else { return violated("Missing cnonce.") };
    if response.get("nc").and_then(|count| u32::from_str_radix(count, 16).ok()) != Some(1) {
        return violated("Nonce count does not match.");
    }
    if !matches!(response.get("qop"), None | Some("auth")) {
        return violated("Invalid QOP.");
    }
    if response.get("charset").is_some_and(|charset| charset != "utf-8") {
        return violated("Incompatible charset value.");
    }
    let uri = response.get("digest-uri").unwrap_or_default();
    if !uri.eq_ignore_ascii_case(&service.uri()) {
        return violated(format!("Mismatched URI: {uri}; expecting: {}", service.uri()));
    }
    let Some(password) = password else {
        return failed(format!("cannot acquire password for {user} in realm : {realm}"));
    };
    let proof = Proof {
        user,
        realm,
        password,
        nonce,
        client_nonce,
        uri,
        authorization: response.get("authzid").filter(|id| !id.is_empty()),
    };
    if !is_equal(response.get("response").unwrap_or_default(), &proof.response(b"AUTHENTICATE:")) {
        return violated("Mismatched response.");
    }
    Ok(format!("rspauth={}", proof.response(b":")))
}

/// Compares in a time that does not tell where they differ.
fn is_equal(given: &str, right: &str) -> bool {
    given.len() == right.len()
        && given.bytes().zip(right.bytes()).fold(0, |differs, (one, other)| differs | (one ^ other)) == 0
}

/// A client's side of one login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLogin {
    service: Service,
    user: String,
    password: String,
    /// What the server must answer at the end, once the response was sent.
    expected: Option<String>,
}

impl ClientLogin {
    /// A login as this user. It begins with an empty token.
    pub fn new(service: Service, user: &str, password: &str) -> Self {
        Self { service, user: user.to_owned(), password: password.to_owned(), expected: None }
    }

    /// Takes the server's token: the response to send, or `None` when the server has proved itself and all is done.
    ///
    /// # Errors
    /// [`SaslError`].
    pub fn step(&mut self, token: &[u8], random: &[u8]) -> Result<Option<String>, SaslError> {
        let said = Directives::parse(token)?;
        if let Some(expected) = self.expected.take() {
            return match said.get("rspauth") {
                Some(proof) if is_equal(proof, &expected) => Ok(None),
                Some(_) => failed("Server's rspauth value does not match what client expects"),
                None => failed("Missing rspauth directive"),
            };
        }
        let Some(nonce) = said.get("nonce") else { return failed("Missing nonce in challenge") };
        let realm = said.get("realm").unwrap_or(self.service.server);
        let (uri, client_nonce) = (self.service.uri(), STANDARD.encode(Sha1::digest(random)));
        let proof = Proof {
            user: &self.user,
            realm,
            password: &self.password,
            nonce,
            client_nonce: &client_nonce,
            uri: &uri,
            authorization: None,
        };
        let text = format!(
            "charset=utf-8,username=\"{}\",realm=\"{}\",nonce=\"{}\",nc=00000001,cnonce=\"{client_nonce}\",\
             digest-uri=\"{uri}\",maxbuf=65536,response={},qop=auth",
            quoted(&self.user),
            quoted(realm),
            quoted(nonce),
            proof.response(b"AUTHENTICATE:"),
        );
        self.expected = Some(proof.response(b":"));
        Ok(Some(text))
    }
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// What both sides know.
struct Proof<'a> {
    user: &'a str,
    realm: &'a str,
    password: &'a str,
    nonce: &'a str,
    client_nonce: &'a str,
    uri: &'a str,
    authorization: Option<&'a str>,
}

impl Proof<'_> {
    /// RFC 2831, 2.1.2.1, for the quality of protection `auth`. `method` is `AUTHENTICATE:` for the client, `:` for the server.
    fn response(&self, method: &[u8]) -> String {
        let secret = [&latin(self.user), &b":"[..], &latin(self.realm), b":", &latin(self.password)].concat();
        let mut first = Md5::digest(secret).to_vec();
        for part in [self.nonce, self.client_nonce].into_iter().chain(self.authorization) {
            first.push(b':');
            first.extend_from_slice(part.as_bytes());
        }
        let second = hex(&[method, self.uri.as_bytes()].concat());
        let (nonce, client_nonce) = (self.nonce, self.client_nonce);
        hex(format!("{}:{nonce}:00000001:{client_nonce}:auth:{second}", hex(&first)).as_bytes())
    }
}

fn hex(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text in ISO 8859-1, if it has such, else in UTF-8.
fn latin(text: &str) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect();
    bytes.unwrap_or_else(|| text.as_bytes().to_vec())
}

/// What may stand between directives.
const SEPARATORS: [char; 5] = [',', ' ', '\t', '\r', '\n'];

/// `name=value,name="value"`: each name once.
struct Directives(Vec<(String, String)>);

impl Directives {
    fn parse(token: &[u8]) -> Result<Self, SaslError> {
        if token.len() > RESPONSE_LENGTH_MAX {
            return failed(format!(
                "Invalid digest response length. Got:  {} Expected < {RESPONSE_LENGTH_MAX}",
                token.len()
            ));
        }
        let Ok(text) = std::str::from_utf8(token) else { return failed("Invalid character in digest") };
        let mut directives: Vec<(String, String)> = Vec::new();
        let mut rest = text.trim_start_matches(SEPARATORS);
        while !rest.is_empty() {
            let Some((name, behind_name)) = rest.split_once('=') else { return failed("Invalid directive") };
            let (name, behind_name) = (name.trim().to_ascii_lowercase(), behind_name.trim_start());
            let Some((value, behind)) = value(behind_name) else {
                return failed("Unmatched quote in directive");
            };
            if name.is_empty() || directives.iter().any(|(known, _)| *known == name) {
                return failed(format!("duplicate or empty directive: {name}"));
            }
            // Behind a value without quotes its comma is gone already.
            let is_quoted = behind_name.starts_with('"');
            if is_quoted && !behind.is_empty() && !behind.starts_with(SEPARATORS) {
                return failed("Expecting comma or linear whitespace after quoted string in directive");
            }
            directives.push((name, value));
            rest = behind.trim_start_matches(SEPARATORS);
        }
        Ok(Self(directives))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The value at the front, and what is behind it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, behind) = text.split_once(',').unwrap_or((text, ""));
        return Some((value.trim().to_owned(), behind));
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(characters.next()?),
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: Service = Service { protocol: "zookeeper", server: "zk-sasl-md5" };

    /// A login by both sides; who it was, or why not.
    fn meet(user: &str, given: &str, known: Option<&str>) -> Result<String, SaslError> {
        let (mut server, mut client) = (ServerLogin::default(), ClientLogin::new(SERVICE, user, given));
        let challenge = server.step(SERVICE, b"", &[7; 30], |_| None)?;
        let Answer::Challenge(challenge) = challenge else { panic!("{challenge:?}") };
        let response = client.step(challenge.as_bytes(), &[9; 30])?.expect("a response");
        let answer = server.step(SERVICE, response.as_bytes(), &[], |_| known)?;
        let Answer::Done(user, proof) = answer else { panic!("{answer:?}") };
        assert_eq!(client.step(proof.as_bytes(), &[])?, None);
        assert!(server.step(SERVICE, response.as_bytes(), &[], |_| known).is_err(), "once");
        Ok(user)
    }

    #[test]
    fn both_sides_prove_what_they_know() {
        for (user, password) in [("bob", "secret"), ("müller", "pä\"ss\\"), ("嵐", "雨")] {
            assert_eq!(meet(user, password, Some(password)).unwrap(), user);
        }
        let wrong = meet("bob", "guess", Some("secret")).unwrap_err();
        assert!(wrong.to_string().ends_with("Mismatched response."));
        let unknown = meet("eve", "guess", None).unwrap_err();
        assert_eq!(unknown.to_string(), "DIGEST-MD5: cannot acquire password for eve in realm : zk-sasl-md5");
    }

    #[test]
    fn the_example_of_the_rfc() {
        let proof = Proof {
            user: "chris",
            realm: "elwood.innosoft.com",
            password: "secret",
            nonce: "OA6MG9tEQGm2hh",
            client_nonce: "OA6MHXh6VqTrRk",
            uri: "imap/elwood.innosoft.com",
            authorization: None,
        };
        assert_eq!(proof.response(b"AUTHENTICATE:"), "d388dad90d4bbd760a152321f2143af7");
        assert_eq!(proof.response(b":"), "ea40f60335c427b5527b84dbabcdfffd");
    }

    #[test]
    fn a_response_that_breaks_the_rules_is_refused() {
        let right = "charset=utf-8,username=\"bob\",realm=\"zk-sasl-md5\",nonce=\"Bwc=\",nc=00000001,cnonce=\"x\",\
                     digest-uri=\"zookeeper/zk-sasl-md5\",response=0,qop=auth";
        for (from, to, told) in [
            ("", "", "Mismatched response."),
            ("realm=\"zk-sasl-md5\"", "realm=\"other\"", "Nonexistent realm: other"),
            ("Bwc=", "Bwg=", "Mismatched nonce."),
            ("cnonce=\"x\",", "", "Missing cnonce."),
            ("00000001", "00000002", "Nonce count"),
            ("qop=auth", "qop=auth-conf", "Invalid QOP."),
            ("zookeeper/", "imap/", "Mismatched URI"),
            ("username=\"bob\",", "", "Missing username."),
            ("utf-8", "latin", "charset"),
            ("nonce=\"Bwc=\"", "nonce=\"Bwc=", "directive"),
            ("qop=auth", "qop=auth,qop=auth", "duplicate"),
            ("qop=auth", "qop", "Invalid directive"),
        ] {
            let mut login = ServerLogin::Challenged { nonce: "Bwc=".to_owned() };
            let response = right.replacen(from, to, usize::from(!from.is_empty()));
            let error = login.step(SERVICE, response.as_bytes(), &[], |_| Some("p")).unwrap_err().to_string();
            assert!(error.contains(told), "{from}: {error}");
            assert_eq!(login, ServerLogin::Over);
        }
        let mut login = ServerLogin::Challenged { nonce: String::new() };
        assert!(login.step(SERVICE, &[b'a'; 5000], &[], |_| None).unwrap_err().to_string().contains("length"));
    }
}
