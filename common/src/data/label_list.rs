//! Lists of labels: a label per image, in the forms in which they are published.
//!
//! - `NAME LABEL` per line: `val.txt`, `val_map.txt`, or with tabs and more columns, as
//!   `val_annotations.txt`
//! - CSV of names and labels, as Kaggle's `LOC_val_solution.csv`; its first line may be a header
//! - one label per line, in the order of the images, as ILSVRC's ground truth
//!
//! A label is a number or the name of a class.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::DataError;
use super::list_text::{lines, read_list};
use super::listing::has_image_suffix;
use crate::roots::Roots;

/// The digits of an image's number in the names of ILSVRC: `ILSVRC2012_val_00000001`.
const NUMBER_DIGITS: usize = 8;

/// The labels of images as a list has them.
#[derive(Debug)]
pub(super) struct WrittenLabels {
    /// The label of each image.
    pub(super) of_images: Vec<String>,
    /// The labels of all lines, also of those without an image.
    pub(super) all: BTreeSet<String>,
    /// True if the lines have no names of images.
    pub(super) is_column: bool,
    /// A statement about lines without an image.
    pub(super) note: Option<String>,
}

/// Reads the labels of the images with these names.
///
/// # Errors
/// When an image has no label or two, or the lines are of several forms.
pub(super) fn read_labels(
    file: &Path,
    roots: &Roots,
    images: &[String],
) -> Result<WrittenLabels, DataError> {
    let text = read_list(file, roots)?;
    let rows: Vec<LabelRow> = lines(&text, file)?.into_iter().map(LabelRow::new).collect();
    let list = LabelList {
        file: file.to_owned(),
        rows,
    };
    if list.rows.iter().all(|row| row.name.is_none()) {
        list.column(images)
    } else {
        list.check_names()?;
        list.by_name(images)
    }
}

/// A line: the name of an image, if it has one, and a label.
struct LabelRow<'t> {
    name: Option<&'t str>,
    label: &'t str,
    /// The line has the columns of a table, whose first line may be a header.
    is_table: bool,
}

impl<'t> LabelRow<'t> {
    fn new(line: &'t str) -> Self {
        let line = line.trim();
        let is_table = line.contains(['\t', ',']);
        let halves = if is_table {
            line.split_once(['\t', ','])
        } else {
            line.rsplit_once(char::is_whitespace)
        };
        match halves {
            Some((name, labels)) => Self {
                name: Some(unquoted(name)),
                label: first_label(labels),
                is_table,
            },
            None => Self {
                name: None,
                label: unquoted(line),
                is_table,
            },
        }
    }
}

/// The label in the columns after the name. Kaggle has places in the image after it.
fn first_label(columns: &str) -> &str {
    let column = unquoted(columns.split(['\t', ',']).next().unwrap_or(columns));
    column.split_whitespace().next().unwrap_or(column)
}

fn unquoted(field: &str) -> &str {
    field.trim().trim_matches(['"', '\'']).trim()
}

struct LabelList<'t> {
    file: PathBuf,
    rows: Vec<LabelRow<'t>>,
}

/// The part of a name by which lines and images are matched.
#[derive(Clone, Copy)]
enum NamePart {
    Path,
    Name,
    Stem,
}

impl NamePart {
    fn of(self, name: &str) -> &str {
        let file = name.rsplit_once('/').map_or(name, |(_, file)| file);
        match self {
            Self::Path => name.trim_start_matches("./"),
            Self::Stem if has_image_suffix(Path::new(file)) => {
                file.rsplit_once('.').map_or(file, |(stem, _)| stem)
            }
            Self::Name | Self::Stem => file,
        }
    }
}

impl LabelList<'_> {
    /// Checks that every line has a name.
    fn check_names(&self) -> Result<(), DataError> {
        let without = self
            .rows
            .iter()
            .position(|row| row.name.is_none() || row.label.is_empty());
        without.map_or(Ok(()), |place| {
            let what = format!(
                "line {} is not a name and a label, as others are",
                place + 1
            );
            Err(DataError::layout(&self.file, what))
        })
    }

    /// Finds the labels of images by their names: by paths, names, or names without suffix,
    /// whichever first finds all.
    fn by_name(&self, images: &[String]) -> Result<WrittenLabels, DataError> {
        let mut missing = None;
        for part in [NamePart::Path, NamePart::Name, NamePart::Stem] {
            match self.places(part, images) {
                Some(Ok(places)) => return Ok(self.written(&places)),
                Some(Err(image)) => missing = missing.max(Some(image)),
                None => {}
            }
        }
        Err(match missing {
            Some(image) => self.unlabelled(images, image),
            None => DataError::layout(&self.file, "names an image twice"),
        })
    }

    fn unlabelled(&self, images: &[String], place: usize) -> DataError {
        let first = self.rows[0].name.unwrap_or_default();
        let what = format!(
            "has no label of {}; its first line is about {first:?}",
            images[place]
        );
        DataError::layout(&self.file, what)
    }

    /// The line of each image, or the first image without one; `None` if two lines or two images
    /// have the same name.
    fn places(&self, part: NamePart, images: &[String]) -> Option<Result<Vec<usize>, usize>> {
        let rows = self.rows.iter().enumerate();
        let lines = rows.filter_map(|(line, row)| Some((part.of(row.name?), line)));
        let lines: BTreeMap<&str, usize> = lines.collect();
        let names = images.iter().map(|image| part.of(image));
        let distinct: BTreeSet<&str> = names.clone().collect();
        if lines.len() < self.rows.len() || distinct.len() < images.len() {
            return None;
        }
        let places = names.enumerate();
        Some(
            places
                .map(|(image, name)| lines.get(name).copied().ok_or(image))
                .collect(),
        )
    }

    /// The labels of images in these lines.
    fn written(&self, lines: &[usize]) -> WrittenLabels {
        let used: BTreeSet<usize> = lines.iter().copied().collect();
        let rows = self.rows.iter().enumerate();
        let rows = rows.skip(usize::from(self.has_header(&used)));
        let labels = lines.iter().map(|&line| self.rows[line].label.to_owned());
        WrittenLabels {
            of_images: labels.collect(),
            all: rows.clone().map(|(_, row)| row.label.to_owned()).collect(),
            is_column: false,
            note: self.note(rows.filter(|(line, _)| !used.contains(line))),
        }
    }

    /// Returns true if the first line names the columns of a table: it has neither an image nor a
    /// label that other lines have.
    fn has_header(&self, used: &BTreeSet<usize>) -> bool {
        let first = &self.rows[0];
        let is_number = first.label.parse::<u64>().is_ok();
        let is_repeated = self.rows[1..].iter().any(|row| row.label == first.label);
        first.is_table && !used.contains(&0) && !is_number && !is_repeated
    }

    /// A statement about lines that no image has.
    fn note<'r>(
        &self,
        mut unused: impl Iterator<Item = (usize, &'r LabelRow<'r>)>,
    ) -> Option<String> {
        let (line, row) = unused.next()?;
        Some(format!(
            "{} line(s) of {} have no image, such as line {}, {:?}",
            1 + unused.count(),
            self.file.display(),
            line + 1,
            row.name.unwrap_or(row.label)
        ))
    }

    /// Takes the labels in the order of the images, or by the images' numbers in ILSVRC.
    fn column(&self, images: &[String]) -> Result<WrittenLabels, DataError> {
        let lines = match self.numbered_lines(images) {
            Some(lines) => lines,
            None if self.rows.len() == images.len() => (0..images.len()).collect(),
            None => return Err(self.wrong_count(images.len())),
        };
        Ok(WrittenLabels {
            is_column: true,
            ..self.written(&lines)
        })
    }

    /// The lines that the images' numbers name; `None` if one has no number, or no such line.
    fn numbered_lines(&self, images: &[String]) -> Option<Vec<usize>> {
        let lines = images
            .iter()
            .map(|image| image_number(image)?.checked_sub(1));
        let lines: Vec<usize> = lines.collect::<Option<_>>()?;
        lines
            .iter()
            .all(|&line| line < self.rows.len())
            .then_some(lines)
    }

    fn wrong_count(&self, images: usize) -> DataError {
        let what = format!(
            "has {} labels for {images} images; list a name and a label per line",
            self.rows.len()
        );
        DataError::layout(&self.file, what)
    }
}

/// The number in a name such as `ILSVRC2012_val_00000001.JPEG`.
fn image_number(image: &str) -> Option<usize> {
    let (_, number) = NamePart::Stem.of(image).rsplit_once("_val_")?;
    let is_number =
        number.len() == NUMBER_DIGITS && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
#[path = "tests/label_list.rs"]
mod tests;
