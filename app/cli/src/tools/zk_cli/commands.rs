//! The table of the shell's commands; those that act on nodes are in `nodes`, quotas in `quota`, the rest is here.

use bytes::Bytes;
use config::Properties;
use zk_client::ops;
use zk_proto::responses::Response;
use zk_proto::{AddWatchMode, ErrorCode, Stat, WatcherType, path};

use super::posix::{self, Grammar, Line};
use super::{CommandError, Outcome, Shell, nodes, quota, refusal};
use zk_client::Failure;

/// All commands and their options, in the order of the usage text.
pub(super) static USAGE: &[(&str, &str)] = &[
    (
        "addWatch",
        "[-m mode] path # optional mode is one of [PERSISTENT, PERSISTENT_RECURSIVE] - default is PERSISTENT_RECURSIVE",
    ),
    ("addauth", "scheme auth"),
    ("close", ""),
    ("config", "[-c] [-w] [-s]"),
    ("connect", "host:port"),
    ("create", "[-s] [-e] [-c] [-t ttl] path [data] [acl]"),
    ("delete", "[-v version] path"),
    ("deleteall", "path [-b batch size]"),
    ("delquota", "[-n|-b] path"),
    ("get", "[-s] [-w] path"),
    ("getAcl", "[-s] path"),
    ("getAllChildrenNumber", "path"),
    ("getEphemerals", "path"),
    ("history", ""),
    ("listquota", "path"),
    ("ls", "[-s] [-w] [-R] path"),
    ("printwatches", "on|off"),
    ("quit", ""),
    (
        "reconfig",
        "[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | [-add \
         serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]",
    ),
    ("redo", "cmdno"),
    ("removewatches", "path [-c|-d|-a] [-l]"),
    ("set", "[-s] [-v version] path data"),
    ("setAcl", "[-s] [-v version] [-R] path acl"),
    ("setquota", "-n|-b val path"),
    ("stat", "[-w] path"),
    ("sync", "path"),
    ("version", ""),
];

type Run = fn(&mut Shell<'_, '_>, &Line) -> Outcome;

const PLAIN: Grammar = Grammar { flags: &[], valued: &[], group: &[], group_required: false };
const QUOTA_GROUP: &[(&str, &str)] = &[("b", "bytes quota"), ("n", "num quota")];

/// A command's grammar, how many words it needs (its name is one), and what it does.
fn find(name: &str) -> Option<(Grammar, usize, Run)> {
    let flags = |flags| Grammar { flags, ..PLAIN };
    Some(match name {
        "addWatch" => (Grammar { valued: &["m"], ..PLAIN }, 2, add_watch as Run),
        "addauth" => (PLAIN, 2, add_auth),
        "config" => (flags(&["s", "w", "c"]), 1, get_config),
        "create" => (Grammar { flags: &["e", "s", "c"], valued: &["t"], ..PLAIN }, 2, nodes::create),
        "delete" => (Grammar { valued: &["v"], ..PLAIN }, 2, nodes::delete),
        "deleteall" => (Grammar { valued: &["b"], ..PLAIN }, 2, nodes::delete_all),
        "delquota" => (Grammar { flags: &["b", "n"], group: QUOTA_GROUP, ..PLAIN }, 2, quota::delete),
        "get" => (flags(&["s", "w"]), 2, nodes::get),
        "getAcl" => (flags(&["s"]), 2, nodes::get_acl),
        "getAllChildrenNumber" => (PLAIN, 2, nodes::all_children_number),
        "getEphemerals" => (PLAIN, 1, nodes::ephemerals),
        "listquota" => (PLAIN, 2, quota::list),
        "ls" => (flags(&["?", "s", "w", "R"]), 2, nodes::list),
        "reconfig" => {
            (Grammar { flags: &["s"], valued: &["v", "file", "members", "add", "remove"], ..PLAIN }, 1, reconfig)
        }
        "removewatches" => (flags(&["c", "d", "a", "l"]), 2, remove_watches),
        "set" => (Grammar { flags: &["s"], valued: &["v"], ..PLAIN }, 3, nodes::set),
        "setAcl" => (Grammar { flags: &["s", "R"], valued: &["v"], ..PLAIN }, 3, nodes::set_acl),
        "setquota" => {
            (Grammar { valued: &["b", "n"], group: QUOTA_GROUP, group_required: true, ..PLAIN }, 2, quota::set)
        }
        "stat" => (flags(&["w"]), 2, nodes::stat),
        "sync" => (PLAIN, 2, nodes::sync),
        "version" => (PLAIN, 1, version),
        _ => return None,
    })
}

/// Runs a command that needs a connection; the shell's own commands are none.
pub(super) fn run(shell: &mut Shell<'_, '_>, name: &str, words: &[String]) -> Outcome {
    if name == "close" {
        shell.close();
        return Ok(());
    }
    let Some((grammar, words_min, run)) = find(name) else { return Ok(()) };
    let mut line = posix::parse(&grammar, words).map_err(CommandError::said)?;
    if name == "ls" && line.has("?") {
        list_help(shell);
    }
    let too_many = (name == "version" && line.words.len() > 1) || (name == "addWatch" && line.words.len() != 2);
    if line.words.len() < words_min || too_many {
        return Err(usage(name));
    }
    if line.words.len() > 2 {
        line = older_form(shell, name, &grammar, words)?.unwrap_or(line);
    }
    run(shell, &line)
}

/// The usage of a command, as the error that it is.
pub(super) fn usage(name: &str) -> CommandError {
    let options = USAGE.iter().find(|(known, _)| *known == name).map_or("", |(_, options)| options);
    CommandError::said(format!("{name} {options}"))
}

/// `get path watch` and its like of older versions: the second word behind the name stands for `-w`.
fn older_form(
    shell: &mut Shell<'_, '_>,
    name: &str,
    grammar: &Grammar,
    words: &[String],
) -> Result<Option<Line>, CommandError> {
    let (old, new) = match name {
        "get" => ("get path [watch]", "get [-s] [-w] path"),
        "ls" => ("ls path [watch]", "ls [-w] path"),
        "stat" => ("stat path [watch]", "stat [-w] path"),
        "delete" => ("delete path [version]", "delete [-v version] path"),
        _ => return Ok(None),
    };
    shell.console.flush();
    shell.console.error_line(format_args!("'{old}' has been deprecated. Please use '{new}' instead."));
    let mut words = words.to_vec();
    if let Some(word) = words.get_mut(2).filter(|_| name != "delete") {
        *word = "-w".to_owned();
    }
    let line = posix::parse(grammar, &words).map_err(CommandError::said)?;
    if line.words.len() < 2 {
        return Err(CommandError::uncaught(
            "java.lang.ArrayIndexOutOfBoundsException",
            "Index 1 out of bounds for length 1",
        ));
    }
    Ok(Some(line))
}

fn list_help(shell: &mut Shell<'_, '_>) {
    shell.console.line("usage: ls [options] path\n -?    help\n -R    recurse\n -s    stat\n -w    watch");
}

/// What `StatPrinter` prints.
pub(super) fn print_stat(shell: &mut Shell<'_, '_>, stat: &Stat) {
    let lines = [
        format!("cZxid = 0x{:x}", stat.czxid),
        format!("ctime = {}", crate::java::date(stat.ctime)),
        format!("mZxid = 0x{:x}", stat.mzxid),
        format!("mtime = {}", crate::java::date(stat.mtime)),
        format!("pZxid = 0x{:x}", stat.pzxid),
        format!("cversion = {}", stat.cversion),
        format!("dataVersion = {}", stat.version),
        format!("aclVersion = {}", stat.aversion),
        format!("ephemeralOwner = 0x{:x}", stat.ephemeral_owner),
        format!("dataLength = {}", stat.data_length),
        format!("numChildren = {}", stat.num_children),
    ];
    shell.console.line(lines.join("\n"));
}

/// The path must be one; the text is the whole message.
pub(super) fn check_path(path: &str) -> Outcome {
    path::validate(path).map_err(|error| CommandError::said(error.to_string()))
}

/// A number that the original parses without catching its exception.
pub(super) fn number<N: std::str::FromStr>(text: &str) -> Result<N, CommandError> {
    text.parse()
        .map_err(|_| CommandError::uncaught("java.lang.NumberFormatException", format!("For input string: \"{text}\"")))
}

fn add_auth(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let auth = line.word(2).map_or_else(Bytes::new, |auth| Bytes::copy_from_slice(auth.as_bytes()));
    shell.session.add_auth(line.path(), auth);
    Ok(())
}

fn add_watch(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let mode = match line.value("m").map(str::to_uppercase).as_deref() {
        None | Some("PERSISTENT_RECURSIVE") => AddWatchMode::PersistentRecursive,
        Some("PERSISTENT") => AddWatchMode::Persistent,
        Some(_) => return Err(usage("addWatch")),
    };
    let path = line.path();
    path::validate(path).map_err(|error| CommandError::uncaught("java.lang.IllegalArgumentException", error))?;
    shell.call(ops::add_watch(path, mode)).map_err(|failure| refusal(failure, path))?;
    shell.watches.add_persistent(path);
    Ok(())
}

fn remove_watches(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let watches = match (line.has("c"), line.has("d")) {
        (true, _) => WatcherType::Children,
        (false, true) => WatcherType::Data,
        (false, false) => WatcherType::Any,
    };
    let path = line.path();
    check_path(path)?;
    let gone_with_the_connection = |failure| failure == Failure::Code(ErrorCode::ConnectionLoss) && line.has("l");
    match shell.call(ops::remove_watches(path, watches)) {
        Err(failure) if !gone_with_the_connection(failure) => return Err(refusal(failure, path)),
        _ => {}
    }
    for event in shell.watches.removed(path, watches) {
        shell.tell_event("SyncConnected", event, Some(path));
    }
    Ok(())
}

fn get_config(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let path = "/zookeeper/config";
    match shell.call(ops::get_data(path, line.has("w"))).map_err(|failure| refusal(failure, path))? {
        Response::GetData(config) => {
            let data = config.data.unwrap_or_else(|| Bytes::from_static(b"null"));
            if line.has("c") {
                shell.console.line(client_config(&data));
            } else {
                nodes::print_data(shell, &data);
            }
            if line.has("s") {
                print_stat(shell, &config.stat);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The version, and what clients of each server connect to.
fn client_config(data: &[u8]) -> String {
    let properties = Properties::parse(data).unwrap_or_default();
    let addresses = properties.iter().filter(|(key, _)| key.starts_with("server."));
    let addresses: Vec<&str> =
        addresses.filter_map(|(_, server)| server.split_once(';')).map(|(_, client)| client).collect();
    let addresses: Vec<String> = addresses
        .iter()
        .map(|client| if client.contains(':') { (*client).to_owned() } else { format!("0.0.0.0:{client}") })
        .collect();
    format!("{} {}", properties.get("version").unwrap_or_default(), addresses.join(","))
}

fn reconfig(shell: &mut Shell<'_, '_>, line: &Line) -> Outcome {
    let (whole, parts) = (line.has("file") || line.has("members"), line.has("add") || line.has("remove"));
    if !whole && !parts {
        return Err(usage("reconfig"));
    }
    let version = match line.value("v") {
        None => -1,
        Some(text) => i64::from_str_radix(text, 16)
            .map_err(|_| CommandError::said("-v must be followed by a long (configuration version)"))?,
    };
    if whole && parts {
        return Err(CommandError::said(
            "Can't use -file or -members together with -add or -remove (mixing incremental and non-incremental modes \
             is not allowed)",
        ));
    }
    if line.has("file") && line.has("members") {
        return Err(CommandError::said("Can't use -file and -members together (conflicting non-incremental modes)"));
    }
    let text = |name: &str| line.value(name).map(|text| text.to_lowercase().into());
    let members = match line.value("file") {
        Some(file) => Some(members_of(file).map_err(CommandError::said)?.into()),
        None => text("members"),
    };
    let request = ops::reconfig(text("add"), text("remove"), members, version);
    if let Response::GetData(config) = shell.call(request).map_err(|failure| refusal(failure, ""))? {
        shell.console.line("Committed new configuration:");
        nodes::print_data(shell, &config.data.unwrap_or_default());
        if line.has("s") {
            print_stat(shell, &config.stat);
        }
    }
    Ok(())
}

/// The servers that a file of a dynamic configuration names, one a line.
fn members_of(file: &str) -> Result<String, String> {
    let text =
        std::fs::read(file).map_err(|error| format!("Error processing {file}{file} ({})", base::reason(&error)))?;
    let properties = Properties::parse(&text).map_err(|error| format!("Error processing {file}{error}"))?;
    let keep = |key: &str| ["server.", "group.", "weight."].iter().any(|prefix| key.starts_with(prefix));
    let mut lines: Vec<String> =
        properties.iter().filter(|(key, _)| keep(key)).map(|(key, value)| format!("{key}={value}")).collect();
    lines.sort();
    Ok(lines.join("\n"))
}

fn version(shell: &mut Shell<'_, '_>, _: &Line) -> Outcome {
    shell
        .console
        .line("ZooKeeper CLI version: 3.6.3--6401e4ad2087061bc6b9f80dec2d69f2e3c8660a, built on 04/08/2021 16:35 GMT");
    Ok(())
}
