//! `random-weights`: a network to try a cluster with, before the trained one is there.

use anyhow::Result;
use ddrs_common::architecture::Architecture;
use ddrs_common::cli::BadInput;
use ddrs_worker::model;

use crate::cli::RandomWeightsArgs;

/// Writes a network with random weights.
///
/// # Errors
/// When the architecture is unknown or has no fixed shapes, or the file cannot be written.
pub(crate) fn random_weights(args: &RandomWeightsArgs) -> Result<()> {
    let architecture: Architecture = args.architecture.parse().map_err(BadInput::new)?;
    model::random_weights(architecture, args.classes, args.seed, &args.out)?;
    if args.centred {
        model::centre(architecture, args.classes, &args.out)?;
    }
    Ok(())
}
