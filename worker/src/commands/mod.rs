//! The commands other than `run`.

pub mod bench;
pub mod certify;
pub mod doctor;
pub mod train;

use std::path::Path;

use anyhow::Result;
use ddrs_common::architecture::Architecture;

use crate::exit::Refused;
use crate::model;

/// Writes a network with random weights, centred if noise is to decide between its classes.
///
/// # Errors
/// When the architecture is unknown or has no fixed shapes, or the file cannot be written.
pub fn random_weights(
    architecture: &str,
    classes: u32,
    seed: u64,
    centred: bool,
    out: &Path,
) -> Result<()> {
    let architecture: Architecture = architecture
        .parse()
        .map_err(|error| Refused(anyhow::anyhow!("{error}")))?;
    model::random_weights(architecture, classes, seed, out)?;
    if centred {
        doctor::centre(architecture, classes, out)?;
    }
    Ok(())
}
