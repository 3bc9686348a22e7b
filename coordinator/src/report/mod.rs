//! A [`Table`] in every format that people ask for, and the files of a report.
//!
//! Nothing is computed here but what an eye needs: percentages and radii are cut, never rounded up,
//! so that no rendering claims more than was certified; JSON and CSV keep every digit. Every format
//! says which inputs, n0, n, alpha, seed and precision its numbers rest on. Names come from
//! specifications and files of others, so each renderer neutralises what its format would take for
//! markup (`plain` for terminals).
//!
//! - `grid`, `caption`: the words of a table, shared by all formats for reading
//! - `text`, `markdown`, `latex`, `html`, `svg`: formats for reading
//! - `json`, `csv`: formats for programs
//! - `files`: the folder `report/`, each file whole or absent

mod caption;
mod csv;
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

pub use files::{VariantLog, write_all};
pub use html::html;
pub use svg::svg;

use crate::aggregate::Table;

/// The formats of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns for a terminal.
    Text,
    /// The contract with other programs.
    Json,
    /// One line a row, for spreadsheets and data frames.
    Csv,
    /// A table as GitHub renders it.
    Markdown,
    /// A table for a paper, with booktabs.
    Latex,
}

/// The table in a format, ending in a line feed.
#[must_use]
pub fn render(table: &Table, format: Format) -> String {
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
