//! Output to stderr: logs, progress and the last error, all as text or all as JSON, one object per
//! line.
//!
//! Control characters are replaced, so no message can change the terminal or forge a line: see
//! [`crate::terminal`].

use std::fmt;
use std::io::{Write as _, stderr};
use std::sync::OnceLock;

use clap::ValueEnum;
use tracing::{Event, Subscriber, error, info};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::terminal::{escape_json, plain};

/// The format of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One object per line
    Json,
}

impl LogFormat {
    /// Returns the value of `--log-format`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Starts to log to stderr; called once per process. `RUST_LOG` filters; without it, messages of
/// level `info` and above are shown.
pub fn begin(format: LogFormat) {
    let format = *FORMAT.get_or_init(|| format);
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(false)
        .with_target(false)
        // With a full disk, reporting the failed write would panic and end the program.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => log.map_event_format(Sanitized::text).init(),
        LogFormat::Json => log.json().map_event_format(Sanitized::json).init(),
    }
}

/// Returns true if logs are written as JSON.
#[must_use]
pub fn is_json() -> bool {
    FORMAT.get() == Some(&LogFormat::Json)
}

/// Writes a message to stderr: the bare text, or a log event if logs are JSON.
pub fn say(text: &str) {
    if is_json() {
        info!("{text}");
    } else {
        write_line(&plain(text));
    }
}

/// Writes the error that ends the program.
pub fn fail(reason: &str) {
    if is_json() {
        error!("{reason}");
    } else {
        write_line(&format!("error: {}", plain(reason)));
    }
}

/// Writes a line to stderr. A line that cannot be written, for example on a full disk, is dropped:
/// a message is not worth the run.
fn write_line(text: &str) {
    writeln!(stderr(), "{text}").ok();
}

/// Formats an event with `inner`, then sanitizes the line.
struct Sanitized<F> {
    inner: F,
    sanitize: fn(&str) -> String,
}

impl<F> Sanitized<F> {
    fn text(inner: F) -> Self {
        Self {
            inner,
            sanitize: plain,
        }
    }

    fn json(inner: F) -> Self {
        Self {
            inner,
            sanitize: escape_json,
        }
    }
}

impl<S, N, F> FormatEvent<S, N> for Sanitized<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.inner
            .format_event(context, Writer::new(&mut line), event)?;
        writeln!(out, "{}", (self.sanitize)(line.trim_end_matches('\n')))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::warn;

    use super::*;
    use crate::terminal::is_unsafe;

    /// A log that a test can read.
    #[derive(Clone, Default)]
    struct LogBuffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for LogBuffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const NAME: &str = "w\u{1b}[2J\u{9b}1m\u{202e}\nERROR forged";

    fn logged(format: LogFormat) -> String {
        let buffer = LogBuffer::default();
        let writer = buffer.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false);
        let logger: Box<dyn Subscriber + Send + Sync> = match format {
            LogFormat::Text => Box::new(log.map_event_format(Sanitized::text).finish()),
            LogFormat::Json => Box::new(log.json().map_event_format(Sanitized::json).finish()),
        };
        tracing::subscriber::with_default(logger, || warn!(worker = NAME, shown = %NAME, "{NAME}"));
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn an_event_is_one_line_without_control_characters() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = logged(format);
            assert_eq!(text.lines().count(), 1, "{text:?}");
            assert!(
                text.ends_with('\n') && !text.trim_end().chars().any(is_unsafe),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_program_that_parses_the_json_log_gets_the_original_text() {
        let event: serde_json::Value = serde_json::from_str(&logged(LogFormat::Json)).unwrap();
        assert_eq!(
            (&event["level"], &event["fields"]["message"]),
            (&"WARN".into(), &NAME.into())
        );
        assert_eq!(
            (&event["fields"]["worker"], &event["fields"]["shown"]),
            (&NAME.into(), &NAME.into())
        );
    }
}
