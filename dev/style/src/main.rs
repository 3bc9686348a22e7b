//! Measures the readability rules of `CONTRIBUTING.md` and fails where one is broken.
//!
//! In reading order:
//! - [`tree`]: finds the files and parses the Rust ones
//! - [`functions`]: tokens per function, tuple `let`s, long closures
//! - [`names`]: type names that two modules of one crate define
//! - [`modules`]: circles in the graph of modules
//! - [`prose`]: comments, messages and documents
//! - [`report`]: the table, the limits and the offenders

mod functions;
mod modules;
mod names;
mod prose;
mod report;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// Measures how readable the project is, and fails where a limit is passed.
#[derive(Debug, Parser)]
struct Args {
    /// Root of the checkout to measure.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// Prints every offender whose path contains this text; an empty text prints them all.
    #[arg(long)]
    list: Option<String>,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let tree = tree::read(&args.root)?;
    let measures = report::measure(&tree);
    if let Some(part) = &args.list {
        report::print_offenders(&measures, part);
    }
    report::print_table(&measures);
    let passed = measures.iter().all(report::Measure::passes);
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
