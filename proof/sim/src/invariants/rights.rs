//! Nobody does what an access control list forbids, and nobody is kept from what it allows: each answer is held against the lists as they
//! were at its place in the one history, by a tree of its own that this history gives. At the end all servers have the same lists.

use std::collections::{BTreeMap, BTreeSet};

use base::Str;
use bytes::Bytes;
use zk_proto::multi::{Op, OpResult};
use zk_proto::requests::Request;
use zk_proto::responses::Response;
use zk_proto::{Acl, ErrorCode, Id, Perms, Txn, TxnEntry};
use zk_tree::Tree;

use super::Verdict;
use super::read_only::COUNTER;
use crate::client::guarded::{self, GUARDED, User};
use crate::settings::ServerId;

/// An answer about a guarded node.
pub(crate) struct Look {
    pub(crate) zxid: i64,
    /// Whether it took a place of its own in history.
    pub(crate) writes: bool,
    /// Who asked, in the order in which it came to be them.
    pub(crate) users: Vec<User>,
    pub(crate) request: Request,
    pub(crate) error: ErrorCode,
    pub(crate) response: Option<Response>,
}

#[derive(Default)]
pub(crate) struct Rights {
    looks: Vec<Look>,
}

impl Rights {
    /// Whether the answer is one that lists decide, and none about its session.
    pub(crate) fn looked(&mut self, look: Look) -> bool {
        use ErrorCode::{BadVersion, InvalidAcl, NoAuth, NoNode, NodeExists, NotEmpty, Ok as Fine};
        let counts = matches!(look.error, Fine | NoNode | NoAuth | BadVersion | NodeExists | NotEmpty | InvalidAcl);
        if counts {
            self.looks.push(look);
        }
        counts
    }

    /// Holds all answers against the whole history, and the lists that it ends with against those of the trees.
    pub(crate) fn finish(&mut self, history: &BTreeMap<i64, TxnEntry>, trees: &BTreeMap<ServerId, Tree>) -> Verdict {
        self.looks.sort_by_key(|look| (look.zxid, !look.writes));
        let mut model = Model::default();
        let mut txns = history.iter().peekable();
        for look in &self.looks {
            // A read of what was never committed has no place.
            if !look.writes && look.zxid & COUNTER != 0 && !history.contains_key(&look.zxid) {
                continue;
            }
            let before = if look.writes { look.zxid - 1 } else { look.zxid };
            while let Some((_, entry)) = txns.next_if(|(zxid, _)| **zxid <= before) {
                model.apply(&entry.txn);
            }
            let told = model.check(look);
            let told = told.and_then(|()| look.check_list(history.get(&look.zxid).map(|entry| &entry.txn)));
            told.map_err(|how| format!("{:?} of {:?} at {:x}: {how}", look.request, look.users, look.zxid))?;
        }
        txns.for_each(|(_, entry)| model.apply(&entry.txn));
        let lists: Lists = model.nodes.into_iter().map(|(path, node)| (path, (node.acl, node.aversion))).collect();
        for (server, tree) in trees {
            let found = lists_of(tree);
            if found != lists {
                return Err(format!("server {server} has the lists {found:?}, by history they are {lists:?}"));
            }
        }
        Ok(())
    }
}

impl Look {
    /// The list that was asked for is the one that a transaction sets.
    fn check_list(&self, txn: Option<&Txn>) -> Result<(), String> {
        match (&self.request, txn) {
            _ if self.error != ErrorCode::Ok => Ok(()),
            (Request::SetAcl(asked), Some(Txn::SetAcl(set))) => same(&fixed(&asked.acl, &self.users), &set.acl),
            (Request::Create(asked), Some(Txn::Create(made))) => same(&fixed(&asked.acl, &self.users), &made.acl),
            (Request::SetAcl(_) | Request::Create(_), other) => Err(format!("in history it is {other:?}")),
            _ => Ok(()),
        }
    }
}

type Lists = BTreeMap<Str, (Vec<Acl>, i32)>;

fn lists_of(tree: &Tree) -> Lists {
    let children = |path: &str| -> Vec<Str> {
        let names = tree.get(path).into_iter().flat_map(|node| node.children());
        names.map(|name| Str::from(format!("{path}/{name}"))).collect()
    };
    let paths = GUARDED.iter().flat_map(|path| children(path).into_iter().chain([Str::from_static(path)]));
    let list = |path: Str| tree.get(&path).map(|node| (path.clone(), (node.acl().to_vec(), node.stat().aversion)));
    paths.filter_map(list).collect()
}

/// All servers have the same lists, whatever they are.
pub(crate) fn trees(trees: &BTreeMap<ServerId, Tree>) -> Verdict {
    let Some((first_of, first)) = trees.first_key_value() else { return Ok(()) };
    let wanted = lists_of(first);
    match trees.iter().find(|(_, tree)| lists_of(tree) != wanted) {
        Some((server, tree)) => {
            let found = lists_of(tree);
            Err(format!("server {server} has the lists {found:?}, server {first_of} {wanted:?}"))
        }
        None => Ok(()),
    }
}

struct Node {
    acl: Vec<Acl>,
    aversion: i32,
    version: i32,
    data: Option<Bytes>,
}

/// The guarded nodes, as a history gives them.
#[derive(Default)]
struct Model {
    nodes: BTreeMap<Str, Node>,
}

impl Model {
    fn apply(&mut self, txn: &Txn) {
        match txn {
            Txn::Create(create) if GUARDED.iter().any(|node| create.path.starts_with(node)) => {
                let (acl, data) = (create.acl.clone(), create.data.clone());
                self.nodes.insert(create.path.clone(), Node { acl, aversion: 0, version: 0, data });
            }
            Txn::Delete(delete) => {
                self.nodes.remove(&delete.path);
            }
            Txn::SetData(set) => {
                if let Some(node) = self.nodes.get_mut(&set.path) {
                    (node.data, node.version) = (set.data.clone(), set.version);
                }
            }
            Txn::SetAcl(set) => {
                if let Some(node) = self.nodes.get_mut(&set.path) {
                    (node.acl, node.aversion) = (set.acl.clone(), set.version);
                }
            }
            Txn::Multi(parts) if !parts.iter().any(|part| matches!(part, Txn::Error(_))) => {
                parts.iter().for_each(|part| self.apply(part));
            }
            _ => {}
        }
    }

    fn node(&self, path: &str) -> Result<&Node, ErrorCode> {
        self.nodes.get(path).ok_or(ErrorCode::NoNode)
    }

    fn children(&self, path: &str) -> BTreeSet<&str> {
        self.nodes.keys().filter_map(|child| child.strip_prefix(path)?.strip_prefix('/')).collect()
    }

    /// Whether users may do something to a node that is there.
    fn allowed(&self, path: &str, perms: Perms, users: &[User]) -> Result<&Node, ErrorCode> {
        let node = self.node(path)?;
        match allows(&node.acl, perms, users) {
            true => Ok(node),
            false => Err(ErrorCode::NoAuth),
        }
    }

    /// The parent allows it; `/` allows everything.
    fn parent_allows(&self, path: &str, perms: Perms, users: &[User]) -> Result<(), ErrorCode> {
        match path.rsplit_once('/') {
            Some((parent, _)) if !parent.is_empty() => self.allowed(parent, perms, users).map(|_| ()),
            _ => Ok(()),
        }
    }

    fn check(&self, look: &Look) -> Result<(), String> {
        if let (Request::Multi(multi), Some(Response::Multi(answer))) = (&look.request, &look.response) {
            let wanted = multi.ops.iter().find_map(|op| self.of_part(op, &look.users).err());
            let told = answer.results.iter().find_map(|result| match result {
                OpResult::Error(part) => ErrorCode::from_code(part.err).filter(|error| *error != ErrorCode::Ok),
                _ => None,
            });
            return same(&wanted, &told);
        }
        let wanted = self.wanted(&look.request, &look.users).err().unwrap_or(ErrorCode::Ok);
        same(&wanted, &look.error)?;
        match &look.response {
            Some(response) => self.check_answer(&look.request, &look.users, response),
            None => Ok(()),
        }
    }

    fn of_part(&self, op: &Op, users: &[User]) -> Result<(), ErrorCode> {
        match op {
            Op::SetData(set) => self.wanted(&Request::SetData(set.clone()), users),
            _ => Ok(()),
        }
    }

    /// What a request is to be answered.
    fn wanted(&self, request: &Request, users: &[User]) -> Result<(), ErrorCode> {
        let versions = |current: i32, expected: i32| match expected == -1 || expected == current {
            true => Ok(()),
            false => Err(ErrorCode::BadVersion),
        };
        match request {
            Request::GetData(read) | Request::GetChildren(read) => {
                self.allowed(&read.path, Perms::READ, users).map(|_| ())
            }
            Request::GetAcl(read) => self.allowed(&read.path, Perms::READ | Perms::ADMIN, users).map(|_| ()),
            Request::Exists(read) => self.node(&read.path).map(|_| ()),
            Request::SetData(set) => {
                let node = self.allowed(&set.path, Perms::WRITE, users)?;
                versions(node.version, set.version)
            }
            Request::SetAcl(set) => {
                own(&set.acl, users)?;
                let node = self.allowed(&set.path, Perms::ADMIN, users)?;
                versions(node.aversion, set.version)
            }
            Request::Create(create) => {
                own(&create.acl, users)?;
                self.parent_allows(&create.path, Perms::CREATE, users)?;
                self.node(&create.path).map_or(Ok(()), |_| Err(ErrorCode::NodeExists))
            }
            Request::Delete(delete) => {
                self.parent_allows(&delete.path, Perms::DELETE, users)?;
                versions(self.node(&delete.path)?.version, delete.version)?;
                if self.children(&delete.path).is_empty() { Ok(()) } else { Err(ErrorCode::NotEmpty) }
            }
            _ => Ok(()),
        }
    }

    /// What an answer without an error says.
    fn check_answer(&self, request: &Request, users: &[User], response: &Response) -> Result<(), String> {
        match (request, response) {
            (Request::GetData(read), Response::GetData(answer)) => {
                let node = self.node(&read.path).map_err(|error| error.to_string())?;
                let told = (&answer.data, answer.stat.version, answer.stat.aversion);
                same(&(&node.data, node.version, node.aversion), &told)
            }
            (Request::GetAcl(read), Response::GetAcl(answer)) => {
                let node = self.node(&read.path).map_err(|error| error.to_string())?;
                let acl = if allows(&node.acl, Perms::ADMIN, users) { node.acl.clone() } else { masked(&node.acl) };
                same(&(&acl, node.aversion), &(&answer.acl, answer.stat.aversion))
            }
            (Request::GetChildren(read), Response::GetChildren(answer)) => {
                same(&self.children(&read.path), &answer.children.iter().map(|name| &**name).collect())
            }
            (Request::SetAcl(set), Response::Stat(answer)) => {
                let node = self.node(&set.path).map_err(|error| error.to_string())?;
                same(&(node.aversion + 1), &answer.stat.aversion)
            }
            _ => Ok(()),
        }
    }
}

fn same<T: PartialEq + std::fmt::Debug>(wanted: &T, told: &T) -> Result<(), String> {
    match wanted == told {
        true => Ok(()),
        false => Err(format!("it is {wanted:?} by history, and was told to be {told:?}")),
    }
}

fn is_anyone(id: &Id) -> bool {
    id.scheme == "world"
}

fn allows(acl: &[Acl], perms: Perms, users: &[User]) -> bool {
    let ids: Vec<Id> = users.iter().map(|user| guarded::id(*user)).collect();
    acl.iter().any(|entry| entry.perms.intersects(perms) && (is_anyone(&entry.id) || ids.contains(&entry.id)))
}

/// `auth` stands for whoever asks, who has to be somebody then.
fn own(acl: &[Acl], users: &[User]) -> Result<(), ErrorCode> {
    match users.is_empty() && acl.iter().any(|entry| entry.id.scheme == "auth") {
        true => Err(ErrorCode::InvalidAcl),
        false => Ok(()),
    }
}

/// A list with those for whom `auth` stands in it, and no entry twice.
fn fixed(acl: &[Acl], users: &[User]) -> Vec<Acl> {
    let own = |perms: Perms| users.iter().map(move |user| Acl { perms, id: guarded::id(*user) });
    let entry = |entry: &Acl| match &*entry.id.scheme {
        "auth" => own(entry.perms).collect(),
        _ => vec![entry.clone()],
    };
    let once = acl.iter().enumerate().filter(|(index, entry)| acl.iter().position(|one| one == *entry) == Some(*index));
    once.flat_map(|(_, asked)| entry(asked)).collect()
}

fn masked(acl: &[Acl]) -> Vec<Acl> {
    let mask = |entry: &Acl| match entry.id.id.split_once(':') {
        Some((name, _)) => {
            Acl { perms: entry.perms, id: Id { scheme: entry.id.scheme.clone(), id: Str::from(format!("{name}:x")) } }
        }
        None => entry.clone(),
    };
    acl.iter().map(mask).collect()
}
