//! The engine's input and output: a sample and its result.

use ddrs_common::data::Image;
use ddrs_common::domain::{Certification, SampleIndex};

/// An input to certify.
pub struct Sample {
    /// Index in the dataset.
    pub index: SampleIndex,
    /// Position in the sweep's selection. It decides the sample's place in a batch.
    pub position: u64,
    /// The pixels.
    pub image: Image,
}

/// A certification, or the reason why this sample failed. A failed sample does not end the job.
pub type SampleResult = Result<Certification, String>;

/// Receives each sample's index, its result and the seconds spent on it, from any thread.
pub type SampleCallback<'a> = dyn Fn(SampleIndex, SampleResult, f64) + Sync + 'a;
