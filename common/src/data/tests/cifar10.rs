#![allow(clippy::unwrap_used)]

use super::*;
use crate::data::tests::message;

fn open(path: &Path) -> Result<Cifar10, DataError> {
    Cifar10::open(path, &Roots::anywhere())
}

/// A row whose pixels count upwards from `start`.
fn row(label: u8, start: u8) -> Vec<u8> {
    std::iter::once(label)
        .chain((0..3 * PLANE).map(|at| start.wrapping_add(at as u8)))
        .collect()
}

#[test]
fn rows_are_labels_and_planes() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("test_batch.bin");
    fs::write(&file, [row(3, 0), row(9, 100)].concat()).unwrap();
    let cifar = open(&file).unwrap();
    assert_eq!(
        (cifar.len(), cifar.label(0), cifar.label(1)),
        (2, Class(3), Class(9))
    );
    let image = cifar.image(1).unwrap();
    assert_eq!((image.width, image.height), (32, 32));
    let planes = |c: usize| image.bytes.iter().skip(c).step_by(3).copied();
    assert_eq!(
        (0..3).flat_map(planes).collect::<Vec<u8>>(),
        row(9, 100)[1..]
    );
}

#[test]
fn a_folder_joins_its_batches_in_name_order() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("data_batch_2.bin"), row(2, 2)).unwrap();
    fs::write(
        root.path().join("data_batch_1.bin"),
        [row(1, 1), row(7, 7)].concat(),
    )
    .unwrap();
    fs::write(root.path().join("batches.meta.txt"), "airplane").unwrap();
    let cifar = open(root.path()).unwrap();
    assert_eq!(
        (0..cifar.len())
            .map(|place| cifar.label(place).0)
            .collect::<Vec<_>>(),
        [1, 7, 2]
    );
    assert_eq!(cifar.image(2).unwrap().bytes[0], 2);
    assert!(cifar.path(2).ends_with("data_batch_2.bin"));
}

#[test]
fn files_that_are_no_cifar_are_named_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    assert!(message(open(root.path())).contains("holds no .bin file"));
    let file = root.path().join("test_batch.bin");
    let refused = |bytes: &[u8], reason: &str| {
        fs::write(&file, bytes).unwrap();
        let error = message(open(root.path()));
        assert!(
            error.contains("test_batch.bin") && error.contains(reason),
            "{error}"
        );
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
    assert_eq!(open(&file).unwrap().digest().unwrap(), expected);
}

#[test]
fn a_file_cut_short_later_fails_the_sample() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("a.bin");
    fs::write(&file, [row(1, 0), row(2, 0)].concat()).unwrap();
    let cifar = open(&file).unwrap();
    fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(ROW as u64 + 9)
        .unwrap();
    assert!(cifar.image(0).is_ok());
    assert!(matches!(cifar.image(1), Err(Fault::Io(_))));
}

#[test]
fn more_rows_than_memory_holds_are_refused_before_they_are_read() {
    let root = tempfile::tempdir().unwrap();
    let file = fs::File::create(root.path().join("a.bin")).unwrap();
    file.set_len((MAX_SAMPLES + 1) * ROW as u64).unwrap();
    let error = message(open(root.path()));
    assert!(
        error.contains("a.bin: its 100000001 rows are more than the 100000000 allowed"),
        "{error}"
    );
}
