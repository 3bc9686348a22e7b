//! The coordinator program: parses, dispatches, and maps what happened to an exit code.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use ddrs_common::log::{self, Style};
use ddrs_common::queue::refuse_passwords;
use ddrs_coordinator::cli::{Cli, Command, LogFormat};
use ddrs_coordinator::commands::{admin, collect, doctor, report, status, submit, why};
use ddrs_coordinator::exit::{self, Exit};
use ddrs_coordinator::run;

fn main() -> ExitCode {
    if let Err(error) = refuse_passwords(std::env::args_os().skip(1)) {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    let cli = Cli::parse();
    log::begin(if cli.log_format == LogFormat::Json {
        Style::Json
    } else {
        Style::Text
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = runtime.map_err(Into::into).and_then(|runtime| {
        let ended = runtime.block_on(dispatch(cli));
        // Whoever told the program to stop does not wait for the digest of a data set.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => {
            log::fail(&format!("{error:#}"));
            exit::code(&error)
        }
    }
}

async fn dispatch(cli: Cli) -> Result<Exit> {
    let log_format = if cli.log_format == LogFormat::Json {
        "json"
    } else {
        "text"
    };
    match cli.command {
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
        Command::Report {
            sources,
            format,
            radii,
        } => report::report(&sources, format, radii.as_deref()),
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
            why::why(
                &why::Question {
                    sweep,
                    variant,
                    index,
                    out,
                },
                &redis.settings(),
                output.format,
            )
            .await
        }
        Command::Doctor {
            spec,
            redis,
            login,
            output,
        } => {
            let redis = redis.map(|url| login.settings(&url));
            doctor::doctor(spec.as_deref(), redis.as_ref(), output.format).await
        }
    }
}
