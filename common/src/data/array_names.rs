//! Finds the images and the labels among named arrays.
//!
//! Names follow no standard. A name counts if it is one of the usual words, alone or joined to the
//! name of a split: `images`, `x_test`, `train_labels`.

use std::path::Path;

use super::DataError;

const IMAGES: &[&str] = &["images", "image", "imgs", "img", "x", "data", "arr_0"];
const LABELS: &[&str] = &[
    "labels",
    "label",
    "y",
    "targets",
    "target",
    "arr_1",
    "fine_label",
    "fine_labels",
];
const SPLITS: &[&str] = &["train", "test", "val", "valid", "validation"];

/// The names of images and labels that belong together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NamedPair {
    pub(super) images: String,
    pub(super) labels: String,
    /// The split that the names tell.
    pub(super) split: Option<String>,
}

/// Returns the names that the specification gives, or the only pair that the arrays' names tell.
///
/// # Errors
/// When no pair or several are found; the message lists the names.
pub(super) fn find_pair(
    path: &Path,
    given: Option<&[String; 2]>,
    split: Option<&str>,
    names: &[String],
) -> Result<NamedPair, DataError> {
    if let Some(given) = given {
        return given_pair(path, given, names);
    }
    let mut pairs = pairs(names);
    if split.is_some() {
        pairs.retain(|pair| pair.split.as_deref() == split);
    }
    match <[NamedPair; 1]>::try_from(pairs) {
        Ok([pair]) => Ok(pair),
        Err(pairs) => Err(not_one_pair(path, names, &pairs)),
    }
}

fn given_pair(path: &Path, given: &[String; 2], names: &[String]) -> Result<NamedPair, DataError> {
    if let Some(missing) = given.iter().find(|name| !names.contains(name)) {
        let what = format!("has no {missing:?}; it holds {}", listed(names));
        return Err(DataError::layout(path, what));
    }
    let [images, labels] = given.clone();
    let split = role(&images).and_then(|(_, split)| split);
    Ok(NamedPair {
        images,
        labels,
        split,
    })
}

fn not_one_pair(path: &Path, names: &[String], pairs: &[NamedPair]) -> DataError {
    let problem = if pairs.is_empty() {
        "has no images and labels under usual names"
    } else {
        "has several pairs of images and labels"
    };
    let listed = listed(names);
    let what = format!(
        "{problem}; it holds {listed}: set dataset.names to the names of images and labels, or \
         dataset.split"
    );
    DataError::layout(path, what)
}

fn listed(names: &[String]) -> String {
    const MOST: usize = 16;
    let shown: Vec<String> = names
        .iter()
        .take(MOST)
        .map(|name| format!("{name:?}"))
        .collect();
    let more = if names.len() > MOST { ", ..." } else { "" };
    format!("[{}{more}]", shown.join(", "))
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum ArrayRole {
    Images,
    Labels,
}

/// All pairs of one array of images and one of labels, of the same split.
fn pairs(names: &[String]) -> Vec<NamedPair> {
    let named = |name: &String| role(name).map(|(role, split)| (name.clone(), role, split));
    let roles: Vec<_> = names.iter().filter_map(named).collect();
    let (images, labels): (Vec<_>, Vec<_>) = roles
        .into_iter()
        .partition(|(_, role, _)| *role == ArrayRole::Images);
    let mut pairs = Vec::new();
    for (images, _, split) in images {
        let same = labels.iter().filter(|(_, _, other)| *other == split);
        pairs.extend(same.map(|(labels, ..)| NamedPair {
            images: images.clone(),
            labels: labels.clone(),
            split: split.clone(),
        }));
    }
    pairs
}

/// Tells from a name what an array holds, and of which split.
fn role(name: &str) -> Option<(ArrayRole, Option<String>)> {
    let name = name.to_lowercase();
    if let Some(role) = word_role(&name) {
        return Some((role, None));
    }
    let joined = name
        .split_once('_')
        .into_iter()
        .chain(name.rsplit_once('_'));
    joined
        .flat_map(|(first, last)| [(first, last), (last, first)])
        .filter(|(split, _)| SPLITS.contains(split))
        .find_map(|(split, word)| Some((word_role(word)?, Some(split.to_owned()))))
}

fn word_role(word: &str) -> Option<ArrayRole> {
    if IMAGES.contains(&word) {
        Some(ArrayRole::Images)
    } else {
        LABELS.contains(&word).then_some(ArrayRole::Labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Vec<[String; 3]> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let pairs = pairs(&names).into_iter();
        pairs
            .map(|pair| [pair.images, pair.labels, pair.split.unwrap_or_default()])
            .collect()
    }

    #[test]
    fn usual_names_tell_images_labels_and_split() {
        assert_eq!(found(&["labels", "images"]), [["images", "labels", ""]]);
        assert_eq!(found(&["X", "y", "classes"]), [["X", "y", ""]]);
        assert_eq!(found(&["arr_0", "arr_1"]), [["arr_0", "arr_1", ""]]);
        assert_eq!(
            found(&["x_train", "y_train", "x_test", "y_test"]),
            [
                ["x_train", "y_train", "train"],
                ["x_test", "y_test", "test"]
            ]
        );
        assert_eq!(
            found(&["val_images", "val_labels"]),
            [["val_images", "val_labels", "val"]]
        );
        assert!(found(&["x_test", "y_train", "features"]).is_empty());
    }
}
