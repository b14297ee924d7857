//! Log lines that resolving a configuration asks for; the host writes them.

use std::fmt;

/// Weight of a log line, as log4j names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What was found.
    Info,
    /// Served, but not as written.
    Warn,
    /// The original logs this as an error and goes on.
    Error,
}

/// One line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its weight.
    pub level: Level,
    /// The logger's name: the upstream class that writes this line, so that `log4j.properties` selects it as before.
    pub logger: &'static str,
    /// The line.
    pub text: String,
}

impl Notice {
    pub(crate) fn info(logger: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Info, logger, text: text.into() }
    }

    pub(crate) fn warn(logger: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Warn, logger, text: text.into() }
    }

    pub(crate) fn error(logger: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Error, logger, text: text.into() }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.text, self.logger)
    }
}
