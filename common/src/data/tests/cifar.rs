#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::data::tests::{message, spec};
use crate::spec::DatasetFormat;

fn open(path: &Path) -> Result<Cifar, DataError> {
    open_split(path, None)
}

fn open_split(path: &Path, split: Option<&str>) -> Result<Cifar, DataError> {
    let spec = DatasetSpec {
        split: split.map(str::to_owned),
        ..spec(DatasetFormat::Cifar10, path)
    };
    Cifar::open(&spec, CifarKind::Ten, &Roots::anywhere())
}

fn labels(cifar: &Cifar) -> Vec<u32> {
    (0..cifar.len()).map(|place| cifar.label(place).0).collect()
}

/// A row whose pixels count upwards from `start`.
fn row(label: u8, start: u8) -> Vec<u8> {
    std::iter::once(label)
        .chain((0..PIXELS).map(|at| start.wrapping_add(at as u8)))
        .collect()
}

/// A `.tar.gz` archive of these files in a folder.
fn archive(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let path = format!("cifar-10-batches-bin/{name}");
        builder
            .append_data(&mut header, path, bytes.as_slice())
            .unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
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
    assert_eq!(image.shape, [3, 32, 32]);
    let bytes = image
        .pixels
        .iter()
        .map(|value| (value * 255.0).round() as u8);
    assert_eq!(bytes.collect::<Vec<u8>>(), row(9, 100)[1..]);
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
    assert_eq!(labels(&cifar), [1, 7, 2]);
    assert_eq!(cifar.image(2).unwrap().pixels[0], 2.0 / 255.0);
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
            error.starts_with(root.path().to_str().unwrap()) && error.contains(reason),
            "{error}"
        );
    };
    refused(&row(1, 0)[..3000], "3000 bytes");
    refused(&[row(9, 0), row(10, 0)].concat(), "row 1 has label 10");
    refused(
        &[0; 3074],
        "not a multiple of 3073; it is one of 3074, CIFAR-100's",
    );
    refused(&[], "holds no row of CIFAR-10");
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
        .set_len(3073 + 9)
        .unwrap();
    assert!(cifar.image(0).is_ok());
    assert!(matches!(cifar.image(1), Err(Fault::Io(_))));
}

#[test]
fn more_rows_than_memory_holds_are_refused_before_they_are_read() {
    let root = tempfile::tempdir().unwrap();
    let file = fs::File::create(root.path().join("a.bin")).unwrap();
    file.set_len((MAX_SAMPLES + 1) * 3073).unwrap();
    let error = message(open(root.path()));
    assert!(
        error.contains("a.bin: its 100000001 rows are more than the 100000000 allowed"),
        "{error}"
    );
}

#[test]
fn training_and_test_images_are_joined_only_on_request() {
    let root = tempfile::tempdir().unwrap();
    let files = [
        ("data_batch_1.bin", row(1, 1)),
        ("data_batch_2.bin", row(2, 2)),
        ("test_batch.bin", row(3, 3)),
    ];
    for (name, bytes) in &files {
        fs::write(root.path().join(name), bytes).unwrap();
    }
    let packed = root.path().join("cifar.tar.gz");
    fs::write(&packed, archive(&files)).unwrap();
    for path in [root.path(), &packed] {
        let error = message(open(path));
        assert!(
            error.contains("holds training and test images: set dataset.split to"),
            "{error}"
        );
        let selected = DatasetSpec {
            selection: crate::domain::Selection {
                offset: 2,
                ..crate::domain::Selection::ALL
            },
            ..spec(DatasetFormat::Cifar10, path)
        };
        let selected = Cifar::open(&selected, CifarKind::Ten, &Roots::anywhere());
        assert_eq!(selected.unwrap().len(), 3);
        let of = |split| labels(&open_split(path, Some(split)).unwrap());
        assert_eq!((of("train"), of("test")), (vec![1, 2], vec![3]));
        assert_eq!(of("all"), [1, 2, 3]);
        let all = open_split(path, Some("all")).unwrap();
        assert_eq!(
            [0, 1, 2].map(|place| all.is_for_tests(place)),
            [false, false, true]
        );
        let digest = |split| open_split(path, Some(split)).unwrap().digest().unwrap();
        assert_eq!(digest("test"), <[u8; 32]>::from(Sha256::digest(row(3, 3))));
        assert!(message(open_split(path, Some("val"))).contains("has no split \"val\""));
    }
    let one = root.path().join("data_batch_1.bin");
    assert!(message(open_split(&one, Some("test"))).contains("no file of split \"test\""));
}

#[test]
fn the_folder_that_holds_the_published_one_is_enough() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cifar-10-batches-bin");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("test_batch.bin"), row(4, 0)).unwrap();
    assert_eq!(labels(&open(root.path()).unwrap()), [4]);
}

#[test]
fn rows_of_cifar_100_have_their_fine_label() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("test.bin");
    fs::write(&file, [vec![19], row(99, 5)].concat()).unwrap();
    let spec = spec(DatasetFormat::Cifar100, root.path());
    let open = || Cifar::open(&spec, CifarKind::Hundred, &Roots::anywhere());
    let cifar = open().unwrap();
    assert_eq!((labels(&cifar), cifar.classes()), (vec![99], 100));
    assert_eq!(cifar.image(0).unwrap().pixels[1], 6.0 / 255.0);
    assert!(cifar.is_for_tests(0));
    fs::write(&file, [vec![0], row(100, 5)].concat()).unwrap();
    assert!(message(open()).contains("row 0 has label 100, CIFAR-100 has labels 0 to 99"));
}

#[test]
fn a_damaged_archive_is_named() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("cifar.tar.gz");
    let whole = archive(&[("test_batch.bin", row(1, 0))]);
    for bytes in [&whole[..whole.len() / 2], &whole[..40]] {
        fs::write(&file, bytes).unwrap();
        let error = message(open(&file));
        assert!(
            error.contains("cifar.tar.gz: cannot be unpacked"),
            "{error}"
        );
    }
    let mut other = GzEncoder::new(Vec::new(), Compression::fast());
    other.write_all(&row(1, 0)).unwrap();
    fs::write(&file, other.finish().unwrap()).unwrap();
    assert!(message(open(&file)).contains("cannot be unpacked as a .tar.gz archive"));
    fs::write(&file, archive(&[("readme.html", vec![0; 9])])).unwrap();
    assert!(message(open(&file)).contains("holds no row of CIFAR-10"));
}

/// A batch as Python 3 pickles it: a dictionary of an array of numpy and lists of labels.
fn pickled(lists: &[(&str, &[u8])], pixels: &[u8]) -> Vec<u8> {
    let text = |text: &str| [&[0x8c, text.len() as u8], text.as_bytes()].concat();
    let count = (pixels.len() / PIXELS) as u8;
    let mut pickle = [&b"\x80\x04}("[..], &text("data")].concat();
    pickle.extend(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R");
    // Version 1, the shape, the type u1, row-major order, and the bytes.
    pickle.extend([b"(K\x01K", &[count][..], b"M\x00\x0c\x86cnumpy\ndtype\n"].concat());
    pickle.extend([&text("u1")[..], b"K\x00K\x01\x87R(K\x03"].concat());
    pickle.extend(
        [
            &text("|")[..],
            b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89B",
        ]
        .concat(),
    );
    pickle.extend((pixels.len() as u32).to_le_bytes());
    pickle.extend([pixels, b"tb"].concat());
    for (key, labels) in lists {
        let labels: Vec<u8> = labels.iter().flat_map(|&label| [b'K', label]).collect();
        pickle.extend([&text(key)[..], b"](", &labels, b"e"].concat());
    }
    pickle.extend(b"u.");
    pickle
}

#[test]
fn pickled_batches_are_the_same_dataset_as_binary_ones() {
    let root = tempfile::tempdir().unwrap();
    let rows = [row(3, 0), row(9, 100)];
    let pixels = [&rows[0][1..], &rows[1][1..]].concat();
    let pickle = pickled(&[("labels", &[3, 9])], &pixels);
    let folder = root.path().join("cifar-10-batches-py");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("test_batch"), &pickle).unwrap();
    fs::write(folder.join("batches.meta"), b"\x80\x04}.").unwrap();
    let packed = root.path().join("cifar.tar.gz");
    fs::write(&packed, archive(&[("test_batch", pickle)])).unwrap();
    let expected: [u8; 32] = Sha256::digest(rows.concat()).into();
    for path in [root.path(), &folder, &packed] {
        let cifar = open(path).unwrap();
        assert_eq!((labels(&cifar), cifar.is_for_tests(0)), (vec![3, 9], true));
        assert_eq!(cifar.digest().unwrap(), expected);
    }
    let both = [("coarse_labels", &[0, 1][..]), ("fine_labels", &[98, 99])];
    fs::write(folder.join("test"), pickled(&both, &pixels)).unwrap();
    let spec = spec(DatasetFormat::Cifar100, &folder.join("test"));
    let cifar = Cifar::open(&spec, CifarKind::Hundred, &Roots::anywhere()).unwrap();
    assert_eq!(labels(&cifar), [98, 99]);
}

#[test]
fn pickles_of_something_else_are_named_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("test_batch");
    let refused = |bytes: &[u8], reason: &str| {
        fs::write(&file, bytes).unwrap();
        let error = message(open(&file));
        assert!(
            error.contains("test_batch: ") && error.contains(reason),
            "{error}"
        );
    };
    let pixels = [0; 2 * PIXELS];
    refused(b"\x80\x04}.", "the pickle has no \"data\"");
    refused(
        b"\x80\x04cos\nsystem\n)R.",
        "the pickle calls os.system, which is refused",
    );
    refused(
        &pickled(&[("labels", &[1])], &pixels),
        "holds 1 labels for 2 images",
    );
    refused(
        &pickled(&[("fine_labels", &[1, 1])], &pixels),
        "has no list \"labels\"",
    );
    refused(&pickled(&[], &pixels[1..]), "is u1 [1, 3072] in 6143 bytes");
    let whole = pickled(&[("labels", &[1, 2])], &pixels);
    refused(&whole[..whole.len() / 2], "the pickle is cut off");
}
