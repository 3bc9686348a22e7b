#![allow(clippy::unwrap_used)]

use super::*;
use crate::data::tests::message;

const PLAIN: Transform = Transform { resize: None, crop: None };

/// A row whose pixels count upwards from `start`.
fn row(label: u8, start: u8) -> Vec<u8> {
    std::iter::once(label).chain((0..3 * PLANE).map(|at| start.wrapping_add(at as u8))).collect()
}

#[test]
fn rows_are_labels_and_planes() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("test_batch.bin");
    fs::write(&file, [row(3, 0), row(9, 100)].concat()).unwrap();
    let cifar = Cifar10::open(&file).unwrap();
    assert_eq!((cifar.len(), cifar.label(0), cifar.label(1)), (2, Class(3), Class(9)));
    let image = cifar.image(1, PLAIN).unwrap();
    assert_eq!(image.shape, [3, 32, 32]);
    let expected: Vec<f32> = row(9, 100)[1..].iter().map(|&byte| f32::from(byte) / 255.0).collect();
    assert_eq!(image.pixels, expected);
}

#[test]
fn a_folder_joins_its_batches_in_name_order() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("data_batch_2.bin"), row(2, 2)).unwrap();
    fs::write(root.path().join("data_batch_1.bin"), [row(1, 1), row(7, 7)].concat()).unwrap();
    fs::write(root.path().join("batches.meta.txt"), "airplane").unwrap();
    let cifar = Cifar10::open(root.path()).unwrap();
    assert_eq!((0..cifar.len()).map(|place| cifar.label(place).0).collect::<Vec<_>>(), [1, 7, 2]);
    assert_eq!(cifar.image(2, PLAIN).unwrap().pixels[0], 2.0 / 255.0);
    assert!(cifar.path(2).ends_with("data_batch_2.bin"));
}

#[test]
fn images_can_be_resized() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a.bin"), row(0, 0)).unwrap();
    let image = Cifar10::open(root.path()).unwrap().image(0, Transform { resize: Some(64), crop: Some(60) }).unwrap();
    assert_eq!(image.shape, [3, 60, 60]);
}

#[test]
fn files_that_are_no_cifar_are_named_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    assert!(message(Cifar10::open(root.path())).contains("holds no .bin file"));
    let file = root.path().join("test_batch.bin");
    let refused = |bytes: &[u8], reason: &str| {
        fs::write(&file, bytes).unwrap();
        let error = message(Cifar10::open(root.path()));
        assert!(error.contains("test_batch.bin") && error.contains(reason), "{error}");
    };
    refused(&row(1, 0)[..3000], "3000 bytes");
    refused(&[row(9, 0), row(10, 0)].concat(), "row 1 has label 10");
}

#[test]
fn the_digest_is_that_of_the_bytes() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("a.bin");
    fs::write(&file, row(1, 0)).unwrap();
    let expected: [u8; 32] = Sha256::digest(row(1, 0)).into();
    assert_eq!(Cifar10::open(&file).unwrap().digest().unwrap(), expected);
}

#[test]
fn a_file_cut_short_later_fails_the_sample() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("a.bin");
    fs::write(&file, [row(1, 0), row(2, 0)].concat()).unwrap();
    let cifar = Cifar10::open(&file).unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_len(ROW as u64 + 9).unwrap();
    assert!(cifar.image(0, PLAIN).is_ok());
    assert!(matches!(cifar.image(1, PLAIN), Err(Fault::Io(_))));
}
