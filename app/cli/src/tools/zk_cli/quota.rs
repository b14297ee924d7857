//! `setquota`, `listquota`, `delquota`: nodes below `/zookeeper/quota` that the server reads.

use bytes::Bytes;
use zk_client::{Failure, ops};
use zk_proto::responses::Response;
use zk_proto::{Acl, CreateMode, ErrorCode, path};

use super::commands::{check_path, number};
use super::posix::Line;
use super::{CommandError, Outcome, Shell, nodes, refusal};

const ROOT: &str = "/zookeeper/quota";
const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

/// `count=N,bytes=N`; −1 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Track {
    count: i32,
    bytes: i64,
}

impl Track {
    fn parse(data: &[u8]) -> Result<Self, CommandError> {
        let text = String::from_utf8_lossy(data);
        let invalid = || CommandError::uncaught("java.lang.IllegalArgumentException", format!("invalid string {text}"));
        let (count, bytes) = text.split_once(',').ok_or_else(invalid)?;
        let value = |part: &str| part.split('=').nth(1).unwrap_or_default().to_owned();
        Ok(Self { count: number(&value(count))?, bytes: number(&value(bytes))? })
    }

    fn encode(self) -> Bytes {
        Bytes::from(self.to_string())
    }
}

impl std::fmt::Display for Track {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "count={},bytes={}", self.count, self.bytes)
    }
}

pub(super) fn set(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let path = line.path();
    if path.starts_with(ROOT) {
        shell.console.error_line(format_args!("cannot set a quota under the path: {ROOT}"));
        return Ok(());
    }
    let limits = match (line.value("b"), line.value("n")) {
        (Some(bytes), _) => Track { count: -1, bytes: number(bytes)? },
        (None, count) => Track { count: number(count.unwrap_or_default())?, bytes: -1 },
    };
    check_path(path)?;
    if !exists(shell, path)? {
        return Err(CommandError::said(format!("{path} does not exist.")));
    }
    check_children(shell, path)?;
    check_parents(shell, path)?;
    if !exists(shell, ROOT)? {
        make(shell, "/zookeeper", None)?;
        make(shell, ROOT, None)?;
    }
    let mut node = ROOT.to_owned();
    for name in names(path) {
        node = format!("{node}/{name}");
        make(shell, &node, None)?;
    }
    let limit_path = format!("{node}/{LIMITS}");
    if make(shell, &limit_path, Some(limits.encode()))? {
        make(shell, &format!("{node}/{STATS}"), Some(Track { count: 0, bytes: 0 }.encode()))?;
        return Ok(());
    }
    let mut changed = Track::parse(&data(shell, &limit_path)?)?;
    if limits.bytes != -1 {
        changed.bytes = limits.bytes;
    }
    if limits.count != -1 {
        changed.count = limits.count;
    }
    write(shell, &limit_path, changed)
}

/// A node below may not have a quota.
fn check_children(shell: &mut Shell<'_, '_>, path: &str) -> Outcome {
    let start = format!("{ROOT}{path}");
    if !exists(shell, &start)? {
        return Ok(());
    }
    nodes::visit(shell, &start.clone(), false, &mut |shell, node| {
        if node != start && child_names(shell, node)?.is_some_and(|names| names.iter().any(|name| name == LIMITS)) {
            let below = node.strip_prefix(ROOT).unwrap_or(node);
            return Err(CommandError::said(format!("{path} has a child {below} which has a quota")));
        }
        Ok(())
    })
}

/// Nor may a node above.
fn check_parents(shell: &mut Shell<'_, '_>, path: &str) -> Outcome {
    let (own, mut node) = (format!("{ROOT}{path}"), ROOT.to_owned());
    for name in names(path) {
        node = format!("{node}/{name}");
        let Some(children) = child_names(shell, &node)?.filter(|children| !children.is_empty()) else {
            return Ok(());
        };
        if node != own && children.iter().any(|name| name == LIMITS) {
            let above = node.strip_prefix(ROOT).unwrap_or(&node);
            return Err(CommandError::said(format!("{path} has a parent {above} which has a quota")));
        }
    }
    Ok(())
}

pub(super) fn list(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let path = line.path();
    let limit_path = format!("{ROOT}{path}/{LIMITS}");
    shell.console.flush();
    shell.console.error_line(format_args!("absolute path is {limit_path}"));
    check_path(&limit_path)?;
    for (about, node) in [("quota", limit_path), ("stat", format!("{ROOT}{path}/{STATS}"))] {
        match shell.call(ops::get_data(node.as_str(), false)) {
            Ok(Response::GetData(found)) => {
                let track = Track::parse(&found.data.unwrap_or_default())?;
                shell.console.line(format_args!("Output {about} for {path} {track}"));
            }
            Ok(_) => {}
            Err(Failure::Code(ErrorCode::NoNode)) => {
                shell.console.flush();
                shell.console.error_line(format_args!("quota for {path} does not exist."));
                break;
            }
            Err(failure) => return Err(refusal(failure, &node)),
        }
    }
    Ok(())
}

pub(super) fn delete(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let path = line.path();
    let parent = format!("{ROOT}{path}");
    let limit_path = format!("{parent}/{LIMITS}");
    path::validate(&limit_path).map_err(|error| CommandError::uncaught("java.lang.IllegalArgumentException", error))?;
    if !line.has("b") && !line.has("n") && line.words.len() != 2 {
        return Ok(());
    }
    if !exists(shell, &limit_path)? {
        shell.console.line(format_args!("Quota does not exist for {path}"));
        return Ok(());
    }
    let mut limits = Track::parse(&data(shell, &limit_path)?)?;
    if line.has("b") {
        limits.bytes = -1;
        return write(shell, &limit_path, limits);
    }
    if line.has("n") {
        limits.count = -1;
        return write(shell, &limit_path, limits);
    }
    for name in child_names(shell, &parent)?.unwrap_or_default() {
        remove(shell, &format!("{parent}/{name}"))?;
    }
    // The nodes above go as far as they have nothing else below them.
    let mut node = parent.as_str();
    while node != ROOT && child_names(shell, node)?.is_some_and(|names| names.is_empty()) {
        remove(shell, node)?;
        node = path::split(node).map_or(ROOT, |(above, _)| above);
    }
    Ok(())
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

fn exists(shell: &mut Shell<'_, '_>, node: &str) -> Result<bool, CommandError> {
    match shell.call(ops::exists(node, false)) {
        Ok(_) => Ok(true),
        Err(Failure::Code(ErrorCode::NoNode)) => Ok(false),
        Err(failure) => Err(refusal(failure, node)),
    }
}

fn child_names(shell: &mut Shell<'_, '_>, node: &str) -> Result<Option<Vec<String>>, CommandError> {
    match shell.call(ops::get_children(node, false)) {
        Ok(Response::GetChildren(found)) => {
            Ok(Some(found.children.iter().map(|name| name.as_str().to_owned()).collect()))
        }
        Ok(_) | Err(Failure::Code(ErrorCode::NoNode)) => Ok(None),
        Err(failure) => Err(refusal(failure, node)),
    }
}

fn data(shell: &mut Shell<'_, '_>, node: &str) -> Result<Bytes, CommandError> {
    match shell.call(ops::get_data(node, false)).map_err(|failure| refusal(failure, node))? {
        Response::GetData(found) => Ok(found.data.unwrap_or_default()),
        _ => Ok(Bytes::new()),
    }
}

/// False if it was there.
fn make(shell: &mut Shell<'_, '_>, node: &str, data: Option<Bytes>) -> Result<bool, CommandError> {
    match shell.call(ops::create(node, data, vec![Acl::OPEN], CreateMode::Persistent)) {
        Ok(_) => Ok(true),
        Err(Failure::Code(ErrorCode::NodeExists)) => Ok(false),
        Err(failure) => Err(refusal(failure, node)),
    }
}

fn write(shell: &mut Shell<'_, '_>, node: &str, track: Track) -> Outcome {
    shell.call(ops::set_data(node, Some(track.encode()), -1)).map_err(|failure| refusal(failure, node))?;
    Ok(())
}

fn remove(shell: &mut Shell<'_, '_>, node: &str) -> Outcome {
    shell.call(ops::delete(node, -1)).map_err(|failure| refusal(failure, node))?;
    Ok(())
}
