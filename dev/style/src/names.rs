//! Finds type names that more than one module defines.

use std::collections::BTreeMap;

use crate::functions::is_test;
use crate::tree::SourceFile;

/// Returns each name that two modules of one crate define, with the modules.
pub(crate) fn in_one_crate(files: &[SourceFile]) -> Vec<(String, Vec<String>)> {
    let mut found = collisions(files, |path| {
        path.split('/').next().unwrap_or_default().to_owned()
    });
    found.retain(|(_, places)| !places.iter().all(|place| place.starts_with("tests/")));
    found
}

/// Returns each name that two modules of the workspace define, tests included, with the modules.
pub(crate) fn anywhere(files: &[SourceFile]) -> Vec<(String, Vec<String>)> {
    collisions(files, |_| String::new())
}

fn collisions(files: &[SourceFile], group: fn(&str) -> String) -> Vec<(String, Vec<String>)> {
    let mut places: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for file in files
        .iter()
        .filter(|file| !file.path.starts_with("dev/style/"))
    {
        let Some(rust) = &file.rust else { continue };
        for name in rust
            .items
            .iter()
            .filter(|item| !is_test(item))
            .filter_map(type_name)
        {
            places
                .entry((group(&file.path), name))
                .or_default()
                .push(file.path.clone());
        }
    }
    let repeated = places.into_iter().filter(|(_, places)| places.len() > 1);
    repeated.map(|((_, name), places)| (name, places)).collect()
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
