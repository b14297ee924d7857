//! Creation of nodes: `create`, `create2`, `createContainer`, `createTTL`, alone and in a multi.

use base::Str;
use zk_proto::path;
use zk_proto::requests::{CreateRequest, CreateTtlRequest};
use zk_proto::txn::{CreateContainerTxn, CreateTtlTxn, CreateTxn};
use zk_proto::{Acl, CreateMode, EphemeralType, ErrorCode, OpCode, Perms, StatPersisted, Txn};

use super::{Record, Turn, validate};

/// A node to be made, whatever asks for it.
struct Wanted<'a> {
    op: OpCode,
    path: &'a Str,
    data: Option<&'a bytes::Bytes>,
    acl: &'a [Acl],
    mode: CreateMode,
    /// −1: none.
    ttl_ms: i64,
}

impl Turn<'_> {
    pub(super) fn create(&mut self, op: OpCode, body: &CreateRequest) -> Result<Txn, ErrorCode> {
        let mode = CreateMode::from_code(body.flags).ok_or(ErrorCode::BadArguments)?;
        let CreateRequest { path, data, acl, .. } = body;
        self.make(&Wanted { op, path, data: data.as_ref(), acl, mode, ttl_ms: -1 })
    }

    pub(super) fn create_ttl(&mut self, body: &CreateTtlRequest) -> Result<Txn, ErrorCode> {
        let mode = CreateMode::from_code(body.flags).ok_or(ErrorCode::BadArguments)?;
        let CreateTtlRequest { path, data, acl, ttl_ms, .. } = body;
        self.make(&Wanted { op: OpCode::CreateTtl, path, data: data.as_ref(), acl, mode, ttl_ms: *ttl_ms })
    }

    /// In a multi the flags alone say the kind: there is no `create2`, and a TTL node needs its own op.
    pub(super) fn create_part(&mut self, body: &CreateRequest) -> Result<Txn, ErrorCode> {
        match CreateMode::from_code(body.flags) {
            Some(mode) if mode.is_ttl() => Err(ErrorCode::MarshallingError),
            Some(CreateMode::Container) => self.create(OpCode::CreateContainer, body),
            _ => self.create(OpCode::Create, body),
        }
    }

    pub(super) fn create_ttl_part(&mut self, body: &CreateTtlRequest) -> Result<Txn, ErrorCode> {
        if CreateMode::from_code(body.flags).is_some_and(CreateMode::is_ttl) {
            return self.create_ttl(body);
        }
        let CreateTtlRequest { path, data, acl, flags, .. } = body.clone();
        self.create_part(&CreateRequest { path, data, acl, flags })
    }

    fn make(&mut self, wanted: &Wanted<'_>) -> Result<Txn, ErrorCode> {
        self.check_kind(wanted)?;
        let parent_path = match path::split(wanted.path) {
            Some((parent, _)) if !wanted.path.contains('\0') => Str::copied(parent),
            _ => return Err(ErrorCode::BadArguments),
        };
        let acl = self.prep.settings.auth.fix_acl(wanted.acl, self.write.ids)?;
        let mut parent = self.record(&parent_path)?;
        self.check_acl(&parent.acl, Perms::CREATE)?;
        let path = match wanted.mode.is_sequential() {
            true => Str::from(format!("{}{}", wanted.path, suffix(parent.stat.cversion))),
            false => wanted.path.clone(),
        };
        validate(&path)?;
        if self.record(&path).is_ok() {
            return Err(ErrorCode::NodeExists);
        }
        if matches!(self.tree.kind(&parent.stat), EphemeralType::Normal(_)) {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        parent.child_count += 1;
        parent.stat.cversion = parent.stat.cversion.wrapping_add(1);
        parent.stat.pzxid = self.header.zxid;
        let parent_cversion = parent.stat.cversion;
        self.change(&parent_path, Some(parent));
        let (txn, owner) = self.creation(wanted, path.clone(), acl.clone(), parent_cversion)?;
        let stat = StatPersisted {
            czxid: self.header.zxid,
            mzxid: self.header.zxid,
            pzxid: self.header.zxid,
            ctime: self.header.time_ms,
            mtime: self.header.time_ms,
            ephemeral_owner: owner,
            ..StatPersisted::default()
        };
        let record = Record::new(self.tree, &path, stat, acl.as_slice().into(), wanted.data.map(|data| &**data));
        self.change(&path, Some(record));
        Ok(txn)
    }

    /// Whether the kind of node is allowed at all, then the session.
    fn check_kind(&mut self, wanted: &Wanted<'_>) -> Result<(), ErrorCode> {
        if wanted.mode.is_ttl() {
            if !self.tree.settings().extended_types {
                return Err(ErrorCode::Unimplemented);
            }
            EphemeralType::ttl_owner(wanted.ttl_ms).ok_or(ErrorCode::BadArguments)?;
        } else if wanted.ttl_ms >= 0 || wanted.op == OpCode::CreateTtl {
            // `createTTL` without a TTL: the original writes a transaction that stops each server that applies it.
            return Err(ErrorCode::BadArguments);
        }
        match wanted.mode.is_ephemeral() {
            true => self.sessions.check_global(self.write.session_id, self.write.owner),
            false => self.check_session(),
        }
    }

    /// The transaction, and the owner field that applying it will write.
    fn creation(
        &self,
        wanted: &Wanted<'_>,
        path: Str,
        acl: Vec<Acl>,
        parent_cversion: i32,
    ) -> Result<(Txn, i64), ErrorCode> {
        let data = wanted.data.cloned();
        Ok(match wanted.op {
            OpCode::CreateContainer => {
                let txn = CreateContainerTxn { path, data, acl, parent_cversion };
                (Txn::CreateContainer(txn), EphemeralType::container_owner())
            }
            OpCode::CreateTtl => {
                let owner = EphemeralType::ttl_owner(wanted.ttl_ms).ok_or(ErrorCode::BadArguments)?;
                let txn = CreateTtlTxn { path, data, acl, parent_cversion, ttl_ms: wanted.ttl_ms };
                (Txn::CreateTtl(txn), owner)
            }
            op => {
                let ephemeral = wanted.mode.is_ephemeral();
                let txn = CreateTxn { path, data, acl, ephemeral, parent_cversion };
                let txn = if op == OpCode::Create2 { Txn::Create2(txn) } else { Txn::Create(txn) };
                (txn, if ephemeral { self.write.session_id } else { 0 })
            }
        })
    }
}

/// Ten digits of the parent's counter; below zero the sign takes a digit's place, as Java's `%010d` does.
fn suffix(cversion: i32) -> String {
    format!("{cversion:010}")
}

#[cfg(test)]
mod tests {
    use super::suffix;

    #[test]
    fn counters_are_written_as_java_does() {
        assert_eq!(suffix(0), "0000000000");
        assert_eq!(suffix(i32::MAX), "2147483647");
        assert_eq!(suffix(i32::MIN), "-2147483648");
        assert_eq!(suffix(-7), "-000000007");
    }
}
