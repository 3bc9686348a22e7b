//! What weights depend on beside specification and data.

use std::path::Path;

use ddrs_common::spec::Training;
use serde::{Deserialize, Serialize};
use tch::Device;

use crate::device;

/// Where, and on how many threads where that matters, some steps of a training were computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    /// As records name it.
    pub device: String,
    /// None where the weights do not depend on it: on a GPU, and where each group of a batch is
    /// computed by one thread. Otherwise torch cuts sums into as many parts as there are threads,
    /// and so rounds them differently.
    pub threads: Option<usize>,
}

impl Circumstances {
    /// Those of this process; the calling thread is the one that computes.
    #[must_use]
    pub fn here(spec: &Training, device: Device) -> Self {
        let matters = device == Device::Cpu && spec.group == spec.batch;
        let threads = matters.then(|| tch::get_num_threads().max(1) as usize);
        Self {
            device: device::name(device),
            threads,
        }
    }

    fn told(&self) -> String {
        match self.threads {
            Some(threads) => format!("{} (threads: {threads})", self.device),
            None => self.device.clone(),
        }
    }
}

/// Adds `now` to those of the steps before, where it differs from the last. Warns then that the
/// weights will be those of neither alone.
pub fn note(before: &mut Vec<Circumstances>, now: Circumstances, checkpoint: &Path) {
    match before.last() {
        Some(last) if *last == now => return,
        Some(last) => tracing::warn!(
            "{} was computed on {}, this is {}: the weights will differ a little from those of a training that stays on one \
             of them",
            checkpoint.display(),
            last.told(),
            now.told()
        ),
        None => {}
    }
    before.push(now);
}
