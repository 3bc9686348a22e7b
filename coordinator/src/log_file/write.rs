//! Writes the text of a log.

use std::fmt::Write;

use super::LogLine;
use crate::aggregate::{Entry, EntryOutcome};

/// Writes `lines` in the order of their indices, with every digit of the radii.
#[must_use]
pub fn write(lines: &[LogLine]) -> String {
    let mut text = String::from("idx\tlabel\tpredict\tradius\tcorrect\tsigma\ttime\n");
    for line in sorted_by_index(lines) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", row(line));
    }
    text
}

fn sorted_by_index(lines: &[LogLine]) -> Vec<&LogLine> {
    let mut lines: Vec<&LogLine> = lines.iter().collect();
    lines.sort_by_key(|line| line.entry.index);
    lines
}

fn row(line: &LogLine) -> String {
    let entry = &line.entry;
    let sigma = sigma_text(entry);
    let time = clock_time(line.seconds.unwrap_or(0.0));
    let result = result(entry);
    format!(
        "{}\t{}\t{result}\t{sigma}\t{time}",
        entry.index, entry.label.0
    )
}

fn sigma_text(entry: &Entry) -> String {
    entry
        .sigma
        .map_or_else(|| "nan".to_owned(), |sigma| sigma.to_string())
}

/// The columns `predict`, `radius` and `correct`.
fn result(entry: &Entry) -> String {
    match entry.result {
        EntryOutcome::Certified { class, radius } => {
            format!("{}\t{radius}\t{}", class.0, u8::from(class == entry.label))
        }
        EntryOutcome::Abstained | EntryOutcome::Failed => "-1\t0.0\t0".to_owned(),
    }
}

/// `H:MM:SS.ffffff`, with as many digits for the hours as they need.
fn clock_time(seconds: f64) -> String {
    // The cast turns NaN and negative numbers into 0, and saturates at the largest number.
    let micros = (seconds * 1e6).round() as u64;
    let whole = micros / 1_000_000;
    format!(
        "{}:{:02}:{:02}.{:06}",
        whole / 3600,
        whole / 60 % 60,
        whole % 60,
        micros % 1_000_000
    )
}

#[cfg(test)]
mod tests {
    use super::clock_time;

    #[test]
    fn time_is_hours_minutes_seconds_and_microseconds() {
        assert_eq!(clock_time(0.0), "0:00:00.000000");
        assert_eq!(clock_time(152.717_239), "0:02:32.717239");
        assert_eq!(clock_time(3_599.999_999_9), "1:00:00.000000");
        assert_eq!(clock_time(360_000.5), "100:00:00.500000");
        assert_eq!(clock_time(f64::NAN), "0:00:00.000000");
        assert_eq!(clock_time(-1.0), "0:00:00.000000");
    }
}
