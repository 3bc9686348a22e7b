//! What a trained model says of itself, in the metadata of its file.

use std::collections::HashMap;

use anyhow::Result;
use ddrs_common::spec::{Training, TrainingChoice};
use serde::Serialize;

use super::checkpoint::{Best, Identity};
use super::weights_file::Metadata;

/// Where a model comes from.
#[derive(Debug, Serialize)]
struct Provenance<'a> {
    name: &'a str,
    specification: &'a str,
    data: &'a str,
    loss: &'a str,
    sigma: f64,
    choice: &'a str,
    seed: u64,
    epochs: u64,
    /// The one whose weights these are, from 0.
    epoch: u64,
    validation_accuracy: f64,
    version: &'a str,
}

/// `architecture`, which a sweep is held to; `classes`, `mean` and `std`; and `training`, for people.
pub(super) fn metadata(spec: &Training, identity: &Identity, best: Best) -> Result<Metadata> {
    let provenance = Provenance {
        name: &spec.name,
        specification: &identity.specification,
        data: &identity.data,
        loss: spec.loss.as_str(),
        sigma: spec.sigma.initial.get(),
        choice: match spec.sigma.choice {
            TrainingChoice::Fixed => "fixed",
            TrainingChoice::DataDependent { .. } => "data-dependent",
        },
        seed: spec.seed,
        epochs: spec.epochs.get(),
        epoch: best.epoch,
        validation_accuracy: best.accuracy,
        version: env!("CARGO_PKG_VERSION"),
    };
    let mut metadata = HashMap::from([
        ("architecture".to_owned(), spec.model.architecture.to_string()),
        ("classes".to_owned(), spec.model.classes.to_string()),
        ("training".to_owned(), serde_json::to_string(&provenance)?),
    ]);
    // An empty list says that there is no normalisation, which is not the same as saying nothing.
    for (key, values) in [("mean", &spec.model.mean), ("std", &spec.model.std)] {
        metadata.insert(key.to_owned(), serde_json::to_string(values.as_deref().unwrap_or_default())?);
    }
    Ok(metadata)
}
