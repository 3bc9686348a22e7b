//! The radii at which a table certifies accuracy.

use std::str::FromStr;

/// Finite radii of at least 0, ascending, at least one and at most [`Radii::MOST`].
#[derive(Debug, Clone, PartialEq)]
pub struct Radii(Vec<f64>);

/// Why radii were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("radii: {0}")]
pub struct InvalidRadii(String);

impl Radii {
    /// More columns than anyone reads.
    pub const MOST: usize = 10_000;

    /// Checks radii that are given one by one.
    ///
    /// # Errors
    /// When there are none, too many, or one is not a finite number above its predecessor.
    pub fn new(radii: Vec<f64>) -> Result<Self, InvalidRadii> {
        if radii.is_empty() {
            return Err(InvalidRadii("there are none".into()));
        }
        if radii.len() > Self::MOST {
            return Err(InvalidRadii(format!(
                "{} are more than {}",
                radii.len(),
                Self::MOST
            )));
        }
        if let Some(bad) = radii
            .iter()
            .find(|radius| !(radius.is_finite() && **radius >= 0.0))
        {
            return Err(InvalidRadii(format!(
                "{bad} is not a finite number of 0 or more"
            )));
        }
        match radii.windows(2).find(|pair| pair[0] >= pair[1]) {
            Some(pair) => Err(InvalidRadii(format!(
                "{} does not come after {}",
                pair[1], pair[0]
            ))),
            None => Ok(Self(radii)),
        }
    }

    /// The plain numbers.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }
}

impl FromStr for Radii {
    type Err = InvalidRadii;

    /// Reads `from:to:step`: `from`, then every `step`, up to and including `to`.
    ///
    /// Each radius is the double nearest to the decimal that is meant, so `0:1:0.1` has 0.3 in it
    /// and not 3 * 0.1 = 0.30000000000000004, which a radius logged as 0.3 would miss.
    fn from_str(text: &str) -> Result<Self, InvalidRadii> {
        let numbers = text
            .split(':')
            .map(number)
            .collect::<Result<Vec<f64>, _>>()?;
        let [from, to, step] = numbers[..] else {
            return Err(InvalidRadii(format!(
                "{text:?} is not from:to:step, as in 0:2:0.25"
            )));
        };
        if step <= 0.0 {
            return Err(InvalidRadii(format!("the step {step} is not above 0")));
        }
        if from < 0.0 || to < from {
            return Err(InvalidRadii(format!(
                "{from} to {to} is not an ascending range from 0 or more"
            )));
        }
        // A quotient that misses a whole number by rounding alone still reaches `to`.
        let steps = ((to - from) / step + 1e-9).floor();
        if steps >= Self::MOST as f64 {
            return Err(InvalidRadii(format!(
                "{text:?} has more than {} radii",
                Self::MOST
            )));
        }
        let digits = decimals(from).max(decimals(step));
        let radius = |i: usize| number(&format!("{:.digits$}", from + i as f64 * step));
        Self::new((0..=steps as usize).map(radius).collect::<Result<_, _>>()?)
    }
}

fn number(text: &str) -> Result<f64, InvalidRadii> {
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(InvalidRadii(format!("{text:?} is not a number"))),
    }
}

/// Digits after the point in the shortest decimal that names the number.
fn decimals(number: f64) -> usize {
    number
        .to_string()
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(text: &str, expected: &[f64]) {
        assert_eq!(
            text.parse::<Radii>().unwrap().as_slice(),
            expected,
            "{text}"
        );
    }

    #[test]
    fn both_ends_are_included_and_no_step_drifts() {
        check(
            "0:1:0.1",
            &[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
        );
        check("0:1:0.25", &[0.0, 0.25, 0.5, 0.75, 1.0]);
        check("0.5:0.5:1", &[0.5]);
        check("0:1:0.3", &[0.0, 0.3, 0.6, 0.9]);
        check("0:3e-1:1e-1", &[0.0, 0.1, 0.2, 0.3]);
        assert_eq!("0:4:0.25".parse::<Radii>().unwrap().as_slice().len(), 17);
        assert_eq!(
            "0:99.99:0.01".parse::<Radii>().unwrap().as_slice().len(),
            Radii::MOST
        );
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        let bad = [
            ("", "is not a number"),
            ("0:1", "is not from:to:step"),
            ("0:1:0.5:2", "is not from:to:step"),
            ("0:1:0", "not above 0"),
            ("0:1:-0.1", "not above 0"),
            ("1:0:0.1", "ascending"),
            ("-1:0:0.1", "ascending"),
            ("0:nan:1", "is not a number"),
            ("0:inf:1", "is not a number"),
            ("0:100:0.01", "more than 10000"),
            ("0:1:1e-300", "more than 10000"),
            ("1e300:1.1e300:1e-300", "more than 10000"),
            // Steps that a double cannot tell apart.
            ("1e16:1.0000000000000002e16:0.5", "does not come after"),
        ];
        for (text, reason) in bad {
            let error = text.parse::<Radii>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn listed_radii_must_ascend() {
        assert!(Radii::new(vec![0.0, 0.5]).is_ok());
        for bad in [
            vec![],
            vec![0.5, 0.5],
            vec![1.0, 0.5],
            vec![f64::NAN],
            vec![-1.0],
            vec![0.0; Radii::MOST + 1],
        ] {
            assert!(Radii::new(bad).is_err());
        }
    }
}
