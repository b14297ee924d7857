//! A member that finds no leader serves reads to those who asked for no more.

use std::io;

use base::Str;
use config::{Properties, ZooKeeperSettings};
use zk_node::ServerConfig;
use zk_proto::Acl;
use zk_proto::connect::session_password;
use zk_proto::requests::{CreateRequest, PathRequest, ReadRequest, Request};

use crate::client::{Client, Hello};
use crate::world::World;

const READ_ONLY: Hello = Hello {
    timeout_ms: 10_000,
    session: 0,
    password: bytes::Bytes::from_static(&[0; 16]),
    last_zxid: 0,
    read_only: Some(true),
};

fn member(read_only: bool) -> ServerConfig {
    let text = "tickTime=1000\ninitLimit=5\nsyncLimit=2\ndataDir=/data\nclientPort=2181\npreAllocSize=4\n\
                4lw.commands.whitelist=*\nserver.1=a:2888:3888\nserver.2=b:2888:3888\nserver.3=c:2888:3888\n";
    let mut read = |path: &str| match path {
        "zoo.cfg" => Ok(text.as_bytes().to_vec()),
        "/data/myid" => Ok(b"1".to_vec()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let mut java = Properties::new();
    java.set("readonlymode.enabled", read_only.to_string());
    let loaded = ZooKeeperSettings::load("zoo.cfg", &java, &mut read).unwrap();
    let mut config = ServerConfig::from(&loaded.settings);
    config.preallocation = 4096;
    config
}

fn create(path: &'static str) -> Request {
    Request::Create(CreateRequest { path: path.into(), data: None, acl: vec![Acl::OPEN], flags: 0 })
}

fn get(path: &'static str) -> Request {
    Request::GetData(ReadRequest { path: path.into(), watch: false })
}

/// A server that had a client when it was alone, and now is one of three whose others are gone. The client's session, too.
fn cut_off(read_only: bool) -> (World, Client) {
    let mut world = World::new();
    let mut owner = Client::connect(&mut world);
    owner.send(&mut world, &create("/a"));
    owner.told(&mut world);
    world.kill();
    world.config = member(read_only);
    world.start().unwrap();
    (world, owner)
}

fn word(world: &mut World, word: &str) -> String {
    let id = world.open();
    world.send(id, word.as_bytes());
    world.text(id)
}

fn connect(world: &mut World, hello: &Hello) -> (Client, Vec<String>) {
    let mut client = Client::open(world);
    client.hello(world, hello);
    let told = client.told(world);
    (client, told)
}

#[test]
fn reads_are_served_and_writes_refused() {
    let (mut world, _) = cut_off(true);
    world.advance(1900);
    assert_eq!(word(&mut world, "isro"), "null");
    world.advance(200);
    assert_eq!(word(&mut world, "isro"), "ro");
    assert!(word(&mut world, "srvr").contains("Mode: read-only\n"));

    let (mut client, told) = connect(&mut world, &READ_ONLY);
    assert_eq!(told, ["session timeout=10000 read-only"]);
    client.send(&mut world, &get("/a"));
    client.send(&mut world, &create("/b"));
    client.send(&mut world, &Request::Sync(PathRequest { path: Str::from_static("/a") }));
    client.send(&mut world, &Request::Ping);
    let told = client.told(&mut world);
    assert_eq!(told[0], "getData xid=1 zxid=2 null {c=2 m=2 p=2 v=0 cv=0 av=0 len=0 children=0}");
    assert_eq!(
        told[1..],
        [
            "create xid=2 zxid=2 error: Not a read-only call",
            "sync xid=3 zxid=2 error: Not a read-only call",
            "ping xid=-2 zxid=2"
        ]
    );
    client.send(&mut world, &Request::CloseSession);
    assert_eq!(client.told(&mut world), ["closeSession xid=4 zxid=2"]);
    assert!(world.socket(client.id).closed);
}

#[test]
fn who_wants_to_write_goes_elsewhere() {
    let (mut world, _) = cut_off(true);
    world.advance(2100);
    for read_only in [Some(false), None] {
        let (client, told) = connect(&mut world, &Hello { read_only, ..READ_ONLY });
        assert!(told.is_empty() && world.socket(client.id).closed);
    }
    let (mut without, _) = cut_off(false);
    without.advance(60_000);
    let (client, told) = connect(&mut without, &READ_ONLY);
    assert!(told.is_empty() && without.socket(client.id).closed, "the mode is off");
}

/// A session of the ensemble goes on here, and is not ended here: nobody else would hear of it.
#[test]
fn a_session_goes_on_and_its_end_is_not_decided_here() {
    let (mut world, owner) = cut_off(true);
    world.advance(2100);
    let hello = Hello { session: owner.session, password: owner.password.clone(), ..READ_ONLY };
    let (client, told) = connect(&mut world, &hello);
    assert_eq!((told, client.session), (vec!["session timeout=10000 read-only".to_owned()], owner.session));
    world.advance(13_000);
    assert!(world.socket(client.id).closed, "it was silent");
    world.kill();
    world.start().unwrap();
    world.advance(2100);
    let (again, told) = connect(&mut world, &hello);
    assert_eq!((told.len(), again.session), (1, owner.session), "in the tree it lives on");
    let wrong = Hello { password: bytes::Bytes::from_static(&[1; 16]), ..hello };
    assert_eq!(connect(&mut world, &wrong).1, ["no session timeout=0 read-only"]);
}

/// Others have begun it behind all that this server knows: whether it lives is not decided here.
#[test]
fn a_session_that_began_elsewhere_goes_on() {
    let (mut world, owner) = cut_off(true);
    world.advance(2100);
    let session = owner.session + 1;
    let password = bytes::Bytes::copy_from_slice(&session_password(session));
    let (mut client, told) = connect(&mut world, &Hello { session, password, ..READ_ONLY });
    assert_eq!((told, client.session), (vec!["session timeout=10000 read-only".to_owned()], session));
    client.send(&mut world, &get("/a"));
    assert!(client.told(&mut world)[0].starts_with("getData xid=1 zxid=2 null"));
}
