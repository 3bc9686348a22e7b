#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;
use crate::data::Dataset;
use crate::data::tests::{fixture, message, spec};
use crate::domain::SampleIndex;
use crate::spec::{DatasetFormat, ResizeTo};

/// A folder with a copy of a file of testdata.
fn copy(name: &str) -> (tempfile::TempDir, DatasetSpec) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join(name);
    fs::write(&path, fixture(name)).unwrap();
    (root, spec(DatasetFormat::Parquet, &path))
}

fn open(spec: &DatasetSpec) -> Result<ParquetFiles, DataError> {
    ParquetFiles::open(spec, &Roots::anywhere())
}

fn refused(name: &str) -> String {
    let (_root, spec) = copy(name);
    message(open(&spec))
}

#[test]
fn pages_of_every_kind_hold_the_same_images_and_labels() {
    for name in ["snappy.parquet", "gzip-v2.parquet", "plain.parquet"] {
        let (_root, spec) = copy(name);
        let files = open(&spec).unwrap();
        assert_eq!((files.len(), files.classes()), (5, Some(3)), "{name}");
        let labels: Vec<u32> = (0..5).map(|place| files.label(place).0).collect();
        assert_eq!(labels, [2, 0, 1, 1, 0], "{name}");
        // Backwards, and again, so that pages are unpacked out of order and found in the cache.
        for place in (0..5).rev().chain(0..5) {
            let value = 10 * (place as u8 + 1);
            let bytes = [[value; 3], [255 - value; 3]].concat();
            let expected = Rgb {
                width: 2,
                height: 1,
                bytes,
            };
            assert_eq!(files.image(place).unwrap(), expected, "{name}, {place}");
        }
    }
}

#[test]
fn a_row_without_an_image_fails_its_sample() {
    let (_root, spec) = copy("missing.parquet");
    let dataset = Dataset::open(&spec).unwrap();
    assert_eq!(dataset.image(SampleIndex(2)).unwrap().shape, [3, 1, 2]);
    let error = message(dataset.image(SampleIndex(1)));
    assert!(
        error.contains("sample 1, ") && error.contains("missing.parquet"),
        "{error}"
    );
    assert!(
        error.ends_with("the row holds no bytes of an image"),
        "{error}"
    );
}

#[test]
fn files_that_cannot_be_read_are_named_with_the_reason() {
    let error = refused("no-label.parquet");
    assert!(
        error.ends_with("no-label.parquet: row 1 has no label"),
        "{error}"
    );
    let error = refused("zstd.parquet");
    assert!(
        error.contains("packed by zstd, which is not supported"),
        "{error}"
    );
    let (_root, spec) = copy("snappy.parquet");
    let whole = fs::read(&spec.path).unwrap();
    for length in 0..whole.len() {
        fs::write(&spec.path, &whole[..length]).unwrap();
        let error = message(open(&spec));
        assert!(error.contains("snappy.parquet: "), "{error}");
    }
    let named = DatasetSpec {
        names: Some(["label".to_owned(), "img".to_owned()]),
        ..spec
    };
    fs::write(&named.path, whole).unwrap();
    let error = message(open(&named));
    assert!(
        error.contains("column \"label\" does not hold encoded images"),
        "{error}"
    );
}

#[test]
fn several_files_are_one_dataset_in_the_order_of_their_names() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..2 {
        let name = format!("test-0000{number}-of-00002.parquet");
        fs::write(root.path().join(name), fixture("snappy.parquet")).unwrap();
    }
    let spec = spec(DatasetFormat::Parquet, root.path());
    let files = open(&spec).unwrap();
    assert_eq!((files.len(), files.is_for_tests()), (10, true));
    assert!(files.path(4).ends_with("test-00000-of-00002.parquet"));
    assert!(files.path(5).ends_with("test-00001-of-00002.parquet"));
    assert_eq!(files.image(9).unwrap(), files.image(4).unwrap());
    let resized = DatasetSpec {
        resize: Some(ResizeTo::Shorter(4)),
        ..spec
    };
    let image = Dataset::open(&resized)
        .unwrap()
        .image(SampleIndex(7))
        .unwrap();
    assert_eq!(image.shape, [3, 4, 8]);
}
