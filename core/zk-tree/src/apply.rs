//! From a transaction to state and events (`DataTree.processTxn`).
//!
//! Applying is idempotent: a snapshot is taken while transactions go on, so those that it already holds are applied to it
//! again. What fails then (no such node, node exists) is of no harm.

use base::Str;
use zk_proto::txn::{CloseSessionTxn, CreateTxn, TxnHeader};
use zk_proto::{Acl, EphemeralType, ErrorCode, OpCode, Stat, StatPersisted, Txn};

use crate::tree::{Touched, Tree, TreeEvent, client_stat};

/// The outcome of a transaction, from which the reply is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnResult {
    /// What was done; `Error` for one that failed.
    pub op: OpCode,
    /// 0, or an [`ErrorCode`].
    pub err: i32,
    /// The node it was about.
    pub path: Option<Str>,
    /// The node's metadata behind it.
    pub stat: Option<Stat>,
    /// The parts of a multi.
    pub parts: Vec<TxnResult>,
}

/// A node to be made.
struct Creation<'a> {
    path: &'a Str,
    data: Option<&'a [u8]>,
    acl: &'a [Acl],
    parent_cversion: i32,
    owner: i64,
}

impl Tree {
    /// Applies a transaction, appends what happened to `events` in order, and moves the newest zxid.
    pub fn apply(&mut self, header: &TxnHeader, txn: &Txn, events: &mut Vec<TreeEvent>) -> TxnResult {
        let result = match txn {
            Txn::Multi(parts) => self.apply_multi(header, parts, events),
            txn => self.apply_part(header, txn, events),
        };
        self.last_zxid = self.last_zxid.max(header.zxid);
        result
    }

    /// All parts, or none if one of them is an error.
    fn apply_multi(&mut self, header: &TxnHeader, parts: &[Txn], events: &mut Vec<TreeEvent>) -> TxnResult {
        let mut result = TxnResult { op: OpCode::Multi, err: 0, path: None, stat: None, parts: Vec::new() };
        let failed = parts.iter().position(|part| matches!(part, Txn::Error(_)));
        for (at, part) in parts.iter().enumerate() {
            let part_result = match (failed, part) {
                (Some(first), part) if !matches!(part, Txn::Error(_)) => {
                    let code = if at < first { ErrorCode::Ok } else { ErrorCode::RuntimeInconsistency };
                    failure(code.code())
                }
                (_, part) => self.apply_part(header, part, events),
            };
            if result.err == 0 {
                result.err = part_result.err;
            }
            result.parts.push(part_result);
        }
        result
    }

    fn apply_part(&mut self, header: &TxnHeader, txn: &Txn, events: &mut Vec<TreeEvent>) -> TxnResult {
        let mut result = TxnResult { op: txn.op(), err: 0, path: None, stat: None, parts: Vec::new() };
        let done = match txn {
            Txn::Create(create) | Txn::Create2(create) => {
                result.path = Some(create.path.clone());
                let stat = self.create(header, &creation(create, header), events);
                if matches!(txn, Txn::Create(_)) { stat.map(|_| None) } else { stat.map(Some) }
            }
            Txn::CreateContainer(create) => {
                result.path = Some(create.path.clone());
                let creation = Creation {
                    path: &create.path,
                    data: create.data.as_deref(),
                    acl: &create.acl,
                    parent_cversion: create.parent_cversion,
                    owner: EphemeralType::container_owner(),
                };
                self.create(header, &creation, events).map(Some)
            }
            Txn::CreateTtl(create) => {
                result.path = Some(create.path.clone());
                EphemeralType::ttl_owner(create.ttl_ms).ok_or(ErrorCode::BadArguments).and_then(|owner| {
                    let creation = Creation {
                        path: &create.path,
                        data: create.data.as_deref(),
                        acl: &create.acl,
                        parent_cversion: create.parent_cversion,
                        owner,
                    };
                    self.create(header, &creation, events).map(Some)
                })
            }
            Txn::Delete(delete) | Txn::DeleteContainer(delete) => {
                result.path = Some(delete.path.clone());
                self.delete(&delete.path, header.zxid, events).map(|()| None)
            }
            Txn::SetData(set) | Txn::Reconfig(set) => {
                result.path = Some(set.path.clone());
                self.set_data(&set.path, set.data.as_deref(), set.version, header, events).map(Some)
            }
            Txn::SetAcl(set) => {
                result.path = Some(set.path.clone());
                self.set_acl(&set.path, &set.acl, set.version, header.zxid).map(Some)
            }
            Txn::Check(check) => {
                result.path = Some(check.path.clone());
                Ok(None)
            }
            Txn::CreateSession(create) => {
                self.sessions.insert(header.session_id, create.timeout_ms);
                Ok(None)
            }
            Txn::CloseSession(close) => {
                self.close_session(header, close.as_ref(), events);
                Ok(None)
            }
            Txn::Error(error) => {
                result.err = error.err;
                Ok(None)
            }
            // Parts are never multis: the decoder refuses them.
            Txn::Multi(_) => Err(ErrorCode::Unimplemented),
        };
        match done {
            Ok(stat) => result.stat = stat,
            Err(error) => result.err = error.code(),
        }
        result
    }

    fn create(
        &mut self,
        header: &TxnHeader,
        creation: &Creation<'_>,
        events: &mut Vec<TreeEvent>,
    ) -> Result<Stat, ErrorCode> {
        let (parent_path, name) = zk_proto::path::split(creation.path).ok_or(ErrorCode::BadArguments)?;
        let parent = self.nodes.find(parent_path).ok_or(ErrorCode::NoNode)?;
        let exists = creation.path == "/" || self.nodes.child(parent, name).is_some();
        self.update(parent, |stat| {
            let next = stat.cversion.wrapping_add(1);
            let cversion = if creation.parent_cversion == -1 { next } else { creation.parent_cversion };
            // Only ever upwards: a creation that is applied again must not take back what came after it.
            if cversion > stat.cversion {
                (stat.cversion, stat.pzxid) = (cversion, header.zxid);
            }
        });
        if exists {
            return Err(ErrorCode::NodeExists);
        }
        let stat = StatPersisted {
            czxid: header.zxid,
            mzxid: header.zxid,
            ctime: header.time_ms,
            mtime: header.time_ms,
            ephemeral_owner: creation.owner,
            pzxid: header.zxid,
            ..StatPersisted::default()
        };
        let acl = self.acls.add(creation.acl);
        let id = self.insert(parent, creation.path, name, creation.data, stat, acl);
        events.push(TreeEvent::Created(self.touched(id, creation.path.clone())));
        // As the node was made: if it is the statistics of a quota, they are counted anew at once.
        let length = creation.data.map_or(0, <[u8]>::len);
        self.quota_after_create(creation.path, length, events);
        Ok(client_stat(&stat, self.kind(&stat), length, 0))
    }

    fn delete(&mut self, path: &Str, zxid: i64, events: &mut Vec<TreeEvent>) -> Result<(), ErrorCode> {
        let (parent_path, name) = zk_proto::path::split(path).ok_or(ErrorCode::BadArguments)?;
        let parent = self.nodes.find(parent_path).ok_or(ErrorCode::NoNode)?;
        // The child may be gone already when a snapshot is brought up to date; its parent must hear of it all the same.
        if zxid > self.nodes.get(parent).stat().pzxid {
            self.update(parent, |stat| stat.pzxid = zxid);
        }
        let id = self.nodes.child(parent, name).ok_or(ErrorCode::NoNode)?;
        if self.nodes.get(id).child_count() > 0 {
            // No leader writes this; a corrupt log might.
            return Err(ErrorCode::NotEmpty);
        }
        let touched = Touched { data_length: 0, ..self.touched(id, path.clone()) };
        let node = self.remove(id, path);
        self.quota_after_delete(path, node.data_length(), events);
        events.push(TreeEvent::Deleted(touched));
        Ok(())
    }

    fn set_data(
        &mut self,
        path: &Str,
        data: Option<&[u8]>,
        version: i32,
        header: &TxnHeader,
        events: &mut Vec<TreeEvent>,
    ) -> Result<Stat, ErrorCode> {
        let id = self.nodes.find(path).ok_or(ErrorCode::NoNode)?;
        let (before, children) = (self.nodes.get(id).data_length(), self.nodes.get(id).child_count());
        let stat = self.set(id, path, data, |stat| {
            (stat.mtime, stat.mzxid, stat.version) = (header.time_ms, header.zxid, version);
        });
        let length = data.map_or(0, <[u8]>::len);
        self.quota_after_set(path, length as i64 - before as i64, events);
        events.push(TreeEvent::DataChanged(self.touched(id, path.clone())));
        Ok(client_stat(&stat, self.kind(&stat), length, children))
    }

    fn set_acl(&mut self, path: &str, acl: &[Acl], version: i32, zxid: i64) -> Result<Stat, ErrorCode> {
        let id = self.nodes.find(path).ok_or(ErrorCode::NoNode)?;
        let before = self.nodes.get(id).acl();
        self.walks.before_acl_change(id, before, zxid);
        let after = self.acls.add(acl);
        self.acls.remove(before);
        self.nodes.get_mut(id).set_acl(after);
        self.update(id, |stat| stat.aversion = version);
        Ok(self.get(path).expect("found above").stat())
    }

    /// Deletes the nodes that the transaction names, then those that only this tree knows of.
    fn close_session(&mut self, header: &TxnHeader, close: Option<&CloseSessionTxn>, events: &mut Vec<TreeEvent>) {
        self.sessions.remove(&header.session_id);
        // A node that is gone already is of no harm.
        for path in close.into_iter().flat_map(|close| &close.paths_to_delete) {
            let _ = self.delete(path, header.zxid, events);
        }
        for path in self.ephemerals(header.session_id) {
            let _ = self.delete(&Str::from(path), header.zxid, events);
        }
        self.ephemerals.remove(&header.session_id);
    }
}

fn creation<'a>(create: &'a CreateTxn, header: &TxnHeader) -> Creation<'a> {
    Creation {
        path: &create.path,
        data: create.data.as_deref(),
        acl: &create.acl,
        parent_cversion: create.parent_cversion,
        owner: if create.ephemeral { header.session_id } else { 0 },
    }
}

const fn failure(err: i32) -> TxnResult {
    TxnResult { op: OpCode::Error, err, path: None, stat: None, parts: Vec::new() }
}
