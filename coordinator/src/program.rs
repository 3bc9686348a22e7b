//! The program: parses the command line, runs the command and returns its exit code.

use std::process;

use anyhow::Result;
use clap::Parser;
use ddrs_common::cli::{ExitCode, LogFormat};
use ddrs_common::log;
use ddrs_common::queue::refuse_passwords;

use crate::cli::{CoordinatorCli, CoordinatorCommand};
use crate::commands::{admin, collect, doctor, report, status, submit, why};
use crate::run;

/// Runs the program with the arguments of this process.
#[must_use]
pub fn main() -> process::ExitCode {
    if let Err(error) = refuse_passwords(std::env::args_os().skip(1)) {
        eprintln!("error: {error}");
        return ExitCode::BadInput.into();
    }
    run_command(CoordinatorCli::parse()).into()
}

fn run_command(cli: CoordinatorCli) -> ExitCode {
    log::begin(cli.log_format);
    block_on(dispatch(cli.command, cli.log_format)).unwrap_or_else(|error| {
        log::fail(&format!("{error:#}"));
        ExitCode::of(&error)
    })
}

fn block_on(command: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let exit = runtime.block_on(command);
    // An interrupted program does not wait for a background task, such as digesting a dataset.
    runtime.shutdown_background();
    exit
}

async fn dispatch(command: CoordinatorCommand, log_format: LogFormat) -> Result<ExitCode> {
    use CoordinatorCommand as Command;
    match command {
        Command::Run(args) => run::run(args, log_format).await,
        Command::Submit { spec, redis } => submit::submit(&spec, &redis.settings()).await,
        Command::Status {
            sweep,
            watch,
            redis,
            output,
        } => status::status(sweep, watch, &redis.settings(), output.format).await,
        Command::Collect {
            sweep,
            out,
            follow,
            redis,
        } => collect::collect(&sweep, &out, follow, &redis.settings()).await,
        Command::Report(args) => report::report(&args),
        Command::Retry { sweep, redis } => admin::retry(&sweep, &redis.settings()).await,
        Command::Cancel { sweep, redis } => admin::cancel(&sweep, &redis.settings()).await,
        Command::Why {
            sweep,
            variant,
            index,
            out,
            redis,
            output,
        } => {
            let question = why::Question {
                sweep,
                variant,
                index,
                out,
            };
            why::why(&question, &redis.settings(), output.format).await
        }
        Command::Doctor {
            spec,
            redis,
            credentials,
            output,
        } => {
            let redis = redis.map(|url| credentials.settings(&url));
            doctor::doctor(spec.as_deref(), redis.as_ref(), output.format).await
        }
    }
}
