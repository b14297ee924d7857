//! `jackdaw install DIR`: the homes that operators know, `DIR/zookeeper` and `DIR/kafka`, with the upstream commands.
//!
//! `bin/NAME` is a link to the binary; `bin/NAME.sh` a short POSIX script that runs it from where the script lies, so that
//! `sh zkServer.sh start` works too.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// An upstream command.
pub(crate) struct Command {
    /// Its name without `.sh`.
    pub(crate) name: &'static str,
    home: Home,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Home {
    Kafka,
    ZooKeeper,
}

const fn kafka(name: &'static str) -> Command {
    Command { name, home: Home::Kafka }
}

const fn zookeeper(name: &'static str) -> Command {
    Command { name, home: Home::ZooKeeper }
}

/// All upstream commands.
pub(crate) const COMMANDS: &[Command] = &[
    kafka("connect-distributed"),
    kafka("connect-mirror-maker"),
    kafka("connect-standalone"),
    kafka("kafka-acls"),
    kafka("kafka-broker-api-versions"),
    kafka("kafka-configs"),
    kafka("kafka-console-consumer"),
    kafka("kafka-console-producer"),
    kafka("kafka-consumer-groups"),
    kafka("kafka-consumer-perf-test"),
    kafka("kafka-delegation-tokens"),
    kafka("kafka-delete-records"),
    kafka("kafka-dump-log"),
    kafka("kafka-features"),
    kafka("kafka-leader-election"),
    kafka("kafka-log-dirs"),
    kafka("kafka-mirror-maker"),
    kafka("kafka-preferred-replica-election"),
    kafka("kafka-producer-perf-test"),
    kafka("kafka-reassign-partitions"),
    kafka("kafka-replica-verification"),
    kafka("kafka-run-class"),
    kafka("kafka-server-start"),
    kafka("kafka-server-stop"),
    kafka("kafka-streams-application-reset"),
    kafka("kafka-topics"),
    kafka("kafka-verifiable-consumer"),
    kafka("kafka-verifiable-producer"),
    kafka("trogdor"),
    kafka("zookeeper-security-migration"),
    kafka("zookeeper-server-start"),
    kafka("zookeeper-server-stop"),
    kafka("zookeeper-shell"),
    zookeeper("zkCleanup"),
    zookeeper("zkCli"),
    zookeeper("zkServer"),
    zookeeper("zkServer-initialize"),
    zookeeper("zkSnapShotToolkit"),
    zookeeper("zkTxnLogToolkit"),
];

/// Where a script finds its folder: beside itself, in the working folder, or on the path.
const SCRIPT: &str = r#"#!/bin/sh
# The upstream command NAME, served by Jackdaw.
case $0 in
  */*) bin=${0%/*} ;;
  *) if [ -f "$0" ]; then bin=.; else bin=$(dirname "$(command -v "$0")"); fi ;;
esac
exec "$bin/NAME" "$@"
"#;

const ZK_ENV: &str = r#"#!/bin/sh
# Sets the variables of a ZooKeeper home for scripts that source this file; what is set already stays.
ZOOBINDIR="${ZOOBINDIR:-$(cd "$(dirname "${BASH_SOURCE:-$0}")" && pwd)}"
ZOOKEEPER_PREFIX="${ZOOKEEPER_PREFIX:-$ZOOBINDIR/..}"
ZOOCFGDIR="${ZOOCFGDIR:-$ZOOKEEPER_PREFIX/conf}"
if [ -f "$ZOOCFGDIR/zookeeper-env.sh" ]; then . "$ZOOCFGDIR/zookeeper-env.sh"; fi
ZOOCFG="${ZOOCFG:-zoo.cfg}"
case $ZOOCFG in */*) ;; *) ZOOCFG="$ZOOCFGDIR/$ZOOCFG" ;; esac
if [ -f "$ZOOCFGDIR/java.env" ]; then . "$ZOOCFGDIR/java.env"; fi
ZOO_LOG_DIR="${ZOO_LOG_DIR:-$ZOOKEEPER_PREFIX/logs}"
ZOO_LOG4J_PROP="${ZOO_LOG4J_PROP:-INFO,CONSOLE}"
export ZOOBINDIR ZOOKEEPER_PREFIX ZOOCFGDIR ZOOCFG ZOO_LOG_DIR ZOO_LOG4J_PROP
"#;

const ZOO_SAMPLE: &str = "\
# A standalone ZooKeeper server. Lines that begin with # are comments; there are none behind a value.

# The unit of time, in milliseconds: sessions last 2 to 20 of them.
tickTime=2000
# Where snapshots are kept, and the transaction log unless dataLogDir says otherwise.
dataDir=/tmp/zookeeper
# Where clients connect.
clientPort=2181
# Connections from one address; 0 for any number.
#maxClientCnxns=60
# Snapshots to keep, and hours between purges; 0 never purges.
#autopurge.snapRetainCount=3
#autopurge.purgeInterval=1
# Used in an ensemble alone.
initLimit=10
syncLimit=5
";

const ZOOKEEPER_PROPERTIES: &str = "\
# The ZooKeeper server beside a broker.
dataDir=/tmp/zookeeper
clientPort=2181
# Any number of connections from one address: this is not for production.
maxClientCnxns=0
admin.enableServer=false
";

const SERVER_PROPERTIES: &str = "\
# One broker. Lines that begin with # are comments; there are none behind a value.

# Unique in the cluster.
broker.id=0
# Where it listens; without a host, on all addresses.
#listeners=PLAINTEXT://:9092
# What clients are told to connect to; the listener by default.
#advertised.listeners=PLAINTEXT://your.host.name:9092

# Where partitions are kept, folders between commas.
log.dirs=/tmp/kafka-logs
# Partitions of a topic that does not say how many.
num.partitions=1
# How long records are kept, and when a segment ends.
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000

# Copies of the internal topics: 3 where there are brokers for it.
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1

# ZooKeeper, host:port between commas, with an optional /path at the end.
zookeeper.connect=localhost:2181
zookeeper.connection.timeout.ms=18000
# How long the first rebalance of a group waits for more members; 3000 in production.
group.initial.rebalance.delay.ms=0
";

const PRODUCER_PROPERTIES: &str = "\
# For kafka-console-producer --producer.config.
bootstrap.servers=localhost:9092
# none, gzip, snappy, lz4 or zstd
compression.type=none
";

const CONSUMER_PROPERTIES: &str = "\
# For kafka-console-consumer --consumer.config.
bootstrap.servers=localhost:9092
group.id=test-consumer-group
";

/// Lays out the homes below the folder named by the one argument. Files of an earlier installation are replaced, but for
/// configuration, which is the operator's.
pub(crate) fn run(arguments: &[OsString]) -> i32 {
    let [dir] = arguments else {
        eprintln!("Usage: jackdaw install DIR");
        return 1;
    };
    match install(Path::new(dir)) {
        Ok(()) => {
            println!("Installed in {}", Path::new(dir).display());
            0
        }
        Err(error) => {
            eprintln!("jackdaw install: {}: {error}", Path::new(dir).display());
            1
        }
    }
}

fn install(dir: &Path) -> io::Result<()> {
    let program = std::env::current_exe()?;
    for home in [Home::Kafka, Home::ZooKeeper] {
        let (name, config) = match home {
            Home::Kafka => ("kafka", "config"),
            Home::ZooKeeper => ("zookeeper", "conf"),
        };
        let bin = dir.join(name).join("bin");
        let config = dir.join(name).join(config);
        fs::create_dir_all(&bin)?;
        fs::create_dir_all(&config)?;
        link(&program, &bin.join("jackdaw"))?;
        for command in COMMANDS.iter().filter(|command| command.home == home) {
            link(&program, &bin.join(command.name))?;
            write_script(&bin.join(format!("{}.sh", command.name)), &SCRIPT.replace("NAME", command.name))?;
        }
        let files: &[(&str, &str)] = match home {
            Home::Kafka => &[
                ("server.properties", SERVER_PROPERTIES),
                ("zookeeper.properties", ZOOKEEPER_PROPERTIES),
                ("producer.properties", PRODUCER_PROPERTIES),
                ("consumer.properties", CONSUMER_PROPERTIES),
                ("log4j.properties", host::logging::KAFKA_DEFAULT),
            ],
            Home::ZooKeeper => {
                write_script(&bin.join("zkEnv.sh"), ZK_ENV)?;
                &[("zoo_sample.cfg", ZOO_SAMPLE), ("log4j.properties", host::logging::ZOOKEEPER_DEFAULT)]
            }
        };
        for (name, text) in files {
            let path = config.join(name);
            if !path.exists() {
                fs::write(path, text)?;
            }
        }
    }
    Ok(())
}

fn link(program: &Path, path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => symlink(program, path),
    }
}

fn write_script(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_with_commands_and_an_operators_configuration_kept() {
        let dir = tempfile::tempdir().unwrap();
        install(dir.path()).unwrap();
        let config = dir.path().join("kafka/config/server.properties");
        fs::write(&config, "broker.id=7").unwrap();
        install(dir.path()).unwrap();
        assert_eq!(fs::read_to_string(config).unwrap(), "broker.id=7");
        for path in ["zookeeper/bin/zkServer", "zookeeper/bin/zkServer.sh", "zookeeper/bin/zkEnv.sh"] {
            assert!(dir.path().join(path).exists(), "{path}");
        }
        assert_eq!(fs::read_dir(dir.path().join("kafka/bin")).unwrap().count(), 2 * 33 + 1);
    }

    #[test]
    fn a_script_finds_its_folder_however_it_is_called() {
        let dir = tempfile::tempdir().unwrap();
        install(dir.path()).unwrap();
        let bin = dir.path().join("kafka/bin");
        // Instead of the binary, a program that tells by what name it was called.
        fs::remove_file(bin.join("kafka-topics")).unwrap();
        write_script(&bin.join("kafka-topics"), "#!/bin/sh\necho \"$0 $*\"").unwrap();
        let path = std::env::var("PATH").unwrap();
        let calls = [
            ("/", format!("sh {}/kafka-topics.sh --list", bin.display()), String::new()),
            (bin.to_str().unwrap(), "sh kafka-topics.sh --list".to_owned(), String::new()),
            ("/", "kafka-topics.sh --list".to_owned(), format!("{}:", bin.display())),
        ];
        for (from, line, before) in calls {
            let mut shell = std::process::Command::new("sh");
            shell.current_dir(from).env("PATH", format!("{before}{path}")).args(["-c", &line]);
            let output = shell.output().unwrap();
            let told = String::from_utf8(output.stdout).unwrap();
            assert!(told.ends_with("kafka-topics --list\n"), "{line}: {told:?}");
        }
    }
}
