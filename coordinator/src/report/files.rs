//! The folder `report/`. Every file is replaced as a whole or stays as it was.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::Context;
use ddrs_common::domain::VariantName;
use ddrs_common::replace;

use super::{Format, html, render, svg};
use crate::aggregate::Table;
use crate::log_file::{self, LogLine};

/// The samples of one row, for its certification log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VariantLog {
    /// The row's variant.
    pub variant: VariantName,
    /// True for the row with memory.
    pub memory: bool,
    /// One line per sample.
    pub lines: Vec<LogLine>,
}

const TABLES: [(&str, Format); 5] = [
    ("table.txt", Format::Text),
    ("table.json", Format::Json),
    ("table.csv", Format::Csv),
    ("table.md", Format::Markdown),
    ("table.tex", Format::Latex),
];

/// Writes `table.{txt,json,csv,md,tex}`, `curve.svg`, `index.html` and the logs into `folder`,
/// which is created if it is missing. A log is named `VARIANT.tsv`, or `VARIANT.memory.tsv` with
/// memory. `facts` are for the page.
///
/// # Errors
/// When a file cannot be written. The error names the file; it and the files after it are
/// unchanged.
pub(crate) fn write_all(
    folder: &Path,
    table: &Table,
    facts: &[(String, String)],
    logs: &[VariantLog],
) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("{}: cannot create the folder", folder.display()))?;
    let log_names = file_names(logs);
    write_logs(folder, &log_names, logs)?;
    write_tables(folder, table)?;
    place(folder, "curve.svg", &svg(table))?;
    // The page is last because it links to the other files.
    place(folder, "index.html", &html(table, facts, &log_names))
}

fn write_logs(folder: &Path, names: &[String], logs: &[VariantLog]) -> anyhow::Result<()> {
    for (name, log) in names.iter().zip(logs) {
        place(folder, name, &log_file::write(&log.lines))?;
    }
    Ok(())
}

fn write_tables(folder: &Path, table: &Table) -> anyhow::Result<()> {
    for (name, format) in TABLES {
        place(folder, name, &render(table, format))?;
    }
    Ok(())
}

/// Returns a file name for each log. Numbers tell variants apart whose names differ only in
/// characters that a file name cannot have.
fn file_names(logs: &[VariantLog]) -> Vec<String> {
    let mut taken = HashSet::new();
    logs.iter()
        .map(|log| {
            let free = candidate_names(log).find(|name| taken.insert(name.clone()));
            // There are more candidates than logs.
            free.unwrap_or_default()
        })
        .collect()
}

/// `STEM.tsv`, `STEM-2.tsv`, `STEM-3.tsv` and so on.
fn candidate_names(log: &VariantLog) -> impl Iterator<Item = String> {
    let stem = log.variant.file_stem();
    let ending = ending(log);
    let first = format!("{stem}.{ending}");
    let numbered = (2_u32..).map(move |number| format!("{stem}-{number}.{ending}"));
    std::iter::once(first).chain(numbered)
}

fn ending(log: &VariantLog) -> &'static str {
    if log.memory { "memory.tsv" } else { "tsv" }
}

/// Puts a file in place in one step.
fn place(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(name);
    replace(&path, text.as_bytes()).with_context(|| format!("{}: cannot write it", path.display()))
}
