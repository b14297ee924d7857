//! A broker of ours and a JVM broker on one JVM ZooKeeper: after the same steps their znodes are equal, content, versions and
//! ACLs, but for times, ports and ids.

use std::fs;

use interop::{Original, OriginalKind, Server, free_port, python};

#[test]
fn znodes_of_our_broker_equal_the_originals() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (zookeeper_port, our_port, their_port) = (free_port().unwrap(), free_port().unwrap(), free_port().unwrap());
    let zoo_cfg = format!(
        "dataDir={}\nclientPort={zookeeper_port}\nclientPortAddress=127.0.0.1\ntickTime=2000\n",
        path("zookeeper").display()
    );
    fs::write(path("zoo.cfg"), zoo_cfg).unwrap();
    let properties = |port: u16, chroot: &str| {
        format!(
            "broker.id=0\nlisteners=PLAINTEXT://127.0.0.1:{port}\nzookeeper.connect=127.0.0.1:{zookeeper_port}/{chroot}\n\
             log.dirs={}\noffsets.topic.replication.factor=1\n",
            path(chroot).display()
        )
    };
    fs::write(path("ours.properties"), properties(our_port, "ours")).unwrap();
    fs::write(path("theirs.properties"), properties(their_port, "theirs")).unwrap();
    let _zookeeper = Original::start(OriginalKind::ZooKeeper, &path("zoo.cfg"), zookeeper_port).unwrap();
    let _theirs = Original::start(OriginalKind::Kafka, &path("theirs.properties"), their_port).unwrap();
    let _ours = Server::broker(&path("ours.properties")).unwrap();
    for port in [our_port, their_port] {
        let server = format!("127.0.0.1:{port}");
        let topics = |arguments: &[&str]| {
            let mut all = vec!["--bootstrap-server", &server];
            all.extend(arguments);
            Original::tool("kafka.admin.TopicCommand", &all, b"").unwrap().success().unwrap()
        };
        let create = ["--create", "--topic", "t", "--partitions", "12", "--replication-factor", "1"];
        topics(&[&create[..], &["--config", "retention.ms=1000", "--config", "flush.ms=7"]].concat());
        topics(&["--create", "--topic", "gone", "--partitions", "2", "--replication-factor", "1"]);
        topics(&["--alter", "--topic", "t", "--partitions", "14"]);
        topics(&["--delete", "--topic", "gone"]);
    }
    let place = |chroot: &str| format!("127.0.0.1:{zookeeper_port}/{chroot}");
    let output = python("kafka_znodes.py", &[&place("ours"), &place("theirs")]).unwrap();
    assert!(output.stdout.contains("znodes equal"), "{}\n{}", output.stdout, output.stderr);
}
