//! Progress of a run: a bar on a terminal, plain lines elsewhere, and lines of the log where that
//! is JSON.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use ddrs_common::log;
use indicatif::{ProgressBar, ProgressStyle};
use tracing::info;

use crate::collect::Tally;

/// How often a plain line is written, at most.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows how far a sweep is.
pub struct Progress {
    slots: u64,
    start: Instant,
    before: u64,
    view: View,
}

enum View {
    Bar(ProgressBar),
    Lines { last: Option<Instant> },
}

impl Progress {
    /// Starts at what earlier runs left.
    #[must_use]
    pub fn new(slots: u64, tally: Tally) -> Self {
        let view = if stderr().is_terminal() && !log::is_json() {
            let style = ProgressStyle::with_template("{bar:30} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            View::Bar(ProgressBar::new(slots).with_style(style))
        } else {
            View::Lines { last: None }
        };
        Self {
            slots,
            start: Instant::now(),
            before: tally.records,
            view,
        }
    }

    /// Shows the state; plain lines come at most every ten seconds, and one at the end.
    pub fn show(&mut self, tally: Tally) {
        let text = describe(
            tally,
            self.slots,
            tally.records - self.before,
            self.start.elapsed(),
        );
        match &mut self.view {
            View::Bar(bar) => {
                bar.set_position(tally.records);
                bar.set_message(text);
            }
            View::Lines { last } => {
                let due = last.is_none_or(|then| then.elapsed() >= LINE_EVERY)
                    || tally.records == self.slots;
                if due {
                    *last = Some(Instant::now());
                    tell(&text, tally, self.slots);
                }
            }
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let View::Bar(bar) = &self.view {
            bar.finish_and_clear();
        }
    }
}

/// A line of progress; programs get the numbers apart.
fn tell(text: &str, tally: Tally, slots: u64) {
    if log::is_json() {
        let Tally {
            records,
            failed,
            abstained,
            correct,
        } = tally;
        info!(
            samples = slots,
            records, failed, abstained, correct, "{text}"
        );
    } else {
        log::say(text);
    }
}

/// `12/40 samples, 3.1/s, 9s left, 8.3% abstained, 75.0% correct`: rate and rest from the `fresh`
/// samples of this run.
fn describe(tally: Tally, slots: u64, fresh: u64, elapsed: Duration) -> String {
    let mut text = format!("{}/{slots} samples", tally.records);
    if fresh > 0 && tally.records < slots {
        let rate = fresh as f64 / elapsed.as_secs_f64().max(1e-3);
        let left = Duration::from_secs_f64((slots - tally.records) as f64 / rate);
        text += &format!(", {}, {} left", rate_text(rate), duration_text(left));
    }
    if tally.records > 0 {
        let share = |count: u64| 100.0 * count as f64 / tally.records as f64;
        text += &format!(
            ", {:.1}% abstained, {:.1}% correct",
            share(tally.abstained),
            share(tally.correct)
        );
    }
    if tally.failed > 0 {
        text += &format!(", {} failed", tally.failed);
    }
    text
}

/// Samples a second, or a minute or an hour where that says more.
#[must_use]
pub fn rate_text(per_second: f64) -> String {
    match per_second {
        r if r >= 1.0 => format!("{r:.1}/s"),
        r if r * 60.0 >= 1.0 => format!("{:.1}/min", r * 60.0),
        r => format!("{:.1}/h", r * 3600.0),
    }
}

/// `3d 4h`, `4h 05m`, `5m 06s`, `6s`.
#[must_use]
pub fn duration_text(duration: Duration) -> String {
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
        let tally = Tally {
            records: 12,
            failed: 1,
            abstained: 3,
            correct: 6,
        };
        assert_eq!(
            describe(tally, 40, 4, Duration::from_secs(2)),
            "12/40 samples, 2.0/s, 14s left, 25.0% abstained, 50.0% correct, 1 failed"
        );
        assert_eq!(
            describe(Tally::default(), 40, 0, Duration::ZERO),
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
