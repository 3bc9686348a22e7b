//! Where all randomness of training comes from: pure functions of the seed, what it is for, and
//! when.
//!
//! So a run that was killed needs no random state to go on: the epoch and the step are enough.

use sha2::{Digest, Sha256};

/// What randomness is for.
#[derive(Debug, Clone, Copy)]
pub enum Purpose {
    /// Initial weights.
    Weights,
    /// Which samples are kept back.
    Validation,
    /// The order of an epoch.
    Order,
    /// Crops and flips.
    Augmentation,
    /// Draws that choose sigma.
    Sigma,
    /// Draws of the loss.
    Noise,
    /// Draws under which accuracy is measured.
    Evaluation,
}

/// A seed for one purpose at one time.
#[must_use]
pub fn seed(training: u64, purpose: Purpose, epoch: u64, step: u64) -> u64 {
    let mut hash = Sha256::new();
    hash.update(b"ddrs train");
    for part in [training, purpose as u64, epoch, step] {
        hash.update(part.to_le_bytes());
    }
    let digest = hash.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}
