//! Compares the noise that certifies: the CPU looks it up in tables, a device makes it by tensor
//! operations, and both must give the same integers.

use anyhow::{Result, ensure};
use ddrs_common::domain::{Phase, SampleIndex, Sigma, VariantName};
use ddrs_common::grid::Grid;
use ddrs_worker::noise::{DeviceThresholds, GridNoiseSource, GridSampler, PhaseKey};
use tch::Device;

/// At the last one a few draws need the bits that decide ties, since it has many steps.
const SIGMAS: [f64; 3] = [0.12, 0.5, 13.0];
const DRAWS: u32 = 64;
/// The values of a CIFAR-10 image.
const VALUES: usize = 3_072;

/// Returns the reason why a device does not draw the integers that the CPU draws, if it does not.
pub(super) fn difference(device: Device) -> Option<String> {
    let compared = SIGMAS.iter().try_for_each(|&sigma| compare(device, sigma));
    compared.err().map(|error| error.root_cause().to_string())
}

fn compare(device: Device, sigma: f64) -> Result<()> {
    let sampler = GridSampler::new(Sigma::new(sigma)?, Grid::BYTES)?;
    let expected = by_tables(&sampler);
    let found = by_tensors(&sampler, device)?;
    let differ = expected.iter().zip(&found).filter(|(a, b)| a != b).count();
    ensure!(
        differ == 0 && expected.len() == found.len(),
        "{differ} of {} integers differ at sigma {sigma}",
        expected.len()
    );
    Ok(())
}

fn by_tables(sampler: &GridSampler) -> Vec<i64> {
    let mut noise = Vec::new();
    for draw in 0..DRAWS {
        sampler.append(key(), draw, VALUES, &mut noise);
    }
    noise.into_iter().map(i64::from).collect()
}

fn by_tensors(sampler: &GridSampler, device: Device) -> Result<Vec<i64>> {
    let thresholds = DeviceThresholds::new(sampler.thresholds(), device)?;
    let noise = thresholds.noise(key(), 0..DRAWS, VALUES)?;
    Ok(Vec::try_from(noise.f_to(Device::Cpu)?.f_reshape([-1])?)?)
}

fn key() -> PhaseKey {
    let source = GridNoiseSource {
        seed: 1,
        networks: &[],
        levels: &[],
        data: &[0; 32],
        variant: &VariantName::new("doctor"),
        index: SampleIndex(0),
    };
    source.phase(Phase::Estimate)
}
