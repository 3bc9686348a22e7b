//! Single fields of a log.

use ddrs_common::domain::{Class, Radius, Sigma};

use crate::aggregate::Verdict;

/// A whole number.
pub(super) fn whole<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("{name} {text:?} is not a whole number in range"))
}

fn decimal(name: &str, text: &str) -> Result<f64, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("{name} {text:?} is not a number"))
}

/// What `predict`, `radius` and `sigma` say together: -1 is an abstention, with sigma `nan` a
/// failed sample.
pub(super) fn verdict(
    predict: &str,
    radius: &str,
    sigma: Option<&str>,
) -> Result<(Verdict, Option<Sigma>), String> {
    let radius = Radius::new(decimal("radius", radius)?).map_err(|e| e.to_string())?;
    let sigma = sigma.map(|text| decimal("sigma", text)).transpose()?;
    if predict.trim() != "-1" {
        let sigma = sigma
            .map(Sigma::new)
            .transpose()
            .map_err(|e| e.to_string())?;
        return Ok((
            Verdict::Certified {
                class: Class(whole("predict", predict)?),
                radius,
            },
            sigma,
        ));
    }
    if radius != Radius::ZERO {
        return Err(format!("an abstention has radius {radius}"));
    }
    match sigma {
        Some(sigma) if sigma.is_nan() => Ok((Verdict::Failed, None)),
        sigma => Ok((
            Verdict::Abstained,
            sigma
                .map(Sigma::new)
                .transpose()
                .map_err(|e| e.to_string())?,
        )),
    }
}

/// Refuses a line whose `correct` contradicts its prediction: one of the two is not what was
/// logged.
pub(super) fn agrees(correct: &str, label: Class, verdict: Verdict) -> Result<(), String> {
    let claimed = match correct.trim() {
        "1" | "1.0" | "True" => true,
        "0" | "0.0" | "False" => false,
        other => return Err(format!("correct {other:?} is neither 0 nor 1")),
    };
    let is = matches!(verdict, Verdict::Certified { class, .. } if class == label);
    if claimed == is {
        Ok(())
    } else {
        Err(format!(
            "correct is {claimed}, which its label and prediction contradict"
        ))
    }
}

/// Seconds from `15.4`, or from what Python prints of a time difference: `0:02:32.717239`, `1 day,
/// 0:00:01`.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    duration(text.trim())
        .filter(|seconds| seconds.is_finite())
        .ok_or_else(|| format!("time {text:?} is not a duration"))
}

fn duration(text: &str) -> Option<f64> {
    let (days, clock) = match text.split_once(", ") {
        Some((days, clock)) => (
            days.strip_suffix(" days")
                .or_else(|| days.strip_suffix(" day"))?
                .parse::<u32>()
                .ok()?,
            clock,
        ),
        None => (0, text),
    };
    let clock = match clock.split(':').collect::<Vec<_>>()[..] {
        [seconds] => seconds.parse::<f64>().ok()?,
        [hours, minutes, seconds] => {
            let (minutes, seconds) = (minutes.parse::<u8>().ok()?, seconds.parse::<f64>().ok()?);
            if minutes >= 60 || seconds >= 60.0 {
                return None;
            }
            f64::from(hours.parse::<u32>().ok()?) * 3600.0 + f64::from(minutes) * 60.0 + seconds
        }
        _ => return None,
    };
    (clock >= 0.0).then_some(f64::from(days) * 86_400.0 + clock)
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
