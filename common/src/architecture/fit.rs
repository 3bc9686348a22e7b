//! Finds a network's tensors in a file: under one common prefix, whatever wrappers and dicts it is
//! made of.

use std::collections::{BTreeMap, BTreeSet};

use super::{Architecture, Parameter};
use crate::model_file::{NamedTensors, NamedTensorsError};

/// The names of a network's tensors in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TensorNames {
    /// The part before every name, with the point at its end; else empty.
    pub(super) prefix: String,
    /// The names in the file by canonical name.
    pub(super) names: BTreeMap<String, String>,
}

/// The networks of one architecture in a file.
pub(super) enum Networks {
    /// All tensors have a name; their shapes were not looked at.
    Complete(Vec<TensorNames>),
    /// The place that comes closest lacks this tensor.
    Lacks(Parameter),
}

/// Finds every place in the file where all tensors of a network have a name. Only the place under
/// `prefix` counts, if there is one.
pub(super) fn networks(
    file: &NamedTensors,
    architecture: Architecture,
    parameters: &[Parameter],
    prefix: Option<&str>,
) -> Networks {
    let mut complete = Vec::new();
    let mut closest = (0, 0);
    for prefix in prefixes(file, architecture, parameters, prefix) {
        let names = names_under(file, architecture, &prefix);
        match parameters
            .iter()
            .position(|one| !names.contains_key(&one.name))
        {
            None => complete.push(TensorNames::of(parameters, names, prefix)),
            Some(missing) => closest = closest.max((count(parameters, &names), missing)),
        }
    }
    match parameters.get(closest.1) {
        Some(missing) if complete.is_empty() => Networks::Lacks(missing.clone()),
        _ => Networks::Complete(complete),
    }
}

fn count(parameters: &[Parameter], names: &BTreeMap<String, String>) -> usize {
    let parameters = parameters.iter();
    parameters
        .filter(|one| names.contains_key(&one.name))
        .count()
}

/// Everything that stands before the name of a network's first or last tensor.
fn prefixes(
    file: &NamedTensors,
    architecture: Architecture,
    parameters: &[Parameter],
    only: Option<&str>,
) -> BTreeSet<String> {
    if let Some(only) = only {
        return BTreeSet::from([with_point(only)]);
    }
    let ends: Vec<&str> = [parameters.first(), parameters.last()]
        .into_iter()
        .flatten()
        .map(|parameter| parameter.name.as_str())
        .collect();
    let is_end = |inner: &str| ends.contains(&&*architecture.usual_name(inner));
    let names = file.tensors().keys();
    names
        .flat_map(|name| splits(name))
        .filter(|(_, inner)| is_end(inner))
        .map(|(prefix, _)| prefix.to_owned())
        .collect()
}

/// A name split after each of its points, and before its first word.
fn splits(name: &str) -> impl Iterator<Item = (&str, &str)> {
    let points = name.match_indices('.').map(|(at, _)| at + 1);
    std::iter::once(0).chain(points).map(|at| name.split_at(at))
}

/// The names under a prefix by canonical name.
fn names_under(
    file: &NamedTensors,
    architecture: Architecture,
    prefix: &str,
) -> BTreeMap<String, String> {
    let names = file
        .tensors()
        .range(prefix.to_owned()..)
        .map(|(name, _)| name);
    let under = names.map_while(|name| Some((name, name.strip_prefix(prefix)?)));
    under
        .map(|(name, inner)| (architecture.usual_name(inner).into_owned(), name.clone()))
        .collect()
}

fn with_point(prefix: &str) -> String {
    match prefix.trim_end_matches('.') {
        "" => String::new(),
        prefix => format!("{prefix}."),
    }
}

impl TensorNames {
    fn of(parameters: &[Parameter], mut names: BTreeMap<String, String>, prefix: String) -> Self {
        names.retain(|canonical, _| parameters.iter().any(|one| one.name == *canonical));
        Self { prefix, names }
    }
}

/// Leaves one of each group of networks whose tensors are equal, the one with the shortest prefix.
/// Programs store a network twice where two objects share it.
pub(super) fn without_copies(
    file: &NamedTensors,
    mut networks: Vec<TensorNames>,
) -> Result<Vec<TensorNames>, NamedTensorsError> {
    networks.sort_by_key(|network| network.prefix.len());
    let mut left: Vec<TensorNames> = Vec::new();
    for network in networks {
        if !is_copy(file, &network, &left)? {
            left.push(network);
        }
    }
    Ok(left)
}

fn is_copy(
    file: &NamedTensors,
    network: &TensorNames,
    others: &[TensorNames],
) -> Result<bool, NamedTensorsError> {
    for other in others {
        if are_equal(file, network, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn are_equal(
    file: &NamedTensors,
    one: &TensorNames,
    other: &TensorNames,
) -> Result<bool, NamedTensorsError> {
    for (a, b) in one.names.values().zip(other.names.values()) {
        if !file.are_equal(a, b)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The number of classes of a network in a file: the length that only the last layer's tensors
/// take from it.
pub(super) fn classes(
    file: &NamedTensors,
    architecture: Architecture,
    names: &TensorNames,
) -> Option<u32> {
    let [few, more] = [2, 3].map(|classes| architecture.parameters(classes));
    let by_classes = few
        .iter()
        .zip(&more)
        .find(|(few, more)| few.shape != more.shape);
    let Some((parameter, _)) = by_classes else {
        return Some(2);
    };
    let tensor = file.tensors().get(names.names.get(&parameter.name)?)?;
    tensor
        .shape
        .first()
        .and_then(|&rows| u32::try_from(rows).ok())
        .filter(|&rows| rows >= 2)
}
