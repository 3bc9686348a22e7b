//! Takes the samples of a job in groups whose sigmas are chosen together.

use std::iter::Peekable;
use std::sync::{Mutex, PoisonError};

use super::sample::Sample;

/// The samples of a job that no thread has taken.
pub(super) struct SampleGroups<'a> {
    samples: Mutex<Peekable<&'a mut (dyn Iterator<Item = Sample> + Send)>>,
    /// The number of positions per group.
    size: u64,
}

impl<'a> SampleGroups<'a> {
    pub(super) fn new(samples: &'a mut (dyn Iterator<Item = Sample> + Send), size: usize) -> Self {
        Self {
            samples: Mutex::new(samples.peekable()),
            size: size as u64,
        }
    }

    /// Takes the next samples whose positions are in one group. Returns an empty list after the
    /// last sample.
    pub(super) fn next(&self) -> Vec<Sample> {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = samples.next() else {
            return Vec::new();
        };
        let group = first.position / self.size;
        let mut found = vec![first];
        // Looking beyond a full group would wait for a sample that is not needed yet.
        while found.len() < self.size as usize
            && let Some(sample) = samples.next_if(|sample| sample.position / self.size == group)
        {
            found.push(sample);
        }
        found
    }
}
