//! A list of servers that is proposed: an ensemble of one server, its files, and what it says when.

use std::path::Path;

use base::{Disk, MemDisk, Slow};
use config::{Properties, ZooKeeperSettings};
use zk_node::{Lane, ServerConfig};
use zk_proto::requests::{ReconfigRequest, Request};

use crate::client::Client;
use crate::world::World;

const LIST: &str = "server.1=a:2888:3888:participant";
const NEXT: &str = "/conf/zoo.cfg.dynamic.next";

fn read(disk: &MemDisk, path: &str) -> Option<String> {
    let bytes = disk.read(Path::new(path), 1 << 20).ok()?;
    Some(String::from_utf8(bytes).unwrap())
}

/// The settings that the server finds.
fn found(disk: &MemDisk) -> ServerConfig {
    let mut reads = |path: &str| disk.read(Path::new(path), 1 << 20);
    let loaded = ZooKeeperSettings::load("/conf/zoo.cfg", &Properties::new(), &mut reads).unwrap();
    ServerConfig { preallocation: 4096, ..ServerConfig::from(&loaded.settings) }
}

/// A server that leads itself.
fn alone() -> (World, Client) {
    let mut world = World::new();
    world.kill();
    let slow = Slow::allowed();
    let zoo_cfg = format!(
        "tickTime=1000\ninitLimit=5\nsyncLimit=2\ndataDir=/data\nclientPort=2181\nstandaloneEnabled=false\n\
         reconfigEnabled=true\nskipACL=yes\n{LIST}\n"
    );
    world.disk.create_dir_all(Path::new("/conf")).unwrap();
    for (path, text) in [("/conf/zoo.cfg", zoo_cfg.as_str()), ("/data/myid", "1")] {
        world.disk.replace(Path::new(path), text.as_bytes(), &slow).unwrap();
    }
    world.config = found(&world.disk);
    world.start().unwrap();
    world.advance(1000);
    let client = Client::connect(&mut world);
    (world, client)
}

/// Runs what one of the disk's threads has to do.
fn run(world: &mut World, lane: Lane) {
    while let Some(place) = world.tasks.iter().position(|task| task.lane() == lane) {
        let task = world.tasks.remove(place);
        world.run_task(task);
    }
}

fn reconfig() -> Request {
    Request::Reconfig(ReconfigRequest {
        joining_servers: None,
        leaving_servers: None,
        new_members: Some(LIST.into()),
        current_config_id: -1,
    })
}

#[test]
fn a_list_is_kept_before_its_transaction_counts_as_logged() {
    let (mut world, mut client) = alone();
    world.disk_held = true;
    client.send(&mut world, &reconfig());
    run(&mut world, Lane::Log);
    assert_eq!(client.told(&mut world), [""; 0], "it is in the log, and no file holds the list");
    assert_eq!(read(&world.disk, NEXT), None);

    run(&mut world, Lane::Background);
    let told = client.told(&mut world);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("reconfig xid=1 "), "{told:?}");
    run(&mut world, Lane::Background);
    assert_eq!(read(&world.disk, NEXT), None, "it is in force");
    let zoo_cfg = read(&world.disk, "/conf/zoo.cfg").unwrap();
    let dynamic = zoo_cfg.lines().find_map(|line| line.strip_prefix("dynamicConfigFile=")).unwrap();
    assert_eq!(read(&world.disk, dynamic).as_deref(), Some(LIST));
    assert!(dynamic.starts_with("/conf/zoo.cfg.dynamic.1000000"), "{dynamic}");
}

/// The power goes off when the list is proposed and kept, and its transaction is not in the log: whoever leads next finishes it.
#[test]
fn a_kept_list_is_found_again_and_begins_the_next_epoch() {
    let (mut world, mut client) = alone();
    world.disk_held = true;
    client.send(&mut world, &reconfig());
    let next = world.tasks.iter().position(|task| task.lane() == Lane::Background).unwrap();
    let next = world.tasks.remove(next);
    next.run(&Slow::allowed());
    world.kill();
    let kept = read(&world.disk, NEXT).unwrap();
    let version = kept.rsplit_once("version=").unwrap().1.to_owned();

    world.disk_held = false;
    world.config = found(&world.disk);
    world.start().unwrap();
    world.advance(1000);
    Client::connect(&mut world);
    assert_eq!(read(&world.disk, NEXT), None, "the epoch begins with it");
    let zoo_cfg = read(&world.disk, "/conf/zoo.cfg").unwrap();
    assert!(zoo_cfg.contains(&format!("dynamicConfigFile=/conf/zoo.cfg.dynamic.{version}\n")), "{zoo_cfg}");
}
