//! Prepares the next batch while the current one is computed.
//!
//! Otherwise a GPU would wait while crops are cut and copied, which for a small network took longer
//! than its step.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use anyhow::{Context, Result};
use ddrs_common::spec::Training;
use tch::{Device, TchError, Tensor};

use super::examples::{Examples, RandomCrops};
use super::seed::{Purpose, seed};
use crate::device::copy_to;

/// Prepares the batches of a training in the order of its steps.
pub(super) struct BatchPrefetcher<'a> {
    spec: &'a Training,
    examples: Arc<Examples>,
    device: Device,
    pending: Option<PendingBatch>,
}

/// A batch that a thread is preparing.
struct PendingBatch {
    epoch: u64,
    step: u64,
    batch: Receiver<Result<(Tensor, Tensor), TchError>>,
}

impl PendingBatch {
    fn is_for(&self, epoch: u64, step: u64) -> bool {
        self.epoch == epoch && self.step == step
    }

    /// Waits for the batch.
    fn wait(self) -> Result<(Tensor, Tensor)> {
        let batch = self.batch.recv();
        Ok(batch.context("the thread that prepares batches failed")??)
    }
}

impl<'a> BatchPrefetcher<'a> {
    /// Creates a prefetcher with no batch in preparation.
    pub(super) fn new(spec: &'a Training, examples: Arc<Examples>, device: Device) -> Self {
        Self {
            spec,
            examples,
            device,
            pending: None,
        }
    }

    /// Returns the augmented images and the labels of a step, whose examples are at `places`. Then
    /// starts to prepare the next step of the same epoch, whose examples are at `next`.
    pub(super) fn batch(
        &mut self,
        (epoch, step): (u64, u64),
        places: &[usize],
        next: Option<&[usize]>,
    ) -> Result<(Tensor, Tensor)> {
        let pending = self.take_pending(epoch, step);
        let pending = pending.unwrap_or_else(|| self.start(epoch, step, places));
        let (images, labels) = pending.wait()?;
        self.pending = next.map(|next| self.start(epoch, step + 1, next));
        Ok((
            copy_to(self.device, &images)?,
            copy_to(self.device, &labels)?,
        ))
    }

    /// Takes the batch in preparation, if it is that of this step.
    fn take_pending(&mut self, epoch: u64, step: u64) -> Option<PendingBatch> {
        let pending = self.pending.take();
        pending.filter(|pending| pending.is_for(epoch, step))
    }

    fn crops(&self, epoch: u64, step: u64) -> RandomCrops {
        RandomCrops {
            augmentation: self.spec.augmentation,
            seed: seed(self.spec.seed, Purpose::Augmentation, epoch, step),
        }
    }

    fn start(&self, epoch: u64, step: u64, places: &[usize]) -> PendingBatch {
        let (sender, batch) = sync_channel(1);
        let crops = self.crops(epoch, step);
        let examples = Arc::clone(&self.examples);
        let places = places.to_vec();
        let device = self.device;
        rayon::spawn(move || {
            // Sending fails if training ended meanwhile.
            let _ = sender.send(examples.prepare(&places, Some(crops), device));
        });
        PendingBatch { epoch, step, batch }
    }
}
