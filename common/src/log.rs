//! What programs say on stderr: logs, progress and the last error, all as text or all as one JSON
//! object a line.
//!
//! Nothing that is said steers a terminal or forges a line: see [`crate::terminal`].

use std::fmt;
use std::io::{Write as _, stderr};
use std::sync::OnceLock;

use tracing::{Event, Subscriber, error, info};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::terminal::{plain, visible};

/// How things are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

static STYLE: OnceLock<Style> = OnceLock::new();

/// Begins to log to stderr, once in a program. `RUST_LOG` filters; without it, what an operator
/// wants to know.
pub fn begin(style: Style) {
    let style = *STYLE.get_or_init(|| style);
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    // Else a log on a full disk would end the program: the complaint goes to stderr as well, and
    // panics.
    let log = log.with_target(false).log_internal_errors(false);
    match style {
        Style::Text => log
            .map_event_format(|inner| Harmless {
                inner,
                clean: plain,
            })
            .init(),
        Style::Json => log
            .json()
            .map_event_format(|inner| Harmless {
                inner,
                clean: visible,
            })
            .init(),
    }
}

/// Whether everything is said as JSON.
#[must_use]
pub fn is_json() -> bool {
    STYLE.get() == Some(&Style::Json)
}

/// Says something to whoever watches: a bare line, or a line of the log where that is JSON.
pub fn say(text: &str) {
    if is_json() {
        info!("{text}")
    } else {
        line(&plain(text))
    }
}

/// Says why the program ends.
pub fn fail(reason: &str) {
    if is_json() {
        error!("{reason}")
    } else {
        line(&format!("error: {}", plain(reason)))
    }
}

/// A line on stderr, or nothing when it cannot be written, as on a full disk: words are not worth a
/// run.
fn line(text: &str) {
    writeln!(stderr(), "{text}").ok();
}

/// Writes an event as `inner` does, then cleans the line.
struct Harmless<F> {
    inner: F,
    clean: fn(&str) -> String,
}

impl<S, N, F> FormatEvent<S, N> for Harmless<F>
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
        writeln!(out, "{}", (self.clean)(line.trim_end_matches('\n')))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::warn;

    use super::*;

    /// What is logged, for a test to read.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const NAME: &str = "w\u{1b}[2J\u{9b}1m\u{202e}\nERROR forged";

    fn logged(style: Style) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false);
        let logger: Box<dyn Subscriber + Send + Sync> = match style {
            Style::Text => Box::new(
                log.map_event_format(|inner| Harmless {
                    inner,
                    clean: plain,
                })
                .finish(),
            ),
            Style::Json => Box::new(
                log.json()
                    .map_event_format(|inner| Harmless {
                        inner,
                        clean: visible,
                    })
                    .finish(),
            ),
        };
        tracing::subscriber::with_default(logger, || warn!(worker = NAME, shown = %NAME, "{NAME}"));
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn an_event_is_one_line_that_steers_nothing() {
        for style in [Style::Text, Style::Json] {
            let text = logged(style);
            assert_eq!(text.lines().count(), 1, "{text:?}");
            assert!(
                text.ends_with('\n') && !text.trim_end().chars().any(crate::terminal::steers),
                "{text:?}"
            );
        }
    }

    #[test]
    fn programs_read_what_was_logged_as_it_was() {
        let event: serde_json::Value = serde_json::from_str(&logged(Style::Json)).unwrap();
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
