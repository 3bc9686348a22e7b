//! Preparation of a sweep: parses the specification, lists its data, checks the tensors of its
//! models against their architectures, and computes all digests. Every error here is found before
//! any job exists.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use ddrs_common::architecture::{FoundNetwork, find_network};
use ddrs_common::cli::BlameInput;
use ddrs_common::data::Dataset;
use ddrs_common::grid::{DataFacts, Grid, ImageFacts};
use ddrs_common::model_file::file_kind;
use ddrs_common::plan::Plan;
use ddrs_common::roots::Roots;
use ddrs_common::sigma_file;
use ddrs_common::spec::{self, ModelSpec, SpecError, Sweep};
use ddrs_common::sweep_message::SweepMessage;
use tracing::info;

/// A sweep that can be submitted.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The checked specification.
    pub(crate) sweep: Sweep,
    pub(crate) plan: Plan,
    /// The message for the workers.
    pub(crate) message: SweepMessage,
    /// Folders outside the dataset's folder that links in it lead to.
    pub(crate) linked: Vec<PathBuf>,
    /// Statements about files of the dataset that are not taken, and about doubtful labels.
    pub(crate) notes: Vec<String>,
}

impl Prepared {
    /// Logs the statements about the data.
    pub(crate) fn log_notes(&self) {
        for note in &self.notes {
            tracing::warn!("{note}");
        }
    }
}

/// Reads and checks the specification at `path` and everything that it names. A specification
/// without a seed gets `held_seed`, that of the run that it continues, or else a random one.
///
/// # Errors
/// [`ddrs_common::cli::BadInput`], which names the file and says what is wrong with it.
pub(crate) fn prepare(path: &Path, held_seed: Option<u64>) -> Result<Prepared> {
    Ok(checked(path, held_seed).blame_input()?)
}

fn checked(path: &Path, held_seed: Option<u64>) -> Result<Prepared> {
    let text = read_specification(path)?;
    let seed = held_seed.map_or_else(random_seed, Ok)?;
    let (sweep, completed) = spec::parse_with_models(&text, path, seed)?;
    let dataset = Dataset::open(&sweep.dataset)?;
    let checked = dataset.check_models(&sweep.models);
    checked.map_err(|mismatch| spec::error_at(&text, path, &mismatch.key, mismatch.to_string()))?;
    let plan = Plan::new(&sweep, dataset.len()).map_err(|error| error.in_file(&text, path))?;
    let sweep = sigma_file::read_into(sweep, &dataset, &plan)?;
    let images = image_facts(&sweep, &dataset, &plan)?;
    check_grid(&sweep, images.grid, &text, path)?;
    check_channels(&sweep, images.shape[0])?;
    let message = message(path, &completed, &sweep, &dataset, images)?;
    Ok(Prepared {
        linked: dataset.linked_folders(),
        notes: notes(&sweep, &dataset),
        sweep,
        plan,
        message,
    })
}

fn read_specification(path: &Path) -> Result<String> {
    spec::read(path).with_context(|| format!("cannot read specification {}", path.display()))
}

/// Makes the message for the workers, with the digests of the data and the models.
fn message(
    path: &Path,
    completed: &str,
    sweep: &Sweep,
    dataset: &Dataset,
    images: ImageFacts,
) -> Result<SweepMessage> {
    let file = absolute(path)?;
    let data = DataFacts {
        len: dataset.len(),
        digest: dataset.digest()?,
        images,
    };
    let models = model_digests(sweep)?;
    let message = SweepMessage::new(&file, completed, &data, &models)?;
    match sweep.sigma_file() {
        Some(file) => Ok(message.with_sigmas(file.sigmas())?),
        None => Ok(message),
    }
}

fn random_seed() -> Result<u64> {
    spec::random_seed().context("cannot draw a seed; set `seed` in the specification")
}

fn notes(sweep: &Sweep, dataset: &Dataset) -> Vec<String> {
    let data = sweep.dataset.path.display();
    let of_files = dataset.notes().iter().map(|note| format!("{data}: {note}"));
    let classes = sweep.models.first().map(|model| model.classes);
    let of_classes = classes.and_then(|classes| dataset.note_of_classes(classes));
    of_files.chain(of_classes).collect()
}

/// Returns the shape of the sweep's images, and the grid for their noise.
fn image_facts(sweep: &Sweep, dataset: &Dataset, plan: &Plan) -> Result<ImageFacts> {
    let samples = (0..plan.samples()).map(|position| plan.index(position));
    Ok(dataset.image_facts(&sweep.dataset, samples, sweep.widest_sigma())?)
}

/// Refuses a sigma that is too wide for the grid.
fn check_grid(sweep: &Sweep, grid: Grid, text: &str, file: &Path) -> Result<(), SpecError> {
    let checked = grid.check(sweep.widest_sigma());
    checked.map_err(|error| spec::error_at(text, file, "dataset.grid", error.to_string()))
}

/// Refuses constants of normalisation for another number of channels.
fn check_channels(sweep: &Sweep, channels: usize) -> Result<()> {
    for model in sweep.networks() {
        model.check_channels(channels)?;
    }
    Ok(())
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("no such path: {}", path.display()))
}

/// Checks the models, and returns the digests of their files.
fn model_digests(sweep: &Sweep) -> Result<Vec<[u8; 32]>> {
    let networks = sweep.networks().into_iter();
    networks.map(check_and_digest).collect()
}

fn check_and_digest(model: &ModelSpec) -> Result<[u8; 32]> {
    let digest = digest(model)?;
    check_file(model).with_context(|| format!("model {}", model.name))?;
    Ok(digest)
}

/// Checks that the file is a program, or holds the weights of the network.
fn check_file(model: &ModelSpec) -> Result<()> {
    let roots = Roots::anywhere();
    if let Some(wanted) = model.wanted() {
        log_network(model, &find_network(&roots, &model.path, wanted)?);
        return Ok(());
    }
    let kind = file_kind(&model.path, &roots)?;
    let in_file = |reason| anyhow!("{}: {reason}", model.path.display());
    kind.check_program().map_err(in_file)
}

/// Says what in a file of weights counts, and what does not.
fn log_network(model: &ModelSpec, network: &FoundNetwork) {
    for line in network.remarks(model.mean.as_deref()) {
        info!("model {}: {}: {line}", model.name, model.path.display());
    }
}

fn digest(model: &ModelSpec) -> Result<[u8; 32]> {
    spec::file_digest(&model.path)
        .with_context(|| format!("model {}: cannot read {}", model.name, model.path.display()))
}

#[cfg(test)]
mod tests;
