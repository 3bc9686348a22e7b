//! Progress of a run: a bar on a terminal, plain lines elsewhere, and log lines if logs are JSON.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use ddrs_common::log;
use indicatif::{ProgressBar, ProgressStyle};
use tracing::info;

use crate::collect::RecordCounts;

/// Shortest time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The display of a sweep's progress.
pub(crate) struct ProgressDisplay {
    slots: u64,
    start: Instant,
    before: u64,
    view: View,
}

enum View {
    Bar(ProgressBar),
    Lines { last: Option<Instant> },
}

impl ProgressDisplay {
    /// Starts with the records of earlier runs.
    pub(crate) fn new(slots: u64, counts: RecordCounts) -> Self {
        Self {
            slots,
            start: Instant::now(),
            before: counts.records,
            view: View::new(slots),
        }
    }

    /// Shows the counts. Plain lines are written at most every ten seconds, and once at the end.
    pub(crate) fn show(&mut self, counts: RecordCounts) {
        let fresh = counts.records - self.before;
        let text = describe(counts, self.slots, fresh, self.start.elapsed());
        match &mut self.view {
            View::Bar(bar) => {
                bar.set_position(counts.records);
                bar.set_message(text);
            }
            View::Lines { last } if counts.records == self.slots || is_due(*last) => {
                *last = Some(Instant::now());
                write_line(&text, counts, self.slots);
            }
            View::Lines { .. } => {}
        }
    }

    /// Removes the bar.
    pub(crate) fn end(&self) {
        if let View::Bar(bar) = &self.view {
            bar.finish_and_clear();
        }
    }
}

impl View {
    fn new(slots: u64) -> Self {
        if !stderr().is_terminal() || log::is_json() {
            return Self::Lines { last: None };
        }
        let style = ProgressStyle::with_template("{bar:30} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        Self::Bar(ProgressBar::new(slots).with_style(style))
    }
}

fn is_due(last: Option<Instant>) -> bool {
    last.is_none_or(|then| then.elapsed() >= LINE_EVERY)
}

/// Writes a line of progress. JSON logs have the numbers in separate fields.
fn write_line(text: &str, counts: RecordCounts, slots: u64) {
    if log::is_json() {
        let RecordCounts {
            records,
            failed,
            abstained,
            correct,
        } = counts;
        info!(
            samples = slots,
            records, failed, abstained, correct, "{text}"
        );
    } else {
        log::say(text);
    }
}

/// Returns `12/40 samples, 3.1/s, 9s left, 8.3% abstained, 75.0% correct`. Rate and time left come
/// from the `fresh` samples of this run.
fn describe(counts: RecordCounts, slots: u64, fresh: u64, elapsed: Duration) -> String {
    let mut text = format!("{}/{slots} samples", counts.records);
    if fresh > 0 && counts.records < slots {
        text += &pace(slots - counts.records, fresh, elapsed);
    }
    if counts.records > 0 {
        text += &shares(counts);
    }
    if counts.failed > 0 {
        text += &format!(", {} failed", counts.failed);
    }
    text
}

fn pace(missing: u64, fresh: u64, elapsed: Duration) -> String {
    let rate = fresh as f64 / elapsed.as_secs_f64().max(1e-3);
    let left = Duration::from_secs_f64(missing as f64 / rate);
    format!(", {}, {} left", rate_text(rate), duration_text(left))
}

fn shares(counts: RecordCounts) -> String {
    let share = |count: u64| 100.0 * count as f64 / counts.records as f64;
    format!(
        ", {:.1}% abstained, {:.1}% correct",
        share(counts.abstained),
        share(counts.correct)
    )
}

/// Returns samples per second, or per minute or hour for low rates.
pub(crate) fn rate_text(per_second: f64) -> String {
    match per_second {
        r if r >= 1.0 => format!("{r:.1}/s"),
        r if r * 60.0 >= 1.0 => format!("{:.1}/min", r * 60.0),
        r => format!("{:.1}/h", r * 3600.0),
    }
}

/// Returns `3d 4h`, `4h 05m`, `5m 06s` or `6s`.
pub(crate) fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().ceil() as u64;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_good() {
        let counts = RecordCounts {
            records: 12,
            failed: 1,
            abstained: 3,
            correct: 6,
        };
        assert_eq!(
            describe(counts, 40, 4, Duration::from_secs(2)),
            "12/40 samples, 2.0/s, 14s left, 25.0% abstained, 50.0% correct, 1 failed"
        );
        assert_eq!(
            describe(RecordCounts::default(), 40, 0, Duration::ZERO),
            "0/40 samples"
        );
    }

    #[test]
    fn durations_and_rates_use_the_unit_that_says_most() {
        for (seconds, text) in [
            (6, "6s"),
            (306, "5m 06s"),
            (14_700, "4h 05m"),
            (273_600, "3d 4h"),
        ] {
            assert_eq!(duration_text(Duration::from_secs(seconds)), text);
        }
        assert_eq!(
            (rate_text(2.0), rate_text(0.5), rate_text(0.001)),
            ("2.0/s".into(), "30.0/min".into(), "3.6/h".into())
        );
    }
}
