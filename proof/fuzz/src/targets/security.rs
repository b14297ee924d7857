//! What peers say of who they are: certificates, and logins by SASL.

use security::{Answer, Certificate, ClientLogin, Jaas, ServerLogin, Service, Store, StoreKind, is_distinguished_name};

const SERVICE: Service = Service { protocol: "zookeeper", server: "zk-sasl-md5" };

/// A certificate of any bytes: what is asked of it has an answer.
pub(crate) fn certificates(input: &[u8]) {
    let Ok(certificate) = Certificate::parse(input) else { return };
    is_distinguished_name(&certificate.subject());
    for host in ["zk1.example.com", "127.0.0.1", "::1", ""] {
        certificate.is_for_host(host);
    }
    certificate.is_for(true);
}

pub(crate) fn certificate_seeds() -> Vec<Vec<u8>> {
    let pem = include_bytes!("../../../../core/security/src/store/golden/plain.pem");
    Store::read(pem, StoreKind::Pem, "").expect("it is read by tests").trusted
}

/// Tokens of either side, in the middle of a login; a client can't log in without the password.
pub(crate) fn logins(input: &[u8]) {
    let mut server = ServerLogin::Challenged { nonce: "n".to_owned() };
    if let Ok(Answer::Done(user, _)) = server.step(SERVICE, input, &[], |_| Some("secret")) {
        panic!("{user} has logged in");
    }
    let mut client = ClientLogin::new(SERVICE, "bob", "secret");
    if let Ok(Some(response)) = client.step(input, &[1]) {
        assert!(response.contains("username=\"bob\""));
        assert!(client.step(input, &[2]).is_err(), "the server has not proved anything");
    }
}

pub(crate) fn login_seeds() -> Vec<Vec<u8>> {
    let challenge = "realm=\"zk-sasl-md5\",nonce=\"n\",charset=utf-8,algorithm=md5-sess";
    let response = "charset=utf-8,username=\"bob\",realm=\"zk-sasl-md5\",nonce=\"n\",nc=00000001,cnonce=\"c\",\
                    digest-uri=\"zookeeper/zk-sasl-md5\",maxbuf=65536,response=0123456789abcdef0123456789abcdef,qop=auth";
    [challenge, response].map(|text| text.as_bytes().to_vec()).into()
}

/// A JAAS file.
pub(crate) fn jaas(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(file) = Jaas::parse(text) {
        file.section("Server");
    }
}

pub(crate) fn jaas_seeds() -> Vec<Vec<u8>> {
    let module = "org.apache.zookeeper.server.auth.DigestLoginModule required";
    vec![format!("// users\nServer {{\n {module} user_bob=\"s\\\"t\" debug=true;\n}};\n").into_bytes()]
}
