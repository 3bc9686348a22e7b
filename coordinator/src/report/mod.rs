//! Renders a [`Table`] in every format, and writes the files of a report.
//!
//! This module computes nothing except what a reader needs: percentages and radii are cut, never
//! rounded up, so that no format claims more than was certified. JSON and CSV keep every digit.
//! Every format names the inputs, n0, n, alpha, seed and precision behind its numbers. Names come
//! from specifications and files of other people, so each format escapes what it would read as
//! markup (`plain` for terminals).
//!
//! - `grid`, `caption`: the cells and notes of a table, shared by all formats for reading
//! - `text`, `markdown`, `latex`, `html`, `svg`: formats for reading
//! - `json`, `csv`: formats for programs
//! - `envelope`: the best over the sigmas and the gains, in Markdown
//! - `files`: the folder `report/`, each file complete or absent

mod caption;
mod csv;
mod envelope;
mod escape;
mod files;
mod grid;
mod html;
mod json;
mod latex;
mod markdown;
mod number;
mod svg;
mod text;

pub(crate) use envelope::envelope_markdown;
pub(crate) use files::{VariantLog, write_all};
pub(crate) use html::html;
pub(crate) use svg::svg;

use crate::aggregate::Table;

/// The formats of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for a terminal.
    Text,
    /// The interface for other programs.
    Json,
    /// One line per row, for spreadsheets and data frames.
    Csv,
    /// A Markdown table as GitHub renders it.
    Markdown,
    /// A LaTeX table for a paper, with booktabs.
    Latex,
}

/// Renders the table in a format; the text ends with a line feed.
#[must_use]
pub(crate) fn render(table: &Table, format: Format) -> String {
    match format {
        Format::Text => text::text(table),
        Format::Json => json::json(table),
        Format::Csv => csv::csv(table),
        Format::Markdown => markdown::markdown(table),
        Format::Latex => latex::latex(table),
    }
}

#[cfg(test)]
mod tests;
