//! Finds circles in the graph of modules.
//!
//! An arrow runs from a file to the file whose item it imports or names by a path. A re-export
//! (`pub use`) is no arrow; it is followed to the file that defines the item. Arrows between a
//! module and one that contains it are left out, because a folder and its parts belong together.
//! So are tests.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports::{Imports, ModulePath};
use crate::tree::SourceFile;

/// Re-exports that are followed in turn, at most.
const MOST_EXPORTS: usize = 8;

type Arrows<'a> = BTreeMap<&'a ModulePath, BTreeSet<&'a ModulePath>>;

/// One crate's modules.
#[derive(Default)]
struct Crate {
    modules: BTreeMap<ModulePath, Module>,
}

/// One module: its file, and what the file defines and imports.
struct Module {
    path: String,
    imports: Imports,
}

/// Returns the circles of every crate: files that import one another, directly or through others.
pub(crate) fn circles(files: &[SourceFile]) -> Vec<Vec<String>> {
    let mut crates: BTreeMap<&str, Crate> = BTreeMap::new();
    for file in files.iter().filter(|file| file.is_production()) {
        if let (Some(rust), Some(module)) = (&file.rust, file.module()) {
            let imports = Imports::of(rust, &module);
            let path = file.path.clone();
            let found = crates.entry(file.package()).or_default();
            found.modules.insert(module, Module { path, imports });
        }
    }
    crates.values().flat_map(Crate::circles).collect()
}

impl Crate {
    fn circles(&self) -> Vec<Vec<String>> {
        let arrows = self.arrows();
        let modules = self.modules.keys();
        let reach: Arrows = modules
            .map(|module| (module, reachable(&arrows, module)))
            .collect();
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for module in reach.keys() {
            let circle = circle_of(module, &reach);
            if circle.len() > 1 && seen.insert(circle[0]) {
                found.push(self.paths(&circle));
            }
        }
        found
    }

    fn paths(&self, modules: &[&ModulePath]) -> Vec<String> {
        let modules = modules.iter();
        modules
            .map(|module| self.modules[*module].path.clone())
            .collect()
    }

    fn arrows(&self) -> Arrows<'_> {
        let mut arrows = Arrows::new();
        for (from, module) in &self.modules {
            let homes = module.imports.paths.iter();
            let homes = homes.filter_map(|path| self.home(path, 0));
            let outside = homes.filter(|to| !from.starts_with(to) && !to.starts_with(from));
            arrows.insert(from, outside.collect());
        }
        arrows
    }

    /// Finds the module that defines what a path names.
    fn home(&self, path: &[String], exports: usize) -> Option<&ModulePath> {
        let mut lengths = (0..path.len()).rev();
        let length = lengths.find(|&length| self.modules.contains_key(&path[..length]))?;
        let (home, module) = self.modules.get_key_value(&path[..length])?;
        let name = &path[length];
        if module.imports.items.contains(name) {
            return Some(home);
        }
        let target = module.imports.exports.get(name)?;
        if exports == MOST_EXPORTS {
            return None;
        }
        let target = [target, &path[length + 1..]].concat();
        self.home(&target, exports + 1)
    }
}

/// Returns the modules that a module reaches and that reach it, in order.
fn circle_of<'a>(module: &ModulePath, reach: &Arrows<'a>) -> Vec<&'a ModulePath> {
    let reached = reach[module].iter().copied();
    reached
        .filter(|other| reach[*other].contains(module))
        .collect()
}

fn reachable<'a>(arrows: &Arrows<'a>, from: &'a ModulePath) -> BTreeSet<&'a ModulePath> {
    let mut found = BTreeSet::new();
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        for to in arrows.get(module).into_iter().flatten() {
            if found.insert(*to) {
                next.push(to);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let files: Vec<SourceFile> = files
            .iter()
            .map(|(path, text)| SourceFile::fixture(path, text))
            .collect();
        circles(&files)
    }

    #[test]
    fn files_that_import_one_another_are_a_circle() {
        let found = found(&[
            ("worker/src/a.rs", "use crate::b::B; pub struct A;"),
            (
                "worker/src/b.rs",
                "use crate::c; pub struct B; fn f() { c::g() }",
            ),
            ("worker/src/c.rs", "use super::a::A; pub fn g() {}"),
            ("worker/src/d.rs", "use crate::a::A;"),
        ]);
        let circle = ["worker/src/a.rs", "worker/src/b.rs", "worker/src/c.rs"];
        assert_eq!(found, [circle]);
    }

    #[test]
    fn a_staircase_has_no_circle() {
        let found = found(&[
            ("worker/src/a.rs", "use crate::b::B; pub struct A;"),
            ("worker/src/b.rs", "pub struct B;"),
        ]);
        assert!(found.is_empty());
    }

    #[test]
    fn a_re_export_is_followed_to_the_file_that_defines_the_item() {
        let found = found(&[
            (
                "worker/src/x/mod.rs",
                "mod a; mod b; pub use a::A; pub use b::B;",
            ),
            ("worker/src/x/a.rs", "use super::B; pub struct A;"),
            ("worker/src/x/b.rs", "use crate::x::A; pub struct B;"),
        ]);
        assert_eq!(found, [["worker/src/x/a.rs", "worker/src/x/b.rs"]]);
    }

    #[test]
    fn imports_of_tests_and_of_a_containing_module_do_not_count() {
        let found = found(&[
            ("worker/src/x/mod.rs", "mod a; use a::A; pub struct X;"),
            ("worker/src/x/a.rs", "use super::X; pub struct A;"),
            (
                "worker/src/y.rs",
                "#[cfg(test)] use crate::z::Z; pub struct Y;",
            ),
            ("worker/src/z.rs", "use crate::y::Y; pub struct Z;"),
        ]);
        assert!(found.is_empty());
    }
}
