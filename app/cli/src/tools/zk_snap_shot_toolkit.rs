//! `zkSnapShotToolkit.sh` (`org.apache.zookeeper.server.SnapshotFormatter`): the content of a snapshot file.
//!
//! Children and sessions come in the order of the original's hash tables, so that the output of both can be compared.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base::Str;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use zk_proto::snapshot::{NodeRecord, SessionRecord};
use zk_proto::{Acl, StatPersisted};
use zk_store::{Compression, SnapshotDigest, SnapshotSink, read_snapshot_from};

use crate::console::{Console, Stop};
use crate::java;

const INVALID_INVOCATION: i32 = 2;
const USAGE: &str = "USAGE: SnapshotFormatter [-d|-json] snapshot_file\n       -d dump the data for each znode\n       -json dump znode info in json format\n";
/// Slots of the original's table of a node's children, before it grows.
const CHILDREN_SLOTS: u32 = 8;
/// The number in front of the first node's.
const INODE: u64 = 1000;

/// Runs the command.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let (mut data, mut json, mut rest) = (false, false, arguments.iter());
    let mut file = None;
    for argument in rest.by_ref() {
        match argument.to_str() {
            Some("-d") => data = true,
            Some("-json") => json = true,
            _ => {
                file = Some(Path::new(argument));
                break;
            }
        }
    }
    let Some(file) = file.filter(|_| rest.len() == 0) else { return Err(refusal(USAGE)) };
    check(file)?;
    if data && json {
        return Err(refusal("Cannot specify both data dump (-d) and json mode (-json) in same call\n"));
    }
    let tree = read(file)?;
    match json {
        true => tree.print_json(console),
        false => tree.print(data, zxid_of(file), console),
    }
    Ok(0)
}

fn refusal(text: &str) -> Stop {
    Stop { code: INVALID_INVOCATION, out: String::new(), err: text.to_owned() }
}

/// `ZKUtil.validateFileInput`
fn check(file: &Path) -> Result<(), Stop> {
    let name = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let name = name.display();
    if !file.exists() {
        return Err(refusal(&format!("File '{name}' does not exist.\n")));
    }
    if file.is_dir() {
        return Err(refusal(&format!("'{name}' is a direcory. it must be a file.\n")));
    }
    match File::open(file) {
        Ok(_) => Ok(()),
        Err(_) => Err(refusal(&format!("Read permission is denied on the file '{name}'\n"))),
    }
}

/// What the name says that the snapshot stands for; -1 if it says nothing.
fn zxid_of(file: &Path) -> i64 {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut parts = name.split('.');
    match (parts.next(), parts.next()) {
        (Some("snapshot"), Some(digits)) => i64::from_str_radix(digits, 16).unwrap_or(-1),
        _ => -1,
    }
}

fn read(file: &Path) -> Result<Tree, Stop> {
    let compression = match file.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => Compression::Gzip,
        Some("snappy") => Compression::Snappy,
        _ => Compression::None,
    };
    let thrown = |message: String| Stop::uncaught("java.io.IOException", message);
    let source = File::open(file).map_err(|error| thrown(error.to_string()))?;
    let mut tree = Tree::default();
    let read = read_snapshot_from(BufReader::new(source), file, 0, compression, &mut tree);
    read.map_err(|error| thrown(error.to_string()))?;
    match tree.nodes.is_empty() {
        true => Err(thrown(format!("{} has no root", file.display()))),
        false => Ok(tree),
    }
}

/// The content of a file: the root first, parents before children.
#[derive(Default)]
struct Tree {
    sessions: Vec<SessionRecord>,
    nodes: Vec<Node>,
    places: HashMap<Str, usize>,
    ephemerals: HashMap<i64, usize>,
}

struct Node {
    /// The path; of the root nothing.
    path: Str,
    data: Option<Bytes>,
    stat: StatPersisted,
    /// Places of the children.
    children: Vec<usize>,
}

impl SnapshotSink for Tree {
    fn begin(&mut self, _: i64) {}

    fn session(&mut self, session: SessionRecord) {
        self.sessions.push(session);
    }

    fn acl(&mut self, _: i64, _: Vec<Acl>) {}

    fn node(&mut self, node: NodeRecord) -> Result<(), String> {
        let NodeRecord { path, data, stat, .. } = node;
        let place = self.nodes.len();
        if let Some((parent, _)) = path.rsplit_once('/') {
            let parent_node = self.places.get(parent).and_then(|place| self.nodes.get_mut(*place));
            let unknown = || format!("Invalid Datatree, unable to find parent {parent} of path {path}");
            parent_node.ok_or_else(unknown)?.children.push(place);
        }
        if stat.ephemeral_owner != 0 {
            *self.ephemerals.entry(stat.ephemeral_owner).or_default() += 1;
        }
        self.places.insert(path.clone(), place);
        self.nodes.push(Node { path, data, stat, children: Vec::new() });
        Ok(())
    }

    fn end(&mut self, _: Option<SnapshotDigest>) {}
}

impl Node {
    fn path(&self) -> &str {
        if self.path.is_empty() { "/" } else { &self.path }
    }

    fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or("/", |(_, name)| name)
    }

    fn len(&self) -> usize {
        self.data.as_ref().map_or(0, Bytes::len)
    }

    fn text(&self, with_data: bool) -> String {
        let stat = &self.stat;
        let data = match with_data {
            true => format!("data = {}", STANDARD.encode(self.data.as_deref().unwrap_or_default())),
            false => format!("dataLength = {}", self.len()),
        };
        format!(
            "----\n{}\n  cZxid = {:#016x}\n  ctime = {}\n  mZxid = {:#016x}\n  mtime = {}\n  pZxid = {:#016x}\n  \
             cversion = {}\n  dataVersion = {}\n  aclVersion = {}\n  ephemeralOwner = {:#016x}\n  {data}",
            self.path(),
            stat.czxid,
            java::date(stat.ctime),
            stat.mzxid,
            java::date(stat.mtime),
            stat.pzxid,
            stat.cversion,
            stat.version,
            stat.aversion,
            stat.ephemeral_owner,
        )
    }
}

impl Tree {
    /// Places of a node's children, in the order in which the original goes through them.
    fn children(&self, node: &Node) -> Vec<usize> {
        let hash = |place: &usize| self.nodes.get(*place).map_or(0, |child| java::string_hash(child.name()));
        java::hash_order_from(CHILDREN_SLOTS, node.children.clone(), hash)
    }

    fn print(&self, with_data: bool, named_zxid: i64, console: &mut Console<'_>) {
        // The original counts the root by both of its names.
        console.line(format_args!("ZNode Details (count={}):", self.nodes.len() + 1));
        let (mut last_zxid, mut ahead) = (named_zxid, vec![0]);
        while let Some(node) = ahead.pop().and_then(|place| self.nodes.get(place)) {
            console.line(node.text(with_data));
            last_zxid = last_zxid.max(node.stat.mzxid).max(node.stat.pzxid);
            ahead.extend(self.children(node).into_iter().rev());
        }
        console.line("----\nSession Details (sid, timeout, ephemeralCount):");
        let hash = |session: &SessionRecord| (session.id ^ (session.id.cast_unsigned() >> 32).cast_signed()) as u32;
        for session in java::hash_order_by(self.sessions.clone(), hash) {
            let count = self.ephemerals.get(&session.id).copied().unwrap_or(0);
            console.line(format_args!("{:#016x}, {}, {count}", session.id, session.timeout_ms));
        }
        console.line(format_args!("----\nLast zxid: {last_zxid:#x}"));
    }

    /// As `ncdu` reads it, without a line's end.
    fn print_json(&self, console: &mut Console<'_>) {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let head = "{\"progname\":\"SnapshotFormatter.java\",\"progver\":\"0.01\",\"timestamp\":";
        let _ = write!(console.out, "[1,0,{head}{now_ms}}}");
        let mut inode = INODE;
        let mut ahead = vec![Some(0)];
        while let Some(next) = ahead.pop() {
            // The end of a folder.
            let Some(place) = next else {
                let _ = console.out.write_all(b"]");
                continue;
            };
            let Some(node) = self.nodes.get(place) else { continue };
            inode += 1;
            let (name, len) = (json_escaped(node.name()), node.len());
            let open = if node.children.is_empty() { "," } else { ",[" };
            let _ = write!(
                console.out,
                "{open}{{\"name\":\"{name}\",\"asize\":{len},\"dsize\":{len},\"dev\":0,\"ino\":{inode}}}"
            );
            if !node.children.is_empty() {
                ahead.push(None);
                ahead.extend(self.children(node).into_iter().rev().map(Some));
            }
        }
        let _ = console.out.write_all(b"]");
    }
}

/// `JSONValue.escape` of json-simple.
fn json_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '/' => escaped.push_str("\\/"),
            '\u{8}' => escaped.push_str("\\b"),
            '\u{c}' => escaped.push_str("\\f"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2000}'..='\u{20ff}' => {
                let _ = write!(escaped, "\\u{:04X}", u32::from(character));
            }
            other => escaped.push(other),
        }
    }
    escaped
}
