//! `report`: one table of several run folders and certification logs, or their envelope.

mod envelope;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ddrs_common::cli::{BlameInput, ExitCode};
use ddrs_common::domain::Radii;
use ddrs_common::output::print;

use crate::aggregate::{Table, TableRow};
use crate::cli::ReportArgs;
use crate::log_file;
use crate::report::{envelope_markdown, render};
use crate::run_dir::RunDir;
use crate::tables::RunSamples;

/// Prints one table of all sources, or their envelope.
///
/// # Errors
/// When a source is neither a run folder nor a certification log, the radii are invalid, or the
/// logs make no envelope.
pub(crate) fn report(args: &ReportArgs) -> Result<ExitCode> {
    let text = if args.envelope {
        envelope_markdown(&envelope::read(&args.sources)?)
    } else {
        table_text(args)?
    };
    print(&text)?;
    Ok(ExitCode::Complete)
}

fn table_text(args: &ReportArgs) -> Result<String> {
    let radii = radii(args.radii.as_deref(), &args.sources)?;
    let table = table(&args.sources, radii)?;
    Ok(render(&table, args.format))
}

/// The radii that `--radii` asks for; without it those of the first run folder among the sources,
/// and for logs alone those that a specification has by default.
fn radii(option: Option<&str>, sources: &[PathBuf]) -> Result<Radii> {
    if let Some(text) = option {
        return Ok(text.parse().context("--radii").blame_input()?);
    }
    match sources.iter().find(|source| source.is_dir()) {
        Some(run) => radii_of_run(run),
        None => default_radii(),
    }
}

fn default_radii() -> Result<Radii> {
    "0:1.5:0.25".parse().context("the default radii")
}

fn radii_of_run(run: &Path) -> Result<Radii> {
    let manifest = RunDir::new(run).manifest().blame_input()?;
    Ok(manifest.sweep.sweep().blame_input()?.report.radii)
}

fn table(sources: &[PathBuf], radii: Radii) -> Result<Table> {
    let mut rows = Vec::new();
    for source in sources {
        rows.extend(rows_of(source, &radii)?);
    }
    Ok(Table {
        title: names(sources),
        radii,
        rows,
    })
}

fn names(sources: &[PathBuf]) -> String {
    let names: Vec<String> = sources.iter().map(|source| name(source)).collect();
    names.join(", ")
}

fn rows_of(source: &Path, radii: &Radii) -> Result<Vec<TableRow>> {
    if source.is_dir() {
        rows_of_run(source, radii)
    } else {
        Ok(vec![row_of_log(source, radii)?])
    }
}

fn rows_of_run(run: &Path, radii: &Radii) -> Result<Vec<TableRow>> {
    let samples = RunSamples::read(&RunDir::new(run)).blame_input()?;
    Ok(samples.table(radii)?.rows)
}

fn row_of_log(log: &Path, radii: &Radii) -> Result<TableRow> {
    let lines = log_file::read(log).blame_input()?;
    let entries = log_file::entries(&lines);
    let settings = log_file::settings(&lines);
    Ok(TableRow::count(
        &name(log),
        false,
        &entries,
        radii,
        settings,
    ))
}

/// The name of a run folder, or of a log without its suffix. A folder's name may contain a dot, so
/// it is used whole.
fn name(source: &Path) -> String {
    let name = if source.is_dir() {
        source.file_name()
    } else {
        source.file_stem()
    };
    name.unwrap_or(source.as_os_str())
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_log_is_named_by_its_stem_and_a_folder_by_its_whole_name() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("gaussian-0.25");
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(
            (name(&folder), name(Path::new("logs/cohen_0.25.tsv"))),
            ("gaussian-0.25".into(), "cohen_0.25".into())
        );
    }
}
