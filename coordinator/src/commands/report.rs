//! `report`: tables of run folders and certification logs, several side by side.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::aggregate::{Entry, Row, Table, row};
use crate::log_file;
use crate::report::{Format, render};
use crate::run_dir::RunDir;
use crate::tables;
use ddrs_common::cli::{BlameInput, ExitCode};
use ddrs_common::domain::Radii;
use ddrs_common::output::print;

/// Prints one table of all sources.
///
/// # Errors
/// When a source is neither a run folder nor a certification log, or the radii make no sense.
pub fn report(sources: &[PathBuf], format: Format, radii: Option<&str>) -> Result<ExitCode> {
    let radii = radii
        .map(str::parse::<Radii>)
        .transpose()
        .context("--radii")
        .blame_input()?;
    let common = radii.clone().map_or_else(|| common_radii(sources), Ok)?;
    let mut rows = Vec::new();
    for source in sources {
        rows.extend(rows_of(source, &common)?);
    }
    let title = sources
        .iter()
        .map(|source| name(source))
        .collect::<Vec<_>>()
        .join(", ");
    print(&render(
        &Table {
            title,
            radii: common,
            rows,
        },
        format,
    ))?;
    Ok(ExitCode::Complete)
}

/// The radii of the first run folder among the sources; for logs alone, 0 to 1.5 by 0.25 as
/// specifications default to.
fn common_radii(sources: &[PathBuf]) -> Result<Radii> {
    if let Some(run) = sources.iter().find(|source| source.is_dir()) {
        let manifest = RunDir::new(run).manifest().blame_input()?;
        return Ok(manifest.sweep.sweep().blame_input()?.report.radii);
    }
    "0:1.5:0.25".parse().context("the default radii")
}

fn rows_of(source: &Path, radii: &Radii) -> Result<Vec<Row>> {
    if source.is_dir() {
        return Ok(tables::Samples::read(&RunDir::new(source))
            .blame_input()?
            .table(radii)?
            .rows);
    }
    let lines = log_file::read(source).blame_input()?;
    let entries: Vec<Entry> = lines.iter().map(|line| line.entry).collect();
    Ok(vec![row(
        &name(source),
        false,
        &entries,
        radii,
        log_file::settings(&lines),
    )])
}

/// A log without its suffix, or a run folder, whose name may have a point in it.
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
    fn a_log_goes_by_its_stem_and_a_folder_by_its_whole_name() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("gaussian-0.25");
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(
            (name(&folder), name(Path::new("logs/cohen_0.25.tsv"))),
            ("gaussian-0.25".into(), "cohen_0.25".into())
        );
    }
}
