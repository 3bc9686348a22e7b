//! The folder `report/`: every file appears whole or stays as it was.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::Context;
use ddrs_common::domain::VariantName;
use ddrs_common::replace;

use super::{Format, html, render, svg};
use crate::aggregate::Table;
use crate::log_file;

/// The samples of one row, for its certification log.
#[derive(Debug, Clone, PartialEq)]
pub struct VariantLog {
    /// The row's variant.
    pub variant: VariantName,
    /// Whether it is the row with memory.
    pub memory: bool,
    /// One a sample.
    pub lines: Vec<log_file::Line>,
}

/// Writes `table.{txt,json,csv,md,tex}`, `curve.svg`, `index.html` and the logs into `folder`,
/// which is created where it is missing. A log is called `VARIANT.tsv`, with memory
/// `VARIANT.memory.tsv`. `facts` are for the page.
///
/// # Errors
/// When a file cannot be written; it is named, and neither it nor those after it are touched.
pub fn write_all(
    folder: &Path,
    table: &Table,
    facts: &[(String, String)],
    logs: &[VariantLog],
) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("{}: cannot create the folder", folder.display()))?;
    let names = file_names(logs);
    for (name, log) in names.iter().zip(logs) {
        place(folder, name, &log_file::write(&log.lines))?;
    }
    for (name, format) in [
        ("table.txt", Format::Text),
        ("table.json", Format::Json),
        ("table.csv", Format::Csv),
        ("table.md", Format::Markdown),
        ("table.tex", Format::Latex),
    ] {
        place(folder, name, &render(table, format))?;
    }
    place(folder, "curve.svg", &svg(table))?;
    // Last, for it links to the others.
    place(folder, "index.html", &html(table, facts, &names))
}

/// A name for each log. Variants that differ only in characters that no file name has are told
/// apart by a number.
fn file_names(logs: &[VariantLog]) -> Vec<String> {
    let mut taken = HashSet::new();
    let name = |log: &VariantLog| {
        let stem = log.variant.file_stem();
        let ending = if log.memory { "memory.tsv" } else { "tsv" };
        let numbered = (2_u32..).map(|number| format!("{stem}-{number}.{ending}"));
        let mut names = std::iter::once(format!("{stem}.{ending}")).chain(numbered);
        // The numbers outlast the logs.
        names
            .find(|name| taken.insert(name.clone()))
            .unwrap_or_default()
    };
    logs.iter().map(name).collect()
}

/// Puts a file in place in one step.
fn place(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(name);
    replace(&path, text.as_bytes()).with_context(|| format!("{}: cannot write it", path.display()))
}
