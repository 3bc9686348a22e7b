#![allow(clippy::unwrap_used)]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::data::tests::{message, spec};
use crate::domain::Class;
use crate::spec::DatasetFormat;

fn idx(kind: u8, shape: &[u32], data: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = shape.iter().flat_map(|size| size.to_be_bytes()).collect();
    [&[0, 0, kind, shape.len() as u8], &sizes[..], data].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Two images of 2 x 3 pixels that count upwards from `start`.
fn images(start: u8) -> Vec<u8> {
    idx(
        8,
        &[2, 2, 3],
        &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map(|i| i + start),
    )
}

fn write_split(folder: &Path, name: &str, start: u8, packed: bool) {
    fs::create_dir_all(folder).unwrap();
    let labels = idx(8, &[2], &[9, start]);
    for (file, bytes) in [
        (format!("{name}-images-idx3-ubyte"), images(start)),
        (format!("{name}-labels-idx1-ubyte"), labels),
    ] {
        if packed {
            fs::write(folder.join(file + ".gz"), gzip(&bytes)).unwrap();
        } else {
            fs::write(folder.join(file), bytes).unwrap();
        }
    }
}

fn open(spec: &DatasetSpec) -> Result<ArraySet, DataError> {
    super::open(spec, &Roots::anywhere())
}

fn of_split(path: &Path, split: &str) -> DatasetSpec {
    DatasetSpec {
        split: Some(split.to_owned()),
        ..spec(DatasetFormat::Mnist, path)
    }
}

#[test]
fn packed_and_unpacked_files_are_one_dataset() {
    let root = tempfile::tempdir().unwrap();
    let mut digests = Vec::new();
    for packed in [true, false] {
        let folder = root.path().join(if packed { "a" } else { "b" });
        write_split(&folder, "t10k", 4, packed);
        let set = open(&spec(DatasetFormat::Mnist, &folder)).unwrap();
        assert_eq!(
            (set.len(), set.shape(), set.is_for_tests()),
            (2, [1, 2, 3], true)
        );
        assert_eq!([0, 1].map(|place| set.label(place)), [Class(9), Class(4)]);
        let expected: Vec<f32> = (10_u8..16).map(|byte| f32::from(byte) / 255.0).collect();
        assert_eq!(set.image(1).unwrap().pixels, expected);
        digests.push(set.digest().unwrap());
    }
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn a_folder_with_both_splits_needs_one() {
    let root = tempfile::tempdir().unwrap();
    // Where torchvision puts them, both packed and unpacked.
    let folder = root.path().join("MNIST/raw");
    for packed in [true, false] {
        write_split(&folder, "train", 1, packed);
        write_split(&folder, "t10k", 2, packed);
    }
    let error = message(open(&spec(DatasetFormat::Mnist, root.path())));
    assert!(
        error.contains(
            "holds several files of images, [\"t10k-images-idx3-ubyte\", \
             \"train-images-idx3-ubyte\"]: set dataset.split"
        ),
        "{error}"
    );
    for (split, last) in [("train", 1), ("test", 2)] {
        let set = open(&of_split(root.path(), split)).unwrap();
        assert_eq!(
            (set.label(1), set.is_for_tests()),
            (Class(last), split == "test")
        );
    }
    let error = message(open(&of_split(root.path(), "val")));
    assert!(
        error.contains("holds no file of images of split \"val\""),
        "{error}"
    );
    let file = folder.join("train-images-idx3-ubyte.gz");
    assert_eq!(
        open(&spec(DatasetFormat::Mnist, &file)).unwrap().label(1),
        Class(1)
    );
}

#[test]
fn files_that_are_not_idx_are_named_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let refused = |images: &[u8], labels: &[u8], reason: &str| {
        fs::write(root.path().join("t10k-images-idx3-ubyte"), images).unwrap();
        fs::write(root.path().join("t10k-labels-idx1-ubyte"), labels).unwrap();
        let error = message(open(&spec(DatasetFormat::Mnist, root.path())));
        assert!(error.contains("idx") && error.contains(reason), "{error}");
    };
    let labels = idx(8, &[2], &[0, 1]);
    refused(b"", &labels, "is not an idx file");
    refused(b"<html>", &labels, "is not an idx file");
    refused(&[0, 0, 8, 3, 0, 0], &labels, "is cut short in its header");
    refused(
        &[0, 0, 7, 1, 0, 0, 0, 0],
        &labels,
        "unknown type of numbers",
    );
    refused(
        &images(0)[..20],
        &labels,
        "of U8 [2, 2, 3] does not fit its 4 bytes",
    );
    refused(
        &images(0),
        &idx(8, &[3], &[0; 3]),
        "has shape [3], for 2 images",
    );
    refused(
        &images(0),
        &idx(12, &[2], &[255; 8]),
        "has -1 at 0, which is not a class",
    );
    let endless = idx(8, &[u32::MAX, u32::MAX, u32::MAX], &[]);
    refused(&endless, &labels, "does not fit its 0 bytes");
    refused(&gzip(&images(0))[..20], &labels, "cannot be unpacked");
    refused(
        &gzip(&[&images(0)[..], &[0; 9]].concat()),
        &labels,
        "does not fit its 13 bytes",
    );
    fs::remove_file(root.path().join("t10k-labels-idx1-ubyte")).unwrap();
    fs::write(root.path().join("t10k-images-idx3-ubyte"), images(0)).unwrap();
    let error = message(open(&spec(DatasetFormat::Mnist, root.path())));
    assert!(
        error.contains("t10k-labels-idx1-ubyte, is not next to it"),
        "{error}"
    );
    let other = root.path().join("pictures");
    fs::write(&other, images(0)).unwrap();
    assert!(message(open(&spec(DatasetFormat::Mnist, &other))).contains("set dataset.labels"));
}
