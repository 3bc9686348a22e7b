//! What one sample of one variant came to.

use super::{Alpha, Probability, Radius, SampleIndex, Sigma, VariantName};

/// A class by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Class(pub u32);

/// How a variant comes by the sigma of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Choice {
    /// One sigma for all inputs (Cohen et al. 2019).
    Fixed,
    /// Algorithm 1 of Alfarra et al. 2022, from the variant's sigma on.
    DataDependent,
}

impl Choice {
    /// The word that specifications and variant names use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::DataDependent => "data-dependent",
        }
    }
}

/// What noise is drawn for. Draws of one phase are never used in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Choosing sigma.
    Sigma,
    /// Guessing the class.
    Select,
    /// Bounding the probability of the guess.
    Estimate,
}

impl Phase {
    /// The word that enters the seed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sigma => "sigma",
            Self::Select => "select",
            Self::Estimate => "estimate",
        }
    }
}

/// What the smoothed classifier says of an input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// It predicts `class` everywhere within `radius`, with probability at least 1 - alpha over the
    /// draws.
    Certified {
        /// The class predicted.
        class: Class,
        /// How far around the input.
        radius: Radius,
    },
    /// The draws do not show that any class is a majority.
    Abstained,
}

/// A certificate, or an abstention, with all that it rests on: the radius recomputes from
/// `count`, `n`, `alpha` and `sigma`.
#[derive(Debug, Clone, PartialEq)]
pub struct Certification {
    /// What was shown.
    pub outcome: Outcome,
    /// The sigma at which the network was sampled.
    pub sigma: Sigma,
    /// The variant's sigma, where the choice started.
    pub sigma0: Sigma,
    /// Draws that guessed the class.
    pub n0: u64,
    /// Draws that bounded its probability.
    pub n: u64,
    /// How many of the `n` gave the guessed class, abstained or not.
    pub count: u64,
    /// Lower bound on the probability of the guessed class, at confidence 1 - alpha.
    pub p_lower: Probability,
    /// The probability with which the certificate may be wrong.
    pub alpha: Alpha,
}

/// The result for one sample of one variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Which row of the table it belongs to.
    pub variant: VariantName,
    /// Which input.
    pub index: SampleIndex,
    /// The input's true class, if it could be read.
    pub label: Class,
    /// The certification, or why there is none.
    pub result: Result<Certification, String>,
    /// The sweep's seed.
    pub seed: u64,
    /// Wall time spent on the sample.
    pub seconds: f64,
    /// Who did it.
    pub worker: String,
    /// Which attempt at its job this was, from 1.
    pub attempt: u32,
    /// On what device.
    pub device: String,
}
