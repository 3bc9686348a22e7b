//! The development program: benchmarks, and the random networks that they and tests need.

mod bench;
mod cli;
mod random_weights;
mod temporary;
mod train_speed;

use anyhow::Result;
use clap::Parser;
use ddrs_common::cli::{ExitCode, LogFormat};
use ddrs_common::log;
use ddrs_worker::exit;

use cli::{DevCli, DevCommand};

fn main() {
    let cli = DevCli::parse();
    log::begin(LogFormat::Text);
    let ended = dispatch(&cli.command);
    // Past the C library's `exit`, which would take libtorch apart under a forward pass.
    exit::now(exit_code(&ended))
}

fn exit_code(ended: &Result<()>) -> ExitCode {
    let Err(error) = ended else {
        return ExitCode::Complete;
    };
    log::fail(&format!("{error:#}"));
    ExitCode::of(error)
}

fn dispatch(command: &DevCommand) -> Result<()> {
    match command {
        DevCommand::Bench(args) => bench::bench(args),
        DevCommand::RandomWeights(args) => random_weights::random_weights(args),
        DevCommand::TrainSpeed(args) => train_speed::train_speed(args),
    }
}
