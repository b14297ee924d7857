//! The folders of tests.

use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

/// A folder of a test, removed with it. That of a test that fails stays, and is told, where `JACKDAW_INTEROP_KEEP` is set.
pub(crate) struct TestFolder(TempDir);

impl TestFolder {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        if stays() {
            eprintln!("kept: {}", self.path().display());
            self.0.disable_cleanup(true);
        }
    }
}

/// What a test leaves behind is wanted: it fails, and somebody looks.
pub(crate) fn stays() -> bool {
    std::thread::panicking() && std::env::var_os("JACKDAW_INTEROP_KEEP").is_some()
}
