//! Log messages about the progress of a training.

use std::time::{Duration, Instant};

use super::checkpoint::Position;
use super::epoch_log::{EpochEntry, SigmaDistribution};
use super::epochs::Trainer;

/// The time between two messages within an epoch.
const REPORT_EVERY: Duration = Duration::from_secs(10);

impl Trainer<'_> {
    /// Summarises the sigmas of the training inputs.
    pub(super) fn sigma_distribution(&self) -> SigmaDistribution {
        let training = self.examples.training.iter();
        SigmaDistribution::of(training.map(|&place| self.state.sigma[place]))
    }

    /// Reports a finished epoch.
    pub(super) fn report_epoch(&self, entry: &EpochEntry) {
        tracing::info!(
            "epoch {} of {}: loss {:.4}, accuracy under noise {:.1}%, on validation {:.1}%, \
             {:.0} images/s, {}",
            entry.epoch,
            self.spec.epochs,
            entry.loss,
            100.0 * entry.accuracy,
            100.0 * entry.validation_accuracy,
            entry.images_per_second,
            describe(&entry.sigma)
        );
    }

    /// Reports a step, unless the last report was made a moment ago.
    pub(super) fn report_progress(&mut self, steps: u64) {
        if self.last_report.elapsed() < REPORT_EVERY {
            return;
        }
        self.last_report = Instant::now();
        let Position {
            epoch, step, sums, ..
        } = &self.state.position;
        tracing::info!(
            "epoch {epoch} of {}, step {step} of {steps}: loss {:.4}, accuracy under noise \
             {:.1}%, {:.0} images/s, {}, {} s left",
            self.spec.epochs,
            sums.mean_loss(),
            100.0 * sums.accuracy(),
            sums.inputs_per_second(),
            describe(&self.sigma_distribution()),
            self.time_left(steps).as_secs()
        );
    }

    /// Estimates the remaining time from the rate of this epoch.
    fn time_left(&self, steps: u64) -> Duration {
        let rate = self.state.position.sums.inputs_per_second();
        let inputs_left = self.steps_left(steps) * self.spec.batch.get();
        Duration::from_secs_f64(inputs_left as f64 / rate)
    }

    fn steps_left(&self, steps: u64) -> u64 {
        let Position { epoch, step, .. } = &self.state.position;
        (self.spec.epochs.get() - epoch) * steps - step
    }
}

fn describe(sigma: &SigmaDistribution) -> String {
    let SigmaDistribution {
        least,
        median,
        largest,
        ..
    } = sigma;
    format!("sigma {median:.3} ({least:.3} to {largest:.3})")
}
