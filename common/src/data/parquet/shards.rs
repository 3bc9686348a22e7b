//! Finds the Parquet files of a split.
//!
//! Hugging Face names them `test-00000-of-00003.parquet`, or `0000.parquet` in a folder of the
//! split's name.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::spec::DatasetSpec;

const SPLITS: &[&str] = &["train", "test", "validation", "valid", "val"];

/// The files of a split, sorted by name.
#[derive(Debug, PartialEq)]
pub(super) struct ShardList {
    pub(super) paths: Vec<PathBuf>,
    pub(super) is_for_tests: bool,
}

/// Lists the files of the chosen split.
///
/// # Errors
/// When no file is found, when there are several splits and no choice, or when a numbered file is
/// missing.
pub(super) fn list(spec: &DatasetSpec) -> Result<ShardList, DataError> {
    let path = &spec.path;
    let mut paths = if fs::metadata(path).map_err(DataError::io(path))?.is_dir() {
        files_under(path)?
    } else {
        vec![path.clone()]
    };
    let splits: BTreeSet<_> = paths
        .iter()
        .map(|path| split_of(path).map(str::to_owned))
        .collect();
    if let Some(split) = &spec.split {
        paths.retain(|path| split_of(path) == Some(split));
    } else if splits.len() > 1 {
        return Err(DataError::layout(path, several_splits(&splits)));
    }
    if paths.is_empty() {
        return Err(DataError::layout(path, no_files(spec, &splits)));
    }
    check_complete(path, &paths)?;
    Ok(ShardList {
        is_for_tests: split_of(&paths[0]) == Some("test"),
        paths,
    })
}

fn several_splits(splits: &BTreeSet<Option<String>>) -> String {
    let splits: Vec<&str> = splits
        .iter()
        .map(|split| split.as_deref().unwrap_or("unnamed"))
        .collect();
    let splits = splits.join(", ");
    format!("holds Parquet files of several splits ({splits}): set dataset.split, or name one file")
}

fn no_files(spec: &DatasetSpec, splits: &BTreeSet<Option<String>>) -> String {
    match &spec.split {
        Some(split) if !splits.is_empty() => {
            let found: Vec<&str> = splits.iter().flatten().map(String::as_str).collect();
            format!(
                "holds no Parquet file of split {split:?}, only of [{}]",
                found.join(", ")
            )
        }
        _ => "holds no .parquet file, here or one folder deeper".to_owned(),
    }
}

/// The Parquet files in a folder or, if it has none, in the folders in it.
fn files_under(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let entries = entries(folder)?;
    let mut files: Vec<PathBuf> = entries
        .iter()
        .filter(|path| is_parquet(path))
        .cloned()
        .collect();
    if files.is_empty() {
        for folder in entries.iter().filter(|path| path.is_dir()) {
            let inner = self::entries(folder)?.into_iter();
            files.extend(inner.filter(|path| is_parquet(path)));
        }
    }
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let entries = fs::read_dir(folder).and_then(|entries| {
        let entries = entries.map(|entry| Ok(entry?.path()));
        entries.collect::<std::io::Result<Vec<PathBuf>>>()
    });
    let mut entries = entries.map_err(DataError::io(folder))?;
    entries.sort_unstable();
    Ok(entries)
}

fn is_parquet(path: &Path) -> bool {
    let is_hidden = name(path).starts_with('.');
    !is_hidden && path.extension() == Some(OsStr::new("parquet")) && !path.is_dir()
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(OsStr::to_str).unwrap_or_default()
}

/// The split that the name of a file tells, or else the name of its folder.
fn split_of(path: &Path) -> Option<&str> {
    let folder = path.parent().map(name);
    split_in(name(path)).or_else(|| split_in(folder?))
}

fn split_in(name: &str) -> Option<&str> {
    let mut words = name.split(|char: char| !char.is_ascii_alphanumeric());
    words.find(|word| SPLITS.contains(word))
}

/// Refuses files of which the names say that others belong to them: without them, samples would
/// have other indices.
fn check_complete(path: &Path, files: &[PathBuf]) -> Result<(), DataError> {
    if files == [path] {
        return Ok(());
    }
    let total = files.iter().find_map(|file| total_of(name(file)));
    match total {
        Some(total) if total != files.len() => {
            let found = files.len();
            let what = format!("holds {found} of {total} Parquet files of the split");
            Err(DataError::layout(path, what))
        }
        _ => Ok(()),
    }
}

/// The number of files that a name such as `test-00000-of-00003.parquet` tells.
fn total_of(name: &str) -> Option<usize> {
    let stem = name.strip_suffix(".parquet")?;
    let (_, total) = stem.rsplit_once("-of-")?;
    total.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::data::tests::{message, spec};
    use crate::spec::DatasetFormat;

    fn listed(root: &Path, split: Option<&str>) -> Result<Vec<String>, DataError> {
        let spec = DatasetSpec {
            split: split.map(str::to_owned),
            ..spec(DatasetFormat::Parquet, root)
        };
        let list = list(&spec)?;
        assert_eq!(list.is_for_tests, split == Some("test"));
        let under = |path: &PathBuf| path.strip_prefix(root).unwrap().display().to_string();
        Ok(list.paths.iter().map(under).collect())
    }

    fn write(root: &Path, files: &[&str]) {
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    #[test]
    fn the_files_of_a_split_are_found_in_both_layouts() {
        let root = tempfile::tempdir().unwrap();
        let names = [
            "data/train-00000-of-00001.parquet",
            "data/test-00001-of-00002.parquet",
            "data/test-00000-of-00002.parquet",
            "data/.hidden.parquet",
            "README.md",
        ];
        write(root.path(), &names);
        assert_eq!(
            listed(root.path(), Some("test")).unwrap(),
            [names[2], names[1]]
        );
        assert_eq!(listed(root.path(), Some("train")).unwrap(), [names[0]]);
        let error = message(listed(root.path(), None));
        assert!(
            error.contains("of several splits (test, train): set dataset.split"),
            "{error}"
        );
        let error = message(listed(root.path(), Some("validation")));
        assert!(
            error.contains("of split \"validation\", only of [test, train]"),
            "{error}"
        );
        fs::remove_file(root.path().join(names[1])).unwrap();
        let error = message(listed(root.path(), Some("test")));
        assert!(
            error.contains("holds 1 of 2 Parquet files of the split"),
            "{error}"
        );
        let converted = tempfile::tempdir().unwrap();
        write(
            converted.path(),
            &["test/0000.parquet", "train/0000.parquet"],
        );
        assert_eq!(
            listed(converted.path(), Some("test")).unwrap(),
            ["test/0000.parquet"]
        );
        let empty = tempfile::tempdir().unwrap();
        let error = message(listed(empty.path(), None));
        assert!(error.contains("holds no .parquet file"), "{error}");
    }
}
