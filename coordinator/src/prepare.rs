//! A specification becomes a sweep that is known to be runnable: parsed, its data listed, its
//! models' tensors checked against their architecture, all of it digested. Every error here is
//! found before any job exists.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ddrs_common::architecture::check_model;
use ddrs_common::data::Dataset;
use ddrs_common::plan::Plan;
use ddrs_common::spec::{self, ModelSource, ModelSpec, SpecError, Sweep};
use ddrs_common::sweep_message::SweepMessage;

use ddrs_common::cli::BlameInput;

/// A sweep that can be submitted.
#[derive(Debug)]
pub struct Prepared {
    /// The checked specification.
    pub sweep: Sweep,
    /// Its jobs.
    pub plan: Plan,
    /// What workers are told.
    pub message: SweepMessage,
    /// Folders outside the dataset's own that links in it lead into.
    pub linked: Vec<PathBuf>,
}

/// Reads and checks the specification at `path` and all that it names.
///
/// # Errors
/// [`ddrs_common::cli::BadInput`], naming the file and what is wrong with it.
pub fn prepare(path: &Path) -> Result<Prepared> {
    let text = spec::read(path)
        .with_context(|| format!("cannot read specification {}", path.display()))
        .blame_input()?;
    let file = std::path::absolute(path)
        .with_context(|| format!("no such path: {}", path.display()))
        .blame_input()?;
    let (sweep, completed) = spec::parse_with_models(&text, path).blame_input()?;
    let dataset = Dataset::open(&sweep.dataset).blame_input()?;
    check_classes(&sweep, &dataset, &text, path).blame_input()?;
    let plan = Plan::new(&sweep, dataset.len())
        .map_err(|error| error.in_file(&text, path))
        .blame_input()?;
    let data_digest = dataset.digest().blame_input()?;
    let model_digests = sweep
        .models
        .iter()
        .map(check)
        .collect::<Result<Vec<_>>>()
        .blame_input()?;
    let message = SweepMessage::new(
        &file,
        &completed,
        dataset.len(),
        &data_digest,
        &model_digests,
    )
    .blame_input()?;
    Ok(Prepared {
        sweep,
        plan,
        message,
        linked: dataset.linked_folders(),
    })
}

fn check(model: &ModelSpec) -> Result<[u8; 32]> {
    let digest = spec::file_digest(&model.path)
        .with_context(|| format!("model {}: cannot read {}", model.name, model.path.display()))?;
    if let ModelSource::Safetensors(architecture) = model.source {
        check_model(&model.path, architecture, model.classes)
            .with_context(|| format!("model {}", model.name))?;
    }
    Ok(digest)
}

/// Labels that no model can predict mean the wrong model or the wrong class list.
fn check_classes(
    sweep: &Sweep,
    dataset: &Dataset,
    text: &str,
    file: &Path,
) -> Result<(), SpecError> {
    let Some(labels) = dataset.classes() else {
        return Ok(());
    };
    let Some(place) = sweep.models.iter().position(|model| model.classes < labels) else {
        return Ok(());
    };
    let (model, data) = (&sweep.models[place], sweep.dataset.path.display());
    let problem = format!(
        "model {} tells {} classes apart, but {data} has {labels}",
        model.name, model.classes
    );
    Err(spec::error_at(
        text,
        file,
        &format!("model[{place}].classes"),
        problem,
    ))
}
