//! The normalisation of images before the first layer.

use ddrs_common::spec::ModelSpec;
use tch::{Device, TchError, Tensor};

/// Computes `(x - mean) / std` per channel, in single precision, after the noise was added.
#[derive(Debug)]
pub(super) struct Normalisation(pub(super) Option<ChannelStatistics>);

/// Mean and standard deviation per channel, of shape (1, channels, 1, 1).
#[derive(Debug)]
pub(super) struct ChannelStatistics {
    mean: Tensor,
    std: Tensor,
}

impl Normalisation {
    pub(super) fn new(spec: &ModelSpec, device: Device) -> Self {
        let statistics = spec.mean.as_ref().zip(spec.std.as_ref());
        Self(statistics.map(|(mean, std)| ChannelStatistics::new(mean, std, device)))
    }

    pub(super) fn share(&self) -> Self {
        Self(self.0.as_ref().map(ChannelStatistics::share))
    }

    pub(super) fn apply(&self, images: &Tensor) -> Result<Tensor, TchError> {
        match &self.0 {
            Some(statistics) => statistics.apply(images),
            None => Ok(images.shallow_clone()),
        }
    }
}

impl ChannelStatistics {
    fn new(mean: &[f64], std: &[f64], device: Device) -> Self {
        Self {
            mean: per_channel(mean, device),
            std: per_channel(std, device),
        }
    }

    fn share(&self) -> Self {
        Self {
            mean: self.mean.shallow_clone(),
            std: self.std.shallow_clone(),
        }
    }

    fn apply(&self, images: &Tensor) -> Result<Tensor, TchError> {
        images.f_sub(&self.mean)?.f_div(&self.std)
    }
}

fn per_channel(values: &[f64], device: Device) -> Tensor {
    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    Tensor::from_slice(&values).view([1, -1, 1, 1]).to(device)
}
