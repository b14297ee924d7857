//! `jackdaw install`, and its scripts run by every shell that is there, over a binary that only tells what it was
//! asked. The expected texts, streams and exit codes are those of the original scripts of 3.6.3 and 2.7.1.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use config::{BrokerConfig, Level, Properties, ZooKeeperSettings};
use tempfile::TempDir;

/// A server waits to be stopped, a four-letter word is answered, all else tells its arguments.
const FAKE: &str = r#"#!/bin/sh
case " $* " in
*" org.apache.zookeeper.client.FourLetterWordMain "*) printf %s "$FAKE_ANSWER" ;;
*" kafka.Kafka "* | *" org.apache.zookeeper.server.quorum.QuorumPeerMain "*)
  if [ -n "$FAKE_FAILS" ]; then exit 1; fi
  if [ -n "$FAKE_TELLS" ]; then printf '%s\n' "$@"; exit 0; fi
  echo started
  sleep 1000 &
  trap 'kill $!; exit 143' TERM
  wait
  ;;
*) printf '%s\n' "$@" ;;
esac
"#;

struct Homes {
    folder: TempDir,
    shell: &'static str,
}

impl Homes {
    fn new(shell: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fake = folder.path().join("fake");
        fs::write(&fake, FAKE).unwrap();
        fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
        cli::install::lay_out(folder.path(), &fake).unwrap();
        let homes = Self { folder, shell };
        fs::write(
            homes.path("zookeeper/conf/zoo.cfg"),
            format!("tickTime=2000\ndataDir = {} \nclientPort=2181\n", homes.text("data")),
        )
        .unwrap();
        homes
    }

    fn path(&self, place: &str) -> PathBuf {
        self.folder.path().join(place)
    }

    fn text(&self, place: &str) -> String {
        self.path(place).to_str().unwrap().to_owned()
    }

    /// The shell with a script of a `bin` folder, in an environment of its own.
    fn command(&self, script: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.shell);
        command.arg(self.path(script)).args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("USER", "me").env("HOSTNAME", "here").stdin(Stdio::null()).current_dir(self.folder.path());
        command
    }

    fn zk_server(&self, arguments: &[&str]) -> Answer {
        Answer::of(&mut self.command("zookeeper/bin/zkServer.sh", arguments))
    }

    fn pid(&self) -> Option<String> {
        fs::read_to_string(self.path("data/zookeeper_server.pid")).ok()
    }
}

impl Drop for Homes {
    /// Ends a server that a failed test left, if the process of that number is still ours.
    fn drop(&mut self) {
        let is_ours =
            |pid: &String| command_line(pid).is_some_and(|line| line.join(" ").contains(&self.text("zookeeper")));
        if let Some(pid) = self.pid().filter(is_ours) {
            let _ = Command::new("kill").arg(pid).status();
        }
    }
}

#[derive(Debug)]
struct Answer {
    code: i32,
    out: String,
    err: String,
}

impl Answer {
    fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
    }
}

/// Runs a test in homes of its own for dash, which is Debian's sh, and for bash; where neither is, for sh.
fn each_shell(test: impl Fn(&Homes) + Sync) {
    let is_there = |shell: &&str| Command::new(shell).args(["-c", ":"]).status().is_ok_and(|status| status.success());
    let found: Vec<_> = ["dash", "bash"].into_iter().filter(is_there).collect();
    let shells = if found.is_empty() { vec!["sh"] } else { found };
    let test = &test;
    std::thread::scope(|scope| {
        for shell in shells {
            scope.spawn(move || test(&Homes::new(shell)));
        }
    });
}

fn command_line(pid: &str) -> Option<Vec<String>> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(line.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect())
}

#[test]
fn zk_server_starts_tells_and_stops() {
    each_shell(|homes| {
        let bin = homes.text("zookeeper/bin");
        let first_lines = format!("ZooKeeper JMX enabled by default\nUsing config: {bin}/../conf/zoo.cfg\n");

        let idle = homes.zk_server(&["status"]);
        assert_eq!(
            (idle.code, idle.out.as_str()),
            (
                1,
                "Client port found: 2181. Client address: localhost. Client SSL: false.\nError contacting service. It is probably not running.\n"
            )
        );
        let none = homes.zk_server(&["stop"]);
        assert_eq!(
            (none.code, none.out),
            (
                0,
                format!(
                    "Stopping zookeeper ... no zookeeper to stop (could not find file {}/zookeeper_server.pid)\n",
                    homes.text("data")
                )
            )
        );

        let start = homes.zk_server(&["start"]);
        assert_eq!(
            (start.code, start.out.as_str(), start.err.as_str()),
            (0, "Starting zookeeper ... STARTED\n", first_lines.as_str())
        );
        let pid = homes.pid().unwrap();
        let line = command_line(&pid).unwrap();
        let class = line.iter().position(|part| part == "org.apache.zookeeper.server.quorum.QuorumPeerMain").unwrap();
        assert_eq!(line[class + 1], format!("{bin}/../conf/zoo.cfg"));
        assert!(line.contains(&format!("-Dzookeeper.log.dir={bin}/../logs")) && line.join(" ").contains("java"));
        assert_eq!(fs::read_to_string(homes.path("zookeeper/logs/zookeeper-me-server-here.out")).unwrap(), "started\n");

        let again = homes.zk_server(&["start"]);
        assert_eq!((again.code, again.out), (1, format!("Starting zookeeper ... already running as process {pid}.\n")));
        let mut status = homes.command("zookeeper/bin/zkServer.sh", &["status"]);
        let status =
            Answer::of(status.env("FAKE_ANSWER", "Zookeeper version: 3.6.3\nMode: standalone\nNode count: 5\n"));
        assert_eq!((status.code, status.out.lines().last()), (0, Some("Mode: standalone")));

        let stop = homes.zk_server(&["stop"]);
        assert_eq!((stop.code, stop.out.as_str()), (0, "Stopping zookeeper ... STOPPED\n"));
        assert!(homes.pid().is_none() && command_line(&pid).is_none_or(|line| line.concat().is_empty()));
    });
}

#[test]
fn zk_server_tells_how_it_is_used_and_why_it_failed() {
    each_shell(|homes| {
        let usage = homes.zk_server(&["bogus"]);
        let script = homes.text("zookeeper/bin/zkServer.sh");
        assert_eq!((usage.code, usage.out.as_str()), (0, ""));
        assert!(usage.err.ends_with(&format!(
            "Usage: {script} [--config <conf-dir>] {{start|start-foreground|stop|version|restart|status|print-cmd}}\n"
        )));
        let failed = Answer::of(homes.command("zookeeper/bin/zkServer.sh", &["start"]).env("FAKE_FAILS", "1"));
        assert_eq!((failed.code, failed.out.as_str()), (1, "Starting zookeeper ... FAILED TO START\n"));
        let print = homes.zk_server(&["print-cmd"]).out;
        assert!(
            print.starts_with(&format!("\"{}/jackdaw\" ", homes.text("zookeeper/bin")))
                && print.contains(" org.apache.zookeeper.server.quorum.QuorumPeerMain \"")
        );
        let version = homes.zk_server(&["version"]);
        assert_eq!((version.code, version.out.as_str()), (0, "java\norg.apache.zookeeper.version.VersionInfoMain\n"));
    });
}

#[test]
fn zk_server_follows_its_variables() {
    each_shell(|homes| {
        let other = homes.path("etc");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("mine.cfg"), format!("dataDir={}\nclientPort=1\n", homes.text("data"))).unwrap();
        fs::write(other.join("java.env"), "JVMFLAGS=-Dfrom=java.env\n").unwrap();
        let told = |command: &mut Command| {
            Answer::of(command.env("FAKE_TELLS", "1")).out.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let foreground = |arguments: &[&str]| homes.command("zookeeper/bin/zkServer.sh", arguments);

        let by_option = told(
            foreground(&["--config", other.to_str().unwrap(), "start-foreground", "mine.cfg"])
                .env("SERVER_JVMFLAGS", "-Da=b -Xmx9m"),
        );
        assert_eq!(by_option.last().unwrap(), other.join("mine.cfg").to_str().unwrap());
        assert!(["-Dfrom=java.env", "-Da=b", "-Xmx9m"].iter().all(|flag| by_option.iter().any(|part| part == flag)));
        let by_variables = told(
            foreground(&["start-foreground"])
                .env("ZOOCFGDIR", &other)
                .env("ZOOCFG", "mine.cfg")
                .env("ZOO_LOG_DIR", homes.path("zlogs")),
        );
        assert_eq!(by_variables.last().unwrap(), other.join("mine.cfg").to_str().unwrap());
        assert!(by_variables.contains(&format!("-Dzookeeper.log.dir={}", homes.text("zlogs"))));
        let by_path = told(&mut foreground(&["start-foreground", other.join("mine.cfg").to_str().unwrap()]));
        assert_eq!(by_path.last().unwrap(), other.join("mine.cfg").to_str().unwrap());

        let start = Answer::of(foreground(&["start"]).env("ZOOPIDFILE", homes.path("run/zk.pid")));
        assert_eq!(start.out, "Starting zookeeper ... STARTED\n");
        let pid = fs::read_to_string(homes.path("run/zk.pid")).unwrap();
        let restart = Answer::of(foreground(&["restart"]).env("ZOOPIDFILE", homes.path("run/zk.pid")));
        assert_eq!(restart.out, "Stopping zookeeper ... STOPPED\nStarting zookeeper ... STARTED\n");
        let second = fs::read_to_string(homes.path("run/zk.pid")).unwrap();
        assert_ne!(pid, second);
        assert_eq!(Answer::of(foreground(&["stop"]).env("ZOOPIDFILE", homes.path("run/zk.pid"))).code, 0);
        assert!(command_line(&second).is_none_or(|line| line.concat().is_empty()));
    });
}

#[test]
fn homes_are_found_by_path_and_from_the_folder_itself() {
    each_shell(|homes| {
        let expected = format!("Using config: {}/../conf/zoo.cfg", homes.text("zookeeper/bin"));
        let mut by_name = Command::new(homes.path("zookeeper/bin/zkServer.sh"));
        assert!(Answer::of(by_name.env("PATH", std::env::var_os("PATH").unwrap())).err.contains(&expected));
        let path = format!("{}:{}", homes.text("zookeeper/bin"), std::env::var("PATH").unwrap());
        let searched = Answer::of(Command::new(homes.shell).args(["-c", "zkServer.sh"]).env("PATH", path));
        assert!(searched.err.contains(&expected), "{searched:?}");
        let inside = Answer::of(Command::new(homes.shell).arg("zkServer.sh").current_dir(homes.path("zookeeper/bin")));
        assert!(inside.err.contains(&expected), "{inside:?}");
        // The folder is searched before the path, as the originals do.
        let other = homes.path("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("zkServer.sh"), "echo the other one").unwrap();
        let mut permissions = fs::metadata(other.join("zkServer.sh")).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
        fs::set_permissions(other.join("zkServer.sh"), permissions).unwrap();
        let path = format!("{}:{}", other.display(), std::env::var("PATH").unwrap());
        let mut inside = Command::new(homes.shell);
        inside.arg("zkServer.sh").current_dir(homes.path("zookeeper/bin")).env("PATH", path);
        let inside = Answer::of(&mut inside);
        assert!(inside.err.contains(&expected), "{inside:?}");
        let sourced = format!("ZOOBINDIR={0}; . {0}/zkEnv.sh; echo $ZOOCFG $JAVA", homes.text("zookeeper/bin"));
        let sourced = Answer::of(Command::new(homes.shell).args(["-c", &sourced]));
        assert_eq!(sourced.out, format!("{0}/../conf/zoo.cfg {0}/jackdaw\n", homes.text("zookeeper/bin")));
        assert_eq!(Answer::of(&mut homes.command("zookeeper/bin/zkEnv.sh", &[])).code, 0);
    });
}

#[test]
fn kafka_starts_with_its_class_and_file_on_the_command_line() {
    each_shell(|homes| {
        let start = |arguments: &[&str]| homes.command("kafka/bin/kafka-server-start.sh", arguments);
        let usage = Answer::of(&mut start(&[]));
        assert_eq!(
            (usage.code, usage.out),
            (
                1,
                format!(
                    "USAGE: {} [-daemon] server.properties [--override property=value]*\n",
                    homes.text("kafka/bin/kafka-server-start.sh")
                )
            )
        );

        let mut command = start(&["config/server.properties", "--override", "a=b c"]);
        command
            .env("FAKE_TELLS", "1")
            .env("KAFKA_OPTS", "-Dx=y -javaagent:z.jar")
            .env("KAFKA_HEAP_OPTS", "-Xmx2G")
            .env("JMX_PORT", "9999");
        let told: Vec<_> = Answer::of(&mut command).out.lines().map(str::to_owned).collect();
        assert_eq!(told[told.len() - 4..], ["kafka.Kafka", "config/server.properties", "--override", "a=b c"]);
        let bin = homes.text("kafka/bin");
        for flag in [
            &format!("-Dkafka.logs.dir={bin}/../logs"),
            &format!("-Dlog4j.configuration=file:{bin}/../config/log4j.properties"),
            "-Dx=y",
            "-javaagent:z.jar",
            "-Xmx2G",
        ] {
            assert!(told.iter().any(|part| part == flag), "{flag} in {told:?}");
        }

        let daemon = Answer::of(
            start(&["-daemon", "config/server.properties"]).env("LOG_DIR", homes.path("klogs")).env("FAKE_TELLS", "1"),
        );
        assert_eq!((daemon.code, daemon.out.as_str()), (0, ""));
        let out = homes.path("klogs/kafkaServer.out");
        // The daemon writes its line on its own time.
        let written = (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            fs::read_to_string(&out).is_ok_and(|text| text.ends_with("kafka.Kafka\nconfig/server.properties\n"))
        });
        assert!(written, "{:?}", fs::read_to_string(&out));
    });
}

/// The stop scripts ask `ps`; here it knows of one process, which this test started.
#[test]
fn kafka_stops_what_ps_finds() {
    each_shell(|homes| {
        let tools = homes.path("tools");
        fs::create_dir(&tools).unwrap();
        let fake_ps = |text: &str| {
            let ps = tools.join("ps");
            fs::write(&ps, format!("#!/bin/sh\ncat <<'END'\n{text}\nEND\n")).unwrap();
            fs::set_permissions(&ps, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
        for (name, class, what) in [
            ("kafka", "kafka.Kafka", "kafka"),
            ("zookeeper", "org.apache.zookeeper.server.quorum.QuorumPeerMain", "zookeeper"),
        ] {
            let script = format!("kafka/bin/{name}-server-stop.sh");
            let stop = || Answer::of(homes.command(&script, &[]).env("PATH", &path));
            fake_ps("  1 ? S 0:00 init\n  2 ? S 0:00 tail kafkaXKafka");
            let none = stop();
            assert_eq!((none.code, none.out), (1, format!("No {what} server to stop\n")));
            let mut server = Command::new("sleep").arg("1000").spawn().unwrap();
            fake_ps(&format!(
                "  1 ? S 0:00 grep  {class} \n{:>5} ? S 0:00 jackdaw -Da=b {class} x.properties",
                server.id()
            ));
            let stopped = stop();
            assert_eq!((stopped.code, stopped.out.as_str()), (0, ""), "{stopped:?}");
            assert!(!server.wait().unwrap().success());
        }
    });
}

#[test]
fn tools_run_their_classes_and_other_scripts_tell_their_usage() {
    each_shell(|homes| {
        let last = |script: &str, arguments: &[&str], count: usize| {
            let answer = Answer::of(&mut homes.command(script, arguments));
            let lines: Vec<_> = answer.out.lines().map(str::to_owned).collect();
            lines[lines.len() - count..].to_vec()
        };
        assert_eq!(
            last("kafka/bin/kafka-topics.sh", &["--topic", "a b"], 3),
            ["kafka.admin.TopicCommand", "--topic", "a b"]
        );
        assert_eq!(
            last("zookeeper/bin/zkCli.sh", &["-server", "h:1", "ls /"], 4),
            ["org.apache.zookeeper.ZooKeeperMain", "-server", "h:1", "ls /"]
        );
        assert_eq!(
            last("kafka/bin/zookeeper-shell.sh", &["h:1"], 3),
            ["org.apache.zookeeper.ZooKeeperMainWithTlsSupportForKafka", "-server", "h:1"]
        );
        assert_eq!(last("zookeeper/bin/zkCleanup.sh", &["-n", "3"], 3)[1..], ["-n", "3"]);
        let usage = Answer::of(&mut homes.command("kafka/bin/kafka-run-class.sh", &[]));
        assert_eq!(
            (usage.code, usage.out),
            (
                1,
                format!(
                    "USAGE: {} [-daemon] [-name servicename] [-loggc] classname [opts]\n",
                    homes.text("kafka/bin/kafka-run-class.sh")
                )
            )
        );
        for command in cli::upstream::COMMANDS {
            let home = if command.home == cli::upstream::Home::Kafka { "kafka" } else { "zookeeper" };
            let script = fs::read_to_string(homes.path(&format!("{home}/bin/{}.sh", command.name))).unwrap();
            assert!(script.starts_with("#!/bin/sh\n#") && script.lines().count() < 180);
            assert!(command.class.is_none_or(|class| script.contains(class)), "{}", command.name);
            assert!(homes.path(&format!("{home}/bin/{}", command.name)).is_symlink());
        }
    });
}

#[test]
fn zk_server_initialize_makes_empty_folders_once() {
    each_shell(|homes| {
        let config = homes.text("zoo2.cfg");
        fs::write(&config, format!("dataDir={0}/d\ndataLogDir={0}/l\n", homes.folder.path().display())).unwrap();
        let run =
            |arguments: &[&str]| Answer::of(&mut homes.command("zookeeper/bin/zkServer-initialize.sh", arguments));
        let by_config = format!("--configfile={config}");
        assert_eq!(run(&[&by_config, "--myid=7"]).out, "Using myid of 7\n");
        assert_eq!(fs::read_to_string(homes.path("d/myid")).unwrap(), "7\n");
        assert!(homes.path("l/version-2").is_dir() && homes.path("d/initialize").is_file());
        let twice = run(&[&by_config]);
        assert_eq!(
            (twice.code, twice.out),
            (
                1,
                format!(
                    "ZooKeeper data directory already exists at {} (or use --force to force re-initialization)\n",
                    homes.text("d")
                )
            )
        );
        assert!(
            run(&["--configfile", &config, "--force"])
                .out
                .starts_with("Force enabled, data/txnlog directories will be re-initialized\nNo myid provided")
        );
        assert!(!homes.path("d/myid").exists());
        let help = run(&["--help"]);
        assert_eq!(help.code, 1);
        assert!(
            help.out.contains(
                "\n     --myid=#                                              Set the myid to be used, if any (1-255)\n"
            ),
            "{}",
            help.out
        );
    });
}

#[test]
fn links_find_their_scripts() {
    let homes = Homes::new("sh");
    let script = homes.path("zookeeper/bin/zkServer.sh");
    let by_path = cli::install::script_beside(&homes.path("zookeeper/bin/zkServer"), None);
    assert_eq!(by_path.as_deref(), Some(script.as_path()));
    let path = std::env::join_paths([homes.path("nowhere"), homes.path("zookeeper/bin")]).unwrap();
    assert_eq!(cli::install::script_beside(Path::new("zkServer"), Some(&path)), Some(script));
    assert_eq!(cli::install::script_beside(Path::new("jackdaw"), Some(&path)), None);
}

#[test]
fn a_second_installation_keeps_configurations_and_replaces_commands() {
    let homes = Homes::new("sh");
    fs::write(homes.path("kafka/config/server.properties"), "broker.id=9\n").unwrap();
    fs::write(homes.path("kafka/bin/kafka-topics.sh"), "old").unwrap();
    let kept = cli::install::lay_out(homes.folder.path(), Path::new("/elsewhere/jackdaw")).unwrap();
    assert_eq!(kept.len(), 8);
    assert_eq!(fs::read_to_string(homes.path("kafka/config/server.properties")).unwrap(), "broker.id=9\n");
    assert_eq!(fs::read_link(homes.path("kafka/bin/kafka-topics")).unwrap(), Path::new("/elsewhere/jackdaw"));
    assert!(fs::read_to_string(homes.path("kafka/bin/kafka-topics.sh")).unwrap().contains("kafka.admin.TopicCommand"));
}

#[test]
fn installed_configurations_start_servers() {
    let homes = Homes::new("sh");
    for place in ["zookeeper/conf/zoo_sample.cfg", "kafka/config/zookeeper.properties"] {
        let mut read = |path: &str| fs::read(path);
        let loaded = ZooKeeperSettings::load(&homes.text(place), &Properties::new(), &mut read).unwrap();
        let warnings: Vec<_> = loaded.notices.iter().filter(|notice| notice.level > Level::Info).collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }
    let broker = Properties::parse(&fs::read(homes.path("kafka/config/server.properties")).unwrap()).unwrap();
    let (_, notices) = BrokerConfig::new(broker).unwrap();
    assert!(
        notices.iter().all(|notice| notice.level == Level::Info && notice.text.contains("transaction")),
        "{notices:?}"
    );
    for (place, client) in [("producer", config::Client::Producer), ("consumer", config::Client::Consumer)] {
        let file =
            Properties::parse(&fs::read(homes.path(&format!("kafka/config/{place}.properties"))).unwrap()).unwrap();
        assert_eq!(config::ClientSettings::resolve(client, &file).unwrap().1, []);
    }
}
