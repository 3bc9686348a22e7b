//! The device and the threads, on which weights depend in addition to specification and data.

use std::fmt;
use std::path::Path;

use ddrs_common::spec::Training;
use serde::{Deserialize, Serialize};
use tch::Device;

use crate::device;

/// The environment in which some steps of a training were computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Environment {
    /// The name of the device, as in records.
    pub(super) device: String,
    /// The number of threads. `None` where the weights do not depend on it: on a GPU, and where one
    /// thread computes each group of a batch. Otherwise torch cuts sums into one part per thread,
    /// so the number of threads changes the rounding.
    pub(super) threads: Option<usize>,
}

impl Environment {
    /// Returns the environment of this process. The calling thread must be the one that computes.
    pub(super) fn current(spec: &Training, device: Device) -> Self {
        let threads_matter = device == Device::Cpu && spec.group == spec.batch;
        Self {
            device: device::name(device),
            threads: threads_matter.then(torch_threads),
        }
    }
}

fn torch_threads() -> usize {
    tch::get_num_threads().max(1) as usize
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.device)?;
        match self.threads {
            Some(threads) => write!(f, " (threads: {threads})"),
            None => Ok(()),
        }
    }
}

/// Adds `current` to the environments of earlier steps if it differs from the last one. In that
/// case, warns that the weights will differ from those of a training in one environment.
pub(super) fn record(earlier: &mut Vec<Environment>, current: Environment, checkpoint: &Path) {
    match earlier.last() {
        Some(last) if *last == current => return,
        Some(last) => tracing::warn!(
            "{} was computed on {last}, this is {current}: the weights will differ a little from \
             those of a training that stays on one of them",
            checkpoint.display()
        ),
        None => {}
    }
    earlier.push(current);
}
