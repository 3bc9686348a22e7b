//! The worker program: parses, dispatches, and maps what happened to an exit code.

use anyhow::Result;
use clap::Parser;
use ddrs_common::queue::refuse_passwords;
use ddrs_worker::cli::{Cli, Command, LogFormat};
use ddrs_worker::{commands, exit, run};
use tracing_subscriber::EnvFilter;

fn main() {
    if let Err(error) = refuse_passwords(std::env::args().skip(1)) {
        eprintln!("error: {error}");
        exit::now(2);
    }
    let cli = Cli::parse();
    log_to_stderr(cli.log_format);
    let code = match dispatch(cli.command) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("error: {error:#}");
            exit::code(&error)
        }
    };
    // A forward pass may be in progress on a lane; nobody waits for it any more.
    exit::now(code)
}

fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Run(args) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let ended = runtime.block_on(run::run(args));
            // A thread may be reading stdin for as long as the parent lives; nobody waits for it.
            runtime.shutdown_background();
            ended
        }
        Command::Certify(args) => commands::certify::certify(&args),
        Command::Train(args) => commands::train::train(&args),
        Command::Bench(args) => commands::bench::bench(&args),
        Command::RandomWeights { architecture, classes, seed, out } => {
            commands::random_weights(&architecture, classes, seed, &out)
        }
    }
}

/// `RUST_LOG` filters; without it, what an operator wants to know.
fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => log.json().init(),
    }
}
