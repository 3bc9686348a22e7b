//! Lines to a log's text.

use std::fmt::Write;

use super::Line;
use crate::aggregate::Verdict;

/// The log of `lines`, in the order of their indices, with every digit of the radii.
#[must_use]
pub fn write(lines: &[Line]) -> String {
    let mut lines: Vec<&Line> = lines.iter().collect();
    lines.sort_by_key(|line| line.entry.index);
    let mut text = String::from("idx\tlabel\tpredict\tradius\tcorrect\tsigma\ttime\n");
    for line in lines {
        let entry = &line.entry;
        let outcome = match entry.verdict {
            Verdict::Certified { class, radius } => {
                format!("{}\t{radius}\t{}", class.0, u8::from(class == entry.label))
            }
            Verdict::Abstained | Verdict::Failed => "-1\t0.0\t0".to_owned(),
        };
        let sigma = line
            .sigma
            .map_or_else(|| "nan".to_owned(), |sigma| sigma.to_string());
        let time = clock(line.seconds.unwrap_or(0.0));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}\t{}\t{outcome}\t{sigma}\t{time}",
            entry.index, entry.label.0
        );
    }
    text
}

/// `H:MM:SS.ffffff`, with as many digits for the hours as they need.
fn clock(seconds: f64) -> String {
    // The cast takes NaN and what is negative to 0, and what is too large to the largest number.
    let micros = (seconds * 1e6).round() as u64;
    let (whole, micros) = (micros / 1_000_000, micros % 1_000_000);
    format!(
        "{}:{:02}:{:02}.{micros:06}",
        whole / 3600,
        whole / 60 % 60,
        whole % 60
    )
}

#[cfg(test)]
mod tests {
    use super::clock;

    #[test]
    fn time_is_hours_minutes_seconds_and_microseconds() {
        assert_eq!(clock(0.0), "0:00:00.000000");
        assert_eq!(clock(152.717_239), "0:02:32.717239");
        assert_eq!(clock(3_599.999_999_9), "1:00:00.000000");
        assert_eq!(clock(360_000.5), "100:00:00.500000");
        assert_eq!(clock(f64::NAN), "0:00:00.000000");
        assert_eq!(clock(-1.0), "0:00:00.000000");
    }
}
