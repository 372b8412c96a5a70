//! Log lines: one event, one line, one JSON object, whatever its fields hold.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::log_writer::LogSink;
use super::spans::current_trace_id;
use crate::domain::time::Timestamp;

/// Room for a usual line, so that it is allocated once.
const USUAL_LINE_BYTES: usize = 384;

/// Where time comes from.
pub type Now = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// Writes each event as a line: `time`, `level`, `target`, `trace_id` if a call is traced, `message` if there is one, then the
/// event's fields. Spans of `tracing` are not written: they hold nothing that our events do not say.
pub(super) struct JsonLines {
    sink: LogSink,
    now: Now,
}

impl JsonLines {
    pub(super) fn new(sink: LogSink, now: Now) -> Self {
        Self { sink, now }
    }
}

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Line(String::with_capacity(USUAL_LINE_BYTES));
        line.0.push_str("{\"time\":");
        line.text(&rfc3339((self.now)()));
        line.0.push_str(",\"level\":");
        line.text(metadata.level().as_str());
        line.0.push_str(",\"target\":");
        line.text(metadata.target());
        if let Some(trace) = current_trace_id() {
            line.plain(format_args!(",\"trace_id\":\"{trace}\""));
        }
        event.record(&mut line);
        line.0.push_str("}\n");
        // A failure is wanted on disk even if the process dies of it.
        let urgent = *metadata.level() <= tracing::Level::WARN;
        self.sink.write(line.0.as_bytes(), urgent);
    }
}

fn rfc3339(at: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    format!("{time:.3}")
}

/// A line on its way.
struct Line(String);

impl Line {
    fn key(&mut self, field: &Field) {
        self.0.push(',');
        let name = field.name();
        // Ours come first and are never written twice.
        if matches!(name, "time" | "level" | "target" | "trace_id") {
            self.0.push_str("\"field_");
            self.0.push_str(name);
            self.0.push('"');
        } else {
            self.text(name);
        }
        self.0.push(':');
    }

    /// A JSON string. Escapes what JSON asks for, and all that a terminal or a viewer obeys: control characters,
    /// line and paragraph separators, marks of direction, and everything else outside of plain text.
    fn text(&mut self, text: &str) {
        self.0.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => {
                    self.0.push('\\');
                    self.0.push(c);
                }
                ' '..='~' => self.0.push(c),
                _ if c.is_alphanumeric() => self.0.push(c),
                _ => self.escaped(c),
            }
        }
        self.0.push('"');
    }

    fn escaped(&mut self, c: char) {
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            self.plain(format_args!("\\u{unit:04x}"));
        }
    }

    fn plain(&mut self, value: fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _infallible = self.0.write_fmt(value);
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.key(field);
        // JSON has no word for infinity and none for what is no number.
        if value.is_finite() { self.plain(format_args!("{value}")) } else { self.0.push_str("null") }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.key(field);
        self.plain(format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.key(field);
        self.plain(format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.key(field);
        self.plain(format_args!("{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.key(field);
        self.text(value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.key(field);
        self.text(&format!("{value:?}"));
    }
}
