//! A log's text to its lines.

use std::path::Path;

use ddrs_common::domain::{Class, SampleIndex};

use super::{Line, LogError, Seen, fields};
use crate::aggregate::Entry;

/// Reads the text of a log; `file` is for errors and is not opened.
///
/// # Errors
/// When a column that is needed is missing, a line has more or fewer fields than the header, a
/// field is not what it should be (a radius that is NaN or negative among them), or an index comes
/// twice.
pub fn parse(text: &str, file: &Path) -> Result<Vec<Line>, LogError> {
    let error = |line, reason| LogError::Line {
        file: file.display().to_string(),
        line,
        reason,
    };
    let text = text
        .strip_prefix('\u{feff}')
        .unwrap_or(text)
        .trim_end_matches(['\r', '\n']);
    let mut rows = (1..).zip(
        text.split('\n')
            .map(|row| row.strip_suffix('\r').unwrap_or(row)),
    );
    let header = rows.next().map_or("", |(_, header)| header);
    let columns = Columns::of(header).map_err(|reason| error(1, reason))?;

    let mut seen = Seen::new();
    let mut lines = Vec::new();
    for (number, row) in rows {
        let line = columns.line(row).map_err(|reason| error(number, reason))?;
        if let Some(first) = seen.insert(line.entry.index.0, number) {
            return Err(error(
                number,
                format!("idx {} is on line {first} already", line.entry.index),
            ));
        }
        lines.push(line);
    }
    Ok(lines)
}

/// Where each column stands.
struct Columns {
    width: usize,
    idx: usize,
    label: usize,
    predict: usize,
    radius: usize,
    correct: Option<usize>,
    sigma: Option<usize>,
    time: Option<usize>,
}

impl Columns {
    fn of(header: &str) -> Result<Self, String> {
        let names: Vec<&str> = header.split('\t').map(str::trim).collect();
        let find = |name: &str| {
            let mut places = (0..names.len()).filter(|&place| names[place] == name);
            match (places.next(), places.next()) {
                (_, Some(_)) => Err(format!("the header has the column {name:?} twice")),
                (place, None) => Ok(place),
            }
        };
        let need = |name: &str| {
            find(name)?.ok_or_else(|| {
                format!("no certification log: the header has no column {name:?} between tabs")
            })
        };
        Ok(Self {
            width: names.len(),
            idx: need("idx")?,
            label: need("label")?,
            predict: need("predict")?,
            radius: need("radius")?,
            correct: find("correct")?,
            sigma: find("sigma")?.or(find("best_sigma")?),
            time: find("time")?,
        })
    }

    fn line(&self, row: &str) -> Result<Line, String> {
        let cells: Vec<&str> = row.split('\t').collect();
        if cells.len() != self.width {
            return Err(format!(
                "{} fields where the header has {}",
                cells.len(),
                self.width
            ));
        }
        let index = SampleIndex(fields::whole("idx", cells[self.idx])?);
        let label = Class(fields::whole("label", cells[self.label])?);
        let sigma = self.sigma.map(|column| cells[column]);
        let (verdict, sigma) = fields::verdict(cells[self.predict], cells[self.radius], sigma)?;
        if let Some(column) = self.correct {
            fields::agrees(cells[column], label, verdict)?;
        }
        let seconds = self
            .time
            .map(|column| fields::seconds(cells[column]))
            .transpose()?;
        Ok(Line {
            entry: Entry {
                index,
                label,
                verdict,
            },
            sigma,
            seconds,
        })
    }
}
