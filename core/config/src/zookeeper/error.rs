//! Why a ZooKeeper server does not start from its configuration.

use std::fmt;

use crate::Notice;

/// A refusal in the words of the original. `Display` gives one line; [`lines`](Self::lines) gives what the original's
/// log shows of the exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZooKeeperError {
    class: &'static str,
    message: String,
    cause: Option<Cause>,
    /// What was to be told before the refusal.
    notices: Vec<Notice>,
}

/// The exception below: its Java class and text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) class: &'static str,
    pub(super) message: String,
}

/// A problem met while a file is read: becomes a [`ZooKeeperError`] once the file's name is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// `ConfigException`: told as it is.
    Config(String),
    /// `RuntimeException` of the server itself, after its file was found in order: told as it is.
    Unexpected(String),
    /// `IllegalArgumentException` and its kin: told as the cause of `Error processing FILE`.
    Caused(Cause),
}

const RUNTIME_EXCEPTION: &str = "java.lang.RuntimeException";
const CONFIG_EXCEPTION: &str = "org.apache.zookeeper.server.quorum.QuorumPeerConfig$ConfigException";

impl Problem {
    pub(super) fn config(message: impl Into<String>) -> Self {
        Self::Config(message.into())
    }

    pub(super) fn unexpected(message: impl Into<String>) -> Self {
        Self::Unexpected(message.into())
    }

    pub(super) fn illegal(message: impl Into<String>) -> Self {
        Self::Caused(Cause { class: "java.lang.IllegalArgumentException", message: message.into() })
    }

    pub(super) fn not_a_number(text: &str, hint: &str) -> Self {
        Self::Caused(Cause {
            class: "java.lang.NumberFormatException",
            message: format!("For input string: \"{text}\"{hint}"),
        })
    }

    pub(super) fn unreadable(path: &str, error: &std::io::Error) -> Self {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "No such file or directory".to_owned(),
            std::io::ErrorKind::PermissionDenied => "Permission denied".to_owned(),
            _ => error.to_string(),
        };
        Self::Caused(Cause { class: "java.io.FileNotFoundException", message: format!("{path} ({why})") })
    }

    /// With the name of the file that was being read.
    pub(super) fn at(self, file: &str) -> ZooKeeperError {
        match self {
            Self::Config(message) => {
                ZooKeeperError { class: CONFIG_EXCEPTION, message, cause: None, notices: Vec::new() }
            }
            Self::Unexpected(message) => {
                ZooKeeperError { class: RUNTIME_EXCEPTION, message, cause: None, notices: Vec::new() }
            }
            Self::Caused(cause) => ZooKeeperError {
                class: CONFIG_EXCEPTION,
                message: format!("Error processing {file}"),
                cause: Some(cause),
                notices: Vec::new(),
            },
        }
    }
}

impl ZooKeeperError {
    /// `IllegalArgumentException` of the command line itself: the caller prints its usage.
    pub(super) fn usage(message: String) -> Self {
        Self { class: "java.lang.IllegalArgumentException", message, cause: None, notices: Vec::new() }
    }

    /// Was the command line wrong (`Invalid arguments, exiting abnormally` and the usage), not the file
    /// (`Invalid config, exiting abnormally`)? The exit code is 2 in both cases.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        self.class != CONFIG_EXCEPTION && !self.is_unexpected()
    }

    /// Does the server not fit its list of servers (`Unexpected exception, exiting abnormally`)? The exit code is 1.
    #[must_use]
    pub fn is_unexpected(&self) -> bool {
        self.class == RUNTIME_EXCEPTION
    }

    pub(super) fn with_notices(self, notices: Vec<Notice>) -> Self {
        Self { notices, ..self }
    }

    /// Lines for the log that come before the refusal, in order.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// The exception and its cause as a Java log shows them, without the stack.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let cause = self.cause.iter().map(|cause| format!("Caused by: {}: {}", cause.class, cause.message));
        std::iter::once(format!("{}: {}", self.class, self.message)).chain(cause).collect()
    }
}

impl fmt::Display for ZooKeeperError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Some(cause) => write!(formatter, "{}: {}", self.message, cause.message),
            None => formatter.write_str(&self.message),
        }
    }
}

impl std::error::Error for ZooKeeperError {}
