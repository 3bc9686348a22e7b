//! Finds circles in the graph of modules.
//!
//! An arrow runs from a file to the file whose item it imports or names by a path from `crate`,
//! `super` or `self`. Re-exports (`pub use`) are doors, not dependencies, and are followed to the
//! file that defines the item. Arrows between a module and one that contains it are left out: a
//! folder and its parts are one room. So are tests.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::Visit;

use crate::functions::is_test;
use crate::tree::SourceFile;

type Module = Vec<String>;

/// One crate's modules: the items that each defines, and its re-exports.
#[derive(Default)]
struct Crate {
    items: BTreeMap<Module, BTreeSet<String>>,
    exports: BTreeMap<Module, BTreeMap<String, Module>>,
    paths: BTreeMap<Module, Vec<Module>>,
    files: BTreeMap<Module, String>,
}

/// Returns the circles of every crate: files that import one another, directly or through others.
pub(crate) fn circles(files: &[SourceFile]) -> Vec<Vec<String>> {
    let mut crates: BTreeMap<String, Crate> = BTreeMap::new();
    for file in files.iter().filter(|file| file.is_production()) {
        let (Some(rust), Some((package, module))) = (&file.rust, file.module()) else {
            continue;
        };
        let found = crates.entry(package).or_default();
        found.read(rust, module, &file.path);
    }
    crates.values().flat_map(Crate::circles).collect()
}

impl Crate {
    fn read(&mut self, rust: &syn::File, module: Module, path: &str) {
        let mut reader = Reader {
            module: module.clone(),
            ..Reader::default()
        };
        for item in rust.items.iter().filter(|item| !is_test(item)) {
            reader.visit_item(item);
        }
        self.items
            .entry(module.clone())
            .or_default()
            .extend(reader.items);
        self.exports
            .entry(module.clone())
            .or_default()
            .extend(reader.exports);
        self.paths
            .entry(module.clone())
            .or_default()
            .extend(reader.paths);
        self.files.insert(module, path.to_owned());
    }

    fn circles(&self) -> Vec<Vec<String>> {
        let arrows = self.arrows();
        let reach: BTreeMap<&Module, BTreeSet<&Module>> = self
            .files
            .keys()
            .map(|module| (module, reachable(&arrows, module)))
            .collect();
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for module in self.files.keys() {
            let circle: Vec<&Module> = reach[module]
                .iter()
                .copied()
                .filter(|other| reach[*other].contains(module))
                .collect();
            if circle.len() > 1 && circle.iter().all(|module| seen.insert(*module)) {
                found.push(
                    circle
                        .iter()
                        .map(|module| self.files[*module].clone())
                        .collect(),
                );
            }
        }
        found
    }

    fn arrows(&self) -> BTreeMap<&Module, BTreeSet<&Module>> {
        let mut arrows: BTreeMap<&Module, BTreeSet<&Module>> = BTreeMap::new();
        for (from, paths) in &self.paths {
            for path in paths {
                if let Some(to) = self.home(path, 0)
                    && !from.starts_with(to)
                    && !to.starts_with(from)
                {
                    arrows.entry(from).or_default().insert(to);
                }
            }
        }
        arrows
    }

    /// Finds the module that defines what a path names.
    fn home(&self, path: &[String], depth: usize) -> Option<&Module> {
        for length in (0..path.len()).rev() {
            let Some((module, items)) = self.items.get_key_value(&path[..length]) else {
                continue;
            };
            let name = &path[length];
            if items.contains(name) {
                return Some(module);
            }
            if depth < 8
                && let Some(target) = self.exports.get(module).and_then(|all| all.get(name))
            {
                return self.home(&[&target[..], &path[length + 1..]].concat(), depth + 1);
            }
            return None;
        }
        None
    }
}

fn reachable<'a>(
    arrows: &BTreeMap<&'a Module, BTreeSet<&'a Module>>,
    from: &'a Module,
) -> BTreeSet<&'a Module> {
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

/// Collects what a file defines and which paths it names.
#[derive(Default)]
struct Reader {
    module: Module,
    items: BTreeSet<String>,
    exports: BTreeMap<String, Module>,
    paths: Vec<Module>,
}

impl Reader {
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([self.module.clone(), rest.to_vec()].concat()),
            "super" => {
                let mut base = self.module.clone();
                base.pop()?;
                let mut rest = rest;
                while rest.first().is_some_and(|part| part == "super") {
                    base.pop()?;
                    rest = &rest[1..];
                }
                Some([base, rest.to_vec()].concat())
            }
            _ => Some([self.module.clone(), path.to_vec()].concat()),
        }
    }

    fn follow(&mut self, tree: &syn::UseTree, before: &[String], public: bool) {
        match tree {
            syn::UseTree::Path(path) => {
                let next = [before, &[path.ident.to_string()]].concat();
                self.follow(&path.tree, &next, public);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.follow(tree, before, public);
                }
            }
            syn::UseTree::Name(name) => self.name(before, &name.ident, &name.ident, public),
            syn::UseTree::Rename(rename) => {
                self.name(before, &rename.ident, &rename.rename, public);
            }
            syn::UseTree::Glob(_) => {}
        }
    }

    fn name(&mut self, before: &[String], name: &syn::Ident, shown: &syn::Ident, public: bool) {
        let path = if name == "self" {
            before.to_vec()
        } else {
            [before, &[name.to_string()]].concat()
        };
        let shown = if name == "self" {
            before.last().cloned()
        } else {
            Some(shown.to_string())
        };
        let (Some(path), Some(shown)) = (self.absolute(&path), shown) else {
            return;
        };
        if public {
            self.exports.insert(shown, path);
        } else {
            // A module that is imported whole is used where a path begins with it.
            self.exports.entry(shown).or_insert_with(|| path.clone());
            self.paths.push(path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if is_test(item) {
            return;
        }
        if let Some(name) = defined(item) {
            self.items.insert(name);
        }
        syn::visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let public = !matches!(item.vis, syn::Visibility::Inherited);
        self.follow(&item.tree, &[], public);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let parts: Vec<String> = path
                .segments
                .iter()
                .map(|segment| segment.ident.to_string())
                .collect();
            if let Some(path) = self.absolute(&parts) {
                self.paths.push(path);
            }
        }
        syn::visit::visit_path(self, path);
    }
}

fn defined(item: &syn::Item) -> Option<String> {
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
