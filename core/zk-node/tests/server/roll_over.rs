//! The counter of transactions reaches its end.

use std::io;
use std::path::Path;

use base::{Disk, Slow};
use config::{Properties, ZooKeeperSettings};
use zk_node::ServerConfig;
use zk_proto::Acl;
use zk_proto::requests::{CreateRequest, Request};

use crate::client::Client;
use crate::world::World;

fn create(path: &'static str) -> Request {
    Request::Create(CreateRequest { path: path.into(), data: None, acl: vec![Acl::OPEN], flags: 0 })
}

/// Writes, and the zxids at which they were answered.
fn created(world: &mut World, client: &mut Client, paths: &[&'static str]) -> Vec<String> {
    for path in paths {
        client.send(world, &create(path));
    }
    client.told(world)
}

/// As the original: the epoch of one server alone is the rest of a number.
#[test]
fn a_server_alone_counts_on() {
    let mut world = World::new();
    Client::connect(&mut world);
    world.kill();
    let (folder, slow) = (Path::new("/data/version-2"), Slow::allowed());
    world.disk.rename(&folder.join("snapshot.0"), &folder.join("snapshot.fffffffc"), &slow).unwrap();
    world.disk.remove_file(&folder.join("log.1"), &slow).unwrap();
    world.start().unwrap();
    let mut client = Client::connect(&mut world);
    let told = created(&mut world, &mut client, &["/a", "/b", "/c"]);
    let told_zxids = |zxids: [i64; 3]| {
        let lines = zxids.iter().zip(["/a", "/b", "/c"]).zip(1..);
        lines.map(|((zxid, path), xid)| format!("create xid={xid} zxid={zxid:x} {path}")).collect::<Vec<_>>()
    };
    assert_eq!(told, told_zxids([0xffff_fffe, 0xffff_ffff, 0x1_0000_0000]));
    world.kill();
    world.start().unwrap();
    let mut client = Client::connect(&mut world);
    let told = created(&mut world, &mut client, &["/c", "/d"]);
    assert!(told[0].ends_with("error: NodeExists") && told[1].ends_with("zxid=100000003 /d"), "{told:?}");
}

/// The last number of an epoch is never used: its leader begins the next one, and who waited for an answer comes back.
#[test]
fn a_leader_begins_its_next_epoch() {
    let text = "tickTime=1000\ninitLimit=5\nsyncLimit=2\ndataDir=/data\nclientPort=2181\nstandaloneEnabled=false\n\
                server.1=a:2888:3888\n";
    let mut read = |path: &str| match path {
        "zoo.cfg" => Ok(text.as_bytes().to_vec()),
        "/data/myid" => Ok(b"1".to_vec()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let mut java = Properties::new();
    java.set("zookeeper.testingonly.initialZxid", 0xffff_fffa_u32.to_string());
    let loaded = ZooKeeperSettings::load("zoo.cfg", &java, &mut read).unwrap();
    let mut world = World::with(ServerConfig { preallocation: 4096, ..ServerConfig::from(&loaded.settings) });
    world.advance(1000);
    let mut client = Client::connect(&mut world);
    // In one turn, so that some are prepared behind the last one.
    world.disk_held = true;
    let told = created(&mut world, &mut client, &["/a", "/b", "/c", "/d"]);
    assert_eq!(told, [""; 0]);
    world.disk_held = false;
    world.run_disk();
    world.advance(1000);
    assert!(world.socket(client.id).closed, "it comes back, as from a leader that was lost");

    let mut again = Client::connect(&mut world);
    let told = created(&mut world, &mut again, &["/e"]);
    assert_eq!(told, ["create xid=1 zxid=2fffffffc /e"], "as counted from the setting again");
    let known = created(&mut world, &mut again, &["/a"]);
    assert!(known[0].ends_with("error: NodeExists"), "what was proposed is not lost: {known:?}");
}
