//! The metadata of a trained model: its origin, and the specification from which it can be trained
//! again.

use anyhow::{Context, Result};
use ddrs_common::spec::{Training, TrainingChoice};
use serde::Serialize;

use super::checkpoint::{Identity, TrainingState};
use super::environment::Environment;
use super::epoch_log::SigmaDistribution;
use super::weights_file::Metadata;

/// The origin of a model.
#[derive(Debug, Serialize)]
struct Provenance<'a> {
    name: &'a str,
    /// The digest of the text in the key `specification` of the metadata.
    specification: &'a str,
    data: &'a str,
    loss: &'a str,
    sigma: f64,
    choice: &'a str,
    /// The first epoch in which sigmas moved, from 0; `None` where they do not move.
    from_epoch: Option<u64>,
    seed: u64,
    epochs: u64,
    /// The epoch of these weights, from 0.
    epoch: u64,
    /// Under noise of `sigma`, whatever the sigmas of training are.
    validation_accuracy: f64,
    /// The sigmas of the training inputs at the end of `epoch`.
    sigmas: SigmaDistribution,
    precision: &'a str,
    /// More than one where training was resumed in another environment.
    computed_on: &'a [Environment],
    version: &'a str,
}

/// Returns the metadata: `architecture`, which a sweep is checked against; `classes`, `mean` and
/// `std`; and for people `training`, and `specification`, the `text` of the specification as the
/// user wrote it.
///
/// # Errors
/// When no epoch has been chosen yet.
pub(super) fn metadata(
    spec: &Training,
    text: &str,
    identity: &Identity,
    state: &TrainingState,
) -> Result<Metadata> {
    let model = &spec.model;
    let provenance = serde_json::to_string(&provenance(spec, identity, state)?)?;
    let entries = [
        ("architecture", model.architecture.to_string()),
        ("classes", model.classes.to_string()),
        ("training", provenance),
        ("specification", text.to_owned()),
        ("mean", list(model.mean.as_deref())?),
        ("std", list(model.std.as_deref())?),
    ];
    Ok(entries.map(|(key, value)| (key.to_owned(), value)).into())
}

/// Writes values as a JSON list. An empty list means that there is no normalisation; a missing key
/// would not say so.
fn list(values: Option<&[f64]>) -> Result<String, serde_json::Error> {
    serde_json::to_string(values.unwrap_or_default())
}

/// Returns the name of the choice of sigma, and the first epoch in which sigmas move.
fn choice(spec: &Training) -> (&'static str, Option<u64>) {
    match spec.sigma.choice {
        TrainingChoice::Fixed => ("fixed", None),
        TrainingChoice::DataDependent { from_epoch, .. } => ("data-dependent", Some(from_epoch)),
    }
}

fn provenance<'a>(
    spec: &'a Training,
    identity: &'a Identity,
    state: &'a TrainingState,
) -> Result<Provenance<'a>> {
    let best = state.position.best;
    let best = best.context("the checkpoint has no best epoch")?;
    let (choice, from_epoch) = choice(spec);
    Ok(Provenance {
        name: &spec.name,
        specification: &identity.specification,
        data: &identity.data,
        loss: spec.loss.as_str(),
        sigma: spec.sigma.initial.get(),
        choice,
        from_epoch,
        seed: spec.seed,
        epochs: spec.epochs.get(),
        epoch: best.epoch,
        validation_accuracy: best.accuracy,
        sigmas: best.sigma,
        precision: spec.model.precision.as_str(),
        computed_on: &state.environments,
        version: env!("CARGO_PKG_VERSION"),
    })
}
