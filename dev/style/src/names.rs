//! Finds type names that more than one module defines.

use std::collections::BTreeMap;

use crate::functions::is_test;
use crate::tree::SourceFile;

/// A type name, and the files that define it.
pub(crate) struct RepeatedName {
    pub(crate) name: String,
    pub(crate) paths: Vec<String>,
}

/// Returns each name that two modules of one crate define.
pub(crate) fn in_one_crate(files: &[SourceFile]) -> Vec<RepeatedName> {
    let outside_tests = files.iter().filter(|file| !file.path.starts_with("tests/"));
    repeated(outside_tests, SourceFile::package)
}

/// Returns each name that two modules of the workspace define, tests included.
pub(crate) fn anywhere(files: &[SourceFile]) -> Vec<RepeatedName> {
    repeated(files.iter(), |_| "")
}

/// Returns the names that two files of one group define.
fn repeated<'a>(
    files: impl Iterator<Item = &'a SourceFile>,
    group: fn(&SourceFile) -> &str,
) -> Vec<RepeatedName> {
    let mut paths: BTreeMap<(&str, String), Vec<String>> = BTreeMap::new();
    for file in files {
        for name in type_names(file) {
            let found = paths.entry((group(file), name)).or_default();
            found.push(file.path.clone());
        }
    }
    let repeated = paths.into_iter().filter(|(_, paths)| paths.len() > 1);
    repeated
        .map(|((_, name), paths)| RepeatedName { name, paths })
        .collect()
}

fn type_names(file: &SourceFile) -> impl Iterator<Item = String> + '_ {
    let items = file.rust.iter().flat_map(|rust| &rust.items);
    items.filter(|item| !is_test(item)).filter_map(type_name)
}

fn type_name(item: &syn::Item) -> Option<String> {
    let name = match item {
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(found: &[RepeatedName]) -> Vec<&str> {
        found.iter().map(|found| found.name.as_str()).collect()
    }

    #[test]
    fn a_name_that_two_modules_of_a_crate_define_is_found() {
        let files = [
            SourceFile::fixture("worker/src/a.rs", "struct Line; struct Row;"),
            SourceFile::fixture("worker/src/b.rs", "enum Line {}"),
            SourceFile::fixture("common/src/c.rs", "type Row = u8;"),
        ];
        assert_eq!(names(&in_one_crate(&files)), ["Line"]);
        assert_eq!(names(&anywhere(&files)), ["Line", "Row"]);
    }

    #[test]
    fn types_of_test_modules_do_not_count() {
        let text = "#[cfg(test)]\nstruct Line;";
        let files = ["worker/src/a.rs", "worker/src/b.rs"];
        let files = files.map(|path| SourceFile::fixture(path, text));
        assert!(in_one_crate(&files).is_empty());
    }
}
