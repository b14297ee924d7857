//! Logins by DIGEST-MD5: JVM's zkCli and kazoo at ours and at the original, and every step's bytes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use interop::{Ensemble, Kind, Original, Server, free_port, python};
use zk_proto::Jute;
use zk_proto::connect::{ConnectRequest, RequestHeader};
use zk_proto::requests::SaslRequest;

use crate::zookeeper_ensemble::through_each;

const ZKCLI: &str = "org.apache.zookeeper.ZooKeeperMain";
const MODULE: &str = "org.apache.zookeeper.server.auth.DigestLoginModule";

/// Either server, with users `bob` and `super`.
enum Running {
    Theirs(#[expect(dead_code, reason = "ends with it")] Original),
    Ours(#[expect(dead_code, reason = "ends with it")] Server),
}

fn start(folder: &Path, original: bool, lines: &str) -> (Running, u16) {
    let port = free_port().unwrap();
    let users = format!("Server {{ {MODULE} required user_super=\"s\" user_bob=\"secret\"; }};");
    std::fs::create_dir_all(folder.join("data")).unwrap();
    std::fs::write(folder.join("server.jaas"), users).unwrap();
    let config = folder.join("zoo.cfg");
    let text = format!(
        "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n4lw.commands.whitelist=*\n\
         authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n{lines}\n",
        folder.join("data").display(),
    );
    std::fs::write(&config, text).unwrap();
    let logins = format!("java.security.auth.login.config={}", folder.join("server.jaas").display());
    let running = match original {
        true => Running::Theirs(Original::zookeeper_with(&[logins], &config, port).unwrap()),
        false => Running::Ours(Server::zookeeper_with(&[logins], &config).unwrap()),
    };
    (running, port)
}

/// What JVM's zkCli prints for a script, of what matters, as this user.
fn zkcli(folder: &Path, port: u16, login: Option<(&str, &str)>, script: &str) -> Vec<String> {
    let mut properties = Vec::new();
    if let Some((user, password)) = login {
        let path: PathBuf = folder.join("client.jaas");
        let text = format!("Client {{ {MODULE} required username=\"{user}\" password=\"{password}\"; }};");
        std::fs::write(&path, text).unwrap();
        properties.push(format!("java.security.auth.login.config={}", path.display()));
    }
    let server = format!("127.0.0.1:{port}");
    let finished = Original::tool_with(&properties, ZKCLI, &["-server", &server], script.as_bytes()).unwrap();
    let output = finished.stdout + &finished.stderr;
    let kept = |line: &&str| {
        let words = ["'sasl", "hello", "Insufficient", "AuthFailed", "not valid", "requires"];
        words.iter().any(|word| line.contains(word))
            && !["INFO", "DEBUG", "WARN", "ERROR"].iter().any(|word| line.contains(word))
    };
    output.lines().filter(kept).map(str::to_owned).collect()
}

#[test]
fn jvm_clients_log_in_as_at_the_original() {
    let own = "create /own hello auth::cdrwa\ngetAcl /own\nget /own\ncreate /named hello sasl:other:r\nget /named\n\
               create /bad hello sasl:a/b/c@d:r\nquit\n";
    let others = "get /own\nget /named\nquit\n";
    let mut outputs = Vec::new();
    for original in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (_server, port) = start(folder.path(), original, "superUser=super");
        outputs.push([
            zkcli(folder.path(), port, Some(("bob", "secret")), own),
            zkcli(folder.path(), port, None, others),
            zkcli(folder.path(), port, Some(("super", "s")), others),
        ]);
        if !original {
            let output = python("kazoo_sasl.py", &[&format!("127.0.0.1:{port}"), "bob", "secret"]).unwrap();
            assert!(output.success().unwrap().contains("kazoo by SASL ok"));
        }
    }
    assert!(outputs[0][0].iter().any(|line| line.contains("'sasl,'bob")), "{outputs:?}");
    assert_eq!(outputs[0], outputs[1]);
}

/// A client that says what it likes.
struct Raw(TcpStream);

impl Raw {
    fn connect(port: u16) -> Self {
        let mut raw = Self(TcpStream::connect(("127.0.0.1", port)).unwrap());
        let hello = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: 0,
            timeout_ms: 10_000,
            session_id: 0,
            password: Bytes::from_static(&[0; 16]),
            read_only: Some(false),
        };
        raw.send(&hello.to_bytes());
        raw.receive().unwrap();
        raw
    }

    fn send(&mut self, body: &[u8]) {
        self.0.write_all(&[&(body.len() as u32).to_be_bytes(), body].concat()).unwrap();
    }

    /// A frame, or none at the end.
    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).ok()?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut body).ok()?;
        Some(body)
    }

    /// The answer to a token, with the nonce left out.
    fn step(&mut self, token: &[u8]) -> Option<String> {
        let mut body = RequestHeader { xid: 5, op: 102 }.to_bytes().to_vec();
        body.extend_from_slice(&SaslRequest { token: Bytes::copy_from_slice(token) }.to_bytes());
        self.send(&body);
        let answer = self.receive()?;
        let (header, text) = answer.split_at(20.min(answer.len()));
        let text = String::from_utf8_lossy(text).into_owned();
        let nonce = text.split_once("nonce=\"").and_then(|(_, behind)| behind.split_once('"')).map(|(nonce, _)| nonce);
        // The length of the token has the nonce in it.
        let header = if nonce.is_some() { header.split_at(16).0 } else { header };
        Some(format!("{header:?} {}", text.replace(nonce.unwrap_or("\0"), "NONCE")))
    }
}

#[test]
fn each_step_is_answered_by_the_same_bytes() {
    let garbage = b"username=\"bob\",realm=\"zk-sasl-md5\",nonce=\"x\",nc=00000001,cnonce=\"y\",response=z";
    for lines in ["", "allowSaslFailedClients=true", "sessionRequireClientSASLAuth=true"] {
        let mut outputs = Vec::new();
        for original in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let (_server, port) = start(folder.path(), original, lines);
            let mut told = Vec::new();
            for tokens in [&[&b""[..], garbage, b""][..], &[b"at once"]] {
                let mut client = Raw::connect(port);
                told.extend(tokens.iter().map_while(|token| Some(client.step(token)).filter(Option::is_some)));
            }
            let mut client = Raw::connect(port);
            client.send(&RequestHeader { xid: -2, op: 11 }.to_bytes());
            told.push(client.receive().map(|answer| format!("{:?}", [answer[..4].to_vec(), answer[12..].to_vec()])));
            outputs.push(told);
        }
        assert_eq!(outputs[0], outputs[1], "{lines}");
    }
}

/// More than a broker asks for by default, so that an end of the session before that is the work of the broker's guardian.
pub(crate) const LONG_SESSION: &str = "zookeeper.session.timeout.ms=60000";
const SOON: Duration = Duration::from_secs(20);

/// A broker that is killed is registered no more, soon: its guardian has reached ZooKeeper as the broker did. `list` gives the registered.
pub(crate) fn goes_when_it_is_killed(broker: Server, list: impl Fn() -> String) {
    drop(broker);
    let killed = Instant::now();
    loop {
        let output = list();
        if output.lines().any(|line| line == "[]") {
            return;
        }
        assert!(killed.elapsed() < SOON, "{output}");
    }
}

#[test]
fn our_tools_and_our_broker_log_in_at_either_server() {
    for original in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (_server, port) = start(folder.path(), original, "sessionRequireClientSASLAuth=true");
        let server = format!("127.0.0.1:{port}");
        let logins = |user: &str, password: &str| {
            let path = folder.path().join(format!("{user}-{password}.jaas"));
            let text = format!("Client {{ {MODULE} required username=\"{user}\" password=\"{password}\"; }};");
            std::fs::write(&path, text).unwrap();
            format!("java.security.auth.login.config={}", path.display())
        };
        let tool = |login: &str, script: &str| {
            let mut command = std::process::Command::new(interop::binary());
            command.args(["java", &format!("-D{login}"), ZKCLI, "-server", &server]);
            let finished = interop::run(&mut command, script.as_bytes()).unwrap();
            finished.stdout + &finished.stderr
        };
        let output = tool(&logins("bob", "secret"), "create /ours hello auth::cdrwa\ngetAcl /ours\nget /ours\nquit\n");
        assert!(output.contains("'sasl,'bob") && output.lines().any(|line| line == "hello"), "{output}");
        assert!(output.contains("SaslAuthenticated"), "{output}");
        let output = tool(&logins("bob", "guess"), "get /ours\nquit\n");
        assert!(output.contains("AuthFailed") && !output.lines().any(|line| line == "hello"), "{output}");
        let broker = folder.path().join("server.properties");
        let kafka = free_port().unwrap();
        let lines = format!(
            "broker.id=1\nlisteners=PLAINTEXT://127.0.0.1:{kafka}\nlog.dirs={}\nzookeeper.connect={server}\n\
             {LONG_SESSION}\n",
            folder.path().join("logs").display(),
        );
        std::fs::write(&broker, lines).unwrap();
        let broker = Server::broker_with(&[logins("bob", "secret")], &broker).unwrap();
        let list = || tool(&logins("bob", "secret"), "ls /brokers/ids\nquit\n");
        let output = list();
        assert!(output.lines().any(|line| line == "[1]"), "{output}");
        goes_when_it_is_killed(broker, list);
    }
}

/// The JAAS file of a member: who may log in, and as whom it does.
fn member_logins(path: &Path, password: &str) -> String {
    let text = format!(
        "QuorumServer {{ {MODULE} required user_member=\"secret\"; }};\n\
         QuorumLearner {{ {MODULE} required username=\"member\" password=\"{password}\"; }};\n"
    );
    std::fs::write(path, text).unwrap();
    format!("-Djava.security.auth.login.config={}", path.display())
}

pub(crate) fn start_with_login(ensemble: &mut Ensemble, id: usize, kind: Kind, password: &str) {
    let logins = member_logins(&ensemble.path(&format!("{id}.jaas")), password);
    ensemble.start_with(id, kind, &[&logins]).unwrap();
}

pub(crate) const LOG_IN: &str =
    "quorum.auth.enableSasl=true\nquorum.auth.learnerRequireSasl=true\nquorum.auth.serverRequireSasl=true\n";

/// All members must log in to each other; the leader is killed, and comes back; one with a wrong password stays out.
fn lives_by_logins(kinds: [Kind; 3]) {
    let mut ensemble = Ensemble::new(3, LOG_IN).unwrap();
    for id in [3, 2, 1] {
        start_with_login(&mut ensemble, id, kinds[id - 1], "secret");
    }
    let leader = ensemble.await_leader().unwrap();
    let mut written = Vec::new();
    through_each(&ensemble, "start", &mut written);
    ensemble.kill(leader).unwrap();
    ensemble.await_leader().unwrap();
    through_each(&ensemble, "without", &mut written);
    start_with_login(&mut ensemble, leader, kinds[leader - 1], "secret");
    ensemble.await_leader().unwrap();
    through_each(&ensemble, "back", &mut written);
    ensemble.stop(leader).unwrap();
    start_with_login(&mut ensemble, leader, kinds[leader - 1], "guess");
    ensemble.await_leader_without(leader).unwrap();
    // Those who refuse it say so; it does not serve.
    let refusal = |ensemble: &Ensemble| {
        let others = (1..=3).filter(|id| *id != leader);
        Ok(others.filter(|id| ensemble.log(*id).is_ok_and(|log| log.contains("Mismatched response"))).count() > 0)
    };
    ensemble.wait("a refusal", refusal).unwrap();
    assert!(!ensemble.serves(leader).unwrap());
}

#[test]
fn servers_of_either_kind_log_in_to_each_other() {
    lives_by_logins([Kind::Ours, Kind::Ours, Kind::Ours]);
    lives_by_logins([Kind::Theirs, Kind::Ours, Kind::Theirs]);
    lives_by_logins([Kind::Ours, Kind::Theirs, Kind::Ours]);
}

/// From no logins to needed ones without a stop, one server at a time, as the original's guide has it.
#[test]
fn an_ensemble_begins_to_log_in_while_it_serves() {
    let kinds = [Kind::Ours, Kind::Theirs, Kind::Ours];
    let mut ensemble = Ensemble::new(3, "").unwrap();
    for id in [3, 2, 1] {
        start_with_login(&mut ensemble, id, kinds[id - 1], "secret");
    }
    ensemble.await_leader().unwrap();
    let mut written = Vec::new();
    through_each(&ensemble, "open", &mut written);
    for lines in [
        "quorum.auth.enableSasl=true\n",
        "quorum.auth.learnerRequireSasl=true\n",
        "quorum.auth.serverRequireSasl=true\n",
    ] {
        for id in 1..=3 {
            ensemble.stop(id).unwrap();
            ensemble.configure(id, lines).unwrap();
            start_with_login(&mut ensemble, id, kinds[id - 1], "secret");
            ensemble.await_leader().unwrap();
        }
        through_each(&ensemble, &written.len().to_string(), &mut written);
    }
}
