//! A sweep that a worker has opened: parsed, its data checked, all files under the worker's roots.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use ddrs_common::data::{DataError, Dataset, Image};
use ddrs_common::domain::SampleIndex;
use ddrs_common::grid::DataFacts;
use ddrs_common::plan::{Job, Plan};
use ddrs_common::queue::Claimed;
use ddrs_common::spec::{Sweep, Variant, digest_to_hex};
use ddrs_common::sweep_message::SweepMessage;

use super::roots::Roots;

/// Everything about a sweep except its networks.
pub(crate) struct OpenSweep {
    /// The message that Redis holds.
    pub(crate) message: SweepMessage,
    /// The checked specification.
    pub(crate) sweep: Sweep,
    /// The cut into jobs.
    pub(crate) plan: Plan,
    /// The facts about the data that the coordinator found.
    pub(crate) data: DataFacts,
    /// The variants, in the order of the plan.
    pub(crate) variants: Vec<Variant>,
    dataset: Dataset,
    roots: Roots,
}

impl OpenSweep {
    /// Opens the data that a message names.
    ///
    /// # Errors
    /// When a path lies outside the roots or cannot be read, or the data is not what was submitted.
    pub(crate) fn open(message: SweepMessage, roots: &Roots) -> Result<Arc<Self>> {
        let sweep = message.sweep()?;
        check_paths(&sweep, roots)?;
        let dataset = Dataset::open_under(&sweep.dataset, roots)?;
        check_data(&sweep, &dataset, &message)?;
        let plan = Plan::new(&sweep, dataset.len())?;
        let variants = sweep.variants();
        Ok(Arc::new(Self {
            data: message.data()?,
            message,
            sweep,
            plan,
            variants,
            dataset,
            roots: roots.clone(),
        }))
    }

    /// Returns the job that was claimed.
    ///
    /// # Errors
    /// When the plan has no such job, or other samples for it: the queue belongs to another plan.
    pub(crate) fn job(&self, claimed: &Claimed) -> Result<Job> {
        let sweep = &self.message.id;
        let id = claimed.lease.job;
        let Some(job) = self.plan.job(id) else {
            bail!("sweep {sweep} has no job {id}")
        };
        let first = self.plan.slot(job.variant, job.positions.start);
        let samples = job.positions.end - job.positions.start;
        ensure!(
            (claimed.first_slot, claimed.samples) == (first, samples),
            "job {id} of sweep {sweep} has {samples} samples from slot {first} on, \
             but in redis {} from {} on",
            claimed.samples,
            claimed.first_slot
        );
        Ok(job)
    }

    /// Returns the dataset.
    pub(crate) fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Returns the image of a sample, which must have the shape that the networks take.
    ///
    /// # Errors
    /// When it cannot be read or has another shape; names the file.
    pub(crate) fn image(&self, index: SampleIndex, shape: [usize; 3]) -> Result<Image, DataError> {
        self.dataset.image_of_shape(index, shape)
    }

    /// Returns the folders under which files may be opened.
    pub(crate) fn roots(&self) -> &Roots {
        &self.roots
    }
}

/// Checks that the data and the models lie under the roots. Files are checked again when they are
/// opened; a folder that is listed only here.
fn check_paths(sweep: &Sweep, roots: &Roots) -> Result<()> {
    check_path(&sweep.dataset.path, roots)?;
    for model in sweep.networks() {
        check_path(&model.path, roots).with_context(|| format!("model {}", model.name))?;
    }
    Ok(())
}

fn check_path(path: &Path, roots: &Roots) -> Result<()> {
    roots
        .check(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    Ok(())
}

fn check_data(sweep: &Sweep, dataset: &Dataset, message: &SweepMessage) -> Result<()> {
    let found = digest_to_hex(&dataset.digest()?);
    ensure!(
        found == message.data_digest && dataset.len() == message.dataset_len,
        "{} is not the data that was submitted: {} samples with digest {found}, \
         the sweep has {} with {}",
        sweep.dataset.path.display(),
        dataset.len(),
        message.dataset_len,
        message.data_digest
    );
    Ok(())
}
