//! The engine's options, from the command line.

use ddrs_common::cli::DeviceArgs;

use crate::engine::EngineOptions;

impl From<&DeviceArgs> for EngineOptions {
    fn from(args: &DeviceArgs) -> Self {
        Self {
            device: args.device.clone(),
            threads: args.threads,
        }
    }
}
