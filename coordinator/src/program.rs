//! The program: parses the command line, runs the command and returns its exit code.

use std::process;

use anyhow::Result;
use clap::Parser;
use ddrs_common::cli::{ExitCode, LogFormat};
use ddrs_common::log;
use ddrs_common::queue::refuse_passwords;

use crate::cli::{
    CollectArgs, CoordinatorCli, CoordinatorCommand, DoctorArgs, StatusArgs, WhyArgs,
};
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
        Command::Submit(args) => submit::submit(&args.spec, &args.redis.settings()).await,
        Command::Status(args) => show_status(args).await,
        Command::Collect(args) => collect_records(args).await,
        Command::Report(args) => report::report(&args),
        Command::Retry(args) => admin::retry(&args.sweep, &args.redis.settings()).await,
        Command::Cancel(args) => admin::cancel(&args.sweep, &args.redis.settings()).await,
        Command::Why(args) => explain(args).await,
        Command::Doctor(args) => check(args).await,
    }
}

async fn show_status(args: StatusArgs) -> Result<ExitCode> {
    let server = args.redis.settings();
    status::status(args.sweep, args.watch, &server, args.output.format).await
}

async fn collect_records(args: CollectArgs) -> Result<ExitCode> {
    let server = args.redis.settings();
    collect::collect(&args.sweep, &args.out, args.follow, &server).await
}

async fn explain(args: WhyArgs) -> Result<ExitCode> {
    let question = why::Question {
        sweep: args.sweep,
        variant: args.variant,
        index: args.index,
        out: args.out,
    };
    why::why(&question, &args.redis.settings(), args.output.format).await
}

async fn check(args: DoctorArgs) -> Result<ExitCode> {
    let credentials = args.credentials;
    let server = args.redis.map(|url| credentials.settings(&url));
    doctor::doctor(args.spec.as_deref(), server.as_ref(), args.output.format).await
}
