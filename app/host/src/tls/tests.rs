//! Both sides of TLS in one process, over loopback, with certificates made on the spot.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as Client};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};

use base::Part;
use bytes::{Bytes, BytesMut};
use config::Properties;
use config::ZooKeeperSettings;
use config::zookeeper::{ClientAuth, Secret, StoreFile, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use zk_node::HandshakeCounts;

use super::*;
use crate::net::{Connection, EventLoops, Handler, Limits, Listener};

/// An authority, and a folder for what it signs.
struct World {
    folder: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl World {
    fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "authority");
        let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), authority }
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A certificate of the authority for these hosts.
    fn signed(&self, name: &str, hosts: &[&str]) -> PathBuf {
        let (parameters, key) = (parameters(name, hosts), KeyPair::generate().unwrap());
        let certificate = parameters.signed_by(&key, &self.authority).unwrap();
        self.file(name, &(key.serialize_pem() + &certificate.pem()))
    }

    fn trust(&self) -> PathBuf {
        self.file("authority", &self.authority.pem())
    }
}

fn parameters(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut parameters = CertificateParams::new(hosts).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

/// A certificate that vouches for itself; and alone, to be trusted.
fn self_signed(world: &World, name: &str) -> (PathBuf, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = parameters(name, &["127.0.0.1"]).self_signed(&key).unwrap();
    (world.file(name, &(key.serialize_pem() + &certificate.pem())), certificate.pem())
}

fn settings(keys: Option<&Path>, trust: Option<&Path>) -> TlsSettings {
    let store = |path: &Path| StoreFile { path: path.display().to_string(), password: Secret::default(), pem: true };
    TlsSettings {
        key_store: keys.map(store),
        trust_store: trust.map(store),
        tls12: true,
        tls13: true,
        cipher_suites: None,
        client_auth: ClientAuth::Need,
        verify_hosts: true,
    }
}

fn tls(keys: &Path, trust: &Path) -> TlsSettings {
    settings(Some(keys), Some(trust))
}

/// What came of both sides' handshakes: the peer's subject, or why not.
fn meet(server: &TlsSettings, client: &TlsSettings) -> (Result<String, String>, Result<String, String>) {
    let (server, client) = (Tls::load(server).unwrap(), Tls::load(client).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let told = |result: io::Result<Transport>| {
        let subject = |transport: Transport| {
            let shown = transport.certificates().first().ok_or(io::ErrorKind::NotFound)?;
            Ok(security::Certificate::parse(shown).unwrap().subject())
        };
        result.and_then(subject).map_err(|error| error.to_string())
    };
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = async {
            let (stream, peer) = listener.accept().await.unwrap();
            let transport = accept(&server, stream).await?;
            verify_client_host(&server, &transport, peer.ip()).await?;
            Ok(transport)
        };
        let calling = async {
            let stream = TcpStream::connect(address).await.unwrap();
            connect(&client, stream, "127.0.0.1").await
        };
        let (served, called) = tokio::join!(serving, calling);
        (told(served), told(called))
    })
}

#[test]
fn both_sides_know_each_other_by_what_an_authority_signed() {
    let world = World::new();
    let (one, two) = (world.signed("one", &["127.0.0.1"]), world.signed("two", &["127.0.0.1"]));
    let (server, client) = (tls(&one, &world.trust()), tls(&two, &world.trust()));
    assert_eq!(meet(&server, &client), (Ok("CN=two".into()), Ok("CN=one".into())));
    let old = TlsSettings { tls13: false, ..client.clone() };
    assert_eq!(meet(&server, &old), (Ok("CN=two".into()), Ok("CN=one".into())));
    let new_alone = TlsSettings { tls12: false, ..server };
    let (served, called) = meet(&new_alone, &old);
    assert!(served.unwrap_err().contains("NoProtocolVersions") || called.is_err());
}

#[test]
fn a_certificate_in_the_store_is_trusted_as_it_is() {
    let world = World::new();
    let (one, one_alone) = self_signed(&world, "one");
    let (two, two_alone) = self_signed(&world, "two");
    let trust = world.file("trust", &(one_alone + &two_alone));
    assert_eq!(meet(&tls(&one, &trust), &tls(&two, &trust)), (Ok("CN=two".into()), Ok("CN=one".into())));
    // One that is not: whoever checks it first says so, and the other sees the end.
    let (three, _) = self_signed(&world, "three");
    assert!(meet(&tls(&one, &trust), &tls(&three, &trust)).0.unwrap_err().contains("UnknownIssuer"));
    assert!(meet(&tls(&three, &trust), &tls(&two, &trust)).1.unwrap_err().contains("UnknownIssuer"));
}

#[test]
fn hosts_are_compared_on_both_sides_unless_that_is_turned_off() {
    let world = World::new();
    let (here, elsewhere) = (world.signed("here", &["127.0.0.1"]), world.signed("there", &["no.such.host"]));
    let (here, elsewhere) = (tls(&here, &world.trust()), tls(&elsewhere, &world.trust()));
    assert!(meet(&here, &elsewhere).0.unwrap_err().contains("the certificate of CN=there is not one for "));
    assert!(meet(&elsewhere, &here).1.unwrap_err().contains("the certificate of CN=there is not one for "));
    let [here, elsewhere] = [here, elsewhere].map(|side| TlsSettings { verify_hosts: false, ..side });
    assert_eq!(meet(&here, &elsewhere), (Ok("CN=there".into()), Ok("CN=here".into())));
}

#[test]
fn a_certificate_is_needed_wanted_or_not_asked_for() {
    let world = World::new();
    let server = tls(&world.signed("one", &["127.0.0.1"]), &world.trust());
    let anonymous = settings(None, Some(&world.trust()));
    let known = tls(&world.signed("two", &["127.0.0.1"]), &world.trust());
    assert!(meet(&server, &anonymous).0.unwrap_err().contains("peer sent no certificates"));
    for (auth, client, shown) in
        [(ClientAuth::Want, &anonymous, false), (ClientAuth::Want, &known, true), (ClientAuth::None, &known, false)]
    {
        let server = TlsSettings { client_auth: auth, ..server.clone() };
        let (served, called) = meet(&server, client);
        assert_eq!((served.is_ok(), called), (shown, Ok("CN=one".into())), "{auth:?}");
    }
}

#[test]
fn changed_files_are_read_anew_and_unusable_ones_leave_all_as_it_was() {
    let world = World::new();
    let keys = world.signed("before", &["127.0.0.1"]);
    let server = Tls::load(&tls(&keys, &world.trust())).unwrap();
    assert!(!server.reload().unwrap());
    fs::write(&keys, "nothing of use").unwrap();
    let failed = server.reload().unwrap_err().to_string();
    assert!(failed.contains("it holds no private key"), "{failed}");
    assert!(!server.reload().unwrap(), "told once");
    let after = world.signed("after", &["127.0.0.1"]);
    fs::rename(after, &keys).unwrap();
    assert!(server.reload().unwrap());
}

#[test]
fn what_is_wrong_with_the_stores_is_said_with_the_files_name() {
    let world = World::new();
    let (keys, trust) = (world.signed("one", &["127.0.0.1"]), world.trust());
    let told = |settings: &TlsSettings| Tls::load(settings).err().unwrap().to_string();
    let missing = world.folder.path().join("missing");
    assert!(told(&tls(&missing, &trust)).ends_with("missing: No such file or directory (os error 2)"));
    assert!(told(&tls(&trust, &trust)).contains("it holds no private key"));
    assert!(told(&tls(&keys, &world.file("empty", ""))).contains("it holds no certificate that is trusted"));
    let other = KeyPair::generate().unwrap().serialize_pem() + &world.authority.pem();
    assert!(told(&tls(&world.file("mixed", &other), &trust)).contains("KeyMismatch"));
}

/// Echoes; answers `big` with a megabyte.
struct Echo(Arc<Connection>, mpsc::Sender<&'static str>);

impl Handler for Echo {
    fn received(&mut self, chunk: BytesMut) {
        let answer = if &chunk[..] == b"big" { Bytes::from(vec![7; 1 << 20]) } else { chunk.freeze() };
        self.0.send(std::iter::once(Part::Bytes(answer)));
    }

    fn closed(&mut self) {
        self.0.close();
        // The test may be over.
        let _ = self.1.send("closed");
    }
}

/// A port that takes TLS and plain text, and what happens on it.
fn serve(world: &World) -> (EventLoops, SocketAddr, mpsc::Receiver<&'static str>, Arc<HandshakeCounts>) {
    let text = format!(
        "dataDir=/d\nclientPort=1\nclient.portUnification=true\nmaxClientCnxns=3\n\
         ssl.keyStore.location={}\nssl.keyStore.type=PEM\nssl.trustStore.location={}\nssl.trustStore.type=PEM\n",
        world.signed("server", &["127.0.0.1"]).display(),
        world.trust().display(),
    );
    let mut read = |path: &str| if path == "/zoo.cfg" { Ok(text.clone().into()) } else { fs::read(path) };
    let loaded = ZooKeeperSettings::load("/zoo.cfg", &Properties::new(), &mut read).unwrap();
    let tls = ZooKeeperTls::load(&loaded.settings).unwrap();
    let (counts, tls) = (tls.counts(), tls.clients.unwrap());
    let (told, heard) = mpsc::channel();
    let loops = EventLoops::start(1).unwrap();
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), None).unwrap();
    let address = listener.address();
    let serve = move |stream, peer, _| {
        let (tls, told) = (Arc::clone(&tls), told.clone());
        async move {
            match tls.receive(stream, peer, false).await {
                Ok(transport) => {
                    let echo = |connection: &Arc<Connection>| Echo(Arc::clone(connection), told);
                    Connection::serve(transport, peer, Limits::default(), echo).await;
                }
                Err(_) => told.send("refused").unwrap(),
            }
        }
    };
    listener.serve(&loops, serve, |error| panic!("{error}"));
    (loops, address, heard, counts)
}

fn client_session(world: &World) -> rustls::ClientConnection {
    let settings = tls(&world.signed("client", &["127.0.0.1"]), &world.trust());
    Tls::load(&settings).unwrap().client_session("127.0.0.1", IpAddr::from([127, 0, 0, 1])).unwrap()
}

#[test]
fn one_port_takes_tls_and_plain_text_and_all_lengths_pass() {
    let world = World::new();
    let (loops, address, heard, counts) = serve(&world);
    let mut plain = Client::connect(address).unwrap();
    plain.write_all(b"ruok").unwrap();
    let mut answer = [0; 4];
    plain.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ruok");
    drop(plain);
    assert_eq!(heard.recv().unwrap(), "closed");

    let mut session = client_session(&world);
    let mut socket = Client::connect(address).unwrap();
    let mut secure = rustls::Stream::new(&mut session, &mut socket);
    // The first bytes ride on the end of the handshake.
    secure.write_all(b"hello").unwrap();
    let mut answer = [0; 5];
    secure.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello");
    secure.write_all(b"big").unwrap();
    let mut big = vec![0; 1 << 20];
    secure.read_exact(&mut big).unwrap();
    assert!(big.iter().all(|byte| *byte == 7));
    let long: Vec<u8> = (0..400_000_u32).map(|index| index as u8).collect();
    let mut echoed = vec![0; long.len()];
    secure.write_all(&long).unwrap();
    secure.read_exact(&mut echoed).unwrap();
    assert!(echoed == long);
    // Our end is told, and so is the server's.
    session.send_close_notify();
    session.write_tls(&mut socket).unwrap();
    assert_eq!(heard.recv().unwrap(), "closed");
    assert_eq!(rustls::Stream::new(&mut session, &mut socket).read(&mut [0]).unwrap(), 0);
    assert_eq!((counts.under_way.load(Relaxed), counts.failed.load(Relaxed)), (0, 0));
    loops.stop();
}

#[test]
fn a_hostile_hello_harms_nobody() {
    let world = World::new();
    let (loops, address, heard, counts) = serve(&world);
    // Records of other kinds and of absurd lengths, a hello of a megabyte, one that is cut off.
    let mut endless = vec![0x16, 3, 1, 0x40, 0, 1, 0x0f, 0xff, 0xff];
    endless.resize(1 << 20, 0);
    for hello in [&[0x16, 3, 1, 0xff, 0xff, 1][..], &[0x16, 3, 1, 0, 4, 9, 9, 9, 9], &endless, &[0x16]] {
        let mut client = Client::connect(address).unwrap();
        // It may be refused while we write.
        let _ = client.write_all(hello);
        drop(client);
        assert_eq!(heard.recv().unwrap(), "refused");
    }
    // Those who say nothing hold no more places than their address has; others are served as ever.
    let silent: Vec<_> = (0..4).map(|_| Client::connect(address).unwrap()).collect();
    assert_eq!(heard.recv().unwrap(), "refused");
    drop(silent);
    for _ in 0..3 {
        assert_eq!(heard.recv().unwrap(), "closed");
    }
    let mut plain = Client::connect(address).unwrap();
    plain.write_all(b"still").unwrap();
    let mut answer = [0; 5];
    plain.read_exact(&mut answer).unwrap();
    assert_eq!((counts.failed.load(Relaxed), counts.refused.load(Relaxed)), (4, 1));
    loops.stop();
}
