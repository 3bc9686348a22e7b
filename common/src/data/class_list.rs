//! Lists of classes in label order, in the forms in which they are published.
//!
//! A line holds the name of a class. It may be quoted, have a comma or blanks after it, follow its
//! number, or be followed by other words, as in `n01440764 tench, Tinca tinca`. JSON is a list of
//! names, or a table from numbers to names or from names to numbers. The form is the first under
//! which all names that the data has are in the list.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde_json::Value;

use super::DataError;
use super::list_text::{lines, read_list};
use crate::domain::Class;
use crate::roots::Roots;

/// A list of classes, of which some have a name in the data.
#[derive(Debug)]
pub(super) struct ClassList {
    labels: HashMap<String, Class>,
}

impl ClassList {
    /// Reads a list that has all of `names`.
    ///
    /// # Errors
    /// When a name is missing or repeated, a line is empty, or the list has numbers that are not
    /// the places of its lines.
    pub(super) fn read(file: &Path, roots: &Roots, names: &[String]) -> Result<Self, DataError> {
        let rows = read_rows(file, roots)?;
        let source = ListSource { file, rows: &rows };
        let form = source.form(names)?;
        let labels = source.labels(form)?;
        Ok(Self { labels })
    }

    /// The number of classes.
    pub(super) fn count(&self) -> u32 {
        self.labels.len() as u32
    }

    pub(super) fn label(&self, name: &str) -> Option<Class> {
        self.labels.get(name).copied()
    }
}

/// The numbers that a list gives to its classes, if they count from 1, as in `map_clsloc.txt`.
#[derive(Debug)]
pub(super) struct ClassNumbers {
    count: u32,
    classes: Option<HashMap<u32, Class>>,
}

impl ClassNumbers {
    /// Reads a list, with or without numbers.
    ///
    /// # Errors
    /// When numbers from 1 are in another order than the names, which are not those of ImageNet.
    pub(super) fn read(file: &Path, roots: &Roots) -> Result<Self, DataError> {
        let rows = read_rows(file, roots)?;
        let numbered = [LineForm::FirstWord, LineForm::WordAfterNumber].into_iter();
        let mut tables = numbered.filter_map(|form| numbers_from_1(&rows, form));
        let classes = match tables.next() {
            Some(pairs) => Some(sorted_classes(&pairs, file)?),
            None => None,
        };
        Ok(Self {
            count: rows.len() as u32,
            classes,
        })
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The class of each number; `None` if the list has no numbers from 1.
    pub(super) fn classes(&self) -> Option<&HashMap<u32, Class>> {
        self.classes.as_ref()
    }
}

/// The number and name in each line, if the numbers are 1, 2, ... in any order.
fn numbers_from_1(rows: &[String], form: LineForm) -> Option<BTreeMap<usize, &str>> {
    let pairs = rows
        .iter()
        .map(|row| Some((form.number(row)?, form.name(row)?)));
    let pairs: BTreeMap<usize, &str> = pairs.collect::<Option<_>>()?;
    pairs.keys().copied().eq(1..=rows.len()).then_some(pairs)
}

/// The class of each number: the place of its name among the sorted names, which is the order of
/// every network of ImageNet.
fn sorted_classes(
    pairs: &BTreeMap<usize, &str>,
    file: &Path,
) -> Result<HashMap<u32, Class>, DataError> {
    let mut names: Vec<&str> = pairs.values().copied().collect();
    let is_in_order = names.is_sorted();
    names.sort_unstable();
    if !is_in_order && !names.iter().all(|name| is_synset(name)) {
        return Err(numbered_from_1(file));
    }
    let classes = pairs.iter().filter_map(|(number, name)| {
        let place = names.binary_search(name).ok()?;
        Some((*number as u32, Class(place as u32)))
    });
    Ok(classes.collect())
}

/// Returns true if a name is that of a WordNet synset, such as `n01440764`.
fn is_synset(name: &str) -> bool {
    let digits = name.strip_prefix('n');
    digits.is_some_and(|digits| digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit()))
}

fn numbered_from_1(file: &Path) -> DataError {
    let what = "numbers its classes from 1, in another order than that of their names; list the \
                names alone, in the order of the network's classes";
    DataError::layout(file, what)
}

/// The place of a class's name in its line.
#[derive(Debug, Clone, Copy, PartialEq)]
enum LineForm {
    Whole,
    Bare,
    FirstWord,
    AfterNumber,
    WordAfterNumber,
}

const FORMS: [LineForm; 5] = [
    LineForm::Whole,
    LineForm::Bare,
    LineForm::FirstWord,
    LineForm::AfterNumber,
    LineForm::WordAfterNumber,
];

impl LineForm {
    /// The name in a line; `None` if the line has another form.
    fn name(self, line: &str) -> Option<&str> {
        let name = match self {
            Self::Whole => line,
            Self::Bare => bare(line),
            Self::FirstWord => first_word(bare(line)).0,
            Self::AfterNumber => after_number(line)?,
            Self::WordAfterNumber => first_word(after_number(line)?).0,
        };
        Some(name).filter(|name| !name.is_empty())
    }

    /// The number that a line gives to its class.
    fn number(self, line: &str) -> Option<usize> {
        let number = match self {
            Self::Whole | Self::Bare => return None,
            Self::FirstWord => first_word(first_word(bare(line)).1).0,
            Self::AfterNumber | Self::WordAfterNumber => first_word(bare(line)).0,
        };
        number.parse().ok()
    }
}

/// The lines of a list, and the file for errors.
struct ListSource<'t> {
    file: &'t Path,
    rows: &'t [String],
}

/// Reads the lines of a list, or the names in JSON in label order.
fn read_rows(file: &Path, roots: &Roots) -> Result<Vec<String>, DataError> {
    let text = read_list(file, roots)?;
    match json_lines(&text, file)? {
        Some(names) => Ok(names),
        None => Ok(lines(&text, file)?.into_iter().map(str::to_owned).collect()),
    }
}

impl ListSource<'_> {
    /// Returns the first form under which the list has all of `names`.
    fn form(&self, names: &[String]) -> Result<LineForm, DataError> {
        self.refuse_repeats()?;
        let fitting = FORMS.into_iter().find(|&form| {
            let listed = self.names(form);
            listed.is_some_and(|listed| names.iter().all(|name| listed.contains(name.as_str())))
        });
        fitting.ok_or_else(|| self.unlisted(names))
    }

    fn refuse_repeats(&self) -> Result<(), DataError> {
        let mut seen = BTreeSet::new();
        let Some(place) = self.rows.iter().position(|row| !seen.insert(row)) else {
            return Ok(());
        };
        let what = format!("line {} names {:?} again", place + 1, self.rows[place]);
        Err(DataError::layout(self.file, what))
    }

    /// The names under a form; `None` if a line has another form or two lines the same name.
    fn names(&self, form: LineForm) -> Option<BTreeSet<&str>> {
        let names: Option<BTreeSet<&str>> = self.rows.iter().map(|row| form.name(row)).collect();
        names.filter(|names| names.len() == self.rows.len())
    }

    /// The error about the first name that is in no line.
    fn unlisted(&self, names: &[String]) -> DataError {
        let rows = self.rows.iter();
        let listed = rows.flat_map(|row| [bare(row), first_word(bare(row)).0]);
        let listed: BTreeSet<&str> = listed.collect();
        let missing = names.iter().find(|name| !listed.contains(name.as_str()));
        let missing = missing.or(names.first()).map_or("", String::as_str);
        let other_case = listed
            .iter()
            .find(|name| name.eq_ignore_ascii_case(missing));
        let first = self.rows.first().map_or("", String::as_str);
        let hint = match other_case {
            Some(name) => format!("it has {name:?}, in other upper and lower case"),
            None => format!("its first line is {first:?}"),
        };
        let what = format!("does not list the class {missing:?} of the data; {hint}");
        DataError::layout(self.file, what)
    }

    /// The label of each name: its number, or the place of its line.
    fn labels(&self, form: LineForm) -> Result<HashMap<String, Class>, DataError> {
        let names: Vec<&str> = self.rows.iter().filter_map(|row| form.name(row)).collect();
        let numbers = self.numbers(form, &names)?;
        let numbers = numbers.unwrap_or_else(|| (0..names.len()).collect());
        let classes = numbers.into_iter().map(|number| Class(number as u32));
        let names = names.into_iter().map(str::to_owned);
        Ok(names.zip(classes).collect())
    }

    /// The numbers that the lines give to their classes, if they count from 0.
    ///
    /// # Errors
    /// When they count from 1 and the names are in another order than the sorted one. Then either
    /// order may be the network's: `map_clsloc.txt` of ILSVRC numbers classes from 1 in an order
    /// that no network has.
    fn numbers(&self, form: LineForm, names: &[&str]) -> Result<Option<Vec<usize>>, DataError> {
        let numbers = self.rows.iter().map(|row| form.number(row));
        let Some(numbers) = numbers.collect::<Option<Vec<usize>>>() else {
            return Ok(None);
        };
        if is_count(&numbers, 0) {
            return Ok(Some(numbers));
        }
        let is_in_order = names.is_sorted() && numbers.is_sorted();
        if is_count(&numbers, 1) && !is_in_order {
            return Err(numbered_from_1(self.file));
        }
        Ok(None)
    }
}

/// Returns true if numbers count from `first` on, in any order.
fn is_count(numbers: &[usize], first: usize) -> bool {
    let distinct: BTreeSet<usize> = numbers.iter().copied().collect();
    distinct.into_iter().eq(first..first + numbers.len())
}

/// A line without white space around it, the brackets and comma of a list, and quotes.
fn bare(line: &str) -> &str {
    let line = line.trim().trim_matches(['[', ']', ',']).trim();
    let quoted = |quote: char| line.strip_prefix(quote)?.strip_suffix(quote);
    quoted('"').or_else(|| quoted('\'')).unwrap_or(line)
}

/// Splits a line behind its first word.
fn first_word(line: &str) -> (&str, &str) {
    let is_between = |c: char| c.is_whitespace() || c == ',' || c == ';' || c == ':';
    match line.split_once(is_between) {
        Some((word, rest)) => (bare(word), rest.trim_start_matches(is_between)),
        None => (line, ""),
    }
}

fn after_number(line: &str) -> Option<&str> {
    let (number, rest) = first_word(bare(line));
    number.parse::<u64>().ok().map(|_| bare(rest))
}

/// The names of a JSON list or table in label order; `None` if the text is not JSON.
fn json_lines(text: &str, file: &Path) -> Result<Option<Vec<String>>, DataError> {
    if !text.trim_start().starts_with(['[', '{']) {
        return Ok(None);
    }
    let names = match serde_json::from_str(text) {
        Ok(Value::Array(names)) => names.iter().map(name_of).collect(),
        Ok(Value::Object(table)) => table_names(table),
        // A Python list, for example: its lines may have another form.
        _ => return Ok(None),
    };
    let what = "is JSON, but neither a list of names nor a table of names and numbers from 0";
    names.map(Some).ok_or_else(|| DataError::layout(file, what))
}

fn table_names(table: serde_json::Map<String, Value>) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for (key, value) in table {
        names.push(match value.as_u64() {
            Some(number) => (number, key),
            None => (key.parse().ok()?, name_of(&value)?),
        });
    }
    names.sort_unstable();
    let counts = names
        .iter()
        .map(|(number, _)| *number)
        .eq(0..names.len() as u64);
    counts.then(|| names.into_iter().map(|(_, name)| name).collect())
}

/// A name, or the first of several, as in `["n01440764", "tench"]`.
fn name_of(value: &Value) -> Option<String> {
    let first = value
        .as_array()
        .map_or(value, |names| names.first().unwrap_or(value));
    first.as_str().map(str::to_owned)
}

#[cfg(test)]
#[path = "tests/class_list.rs"]
mod tests;
