//! The rules of STYLE.md that a machine can see and clippy does not.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::run::root;

/// A source file may have this many lines in front of its tests.
const LINES_MAX: usize = 1000;

/// Checks every rule and reports all breaks at once.
pub(crate) fn check() -> Result<()> {
    let root = root();
    let mut breaks = Vec::new();
    let mut sources = Vec::new();
    for folder in ["core", "app", "proof", "xtask"] {
        collect(&root.join(folder), &mut sources)?;
    }
    sources.sort();
    for path in &sources {
        let text = fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
        let name = path.strip_prefix(&root).unwrap_or(path).display().to_string();
        check_source(&name, &text, &mut breaks);
    }
    check_dependencies(&root, &mut breaks)?;
    check_map(&root, &mut breaks)?;
    if breaks.is_empty() {
        println!("==> tidy: {} source files", sources.len());
        return Ok(());
    }
    bail!("tidy found {} breaks of STYLE.md:\n  {}", breaks.len(), breaks.join("\n  "));
}

fn collect(folder: &Path, sources: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("can't list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target" && name != "golden") {
                collect(&path, sources)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
    Ok(())
}

fn check_source(name: &str, text: &str, breaks: &mut Vec<String>) {
    if !text.starts_with("//!") && !text.starts_with("#!") {
        breaks.push(format!("{name}: a file opens with a //! header that says what it is and why"));
    }
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
    if lines > LINES_MAX && !name.contains("/tests/") {
        breaks.push(format!("{name}: {lines} lines in front of its tests; {LINES_MAX} is the most"));
    }
    for (number, line) in text.lines().enumerate() {
        let ignored_test = ["#[ig", "nore"].concat();
        if line.trim_start().starts_with(&ignored_test) {
            breaks.push(format!("{name}:{}: a test that does not run proves nothing", number + 1));
        }
        if line.ends_with(' ') || line.ends_with('\t') {
            breaks.push(format!("{name}:{}: blanks at the end of the line", number + 1));
        }
    }
}

/// The arrows of ARCHITECTURE.md: who may depend on whom.
fn check_dependencies(root: &Path, breaks: &mut Vec<String>) -> Result<()> {
    let core = crates_of(&root.join("core"))?;
    for name in &core {
        let manifest = fs::read_to_string(root.join("core").join(name).join("Cargo.toml"))?;
        let normal = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for dependency in normal.lines().filter_map(|line| line.split(['.', ' ', '=']).next()) {
            let towards_kafka = name.starts_with("zk-") && dependency.starts_with("kafka-");
            let towards_zookeeper = name.starts_with("kafka-") && dependency.starts_with("zk-");
            let allowed = matches!((name.as_str(), dependency), ("kafka-node", "zk-client" | "zk-proto"));
            if (towards_kafka || towards_zookeeper) && !allowed {
                breaks.push(format!("core/{name}: must not depend on {dependency}"));
            }
            if ["host", "cli", "console", "tokio", "rustix", "libc", "anyhow"].contains(&dependency) {
                breaks.push(format!("core/{name}: core decides, app does: no dependency on {dependency}"));
            }
        }
    }
    Ok(())
}

/// ARCHITECTURE.md names each crate, and no crate that is gone.
fn check_map(root: &Path, breaks: &mut Vec<String>) -> Result<()> {
    let map = fs::read_to_string(root.join("ARCHITECTURE.md")).context("can't read ARCHITECTURE.md")?;
    let mut known = BTreeSet::new();
    for folder in ["core", "app", "proof"] {
        for name in crates_of(&root.join(folder))? {
            let path = format!("{folder}/{name}");
            if !map.contains(&format!("`{path}`")) {
                breaks.push(format!("ARCHITECTURE.md does not name `{path}`"));
            }
            known.insert(path);
        }
    }
    for word in map.split('`').skip(1).step_by(2) {
        let is_crate_path = ["core/", "app/", "proof/"].iter().any(|folder| word.starts_with(folder));
        if is_crate_path && !root.join(word).exists() {
            breaks.push(format!("ARCHITECTURE.md names `{word}`, which does not exist"));
        }
    }
    Ok(())
}

fn crates_of(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("can't list {}", folder.display()))? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").exists() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
