//! Measures the readability rules of `CONTRIBUTING.md` and fails where one is broken.
//!
//! In reading order:
//! - [`tree`]: finds the files and parses the Rust ones
//! - [`offence`]: a place that breaks a rule
//! - [`functions`]: tokens per function, tuple `let`s, long closures
//! - [`names`]: type names that two modules define
//! - [`imports`]: the items and paths of a file
//! - [`modules`]: circles in the graph of modules
//! - [`prose`]: the paragraphs of documents, comments and messages
//! - [`idioms`]: phrases that a newcomer has to translate
//! - [`doc_comments`]: doc comments that begin with a question word
//! - [`lengths`]: lines, table cells and list items that are too long
//! - [`report`]: the measures and their limits
//! - [`output`]: the table and the offenders

mod doc_comments;
mod functions;
mod idioms;
mod imports;
mod lengths;
mod modules;
mod names;
mod offence;
mod output;

mod prose;
mod report;
mod tree;

use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// Measures how readable the project is, and fails where a limit is passed
#[derive(Debug, Parser)]
struct StyleArgs {
    /// Root of the checkout to measure
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// Print every offender whose path contains this text; an empty text prints all
    #[arg(long, value_name = "PATH")]
    list: Option<String>,
}

fn main() -> Result<ExitCode> {
    let args = StyleArgs::parse();
    let files = tree::read(&args.root)?;
    let measures = report::measure(&files);
    print(&measures, args.list.as_deref())?;
    Ok(if measures.iter().all(report::Measure::passes) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints the offenders, where they are asked for, and the table. A reader that has seen enough,
/// such as `head`, is no error.
fn print(measures: &[report::Measure], list: Option<&str>) -> io::Result<()> {
    let mut out = Vec::new();
    if let Some(part) = list {
        output::print_offenders(&mut out, measures, part)?;
    }
    output::print_table(&mut out, measures)?;
    match io::stdout().write_all(&out) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
