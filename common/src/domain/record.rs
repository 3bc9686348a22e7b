//! The result of one sample of one variant.

use super::{Alpha, Probability, Radius, SampleIndex, Sigma, Statement, VariantName};

/// The number of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Class(pub u32);

/// The purpose of noise. Draws of one phase are never used in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Choosing sigma.
    Sigma,
    /// Selection: guessing the class.
    Select,
    /// Estimation: bounding the probability of the guess.
    Estimate,
    /// Guessing the level of an input.
    SelectorSelect,
    /// Bounding the probability of the guessed level.
    SelectorEstimate,
    /// Choosing the number of draws at another level than the guessed one.
    LevelSelect(u32),
    /// Bounding the probability of the class at another level than the guessed one.
    LevelEstimate(u32),
}

/// The largest number of levels that a selector chooses among.
pub const MAX_LEVELS: usize = 8;

const LEVEL_SELECT: [&str; MAX_LEVELS] = [
    "level-0-select",
    "level-1-select",
    "level-2-select",
    "level-3-select",
    "level-4-select",
    "level-5-select",
    "level-6-select",
    "level-7-select",
];

const LEVEL_ESTIMATE: [&str; MAX_LEVELS] = [
    "level-0-estimate",
    "level-1-estimate",
    "level-2-estimate",
    "level-3-estimate",
    "level-4-estimate",
    "level-5-estimate",
    "level-6-estimate",
    "level-7-estimate",
];

impl Phase {
    /// The word that is part of the seed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sigma => "sigma",
            Self::Select => "select",
            Self::Estimate => "estimate",
            Self::SelectorSelect => "selector-select",
            Self::SelectorEstimate => "selector-estimate",
            // A specification has at most `MAX_LEVELS` levels.
            Self::LevelSelect(level) => LEVEL_SELECT[level as usize],
            Self::LevelEstimate(level) => LEVEL_ESTIMATE[level as usize],
        }
    }
}

/// The result of the smoothed classifier for an input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// It predicts `class` everywhere within `radius` of the input, with probability at least
    /// 1 - alpha over the draws.
    Certified {
        /// The predicted class.
        class: Class,
        /// The L2 distance.
        radius: Radius,
    },
    /// The draws do not show that any class is a majority.
    Abstained,
}

/// A certificate, or an abstention, with the values that it follows from: the radius can be
/// computed again from `count`, `n`, `alpha` and `sigma`.
#[derive(Debug, Clone, PartialEq)]
pub struct Certification {
    /// The certified class and radius, or an abstention.
    pub outcome: Outcome,
    /// The kind of statement; `None` in records of versions that did not name it.
    pub statement: Option<Statement>,
    /// The sigma of the noise.
    pub sigma: Sigma,
    /// The variant's sigma, at which the choice started.
    pub sigma0: Sigma,
    /// The number of draws that guessed the class.
    pub n0: u64,
    /// The number of draws that bounded its probability.
    pub n: u64,
    /// The number of the `n` draws that gave the guessed class, abstained or not.
    pub count: u64,
    /// Lower bound on the probability of the guessed class under exact noise, at confidence
    /// 1 - alpha.
    pub p_lower: Probability,
    /// The L2 distance between the image and the grid on which its noise is drawn. It is already
    /// taken off the radius.
    pub off_grid: Radius,
    /// The probability with which the certificate may be wrong.
    pub alpha: Alpha,
    /// The most frequent other class of the selection phase, and its draws among the `n`; `None`
    /// in records of versions that did not count it.
    pub runner_up: Option<RunnerUp>,
    /// Upper bound on the probability of every other class, if the radius uses one.
    pub p_upper: Option<Probability>,
    /// The draws of the selection phase that gave the guess and the runner-up, if the sweep's
    /// rules use them.
    pub n0_counts: Option<SelectionCounts>,
    /// The choice of the level, in variants whose sigma a network selects.
    pub level: Option<Box<LevelSelection>>,
}

/// A class that is not the guess, and the number of draws that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunnerUp {
    /// The class.
    pub class: Class,
    /// The number of the `n` draws that gave it.
    pub count: u64,
}

/// Counts of the selection phase. They decide which classes are bounded, and after how many draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelectionCounts {
    /// The number of the `n0` draws that gave the guess.
    pub guess: u64,
    /// The number of them that gave the runner-up.
    pub runner_up: u64,
}

/// The draws of the network that selects a level, and what they show.
#[derive(Debug, Clone, PartialEq)]
pub struct LevelSelection {
    /// The level that it gave most often in the selection phase, counted from 0.
    pub level: u32,
    /// The number of draws that guessed the level.
    pub n0: u64,
    /// The number of the `n0` draws that gave it, if the sweep's rules use it.
    pub n0_count: Option<u64>,
    /// The number of draws that bounded its probability, and the level of each of them.
    pub counts: Vec<u64>,
    /// Lower bound on the probability of the guessed level.
    pub p_lower: Probability,
    /// The bounds of the class at other levels, where they were needed.
    pub others: Vec<LevelBound>,
}

/// The draws of the certified class at one level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LevelBound {
    /// The level, counted from 0.
    pub level: u32,
    /// The number of the class's draws in the selection phase of this level, if there was one.
    pub n0_count: Option<u64>,
    /// The number of draws.
    pub n: u64,
    /// The number of the `n` draws that gave the class.
    pub count: u64,
    /// Lower bound on the class's probability at this level.
    pub p_lower: Probability,
}

/// The result for one sample of one variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The variant, a row of the table.
    pub variant: VariantName,
    /// The sample's index in the dataset.
    pub index: SampleIndex,
    /// The input's true class; 0 if it could not be read.
    pub label: Class,
    /// The certification, or the reason for a failure.
    pub result: Result<Certification, String>,
    /// The sweep's seed.
    pub seed: u64,
    /// The wall time spent on the sample.
    pub seconds: f64,
    /// The name of the worker.
    pub worker: String,
    /// The attempt at its job, from 1.
    pub attempt: u32,
    /// The device.
    pub device: String,
}
