//! The loop over epochs and steps, and the files that are written after each epoch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use ddrs_common::spec::Training;
use tch::{Device, TchError};

use super::checkpoint::{self, Identity, Position, TrainingState};
use super::epoch_log::{self, EpochEntry};
use super::examples::Examples;
use super::group_threads::GroupThreads;
use super::network::Mode;
use super::non_finite::{self, NonFinite};
use super::prefetch::BatchPrefetcher;
use super::step::{self, StepContext, StepInputs, StepResult};
use super::{error_report, optimiser, provenance, weights_file};
use crate::failure::brief;
use ddrs_common::cli::{BadInput, Interrupted};

/// The files that a training writes, and what they belong to.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) model: PathBuf,
    pub(super) checkpoint: PathBuf,
    log: PathBuf,
    pub(super) identity: Identity,
}

impl Output {
    pub(super) fn new(model: &Path, identity: Identity) -> Self {
        Self {
            model: model.to_owned(),
            checkpoint: checkpoint::path_for(model),
            log: epoch_log::path_for(model),
            identity,
        }
    }
}

/// A training in progress.
pub(super) struct Trainer<'a> {
    pub(super) spec: &'a Training,
    pub(super) examples: Arc<Examples>,
    batches: BatchPrefetcher<'a>,
    pub(super) threads: GroupThreads,
    pub(super) state: TrainingState,
    pub(super) device: Device,
    output: Output,
    pub(super) last_report: Instant,
}

/// The steps of one epoch.
struct EpochPlan {
    /// The training places in the order in which the epoch uses them.
    order: Vec<usize>,
    batch: usize,
    steps: u64,
    started: Instant,
    /// Seconds that earlier runs spent on the epoch.
    seconds_before: f64,
}

impl EpochPlan {
    fn places(&self, step: u64) -> &[usize] {
        let first = step as usize * self.batch;
        &self.order[first..first + self.batch]
    }

    fn places_after(&self, step: u64) -> Option<&[usize]> {
        (step + 1 < self.steps).then(|| self.places(step + 1))
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }
}

impl<'a> Trainer<'a> {
    /// Creates a trainer that continues from `state`.
    pub(super) fn new(
        spec: &'a Training,
        examples: Examples,
        threads: GroupThreads,
        state: TrainingState,
        device: Device,
        output: Output,
    ) -> Self {
        let examples = Arc::new(examples);
        Self {
            spec,
            batches: BatchPrefetcher::new(spec, Arc::clone(&examples), device),
            examples,
            threads,
            state,
            device,
            output,
            last_report: Instant::now(),
        }
    }

    /// Runs the remaining epochs.
    ///
    /// # Errors
    /// Those of [`super::train`].
    pub(super) fn run(&mut self, stop: &dyn Fn() -> bool) -> Result<()> {
        self.check_images()?;
        while self.state.position.epoch < self.spec.epochs.get() {
            let result = self.epoch(stop);
            result.map_err(|error| self.with_advice(error))?;
        }
        Ok(())
    }

    fn with_advice(&self, error: anyhow::Error) -> anyhow::Error {
        error_report::with_advice(error, &self.state.position, &self.output.checkpoint)
    }

    /// Writes the best weights and `text`, the specification as the user wrote it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn write(&self, text: &str) -> Result<()> {
        let metadata = provenance::metadata(self.spec, text, &self.output.identity, &self.state)?;
        weights_file::write(&self.output.model, &self.best_tensors(), metadata)?;
        self.report_result()
    }

    fn report_result(&self) -> Result<()> {
        let best = self.state.position.best;
        let best = best.context("the checkpoint has no best epoch")?;
        tracing::info!(
            "{}: epoch {}, accuracy under noise on {} validation samples {:.1}%",
            self.output.model.display(),
            best.epoch,
            self.spec.validation,
            100.0 * best.accuracy
        );
        Ok(())
    }

    /// The tensors of the best epoch, sorted by name.
    fn best_tensors(&self) -> Vec<(String, tch::Tensor)> {
        let best: BTreeMap<_, _> = self.state.best.iter().collect();
        best.into_iter()
            .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
            .collect()
    }

    /// Checks that the network accepts the images. Without this check, the first step would fail
    /// and look like a failure of training.
    fn check_images(&self) -> Result<()> {
        let shape = self.examples.shape();
        self.score_one()
            .map_err(brief)
            .with_context(|| format!("images of shape {shape:?} cannot be scored"))
            .map_err(|error| BadInput(error).into())
    }

    fn score_one(&self) -> Result<(), TchError> {
        let first = &self.examples.validation[..1];
        let (images, _) = self.examples.batch(first, self.device)?;
        tch::no_grad(|| self.state.network.scores(&images, Mode::Frozen)).map(drop)
    }

    fn epoch(&mut self, stop: &dyn Fn() -> bool) -> Result<()> {
        let plan = self.plan_epoch();
        while self.state.position.step < plan.steps {
            if stop() {
                return self.interrupt();
            }
            let result = self.step(&plan)?;
            self.add_to_sums(&result, &plan);
            self.report_progress(plan.steps);
        }
        self.end_epoch(plan.steps)
    }

    fn plan_epoch(&self) -> EpochPlan {
        let epoch = self.state.position.epoch;
        let order = self.examples.order(self.spec.seed, epoch);
        let batch = self.spec.batch.get() as usize;
        EpochPlan {
            steps: (order.len() / batch) as u64,
            order,
            batch,
            started: Instant::now(),
            seconds_before: self.state.position.sums.seconds,
        }
    }

    fn interrupt(&self) -> Result<()> {
        non_finite::check(&self.state)?;
        self.save()?;
        Err(Interrupted("run the same command again to resume").into())
    }

    fn save(&self) -> Result<()> {
        checkpoint::save(&self.output.checkpoint, &self.state, &self.output.identity)
    }

    /// Computes one step.
    ///
    /// # Errors
    /// [`NonFinite`] when the loss is not finite.
    fn step(&mut self, plan: &EpochPlan) -> Result<StepResult> {
        let inputs = self.step_inputs(plan)?;
        let rate = self.learning_rate(self.state.position.step, plan.steps);
        let context = StepContext {
            spec: self.spec,
            threads: &self.threads,
        };
        let result = step::step(&context, &mut self.state, &inputs, rate)?;
        self.check_loss(result.loss)?;
        Ok(result)
    }

    fn check_loss(&self, loss: f64) -> Result<(), NonFinite> {
        if loss.is_finite() {
            return Ok(());
        }
        let what = format!("the loss is {loss}");
        Err(NonFinite::before_update(what, &self.state.position))
    }

    fn step_inputs<'p>(&mut self, plan: &'p EpochPlan) -> Result<StepInputs<'p>> {
        let Position { epoch, step, .. } = self.state.position;
        let places = plan.places(step);
        let next = plan.places_after(step);
        let (images, labels) = self.batches.batch((epoch, step), places, next)?;
        Ok(StepInputs {
            places,
            images,
            labels,
        })
    }

    fn add_to_sums(&mut self, result: &StepResult, plan: &EpochPlan) {
        let position = &mut self.state.position;
        position.sums.add(result.loss, result.correct, plan.batch);
        position.sums.seconds = plan.seconds();
        position.step += 1;
    }

    fn learning_rate(&self, step: u64, steps: u64) -> f64 {
        let epoch = (self.state.position.epoch, self.spec.epochs.get());
        optimiser::learning_rate(&self.spec.optimiser, epoch, (step, steps))
    }

    fn end_epoch(&mut self, steps: u64) -> Result<()> {
        // The loss was finite before the last update of the weights. The weights after it have not
        // been checked.
        non_finite::check(&self.state)?;
        let entry = self.epoch_entry(self.validate()?, steps);
        self.keep_if_best(entry.validation_accuracy, entry.sigma)?;
        self.state.position.start_next_epoch();
        self.write_epoch(&entry)?;
        self.report_epoch(&entry);
        Ok(())
    }

    fn write_epoch(&self, entry: &EpochEntry) -> Result<()> {
        // The log is written first. If the checkpoint is then missing, the epoch is computed again
        // and its entry replaced. In the other order an entry could be missing for good.
        epoch_log::append(&self.output.log, entry)?;
        self.save()
    }

    fn epoch_entry(&self, validation_accuracy: f64, steps: u64) -> EpochEntry {
        let Position { epoch, sums, .. } = &self.state.position;
        EpochEntry {
            epoch: *epoch,
            loss: sums.mean_loss(),
            accuracy: sums.accuracy(),
            validation_accuracy,
            learning_rate: self.learning_rate(steps - 1, steps),
            images_per_second: sums.inputs_per_second(),
            seconds: sums.seconds,
            sigma: self.sigma_distribution(),
        }
    }
}
