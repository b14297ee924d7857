//! A panic of any thread ends the process.
//!
//! What the thread was doing is half done: a lock that it held is free, and behind it the state is between two steps. Nothing may go on
//! from there. A start from what is on disk is what every other crash gets too.

use std::panic;
use std::time::Duration;

use super::{Level, Log};

/// The line comes from no class of the originals.
const LOGGER: &str = "jackdaw.Panic";

/// How long the line is waited for. The panic may be the log's own.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// From now on a panic is told on stderr, and in `log` as fatal, and ends the process by SIGABRT.
pub fn end_process_on_panic(log: Option<Log>) {
    let told_on_stderr = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        told_on_stderr(info);
        if let Some(log) = &log {
            let what = info.to_string().replace('\n', " ");
            log.write(Level::Fatal, LOGGER, format!("A bug ends this process: {what}"));
            log.flush_within(FLUSH_MAX);
        }
        std::process::abort();
    }));
}
