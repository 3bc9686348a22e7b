//! Groups of a batch, each computed by a thread of its own.
//!
//! Left to itself, torch cuts every operation of a pass into as many pieces as there are cores and
//! waits for the slowest before it begins the next. A small network has hundreds of such waits to a
//! step, and as soon as another program wants one of the cores, each of them lasts until that
//! program is done. Groups wait for each other once a step.

use anyhow::{Context, Result};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tch::Device;

/// The threads that compute groups.
#[derive(Debug)]
pub struct Lanes(Option<ThreadPool>);

impl Lanes {
    /// A lane for each core, and no more than there are groups. With one group, or on a GPU, the
    /// calling thread computes them one after another, on a CPU with as many threads as torch has.
    ///
    /// Each lane computes with one thread, so what it computes does not depend on how many there
    /// are.
    ///
    /// # Errors
    /// When threads cannot be started.
    pub fn new(groups: u64, device: Device) -> Result<Self> {
        if device != Device::Cpu {
            // Nothing is left to compute here but copies, and torch's threads, which spin between
            // two of them, could take the cores from those that make the next batch ready. Threads
            // that come to torch later begin with this number.
            tch::set_num_threads(1);
            return Ok(Self(None));
        }
        if groups == 1 {
            return Ok(Self(None));
        }
        let lanes = (tch::get_num_threads().max(1) as usize).min(usize::try_from(groups)?);
        // Between groups the calling thread does little, and torch's own threads would stand in the
        // lanes' way.
        tch::set_num_threads(1);
        let alone = |_| tch::set_num_threads(1);
        let pool = ThreadPoolBuilder::new()
            .num_threads(lanes)
            .start_handler(alone)
            .build();
        Ok(Self(Some(pool.context("cannot start threads")?)))
    }

    /// What `compute` makes of each item, in their order.
    ///
    /// # Errors
    /// That of an item, if there is one.
    pub fn map<T: Send, R: Send>(
        &self,
        items: Vec<T>,
        compute: impl Fn(T) -> Result<R> + Sync + Send,
    ) -> Result<Vec<R>> {
        match &self.0 {
            None => items.into_iter().map(compute).collect(),
            Some(pool) => {
                pool.install(|| items.into_par_iter().with_max_len(1).map(compute).collect())
            }
        }
    }
}
