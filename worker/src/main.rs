//! The worker program: parses the command line, runs the command and exits with its code.
//!
//! In reading order:
//! - `cli`: the command line as written
//! - `run`: claims jobs, certifies their samples, records them
//! - `commands`: the other commands, one file per command

mod cli;
mod commands;
mod run;

use anyhow::Result;
use clap::Parser;
use ddrs_common::cli::{ExitCode, LogFormat};
use ddrs_common::log;
use ddrs_common::queue::refuse_passwords;
use ddrs_worker::exit;

use cli::{WorkerCli, WorkerCommand, WorkerRunArgs};

fn main() {
    if let Err(error) = refuse_passwords(std::env::args_os().skip(1)) {
        eprintln!("error: {error}");
        exit::now(ExitCode::BadInput);
    }
    exit::now(run_command(WorkerCli::parse()))
}

fn run_command(cli: WorkerCli) -> ExitCode {
    log::begin(cli.log_format);
    match dispatch(cli.command, cli.log_format) {
        Ok(()) => ExitCode::Complete,
        Err(error) => {
            log::fail(&format!("{error:#}"));
            ExitCode::of(&error)
        }
    }
}

fn dispatch(command: WorkerCommand, log_format: LogFormat) -> Result<()> {
    match command {
        WorkerCommand::Run(args) => run(args, log_format),
        WorkerCommand::Certify(args) => commands::certify::certify(&args),
        WorkerCommand::Attack(args) => commands::attack::attack(&args),
        WorkerCommand::Train(args) => commands::train::train(&args),
        WorkerCommand::Inspect(args) => commands::inspect::inspect(&args),
        WorkerCommand::Convert(args) => commands::weights::convert(&args),
        WorkerCommand::Doctor(args) => commands::doctor::doctor(&args),
    }
}

fn run(args: WorkerRunArgs, log_format: LogFormat) -> Result<()> {
    if args.uses_all_gpus() {
        block_on(run::fleet::run(&args, log_format))
    } else {
        block_on(run::run(args))
    }
}

fn block_on(command: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(command);
    // A thread may be reading stdin for as long as the parent process lives.
    runtime.shutdown_background();
    result
}
