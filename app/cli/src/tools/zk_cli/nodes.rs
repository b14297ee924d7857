//! The commands that read and change nodes.

use base::Str;
use bytes::Bytes;
use zk_client::{Failure, ops};
use zk_proto::multi::OpResult;
use zk_proto::responses::Response;
use zk_proto::{Acl, CreateMode, ErrorCode, Id, Perms, Stat, TTL_MS_MAX, path};

use super::commands::{check_path, number, print_stat};
use super::posix::Line;
use super::{CommandError, Outcome, Shell, code_message, refusal};

/// Nodes deleted by one request of `deleteall`.
const BATCH: i32 = 1000;

/// Data and the end of its line, whatever the data is.
pub(super) fn print_data(shell: &mut Shell<'_, '_>, data: &[u8]) {
    let _ = shell.console.out.write_all(data);
    shell.console.line("");
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub(super) fn create(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let (mode, ttl_ms) = create_mode(line)?;
    let path = line.path();
    let data = line.word(2).map(bytes);
    let acl = match line.word(3) {
        Some(text) => parse_acl(shell, text),
        None => vec![Acl::OPEN],
    };
    let valid = if mode.is_sequential() { path::validate_sequential(path) } else { path::validate(path) };
    valid.map_err(|error| CommandError::said(error.to_string()))?;
    let request = match ttl_ms {
        Some(ttl_ms) => ops::create_ttl(path, data, acl.clone(), mode, ttl_ms),
        None => ops::create(path, data, acl.clone(), mode),
    };
    // An empty list is refused by the client itself, which names no path.
    let (result, at) =
        if acl.is_empty() { (Err(Failure::Code(ErrorCode::InvalidAcl)), "") } else { (shell.call(request), path) };
    let created = match result {
        Ok(Response::Path(created)) => created.path,
        Ok(Response::Create2(created)) => created.path,
        Ok(_) => return Ok(()),
        Err(failure) => {
            if failure == Failure::Code(ErrorCode::InvalidAcl) {
                shell.console.error_line(code_message(ErrorCode::InvalidAcl, at));
            } else if failure == Failure::Code(ErrorCode::EphemeralOnLocalSession) {
                shell.console.error_line("Unable to create ephemeral node on a local session");
            }
            return Err(refusal(failure, if at.is_empty() { "null" } else { at }));
        }
    };
    shell.console.flush();
    shell.console.error_line(format_args!("Created {created}"));
    Ok(())
}

fn create_mode(line: &Line) -> Result<(CreateMode, Option<i64>), CommandError> {
    let (ephemeral, sequential, container) = (line.has("e"), line.has("s"), line.has("c"));
    if container && (ephemeral || sequential) {
        return Err(CommandError::said(
            "-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.",
        ));
    }
    let ttl_ms: Option<i64> = match line.value("t") {
        Some(text) => Some(text.parse().map_err(|_| CommandError::said("-t argument must be a long value"))?),
        None => None,
    };
    if ttl_ms.is_some() && ephemeral {
        return Err(CommandError::said("TTLs cannot be used with Ephemeral znodes"));
    }
    if ttl_ms.is_some() && container {
        return Err(CommandError::said("TTLs cannot be used with Container znodes"));
    }
    if ttl_ms.is_some_and(|ttl_ms| !(1..=TTL_MS_MAX).contains(&ttl_ms)) {
        return Err(CommandError::said(format!("ttl must be positive and cannot be larger than: {TTL_MS_MAX}")));
    }
    let mode = match (ephemeral, sequential, container, ttl_ms.is_some()) {
        (true, true, ..) => CreateMode::EphemeralSequential,
        (true, false, ..) => CreateMode::Ephemeral,
        (false, true, _, true) => CreateMode::PersistentSequentialWithTtl,
        (false, true, _, false) => CreateMode::PersistentSequential,
        (false, false, true, _) => CreateMode::Container,
        (false, false, false, true) => CreateMode::PersistentWithTtl,
        (false, false, false, false) => CreateMode::Persistent,
    };
    Ok((mode, ttl_ms))
}

/// `scheme:id:perms,...`; what is not understood is said and left out.
fn parse_acl(shell: &mut Shell<'_, '_>, text: &str) -> Vec<Acl> {
    let mut acl = Vec::new();
    for part in text.split(',') {
        let Some((scheme, (id, letters))) =
            part.split_once(':').and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once(':')?)))
        else {
            shell.console.error_line(format_args!("{part} does not have the form scheme:id:perm"));
            continue;
        };
        let mut perms = 0;
        for letter in letters.chars() {
            perms |= match letter {
                'r' => Perms::READ.0,
                'w' => Perms::WRITE.0,
                'c' => Perms::CREATE.0,
                'd' => Perms::DELETE.0,
                'a' => Perms::ADMIN.0,
                other => {
                    shell.console.error_line(format_args!("Unknown perm type: {other}"));
                    0
                }
            };
        }
        acl.push(Acl { perms: Perms(perms), id: Id { scheme: Str::copied(scheme), id: Str::copied(id) } });
    }
    acl
}

fn version_option(line: &Line) -> Result<i32, CommandError> {
    line.value("v").map_or(Ok(-1), number)
}

pub(super) fn delete(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let (path, version) = (line.path(), version_option(line)?);
    check_path(path)?;
    shell.call(ops::delete(path, version)).map_err(|failure| refusal(failure, path))?;
    Ok(())
}

pub(super) fn delete_all(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let batch = line.value("b").map_or(Ok(BATCH), str::parse);
    let batch: i32 = batch.map_err(|_| CommandError::said("-b argument must be an int value"))?;
    let path = line.path();
    check_path(path)?;
    let mut tree = vec![path.to_owned()];
    let mut next = 0;
    while let Some(node) = tree.get(next).cloned() {
        next += 1;
        check_path(&node)?;
        let children = children(shell, &node, false)?.0;
        tree.extend(children.iter().map(|child| format!("{node}/{child}")));
    }
    tree.reverse();
    let size = usize::try_from(batch).ok().filter(|size| *size > 0).unwrap_or(tree.len());
    for nodes in tree.chunks(size) {
        let parts = nodes.iter().map(|node| ops::op_delete(node.as_str(), -1)).collect();
        let failed = match shell.call(ops::multi(parts)) {
            Ok(Response::Multi(multi)) => {
                multi.results.iter().any(|result| matches!(result, OpResult::Error(error) if error.err != 0))
            }
            Ok(_) => false,
            Err(_) => true,
        };
        if failed {
            shell.console.flush();
            shell.console.error_line("Failed to delete some node(s) in the subtree!");
            break;
        }
    }
    Ok(())
}

pub(super) fn get(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let path = line.path();
    check_path(path)?;
    let request = ops::get_data(path, line.has("w"));
    let Response::GetData(node) = shell.call(request).map_err(|failure| refusal(failure, path))? else {
        return Ok(());
    };
    if line.has("w") {
        shell.watches.add_data(path);
    }
    print_data(shell, node.data.as_deref().unwrap_or(b"null"));
    if line.has("s") {
        print_stat(shell, &node.stat);
    }
    Ok(())
}

pub(super) fn set(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let (path, version) = (line.path(), version_option(line)?);
    check_path(path)?;
    let request = ops::set_data(path, line.word(2).map(bytes), version);
    let response = shell.call(request).map_err(|failure| refusal(failure, path))?;
    print_changed(shell, line, &response);
    Ok(())
}

/// The stat that a change answers with, if it was asked for.
fn print_changed(shell: &mut Shell<'_, '_>, line: &Line, response: &Response) {
    if let Response::Stat(changed) = response
        && line.has("s")
    {
        print_stat(shell, &changed.stat);
    }
}

fn children(shell: &mut Shell<'_, '_>, path: &str, watch: bool) -> Result<(Vec<String>, Stat), CommandError> {
    match shell.call(ops::get_children2(path, watch)).map_err(|failure| refusal(failure, path))? {
        Response::GetChildren2(found) => {
            if watch {
                shell.watches.add_children(path);
            }
            let mut names: Vec<String> = found.children.iter().map(|name| name.as_str().to_owned()).collect();
            names.sort();
            Ok((names, found.stat))
        }
        _ => Ok((Vec::new(), Stat::default())),
    }
}

pub(super) fn list(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let (path, watch) = (line.path(), line.has("w"));
    check_path(path)?;
    if line.has("R") {
        return visit(shell, path, watch, &mut |shell, node| {
            shell.console.line(node);
            Ok(())
        });
    }
    let (names, stat) = children(shell, path, watch)?;
    shell.console.line(format_args!("[{}]", names.join(", ")));
    if line.has("s") {
        print_stat(shell, &stat);
    }
    Ok(())
}

/// Visits a node and all below it: the children of a node before those of its first child. Nodes that go meanwhile are
/// passed over.
pub(super) fn visit(
    shell: &mut Shell<'_, '_>,
    path: &str,
    watch: bool,
    visitor: &mut dyn FnMut(&mut Shell<'_, '_>, &str) -> Outcome,
) -> Outcome {
    shell.call(ops::get_data(path, watch)).map_err(|failure| refusal(failure, path))?;
    if watch {
        shell.watches.add_data(path);
    }
    visitor(shell, path)?;
    let mut waiting = vec![path.to_owned()];
    while let Some(node) = waiting.pop() {
        let names = match shell.call(ops::get_children2(node.as_str(), watch)) {
            Ok(Response::GetChildren2(found)) => found.children,
            Err(Failure::Code(ErrorCode::NoNode)) => continue,
            Err(failure) => return Err(refusal(failure, &node)),
            Ok(_) => continue,
        };
        if watch {
            shell.watches.add_children(&node);
        }
        let prefix = if node == "/" { "" } else { node.as_str() };
        let mut below: Vec<String> = names.iter().map(|name| format!("{prefix}/{name}")).collect();
        below.sort();
        for child in &below {
            visitor(shell, child)?;
        }
        waiting.extend(below.into_iter().rev());
    }
    Ok(())
}

pub(super) fn stat(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let path = line.path();
    check_path(path)?;
    let result = shell.call(ops::exists(path, line.has("w")));
    if line.has("w") && matches!(result, Ok(_) | Err(Failure::Code(ErrorCode::NoNode))) {
        shell.watches.add_data(path);
    }
    if let Response::Stat(found) = result.map_err(|failure| refusal(failure, path))? {
        print_stat(shell, &found.stat);
    }
    Ok(())
}

pub(super) fn get_acl(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let path = line.path();
    check_path(path)?;
    let Response::GetAcl(found) = shell.call(ops::get_acl(path)).map_err(|failure| refusal(failure, path))? else {
        return Ok(());
    };
    for entry in &found.acl {
        let letters =
            [(Perms::CREATE, 'c'), (Perms::DELETE, 'd'), (Perms::READ, 'r'), (Perms::WRITE, 'w'), (Perms::ADMIN, 'a')];
        let letters: String =
            letters.iter().filter(|(perm, _)| entry.perms.intersects(*perm)).map(|(_, letter)| letter).collect();
        shell.console.line(format_args!("'{},'{}\n: {letters}", entry.id.scheme, entry.id.id));
    }
    if line.has("s") {
        print_stat(shell, &found.stat);
    }
    Ok(())
}

pub(super) fn set_acl(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let path = line.path();
    let acl = parse_acl(shell, line.word(2).unwrap_or_default());
    let version = version_option(line)?;
    check_path(path)?;
    if line.has("R") {
        return visit(shell, path, false, &mut |shell, node| {
            let result = if acl.is_empty() {
                Err(Failure::Code(ErrorCode::InvalidAcl))
            } else {
                shell.call(ops::set_acl(node, acl.clone(), version))
            };
            if let Err(Failure::Code(code)) = result {
                let at = if acl.is_empty() { "" } else { node };
                let _ = write!(shell.console.out, "{}", code_message(code, at));
            }
            Ok(())
        });
    }
    if acl.is_empty() {
        return Err(refusal(Failure::Code(ErrorCode::InvalidAcl), "null"));
    }
    let response = shell.call(ops::set_acl(path, acl, version)).map_err(|failure| refusal(failure, path))?;
    print_changed(shell, line, &response);
    Ok(())
}

pub(super) fn sync(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let path = line.path();
    check_path(path)?;
    match shell.call(ops::sync(path)) {
        Ok(_) => shell.console.line("Sync is OK"),
        Err(Failure::Code(code)) => shell.console.line(format_args!("Sync has failed. rc={}", code.code())),
        Err(Failure::Unknown(code)) => shell.console.line(format_args!("Sync has failed. rc={code}")),
    }
    Ok(())
}

pub(super) fn ephemerals(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let path = line.word(1).unwrap_or("/");
    check_path(path)?;
    if let Response::GetEphemerals(found) =
        shell.call(ops::get_ephemerals(path)).map_err(|failure| refusal(failure, path))?
    {
        let paths: Vec<&str> = found.ephemerals.iter().map(Str::as_str).collect();
        shell.console.line(format_args!("[{}]", paths.join(", ")));
    }
    Ok(())
}

pub(super) fn all_children_number(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let path = line.path();
    check_path(path)?;
    if let Response::GetAllChildrenNumber(found) =
        shell.call(ops::get_all_children_number(path)).map_err(|failure| refusal(failure, path))?
    {
        shell.console.line(found.total_number);
    }
    Ok(())
}
