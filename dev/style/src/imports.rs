//! Collects what a file defines, re-exports and names by a path.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::Visit;
use syn::{Ident, UseTree};

use crate::functions::is_test;

/// The path of a module inside its crate: `[engine, packing]`. Also the path of an item.
pub(crate) type ModulePath = Vec<String>;

/// The items and paths of one file, outside tests.
#[derive(Default)]
pub(crate) struct Imports {
    module: ModulePath,
    /// Names of the items that the file defines.
    pub(crate) items: BTreeSet<String>,
    /// Paths that the file gives a name, by that name.
    pub(crate) exports: BTreeMap<String, ModulePath>,
    /// Paths that the file uses.
    pub(crate) paths: Vec<ModulePath>,
}

/// A name at the end of a `use`, with what stands before it.
struct ImportedName<'a> {
    before: &'a [String],
    name: &'a Ident,
    shown: &'a Ident,
}

impl Imports {
    /// Reads the file of a module.
    pub(crate) fn of(file: &syn::File, module: &[String]) -> Self {
        let mut found = Self {
            module: module.to_vec(),
            ..Self::default()
        };
        found.visit_file(file);
        found
    }

    /// Returns a path from the root of the crate.
    fn absolute(&self, path: &[String]) -> Option<ModulePath> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([&self.module, rest].concat()),
            "super" => self.above(path),
            _ => Some([&self.module, path].concat()),
        }
    }

    fn above(&self, path: &[String]) -> Option<ModulePath> {
        let climbed = path.iter().take_while(|part| *part == "super").count();
        let depth = self.module.len().checked_sub(climbed)?;
        Some([&self.module[..depth], &path[climbed..]].concat())
    }

    fn add_tree(&mut self, tree: &UseTree, before: &[String], is_public: bool) {
        match tree {
            UseTree::Path(path) => {
                let next = [before, &[path.ident.to_string()]].concat();
                self.add_tree(&path.tree, &next, is_public);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_tree(tree, before, is_public);
                }
            }
            UseTree::Name(name) => self.add(
                &ImportedName::new(before, &name.ident, &name.ident),
                is_public,
            ),
            UseTree::Rename(name) => self.add(
                &ImportedName::new(before, &name.ident, &name.rename),
                is_public,
            ),
            UseTree::Glob(_) => {}
        }
    }

    fn add(&mut self, imported: &ImportedName, is_public: bool) {
        let Some((shown, path)) = imported.shown_path() else {
            return;
        };
        let Some(path) = self.absolute(&path) else {
            return;
        };
        if is_public {
            self.exports.insert(shown, path);
        } else {
            // A module that is imported whole is used where a path begins with its name.
            self.exports.entry(shown).or_insert_with(|| path.clone());
            self.paths.push(path);
        }
    }
}

impl<'a> ImportedName<'a> {
    fn new(before: &'a [String], name: &'a Ident, shown: &'a Ident) -> Self {
        Self {
            before,
            name,
            shown,
        }
    }

    /// Returns the name that the import gives, and the path that it stands for.
    fn shown_path(&self) -> Option<(String, ModulePath)> {
        if self.name == "self" {
            return Some((self.before.last()?.clone(), self.before.to_vec()));
        }
        let path = [self.before, &[self.name.to_string()]].concat();
        Some((self.shown.to_string(), path))
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if is_test(item) {
            return;
        }
        self.items.extend(defined_name(item));
        syn::visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_public = !matches!(item.vis, syn::Visibility::Inherited);
        self.add_tree(&item.tree, &[], is_public);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts = path.segments.iter();
        let parts: Vec<String> = parts.map(|part| part.ident.to_string()).collect();
        if parts.len() > 1 {
            self.paths.extend(self.absolute(&parts));
        }
        syn::visit::visit_path(self, path);
    }
}

fn defined_name(item: &syn::Item) -> Option<String> {
    let name = match item {
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Const(item) => &item.ident,
        syn::Item::Static(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let file = syn::parse_file(text).expect("a file that parses");
        let module = ["engine", "pass"].map(str::to_owned);
        let imports = Imports::of(&file, &module);
        imports.paths.iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn paths_are_absolute() {
        assert_eq!(paths("use crate::noise::Key;"), ["noise::Key"]);
        assert_eq!(paths("use super::input::Input;"), ["engine::input::Input"]);
        assert_eq!(paths("use super::super::noise;"), ["noise"]);
        assert_eq!(paths("use self::row::Row;"), ["engine::pass::row::Row"]);
    }

    #[test]
    fn groups_renames_and_self_are_taken_apart() {
        let found = paths("use crate::a::{self, B, C as D};");
        assert_eq!(found, ["a", "a::B", "a::C"]);
    }

    #[test]
    fn re_exports_are_no_paths() {
        assert!(paths("pub use crate::a::B; pub(crate) use crate::c::D;").is_empty());
    }
}
