//! The options for the device that runs forward passes.

use clap::Args;
use clap::builder::RangedU64ValueParser;

/// The device and the threads of forward passes.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DeviceArgs {
    /// auto, cpu or cuda:N; for `run` also cuda:all, one process per GPU
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// CPU threads for forward passes [default: all cores]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub threads: Option<usize>,
}
