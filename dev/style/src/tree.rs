//! Finds the files of a checkout and parses the Rust ones.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A file of the checkout.
pub(crate) struct SourceFile {
    /// Path relative to the root, with `/` between its parts.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
    /// The parsed file, where it is Rust.
    pub(crate) rust: Option<syn::File>,
}

impl SourceFile {
    /// Returns true for Rust code that ships or supports users, and false for tests.
    pub(crate) fn is_production(&self) -> bool {
        let test = self.path.starts_with("tests/")
            || self
                .path
                .split('/')
                .any(|part| part == "tests" || part == "tests.rs")
            || self.path.starts_with("dev/style/");
        self.rust.is_some() && !test
    }

    /// Returns the crate's folder and the path of the module inside it: `worker` and
    /// `[engine, packing]`.
    pub(crate) fn module(&self) -> Option<(String, Vec<String>)> {
        let (package, inside) = self.path.split_once("/src/")?;
        let inside = inside.strip_suffix(".rs")?;
        let mut parts: Vec<String> = inside.split('/').map(str::to_owned).collect();
        let last = parts.last()?.clone();
        if matches!(last.as_str(), "mod" | "lib" | "main") {
            parts.pop();
        }
        Some((package.to_owned(), parts))
    }
}

/// Reads every tracked text file that has rules: Rust, Lua, Markdown, TOML, shell and awk.
///
/// # Errors
/// Names the file that cannot be read or parsed.
pub(crate) fn read(root: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    for entry in ignore::WalkBuilder::new(root).hidden(false).build() {
        let path = entry?.into_path();
        let inside = path.strip_prefix(root)?.to_string_lossy().into_owned();
        if path.is_file() && has_rules(&inside) {
            files.push(read_file(path, inside)?);
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn has_rules(path: &str) -> bool {
    let kinds = [".rs", ".lua", ".md", ".toml", ".sh", ".awk"];
    let known = kinds.iter().any(|kind| path.ends_with(kind)) || path == ".ci/run";
    known && !path.starts_with(".git/")
}

fn read_file(path: PathBuf, inside: String) -> Result<SourceFile> {
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {inside}"))?;
    let rust = if inside.ends_with(".rs") {
        Some(syn::parse_file(&text).with_context(|| format!("cannot parse {inside}"))?)
    } else {
        None
    };
    Ok(SourceFile {
        path: inside,
        text,
        rust,
    })
}
