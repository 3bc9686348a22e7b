//! The loop: epochs of steps, and what is written after each.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use ddrs_common::spec::Training;
use tch::Device;

use super::checkpoint::{self, Identity, Position, State, Sums};
use super::diverged::{self, Diverged};
use super::examples::Examples;
use super::feed::Feed;
use super::journal::{self, Line};
use super::lanes::Lanes;
use super::network::Mode;
use super::step::{self, Inputs, Setting};
use super::{optimiser, provenance, trouble, weights_file};
use ddrs_common::cli::{BadInput, Interrupted};

/// A training in progress.
pub(super) struct Trainer<'a> {
    pub(super) spec: &'a Training,
    pub(super) examples: Arc<Examples>,
    feed: Feed<'a>,
    pub(super) lanes: Lanes,
    pub(super) state: State,
    pub(super) device: Device,
    identity: Identity,
    out: &'a Path,
    checkpoint: PathBuf,
    pub(super) said: Instant,
}

impl<'a> Trainer<'a> {
    /// Goes on from `state`; writes beside `out`.
    pub(super) fn new(
        spec: &'a Training,
        examples: Examples,
        lanes: Lanes,
        state: State,
        identity: Identity,
        device: Device,
        out: &'a Path,
    ) -> Self {
        let checkpoint = checkpoint::path_beside(out);
        let examples = Arc::new(examples);
        let feed = Feed::new(spec, Arc::clone(&examples), device);
        Self {
            spec,
            examples,
            feed,
            lanes,
            state,
            device,
            identity,
            out,
            checkpoint,
            said: Instant::now(),
        }
    }

    /// The epochs that are left.
    ///
    /// # Errors
    /// Those of [`super::train`].
    pub(super) fn run(&mut self, stop: &dyn Fn() -> bool) -> Result<()> {
        self.admit()?;
        while self.state.position.epoch < self.spec.epochs.get() {
            let ended = self.epoch(stop);
            ended.map_err(|error| trouble::told(error, &self.state.position, &self.checkpoint))?;
        }
        Ok(())
    }

    /// Writes the best weights, with `text`, the specification as it was written.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn write(&self, text: &str) -> Result<()> {
        let mut best: Vec<_> = self
            .state
            .best
            .iter()
            .map(|(name, it)| (name.clone(), it.shallow_clone()))
            .collect();
        best.sort_by(|a, b| a.0.cmp(&b.0));
        let metadata = provenance::metadata(self.spec, text, &self.identity, &self.state)?;
        weights_file::write(self.out, &best, metadata)?;
        let chosen = self
            .state
            .position
            .best
            .context("the checkpoint knows no best epoch")?;
        tracing::info!(
            "{}: epoch {}, accuracy under noise on {} validation samples {:.1}%",
            self.out.display(),
            chosen.epoch,
            self.spec.validation,
            100.0 * chosen.accuracy
        );
        Ok(())
    }

    /// Whether the network takes the images at all; here rather than in the first step, where it
    /// would look like one.
    fn admit(&self) -> Result<()> {
        let (images, _) = self
            .examples
            .batch(&self.examples.validation[..1], self.device)?;
        let scored = tch::no_grad(|| self.state.network.scores(&images, Mode::Frozen))
            .map_err(crate::model::brief);
        let shape = self.examples.shape();
        let scored = scored.with_context(|| format!("images of shape {shape:?} cannot be scored"));
        scored.map(drop).map_err(|error| BadInput(error).into())
    }

    fn epoch(&mut self, stop: &dyn Fn() -> bool) -> Result<()> {
        let epoch = self.state.position.epoch;
        let order = self.examples.order(self.spec.seed, epoch);
        let batch = self.spec.batch.get() as usize;
        let steps = (order.len() / batch) as u64;
        let began = Instant::now();
        let before = self.state.position.sums.seconds;
        while self.state.position.step < steps {
            if stop() {
                diverged::check(&self.state)?;
                checkpoint::save(&self.checkpoint, &self.state, &self.identity)?;
                return Err(Interrupted("the same command goes on where it stopped").into());
            }
            let step = self.state.position.step;
            let places = |step: u64| &order[step as usize * batch..(step as usize + 1) * batch];
            let next = (step + 1 < steps).then(|| places(step + 1));
            let (images, labels) = self.feed.batch((epoch, step), places(step), next)?;
            let rate = self.rate(step, steps);
            let setting = Setting {
                spec: self.spec,
                lanes: &self.lanes,
            };
            let inputs = Inputs {
                places: places(step),
                images,
                labels,
            };
            let value = step::step(&setting, &mut self.state, &inputs, rate)?;
            if !value.loss.is_finite() {
                return Err(Diverged::before(
                    format!("the loss is {}", value.loss),
                    &self.state.position,
                )
                .into());
            }
            let sums = &mut self.state.position.sums;
            sums.loss += value.loss * batch as f64;
            sums.correct += value.correct as u64;
            sums.inputs += batch as u64;
            sums.seconds = before + began.elapsed().as_secs_f64();
            self.state.position.step += 1;
            self.say(steps);
        }
        self.end_of_epoch(steps)
    }

    fn rate(&self, step: u64, steps: u64) -> f64 {
        let epoch = (self.state.position.epoch, self.spec.epochs.get());
        optimiser::learning_rate(&self.spec.optimiser, epoch, (step, steps))
    }

    fn end_of_epoch(&mut self, steps: u64) -> Result<()> {
        // The loss was finite before the last step; what that made of the weights nothing has
        // looked at yet.
        diverged::check(&self.state)?;
        let accuracy = self.validate()?;
        let Position { epoch, sums, .. } = self.state.position.clone();
        let line = Line {
            epoch,
            loss: sums.loss / sums.inputs as f64,
            accuracy: sums.correct as f64 / sums.inputs as f64,
            validation_accuracy: accuracy,
            learning_rate: self.rate(steps - 1, steps),
            images_per_second: sums.inputs as f64 / sums.seconds,
            seconds: sums.seconds,
            sigma: self.sigmas(),
        };
        self.keep_the_better(accuracy, line.sigma)?;
        let position = &mut self.state.position;
        (position.epoch, position.step, position.sums) = (epoch + 1, 0, Sums::default());
        // The log first: a line without its checkpoint is written again, a checkpoint without its
        // line would not be.
        journal::append(&journal::path_beside(self.out), &line)?;
        checkpoint::save(&self.checkpoint, &self.state, &self.identity)?;
        self.say_epoch(&line);
        Ok(())
    }
}
