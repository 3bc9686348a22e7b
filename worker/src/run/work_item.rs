//! Some samples of a job, as they are given to the device thread, and the events about them.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use anyhow::Result;
use ddrs_common::data::DataError;
use ddrs_common::domain::{Class, Record, SampleIndex};
use ddrs_common::plan::Job;
use ddrs_common::spec::Variant;
use ddrs_worker::engine::{Sample, SampleResult};

use super::open_sweep::OpenSweep;

/// Some samples of a job that are to be certified.
pub(super) struct WorkItem {
    /// The sweep.
    pub(super) sweep: Arc<OpenSweep>,
    /// The job.
    pub(super) job: Job,
    /// The samples, counted from 0 within the job.
    pub(super) places: Vec<u64>,
    /// The name of this worker in records.
    pub(super) worker: String,
    /// The number of this attempt at the job.
    pub(super) attempt: u32,
}

/// A message of the device thread about a work item.
pub(super) enum WorkEvent {
    /// A sample is certified, or has failed.
    Sample {
        /// Its place in the job.
        place: u64,
        /// Its record.
        record: Box<Record>,
    },
    /// The work item has ended.
    Ended(Result<()>),
}

impl WorkItem {
    /// Returns the variant of the samples.
    pub(super) fn variant(&self) -> &Variant {
        &self.sweep.variants[self.job.variant]
    }

    /// Returns true if each sample should be certified alone: the attempt before failed, which may
    /// be because of one sample, and the others should not fail with it again.
    pub(super) fn isolates_samples(&self) -> bool {
        self.attempt > 1 && self.places.len() > 1
    }

    /// Reads images and sends them for as long as the receiver exists. A sample whose image is bad
    /// is reported as failed.
    ///
    /// # Errors
    /// The last failure of the file system. It is not the sample's fault, and may be over at the
    /// next attempt.
    pub(super) fn read_images(
        &self,
        shape: [usize; 3],
        samples: &SyncSender<Sample>,
        report: &impl Fn(SampleIndex, SampleResult, f64),
    ) -> Result<()> {
        let mut failed = None;
        for &place in &self.places {
            match self.read_image(place, shape) {
                Ok(sample) => {
                    if samples.send(sample).is_err() {
                        break;
                    }
                }
                Err(error) if error.is_io() => failed = Some(error),
                Err(error) => report(self.index(place), Err(error.to_string()), 0.0),
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn read_image(&self, place: u64, shape: [usize; 3]) -> Result<Sample, DataError> {
        let index = self.index(place);
        Ok(Sample {
            index,
            position: self.job.positions.start + place,
            image: self.sweep.image(index, shape)?,
        })
    }

    fn index(&self, place: u64) -> SampleIndex {
        self.sweep.plan.index(self.job.positions.start + place)
    }

    /// Returns the event about the result of one sample.
    pub(super) fn event(
        &self,
        index: SampleIndex,
        result: SampleResult,
        seconds: f64,
        device: &str,
    ) -> WorkEvent {
        let first = self.job.positions.start;
        let position = self.sweep.plan.position(index).unwrap_or(first);
        let record = Record {
            variant: self.variant().name.clone(),
            index,
            label: self.sweep.dataset().label(index).unwrap_or(Class(0)),
            result,
            seed: self.sweep.sweep.seed,
            seconds,
            worker: self.worker.clone(),
            attempt: self.attempt,
            device: device.to_owned(),
        };
        WorkEvent::Sample {
            place: position - first,
            record: Box::new(record),
        }
    }
}
