//! The threads that compute the groups of a batch.
//!
//! By default, torch cuts every operation of a pass into one part per core and waits for the
//! slowest part before the next operation. A step of a small network waits like this hundreds of
//! times. When another program uses one of the cores, each wait lasts until that program gives the
//! core back. Groups wait for each other only once per step.

use anyhow::{Context, Result};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tch::Device;

/// The threads that compute groups; `None` computes them on the calling thread.
#[derive(Debug)]
pub(super) struct GroupThreads(Option<ThreadPool>);

impl GroupThreads {
    /// Starts one thread per core, at most one per group. With one group, or on a GPU, the calling
    /// thread computes the groups one after another. On a CPU it then uses torch's threads.
    ///
    /// Each thread of the pool computes without torch's threads, so the results do not depend on
    /// the size of the pool.
    ///
    /// # Errors
    /// When threads cannot be started.
    pub(super) fn new(groups: u64, device: Device) -> Result<Self> {
        if device != Device::Cpu {
            // Only copies are left to the CPU. torch's threads spin between two of them and could
            // take the cores from the threads that prepare the next batch. Threads that use torch
            // later start with this number.
            tch::set_num_threads(1);
            return Ok(Self(None));
        }
        if groups == 1 {
            return Ok(Self(None));
        }
        Self::start_pool(groups)
    }

    fn start_pool(groups: u64) -> Result<Self> {
        let cores = tch::get_num_threads().max(1) as usize;
        // The calling thread does little between groups, and torch's threads would compete with the
        // pool.
        tch::set_num_threads(1);
        Ok(Self(Some(pool(cores.min(usize::try_from(groups)?))?)))
    }

    /// Applies `compute` to each item and returns the results in the order of the items.
    ///
    /// # Errors
    /// When `compute` fails for an item.
    pub(super) fn map<T: Send, R: Send>(
        &self,
        items: Vec<T>,
        compute: impl Fn(T) -> Result<R> + Sync + Send,
    ) -> Result<Vec<R>> {
        match &self.0 {
            None => items.into_iter().map(compute).collect(),
            Some(pool) => pool.install(|| map_in_parallel(items, compute)),
        }
    }
}

/// Applies `compute` to each item in the current pool, one item per task.
fn map_in_parallel<T: Send, R: Send>(
    items: Vec<T>,
    compute: impl Fn(T) -> Result<R> + Sync + Send,
) -> Result<Vec<R>> {
    let items = items.into_par_iter().with_max_len(1);
    items.map(compute).collect()
}

fn pool(threads: usize) -> Result<ThreadPool> {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .start_handler(|_| tch::set_num_threads(1))
        .build()
        .context("cannot start threads")
}
