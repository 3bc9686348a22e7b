//! Parses the text of a log.

use std::collections::HashMap;
use std::path::Path;

use ddrs_common::domain::{Class, SampleIndex, Sigma};

use super::{LogError, LogLine, fields};
use crate::aggregate::{Entry, EntryOutcome};

/// Parses the text of a log. `file` names it in errors and is not opened.
///
/// # Errors
/// When a required column is missing, a line has more or fewer fields than the header, a field is
/// invalid (for example a radius that is NaN or negative), or an index appears twice.
pub fn parse(text: &str, file: &Path) -> Result<Vec<LogLine>, LogError> {
    parse_lines(text).map_err(|error| LogError::Line {
        file: file.display().to_string(),
        line: error.line,
        reason: error.reason,
    })
}

/// The reason why a line was rejected.
struct InvalidLine {
    line: usize,
    reason: String,
}

impl InvalidLine {
    fn at(line: usize) -> impl Fn(String) -> Self {
        move |reason| Self { line, reason }
    }
}

fn parse_lines(text: &str) -> Result<Vec<LogLine>, InvalidLine> {
    let mut rows = rows(text);
    let mut parser = LineParser::new(rows.next().unwrap_or_default())?;
    (2..)
        .zip(rows)
        .map(|(number, row)| parser.parse(number, row))
        .collect()
}

struct LineParser {
    columns: LogColumns,
    /// The number of the line of each index.
    lines: HashMap<SampleIndex, usize>,
}

impl LineParser {
    fn new(header: &str) -> Result<Self, InvalidLine> {
        Ok(Self {
            columns: LogColumns::find(header).map_err(InvalidLine::at(1))?,
            lines: HashMap::new(),
        })
    }

    fn parse(&mut self, number: usize, row: &str) -> Result<LogLine, InvalidLine> {
        let error = InvalidLine::at(number);
        let line = self.columns.parse(row).map_err(&error)?;
        self.check_index(line.entry.index, number).map_err(error)?;
        Ok(line)
    }

    /// Rejects an index that an earlier line has.
    fn check_index(&mut self, index: SampleIndex, number: usize) -> Result<(), String> {
        match self.lines.insert(index, number) {
            Some(first) => Err(format!("idx {index} is on line {first} already")),
            None => Ok(()),
        }
    }
}

/// The lines of a text without its byte order mark, empty lines at the end and Windows line ends.
fn rows(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.trim_end_matches(['\r', '\n'])
        .split('\n')
        .map(|row| row.strip_suffix('\r').unwrap_or(row))
}

/// The position of each column.
struct LogColumns {
    width: usize,
    idx: usize,
    label: usize,
    predict: usize,
    radius: usize,
    correct: Option<usize>,
    sigma: Option<usize>,
    time: Option<usize>,
}

impl LogColumns {
    fn find(header: &str) -> Result<Self, String> {
        let names: Vec<&str> = header.split('\t').map(str::trim).collect();
        Ok(Self {
            width: names.len(),
            idx: required(&names, "idx")?,
            label: required(&names, "label")?,
            predict: required(&names, "predict")?,
            radius: required(&names, "radius")?,
            correct: optional(&names, "correct")?,
            sigma: sigma_column(&names)?,
            time: optional(&names, "time")?,
        })
    }

    fn parse(&self, row: &str) -> Result<LogLine, String> {
        let cells = self.cells(row)?;
        let entry = self.entry(&cells)?;
        self.check_correct(&cells, &entry)?;
        Ok(LogLine {
            entry,
            seconds: self.seconds(&cells)?,
        })
    }

    fn cells<'a>(&self, row: &'a str) -> Result<Vec<&'a str>, String> {
        let width = self.width;
        let cells: Vec<&str> = row.split('\t').collect();
        if cells.len() == width {
            return Ok(cells);
        }
        let fields = cells.len();
        Err(format!("{fields} fields where the header has {width}"))
    }

    fn entry(&self, cells: &[&str]) -> Result<Entry, String> {
        let index = SampleIndex(fields::whole("idx", cells[self.idx])?);
        let label = Class(fields::whole("label", cells[self.label])?);
        let (result, sigma) = self.result(cells)?;
        Ok(Entry {
            index,
            label,
            result,
            sigma,
        })
    }

    fn result(&self, cells: &[&str]) -> Result<(EntryOutcome, Option<Sigma>), String> {
        let sigma = self.sigma.map(|column| cells[column]);
        fields::result(cells[self.predict], cells[self.radius], sigma)
    }

    fn check_correct(&self, cells: &[&str], entry: &Entry) -> Result<(), String> {
        match self.correct {
            Some(column) => fields::check_correct(cells[column], entry.label, entry.result),
            None => Ok(()),
        }
    }

    fn seconds(&self, cells: &[&str]) -> Result<Option<f64>, String> {
        let seconds = self.time.map(|column| fields::seconds(cells[column]));
        seconds.transpose()
    }
}

fn required(names: &[&str], name: &str) -> Result<usize, String> {
    optional(names, name)?.ok_or_else(|| {
        format!("not a certification log: the header has no column {name:?} between tabs")
    })
}

fn sigma_column(names: &[&str]) -> Result<Option<usize>, String> {
    Ok(optional(names, "sigma")?.or(optional(names, "best_sigma")?))
}

fn optional(names: &[&str], name: &str) -> Result<Option<usize>, String> {
    let mut places = (0..names.len()).filter(|&place| names[place] == name);
    let first = places.next();
    if places.next().is_some() {
        return Err(format!("the header has the column {name:?} twice"));
    }
    Ok(first)
}
