//! The dataset as its users see it, and what the tests of its parts share.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::thread;

use image::{DynamicImage, RgbImage};

use super::*;
use crate::spec::ResizeTo;

/// The image that scripts/image_fixtures.py computes: slow waves in one corner, high frequencies in
/// the other.
pub(super) fn formula(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb(
            [0, 1, 2].map(|c| (((c + 1) * x * x + (3 - c) * y * y + 5 * x * y) / 8 % 256) as u8),
        )
    })
}

/// A file of testdata.
pub(super) fn fixture(name: &str) -> Vec<u8> {
    fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/data/testdata")
            .join(name),
    )
    .unwrap()
}

/// Compares two images: (largest difference, the fraction of values that differ by at most
/// 1).
pub(super) fn difference(ours: &[u8], theirs: &[u8]) -> (u8, f64) {
    assert_eq!(ours.len(), theirs.len());
    let apart = || ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b));
    (
        apart().max().unwrap(),
        apart().filter(|&d| d <= 1).count() as f64 / ours.len() as f64,
    )
}

/// Writes an image under a root, with the folders above it.
pub(super) fn save(root: &Path, name: &str, image: &RgbImage) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.save(path).unwrap();
}

pub(super) fn spec(format: DatasetFormat, path: &Path) -> DatasetSpec {
    DatasetSpec::whole(format, path)
}

/// The message of an error that must be there.
pub(super) fn message<T>(result: Result<T, DataError>) -> String {
    result.err().expect("an error").to_string()
}

#[test]
fn a_missing_path_is_named_whatever_the_format() {
    for format in [
        DatasetFormat::ImageFolder,
        DatasetFormat::Cifar10,
        DatasetFormat::Cifar100,
        DatasetFormat::Mnist,
        DatasetFormat::Npz,
        DatasetFormat::Parquet,
        DatasetFormat::Tensors,
    ] {
        let error = Dataset::open(&spec(format, "/nonexistent/images".as_ref())).unwrap_err();
        assert!(matches!(error, DataError::Io { .. }));
        assert!(error.to_string().contains("/nonexistent/images"), "{error}");
    }
}

#[test]
fn a_corrupt_image_fails_its_sample_and_no_other() {
    let root = tempfile::tempdir().unwrap();
    for name in ["cat/0.png", "cat/1.png", "dog/0.jpg"] {
        save(root.path(), name, &formula(9, 7));
    }
    fs::write(root.path().join("cat/1.png"), "not an image").unwrap();
    let dataset = Dataset::open(&spec(DatasetFormat::ImageFolder, root.path())).unwrap();
    let error = dataset.image(SampleIndex(1)).unwrap_err();
    assert!(matches!(
        error,
        DataError::Sample {
            index: SampleIndex(1),
            ..
        }
    ));
    assert!(
        error
            .to_string()
            .contains(root.path().join("cat/1.png").to_str().unwrap()),
        "{error}"
    );
    for index in [0, 2] {
        assert_eq!(dataset.image(SampleIndex(index)).unwrap().shape, [3, 7, 9]);
    }
}

#[test]
fn an_image_of_another_shape_than_the_network_takes_is_named() {
    let root = tempfile::tempdir().unwrap();
    save(root.path(), "cat/0.png", &formula(9, 7));
    let dataset = Dataset::open(&spec(DatasetFormat::ImageFolder, root.path())).unwrap();
    assert!(dataset.image_of_shape(SampleIndex(0), [3, 7, 9]).is_ok());
    let error = message(dataset.image_of_shape(SampleIndex(0), [3, 9, 7]));
    assert!(
        error.contains("sample 0, ") && error.contains("cat/0.png"),
        "{error}"
    );
    assert!(
        error.contains("the image has shape [3, 7, 9], the first of the sweep [3, 9, 7]; `resize`"),
        "{error}"
    );
    let tensors = root.path().join("t.safetensors");
    write_tensors(&tensors, [1, 1, 2, 2], &[0.0; 4], &[Class(0)]).unwrap();
    let dataset = Dataset::open(&spec(DatasetFormat::Tensors, &tensors)).unwrap();
    assert!(
        message(dataset.image_of_shape(SampleIndex(0), [1, 1, 4]))
            .contains("t.safetensors: the image has shape")
    );
}

/// The facts about all samples.
fn facts(spec: &DatasetSpec) -> Result<crate::grid::ImageFacts, DataError> {
    let dataset = Dataset::open(spec)?;
    let samples = (0..dataset.len()).map(SampleIndex);
    dataset.image_facts(spec, samples, crate::domain::Sigma::new(0.5).unwrap())
}

#[test]
fn photographs_of_several_sizes_need_a_crop_or_both_sides() {
    let root = tempfile::tempdir().unwrap();
    save(root.path(), "cat/0.png", &formula(9, 7));
    save(root.path(), "dog/0.png", &formula(7, 9));
    let plain = spec(DatasetFormat::ImageFolder, root.path());
    let shorter = DatasetSpec {
        resize: Some(ResizeTo::Shorter(6)),
        ..plain.clone()
    };
    for (spec, first, second) in [(&plain, "9 x 7", "7 x 9"), (&shorter, "7 x 6", "6 x 7")] {
        let error = message(facts(spec));
        for part in [
            "cat/0.png is ",
            first,
            "dog/0.png is ",
            second,
            "dataset.crop",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
    let cropped = DatasetSpec {
        crop: Some(5),
        ..shorter
    };
    assert_eq!(facts(&cropped).unwrap().shape, [3, 5, 5]);
    let both = DatasetSpec {
        resize: Some(ResizeTo::Exact {
            height: 4,
            width: 6,
        }),
        ..plain
    };
    assert_eq!(facts(&both).unwrap().shape, [3, 4, 6]);
}

#[test]
fn an_image_that_cannot_be_read_has_no_size_to_compare() {
    let root = tempfile::tempdir().unwrap();
    for name in ["cat/0.png", "cat/1.png", "dog/0.png"] {
        save(root.path(), name, &formula(9, 7));
    }
    fs::write(root.path().join("cat/0.png"), "x").unwrap();
    let plain = spec(DatasetFormat::ImageFolder, root.path());
    assert_eq!(facts(&plain).unwrap().shape, [3, 7, 9]);
}

#[test]
fn a_network_must_have_the_classes_of_the_data() {
    let root = tempfile::tempdir().unwrap();
    for name in ["cat/0.png", "dog/0.png"] {
        save(root.path(), name, &formula(2, 2));
    }
    let mismatch = |spec: &DatasetSpec, network| Dataset::open(spec).unwrap().mismatch(network);
    let folder = spec(DatasetFormat::ImageFolder, root.path());
    assert_eq!(mismatch(&folder, 2), None);
    let fewer = mismatch(&folder, 1).unwrap();
    assert!(
        fewer.contains("2 class folders: ") && fewer.contains("a folder is not a class"),
        "{fewer}"
    );
    assert_eq!(mismatch(&folder, 3), None, "remarked, not refused");
    let dataset = Dataset::open(&folder).unwrap();
    let note = dataset.note_of_classes(3).unwrap();
    assert!(
        note.contains("2 class folder(s), the network 3 classes") && note.contains("all 3 names"),
        "{note}"
    );
    assert_eq!(dataset.note_of_classes(2), None);

    let names = root.path().join("names");
    fs::write(&names, "cat\nbird\ndog").unwrap();
    let listed = DatasetSpec {
        classes: Some(names),
        ..folder
    };
    assert_eq!(mismatch(&listed, 3), None);
    for network in [2, 4] {
        let other = mismatch(&listed, network).unwrap();
        assert!(other.contains("dataset.classes lists 3"), "{other}");
    }

    let file = root.path().join("a.bin");
    fs::write(&file, vec![0; 3073]).unwrap();
    let cifar = spec(DatasetFormat::Cifar10, &file);
    assert_eq!(mismatch(&cifar, 10), None);
    assert!(mismatch(&cifar, 100).unwrap().ends_with("a.bin has 10"));
}

#[test]
fn labels_that_a_network_cannot_answer_are_named() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("t.safetensors");
    let labels = [Class(0), Class(10), Class(37)];
    write_tensors(&file, [3, 1, 1, 1], &[0.0; 3], &labels).unwrap();
    let dataset = Dataset::open(&spec(DatasetFormat::Tensors, &file)).unwrap();
    let error = dataset.mismatch(10).unwrap();
    assert!(
        error.starts_with("sample 1 of ") && error.ends_with("numbers from 0 to 9"),
        "{error}"
    );
    assert_eq!(dataset.mismatch(38), None);
    let note = dataset.note_of_classes(38).unwrap();
    assert!(note.starts_with("3 of the network's 38 classes"), "{note}");
}

#[test]
fn an_index_past_the_end_is_named_with_the_length() {
    let root = tempfile::tempdir().unwrap();
    save(root.path(), "cat/0.png", &formula(2, 2));
    let dataset = Dataset::open(&spec(DatasetFormat::ImageFolder, root.path())).unwrap();
    for error in [
        message(dataset.label(SampleIndex(1))),
        message(dataset.image(SampleIndex(1))),
    ] {
        assert!(
            error.contains("sample 1,") && error.contains("only 1 samples"),
            "{error}"
        );
    }
}

#[test]
fn keys_that_a_format_lacks_are_refused() {
    let folder = spec(DatasetFormat::ImageFolder, "/data".as_ref());
    let tensors = spec(DatasetFormat::Tensors, "/data".as_ref());
    let cifar = spec(DatasetFormat::Cifar10, "/data".as_ref());
    let refused = |spec: DatasetSpec, word: &str| {
        let error = message(Dataset::open(&spec));
        assert!(error.contains("/data") && error.contains(word), "{error}");
    };
    refused(
        DatasetSpec {
            crop: Some(0),
            ..folder
        },
        "at least 1 pixel",
    );
    refused(
        DatasetSpec {
            resize: Some(ResizeTo::Shorter(8)),
            ..tensors.clone()
        },
        "`resize`",
    );
    refused(
        DatasetSpec {
            classes: Some(PathBuf::from("names")),
            ..tensors
        },
        "`classes`",
    );
    refused(
        DatasetSpec {
            resize: Some(ResizeTo::Shorter(8)),
            ..cifar.clone()
        },
        "`resize`",
    );
    refused(
        DatasetSpec {
            classes: Some(PathBuf::from("names")),
            ..cifar
        },
        "`classes`",
    );
}

#[test]
fn threads_read_one_dataset_together() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("t.safetensors");
    let pixels: Vec<f32> = (0..64 * 12).map(|i| i as f32 / 1000.0).collect();
    let labels: Vec<Class> = (0..64).map(Class).collect();
    write_tensors(&file, [64, 3, 2, 2], &pixels, &labels).unwrap();
    let dataset = Dataset::open(&spec(DatasetFormat::Tensors, &file)).unwrap();
    thread::scope(|scope| {
        for start in 0..4 {
            let (dataset, pixels) = (&dataset, &pixels);
            scope.spawn(move || {
                for index in (start..64).step_by(4).chain(0..64) {
                    let image = dataset.image(SampleIndex(index)).unwrap();
                    assert_eq!(image.pixels, pixels[index as usize * 12..][..12]);
                }
            });
        }
    });
}

#[test]
#[cfg_attr(
    not(ddrs_shared),
    ignore = "needs real images and models: set DDRS_SHARED to their folder"
)]
fn real_photographs_are_resized_and_cropped() {
    let shared = Path::new(env!("DDRS_SHARED")).join("data/imagenet-samples");
    let root = tempfile::tempdir().unwrap();
    let tar = std::process::Command::new("tar")
        .args(["-xf".as_ref(), shared.join("val.tar").as_os_str()])
        .current_dir(root.path())
        .status();
    assert!(tar.unwrap().success(), "cannot unpack {}", shared.display());
    let spec = DatasetSpec {
        resize: Some(ResizeTo::Shorter(256)),
        crop: Some(224),
        classes: Some(shared.join("synsets.txt")),
        ..spec(DatasetFormat::ImageFolder, &root.path().join("val"))
    };
    let dataset = Dataset::open(&spec).unwrap();
    assert_eq!((dataset.len(), dataset.classes()), (100, Some(1000)));
    for index in (0..100).map(SampleIndex) {
        let image = dataset.image(index).unwrap();
        assert_eq!(image.shape, [3, 224, 224]);
        let mean = image.pixels.iter().sum::<f32>() / image.pixels.len() as f32;
        assert!((0.02..0.98).contains(&mean), "{index}: {mean}");
    }
}

/// The bytes of an image in a file format.
pub(super) fn encoded(image: impl Into<DynamicImage>, format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}
