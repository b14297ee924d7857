//! The replies of requests that change state.

use bytes::{Bytes, BytesMut};
use zk_proto::multi::{MultiResponse, OpResult};
use zk_proto::responses::{Create2Response, ErrorResponse, GetDataResponse, PathResponse, StatResponse};
use zk_proto::{ErrorCode, Jute, OpCode, Stat};
use zk_tree::TxnResult;

/// What the reply's header says: a multi that failed says so in its body alone.
pub(crate) fn error(op: OpCode, refused: Option<ErrorCode>, result: &TxnResult) -> ErrorCode {
    if op == OpCode::Multi && result.op == OpCode::Multi {
        return ErrorCode::Ok;
    }
    refused.unwrap_or_else(|| ErrorCode::from_code(result.err).unwrap_or(ErrorCode::SystemError))
}

/// Appends the body of a reply without an error. `stat` is the node's, for a `check`, and with `data` for a `reconfig`.
pub(crate) fn body(op: OpCode, result: &TxnResult, stat: Option<Stat>, data: Option<Bytes>, out: &mut BytesMut) {
    match op {
        OpCode::Create => path(result).encode(out),
        OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => create_2(result).encode(out),
        OpCode::SetData | OpCode::SetAcl => stat_of(result).encode(out),
        OpCode::Check => StatResponse { stat: stat.unwrap_or_default() }.encode(out),
        OpCode::Reconfig => GetDataResponse { data, stat: stat.unwrap_or_default() }.encode(out),
        OpCode::Multi => MultiResponse { results: result.parts.iter().map(part).collect() }.encode(out),
        _ => {}
    }
}

fn part(result: &TxnResult) -> OpResult {
    match result.op {
        OpCode::Create => OpResult::Create(path(result)),
        OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => OpResult::Create2(create_2(result)),
        OpCode::Delete | OpCode::DeleteContainer => OpResult::Delete,
        OpCode::SetData => OpResult::SetData(stat_of(result)),
        OpCode::Check => OpResult::Check,
        _ => OpResult::Error(ErrorResponse { err: result.err }),
    }
}

fn path(result: &TxnResult) -> PathResponse {
    PathResponse { path: result.path.clone().unwrap_or_default() }
}

fn create_2(result: &TxnResult) -> Create2Response {
    Create2Response { path: result.path.clone().unwrap_or_default(), stat: result.stat.unwrap_or_default() }
}

fn stat_of(result: &TxnResult) -> StatResponse {
    StatResponse { stat: result.stat.unwrap_or_default() }
}

/// The original's name for what a connection did last, for `cons`.
pub(crate) const fn short_name(op: OpCode) -> &'static str {
    match op {
        OpCode::Ping => "PING",
        OpCode::CreateSession => "SESS",
        OpCode::Multi => "MULT",
        OpCode::MultiRead => "MLTR",
        OpCode::Create | OpCode::Create2 | OpCode::CreateTtl | OpCode::CreateContainer => "CREA",
        OpCode::Delete | OpCode::DeleteContainer => "DELE",
        OpCode::SetData => "SETD",
        OpCode::Reconfig => "RECO",
        OpCode::SetAcl => "SETA",
        OpCode::CloseSession => "CLOS",
        OpCode::Sync => "SYNC",
        OpCode::Check => "CHEC",
        OpCode::Exists => "EXIS",
        OpCode::GetData => "GETD",
        OpCode::SetWatches => "SETW",
        OpCode::SetWatches2 => "STW2",
        OpCode::AddWatch => "ADDW",
        OpCode::GetAcl => "GETA",
        OpCode::GetChildren | OpCode::GetChildren2 => "GETC",
        OpCode::GetAllChildrenNumber => "GETACN",
        OpCode::CheckWatches => "CHKW",
        OpCode::RemoveWatches => "REMW",
        OpCode::GetEphemerals => "GETE",
        _ => "NA",
    }
}
