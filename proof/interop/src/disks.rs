//! Disks that fill up or turn slow.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::folder;

/// A file system of its own, in memory. Unmounted with it, whoever has files open there.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(crate) fn mount(folder: &Path, bytes: u64) -> Result<Self> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(folder);
        if !command.status().context("can't run mount")?.success() {
            bail!("can't mount a small disk: that needs root");
        }
        Ok(Self(folder.to_owned()))
    }

    /// Whether it lies there.
    pub(crate) fn is_at(&self, folder: &Path) -> bool {
        self.0 == folder
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if folder::stays() {
            return;
        }
        // Lazily: what a killed server held open goes with it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// No byte is left on a disk, until it is dropped.
pub struct FullDisk(PathBuf);

impl FullDisk {
    /// Fills the disk of this folder with a file.
    pub(crate) fn fill(folder: &Path) -> Result<Self> {
        let path = folder.join("ballast");
        let mut file = File::create(&path)?;
        let full = Self(path);
        for length in [1 << 16, 1] {
            while file.write_all(&vec![0; length]).is_ok() {}
        }
        Ok(full)
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Each sync of a process takes longer, until it is dropped.
pub struct SlowSyncs(Child);

impl SlowSyncs {
    pub(crate) fn of(process: u32, delay: Duration) -> Result<Self> {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"]);
        command.arg("-e").arg(format!("inject=fdatasync,fsync:delay_enter={}", delay.as_micros()));
        command.arg("-p").arg(process.to_string());
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Self(child.context("slow disks need Debian's package strace")?))
    }
}

impl Drop for SlowSyncs {
    fn drop(&mut self) {
        // It lets go of the server when it is asked to end.
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}
