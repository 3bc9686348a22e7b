//! Checks the names of class folders: numbers whose order is not that of the names, and folders of
//! splits.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path};

use super::DataError;

/// Refuses folders named by numbers whose order by name is not that of the numbers: the places of
/// the folders 0, 1, 10, 2 are not their numbers.
pub(super) fn check_numbers(root: &Path, folders: &[OsString]) -> Result<(), DataError> {
    let names: Option<Vec<&str>> = folders.iter().map(|name| name.to_str()).collect();
    let numbers = names.filter(|names| names.iter().all(|name| is_number(name)));
    match numbers {
        Some(names) if !is_naturally_sorted(&names) => Err(numbered(root, &names)),
        _ => Ok(()),
    }
}

fn numbered(root: &Path, names: &[&str]) -> DataError {
    let first = names.iter().take(4).copied().collect::<Vec<_>>().join(", ");
    let what = format!(
        "its class folders are numbers, but by name they are in the order {first}, ..., so their \
         places are not their numbers; give dataset.classes, a file with one folder name per \
         line, in the order of the network's classes"
    );
    DataError::layout(root, what)
}

/// A statement about names with numbers in them, such as `class10`, which come before `class2`.
pub(super) fn order_note(folders: &[OsString]) -> Option<String> {
    let names: Vec<&str> = folders
        .iter()
        .map(|name| name.to_str())
        .collect::<Option<_>>()?;
    let swapped = names.windows(2).find(|pair| is_swapped(pair[0], pair[1]))?;
    Some(format!(
        "class folders are in the order of their names, {} before {}; if the network has another \
         order, give dataset.classes",
        swapped[0], swapped[1]
    ))
}

fn is_naturally_sorted(names: &[&str]) -> bool {
    !names.windows(2).any(|pair| is_swapped(pair[0], pair[1]))
}

/// Returns true if two names are equal up to a number that is larger in the first.
fn is_swapped(first: &str, second: &str) -> bool {
    let (Some((head, number)), Some((other_head, other))) =
        (numbered_name(first), numbered_name(second))
    else {
        return false;
    };
    head == other_head && compare_digits(number, other) == Ordering::Greater
}

/// Splits a name that ends with a number.
fn numbered_name(name: &str) -> Option<(&str, &str)> {
    let head = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = &name[head.len()..];
    (!number.is_empty()).then_some((head, number))
}

fn is_number(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// Compares two numbers of any length.
fn compare_digits(first: &str, second: &str) -> Ordering {
    let first = first.trim_start_matches('0');
    let second = second.trim_start_matches('0');
    first.len().cmp(&second.len()).then(first.cmp(second))
}

/// Refuses folders that look like splits: none holds images itself, and all hold the same two or
/// more folders.
pub(super) fn check_splits<'p>(
    root: &Path,
    images: impl Iterator<Item = (&'p OsStr, &'p Path)>,
) -> Result<(), DataError> {
    let mut below: BTreeMap<&OsStr, BTreeSet<&OsStr>> = BTreeMap::new();
    for (folder, image) in images {
        let mut parts = image.components();
        let (Some(Component::Normal(first)), Some(_)) = (parts.next(), parts.next()) else {
            return Ok(());
        };
        below.entry(folder).or_default().insert(first);
    }
    let mut all = below.iter();
    match all.next() {
        Some((split, classes))
            if below.len() > 1 && classes.len() > 1 && all.all(|(_, other)| other == classes) =>
        {
            Err(splits(root, split, classes))
        }
        _ => Ok(()),
    }
}

fn splits(root: &Path, split: &OsStr, classes: &BTreeSet<&OsStr>) -> DataError {
    let class = classes.first().copied().unwrap_or_default();
    let example = Path::new(split).join(class);
    let what = format!(
        "its folders all hold folders of the same names, such as {}, so they are not classes; \
         name one of them in dataset.path, such as {}",
        example.display(),
        root.join(split).display()
    );
    DataError::layout(root, what)
}

#[cfg(test)]
#[path = "tests/folder_names.rs"]
mod tests;
