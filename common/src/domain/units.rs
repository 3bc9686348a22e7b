//! Numbers with a unit. No value can be built out of range, or passed in place of another unit.

use std::fmt;

use super::InvalidValue;

/// Checks that a number is finite and `holds`.
fn checked(name: &str, value: f64, holds: bool, demand: &str) -> Result<f64, InvalidValue> {
    if value.is_finite() && holds {
        Ok(value)
    } else {
        Err(InvalidValue(format!(
            "{name} must be {demand}, not {value}"
        )))
    }
}

/// The shortest text that reads back as the same number. A number with hundreds of digits is
/// written with an exponent, a whole one without a point.
pub(crate) fn short(value: f64) -> String {
    let text = format!("{value:?}");
    match text.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident, $word:literal, $value:ident => $holds:expr, $demand:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
        pub struct $name(f64);

        impl $name {
            /// Checks the range.
            ///
            /// # Errors
            #[doc = concat!("When the value is not ", $demand, ".")]
            pub fn new($value: f64) -> Result<Self, InvalidValue> {
                checked($word, $value, $holds, $demand).map(Self)
            }

            /// The number itself.
            #[must_use]
            pub fn get(self) -> f64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

unit!(
    /// The standard deviation of the smoothing noise, in units of pixels in \[0, 1\].
    Sigma, "sigma", value => value > 0.0, "a finite number above 0"
);
unit!(
    /// An L2 radius around an input, in units of pixels in \[0, 1\].
    Radius, "radius", value => value >= 0.0, "a finite number, 0 or more"
);
unit!(
    /// The probability with which a certificate may be wrong.
    Alpha, "alpha", value => value > 0.0 && value < 1.0, "strictly between 0 and 1"
);
unit!(
    /// A probability.
    Probability, "probability", value => (0.0..=1.0).contains(&value), "between 0 and 1"
);

impl Alpha {
    /// The smallest alpha of a specification or a record. No certificate needs a smaller one, and
    /// the bounds are tested down to parts of it.
    pub const LEAST: Self = Self(1e-100);

    /// A share of it, rounded down twice, so that the sum of all parts never exceeds the whole.
    #[must_use]
    pub fn part(self, share: f64) -> Self {
        let part = (self.0 * share).next_down().next_down();
        Self(part.max(f64::MIN_POSITIVE))
    }
}

impl Radius {
    /// The radius of an abstention.
    pub const ZERO: Self = Self(0.0);

    /// The largest radius.
    pub const MAX: Self = Self(f64::MAX);

    /// The smaller of two radii.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    /// The larger of two radii.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }
}

impl Probability {
    /// The probability of what never happens.
    pub const ZERO: Self = Self(0.0);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_unit_is_built_out_of_range() {
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(
                Sigma::new(bad).is_err() && Radius::new(bad).is_err() && Alpha::new(bad).is_err(),
                "{bad}"
            );
        }
        assert!(Sigma::new(0.0).is_err());
        assert!(Alpha::new(0.0).is_err() && Alpha::new(1.0).is_err());
        assert_eq!(Radius::new(0.0), Ok(Radius::ZERO));
        assert_eq!(
            Sigma::new(-1.0).unwrap_err().to_string(),
            "sigma must be a finite number above 0, not -1"
        );
    }
}
