//! The update of the weights.

use std::num::NonZeroU64;

/// Stochastic gradient descent with momentum.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimiser {
    /// The largest learning rate of the schedule.
    pub learning_rate: f64,
    /// The share of the last step that is part of the next.
    pub momentum: f64,
    /// The factor of the weights that is added to their gradient.
    pub weight_decay: f64,
    /// The schedule of the learning rate.
    pub schedule: Schedule,
}

/// The change of the learning rate over the epochs.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// It does not change.
    Constant,
    /// It is multiplied by `factor` after each `every` epochs.
    Step {
        /// The number of epochs.
        every: NonZeroU64,
        /// Below 1.
        factor: f64,
    },
    /// It is multiplied by `factor` at each of these epochs.
    Milestones {
        /// Epochs, ascending.
        epochs: Vec<u64>,
        /// Below 1.
        factor: f64,
    },
    /// It follows half a cosine from the learning rate to 0 (Loshchilov and Hutter 2017, without
    /// restarts).
    Cosine,
    /// It rises in a line over the first `rise` of all steps, then falls in a line to 0 (Smith
    /// 2018).
    OneCycle {
        /// A share of all steps, between 0 and 1.
        rise: f64,
    },
}
