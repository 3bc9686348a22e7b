//! What is said while training goes on.

use std::time::{Duration, Instant};

use super::checkpoint::Position;
use super::epochs::Trainer;
use super::journal::{Distribution, Line};

/// How often a long epoch is heard of.
const SAY_EVERY: Duration = Duration::from_secs(10);

impl Trainer<'_> {
    /// How sigma is distributed over the inputs that train.
    pub(super) fn sigmas(&self) -> Distribution {
        Distribution::of(
            self.examples
                .training
                .iter()
                .map(|&place| self.state.sigma[place]),
        )
    }

    /// After an epoch.
    pub(super) fn say_epoch(&self, line: &Line) {
        tracing::info!(
            "epoch {} of {}: loss {:.4}, accuracy under noise {:.1}%, on validation {:.1}%, {:.0} images/s, sigma {:.3} \
             ({:.3} to {:.3})",
            line.epoch,
            self.spec.epochs,
            line.loss,
            100.0 * line.accuracy,
            100.0 * line.validation_accuracy,
            line.images_per_second,
            line.sigma.median,
            line.sigma.least,
            line.sigma.largest
        );
    }

    /// After a step, if nothing has been said for long.
    pub(super) fn say(&mut self, steps: u64) {
        if self.said.elapsed() < SAY_EVERY {
            return;
        }
        self.said = Instant::now();
        let Position {
            epoch, step, sums, ..
        } = self.state.position;
        let rate = sums.inputs as f64 / sums.seconds;
        let left = (self.spec.epochs.get() - epoch) * steps - step;
        let eta = Duration::from_secs_f64((left * self.spec.batch.get()) as f64 / rate);
        let sigma = self.sigmas();
        tracing::info!(
            "epoch {epoch} of {}, step {step} of {steps}: loss {:.4}, accuracy under noise {:.1}%, {rate:.0} images/s, \
             sigma {:.3} ({:.3} to {:.3}), {} s left",
            self.spec.epochs,
            sums.loss / sums.inputs as f64,
            100.0 * sums.correct as f64 / sums.inputs as f64,
            sigma.median,
            sigma.least,
            sigma.largest,
            eta.as_secs()
        );
    }
}
