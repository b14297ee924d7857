//! `tracing` events of the core, as lines of a [`Log`]: the target is the name of the original's logger.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::{Level, Log};

struct Capture(Log);

/// Writes all events of the process to `log` from now on. Only the first call does something.
pub fn capture_events(log: &Log) {
    // An error means that there is a subscriber already.
    let _ = tracing::subscriber::set_global_default(Capture(log.clone()));
}

impl Subscriber for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && self.0.is_enabled(level_of(metadata), metadata.target())
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message::default();
        event.record(&mut message);
        let metadata = event.metadata();
        self.0.write_with(level_of(metadata), metadata.target(), message.text, message.exception);
    }

    // Spans are not used: one number does for all.
    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

fn level_of(metadata: &Metadata<'_>) -> Level {
    match *metadata.level() {
        tracing::Level::TRACE => Level::Trace,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::INFO => Level::Info,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::ERROR => Level::Error,
    }
}

#[derive(Default)]
struct Message {
    text: String,
    /// What the field `exception` says.
    exception: Option<String>,
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.text, "{value:?}"),
            "exception" => write!(self.exception.get_or_insert_default(), "{value:?}"),
            name => write!(self.text, " {name}={value:?}"),
        };
    }
}
