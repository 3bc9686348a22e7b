//! The randomness of training as pure functions of the seed, the purpose and the time.
//!
//! A run that was killed therefore needs no saved random state: the epoch and the step suffice.

use sha2::{Digest, Sha256};

/// The purpose of random numbers. The order of the variants is part of the seeds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// Initial weights.
    Weights,
    /// The choice of the validation samples.
    Validation,
    /// The order of the samples in an epoch.
    Order,
    /// Crops and flips.
    Augmentation,
    /// Draws that choose sigma.
    Sigma,
    /// Draws of the loss.
    Noise,
    /// Draws that measure accuracy on the validation samples.
    Evaluation,
}

/// Returns the seed for one purpose at one time.
pub(super) fn seed(training: u64, purpose: Purpose, epoch: u64, step: u64) -> u64 {
    let parts = [training, purpose as u64, epoch, step];
    first_bytes(&digest(parts))
}

fn digest(parts: [u64; 4]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"ddrs train");
    for part in parts {
        hash.update(part.to_le_bytes());
    }
    hash.finalize().into()
}

fn first_bytes(digest: &[u8; 32]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}
