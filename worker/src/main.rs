//! The worker program: parses, dispatches, and maps what happened to an exit code.

use anyhow::Result;
use clap::Parser;
use ddrs_common::log::{self, Style};
use ddrs_common::queue::refuse_passwords;
use ddrs_worker::cli::{Cli, Command, LogFormat};
use ddrs_worker::device::DeviceChoice;
use ddrs_worker::{commands, exit, run};

fn main() {
    if let Err(error) = refuse_passwords(std::env::args_os().skip(1)) {
        eprintln!("error: {error}");
        exit::now(2);
    }
    let cli = Cli::parse();
    log::begin(if cli.log_format == LogFormat::Json {
        Style::Json
    } else {
        Style::Text
    });
    let code = match dispatch(cli.command) {
        Ok(()) => 0,
        Err(error) => {
            log::fail(&format!("{error:#}"));
            exit::code(&error)
        }
    };
    // A forward pass may be in progress on a lane; nobody waits for it any more.
    exit::now(code)
}

fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Run(args) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let ended = runtime.block_on(async {
                if args
                    .device
                    .device
                    .parse()
                    .is_ok_and(|wanted| matches!(wanted, DeviceChoice::AllCuda))
                {
                    return run::fleet::run(&args).await;
                }
                run::run(args).await
            });
            // A thread may be reading stdin for as long as the parent lives; nobody waits for it.
            runtime.shutdown_background();
            ended
        }
        Command::Certify(args) => commands::certify::certify(&args),
        Command::Train(args) => commands::train::train(&args),
        Command::Doctor(args) => commands::doctor::doctor(&args),
    }
}
