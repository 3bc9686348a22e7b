//! The radii at which accuracy is certified.

use std::str::FromStr;

use super::units::{Radius, short};

/// Radii in ascending order: at least one, at most [`Radii::MAX_LEN`].
#[derive(Debug, Clone, PartialEq)]
pub struct Radii(Vec<Radius>);

/// The reason why numbers are not [`Radii`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", element("radii", *.position))]
pub struct InvalidRadii {
    /// The position of the number at fault, from 0; `None` if it is not one of them.
    pub position: Option<usize>,
    /// The rule that is broken, and the value that breaks it.
    pub reason: String,
}

impl InvalidRadii {
    /// The key at fault where the radii stand under `key`: `key` or `key[2]`.
    #[must_use]
    pub fn key(&self, key: &str) -> String {
        element(key, self.position)
    }

    fn list(reason: impl Into<String>) -> Self {
        Self {
            position: None,
            reason: reason.into(),
        }
    }

    fn at(position: usize, reason: String) -> Self {
        Self {
            position: Some(position),
            reason,
        }
    }
}

fn element(key: &str, position: Option<usize>) -> String {
    match position {
        Some(position) => format!("{key}[{position}]"),
        None => key.to_owned(),
    }
}

impl Radii {
    /// More columns than a table can show.
    pub const MAX_LEN: usize = 10_000;

    /// Checks a list of radii.
    ///
    /// # Errors
    /// When the list is empty or too long, or a value is negative, not finite, or not above the
    /// value before it.
    pub fn new(values: &[f64]) -> Result<Self, InvalidRadii> {
        check_length(values.len())?;
        let mut radii: Vec<Radius> = Vec::with_capacity(values.len());
        for &value in values {
            radii.push(next(radii.last(), value).map_err(|e| InvalidRadii::at(radii.len(), e))?);
        }
        Ok(Self(radii))
    }

    /// The radii in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Radius> + '_ {
        self.0.iter().copied()
    }

    /// The plain numbers.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        self.iter().map(Radius::get).collect()
    }
}

fn check_length(found: usize) -> Result<(), InvalidRadii> {
    let most = Radii::MAX_LEN;
    match found {
        0 => Err(InvalidRadii::list("must not be empty")),
        _ if found > most => Err(InvalidRadii::list(format!("at most {most}, not {found}"))),
        _ => Ok(()),
    }
}

/// Checks one radius and its order, or says what is wrong with it.
fn next(previous: Option<&Radius>, value: f64) -> Result<Radius, String> {
    let demand = "a finite number, 0 or more";
    let radius =
        Radius::new(value).map_err(|_| format!("must be {demand}, not {}", short(value)))?;
    match previous {
        Some(previous) if *previous >= radius => {
            Err(format!("{value} does not lie above {previous} before it"))
        }
        _ => Ok(radius),
    }
}

impl FromStr for Radii {
    type Err = InvalidRadii;

    /// Reads `from:to:step`: `from`, then every `step`, up to and including `to`.
    ///
    /// Each radius is the double nearest to the decimal that is meant, so `0:1:0.1` contains 0.3
    /// and not 3 * 0.1 = 0.30000000000000004, which a radius logged as 0.3 would miss.
    fn from_str(text: &str) -> Result<Self, InvalidRadii> {
        let range = Range::parse(text)?;
        if range.steps() >= Self::MAX_LEN as f64 {
            let reason = format!("{text:?} has more than {} radii", Self::MAX_LEN);
            return Err(InvalidRadii::list(reason));
        }
        Self::new(&range.values()?)
    }
}

/// An arithmetic progression: `from`, then every `step` up to and including `to`.
struct Range {
    from: f64,
    to: f64,
    step: f64,
}

impl Range {
    fn parse(text: &str) -> Result<Self, InvalidRadii> {
        let numbers: Vec<f64> = text.split(':').map(number).collect::<Result<_, _>>()?;
        let [from, to, step] = numbers[..] else {
            let reason = format!("{text:?} is not from:to:step, as in 0:2:0.25");
            return Err(InvalidRadii::list(reason));
        };
        Self { from, to, step }.checked()
    }

    fn checked(self) -> Result<Self, InvalidRadii> {
        let Self { from, to, step } = self;
        if step <= 0.0 {
            let reason = format!("the step {step} is not above 0");
            return Err(InvalidRadii::list(reason));
        }
        if from < 0.0 || to < from {
            let reason = format!("{from} to {to} is not an ascending range from 0 or more");
            return Err(InvalidRadii::list(reason));
        }
        Ok(self)
    }

    /// The number of steps from `from` to `to`. A quotient that misses a whole number by rounding
    /// alone still reaches `to`.
    fn steps(&self) -> f64 {
        ((self.to - self.from) / self.step + 1e-9).floor()
    }

    /// The values, each the double nearest to its decimal.
    fn values(&self) -> Result<Vec<f64>, InvalidRadii> {
        let digits = decimals(self.from).max(decimals(self.step));
        (0..=self.steps() as usize)
            .map(|i| number(&format!("{:.digits$}", self.from + i as f64 * self.step)))
            .collect()
    }
}

fn number(text: &str) -> Result<f64, InvalidRadii> {
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(InvalidRadii::list(format!("{text:?} is not a number"))),
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

    fn read(text: &str) -> Vec<f64> {
        text.parse::<Radii>().unwrap().values()
    }

    #[test]
    fn both_ends_are_included_and_no_step_drifts() {
        let tenths = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
        assert_eq!(read("0:1:0.1"), tenths);
        assert_eq!(read("0:1:0.25"), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(read("0.5:0.5:1"), [0.5]);
        assert_eq!(read("0:1:0.3"), [0.0, 0.3, 0.6, 0.9]);
        assert_eq!(read("0:3e-1:1e-1"), [0.0, 0.1, 0.2, 0.3]);
        assert_eq!(read("0:4:0.25").len(), 17);
        assert_eq!(read("0:99.99:0.01").len(), Radii::MAX_LEN);
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
            ("1e16:1.0000000000000002e16:0.5", "does not lie above"),
        ];
        for (text, reason) in bad {
            let error = text.parse::<Radii>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn listed_radii_must_ascend_and_the_one_that_does_not_is_named() {
        assert!(Radii::new(&[0.0, 0.5]).is_ok());
        let too_many = vec![0.0; Radii::MAX_LEN + 1];
        let refused: [(&[f64], &str); 6] = [
            (&[], "radii: must not be empty"),
            (
                &[0.5, 0.5],
                "radii[1]: 0.5 does not lie above 0.5 before it",
            ),
            (&[1.0, 0.5], "radii[1]: 0.5 does not lie above 1 before it"),
            (
                &[0.0, f64::NAN],
                "radii[1]: must be a finite number, 0 or more, not NaN",
            ),
            (
                &[-1.0],
                "radii[0]: must be a finite number, 0 or more, not -1",
            ),
            (&too_many, "radii: at most 10000, not 10001"),
        ];
        for (values, error) in refused {
            assert_eq!(Radii::new(values).unwrap_err().to_string(), error);
        }
    }
}
