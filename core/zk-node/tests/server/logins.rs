//! Who clients prove to be: by certificates, and by SASL.

use base::Reader;
use bytes::Bytes;
use config::zookeeper::{SaslSettings, Secret};
use security::{ClientLogin, Service, Store, StoreKind};
use zk_node::{ConnectionId, ServerConfig};
use zk_proto::connect::{ReplyHeader, RequestHeader};
use zk_proto::requests::{CreateRequest, ReadRequest, Request, SaslRequest};
use zk_proto::{Acl, ErrorCode, Id, Jute, Perms};

use crate::client::{Client, Hello, framed};
use crate::world::World;

const SERVICE: Service = Service { protocol: "zookeeper", server: "zk-sasl-md5" };

fn config(change: impl FnOnce(&mut ServerConfig)) -> World {
    let mut config = ServerConfig::new("/data");
    config.preallocation = 4096;
    let users = [("bob", "secret"), ("super", "s")];
    let users = users.map(|(name, password)| (name.to_owned(), Secret(password.to_owned()))).into();
    config.sasl = SaslSettings { provider: true, users: Some(users), ..SaslSettings::default() };
    change(&mut config);
    World::with(config)
}

fn create(path: &'static str, scheme: &'static str, id: &'static str) -> Request {
    let acl = vec![Acl { perms: Perms::ALL, id: Id::from_static(scheme, id) }];
    Request::Create(CreateRequest { path: path.into(), data: None, acl, flags: 0 })
}

fn read(path: &'static str) -> Request {
    Request::GetData(ReadRequest { path: path.into(), watch: false })
}

/// One step: the error, and the token that came back.
fn step(world: &mut World, id: ConnectionId, token: &[u8]) -> (ErrorCode, Bytes) {
    let mut frame = RequestHeader { xid: 7, op: 102 }.to_bytes().to_vec();
    frame.extend_from_slice(&SaslRequest { token: Bytes::copy_from_slice(token) }.to_bytes());
    world.send(id, &framed(&frame));
    let reply = world.frame(id).unwrap();
    let mut reader = Reader::new(&reply);
    let header = ReplyHeader::decode(&mut reader).unwrap();
    assert_eq!((header.xid, header.zxid), (7, 0));
    let length = reader.i32().unwrap();
    let token = reader.bytes(usize::try_from(length).unwrap_or(0)).unwrap();
    (ErrorCode::from_code(header.err).unwrap(), token)
}

fn log_in(world: &mut World, client: &Client, user: &str, password: &str) -> ErrorCode {
    let mut login = ClientLogin::new(SERVICE, user, password);
    let (_, challenge) = step(world, client.id, b"");
    let response = login.step(&challenge, &[1]).unwrap().unwrap();
    let (error, proof) = step(world, client.id, response.as_bytes());
    if error == ErrorCode::Ok && !proof.is_empty() {
        assert_eq!(login.step(&proof, &[]).unwrap(), None);
    }
    error
}

#[test]
fn who_logged_in_may_do_what_acls_give_the_name() {
    let mut world = config(|config| config.sasl.super_user = Some("super".into()));
    let (mut bob, mut other) = (Client::connect(&mut world), Client::connect(&mut world));
    bob.send(&mut world, &create("/own", "auth", ""));
    assert!(bob.told(&mut world)[0].contains("InvalidACL"));
    assert_eq!(log_in(&mut world, &bob, "bob", "secret"), ErrorCode::Ok);
    bob.send(&mut world, &create("/own", "auth", ""));
    bob.send(&mut world, &read("/own"));
    let told = bob.told(&mut world);
    assert!(told.iter().all(|line| !line.contains("error")), "{told:?}");
    other.send(&mut world, &read("/own"));
    assert!(other.told(&mut world)[0].contains("NoAuth"));
    assert_eq!(log_in(&mut world, &other, "super", "s"), ErrorCode::Ok);
    other.send(&mut world, &read("/own"));
    assert!(!other.told(&mut world)[0].contains("error"));
}

#[test]
fn a_failed_login_closes_unless_that_is_allowed() {
    for (failed_go_on, required, error, closed) in [
        (false, false, ErrorCode::AuthFailed, true),
        (true, false, ErrorCode::Ok, false),
        (true, true, ErrorCode::SessionClosedRequireSaslAuth, true),
    ] {
        let mut world = config(|config| {
            (config.sasl.failed_go_on, config.sasl.required) = (failed_go_on, required);
        });
        for (user, password) in [("bob", "guess"), ("eve", "secret")] {
            let client = Client::connect(&mut world);
            assert_eq!(log_in(&mut world, &client, user, password), error);
            assert_eq!(world.socket(client.id).closed, closed);
        }
    }
}

#[test]
fn who_must_log_in_is_closed_at_anything_else() {
    let mut world = config(|config| config.sasl.required = true);
    let (mut bob, mut other) = (Client::connect(&mut world), Client::connect(&mut world));
    assert_eq!(log_in(&mut world, &bob, "bob", "secret"), ErrorCode::Ok);
    bob.send(&mut world, &read("/"));
    assert!(!bob.told(&mut world)[0].contains("error"));
    other.send(&mut world, &Request::Ping);
    assert!(other.told(&mut world)[0].contains("Session closed because client failed to authenticate"));
    assert!(world.socket(other.id).closed);
}

#[test]
fn steps_out_of_order_and_tokens_of_garbage_are_failed_logins() {
    let mut world = config(|_| {});
    for tokens in [&[&b""[..], b"garbage"][..], &[b"", b""], &[b"", b"\xff\xfe=1"], &[b"", &[b','; 70_000]]] {
        let client = Client::connect(&mut world);
        let errors: Vec<_> = tokens.iter().map(|token| step(&mut world, client.id, token).0).collect();
        assert_eq!(errors.last(), Some(&ErrorCode::AuthFailed), "{errors:?}");
        assert!(world.socket(client.id).closed);
    }
}

#[test]
fn a_certificates_subject_is_an_id() {
    let pem = include_bytes!("../../../security/src/store/golden/plain.pem");
    let certificate = Store::read(pem, StoreKind::Pem, "").unwrap().trusted.remove(0);
    let mut world = config(|config| config.x509 = true);
    let mut client = Client::open(&mut world);
    client.id = world.open_with("10.0.0.9", Some([Bytes::from(certificate)].into()));
    client.hello(&mut world, &Hello::default());
    client.told(&mut world);
    client.send(&mut world, &create("/mine", "x509", "CN=test"));
    client.send(&mut world, &create("/its", "x509", "CN=other"));
    client.send(&mut world, &create("/bad", "x509", "nobody"));
    client.send(&mut world, &read("/mine"));
    client.send(&mut world, &read("/its"));
    let told = client.told(&mut world);
    assert!(told[2].contains("InvalidACL") && !told[3].contains("error") && told[4].contains("NoAuth"), "{told:?}");
}
