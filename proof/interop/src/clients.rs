//! The clients that `cargo xtask interop` installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{Finished, run};

pub(crate) fn cache() -> Result<PathBuf> {
    let cache = std::env::var_os("JACKDAW_INTEROP_CACHE").context("run this by `cargo xtask interop`")?;
    Ok(cache.into())
}

pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

/// Runs a script of `clients/` with the Python that has kazoo, kafka-python and confluent-kafka.
pub fn python(name: &str, arguments: &[&str]) -> Result<Finished> {
    run(python_command(name)?.args(arguments), b"")
}

/// The same, to be started beside a test.
pub fn python_command(name: &str) -> Result<Command> {
    let mut command = Command::new(cache()?.join("python/bin/python"));
    command.arg(script(name));
    Ok(command)
}

/// Runs a script of `clients/` with Node and kafkajs.
pub fn node(name: &str, arguments: &[&str]) -> Result<Finished> {
    let modules = cache()?.join("node/node_modules");
    run(Command::new("node").arg(script(name)).args(arguments).env("NODE_PATH", modules), b"")
}

/// Runs kcat.
pub fn kafka_cli(arguments: &[&str], input: &[u8]) -> Result<Finished> {
    run(Command::new("kcat").args(arguments), input)
}
