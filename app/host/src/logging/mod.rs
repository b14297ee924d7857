//! Log files as log4j 1.2 would write them, by the `log4j.properties` that operators have.
//!
//! A line costs its thread a queue entry; one writer thread formats, writes and rolls. A disk that is too slow for the lines
//! costs lines, which are counted in the log, never time of an event loop.

mod appender;
mod capture;
mod layout;
mod loggers;
mod panics;
mod settings;
mod writer;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use capture::capture_events;
pub use panics::end_process_on_panic;
pub use settings::{KAFKA_CONSOLE, KAFKA_DEFAULT, LogSettings, ZOOKEEPER_DEFAULT};

use parking_lot::RwLock;
use writer::Writer;

/// How much a line matters, as in log4j.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Each step.
    Trace,
    /// For those who follow single requests.
    Debug,
    /// The ordinary course of things.
    Info,
    /// Something a person may want to look at.
    Warn,
    /// A person must act.
    Error,
    /// The process ends.
    Fatal,
    /// As a threshold: nothing is written.
    Off,
}

impl Level {
    /// The level of this name in any case; `ALL` is the lowest.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_uppercase().as_str() {
            "ALL" | "TRACE" => Self::Trace,
            "DEBUG" => Self::Debug,
            "INFO" => Self::Info,
            "WARN" => Self::Warn,
            "ERROR" => Self::Error,
            "FATAL" => Self::Fatal,
            "OFF" => Self::Off,
            _ => return None,
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Off => "OFF",
        })
    }
}

impl From<zk_node::Level> for Level {
    fn from(level: zk_node::Level) -> Self {
        match level {
            zk_node::Level::Debug => Self::Debug,
            zk_node::Level::Info => Self::Info,
            zk_node::Level::Warn => Self::Warn,
            zk_node::Level::Error => Self::Error,
        }
    }
}

impl From<config::Level> for Level {
    fn from(level: config::Level) -> Self {
        match level {
            config::Level::Info => Self::Info,
            config::Level::Warn => Self::Warn,
            config::Level::Error => Self::Error,
        }
    }
}

/// One line on its way.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    level: Level,
    logger: Cow<'static, str>,
    message: Cow<'static, str>,
    /// An exception with its text, on lines of its own behind the message's.
    exception: Option<String>,
    thread: Cow<'static, str>,
    wall_ms: i64,
    /// `%X{myid}`
    server_id: Option<i64>,
}

/// The log of one server. Clones share it.
#[derive(Clone)]
pub struct Log {
    /// Levels change while the process runs.
    settings: Arc<RwLock<LogSettings>>,
    writer: Arc<Writer>,
    server_id: Arc<OnceLock<i64>>,
}

impl Log {
    /// Opens the files that `settings` name and starts the writer.
    pub fn start(settings: LogSettings) -> std::io::Result<Self> {
        let writer = Writer::start(settings.appenders())?;
        Ok(Self { settings: Arc::new(RwLock::new(settings)), writer: Arc::new(writer), server_id: Arc::default() })
    }

    /// From now on `%X{myid}` is this number, which a member of an ensemble has from its file `myid`.
    pub fn set_server_id(&self, id: i64) {
        // A process has one for good.
        let _ = self.server_id.set(id);
    }

    /// Whether a line of this logger and level would be written.
    pub fn is_enabled(&self, level: Level, logger: &str) -> bool {
        level >= self.settings.read().level_of(logger)
    }

    /// Writes a line, soon. `logger` is the name of the original's Java class.
    pub fn write(&self, level: Level, logger: &'static str, message: impl Into<Cow<'static, str>>) {
        self.write_with(level, logger, message, None);
    }

    /// Writes a line, and behind it the exception that it is about (class, colon and text), as log4j does whatever the layout is.
    pub fn write_with(
        &self,
        level: Level,
        logger: &'static str,
        message: impl Into<Cow<'static, str>>,
        exception: Option<String>,
    ) {
        let settings = self.settings.read();
        if level < settings.level_of(logger) {
            return;
        }
        let appenders = settings.appenders_of(logger);
        drop(settings);
        let thread = std::thread::current().name().map_or(Cow::Borrowed("main"), |name| Cow::Owned(name.to_owned()));
        let wall_ms = chrono::Utc::now().timestamp_millis();
        let server_id = self.server_id.get().copied();
        let record =
            Record { level, logger: logger.into(), message: message.into(), exception, thread, wall_ms, server_id };
        self.writer.push(record, appenders);
    }

    /// Waits until all lines so far are written.
    pub fn flush(&self) {
        self.writer.flush();
    }

    /// As [`Log::flush`], but for this long at the most.
    fn flush_within(&self, limit: Duration) {
        self.writer.flush_within(limit);
    }
}
