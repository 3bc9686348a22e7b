#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Cursor, Write};
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use zip::ZipWriter;
use zip::write::FileOptions;

use super::*;
use crate::data::tests::{message, spec};
use crate::domain::Class;
use crate::spec::DatasetFormat;

/// A `.npy` file.
fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [MAGIC, &[1, 0], &length, header.as_bytes(), data].concat()
}

fn images() -> Vec<u8> {
    let bytes: Vec<u8> = (0..2 * 5 * 6 * 3).map(|i| i as u8).collect();
    npy("|u1", "(2, 5, 6, 3)", &bytes)
}

fn labels() -> Vec<u8> {
    npy("<i8", "(2,)", &[3_i64, 1].map(i64::to_le_bytes).concat())
}

fn npz(members: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = FileOptions::default().compression_method(method);
    for (name, bytes) in members {
        writer.start_file(format!("{name}.npy"), options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

struct NpzFolder(tempfile::TempDir);

impl NpzFolder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn npz(&self, members: &[(&str, Vec<u8>)]) -> DatasetSpec {
        let bytes = npz(members, CompressionMethod::Stored);
        spec(DatasetFormat::Npz, &self.write("a.npz", &bytes))
    }
}

fn open(spec: &DatasetSpec) -> Result<ArraySet, DataError> {
    super::open(spec, &Roots::anywhere())
}

#[test]
fn stored_compressed_and_single_arrays_are_one_dataset() {
    let folder = NpzFolder::new();
    let members = [("x_test", images()), ("y_test", labels())];
    let mut specs = vec![
        folder.npz(&members),
        spec(
            DatasetFormat::Npz,
            &folder.write("b", &npz(&members, CompressionMethod::Deflated)),
        ),
    ];
    specs.push(DatasetSpec {
        labels: Some(folder.write("labels.npy", &labels())),
        ..spec(DatasetFormat::Npz, &folder.write("images.npy", &images()))
    });
    for spec in specs {
        let set = open(&spec).unwrap();
        assert_eq!((set.len(), set.shape()), (2, [3, 5, 6]));
        assert_eq!([0, 1].map(|place| set.label(place)), [Class(3), Class(1)]);
        // Image 1 starts at byte 90. Byte 3 is the second pixel's red, byte 1 the first's green.
        let image = set.image(1).unwrap();
        assert_eq!(image.pixels[1], 93.0 / 255.0);
        assert_eq!(image.pixels[30], 91.0 / 255.0);
        let expected: [u8; 32] = Sha256::digest([images(), labels()].concat()).into();
        assert_eq!(set.digest().unwrap(), expected);
    }
}

#[test]
fn several_pairs_need_a_split_or_names() {
    let folder = NpzFolder::new();
    let spec = folder.npz(&[
        ("x_train", images()),
        ("y_train", labels()),
        ("x_test", images()),
        ("y_test", labels()),
    ]);
    let error = message(open(&spec));
    assert!(error.contains("has several pairs of images and labels; it holds [\"x_test\","));
    assert!(
        error.contains("set dataset.names to the names of images and labels, or dataset.split")
    );
    let split = |split: &str| DatasetSpec {
        split: Some(split.to_owned()),
        ..spec.clone()
    };
    assert!(open(&split("test")).unwrap().is_for_tests());
    assert!(!open(&split("train")).unwrap().is_for_tests());
    assert!(message(open(&split("val"))).contains("no images and labels"));
    let names = |images: &str| DatasetSpec {
        names: Some([images.to_owned(), "y_test".to_owned()]),
        ..spec.clone()
    };
    assert!(open(&names("x_test")).unwrap().is_for_tests());
    assert!(message(open(&names("z"))).contains("has no \"z\"; it holds"));
}

#[test]
fn a_single_array_needs_its_labels() {
    let folder = NpzFolder::new();
    let single = spec(DatasetFormat::Npz, &folder.write("a.npy", &images()));
    assert!(message(open(&single)).contains("a.npy: is one array; set dataset.labels"));
    let named = DatasetSpec {
        split: Some("test".to_owned()),
        ..single
    };
    assert!(message(open(&named)).contains("names and split have no meaning"));
    let archive = DatasetSpec {
        labels: Some(folder.write("l.npy", &labels())),
        ..folder.npz(&[("x", images()), ("y", labels())])
    };
    assert!(message(open(&archive)).contains("is not a .npy array"));
}

#[test]
fn files_that_are_not_numpys_are_named_with_the_reason() {
    let folder = NpzFolder::new();
    let refused = |bytes: &[u8], reason: &str| {
        let error = message(open(&spec(
            DatasetFormat::Npz,
            &folder.write("a.npz", bytes),
        )));
        assert!(
            error.contains("a.npz: ") && error.contains(reason),
            "{error}"
        );
    };
    refused(b"", "neither a .npy array nor a .npz archive");
    refused(b"<html>", "neither a .npy array nor a .npz archive");
    let members = [("x", images()), ("y", labels())];
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let mut damaged = npz(&members, method);
        // A byte of the images, after the local header and NumPy's.
        damaged[170] ^= 1;
        refused(&damaged, "array \"x\" cannot be read");
    }
    let floats = npy("<f4", "(2, 1, 8, 8)", &[0; 512]);
    let cut = npz(
        &[("x", floats[..500].to_vec()), ("y", labels())],
        CompressionMethod::Stored,
    );
    refused(&cut, "array \"x\" of F32 [2, 1, 8, 8] does not fit its");
    let text = npz(
        &[("x", b"text".to_vec()), ("y", labels())],
        CompressionMethod::Stored,
    );
    refused(&text, "array \"x\" is not a .npy array");
}

#[test]
fn a_layout_that_does_not_follow_from_the_sizes_must_be_given() {
    let folder = NpzFolder::new();
    let images = npy("|u1", "(2, 3, 4, 3)", &[0; 72]);
    let unclear = folder.npz(&[("x", images), ("y", labels())]);
    let error = message(open(&unclear));
    assert!(error.contains("of shape [2, 3, 4, 3] may be (N, C, H, W) or (N, H, W, C)"));
    let given = DatasetSpec {
        layout: Some(crate::spec::PixelLayout::ChannelsLast),
        ..unclear
    };
    assert_eq!(open(&given).unwrap().shape(), [3, 3, 4]);
}
