//! How weights move.

use std::num::NonZeroU64;

/// Stochastic gradient descent with momentum.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimiser {
    /// The largest.
    pub learning_rate: f64,
    /// How much of the last step enters the next.
    pub momentum: f64,
    /// How strongly weights are pulled to 0.
    pub weight_decay: f64,
    /// How the learning rate moves.
    pub schedule: Schedule,
}

/// How the learning rate moves.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// Not at all.
    Constant,
    /// Times `factor` after each `every` epochs.
    Step {
        /// Epochs.
        every: NonZeroU64,
        /// Below 1.
        factor: f64,
    },
    /// Times `factor` at each of these epochs.
    Milestones {
        /// Epochs, ascending.
        epochs: Vec<u64>,
        /// Below 1.
        factor: f64,
    },
    /// Half a cosine from the learning rate to 0 (Loshchilov and Hutter 2017, without restarts).
    Cosine,
    /// Up in a line over the first `rise` of all steps, then down in a line to 0 (Smith 2018).
    OneCycle {
        /// A part of all steps, between 0 and 1.
        rise: f64,
    },
}
