//! A sweep as this worker sees it: parsed, its data opened and checked, all under the worker's
//! roots.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use ddrs_common::data::{DataError, Dataset, Image};
use ddrs_common::domain::SampleIndex;
use ddrs_common::plan::{Job, Plan};
use ddrs_common::queue::Claimed;
use ddrs_common::spec::{Sweep, Variant, digest_to_hex};
use ddrs_common::sweep_message::SweepMessage;

use super::roots::Roots;

/// Everything about a sweep but its networks.
pub(crate) struct Assignment {
    /// As it came from Redis.
    pub(crate) message: SweepMessage,
    /// Checked.
    pub(crate) sweep: Sweep,
    /// Its jobs.
    pub(crate) plan: Plan,
    /// Its variants.
    pub(crate) variants: Vec<Variant>,
    dataset: Dataset,
    roots: Roots,
}

impl Assignment {
    /// Opens what the message names.
    ///
    /// # Errors
    /// When a path lies outside the roots or cannot be read, or the data is not what was submitted.
    pub(crate) fn open(message: SweepMessage, roots: &Roots) -> Result<Arc<Self>> {
        let sweep = message.sweep()?;
        // Files are judged again when they are opened; a folder that is listed only here.
        let check = |path: &Path| {
            roots
                .check(path)
                .with_context(|| format!("cannot open {}", path.display()))
        };
        check(&sweep.dataset.path)?;
        for model in &sweep.models {
            check(&model.path).with_context(|| format!("model {}", model.name))?;
        }
        let dataset = Dataset::open_under(&sweep.dataset, roots)?;
        let found = digest_to_hex(&dataset.digest()?);
        ensure!(
            found == message.data_digest && dataset.len() == message.dataset_len,
            "{} is not the data that was submitted: {} samples with digest {found}, the sweep has {} with {}",
            sweep.dataset.path.display(),
            dataset.len(),
            message.dataset_len,
            message.data_digest
        );
        let plan = Plan::new(&sweep, dataset.len())?;
        let variants = sweep.variants();
        Ok(Arc::new(Self {
            message,
            sweep,
            plan,
            variants,
            dataset,
            roots: roots.clone(),
        }))
    }

    /// The job that was claimed.
    ///
    /// # Errors
    /// When the plan has no such job, or gives it other samples: the queue belongs to another plan.
    pub(crate) fn job(&self, claimed: &Claimed) -> Result<Job> {
        let (sweep, id) = (&self.message.id, claimed.lease.job);
        let Some(job) = self.plan.job(id) else {
            bail!("sweep {sweep} has no job {id}")
        };
        let Range { start, end } = job.positions;
        let (first, samples) = (self.plan.slot(job.variant, start), end - start);
        ensure!(
            (claimed.first_slot, claimed.samples) == (first, samples),
            "job {id} of sweep {sweep} has {samples} samples from slot {first} on, in redis {} from {} on",
            claimed.samples,
            claimed.first_slot
        );
        Ok(job)
    }

    /// The dataset.
    #[must_use]
    pub(crate) fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The first image that can be read: all must have its shape.
    ///
    /// # Errors
    /// When none of the first few can be read.
    pub(crate) fn example(&self) -> Result<Image, DataError> {
        let last = self.plan.samples().min(16) - 1;
        (0..last)
            .find_map(|position| self.dataset.image(self.plan.index(position)).ok())
            .map_or_else(|| self.dataset.image(self.plan.index(last)), Ok)
    }

    /// The image of a sample, which must have the shape that the networks take.
    ///
    /// # Errors
    /// When it cannot be read or has another shape; names the file.
    pub(crate) fn image(&self, index: SampleIndex, shape: [usize; 3]) -> Result<Image, DataError> {
        self.dataset.image_of_shape(index, shape)
    }

    /// Where files may be opened.
    #[must_use]
    pub(crate) fn roots(&self) -> &Roots {
        &self.roots
    }
}
