//! Where a tool writes, and how it ends before its work is done.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{Read, Write};

/// The streams of a tool. As in the originals, what nobody reads any more is lost without a word.
pub struct Console<'a> {
    /// What is read in place of standard input.
    pub input: Option<Box<dyn Read + Send>>,
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
}

impl Console<'_> {
    /// A line of output.
    pub fn line(&mut self, text: impl Display) {
        let _ = writeln!(self.out, "{text}");
    }

    /// A line on standard error.
    pub fn error_line(&mut self, text: impl Display) {
        let _ = writeln!(self.err, "{text}");
    }

    /// Hands on what is buffered.
    pub fn flush(&mut self) {
        let _ = self.out.flush();
        let _ = self.err.flush();
    }

    /// A line of the log, in the layout of `tools-log4j.properties`: `[2021-04-08 16:35:00,123] ERROR text (logger)`.
    pub fn log(&mut self, level: &str, text: impl Display, logger: &str) {
        let time = chrono::Local::now().format("%Y-%m-%d %H:%M:%S,%3f");
        self.error_line(format_args!("[{time}] {level} {text} ({logger})"));
    }
}

/// A tool ends here: what it still has to say, and its exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The exit code.
    pub code: i32,
    /// Text for standard output.
    pub out: String,
    /// Text for standard error.
    pub err: String,
}

impl Stop {
    /// An exception that the original does not catch: its first line, without the stack.
    #[must_use]
    pub fn uncaught(class: &str, message: impl Display) -> Self {
        Self { code: 1, out: String::new(), err: format!("Exception in thread \"main\" {class}: {message}\n") }
    }

    /// One line on standard error.
    #[must_use]
    pub fn failure(message: impl Display) -> Self {
        Self { code: 1, out: String::new(), err: format!("{message}\n") }
    }

    /// Says it, and gives the exit code.
    #[must_use]
    pub fn tell(&self, console: &mut Console<'_>) -> i32 {
        let _ = console.out.write_all(self.out.as_bytes());
        let _ = console.err.write_all(self.err.as_bytes());
        self.code
    }
}

/// An exception of the original that its caller catches: the class shows in logs, the message in output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thrown {
    /// The full name of the original's class.
    pub class: Cow<'static, str>,
    /// Its message.
    pub message: String,
    /// The exception behind it.
    pub cause: Option<Box<Thrown>>,
    /// Others that it stands for.
    pub suppressed: Vec<Thrown>,
}

impl Thrown {
    /// An exception of a class.
    #[must_use]
    pub fn new(class: impl Into<Cow<'static, str>>, message: impl Display) -> Self {
        Self { class: class.into(), message: message.to_string(), cause: None, suppressed: Vec::new() }
    }

    /// The same with the exception behind it.
    #[must_use]
    pub fn caused_by(mut self, cause: Thrown) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    /// `java.util.concurrent.ExecutionException`: what a future throws for an exception.
    #[must_use]
    pub fn executed(cause: Thrown) -> Self {
        Self::new("java.util.concurrent.ExecutionException", &cause).caused_by(cause)
    }

    /// The exception and what is behind it, a line each, without the stacks.
    #[must_use]
    pub fn trace(&self) -> String {
        let causes = std::iter::successors(self.cause.as_deref(), |thrown| thrown.cause.as_deref());
        let suppressed = self.suppressed.iter().map(|thrown| format!("\n\tSuppressed: {thrown}"));
        let start = self.to_string() + &suppressed.collect::<String>();
        causes.fold(start, |trace, cause| format!("{trace}\nCaused by: {cause}"))
    }

    /// `java.lang.IllegalArgumentException`.
    #[must_use]
    pub fn illegal_argument(message: impl Display) -> Self {
        Self::new("java.lang.IllegalArgumentException", message)
    }

    /// `kafka.common.AdminCommandFailedException`.
    #[must_use]
    pub fn command_failed(message: impl Display) -> Self {
        Self::new("kafka.common.AdminCommandFailedException", message)
    }

    /// `kafka.admin.AdminOperationException`.
    #[must_use]
    pub fn admin_operation(message: impl Display) -> Self {
        Self::new("kafka.admin.AdminOperationException", message)
    }

    /// Nobody catches it.
    #[must_use]
    pub fn uncaught(&self) -> Stop {
        Stop::failure(format_args!("Exception in thread \"main\" {}", self.trace()))
    }
}

impl From<Thrown> for Stop {
    /// Nobody catches it.
    fn from(thrown: Thrown) -> Self {
        thrown.uncaught()
    }
}

impl Display for Thrown {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.class, self.message)
    }
}
