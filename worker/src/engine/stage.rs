//! Batches made where a GPU computes: noise drawn, scaled, added and rounded without a wait.
//!
//! Nothing on the way from a pass to the counts of its classes waits for the device, so that passes
//! queue up behind each other. A block of rows is two kernels: one draws into a buffer, one writes
//! image + scale · noise, rounded once, into the batch. The scale is filled in by kernels that take
//! a number as an argument, and kept. An image is copied from pinned memory, once a sample. The
//! buffers are used again by the next pass, whose kernels run after this one's. What would wait is
//! not done here or in [`super::tally`]: copies from memory that is not pinned, reading an element
//! or a tensor, indexing by booleans, `bincount`, `nonzero`, anything whose shape depends on
//! values. The waits that are left, all of them where something must be decided: `Tally::read`,
//! when an input has all the classes it asked for; the scores of a pass with rows of a search, in
//! `Task::read`; and in the first pass of a job and a few of those after it, to time them
//! ([`super::times`]).

use std::collections::HashMap;

use tch::{Device, Kind, TchError, Tensor};

use crate::noise::ChunkKey;

/// So many scales are kept. A search takes some forty an input, everything else one.
const SCALES: usize = 256;

/// What is used again from pass to pass.
#[derive(Default)]
pub(super) struct Stage {
    /// (draws, height, width, channels) in single precision.
    noise: Option<Tensor>,
    /// (rows, height, width, channels) of the network's kind.
    batch: Option<Tensor>,
    /// Scales by the bits of their channels.
    scales: HashMap<Vec<u32>, Tensor>,
}

impl Stage {
    /// Room for a batch. It holds what it held before.
    ///
    /// # Errors
    /// What torch reports.
    pub(super) fn batch(
        &mut self,
        shape: [i64; 4],
        kind: Kind,
        device: Device,
    ) -> Result<Tensor, TchError> {
        room(&mut self.batch, shape, kind, device)
    }

    /// The noise of all draws of a chunk that a request has, in the order of memory. Valid until
    /// the next is drawn.
    ///
    /// On a GPU its own generator draws. A CPU draws as it always does: so the rest of this can be
    /// tried without a GPU.
    ///
    /// # Errors
    /// What torch reports.
    pub(super) fn noise(
        &mut self,
        key: ChunkKey,
        shape: [i64; 4],
        device: Device,
    ) -> Result<Tensor, TchError> {
        let mut noise = room(&mut self.noise, shape, Kind::Float, device)?;
        if device.is_cuda() {
            tch::manual_seed(key.device_seed());
            return noise.f_normal_(0.0, 1.0);
        }
        let (draws, values) = (shape[0] as u64, shape[1..].iter().product::<i64>() as usize);
        let mut drawn = Vec::with_capacity(draws as usize * values);
        key.append(draws, values, &mut drawn);
        noise.f_copy_(&Tensor::f_from_slice(&drawn)?.f_view(shape)?)?;
        Ok(noise)
    }

    /// What each channel's noise is multiplied by, of shape (channels).
    ///
    /// # Errors
    /// What torch reports.
    pub(super) fn scale(&mut self, channels: &[f32], device: Device) -> Result<Tensor, TchError> {
        let bits: Vec<u32> = channels.iter().map(|value| value.to_bits()).collect();
        if let Some(known) = self.scales.get(&bits) {
            return Ok(known.shallow_clone());
        }
        let scale = Tensor::f_empty([channels.len() as i64], (Kind::Float, device))?;
        for (place, &value) in (0..).zip(channels) {
            let _ = scale.f_narrow(0, place, 1)?.f_fill_(f64::from(value))?;
        }
        if self.scales.len() >= SCALES {
            self.scales.clear();
        }
        self.scales.insert(bits, scale.shallow_clone());
        Ok(scale)
    }
}

/// The first rows of a buffer, which becomes another where it is too small or for something else.
fn room(
    buffer: &mut Option<Tensor>,
    shape: [i64; 4],
    kind: Kind,
    device: Device,
) -> Result<Tensor, TchError> {
    let fits = |tensor: &Tensor| {
        let size = tensor.size();
        size[1..] == shape[1..]
            && size[0] >= shape[0]
            && tensor.kind() == kind
            && tensor.device() == device
    };
    if !buffer.as_ref().is_some_and(fits) {
        // First the old one goes, so that both need not fit beside each other.
        *buffer = None;
        *buffer = Some(Tensor::f_empty(shape, (kind, device))?);
    }
    match buffer {
        Some(tensor) => tensor.f_narrow(0, 0, shape[0]),
        None => Err(TchError::Shape("no buffer".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn place(tensor: &Tensor) -> usize {
        tensor.data_ptr() as usize
    }

    #[test]
    fn a_buffer_is_used_again_until_something_else_is_asked_for() {
        let (mut stage, cpu) = (Stage::default(), Device::Cpu);
        let first = stage.batch([6, 2, 2, 3], Kind::Float, cpu).unwrap();
        let smaller = stage.batch([4, 2, 2, 3], Kind::Float, cpu).unwrap();
        assert_eq!(
            (smaller.size(), place(&smaller)),
            (vec![4, 2, 2, 3], place(&first))
        );
        for (shape, kind) in [
            ([7, 2, 2, 3], Kind::Float),
            ([7, 2, 2, 3], Kind::BFloat16),
            ([1, 2, 3, 3], Kind::BFloat16),
        ] {
            let other = stage.batch(shape, kind, cpu).unwrap();
            assert_eq!((other.size(), other.kind()), (shape.to_vec(), kind));
        }
    }

    #[test]
    fn a_scale_is_made_once_and_holds_its_numbers_to_the_last_bit() {
        let mut stage = Stage::default();
        for round in 0..=SCALES as u16 {
            let channels = [0.1, 0.25 + f32::from(round), -1e-20];
            let scale = stage.scale(&channels, Device::Cpu).unwrap();
            assert_eq!(Vec::<f32>::try_from(&scale).unwrap(), channels);
            assert_eq!(
                place(&stage.scale(&channels, Device::Cpu).unwrap()),
                place(&scale)
            );
        }
        assert!(stage.scales.len() <= SCALES);
    }
}
