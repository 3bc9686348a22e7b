//! TorchScript programs of networks, as tracing their layers one after another makes them.

use std::path::Path;

use anyhow::{Context, Result};
use ddrs_common::architecture::Architecture;
use tch::{CModule, Device, Kind, Tensor};

use super::network::{Mode, Numerics, TrainableNetwork};
use crate::failure::brief;

/// Writes the program of a network with the weights of a safetensors file to `out`. It computes in
/// fp32 and takes images as they are, without normalisation.
///
/// # Errors
/// When the file is of another architecture, the images do not fit it, or `out` cannot be written.
pub fn write_torchscript(
    architecture: Architecture,
    classes: u32,
    weights: &Path,
    images: &Tensor,
    out: &Path,
) -> Result<()> {
    let numerics = Numerics {
        device: Device::Cpu,
        weights: Kind::Float,
        passes: Kind::Float,
    };
    let mut network = TrainableNetwork::random(architecture, classes, 0, numerics)?;
    network.start_from(weights, architecture)?;
    trace(&network, images)?
        .save(out)
        .with_context(|| format!("cannot write {}", out.display()))
}

fn trace(network: &TrainableNetwork, images: &Tensor) -> Result<CModule> {
    // Tracing takes no errors, so the pass is tried before.
    let _scores = network.scores(images, Mode::Frozen).map_err(brief)?;
    let scores = |images: &[Tensor]| network.scores(&images[0], Mode::Frozen);
    let mut pass = |images: &[Tensor]| scores(images).into_iter().collect();
    let images = [images.shallow_clone()];
    Ok(CModule::create_by_tracing(
        "network", "forward", &images, &mut pass,
    )?)
}
