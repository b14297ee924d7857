//! TLS of the client port, with JVM's zkCli and kazoo, and between servers of either kind.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use interop::{Certificates, Ensemble, Kind, Original, Server, free_port, python};

use crate::zookeeper_ensemble::{start_led_by_the_last, through_each};
use crate::zookeeper_sasl::{LONG_SESSION, goes_when_it_is_killed};

const ZKCLI: &str = "org.apache.zookeeper.ZooKeeperMain";
const FACTORY: &str = "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory";

/// The client's certificate has a name that needs care.
const CLIENT_SUBJECT: &str = "/C=DE/O=A, B\\+C/emailAddress=a@b.c/CN=client #1 ";

fn certificates() -> Certificates {
    let certificates = Certificates::new().unwrap();
    certificates.sign("server", "/CN=server", &["IP:127.0.0.1"]).unwrap();
    certificates.sign("client", CLIENT_SUBJECT, &[]).unwrap();
    certificates.sign("other", "/CN=other", &[]).unwrap();
    certificates
}

/// A `zoo.cfg` with its ports for plain text and TLS.
fn config(folder: &Path, lines: &[String]) -> (PathBuf, u16, u16) {
    let (plain, secure) = (free_port().unwrap(), free_port().unwrap());
    let path = folder.join("zoo.cfg");
    let text = format!(
        "dataDir={}\nclientPort={plain}\nclientPortAddress=127.0.0.1\nsecureClientPort={secure}\n\
         secureClientPortAddress=127.0.0.1\nadmin.enableServer=false\n4lw.commands.whitelist=*\n{FACTORY}\n{}\n",
        folder.join("data").display(),
        lines.join("\n"),
    );
    std::fs::create_dir_all(folder.join("data")).unwrap();
    std::fs::write(&path, text).unwrap();
    (path, plain, secure)
}

/// What JVM's zkCli prints for this script, by TLS.
fn zkcli(certificates: &Certificates, name: &str, port: u16, script: &str) -> String {
    let mut properties = certificates.stores("zookeeper.ssl.", name, "jks");
    properties.push("zookeeper.client.secure=true".to_owned());
    properties.push("zookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty".to_owned());
    let server = format!("127.0.0.1:{port}");
    let finished = Original::tool_with(&properties, ZKCLI, &["-server", &server], script.as_bytes()).unwrap();
    finished.stdout + &finished.stderr
}

/// The lines that matter of what zkCli printed.
fn told(output: &str) -> Vec<String> {
    let kept = |line: &&str| {
        ["x509", "hello", "Authentication", "NoAuth", "Insufficient", "not valid"]
            .iter()
            .any(|word| line.contains(word))
            && !line.contains("INFO")
            && !line.contains("DEBUG")
    };
    output.lines().filter(kept).map(str::to_owned).collect()
}

#[test]
fn jvm_clients_are_who_their_certificates_say_as_at_the_original() {
    let certificates = certificates();
    let own = "create /own hello auth::cdrwa\ngetAcl /own\nget /own\n\
               create /named hello x509:CN=other:r\nget /named\ncreate /bad hello x509:nobody:r\nquit\n";
    let others = "get /named\nget /own\nquit\n";
    let superior = "get /own\nget /named\nquit\n";
    let mut outputs = Vec::new();
    for original in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut lines = certificates.stores("ssl.", "server", "jks");
        lines.push("X509AuthenticationProvider.superUser=CN=server".to_owned());
        let (config, plain, secure) = config(folder.path(), &lines);
        let (_original, _ours) = if original {
            (Some(Original::zookeeper(&config, plain).unwrap()), None)
        } else {
            (None, Some(Server::zookeeper(&config).unwrap()))
        };
        let scripts = [("client", own), ("other", others), ("server", superior)];
        outputs.push(scripts.map(|(name, script)| told(&zkcli(&certificates, name, secure, script))));
    }
    assert!(outputs[0][0].iter().any(|line| line.contains("x509")), "{outputs:?}");
    assert_eq!(outputs[0], outputs[1]);
}

#[test]
fn every_format_of_store_and_every_version_is_served() {
    let certificates = certificates();
    for (ending, version) in [("pem", "TLSv1.2"), ("p12", "TLSv1.3"), ("jks", "TLSv1.2,TLSv1.3")] {
        let folder = tempfile::tempdir().unwrap();
        let mut lines = certificates.stores("ssl.", "server", ending);
        lines.push(format!("ssl.enabledProtocols={version}"));
        let (config, _, secure) = config(folder.path(), &lines);
        let _server = Server::zookeeper(&config).unwrap();
        let file = |name: &str| certificates.path(name).display().to_string();
        let (authority, certificate, key) = (file("authority.pem"), file("client.crt"), file("client.key"));
        // As X500Principal.getName of Java writes it.
        let subject = "CN=client \\#1\\ ,1.2.840.113549.1.9.1=#16056140622e63,O=A\\, B\\+C,C=DE";
        let hosts = format!("127.0.0.1:{secure}");
        let output = python("kazoo_tls.py", &[&hosts, &authority, &certificate, &key, subject]).unwrap();
        assert!(output.success().unwrap().contains("kazoo by TLS ok"), "{ending}");
    }
}

#[test]
fn one_port_for_both_and_no_client_without_a_certificate() {
    let certificates = certificates();
    let folder = tempfile::tempdir().unwrap();
    let mut lines = certificates.stores("ssl.", "server", "p12");
    lines.push("client.portUnification=true".to_owned());
    let (config, plain, _) = config(folder.path(), &lines);
    let _server = Server::zookeeper(&config).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", plain)).unwrap();
    stream.write_all(b"srvr").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.contains("Mode: standalone"), "{text}");
    let output = zkcli(&certificates, "client", plain, "create /one hello\nget /one\nquit\n");
    assert!(output.lines().any(|line| line == "hello"), "{output}");

    let openssl = |more: &[&str]| {
        let connect = format!("127.0.0.1:{plain}");
        let mut command = std::process::Command::new("openssl");
        command.args(["s_client", "-connect", &connect, "-quiet", "-ign_eof"]).args(more);
        let finished = interop::run(&mut command, b"ruok").unwrap();
        (finished.stdout.contains("imok"), finished.stderr)
    };
    let (certificate, key) = (certificates.path("client.crt"), certificates.path("client.key"));
    let shown = ["-cert", certificate.to_str().unwrap(), "-key", key.to_str().unwrap()];
    assert!(openssl(&shown).0);
    let (answered, told) = openssl(&[]);
    assert!(!answered && told.contains("alert"), "{told}");
    let (answered, told) = openssl(&[&shown[..], &["-tls1_3"]].concat());
    assert!(!answered, "TLS 1.3 is not enabled by default: {told}");
}

/// What one of our tools prints, run as its script does, by its class.
fn our_tool(properties: &[String], class: &str, arguments: &[&str], script: &str) -> String {
    let mut command = std::process::Command::new(interop::binary());
    command.arg("java").args(properties.iter().map(|property| format!("-D{property}"))).arg(class).args(arguments);
    let finished = interop::run(&mut command, script.as_bytes()).unwrap();
    finished.stdout + &finished.stderr
}

#[test]
fn our_tools_and_our_broker_speak_tls_with_either_server() {
    let certificates = certificates();
    for original in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (config, plain, secure) = config(folder.path(), &certificates.stores("ssl.", "server", "jks"));
        let (_original, _ours) = match original {
            true => (Some(Original::zookeeper(&config, plain).unwrap()), None),
            false => (None, Some(Server::zookeeper(&config).unwrap())),
        };
        let zookeeper = format!("127.0.0.1:{secure}");
        let mut properties = certificates.stores("zookeeper.ssl.", "client", "p12");
        properties.push("zookeeper.client.secure=true".to_owned());
        let script = "create /ours hello auth::cdrwa\ngetAcl /ours\nquit\n";
        let output = our_tool(&properties, ZKCLI, &["-server", &zookeeper], script);
        assert!(output.contains("'x509,'CN=client"), "{output}");
        let file = folder.path().join("client.properties");
        std::fs::write(&file, properties.join("\n")).unwrap();
        let with_file = ["-server", &zookeeper, "-client-configuration", file.to_str().unwrap(), "get", "/ours"];
        let output = our_tool(&[], ZKCLI, &with_file, "");
        assert!(output.lines().any(|line| line == "hello"), "{output}");
        let word = "org.apache.zookeeper.client.FourLetterWordMain";
        let output = our_tool(&properties, word, &["127.0.0.1", &secure.to_string(), "srvr", "true"], "");
        assert!(output.contains("Mode: standalone"), "{output}");

        let store = |name: &str, file: &str| {
            let path = certificates.path(file);
            format!("zookeeper.ssl.{name}.location={}\nzookeeper.ssl.{name}.password=secret\n", path.display())
        };
        let tls = store("keystore", "client.jks") + &store("truststore", "authority.jks");
        let tls = format!("zookeeper.ssl.client.enable=true\n{tls}");
        let broker = folder.path().join("server.properties");
        let kafka = free_port().unwrap();
        let lines = format!(
            "broker.id=1\nlisteners=PLAINTEXT://127.0.0.1:{kafka}\nlog.dirs={}\nzookeeper.connect={zookeeper}/kafka\n\
             {LONG_SESSION}\n{tls}",
            folder.path().join("logs").display(),
        );
        std::fs::write(&broker, lines).unwrap();
        let broker = Server::broker(&broker).unwrap();
        let list = || our_tool(&properties, ZKCLI, &["-server", &zookeeper, "ls", "/kafka/brokers/ids"], "");
        let output = list();
        assert!(output.lines().any(|line| line == "[1]"), "{output}");
        let kafkas = folder.path().join("tls.properties");
        std::fs::write(&kafkas, tls).unwrap();
        let path = kafkas.to_str().unwrap();
        let shell = ["-server", &zookeeper, "-zk-tls-config-file", path, "ls", "/kafka/brokers/ids"];
        let output = our_tool(&[], "org.apache.zookeeper.ZooKeeperMainWithTlsSupportForKafka", &shell, "");
        assert!(output.lines().any(|line| line == "[1]"), "{output}");
        let connect = format!("{zookeeper}/kafka");
        let configs = ["--zookeeper", &connect, "--zk-tls-config-file", path, "--describe", "--entity-type", "topics"];
        let output = our_tool(&[], "kafka.admin.ConfigCommand", &configs, "");
        assert!(!output.contains("Error"), "{output}");
        goes_when_it_is_killed(broker, list);
    }
}

/// One certificate with the addresses of all members, in stores of this kind.
pub(crate) fn certified(ensemble: &Ensemble, certificates: &Certificates, ending: &str) {
    sign_members(ensemble, certificates);
    let stores = format!("\n{}\n", certificates.stores("ssl.quorum.", "member", ending).join("\n"));
    for id in 1..=3 {
        ensemble.configure(id, &stores).unwrap();
    }
}

fn sign_members(ensemble: &Ensemble, certificates: &Certificates) {
    let address = |id| ensemble.host(id).unwrap().split(':').next().map(|address| format!("IP:{address}")).unwrap();
    // Who dials a server of loopback comes from its first address.
    let addresses: Vec<_> = (1..=3).map(address).chain(["IP:127.0.0.1".to_owned()]).collect();
    certificates.sign("member", "/CN=member", &addresses.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
}

/// Every member meets every other by TLS alone; the leader is killed, and comes back.
fn lives_by_tls(kinds: [Kind; 3], ending: &str) {
    let certificates = Certificates::new().unwrap();
    let mut ensemble = Ensemble::new(3, "sslQuorum=true\n").unwrap();
    certified(&ensemble, &certificates, ending);
    start_led_by_the_last(&mut ensemble, kinds);
    let mut written = Vec::new();
    through_each(&ensemble, "start", &mut written);
    ensemble.kill(3).unwrap();
    ensemble.await_leader().unwrap();
    through_each(&ensemble, "without", &mut written);
    ensemble.start(3, kinds[2]).unwrap();
    ensemble.await_leader().unwrap();
    through_each(&ensemble, "back", &mut written);
}

#[test]
fn servers_of_either_kind_meet_by_tls() {
    lives_by_tls([Kind::Ours, Kind::Ours, Kind::Ours], "pem");
    lives_by_tls([Kind::Theirs, Kind::Theirs, Kind::Ours], "p12");
    lives_by_tls([Kind::Ours, Kind::Ours, Kind::Theirs], "jks");
}

/// From plain text to TLS without a stop, one server at a time, as the original's guide has it.
#[test]
fn an_ensemble_goes_over_to_tls_while_it_serves() {
    let certificates = Certificates::new().unwrap();
    let kinds = [Kind::Ours, Kind::Theirs, Kind::Ours];
    let mut ensemble = Ensemble::new(3, "").unwrap();
    certified(&ensemble, &certificates, "p12");
    start_led_by_the_last(&mut ensemble, kinds);
    let mut written = Vec::new();
    through_each(&ensemble, "plain", &mut written);
    for lines in [
        "sslQuorum=false\nportUnification=true",
        "sslQuorum=true\nportUnification=true",
        "sslQuorum=true\nportUnification=false",
    ] {
        for id in 1..=3 {
            ensemble.stop(id).unwrap();
            ensemble.configure(id, &format!("{lines}\n")).unwrap();
            ensemble.start(id, kinds[id - 1]).unwrap();
            ensemble.await_leader().unwrap();
        }
        through_each(&ensemble, &format!("{}", written.len()), &mut written);
    }
    // Who speaks plain text now is not taken.
    ensemble.stop(1).unwrap();
    ensemble.configure(1, "sslQuorum=false\n").unwrap();
    ensemble.start(1, Kind::Ours).unwrap();
    ensemble.await_leader_without(1).unwrap();
    assert!(!ensemble.serves(1).unwrap());
}

/// Whether a member shows on its election port what this authority has signed.
fn shows(ensemble: &Ensemble, id: usize, certificates: &Certificates) -> bool {
    let connect = format!("{}:3888", ensemble.address(id).unwrap());
    let path = |name: &str| certificates.path(name).display().to_string();
    let (authority, certificate, key) = (path("authority.pem"), path("member.crt"), path("member.key"));
    let mut command = std::process::Command::new("openssl");
    command.args(["s_client", "-connect", &connect, "-CAfile", &authority, "-cert", &certificate, "-key", &key]);
    interop::run(&mut command, b"").unwrap().stdout.contains("Verify return code: 0 (ok)")
}

/// Other files in place of those that running members have read: an authority's, that what was trusted before is not of.
#[test]
fn certificates_that_change_are_shown_and_trusted_without_a_restart() {
    let [before, after] = [(); 2].map(|()| Certificates::new().unwrap());
    let kinds = [Kind::Ours, Kind::Theirs, Kind::Ours];
    let mut ensemble = Ensemble::new(3, "sslQuorum=true\nsslQuorumReloadCertFiles=true\n").unwrap();
    certified(&ensemble, &before, "p12");
    sign_members(&ensemble, &after);
    start_led_by_the_last(&mut ensemble, kinds);
    let mut written = Vec::new();
    through_each(&ensemble, "before", &mut written);
    for id in 1..=3 {
        assert!(shows(&ensemble, id, &before) && !shows(&ensemble, id, &after), "{id}");
    }
    let old = before.path("old.p12");
    std::fs::copy(before.path("member.p12"), &old).unwrap();
    // Each file is there whole at once, though one comes after the other.
    for store in ["member.p12", "authority.p12"] {
        let coming = before.path("coming");
        std::fs::copy(after.path(store), &coming).unwrap();
        std::fs::rename(coming, before.path(store)).unwrap();
    }
    for id in 1..=3 {
        ensemble.wait("the new certificate", |ensemble| Ok(shows(ensemble, id, &after))).unwrap();
    }
    through_each(&ensemble, "shown", &mut written);
    // All links of the leader's are made anew, and all of one that follows.
    for id in [3, 2] {
        ensemble.kill(id).unwrap();
        ensemble.await_leader().unwrap();
        ensemble.start(id, kinds[id - 1]).unwrap();
        ensemble.await_leader().unwrap();
        through_each(&ensemble, &format!("without {id}"), &mut written);
    }
    // Whoever shows what was trusted before is not taken.
    ensemble.stop(1).unwrap();
    ensemble.configure(1, &format!("ssl.quorum.keyStore.location={}\n", old.display())).unwrap();
    ensemble.start(1, Kind::Ours).unwrap();
    ensemble.await_leader_without(1).unwrap();
    assert!(!ensemble.serves(1).unwrap());
}
