//! Runs every check that needs a GPU with one command, within ten minutes, on a bare machine: no
//! compiler, no network, no Redis.
//!
//! This program does not link libtorch. It finds the libraries of python's torch first, and starts
//! the programs that do link it with those in `LD_LIBRARY_PATH`.
//!
//! In reading order:
//! - [`cli`]: the command line
//! - [`programs`]: the programs that steps start, and the libraries that those need
//! - [`setup`]: the command line and the programs together
//! - [`check`]: the order of the parts
//! - [`parts`]: one file per part
//! - [`session`]: runs steps within the time that is left, and keeps the summary
//! - [`step`]: one step, with its output files
//! - [`process`]: one program with a time limit
//! - [`training_data`]: the specification and images of the trainings

mod check;
mod cli;
mod parts;
mod process;
mod programs;
mod session;
mod setup;
mod step;
mod summary;
mod training_data;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use cli::CheckArgs;
use session::Session;
use setup::Setup;

/// Exit code for bad usage, the same as clap's.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let args = CheckArgs::parse();
    match prepare(&args) {
        Ok((setup, session)) => run(&setup, session),
        Err(error) => fail(&error, USAGE),
    }
}

fn run(setup: &Setup, mut session: Session) -> ExitCode {
    match check::check(setup, &mut session) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&error, 1),
    }
}

fn prepare(args: &CheckArgs) -> Result<(Setup<'_>, Session)> {
    let setup = Setup::find(args)?;
    let session = Session::begin(&args.out_folder(), args.time())?;
    Ok((setup, session))
}

fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("gpu-check: {error:#}");
    ExitCode::from(code)
}
