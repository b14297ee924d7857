//! Runs command lines, one printed step at a time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// The project's root folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root").to_path_buf()
}

/// A cargo command of the toolchain that runs this.
pub(crate) fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(arguments);
    command
}

/// Runs one step; fails if it fails.
pub(crate) fn step(name: &str, mut command: impl std::borrow::BorrowMut<Command>) -> Result<()> {
    let command: &mut Command = command.borrow_mut();
    println!("==> {name}: {}", line(command));
    let start = Instant::now();
    let status = command.status().with_context(|| format!("can't start {}", line(command)))?;
    if !status.success() {
        bail!("{name} failed ({status}): {}", line(command));
    }
    println!("    {name}: {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
