//! The attack on one certificate.

use std::fmt;

use crate::domain::{Class, Outcome, Radius, Record, SweepId};

/// The search for a point near an input where the same pipeline answers otherwise, and the
/// certification of the best point found.
#[derive(Debug, Clone, PartialEq)]
pub struct AttackRecord {
    /// The sweep whose certificate was attacked.
    pub sweep: SweepId,
    /// The class that was certified for the input.
    pub certified: Class,
    /// The radius of the ball that was searched.
    pub radius: Radius,
    /// The choice of that radius.
    pub reach: AttackReach,
    /// The distance of the point from the input, rounded up. It is below `radius`.
    pub distance: Radius,
    /// The settings of the search.
    pub settings: AttackSettings,
    /// The point's record: the whole pipeline at the point, with other noise than the input's.
    pub point: Record,
}

/// The choice of the radius at which certificates are attacked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AttackReach {
    /// One radius for all.
    Radius(Radius),
    /// Each certificate's own radius.
    Own,
}

/// The settings of the search for a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttackSettings {
    /// The number of steps of each search.
    pub steps: u32,
    /// The number of searches from different starting points.
    pub starts: u32,
    /// The number of draws per step.
    pub draws: u32,
    /// The seed of the search's noise.
    pub seed: u64,
}

/// The answer of the pipeline at the point, compared with the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttackOutcome {
    /// The same class is certified.
    Holds,
    /// No class is certified.
    Abstains,
    /// Another class is certified.
    Falls,
}

impl AttackRecord {
    /// Returns the answer at the point, compared with the certificate. `None` if the point has no
    /// certification.
    #[must_use]
    pub fn outcome(&self) -> Option<AttackOutcome> {
        let certification = self.point.result.as_ref().ok()?;
        Some(AttackOutcome::of(certification.outcome, self.certified))
    }
}

impl AttackOutcome {
    /// Compares the answer at a point with the class that was certified.
    #[must_use]
    pub fn of(answer: Outcome, certified: Class) -> Self {
        match answer {
            Outcome::Abstained => Self::Abstains,
            Outcome::Certified { class, .. } if class == certified => Self::Holds,
            Outcome::Certified { .. } => Self::Falls,
        }
    }

    /// The word that the file uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Abstains => "abstains",
            Self::Falls => "falls",
        }
    }
}

/// The radius in words, after `at`.
impl fmt::Display for AttackReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Radius(radius) => write!(f, "radius {radius}"),
            Self::Own => f.write_str("the certified radius of each"),
        }
    }
}
