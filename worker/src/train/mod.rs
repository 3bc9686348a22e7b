//! Training: one loop, three losses, two ways of choosing sigma.
//!
//! In reading order:
//! - `train`: the loop (this file)
//! - `step`: what happens to one batch
//! - [`lanes`]: groups of it side by side
//! - [`loss`]: what is minimised
//! - [`network`], [`optimiser`]: what learns, and how
//! - [`examples`]: the training set in memory; augmentation
//! - [`seed`]: randomness as a function of epoch and step
//! - [`checkpoint`], [`journal`], [`weights_file`]: what is written

pub mod checkpoint;
pub mod examples;
pub mod journal;
pub mod lanes;
pub mod loss;
pub mod network;
pub mod optimiser;
mod provenance;
pub mod seed;
mod step;
#[cfg(test)]
mod tests;
pub mod weights_file;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ddrs_common::data::Dataset;
use ddrs_common::spec::{self, Precision, Training, digest_to_hex};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use crate::exit::{Interrupted, Refused};
use checkpoint::{Best, Identity, Position, State, Sums};
use examples::Examples;
use journal::{Distribution, Line};
use lanes::Lanes;
use network::{Mode, Network, Numbers};
use optimiser::Sgd;
use seed::{Purpose, seed};
use step::Setting;

/// How often a long epoch is heard of.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// A training in progress.
struct Trainer<'a> {
    spec: &'a Training,
    examples: Examples,
    lanes: Lanes,
    state: State,
    identity: Identity,
    device: Device,
    out: &'a Path,
    checkpoint: PathBuf,
    said: Instant,
}

/// Trains the network of a specification and writes it to `out`; its checkpoint and its log stand beside it. Begins where
/// an earlier call, however it ended, left off, and comes to the same weights on the same device.
///
/// # Errors
/// [`Refused`] when specification, data or an older checkpoint do not fit; [`Interrupted`] when `stop` became true, the
/// state being saved; the epoch and step at which the loss was not finite; what the file system says.
pub fn train(path: &Path, out: &Path, device: Device, stop: &AtomicBool) -> Result<()> {
    let read = || -> Result<_> {
        ensure!(out.extension().is_some_and(|it| it == "safetensors"), "{} must end in .safetensors", out.display());
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        ensure!(folder.is_dir(), "there is no folder {} to write to", folder.display());
        let text = spec::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let spec = Training::parse(&text, path)?;
        let data = Dataset::open(&spec.dataset)?.digest()?;
        let specification = Sha256::digest(text.as_bytes()).into();
        let identity = Identity { specification: digest_to_hex(&specification), data: digest_to_hex(&data) };
        let examples = Examples::read(&spec)?;
        Ok((spec, identity, examples))
    };
    let (spec, identity, examples) = read().map_err(Refused)?;
    let mut state = begin(&spec, examples.len(), device)?;
    let checkpoint = checkpoint::path_beside(out);
    if checkpoint::take_up(&checkpoint, &mut state, &identity)? {
        let Position { epoch, step, .. } = state.position;
        tracing::info!("going on at epoch {epoch}, step {step} of {}", checkpoint.display());
    }
    let lanes = Lanes::new(spec.batch.get() / spec.group.get(), device)?;
    Trainer { spec: &spec, examples, lanes, state, identity, device, out, checkpoint, said: Instant::now() }.run(stop)
}

fn begin(spec: &Training, examples: usize, device: Device) -> Result<State> {
    let passes = if spec.model.precision == Precision::Bf16 { Kind::BFloat16 } else { Kind::Float };
    let numbers = Numbers { device, weights: Kind::Float, passes };
    let weights = seed(spec.seed, Purpose::Weights, 0, 0);
    let mut network = Network::random(spec.model.architecture, spec.model.classes, weights, numbers)?;
    if let (Some(mean), Some(std)) = (&spec.model.mean, &spec.model.std) {
        network = network.normalised(mean, std)?;
    }
    let optimiser = Sgd::new(&network)?;
    let sigma = vec![spec.sigma.initial.get(); examples];
    Ok(State { network, optimiser, sigma, best: std::collections::HashMap::new(), position: Position::default() })
}

impl Trainer<'_> {
    fn run(&mut self, stop: &AtomicBool) -> Result<()> {
        self.admit()?;
        while self.state.position.epoch < self.spec.epochs.get() {
            self.epoch(stop)?;
        }
        let best = self.state.best.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
        let mut best: Vec<_> = best.collect();
        best.sort_by(|a, b| a.0.cmp(&b.0));
        let chosen = self.state.position.best.context("the checkpoint knows no best epoch")?;
        weights_file::write(self.out, &best, provenance::metadata(self.spec, &self.identity, chosen)?)?;
        tracing::info!(
            "{}: epoch {}, accuracy under noise on {} validation samples {:.1}%",
            self.out.display(),
            chosen.epoch,
            self.spec.validation,
            100.0 * chosen.accuracy
        );
        Ok(())
    }

    /// Whether the network takes the images at all; here rather than in the first step, where it would look like one.
    fn admit(&self) -> Result<()> {
        let (images, _) = self.examples.batch(&self.examples.validation[..1], None, self.device)?;
        let scored = tch::no_grad(|| self.state.network.scores(&images, Mode::Frozen)).map_err(crate::model::brief);
        let shape = self.examples.shape();
        let scored = scored.with_context(|| format!("images of shape {shape:?} cannot be scored"));
        scored.map(drop).map_err(|error| Refused(error).into())
    }

    fn epoch(&mut self, stop: &AtomicBool) -> Result<()> {
        let epoch = self.state.position.epoch;
        let order = self.examples.order(self.spec.seed, epoch);
        let batch = self.spec.batch.get() as usize;
        let steps = (order.len() / batch) as u64;
        let began = Instant::now();
        let before = self.state.position.sums.seconds;
        while self.state.position.step < steps {
            if stop.load(Ordering::Relaxed) {
                checkpoint::save(&self.checkpoint, &self.state, &self.identity)?;
                return Err(Interrupted("the same command goes on where it stopped").into());
            }
            let step = self.state.position.step;
            let places = &order[step as usize * batch..(step as usize + 1) * batch];
            let rate = self.rate(step, steps);
            let Self { spec, examples, lanes, device, .. } = self;
            let setting = Setting { spec, examples, lanes, device: *device };
            let value = step::step(&setting, &mut self.state, places, rate)?;
            if !value.loss.is_finite() {
                bail!(
                    "the loss is {} at epoch {epoch}, step {step}: a smaller learning rate may help; {} holds the \
                     state before this epoch, if there was one",
                    value.loss,
                    self.checkpoint.display()
                );
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
        optimiser::learning_rate(
            &self.spec.optimiser,
            (self.state.position.epoch, self.spec.epochs.get()),
            (step, steps),
        )
    }

    fn end_of_epoch(&mut self, steps: u64) -> Result<()> {
        let Position { epoch, sums, best, .. } = self.state.position.clone();
        let accuracy = self.validate()?;
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
        if best.is_none_or(|best| accuracy >= best.accuracy) {
            let copy = |(name, tensor): (&str, &Tensor)| Ok((name.to_owned(), network::copy(tensor)?));
            self.state.best = self.state.network.tensors().map(copy).collect::<Result<_, tch::TchError>>()?;
            self.state.position.best = Some(Best { epoch, accuracy });
        }
        let position = &mut self.state.position;
        (position.epoch, position.step, position.sums) = (epoch + 1, 0, Sums::default());
        // The log first: a line without its checkpoint is written again, a checkpoint without its line would not be.
        journal::append(&journal::path_beside(self.out), &line)?;
        checkpoint::save(&self.checkpoint, &self.state, &self.identity)?;
        tracing::info!(
            "epoch {epoch} of {}: loss {:.4}, accuracy under noise {:.1}%, on validation {:.1}%, {:.0} images/s, sigma \
             {:.3} ({:.3} to {:.3})",
            self.spec.epochs,
            line.loss,
            100.0 * line.accuracy,
            100.0 * accuracy,
            line.images_per_second,
            line.sigma.median,
            line.sigma.least,
            line.sigma.largest
        );
        Ok(())
    }

    /// Accuracy under noise of the initial sigma, the same noise every time.
    fn validate(&self) -> Result<f64> {
        let mut groups = Vec::new();
        for (number, places) in (0..).zip(self.examples.validation.chunks(self.spec.group.get() as usize)) {
            let (images, labels) = self.examples.batch(places, None, self.device)?;
            step::seed_torch(self.spec.seed, Purpose::Evaluation, 0, number);
            let noise = images.f_randn_like()?.f_mul_scalar(self.spec.sigma.initial.get())?;
            groups.push((self.state.network.apart()?, images.f_add(&noise)?, labels));
        }
        let correct = self.lanes.map(groups, |(network, noisy, labels)| {
            let scores = tch::no_grad(|| network.scores(&noisy, Mode::Frozen))?;
            Ok(i64::try_from(&scores.f_argmax(-1, false)?.f_eq_tensor(&labels)?.f_sum(Kind::Int64)?)?)
        })?;
        Ok(correct.iter().sum::<i64>() as f64 / self.examples.validation.len() as f64)
    }

    /// Of the inputs that train.
    fn sigmas(&self) -> Distribution {
        Distribution::of(self.examples.training.iter().map(|&place| self.state.sigma[place]))
    }

    fn say(&mut self, steps: u64) {
        if self.said.elapsed() < SAY_EVERY {
            return;
        }
        self.said = Instant::now();
        let Position { epoch, step, sums, .. } = self.state.position;
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
