//! ZooKeeper: create, set and get, by sessions and window; memory idle and with the same tree.

use std::time::Duration;

use anyhow::Result;

use super::{Memory, Setting};
use crate::load::{self, Load, Measured};
use crate::requests::zookeeper::{DATA_BYTES, ERROR_AT, Operation, Session};
use crate::servers::{self, Kind, Server};
use crate::table::Rows;
use crate::usage::resident_bytes;

/// The tree whose memory is compared.
const TREE_NODES: u64 = 100_000;
const SESSIONS_MAX: usize = 128;
/// Long enough for any server to create the tree.
const TREE_SPAN: Duration = Duration::from_secs(600);

/// Runs the cases against each server in turn.
pub(crate) fn run(setting: &Setting) -> Result<String> {
    let (mut rows, mut memory) = (Rows::default(), Memory::default());
    setting.for_each_kind("zookeeper", |kind, folder| {
        let server = servers::zookeeper(kind, &setting.programs, &folder)?;
        let cases = Cases { server };
        cases.prepare()?;
        if kind != Kind::Bare {
            memory.add("idle", kind, resident_bytes(cases.server.pid())?);
            cases.tree()?;
            memory.add("with 100,000 znodes", kind, resident_bytes(cases.server.pid())?);
        }
        cases.case(Operation::Get, SESSIONS_MAX, 16, Duration::ZERO, setting.options.server_warm_up())?;
        for (operation, sessions, window) in chosen(setting.options.quick) {
            let name = format!("{} {sessions} x {window}", operation.name());
            if !setting.options.wants(&name) {
                continue;
            }
            let (warm_up, span) = (setting.options.warm_up(), setting.options.span);
            rows.add(&name, kind, cases.case(operation, sessions, window, warm_up, span)?);
        }
        cases.server.stop()
    })?;
    Ok(format!(
        "## ZooKeeper\n\nOperation, sessions x window; {DATA_BYTES} bytes of data in each znode; writes are durable before \
         the answer.\n\n{}\n{}",
        rows.render(),
        memory.render()
    ))
}

fn chosen(quick: bool) -> Vec<(Operation, usize, usize)> {
    if quick {
        return vec![
            (Operation::Create, 1, 1),
            (Operation::Create, 16, 1),
            (Operation::Create, 128, 1),
            (Operation::Create, 128, 16),
            (Operation::Set, 128, 16),
            (Operation::Get, 16, 1),
            (Operation::Get, 128, 1),
            (Operation::Get, 128, 16),
        ];
    }
    let mut cases = Vec::new();
    for operation in Operation::ALONE {
        for sessions in [1, 16, SESSIONS_MAX] {
            cases.extend([1, 16].map(|window| (operation, sessions, window)));
        }
    }
    cases
}

struct Cases {
    server: Server,
}

impl Cases {
    /// A znode for each session, to be read, written and created under.
    fn prepare(&self) -> Result<()> {
        let mut session = Session::open(self.server.port)?;
        for at in 0..SESSIONS_MAX {
            session.create(&format!("/s{at:03}"))?;
        }
        Ok(())
    }

    /// The same number of znodes on every server, also its first warm-up.
    fn tree(&self) -> Result<()> {
        let mut session = Session::open(self.server.port)?;
        session.create("/tree")?;
        load::run(Load {
            connections: vec![(session.into_stream(), Operation::Create.template("/tree"))],
            window: 64,
            error_at: ERROR_AT,
            warm_up: Duration::ZERO,
            span: TREE_SPAN,
            requests_max: TREE_NODES,
            pids: vec![self.server.pid()],
        })?;
        Ok(())
    }

    fn case(
        &self,
        operation: Operation,
        sessions: usize,
        window: usize,
        warm_up: Duration,
        span: Duration,
    ) -> Result<Measured> {
        let mut connections = Vec::new();
        for at in 0..sessions {
            let mut session = Session::open(self.server.port)?;
            let template = if operation == Operation::Create {
                // Names start anew with each case, so each has parents of its own.
                let parent = format!("/s{at:03}/{sessions}x{window}");
                session.create(&parent)?;
                operation.template(&parent)
            } else {
                operation.template(&format!("/s{at:03}"))
            };
            connections.push((session.into_stream(), template));
        }
        load::run(Load {
            connections,
            window,
            error_at: ERROR_AT,
            warm_up,
            span,
            requests_max: u64::MAX,
            pids: vec![self.server.pid()],
        })
    }
}
