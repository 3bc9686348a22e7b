//! Batches that are made where a GPU computes: noise is drawn, scaled, added and rounded there.
//!
//! Nothing between a pass and its class counts waits for the device, so that passes queue up behind
//! each other.
//! - A block of rows takes two kernels. One draws into a buffer; the other writes image + scale ·
//!   noise, rounded once, into the batch.
//! - Kernels that take a number as an argument fill in the scale, which is then kept.
//! - An image is copied from pinned memory, once per sample.
//! - The next pass uses the buffers again. Its kernels run after this pass's.
//!
//! Calls that wait are left out here and in [`super::device_counts`]: copies from memory that is
//! not pinned, reading an element or a tensor, indexing by booleans, `bincount`, `nonzero`, and
//! everything whose shape depends on values.
//!
//! Some waits are left, all of them where something must be decided: `DeviceCounts::read`, when an
//! input has all the classes that it requested; `forward::read`, for a pass with rows of a search;
//! and the passes that are timed ([`super::times`]).

use std::collections::HashMap;
use std::sync::Arc;

use tch::{Device, Kind, TchError, Tensor};

use crate::noise::{ChunkKey, DeviceThresholds, GridSampler};

/// The number of scales, and of tables of thresholds, that are kept. A search takes about 40 scales
/// per input, everything else one or two.
const MAX_SCALES: usize = 256;

/// Device memory that passes use again.
#[derive(Default)]
pub(super) struct BatchBuffers {
    /// (draws, height, width, channels) in single precision.
    noise: Option<Tensor>,
    /// (rows, height, width, channels) in the network's number format.
    batch: Option<Tensor>,
    /// Numbers per channel, by their bits.
    channels: HashMap<Vec<u32>, Tensor>,
    /// Thresholds of grid noise, by the table that they are of.
    thresholds: Vec<(Arc<GridSampler>, DeviceThresholds)>,
}

impl BatchBuffers {
    /// Returns room for a batch. It holds what it held before.
    pub(super) fn batch(
        &mut self,
        shape: [i64; 4],
        kind: Kind,
        device: Device,
    ) -> Result<Tensor, TchError> {
        reserve(&mut self.batch, shape, kind, device)
    }

    /// Draws the noise of all draws that a request has of a chunk, in memory order. The result is
    /// valid until the next call.
    ///
    /// A GPU draws with its generator. On a CPU the usual noise is drawn, so that the rest of this
    /// module can be tested without a GPU.
    pub(super) fn noise(
        &mut self,
        key: ChunkKey,
        shape: [i64; 4],
        device: Device,
    ) -> Result<Tensor, TchError> {
        let mut noise = reserve(&mut self.noise, shape, Kind::Float, device)?;
        if device.is_cuda() {
            tch::manual_seed(key.device_seed());
            return noise.f_normal_(0.0, 1.0);
        }
        noise.f_copy_(&host_noise(key, shape)?)?;
        Ok(noise)
    }

    /// Returns one number per channel as a tensor of shape (channels).
    pub(super) fn channels(
        &mut self,
        channels: &[f32],
        device: Device,
    ) -> Result<Tensor, TchError> {
        let bits: Vec<u32> = channels.iter().map(|value| value.to_bits()).collect();
        if let Some(known) = self.channels.get(&bits) {
            return Ok(known.shallow_clone());
        }
        let tensor = filled(channels, device)?;
        self.keep_channels(bits, &tensor);
        Ok(tensor)
    }

    fn keep_channels(&mut self, bits: Vec<u32>, tensor: &Tensor) {
        if self.channels.len() >= MAX_SCALES {
            self.channels.clear();
        }
        self.channels.insert(bits, tensor.shallow_clone());
    }

    /// Returns the thresholds of a table of grid noise on a device.
    pub(super) fn thresholds(
        &mut self,
        sampler: &Arc<GridSampler>,
        device: Device,
    ) -> Result<DeviceThresholds, TchError> {
        let mut all = self.thresholds.iter();
        if let Some((_, known)) = all.find(|(table, _)| Arc::ptr_eq(table, sampler)) {
            return Ok(known.share());
        }
        if self.thresholds.len() >= MAX_SCALES {
            self.thresholds.clear();
        }
        let made = DeviceThresholds::new(sampler.thresholds(), device)?;
        self.thresholds.push((Arc::clone(sampler), made.share()));
        Ok(made)
    }
}

/// Makes a vector on a device without copying from the host's memory.
fn filled(values: &[f32], device: Device) -> Result<Tensor, TchError> {
    let tensor = Tensor::f_empty([values.len() as i64], (Kind::Float, device))?;
    for (place, &value) in (0..).zip(values) {
        let _ = tensor.f_narrow(0, place, 1)?.f_fill_(f64::from(value))?;
    }
    Ok(tensor)
}

fn host_noise(key: ChunkKey, shape: [i64; 4]) -> Result<Tensor, TchError> {
    let draws = shape[0] as u64;
    let values = shape[1..].iter().product::<i64>() as usize;
    let mut drawn = Vec::with_capacity(draws as usize * values);
    key.append(draws, values, &mut drawn);
    Tensor::f_from_slice(&drawn)?.f_view(shape)
}

/// Returns the first rows of a buffer. The buffer is replaced if it is too small or of another
/// kind.
fn reserve(
    buffer: &mut Option<Tensor>,
    shape: [i64; 4],
    kind: Kind,
    device: Device,
) -> Result<Tensor, TchError> {
    if let Some(tensor) = buffer
        && has_room(tensor, shape, kind, device)
    {
        return tensor.f_narrow(0, 0, shape[0]);
    }
    // The old buffer is freed first, so that the device need not have memory for both.
    *buffer = None;
    let tensor = Tensor::f_empty(shape, (kind, device))?;
    *buffer = Some(tensor.shallow_clone());
    tensor.f_narrow(0, 0, shape[0])
}

fn has_room(tensor: &Tensor, shape: [i64; 4], kind: Kind, device: Device) -> bool {
    let size = tensor.size();
    size[1..] == shape[1..]
        && size[0] >= shape[0]
        && tensor.kind() == kind
        && tensor.device() == device
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn address(tensor: &Tensor) -> usize {
        tensor.data_ptr() as usize
    }

    #[test]
    fn a_buffer_is_used_again_until_something_else_is_asked_for() {
        let (mut buffers, cpu) = (BatchBuffers::default(), Device::Cpu);
        let first = buffers.batch([6, 2, 2, 3], Kind::Float, cpu).unwrap();
        let smaller = buffers.batch([4, 2, 2, 3], Kind::Float, cpu).unwrap();
        assert_eq!(
            (smaller.size(), address(&smaller)),
            (vec![4, 2, 2, 3], address(&first))
        );
        for (shape, kind) in [
            ([7, 2, 2, 3], Kind::Float),
            ([7, 2, 2, 3], Kind::BFloat16),
            ([1, 2, 3, 3], Kind::BFloat16),
        ] {
            let other = buffers.batch(shape, kind, cpu).unwrap();
            assert_eq!((other.size(), other.kind()), (shape.to_vec(), kind));
        }
    }

    #[test]
    fn a_scale_is_made_once_and_holds_its_numbers_to_the_last_bit() {
        let mut buffers = BatchBuffers::default();
        for round in 0..=MAX_SCALES as u16 {
            let channels = [0.1, 0.25 + f32::from(round), -1e-20];
            let scale = buffers.channels(&channels, Device::Cpu).unwrap();
            assert_eq!(Vec::<f32>::try_from(&scale).unwrap(), channels);
            assert_eq!(
                address(&buffers.channels(&channels, Device::Cpu).unwrap()),
                address(&scale)
            );
        }
        assert!(buffers.channels.len() <= MAX_SCALES);
    }
}
