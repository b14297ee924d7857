//! Refusals of Kafka's configuration, in the words of 2.7.1.

use std::fmt;

use crate::properties::comment_hint;

/// Which exception the original throws; it decides the error code that a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// `org.apache.kafka.common.config.ConfigException`
    Config,
    /// `java.lang.IllegalArgumentException`
    IllegalArgument,
    /// `org.apache.kafka.common.errors.InvalidConfigurationException`
    InvalidConfiguration,
    /// Ours: the key or value is known, but what it asks for is not served yet.
    NotServed,
}

/// A configuration that is refused. `Display` gives the original's message, and behind it what the original leaves out
/// (that a `# comment` is part of the value, which classes there are).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    kind: ErrorKind,
    message: String,
    hint: String,
    cause: Option<Box<ConfigError>>,
}

impl ConfigError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: String::new(), cause: None }
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// `ConfigException(name, value, why)`.
    pub(crate) fn invalid(name: &str, value: &str, why: impl fmt::Display) -> Self {
        Self::config(format!("Invalid value {value} for configuration {name}: {why}")).hint(comment_hint(value))
    }

    /// `require(...)` of Scala.
    pub(crate) fn requirement(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::IllegalArgument, format!("requirement failed: {message}"))
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    pub(crate) fn caused_by(mut self, cause: Self) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    /// Which exception the original throws.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The original's text alone, as it goes to a client.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The exception below, which the original only logs.
    #[must_use]
    pub fn cause(&self) -> Option<&Self> {
        self.cause.as_deref()
    }

    /// `class: message` and `Caused by: class: message`, as a Java log shows them without the stack.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}: {self}", self.kind.class())];
        lines.extend(self.cause().map(|cause| format!("Caused by: {}: {cause}", cause.kind.class())));
        lines
    }
}

impl ErrorKind {
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Config | Self::NotServed => "org.apache.kafka.common.config.ConfigException",
            Self::IllegalArgument => "java.lang.IllegalArgumentException",
            Self::InvalidConfiguration => "org.apache.kafka.common.errors.InvalidConfigurationException",
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.message, self.hint)
    }
}

impl std::error::Error for ConfigError {}
