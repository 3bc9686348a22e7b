//! What a trained model says of itself, in the metadata of its file.

use std::collections::HashMap;

use anyhow::{Context, Result};
use ddrs_common::spec::{Training, TrainingChoice};
use serde::Serialize;

use super::checkpoint::{Identity, State};
use super::circumstances::Circumstances;
use super::journal::Distribution;
use super::weights_file::Metadata;

/// Where a model comes from.
#[derive(Debug, Serialize)]
struct Provenance<'a> {
    name: &'a str,
    /// The digest of its text, which stands beside this.
    specification: &'a str,
    data: &'a str,
    loss: &'a str,
    sigma: f64,
    choice: &'a str,
    /// The first epoch in which sigmas moved, from 0; none where they stay.
    from_epoch: Option<u64>,
    seed: u64,
    epochs: u64,
    /// The one whose weights these are, from 0.
    epoch: u64,
    /// Under noise of `sigma`, whatever the sigmas of training are.
    validation_accuracy: f64,
    /// Those of the training inputs at the end of `epoch`.
    sigmas: Distribution,
    precision: &'a str,
    /// More than one where training was stopped and went on elsewhere.
    computed_on: &'a [Circumstances],
    version: &'a str,
}

/// `architecture`, which a sweep is held to; `classes`, `mean` and `std`; and for people
/// `training`, and `specification`: its `text` as it was written, from which the model can be made
/// again.
///
/// # Errors
/// When no epoch has been chosen yet.
pub(super) fn metadata(
    spec: &Training,
    text: &str,
    identity: &Identity,
    state: &State,
) -> Result<Metadata> {
    let best = state
        .position
        .best
        .context("the checkpoint knows no best epoch")?;
    let (choice, from_epoch) = match spec.sigma.choice {
        TrainingChoice::Fixed => ("fixed", None),
        TrainingChoice::DataDependent { from_epoch, .. } => ("data-dependent", Some(from_epoch)),
    };
    let provenance = Provenance {
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
        computed_on: &state.circumstances,
        version: env!("CARGO_PKG_VERSION"),
    };
    let mut metadata = HashMap::from([
        (
            "architecture".to_owned(),
            spec.model.architecture.to_string(),
        ),
        ("classes".to_owned(), spec.model.classes.to_string()),
        ("training".to_owned(), serde_json::to_string(&provenance)?),
        ("specification".to_owned(), text.to_owned()),
    ]);
    // An empty list says that there is no normalisation, which is not the same as saying nothing.
    for (key, values) in [("mean", &spec.model.mean), ("std", &spec.model.std)] {
        metadata.insert(
            key.to_owned(),
            serde_json::to_string(values.as_deref().unwrap_or_default())?,
        );
    }
    Ok(metadata)
}
