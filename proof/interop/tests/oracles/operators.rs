//! The homes that `jackdaw install` lays out, used as init scripts use the originals'.

use std::fs;
use std::path::Path;
use std::process::Command;

use interop::{Ensemble, Kind, binary, class_path, free_port, run};

/// What an operator's scripts do, with the originals' tools beside. A line begins with what the test looks for.
const STEPS: &str = r#"
set -u
cd "$HOMES"
step() { printf '\n== %s\n' "$1"; shift; "$@" 2>&1; echo "exit $?"; }
# Up to ten seconds, as a script that waits for a line of a log does.
await() { tries=0; while ! grep -q "$1" $2 && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done; grep -h "$1" $2; }
topics() { java -Xmx256m -XX:+UseSerialGC -cp "$ORIGINALS" kafka.admin.TopicCommand --zookeeper "localhost:$ZOOKEEPER_PORT" "$@"; }

step 'zookeeper start' sh zookeeper/bin/zkServer.sh start conf
step 'zookeeper log' await 'binding to port' 'zookeeper/logs/*'
step 'zookeeper again' sh zookeeper/bin/zkServer.sh start conf
step 'zookeeper status' zookeeper/bin/zkServer.sh status
step 'zookeeper status by link' zookeeper/bin/zkServer status
step 'zookeeper pid' kill -0 "$(cat zookeeper-data/zookeeper_server.pid)"
step 'kafka start' kafka/bin/kafka-server-start.sh -daemon kafka/config/server.properties
step 'kafka log' await 'started (kafka.server.KafkaServer)' kafka/logs/server.log
ps -ef >processes
step 'kafka process' grep 'kafka\.Kafka kafka/config/server.properties' processes
step 'zookeeper process' grep 'QuorumPeerMain' processes
step 'create' topics --create --replication-factor 1 --partitions 3 --topic ky18
step 'alter' topics --alter --partitions 6 --topic ky18
step 'list' topics --list
step 'describe' topics --describe --topic ky18
step 'kafka stop' sh kafka/bin/kafka-server-stop.sh
step 'kafka stop log' await 'shut down completed (kafka.server.KafkaServer)' kafka/logs/server.log
tries=0; while ps ax | grep -q 'kafka\.[K]afka ' && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
step 'kafka stop again' sh kafka/bin/kafka-server-stop.sh
step 'zookeeper restart' sh zookeeper/bin/zkServer.sh restart
step 'zookeeper stop' sh zookeeper/bin/zkServer.sh stop
step 'zookeeper status after' sh zookeeper/bin/zkServer.sh status
"#;

#[test]
fn init_scripts_start_find_and_stop_both_servers() {
    let folder = tempfile::tempdir().unwrap();
    let homes = folder.path().join("homes");
    let installed = run(Command::new(binary()).arg("install").arg(&homes), b"").unwrap().success().unwrap();
    assert!(installed.contains("Installed"), "{installed}");
    let (zookeeper_port, kafka_port) = (free_port().unwrap(), free_port().unwrap());
    configure(&homes, zookeeper_port, kafka_port);

    let mut command = Command::new("unshare");
    if !is_root() {
        command.arg("--map-root-user");
    }
    let steps = folder.path().join("steps.sh");
    fs::write(&steps, STEPS).unwrap();
    // The stop scripts signal every server that they see: here they see these alone. What is left ends with the namespace.
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh"]).arg(&steps);
    command.env("HOMES", &homes).env("ZOOKEEPER_PORT", zookeeper_port.to_string());
    command.env("ORIGINALS", class_path().unwrap());
    for variable in ["LOG_DIR", "ZOO_LOG_DIR", "ZOOCFG", "ZOOCFGDIR", "KAFKA_OPTS", "KAFKA_LOG4J_OPTS", "JMX_PORT"] {
        command.env_remove(variable);
    }
    let finished = run(&mut command, b"").unwrap();
    let said = finished.stdout;
    let step = |name: &str| {
        let (_, rest) = said.split_once(&format!("\n== {name}\n")).unwrap_or_else(|| panic!("no {name} in {said}"));
        rest.split("\n== ").next().unwrap().to_owned()
    };
    let expect = |name: &str, texts: &[&str], code: i32| {
        let step = step(name);
        for text in texts {
            assert!(step.contains(text), "{name}: no {text:?} in\n{step}\nstderr:\n{}", finished.stderr);
        }
        assert!(step.trim_end().ends_with(&format!("exit {code}")), "{name}: not {code}:\n{step}");
    };
    expect("zookeeper start", &["ZooKeeper JMX enabled by default", "Starting zookeeper ... STARTED"], 0);
    expect("zookeeper log", &[&format!("binding to port 0.0.0.0/0.0.0.0:{zookeeper_port}")], 0);
    expect("zookeeper again", &["already running as process"], 1);
    expect("zookeeper status", &["Mode: standalone"], 0);
    expect("zookeeper status by link", &["Mode: standalone"], 0);
    expect("zookeeper pid", &[], 0);
    expect("kafka start", &[], 0);
    expect("kafka log", &["INFO [KafkaServer id=0] started (kafka.server.KafkaServer)"], 0);
    expect("kafka process", &["java"], 0);
    expect("zookeeper process", &["org.apache.zookeeper.server.quorum.QuorumPeerMain", "/conf/conf"], 0);
    expect("create", &["Created topic ky18."], 0);
    expect("alter", &["Adding partitions succeeded!"], 0);
    expect("list", &["ky18\n"], 0);
    expect("describe", &["PartitionCount: 6", "Leader: 0"], 0);
    assert!(!step("describe").contains("Leader: none"), "{}", step("describe"));
    expect("kafka stop", &[], 0);
    expect("kafka stop log", &["[KafkaServer id=0] shut down completed"], 0);
    expect("kafka stop again", &["No kafka server to stop"], 1);
    expect("zookeeper restart", &["Stopping zookeeper ... STOPPED", "Starting zookeeper ... STARTED"], 0);
    expect("zookeeper stop", &["Stopping zookeeper ... STOPPED"], 0);
    expect("zookeeper status after", &["Error contacting service. It is probably not running."], 1);
}

/// A member's `zoo.cfg` with all servers' ports for clients in their lines; its own stands elsewhere too (server 1), there alone (2),
/// or the lines have a file of their own.
fn lists_client_ports(ensemble: &Ensemble, id: usize) {
    let dynamic = ensemble.member_path(id, "zoo.dynamic").unwrap();
    ensemble
        .rewrite(id, |text| {
            let (servers, rest): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with("server."));
            let with_client = |line: &&str| {
                let (address, _) = line.split_once('=').unwrap().1.split_once(':').unwrap();
                format!("{line};{address}:2181\n")
            };
            let servers: String = servers.iter().map(with_client).collect();
            let rest = rest.iter().filter(|line| id == 1 || !line.starts_with("clientPort"));
            let rest: String = rest.map(|line| format!("{line}\n")).collect();
            if id < 3 {
                return rest + &servers;
            }
            fs::write(&dynamic, servers).unwrap();
            format!("{rest}dynamicConfigFile={}\n", dynamic.display())
        })
        .unwrap();
}

#[test]
fn status_tells_what_each_member_of_an_ensemble_is() {
    let mut ensemble = Ensemble::with_observers(3, 1, "").unwrap();
    let homes = ensemble.path("homes");
    run(Command::new(binary()).arg("install").arg(&homes), b"").unwrap().success().unwrap();
    for id in 1..=4 {
        lists_client_ports(&ensemble, id);
        ensemble.start(id, Kind::Ours).unwrap();
    }
    let leader = ensemble.await_leader().unwrap();
    for id in 1..=4 {
        let mode = if id == leader { "leader" } else { ["follower", "observer"][id / 4] };
        let folder = ensemble.member_path(id, "").unwrap();
        let script = homes.join("zookeeper/bin/zkServer.sh");
        let mut command = Command::new("sh");
        command.arg(script).arg("--config").arg(folder).arg("status");
        for variable in ["LOG_DIR", "ZOO_LOG_DIR", "ZOOCFG", "ZOOCFGDIR", "JVMFLAGS", "CLIENT_JVMFLAGS"] {
            command.env_remove(variable);
        }
        let told = run(&mut command, b"").unwrap().success().unwrap();
        let address = ensemble.address(id).unwrap();
        let expected =
            format!("Client port found: 2181. Client address: {address}. Client SSL: false.\nMode: {mode}\n");
        assert!(told.ends_with(&expected), "server {id}: {told}");
    }
}

/// The samples, with free ports and data inside the homes.
fn configure(homes: &Path, zookeeper_port: u16, kafka_port: u16) {
    let sample = fs::read_to_string(homes.join("zookeeper/conf/zoo_sample.cfg")).unwrap();
    let set = |text: &str, values: &[(&str, String)]| -> String {
        let line = |line: &str| {
            let value = values.iter().find(|(name, _)| line.starts_with(&format!("{name}=")));
            value.map_or_else(|| format!("{line}\n"), |(name, value)| format!("{name}={value}\n"))
        };
        text.lines().map(line).collect()
    };
    let data = homes.join("zookeeper-data").display().to_string();
    let zoo_cfg = set(&sample, &[("clientPort", zookeeper_port.to_string()), ("dataDir", data)]);
    fs::write(homes.join("zookeeper/conf/zoo.cfg"), &zoo_cfg).unwrap();
    // `start conf` names a file of the configuration folder.
    fs::write(homes.join("zookeeper/conf/conf"), &zoo_cfg).unwrap();
    let properties = homes.join("kafka/config/server.properties");
    let sample = fs::read_to_string(&properties).unwrap();
    let logs = homes.join("kafka-logs").display().to_string();
    let values = [("zookeeper.connect", format!("localhost:{zookeeper_port}")), ("log.dirs", logs)];
    let text = set(&sample, &values) + &format!("listeners=PLAINTEXT://127.0.0.1:{kafka_port}\n");
    fs::write(properties, text).unwrap();
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u"), b"").is_ok_and(|finished| finished.stdout.trim() == "0")
}
