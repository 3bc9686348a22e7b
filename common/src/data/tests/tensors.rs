#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use crate::data::tests::{message, spec};
use crate::data::{Fault, Image};
use crate::spec::DatasetFormat;

fn file() -> (TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("set.safetensors");
    (root, path)
}

fn open(path: &Path) -> Result<ArraySet, DataError> {
    super::open(&spec(DatasetFormat::Tensors, path), &Roots::anywhere())
}

/// Writes zeros under these names, types and shapes.
fn write_zeros(path: &Path, tensors: &[(&str, Dtype, &[usize])]) {
    let zeros = vec![0; 4096];
    let views = tensors.iter().map(|&(name, dtype, shape)| {
        let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (
            name,
            TensorView::new(dtype, shape.to_vec(), &zeros[..bytes]).unwrap(),
        )
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

#[test]
fn what_is_written_is_read_back() {
    let (_root, path) = file();
    let pixels: Vec<f32> = (0..12).map(|i| i as f32 / 11.0).collect();
    write_tensors(&path, [2, 1, 2, 3], &pixels, &[Class(7), Class(0)]).unwrap();
    let tensors = open(&path).unwrap();
    assert_eq!(
        (tensors.len(), tensors.label(0), tensors.label(1)),
        (2, Class(7), Class(0))
    );
    assert_eq!(
        tensors.image(0).unwrap(),
        Image {
            shape: [1, 2, 3],
            pixels: pixels[..6].to_vec()
        }
    );
    assert_eq!(
        tensors.image(1).unwrap(),
        Image {
            shape: [1, 2, 3],
            pixels: pixels[6..].to_vec()
        }
    );
    let expected: [u8; 32] = Sha256::digest(fs::read(&path).unwrap()).into();
    assert_eq!(tensors.digest().unwrap(), expected);
}

#[test]
fn only_what_fits_its_shape_is_written() {
    let (_root, path) = file();
    assert!(
        message(write_tensors(&path, [2, 1, 1, 1], &[0.0; 2], &[Class(0)]))
            .contains("1 labels for 2 images")
    );
    assert!(
        message(write_tensors(&path, [1, 1, 1, 1], &[0.0; 2], &[Class(0)]))
            .contains("cannot be written")
    );
    assert!(!path.exists());
}

#[test]
fn tensors_of_another_kind_are_named() {
    let (_root, path) = file();
    let (images, labels) = (
        ("images", Dtype::F32, &[2, 1, 1, 1][..]),
        ("labels", Dtype::I64, &[2][..]),
    );
    let refused = |tensors: &[(&str, Dtype, &[usize])], reason: &str| {
        write_zeros(&path, tensors);
        let error = message(open(&path));
        assert!(
            error.contains("set.safetensors") && error.contains(reason),
            "{error}"
        );
    };
    let unnamed = "no images and labels under usual names; it holds";
    refused(
        &[labels],
        &format!("{unnamed} [\"labels\"]: set dataset.names"),
    );
    refused(&[images], &format!("{unnamed} [\"images\"]"));
    refused(
        &[("images", Dtype::I32, &[2, 1, 1, 1]), labels],
        "\"images\" is I32; images are U8, or floating-point numbers in [0, 1]",
    );
    refused(
        &[("images", Dtype::BOOL, &[2, 1, 1, 1]), labels],
        "\"images\" is BOOL",
    );
    refused(
        &[images, ("labels", Dtype::F32, &[2])],
        "\"labels\" is F32; labels are whole numbers",
    );
    refused(
        &[("images", Dtype::F32, &[2, 1]), labels],
        "\"images\" has shape [2, 1], not (N, C, H, W)",
    );
    refused(
        &[("images", Dtype::F32, &[2, 1, 0, 1]), labels],
        "\"images\" of shape [2, 1, 0, 1] is empty",
    );
    refused(
        &[("images", Dtype::U8, &[2, 8, 8, 3]), labels],
        "\"images\" of shape [2, 8, 8, 3] seems to be (N, H, W, C), not (N, C, H, W)",
    );
    refused(
        &[images, ("labels", Dtype::I64, &[3])],
        "\"labels\" has shape [3], for 2 images",
    );
    refused(
        &[images, ("labels", Dtype::U8, &[2, 10])],
        "\"labels\" has shape [2, 10], for 2 images; of one-hot labels take the place of the 1",
    );
    write_zeros(&path, &[images, labels]);
    assert!(open(&path).is_ok());
}

#[test]
fn a_label_that_is_no_class_is_named() {
    let (_root, path) = file();
    write_tensors(&path, [2, 1, 1, 1], &[0.0; 2], &[Class(0), Class(1)]).unwrap();
    // A label of eight bytes starts at a multiple of eight, so it is stored before the images.
    let mut bytes = fs::read(&path).unwrap();
    let labels = bytes.len() - 2 * 4 - 2 * 8;
    assert_eq!(
        bytes[labels..labels + 16],
        [0i64.to_le_bytes(), 1i64.to_le_bytes()].concat()
    );
    bytes[labels + 8..labels + 16].copy_from_slice(&(-1i64).to_le_bytes());
    fs::write(&path, bytes).unwrap();
    assert!(message(open(&path)).contains("\"labels\" has -1 at 1"));
}

#[test]
fn a_pixel_out_of_range_fails_its_sample() {
    let (_root, path) = file();
    for bad in [-0.001, 1.001, f32::NAN, f32::INFINITY] {
        write_tensors(
            &path,
            [3, 1, 1, 2],
            &[0.0, 1.0, 0.5, bad, 0.1, 0.2],
            &[Class(0); 3],
        )
        .unwrap();
        let tensors = open(&path).unwrap();
        assert!(
            matches!(tensors.image(1), Err(Fault::Pixel { position: 1, .. })),
            "{bad}"
        );
        assert!(tensors.image(0).is_ok() && tensors.image(2).is_ok());
    }
}

#[test]
fn a_header_that_does_not_fit_the_file_is_refused() {
    let (_root, path) = file();
    write_tensors(&path, [2, 1, 1, 1], &[0.0; 2], &[Class(0), Class(1)]).unwrap();
    let whole = fs::read(&path).unwrap();
    let refused = |bytes: &[u8], reason: &str| {
        fs::write(&path, bytes).unwrap();
        let error = message(open(&path));
        assert!(
            error.contains("set.safetensors") && error.contains(reason),
            "{error}"
        );
    };
    refused(b"", "too short");
    refused(&whole[..whole.len() - 1], "describes 24 bytes, 23 follow");
    refused(
        &[&whole[..], b"x"].concat(),
        "describes 24 bytes, 25 follow",
    );
    refused(
        &[&u64::MAX.to_le_bytes(), &whole[8..]].concat(),
        "claims 18446744073709551615 bytes",
    );
    refused(
        &[&whole[..20], &[b'!'; 4], &whole[24..]].concat(),
        "header is damaged",
    );
    for length in 0..whole.len() {
        refused(&whole[..length], "not a safetensors file");
    }
}

#[test]
fn a_header_that_claims_more_than_memory_holds_is_refused_whatever_the_files_length() {
    let (_root, path) = file();
    // Files with holes: as long as they claim, and nothing on disk.
    let refused = |images: [u64; 4], labels: u64, reason: &str| {
        let (bytes, end) = (8 * labels, 8 * labels + 4 * images.iter().product::<u64>());
        let header = serde_json::json!({
            "labels": {"dtype": "I64", "shape": [labels], "data_offsets": [0, bytes]},
            "images": {"dtype": "F32", "shape": images, "data_offsets": [bytes, end]},
        });
        let header = header.to_string();
        fs::write(
            &path,
            [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat(),
        )
        .unwrap();
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(8 + header.len() as u64 + end)
            .unwrap();
        let error = message(open(&path));
        assert!(
            error.contains("set.safetensors") && error.contains(reason),
            "{error}"
        );
    };
    refused(
        [200_000_000, 1, 1, 1],
        200_000_000,
        "holds 200000000 images, more than the 100000000 allowed",
    );
    refused(
        [1, 1, 1 << 20, 1 << 18],
        1,
        "has images of shape [1, 1048576, 262144]",
    );
    fs::write(&path, (1u64 << 39).to_le_bytes()).unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    assert!(message(open(&path)).contains("claims 549755813888 bytes"));
}

#[test]
fn bytes_are_divided_by_255_and_other_types_keep_their_values() {
    let (_root, path) = file();
    let labels = TensorView::new(Dtype::U8, vec![2, 1], &[7, 250]).unwrap();
    let read = |dtype, bytes: &[u8]| {
        let images = TensorView::new(dtype, vec![2, 1, 2], bytes).unwrap();
        let views = [("x_test", images), ("y_test", labels.clone())];
        safetensors::serialize_to_file(views, None, &path).unwrap();
        let set = open(&path).unwrap();
        assert_eq!([0, 1].map(|place| set.label(place)), [Class(7), Class(250)]);
        assert!(set.is_for_tests());
        assert_eq!(
            (set.shape(), set.holds_bytes()),
            ([1, 1, 2], dtype == Dtype::U8)
        );
        set.image(1).unwrap().pixels
    };
    assert_eq!(
        read(Dtype::U8, &[0, 255, 51, 102]),
        [51.0 / 255.0, 102.0 / 255.0]
    );
    let halves = [0_u16, 0, 0x3800, 0x3c00].map(u16::to_le_bytes).concat();
    assert_eq!(read(Dtype::F16, &halves), [0.5, 1.0]);
    let brain = [0_u16, 0, 0x3f00, 0x3e80].map(u16::to_le_bytes).concat();
    assert_eq!(read(Dtype::BF16, &brain), [0.5, 0.25]);
    let doubles = [0.0, 0.0, 0.1, 1.0_f64].map(f64::to_le_bytes).concat();
    assert_eq!(read(Dtype::F64, &doubles), [0.1_f32, 1.0]);
}

#[test]
fn a_layout_that_is_given_counts() {
    let (_root, path) = file();
    write_zeros(
        &path,
        &[
            ("images", Dtype::U8, &[2, 8, 9, 3]),
            ("labels", Dtype::I32, &[2]),
        ],
    );
    for (layout, shape) in [
        (PixelLayout::ChannelsFirst, [8, 9, 3]),
        (PixelLayout::ChannelsLast, [3, 8, 9]),
    ] {
        let spec = DatasetSpec {
            layout: Some(layout),
            ..spec(DatasetFormat::Tensors, &path)
        };
        assert_eq!(
            super::open(&spec, &Roots::anywhere()).unwrap().shape(),
            shape
        );
    }
}
