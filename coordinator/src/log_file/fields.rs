//! Parsers of single fields of a log.

use std::str::FromStr;

use ddrs_common::domain::{Class, Radius, Sigma};

use crate::aggregate::EntryOutcome;

/// Parses a whole number.
pub(super) fn whole<T: FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("{name} {text:?} is not a whole number in range"))
}

fn decimal(name: &str, text: &str) -> Result<f64, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("{name} {text:?} is not a number"))
}

/// Parses `predict`, `radius` and `sigma`, which give the result together: class -1 is an
/// abstention, and with sigma `nan` a failed sample.
pub(super) fn result(
    predict: &str,
    radius: &str,
    sigma: Option<&str>,
) -> Result<(EntryOutcome, Option<Sigma>), String> {
    let radius = certified_radius(radius)?;
    let sigma = sigma.map(|text| decimal("sigma", text)).transpose()?;
    if predict.trim() == "-1" {
        return abstention(radius, sigma);
    }
    let class = Class(whole("predict", predict)?);
    Ok((EntryOutcome::Certified { class, radius }, valid(sigma)?))
}

fn certified_radius(text: &str) -> Result<Radius, String> {
    Radius::new(decimal("radius", text)?).map_err(|error| error.to_string())
}

/// Tells an abstention from a failed sample.
fn abstention(radius: Radius, sigma: Option<f64>) -> Result<(EntryOutcome, Option<Sigma>), String> {
    if radius != Radius::ZERO {
        return Err(format!("an abstention has radius {radius}"));
    }
    match sigma {
        Some(sigma) if sigma.is_nan() => Ok((EntryOutcome::Failed, None)),
        sigma => Ok((EntryOutcome::Abstained, valid(sigma)?)),
    }
}

fn valid(sigma: Option<f64>) -> Result<Option<Sigma>, String> {
    sigma
        .map(Sigma::new)
        .transpose()
        .map_err(|error| error.to_string())
}

/// Rejects a line whose `correct` contradicts its label and prediction.
pub(super) fn check_correct(
    correct: &str,
    label: Class,
    result: EntryOutcome,
) -> Result<(), String> {
    let claimed = boolean("correct", correct)?;
    let actual = matches!(result, EntryOutcome::Certified { class, .. } if class == label);
    if claimed == actual {
        return Ok(());
    }
    Err(format!(
        "correct is {claimed}, which its label and prediction contradict"
    ))
}

/// Parses 1 or 0, also as a decimal or as Python prints it.
fn boolean(name: &str, text: &str) -> Result<bool, String> {
    match text.trim() {
        "1" | "1.0" | "True" => Ok(true),
        "0" | "0.0" | "False" => Ok(false),
        other => Err(format!("{name} {other:?} is neither 0 nor 1")),
    }
}

/// Parses seconds, either as `15.4` or as Python prints a time difference: `0:02:32.717239`, `1
/// day, 0:00:01`.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    duration(text.trim())
        .filter(|seconds| seconds.is_finite())
        .ok_or_else(|| format!("time {text:?} is not a duration"))
}

fn duration(text: &str) -> Option<f64> {
    let Some((days, clock)) = text.split_once(", ") else {
        return clock_time(text);
    };
    Some(f64::from(whole_days(days)?) * 86_400.0 + clock_time(clock)?)
}

/// Parses `N days` or `1 day`.
fn whole_days(text: &str) -> Option<u32> {
    let number = text
        .strip_suffix(" days")
        .or_else(|| text.strip_suffix(" day"))?;
    number.parse().ok()
}

/// Parses `SECONDS` or `HOURS:MINUTES:SECONDS`.
fn clock_time(text: &str) -> Option<f64> {
    let parts: Vec<&str> = text.split(':').collect();
    let seconds = match parts[..] {
        [seconds] => seconds.parse().ok()?,
        [hours, minutes, seconds] => clock_seconds(hours, minutes, seconds)?,
        _ => return None,
    };
    (seconds >= 0.0).then_some(seconds)
}

fn clock_seconds(hours: &str, minutes: &str, seconds: &str) -> Option<f64> {
    let hours: u32 = hours.parse().ok()?;
    let minutes: u8 = below_sixty(minutes)?;
    let seconds: f64 = below_sixty(seconds)?;
    Some(f64::from(hours) * 3600.0 + f64::from(minutes) * 60.0 + seconds)
}

fn below_sixty<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Option<T> {
    let number: T = text.parse().ok()?;
    (number < T::from(60)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_read_as_seconds_or_as_python_prints_it() {
        let good = [
            ("15.4", 15.4),
            ("0", 0.0),
            ("0:02:32.717239", 152.717_239),
            ("0:00:14", 14.0),
            ("100:00:00.5", 360_000.5),
            ("1 day, 0:00:01", 86_401.0),
            ("2 days, 1:00:00.25", 176_400.25),
        ];
        for (text, expected) in good {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for bad in [
            "",
            "-1",
            "nan",
            "inf",
            "1:00",
            "0:60:00",
            "0:00:60",
            "0:00:-1",
            "-1 day, 0:00:01",
            "1 week, 0:00:01",
        ] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
