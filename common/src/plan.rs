//! Cuts a sweep into jobs by arithmetic alone, so that the queue stores nothing but job numbers.
//!
//! A sample's *position* is its place in the sweep's selection. Each variant has all samples; the
//! variants follow each other. A *slot* is one sample of one variant, numbered
//! `variant * samples + position`, which is its bit in the queue's bitmap of done samples.

use std::ops::Range;
use std::path::Path;

use crate::domain::{JobId, SampleIndex, Selection};
use crate::spec::{self, SpecError, Sweep};

/// The jobs of a sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    selection: Selection,
    samples: u64,
    variants: u64,
    job_samples: u64,
}

/// Consecutive samples of one variant, which one worker leases together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The job's number.
    pub id: JobId,
    /// The variant's place in [`Sweep::variants`].
    pub variant: usize,
    /// The positions of its samples in the selection.
    pub positions: Range<u64>,
}

/// The reason why a sweep cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The selection is empty.
    #[error("dataset.offset: {offset} is past the last of {len} samples")]
    NoSamples {
        /// The first index requested.
        offset: u64,
        /// The number of samples of the dataset.
        len: u64,
    },
    /// There are more jobs than a job number can count.
    #[error(
        "queue.job-samples: must be larger: the sweep has {jobs} jobs, more than {limit}",
        limit = u32::MAX
    )]
    TooManyJobs {
        /// The number of jobs.
        jobs: u64,
    },
}

impl PlanError {
    /// Returns the same error as one of the specification, with the line of its key.
    #[must_use]
    pub fn in_file(&self, text: &str, file: &Path) -> SpecError {
        let message = self.to_string();
        // Every message begins with its key.
        let (key, problem) = message.split_once(": ").unwrap_or(("", &message));
        spec::error_at(text, file, key, problem)
    }
}

impl Plan {
    /// Plans `sweep` over a dataset of `len` samples.
    ///
    /// # Errors
    /// When nothing is selected, or there would be more than 2^32 - 1 jobs.
    pub fn new(sweep: &Sweep, len: u64) -> Result<Self, PlanError> {
        let selection = sweep.dataset.selection;
        let plan = Self {
            selection,
            samples: selection.count(len),
            variants: sweep.variants().len() as u64,
            job_samples: sweep.queue.job_samples.get(),
        };
        if plan.samples == 0 {
            let offset = selection.offset;
            return Err(PlanError::NoSamples { offset, len });
        }
        let jobs = plan.variants.saturating_mul(plan.jobs_per_variant());
        if jobs > u64::from(u32::MAX) {
            return Err(PlanError::TooManyJobs { jobs });
        }
        Ok(plan)
    }

    /// The number of samples of each variant.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The number of slots: samples times variants.
    #[must_use]
    pub fn slots(&self) -> u64 {
        self.samples * self.variants
    }

    /// The number of jobs.
    #[must_use]
    pub fn jobs(&self) -> u32 {
        (self.variants * self.jobs_per_variant()) as u32
    }

    /// The job with this number; `None` if the number is too large.
    #[must_use]
    pub fn job(&self, id: JobId) -> Option<Job> {
        if id.0 >= self.jobs() {
            return None;
        }
        let place = u64::from(id.0) % self.jobs_per_variant();
        let start = place * self.job_samples;
        let end = start.saturating_add(self.job_samples).min(self.samples);
        Some(Job {
            id,
            variant: (u64::from(id.0) / self.jobs_per_variant()) as usize,
            positions: start..end,
        })
    }

    /// The job that certifies a slot.
    #[must_use]
    pub fn job_of(&self, slot: u64) -> JobId {
        let variant = slot / self.samples;
        let position = slot % self.samples;
        JobId((variant * self.jobs_per_variant() + position / self.job_samples) as u32)
    }

    /// The slot of one sample of one variant.
    #[must_use]
    pub fn slot(&self, variant: usize, position: u64) -> u64 {
        variant as u64 * self.samples + position
    }

    /// The dataset's index of the sample at a position.
    #[must_use]
    pub fn index(&self, position: u64) -> SampleIndex {
        self.selection.index(position)
    }

    /// The position of an index; `None` if it is not selected.
    #[must_use]
    pub fn position(&self, index: SampleIndex) -> Option<u64> {
        self.selection
            .position(index)
            .filter(|&position| position < self.samples)
    }

    fn jobs_per_variant(&self) -> u64 {
        self.samples.div_ceil(self.job_samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(len: u64, offset: u64, stride: u64, limit: u64, job_samples: u64) -> Plan {
        let text = format!(
            "name = 'p'\nseed = 1\n\
             [dataset]\nformat = 'cifar10'\npath = 'd'\n\
             offset = {offset}\nstride = {stride}\nlimit = {limit}\n\
             [[model]]\nname = 'm'\npath = 'm.pt'\nclasses = 10\n\
             [smoothing]\nsigma = [0.25, 0.5]\nchoice = ['fixed']\n\
             [certify]\nn0 = 10\nn = 100\nalpha = 0.001\n\
             [queue]\njob-samples = {job_samples}\n"
        );
        let sweep = crate::spec::parse(&text, "p.toml".as_ref()).expect("a good specification");
        Plan::new(&sweep, len).expect("a plan")
    }

    #[test]
    fn jobs_cover_every_slot_once() {
        for (len, offset, stride, limit, size) in [
            (10, 0, 1, 100, 3),
            (100, 7, 9, 5, 4),
            (1, 0, 1, 1, 9),
            (50, 49, 2, 8, 1),
        ] {
            let plan = plan(len, offset, stride, limit, size);
            let mut seen = vec![0; plan.slots() as usize];
            for job in (0..plan.jobs()).filter_map(|id| plan.job(JobId(id))) {
                for position in job.positions {
                    let slot = plan.slot(job.variant, position);
                    assert_eq!(plan.job_of(slot), job.id);
                    seen[slot as usize] += 1;
                }
            }
            assert!(seen.iter().all(|&times| times == 1), "{plan:?}");
            assert_eq!(plan.job(JobId(plan.jobs())), None);
        }
    }

    #[test]
    fn positions_and_indices_are_inverse() {
        let plan = plan(1000, 5, 20, 10, 3);
        assert_eq!(plan.samples(), 10);
        for position in 0..plan.samples() {
            assert_eq!(plan.position(plan.index(position)), Some(position));
        }
        for outside in [0, 4, 6, 205] {
            assert_eq!(plan.position(SampleIndex(outside)), None, "{outside}");
        }
    }

    #[test]
    fn an_empty_selection_is_refused() {
        let sweep = plan(10, 0, 1, 1, 1);
        assert_eq!(sweep.samples(), 1);
        let text = "name = 'p'\nseed = 1\n\
                    [dataset]\nformat = 'cifar10'\npath = 'd'\noffset = 10\n\
                    [[model]]\nname = 'm'\npath = 'm.pt'\nclasses = 10\n\
                    [smoothing]\nsigma = [0.25]\nchoice = ['fixed']\n\
                    [certify]\nn0 = 10\nn = 100\nalpha = 0.001\n";
        let sweep = crate::spec::parse(text, "p.toml".as_ref()).expect("a good specification");
        let error = Plan::new(&sweep, 10).expect_err("nothing is selected");
        assert_eq!(
            error,
            PlanError::NoSamples {
                offset: 10,
                len: 10
            }
        );
        let located = error.in_file(text, "p.toml".as_ref()).to_string();
        assert_eq!(
            located,
            "p.toml:6: dataset.offset: 10 is past the last of 10 samples"
        );
    }

    #[test]
    fn too_many_jobs_are_refused_at_their_key() {
        let error = PlanError::TooManyJobs { jobs: 1 << 33 };
        let located = error
            .in_file("name = 'p'\n[queue]\njob-samples = 1\n", "p.toml".as_ref())
            .to_string();
        assert_eq!(
            located,
            "p.toml:3: queue.job-samples: must be larger: the sweep has 8589934592 jobs, \
             more than 4294967295"
        );
    }
}
