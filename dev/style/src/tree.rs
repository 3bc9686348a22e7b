//! Finds the files of a checkout and parses the Rust ones.

use std::path::Path;

use anyhow::{Context, Result};

/// Endings of the files that have rules.
const ENDINGS: [&str; 6] = [".rs", ".lua", ".md", ".toml", ".sh", ".awk"];
/// A shell script without an ending.
const CI: &str = ".ci/run";

/// A file of the checkout.
pub(crate) struct SourceFile {
    /// Path relative to the root, with `/` between its parts.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The parsed file, if it is Rust.
    pub(crate) rust: Option<syn::File>,
}

impl SourceFile {
    fn new(path: String, text: String) -> Result<Self> {
        let rust = if has_ending(&path, &[".rs"]) {
            let parsed = syn::parse_file(&text);
            Some(parsed.with_context(|| format!("cannot parse {path}"))?)
        } else {
            None
        };
        Ok(Self { path, text, rust })
    }

    /// Returns true for Rust code outside tests.
    pub(crate) fn is_production(&self) -> bool {
        let mut parts = self.path.split('/');
        let is_test = self.path.starts_with("tests/")
            || parts.any(|part| part == "tests" || part == "tests.rs");
        self.rust.is_some() && !is_test
    }

    /// Returns true for a document.
    pub(crate) fn is_document(&self) -> bool {
        has_ending(&self.path, &[".md"])
    }

    /// Returns true for code with a limit on the length of its lines.
    pub(crate) fn is_code(&self) -> bool {
        has_ending(&self.path, &[".rs", ".lua"])
    }

    /// Returns true for shell and awk.
    pub(crate) fn is_shell(&self) -> bool {
        has_ending(&self.path, &[".sh", ".awk"]) || self.path == CI
    }

    /// Returns the folder of the file's crate: `worker`, `dev/bench`.
    pub(crate) fn package(&self) -> &str {
        let inside = self.path.split_once("/src/");
        let first = self.path.split_once('/');
        inside.or(first).map_or("", |(package, _)| package)
    }

    /// Returns the path of the file's module inside its crate: `[engine, packing]`.
    pub(crate) fn module(&self) -> Option<Vec<String>> {
        let (_, inside) = self.path.split_once("/src/")?;
        let inside = inside.strip_suffix(".rs")?;
        let mut parts: Vec<String> = inside.split('/').map(str::to_owned).collect();
        if matches!(parts.last()?.as_str(), "mod" | "lib" | "main") {
            parts.pop();
        }
        Some(parts)
    }

    /// A file of a test.
    #[cfg(test)]
    pub(crate) fn fixture(path: &str, text: &str) -> Self {
        Self::new(path.to_owned(), text.to_owned()).expect("a fixture that parses")
    }
}

/// Reads every text file that has rules and that git does not ignore.
///
/// # Errors
/// Names the file that cannot be read or parsed.
pub(crate) fn read(root: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    for entry in ignore::WalkBuilder::new(root).hidden(false).build() {
        let path = entry?.into_path();
        let inside = path.strip_prefix(root)?.to_string_lossy().into_owned();
        if path.is_file() && has_rules(&inside) {
            files.push(read_file(&path, inside)?);
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn has_ending(path: &str, endings: &[&str]) -> bool {
    endings.iter().any(|ending| path.ends_with(ending))
}

fn has_rules(path: &str) -> bool {
    let known = path == CI || has_ending(path, &ENDINGS);
    known && !path.starts_with(".git/")
}

fn read_file(path: &Path, inside: String) -> Result<SourceFile> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {inside}"))?;
    SourceFile::new(inside, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_gives_crate_and_module() {
        let file = SourceFile::fixture("dev/bench/src/bench/mod.rs", "");
        assert_eq!(file.package(), "dev/bench");
        assert_eq!(file.module(), Some(vec!["bench".to_owned()]));
        assert!(file.is_production());
    }

    #[test]
    fn tests_are_not_production() {
        for path in ["tests/lib.rs", "worker/src/a/tests.rs", "common/tests/a.rs"] {
            assert!(!SourceFile::fixture(path, "").is_production(), "{path}");
        }
        assert!(!SourceFile::fixture("README.md", "").is_production());
    }
}
