//! Training: one loop, three losses, two ways of choosing sigma.
//!
//! In reading order:
//! - `train`: from a specification to a file (this file)
//! - `opening`: what is looked at before anything is computed
//! - `epochs`, `progress`: the loop, and what is said of it
//! - `step`: what happens to one batch
//! - [`lanes`]: groups of it side by side
//! - [`loss`]: what is minimised
//! - `choice`: which epoch's weights are written
//! - [`network`], [`optimiser`]: what learns, and how
//! - [`examples`], `augment`, [`fit`]: the training set in memory; crops and flips; whether keys
//!   fit it
//! - `feed`: the next batch, made ready while one is computed
//! - [`seed`]: randomness as a function of epoch and step
//! - [`checkpoint`], [`journal`], [`weights_file`]: what is written
//! - [`circumstances`]: where it was computed
//! - `diverged`, `trouble`: numbers that are none; what people are told when training ends before
//!   its time

mod augment;
pub mod checkpoint;
mod choice;
pub mod circumstances;
mod diverged;
mod epochs;
pub mod examples;
mod feed;
pub mod fit;
pub mod journal;
pub mod lanes;
pub mod loss;
pub mod network;
mod opening;
pub mod optimiser;
mod progress;
mod provenance;
pub mod seed;
mod step;
#[cfg(test)]
mod tests;
mod trouble;
pub mod weights_file;

use std::path::Path;

use anyhow::Result;
use ddrs_common::spec::{Precision, Training};
use tch::{Device, Kind};

use checkpoint::{Position, State};
use circumstances::Circumstances;
use ddrs_common::cli::BadInput;
use epochs::Trainer;
use lanes::Lanes;
use network::{Network, Numbers};
use opening::Opened;
use optimiser::Sgd;
use seed::{Purpose, seed};

/// Trains the network of a specification and writes it to `out`; its checkpoint and its log stand
/// beside it. Begins where an earlier call, however it ended, left off, and comes to the same
/// weights on the same device; on a CPU with `train.group` = `train.batch` also only with as many
/// threads.
///
/// # Errors
/// [`BadInput`] when specification, data or an older checkpoint do not fit, or another process
/// trains to `out`; [`ddrs_common::cli::Interrupted`] when `stop`, asked before every step, says so, the
/// state being saved; the epoch and step at which a number was not finite; what the file system
/// says.
pub fn train(path: &Path, out: &Path, device: Device, stop: &dyn Fn() -> bool) -> Result<()> {
    let Opened {
        spec,
        text,
        identity,
        examples,
        lock: _until_the_end,
    } = opening::open(path, out).map_err(BadInput)?;
    let mut state = begin(&spec, examples.len(), device)?;
    let checkpoint = checkpoint::path_beside(out);
    let began = checkpoint::take_up(&checkpoint, &mut state, &identity).map_err(BadInput)?;
    let Position { epoch, step, .. } = state.position;
    if epoch < spec.epochs.get() {
        if began {
            tracing::info!(
                "going on at epoch {epoch}, step {step} of {}",
                checkpoint.display()
            );
        }
        circumstances::note(
            &mut state.circumstances,
            Circumstances::here(&spec, device),
            &checkpoint,
        );
    } else {
        let (out, checkpoint) = (out.display(), checkpoint.display());
        tracing::info!(
            "finished before: {out} is written again; to train anew, delete {checkpoint}"
        );
    }
    let lanes = Lanes::new(spec.batch.get() / spec.group.get(), device)?;
    let mut trainer = Trainer::new(&spec, examples, lanes, state, identity, device, out);
    trainer.run(stop)?;
    trainer.write(&text)
}

fn begin(spec: &Training, examples: usize, device: Device) -> Result<State> {
    let passes = if spec.model.precision == Precision::Bf16 {
        Kind::BFloat16
    } else {
        Kind::Float
    };
    let numbers = Numbers {
        device,
        weights: Kind::Float,
        passes,
    };
    let weights = seed(spec.seed, Purpose::Weights, 0, 0);
    let mut network = Network::random(
        spec.model.architecture,
        spec.model.classes,
        weights,
        numbers,
    )?;
    if let (Some(mean), Some(std)) = (&spec.model.mean, &spec.model.std) {
        network = network.normalised(mean, std)?;
    }
    let optimiser = Sgd::new(&network)?;
    let sigma = vec![spec.sigma.initial.get(); examples];
    let (best, position) = (std::collections::HashMap::new(), Position::default());
    Ok(State {
        network,
        optimiser,
        sigma,
        best,
        position,
        circumstances: Vec::new(),
    })
}
