#![allow(clippy::unwrap_used)]

use std::fs;

use image::ImageFormat;
use tempfile::TempDir;

use super::*;
use crate::data::Dataset;
use crate::data::archive::tests::write_zip;
use crate::data::tests::{encoded, formula, message, save};
use crate::domain::SampleIndex;
use crate::spec::DatasetFormat;

/// Three images in one folder, the folder as `val`.
fn flat() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for number in 1..=3 {
        let name = format!("val/ILSVRC2012_val_{number:08}.png");
        save(dir.path(), &name, &formula(3 + number, 4));
    }
    dir
}

/// A dataset in `dir` whose lists have these texts.
fn spec(dir: &Path, path: &str, labels: Option<&str>, classes: Option<&str>) -> DatasetSpec {
    let list = |name: &str, text: &str| {
        fs::write(dir.join(name), text).unwrap();
        dir.join(name)
    };
    DatasetSpec {
        labels: labels.map(|text| list("labels.txt", text)),
        classes: classes.map(|text| list("classes.txt", text)),
        ..DatasetSpec::whole(DatasetFormat::Imagenet, &dir.join(path))
    }
}

fn labels(spec: &DatasetSpec) -> Vec<u32> {
    let dataset = Dataset::open(spec).unwrap_or_else(|error| panic!("{error}"));
    let label = |index| dataset.label(SampleIndex(index)).unwrap().0;
    (0..dataset.len()).map(label).collect()
}

fn named(labels: [&str; 3]) -> String {
    let lines = labels.iter().enumerate();
    let line = |(place, label)| format!("ILSVRC2012_val_{:08}.png {label}\n", place + 1);
    lines.map(line).collect()
}

#[test]
fn numbers_by_name_are_classes_from_0() {
    let dir = flat();
    let spec = spec(dir.path(), "val", Some(&named(["65", "970", "1"])), None);
    assert_eq!(labels(&spec), [65, 970, 1]);
    let dataset = Dataset::open(&spec).unwrap();
    assert_eq!(dataset.classes(), None);
    assert_eq!(dataset.mismatch(971), None);
    assert!(dataset.mismatch(970).is_some());
}

#[test]
fn synsets_are_places_among_all_of_the_list_or_in_the_list_of_classes() {
    let dir = flat();
    let written = named(["n03", "n01", "n02"]) + "elsewhere.png n00\n";
    let plain = spec(dir.path(), "val", Some(&written), None);
    assert_eq!(labels(&plain), [3, 1, 2]);
    assert_eq!(Dataset::open(&plain).unwrap().classes(), Some(4));
    let notes = Dataset::open(&plain).unwrap().notes().join("\n");
    assert!(notes.contains("\"elsewhere.png\""), "{notes}");
    let mapping = "n09 a, b\nn03 c\nn02 d\nn01 e\nn00 f\n";
    let listed = spec(dir.path(), "val", Some(&written), Some(mapping));
    assert_eq!(labels(&listed), [1, 3, 2]);
    assert_eq!(Dataset::open(&listed).unwrap().classes(), Some(5));
}

#[test]
fn the_ground_truth_of_ilsvrc_needs_the_map_of_its_numbers() {
    let dir = flat();
    let truth = "2\n3\n1\n3\n";
    let alone = spec(dir.path(), "val", Some(truth), None);
    let error = message(Dataset::open(&alone));
    assert!(
        error.contains("labels.txt: has numbers without a 0") && error.contains("map_clsloc.txt"),
        "{error}"
    );
    let sorted = spec(
        dir.path(),
        "val",
        Some(truth),
        Some("n01440764\nn02100735\nn02119789\n"),
    );
    assert!(message(Dataset::open(&sorted)).contains("numbers without a 0"));
    let map = "n02119789 1 kit_fox\nn01440764 2 tench\nn02100735 3 English_setter\n";
    let mapped = spec(dir.path(), "val", Some(truth), Some(map));
    assert_eq!(labels(&mapped), [0, 1, 2]);
    assert_eq!(Dataset::open(&mapped).unwrap().classes(), Some(3));
    let outside = spec(dir.path(), "val", Some("2\n4\n1\n"), Some(map));
    assert!(message(Dataset::open(&outside)).contains("the label \"4\", which is not in"));
}

#[test]
fn a_column_that_counts_from_0_is_taken_in_order() {
    let dir = flat();
    assert_eq!(
        labels(&spec(dir.path(), "val", Some("2\n0\n1\n"), None)),
        [2, 0, 1]
    );
    assert_eq!(
        labels(&spec(dir.path(), "val", Some("n2\nn0\nn2\n"), None)),
        [1, 0, 1]
    );
}

#[test]
fn labels_of_two_kinds_or_none_are_refused() {
    let dir = flat();
    let mixed = spec(dir.path(), "val", Some(&named(["1", "n01", "2"])), None);
    assert!(message(Dataset::open(&mixed)).contains("numbers and names as labels"));
    let bare = spec(dir.path(), "val", None, None);
    let error = message(Dataset::open(&bare));
    assert!(
        error.contains("dataset.labels") && error.contains("00000001.png"),
        "{error}"
    );
}

#[test]
fn an_archive_gives_the_images_and_labels_of_the_folder() {
    let dir = flat();
    let pictures: Vec<Vec<u8>> = (1..=3)
        .map(|n| encoded(formula(3 + n, 4), ImageFormat::Png))
        .collect();
    let name = |number| format!("val/ILSVRC2012_val_{number:08}.png");
    let names: Vec<String> = [2, 1, 3].map(name).to_vec();
    let members = [
        (&*names[0], &*pictures[1]),
        (&*names[1], &*pictures[0]),
        (&*names[2], &*pictures[2]),
    ];
    write_zip(&dir.path().join("val.zip"), &members);
    let written = named(["7", "8", "9"]);
    let folder = Dataset::open(&spec(dir.path(), "val", Some(&written), None)).unwrap();
    let zipped = spec(dir.path(), "val.zip", Some(&written), None);
    assert_eq!(labels(&zipped), [7, 8, 9]);
    let archive = Dataset::open(&zipped).unwrap();
    for index in [0, 1, 2].map(SampleIndex) {
        assert_eq!(archive.image(index).unwrap(), folder.image(index).unwrap());
    }
    let file = archive.file(SampleIndex(0)).unwrap();
    assert!(
        file.ends_with("val.zip/val/ILSVRC2012_val_00000001.png"),
        "{file:?}"
    );
}

#[test]
fn folders_in_an_archive_are_its_labels() {
    let dir = tempfile::tempdir().unwrap();
    let picture = encoded(formula(3, 4), ImageFormat::Png);
    let members = [("val/n02/a.png", &*picture), ("val/n01/b.png", &*picture)];
    write_zip(&dir.path().join("val.zip"), &members);
    assert_eq!(labels(&spec(dir.path(), "val.zip", None, None)), [0, 1]);
    let listed = spec(dir.path(), "val.zip", None, Some("n02\nn00\nn01\n"));
    assert_eq!(labels(&listed), [2, 0]);
}

#[test]
fn the_digest_follows_names_lengths_and_labels() {
    let dir = flat();
    let digest = |labels: &str| {
        let spec = spec(dir.path(), "val", Some(labels), None);
        Dataset::open(&spec).unwrap().digest().unwrap()
    };
    let first = digest("0\n1\n2\n");
    assert_eq!(digest("0\n1\n2\n\n"), first);
    assert_ne!(digest("0\n2\n1\n"), first);
    let file = dir.path().join("val/ILSVRC2012_val_00000002.png");
    fs::write(&file, [fs::read(&file).unwrap(), vec![0]].concat()).unwrap();
    assert_ne!(digest("0\n1\n2\n"), first);
}
