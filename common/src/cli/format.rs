//! The formats of a command's output.

use clap::{Args, ValueEnum};

/// The format of a list of facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// The option that selects the format of the output.
#[derive(Debug, Clone, Copy, Args)]
pub struct OutputArgs {
    /// Format of the output
    #[arg(long, value_enum, default_value = "text")]
    pub format: OutputFormat,
}
