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
            Self::Name => file,
            Self::Stem if has_image_suffix(Path::new(file)) => {
                file.rsplit_once('.').map_or(file, |(stem, _)| stem)
            }
            Self::Stem => file,
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
            let Some(places) = self.places(part, images) else {
                continue;
            };
            let found = images
                .iter()
                .map(|image| places.get(part.of(image)).copied());
            match found.clone().position(|place| place.is_none()) {
                None => return Ok(self.written(&found.flatten().collect::<Vec<_>>())),
                Some(place) => missing = missing.max(Some(place)),
            }
        }
        Err(match missing {
            Some(place) => self.unlabelled(images, place),
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

    /// The line of each name; `None` if two lines or two images have the same.
    fn places(&self, part: NamePart, images: &[String]) -> Option<BTreeMap<&str, usize>> {
        let rows = self.rows.iter().enumerate();
        let places: BTreeMap<&str, usize> = rows
            .filter_map(|(place, row)| Some((part.of(row.name?), place)))
            .collect();
        let names: BTreeSet<&str> = images.iter().map(|image| part.of(image)).collect();
        (places.len() == self.rows.len() && names.len() == images.len()).then_some(places)
    }

    /// The labels of images in the lines `places`.
    fn written(&self, places: &[usize]) -> WrittenLabels {
        let used: BTreeSet<usize> = places.iter().copied().collect();
        let has_header = self.has_header(&used);
        let rows = self.rows.iter().enumerate().skip(usize::from(has_header));
        let mut unused = rows.clone().filter(|(place, _)| !used.contains(place));
        let first = unused.next();
        let note = first.map(|(place, row)| self.note(1 + unused.count(), place, row));
        WrittenLabels {
            of_images: places
                .iter()
                .map(|&place| self.rows[place].label.to_owned())
                .collect(),
            all: rows.map(|(_, row)| row.label.to_owned()).collect(),
            is_column: false,
            note,
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

    fn note(&self, count: usize, place: usize, row: &LabelRow) -> String {
        format!(
            "{count} line(s) of {} have no image, such as line {}, {:?}",
            self.file.display(),
            place + 1,
            row.name.unwrap_or(row.label)
        )
    }

    /// Takes the labels in the order of the images, or by the images' numbers in ILSVRC.
    fn column(&self, images: &[String]) -> Result<WrittenLabels, DataError> {
        let numbers: Option<Vec<usize>> = images.iter().map(|image| image_number(image)).collect();
        let in_range = |numbers: &Vec<usize>| {
            numbers
                .iter()
                .all(|number| (1..=self.rows.len()).contains(number))
        };
        let places: Vec<usize> = match numbers.filter(in_range) {
            Some(numbers) => numbers.iter().map(|number| number - 1).collect(),
            None if self.rows.len() == images.len() => (0..images.len()).collect(),
            None => return Err(self.wrong_count(images.len())),
        };
        Ok(WrittenLabels {
            is_column: true,
            ..self.written(&places)
        })
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
