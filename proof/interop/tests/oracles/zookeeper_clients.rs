//! ZooKeeper's clients.

use std::process::Command;

use interop::{Jackdaw, Original, python, run};

#[test]
fn kazoo() {
    let data = tempfile::tempdir().unwrap();
    let jackdaw = Jackdaw::start(data.path()).unwrap();
    let output = python("kazoo_basics.py", &[&jackdaw.zookeeper()]).unwrap().success().unwrap();
    assert!(output.contains("kazoo ok"), "{output}");
}

#[test]
fn jvm_zkcli_reads_what_it_wrote_after_a_crash() {
    let data = tempfile::tempdir().unwrap();
    let jackdaw = Jackdaw::start(data.path()).unwrap();
    let zkcli = |server: &str, words: &[&str]| {
        let mut arguments = vec!["-server", server];
        arguments.extend(words);
        Original::tool("org.apache.zookeeper.ZooKeeperMain", &arguments, b"").unwrap()
    };
    let created = zkcli(&jackdaw.zookeeper(), &["create", "/jvm", "hello"]);
    assert!(created.stderr.contains("Created /jvm") || created.stdout.contains("Created /jvm"), "{created:?}");
    let jackdaw = jackdaw.crash().unwrap();
    let read = zkcli(&jackdaw.zookeeper(), &["get", "/jvm"]);
    assert!(read.stdout.lines().any(|line| line == "hello"), "{read:?}");
}

#[test]
fn the_c_client() {
    let data = tempfile::tempdir().unwrap();
    let jackdaw = Jackdaw::start(data.path()).unwrap();
    let cli = ["/usr/lib/zookeeper/bin/cli_mt", "/usr/bin/cli_mt"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists());
    let mut command = Command::new(cli.unwrap_or("cli_mt"));
    let script = b"create +s /c-client\nls /\nquit\n";
    let finished = run(command.arg(jackdaw.zookeeper()), script).unwrap();
    let said = finished.stdout + &finished.stderr;
    assert!(said.contains("c-client"), "{said}");
}
