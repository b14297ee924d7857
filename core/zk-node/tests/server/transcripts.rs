//! Transcripts: what clients send, and what comes back to whom, as text files.
//!
//! A line that starts with `>` is done, the lines behind it are what it led to. With `REWRITE=1` in the environment the
//! files are written anew.

use std::collections::BTreeMap;
use std::path::Path;

use base::Str;
use bytes::Bytes;
use zk_proto::multi::{Multi, Op};
use zk_proto::requests::{
    AddWatchRequest, AuthRequest, CheckVersionRequest, CreateRequest, CreateTtlRequest, DeleteRequest, PathRequest,
    ReadRequest, ReconfigRequest, Request, SaslRequest, SetAclRequest, SetDataRequest, SetWatches2Request,
    WatchesRequest,
};
use zk_proto::{Acl, Id, Perms};

use crate::client::{Client, Hello};
use crate::world::World;

#[test]
#[expect(clippy::disallowed_methods, reason = "the transcripts are files beside the test")]
fn transcripts() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/transcripts");
    let mut paths: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 5, "transcripts are missing");
    let mut wrong = Vec::new();
    for path in paths {
        let expected = std::fs::read_to_string(&path).unwrap();
        let found = replay(&expected);
        if std::env::var_os("REWRITE").is_some() {
            std::fs::write(&path, &found).unwrap();
        } else if found != expected {
            wrong.push(format!("{}:\n{}", path.display(), difference(&expected, &found)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// How long files are is the store's business.
fn without_size(line: &str) -> String {
    match line.split_once("Size=").or_else(|| line.split_once("_size: ")) {
        Some((name, size)) if size.parse().is_ok_and(|size: u64| size > 0) => format!("{name} size: some"),
        _ => line.to_owned(),
    }
}

fn difference(expected: &str, found: &str) -> String {
    let lines = expected.lines().zip(found.lines()).enumerate().find(|(_, (expected, found))| expected != found);
    match lines {
        Some((at, (expected, found))) => format!("line {}\nexpected: {expected}\nfound:    {found}", at + 1),
        None => format!("{} lines expected, {} found", expected.lines().count(), found.lines().count()),
    }
}

/// Does what the transcript says, and writes down what that leads to.
fn replay(text: &str) -> String {
    let mut stage = Stage { world: World::new(), clients: BTreeMap::new() };
    let mut out = String::new();
    for line in text.lines().filter(|line| line.starts_with('>') || line.starts_with('#') || line.is_empty()) {
        out.push_str(line);
        out.push('\n');
        if let Some(command) = line.strip_prefix('>') {
            let words: Vec<&str> = command.split_whitespace().collect();
            for told in stage.perform(&words) {
                // Empty lines are the reader's own.
                out.push_str(if told.is_empty() { "(empty)" } else { &told });
                out.push('\n');
            }
        }
    }
    out
}

struct Stage {
    world: World,
    clients: BTreeMap<String, Client>,
}

impl Stage {
    fn perform(&mut self, words: &[&str]) -> Vec<String> {
        let mut told = Vec::new();
        match words {
            ["set", name, value] => self.set(name, value),
            ["restart"] => {
                self.world.kill();
                self.clients.clear();
                self.world.start().unwrap();
            }
            ["advance", ms] => self.world.advance(ms.parse().unwrap()),
            ["hold-disk"] => self.world.disk_held = true,
            ["run-disk"] => {
                self.world.disk_held = false;
                self.world.run_disk();
            }
            ["word", word] => {
                let id = self.world.open();
                self.world.send(id, word.as_bytes());
                told.extend(self.world.text(id).lines().map(without_size));
                told.push(format!("closed: {}", self.world.socket(id).closed));
            }
            ["log"] => {
                told.extend(self.world.log.drain(..).map(|line| format!("{:?} {}", line.level, line.message)));
            }
            [name, "connect", options @ ..] => self.connect(name, options),
            [name, rest @ ..] => {
                let mut client = self.clients.remove(*name).unwrap_or_else(|| panic!("no client {name}"));
                client.send(&mut self.world, &request(rest));
                self.clients.insert((*name).to_owned(), client);
            }
            [] => {}
        }
        told.extend(self.told());
        told
    }

    fn set(&mut self, name: &str, value: &str) {
        let config = &mut self.world.config;
        match name {
            "words" => config.four_letter_words = value.to_owned(),
            "extended-types" => config.extended_types = value == "true",
            "container-interval" => config.container_check_interval_ms = value.parse().unwrap(),
            "super-digest" => config.super_digest = Some(value.to_owned()),
            _ => panic!("no setting {name}"),
        }
        self.world.kill();
        self.clients.clear();
        self.world.start().unwrap();
    }

    fn connect(&mut self, name: &str, options: &[&str]) {
        let mut hello = Hello::default();
        for option in options {
            match option.split_once('=').unwrap_or((option, "")) {
                ("timeout", ms) => hello.timeout_ms = ms.parse().unwrap(),
                ("zxid", zxid) => hello.last_zxid = zxid.parse().unwrap(),
                ("old", _) => hello.read_only = None,
                ("as", other) => {
                    let other = &self.clients[other];
                    (hello.session, hello.password) = (other.session, other.password.clone());
                }
                ("stolen", other) => hello.session = self.clients[other].session,
                ("unknown", _) => {
                    hello.session = 77;
                    hello.password = Bytes::copy_from_slice(&zk_proto::connect::session_password(77));
                }
                (option, _) => panic!("no option {option}"),
            }
        }
        let mut client = Client::open(&mut self.world);
        client.hello(&mut self.world, &hello);
        self.clients.insert(name.to_owned(), client);
    }

    /// What has come to each client, and who was cut off.
    fn told(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, client) in &mut self.clients {
            lines.extend(client.told(&mut self.world).into_iter().map(|line| format!("{name}: {line}")));
        }
        let closed: Vec<String> = self
            .clients
            .iter()
            .filter(|(_, client)| self.world.socket(client.id).closed)
            .map(|(name, _)| name.clone())
            .collect();
        for name in closed {
            lines.push(format!("{name}: closed"));
            // Its session and password may still be wanted.
            let gone = self.clients.remove(&name).unwrap();
            self.clients.insert(format!("{name}-gone"), gone);
        }
        lines.retain(|line| !line.contains("-gone: closed"));
        lines
    }
}

fn request(words: &[&str]) -> Request {
    let path = |path: &str| Str::from(path);
    let data = |data: &str| (data != "null").then(|| Bytes::copy_from_slice(data.trim_matches('"').as_bytes()));
    let read = |words: &[&str]| ReadRequest { path: path(words[0]), watch: words.get(1) == Some(&"watch") };
    let version = |words: &[&str], at: usize| words.get(at).map_or(-1, |version| version.parse().unwrap());
    let create = |words: &[&str]| CreateRequest {
        path: path(words[0]),
        data: data(words.get(1).unwrap_or(&"")),
        acl: words.get(3).map_or_else(|| vec![Acl::OPEN], |text| vec![acl(text)]),
        flags: words.get(2).map_or(0, |flags| flags.parse().unwrap()),
    };
    let paths = |words: &[&str], name: &str| {
        words.iter().filter_map(|word| word.strip_prefix(name)?.strip_prefix('=')).map(Str::from).collect::<Vec<_>>()
    };
    let (name, rest) = (words[0], &words[1..]);
    match name {
        "create" => Request::Create(create(rest)),
        "create2" => Request::Create2(create(rest)),
        "createContainer" => Request::CreateContainer(CreateRequest { flags: 4, ..create(rest) }),
        "createTTL" => {
            let CreateRequest { path, data, acl, .. } = create(&rest[..1]);
            Request::CreateTtl(CreateTtlRequest { path, data, acl, flags: 5, ttl_ms: rest[1].parse().unwrap() })
        }
        "delete" => Request::Delete(DeleteRequest { path: path(rest[0]), version: version(rest, 1) }),
        "deleteContainer" => Request::DeleteContainer(Bytes::copy_from_slice(rest[0].as_bytes())),
        "set" => {
            let data = data(rest[1]);
            Request::SetData(SetDataRequest { path: path(rest[0]), data, version: version(rest, 2) })
        }
        "setACL" => {
            Request::SetAcl(SetAclRequest { path: path(rest[0]), acl: vec![acl(rest[1])], version: version(rest, 2) })
        }
        "check" => Request::Check(CheckVersionRequest { path: path(rest[0]), version: version(rest, 1) }),
        "exists" => Request::Exists(read(rest)),
        "get" => Request::GetData(read(rest)),
        "ls" => Request::GetChildren(read(rest)),
        "ls2" => Request::GetChildren2(read(rest)),
        "getACL" => Request::GetAcl(PathRequest { path: path(rest[0]) }),
        "count" => Request::GetAllChildrenNumber(PathRequest { path: path(rest[0]) }),
        "ephemerals" => Request::GetEphemerals(PathRequest { path: path(rest[0]) }),
        "sync" => Request::Sync(PathRequest { path: path(rest[0]) }),
        "ping" => Request::Ping,
        "close" => Request::CloseSession,
        "multi" => Request::Multi(multi(rest)),
        "multiRead" => Request::MultiRead(multi(rest)),
        "addWatch" => Request::AddWatch(AddWatchRequest { path: path(rest[0]), mode: rest[1].parse().unwrap() }),
        "checkWatches" => Request::CheckWatches(watches(rest)),
        "removeWatches" => Request::RemoveWatches(watches(rest)),
        "auth" => Request::Auth(AuthRequest {
            auth_type: 0,
            scheme: path(rest[0]),
            auth: Bytes::copy_from_slice(rest[1].as_bytes()),
        }),
        "sasl" => Request::Sasl(SaslRequest { token: Bytes::from_static(b"token") }),
        "reconfig" => Request::Reconfig(ReconfigRequest {
            joining_servers: None,
            leaving_servers: None,
            new_members: None,
            current_config_id: -1,
        }),
        "setWatches" => Request::SetWatches2(SetWatches2Request {
            relative_zxid: rest[0].parse().unwrap(),
            data_watches: paths(rest, "data"),
            exist_watches: paths(rest, "exist"),
            child_watches: paths(rest, "child"),
            persistent_watches: paths(rest, "persistent"),
            persistent_recursive_watches: paths(rest, "recursive"),
        }),
        _ => panic!("no request {name}"),
    }
}

fn watches(words: &[&str]) -> WatchesRequest {
    WatchesRequest { path: Str::from(words[0]), watcher_type: words[1].parse().unwrap() }
}

/// `perms:scheme:id`.
fn acl(text: &str) -> Acl {
    let mut parts = text.splitn(3, ':');
    let perms = Perms(parts.next().unwrap().parse().unwrap());
    let (scheme, id) = (Str::from(parts.next().unwrap()), Str::from(parts.next().unwrap()));
    Acl { perms, id: Id { scheme, id } }
}

/// Parts between `;`.
fn multi(words: &[&str]) -> Multi {
    let ops = words.split(|word| *word == ";").map(|part| match request(part) {
        Request::Create(body) => Op::Create(body),
        Request::Create2(body) => Op::Create2(body),
        Request::CreateContainer(body) => Op::CreateContainer(body),
        Request::CreateTtl(body) => Op::CreateTtl(body),
        Request::Delete(body) => Op::Delete(body),
        Request::SetData(body) => Op::SetData(body),
        Request::Check(body) => Op::Check(body),
        Request::GetData(body) => Op::GetData(body),
        Request::GetChildren(body) => Op::GetChildren(body),
        other => panic!("no part of a multi: {other:?}"),
    });
    Multi { ops: ops.collect() }
}
