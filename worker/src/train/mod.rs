//! Training: one loop, four losses, and a fixed or data-dependent sigma.
//!
//! In reading order:
//! - this file: from a specification to a model file
//! - `preflight`, `check_against_data`: checks before any computation
//! - `epochs`, `progress`: the loop, and its log messages
//! - `step`, `group_threads`: one batch, and the threads that compute its groups
//! - `loss`: the functions that training minimises
//! - `network`, `optimiser`: the weights, and how a step changes them
//! - `examples`, `level_radii`, `crop`, `prefetch`: the training set in memory, the labels of a
//!   selector, augmentation, and the next batch
//! - `best_epoch`: the epoch whose weights are written
//! - `seed`: randomness as a function of epoch and step
//! - `checkpoint`, `epoch_log`, `weights_file`, `provenance`: the files that are written
//! - `environment`: the devices and thread counts that computed the steps
//! - `trace`: a network as a TorchScript program
//! - `non_finite`, `error_report`: NaN and infinite values, and advice in error messages

mod best_epoch;
mod check_against_data;
mod checkpoint;
mod crop;
mod environment;
mod epoch_log;
mod epochs;
mod error_report;
mod examples;
mod group_threads;
mod level_radii;
mod loss;
mod network;
mod non_finite;
mod optimiser;
mod prefetch;
mod preflight;
mod progress;
mod provenance;
mod seed;
mod step;
#[cfg(test)]
mod tests;
mod trace;
mod weights_file;

use std::collections::HashMap;
use std::path::Path;

use anyhow::Result;
use ddrs_common::spec::{Precision, TrainedModel, Training};
use tch::{Device, Kind};

use checkpoint::{Position, TrainingState};
use ddrs_common::cli::BadInput;
use environment::Environment;
use epochs::{Output, Trainer};
use group_threads::GroupThreads;
use network::{Numerics, TrainableNetwork};
use optimiser::Sgd;
use preflight::Preflight;
use seed::{Purpose, seed};
pub use trace::write_torchscript;

/// Trains the network of a specification and writes it to `out`. The checkpoint and the log are
/// written to the same folder.
///
/// Training resumes from the checkpoint of an earlier run, however that run ended, and gives the
/// same weights on the same device. On a CPU with `train.group` = `train.batch` this also needs the
/// same number of threads.
///
/// # Errors
/// - [`BadInput`] when the specification, the data or an older checkpoint do not fit, or another
///   process trains to `out`
/// - [`ddrs_common::cli::Interrupted`] when `stop`, which is called before every step, returns
///   true; the state is saved
/// - when a number is not finite; the error gives the epoch and the step
/// - when a file cannot be read or written
pub fn train(path: &Path, out: &Path, device: Device, stop: &dyn Fn() -> bool) -> Result<()> {
    let Preflight {
        spec,
        text,
        identity,
        examples,
        lock: _held_until_the_end,
    } = preflight::check(path, out).map_err(BadInput)?;
    let output = Output::new(out, identity);
    let mut state = initial_state(&spec, examples.len(), device)?;
    resume(&spec, &mut state, &output).map_err(BadInput)?;
    record_environment(&spec, &mut state, device, &output);
    let threads = GroupThreads::new(spec.batch.get() / spec.group.get(), device)?;
    let mut trainer = Trainer::new(&spec, examples, threads, state, device, output);
    trainer.run(stop)?;
    trainer.write(&text)
}

/// Loads the checkpoint, if there is one, and reports where training starts.
fn resume(spec: &Training, state: &mut TrainingState, output: &Output) -> Result<()> {
    let resumed = checkpoint::resume(&output.checkpoint, state, &output.identity)?;
    report_start(spec, state, resumed, output);
    Ok(())
}

fn is_finished(spec: &Training, state: &TrainingState) -> bool {
    state.position.epoch >= spec.epochs.get()
}

fn record_environment(spec: &Training, state: &mut TrainingState, device: Device, output: &Output) {
    if !is_finished(spec, state) {
        let environment = Environment::current(spec, device);
        environment::record(&mut state.environments, environment, &output.checkpoint);
    }
}

fn report_start(spec: &Training, state: &TrainingState, resumed: bool, output: &Output) {
    let checkpoint = output.checkpoint.display();
    if is_finished(spec, state) {
        let out = output.model.display();
        tracing::info!(
            "training had finished; writing {out} again; to train anew, delete {checkpoint}"
        );
    } else if resumed {
        let Position { epoch, step, .. } = state.position;
        tracing::info!("resuming {checkpoint} at epoch {epoch}, step {step}");
    }
}

fn initial_state(spec: &Training, examples: usize, device: Device) -> Result<TrainingState> {
    let network = initial_network(spec, device)?;
    Ok(TrainingState {
        optimiser: Sgd::new(&network)?,
        network,
        sigma: vec![spec.sigma.initial.get(); examples],
        best: HashMap::new(),
        position: Position::default(),
        environments: Vec::new(),
    })
}

fn numerics(precision: Precision, device: Device) -> Numerics {
    Numerics {
        device,
        weights: Kind::Float,
        passes: match precision {
            Precision::Bf16 => Kind::BFloat16,
            _ => Kind::Float,
        },
    }
}

fn initial_network(spec: &Training, device: Device) -> Result<TrainableNetwork> {
    let model = &spec.model;
    let numerics = numerics(model.precision, device);
    let seed = seed(spec.seed, Purpose::Weights, 0, 0);
    let mut network = TrainableNetwork::random(model.architecture, model.classes, seed, numerics)?;
    if let Some(path) = &model.initial {
        network.start_from(path, model.architecture)?;
    }
    with_normalisation(network, model)
}

fn with_normalisation(network: TrainableNetwork, model: &TrainedModel) -> Result<TrainableNetwork> {
    match (&model.mean, &model.std) {
        (Some(mean), Some(std)) => Ok(network.normalised(mean, std)?),
        _ => Ok(network),
    }
}
