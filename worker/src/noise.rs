//! Noise as a pure function of its purpose, the same to the last bit on every machine and device.
//!
//! The draws that certify use noise on a grid (`ddrs_common::grid`):
//! - `source`: the key of a sample's draws in one phase
//! - `philox`: the uniform numbers of a key
//! - `guide`: turns 32 uniform bits into a step of the grid, or says that they do not suffice
//! - `sampler`: images under grid noise, on the CPU
//! - `on_device`: the same integers by tensor operations, where a GPU computes
//!
//! Choosing sigma uses `gaussian`, noise in single precision.

mod gaussian;
mod guide;
mod on_device;
mod philox;
mod sampler;
mod source;
mod value;

pub use gaussian::{ChunkKey, NoiseSource};
pub use on_device::DeviceThresholds;
pub use sampler::{ChannelMaps, GridSampler};
pub use source::{GridNoiseSource, PhaseKey};
pub use value::NoisyValue;

#[cfg(test)]
mod tests;
