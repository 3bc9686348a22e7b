//! Batches made ready while the one before is computed.
//!
//! A GPU has nothing to do while crops are cut and copied, which for a small network took longer
//! than its step.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use anyhow::{Context, Result};
use ddrs_common::spec::Training;
use tch::{Device, TchError, Tensor};

use super::examples::Examples;
use super::seed::{Purpose, seed};
use crate::device::copy_to;

/// The batches of one training, in the order of its steps.
pub(super) struct Feed<'a> {
    spec: &'a Training,
    examples: Arc<Examples>,
    device: Device,
    begun: Option<Begun>,
}

/// A batch that is being made ready.
struct Begun {
    epoch: u64,
    step: u64,
    batch: Receiver<Result<(Tensor, Tensor), TchError>>,
}

impl<'a> Feed<'a> {
    /// Nothing is begun yet.
    pub(super) fn new(spec: &'a Training, examples: Arc<Examples>, device: Device) -> Self {
        Self {
            spec,
            examples,
            device,
            begun: None,
        }
    }

    /// The augmented images and the labels of a step, whose examples are at `places`; and begins
    /// with those of the step after it in the same epoch, at `next`.
    ///
    /// # Errors
    /// What torch reports.
    pub(super) fn batch(
        &mut self,
        (epoch, step): (u64, u64),
        places: &[usize],
        next: Option<&[usize]>,
    ) -> Result<(Tensor, Tensor)> {
        let begun = self
            .begun
            .take()
            .filter(|begun| (begun.epoch, begun.step) == (epoch, step));
        let Begun { batch, .. } = begun.unwrap_or_else(|| self.begin(epoch, step, places));
        let (images, labels) = batch.recv().context("a batch was not made ready")??;
        self.begun = next.map(|next| self.begin(epoch, step + 1, next));
        Ok((
            copy_to(self.device, &images)?,
            copy_to(self.device, &labels)?,
        ))
    }

    fn begin(&self, epoch: u64, step: u64, places: &[usize]) -> Begun {
        let (sender, batch) = sync_channel(1);
        let augmentation = (
            self.spec.augmentation,
            seed(self.spec.seed, Purpose::Augmentation, epoch, step),
        );
        let (examples, places, device) = (Arc::clone(&self.examples), places.to_vec(), self.device);
        rayon::spawn(move || {
            // Nobody takes it where training ended meanwhile.
            let _ = sender.send(examples.ready(&places, Some(augmentation), device));
        });
        Begun { epoch, step, batch }
    }
}
