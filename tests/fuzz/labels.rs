//! Fuzzes lists of classes, lists of labels, and zip archives of images.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use ddrs_common::data::Dataset;
use ddrs_common::domain::SampleIndex;
use ddrs_common::spec::{DatasetFormat, DatasetSpec};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use zip::write::FileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::damage::{damaged, damaged_text};
use crate::data::read_all;
use crate::{file, fuzz};

fn picture() -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../common/src/data/testdata");
    fs::read(fixtures.join("colour.bmp")).unwrap()
}

/// Opens a dataset with a damaged list. Every error must name a list or the images, and every
/// label must be one of a class.
fn open(spec: &DatasetSpec, list: &Path) -> TestCaseResult {
    match Dataset::open(spec) {
        Ok(dataset) => {
            for index in (0..dataset.len()).map(SampleIndex) {
                let label = dataset.label(index).unwrap().0;
                prop_assert!(dataset.classes().is_none_or(|classes| label < classes));
            }
        }
        Err(error) => {
            let error = error.to_string();
            let mut files = [list, &spec.path]
                .into_iter()
                .chain(spec.classes.as_deref());
            let is_named = files.any(|file| error.contains(&file.display().to_string()));
            prop_assert!(is_named, "{error}");
        }
    }
    Ok(())
}

#[test]
fn damaged_lists_of_classes_are_read_or_refused_by_name() {
    let (dir, list) = file("classes.txt");
    for name in ["n01440764", "n01443537"] {
        fs::create_dir_all(dir.path().join("images").join(name)).unwrap();
        fs::write(
            dir.path().join("images").join(name).join("0.bmp"),
            picture(),
        )
        .unwrap();
    }
    let spec = DatasetSpec {
        classes: Some(list.clone()),
        ..DatasetSpec::whole(DatasetFormat::ImageFolder, &dir.path().join("images"))
    };
    let texts = [
        "n01440764 tench, Tinca tinca\nn01443537 goldfish\nn01484850 shark\n",
        "1 n01440764\n0 n01443537\n",
        "'n01440764',\n'n01443537',\n",
        r#"{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}"#,
        r#"{"n01440764": 1, "n01443537": 0}"#,
    ];
    for text in texts {
        fuzz(&damaged(text.into()), |bytes| {
            fs::write(&list, bytes).unwrap();
            open(&spec, &list)
        });
    }
}

#[test]
fn damaged_lists_of_labels_are_read_or_refused_by_name() {
    let (dir, list) = file("labels.txt");
    let images = dir.path().join("val");
    fs::create_dir(&images).unwrap();
    for number in 1..4 {
        fs::write(
            images.join(format!("ILSVRC2012_val_{number:08}.bmp")),
            picture(),
        )
        .unwrap();
    }
    let map = dir.path().join("map.txt");
    fs::write(
        &map,
        "n02119789 1 fox\nn01440764 2 tench\nn02100735 3 setter\n",
    )
    .unwrap();
    let plain = DatasetSpec {
        labels: Some(list.clone()),
        ..DatasetSpec::whole(DatasetFormat::Imagenet, &images)
    };
    let mapped = DatasetSpec {
        classes: Some(map),
        ..plain.clone()
    };
    let texts = [
        "ILSVRC2012_val_00000001.bmp 1\nILSVRC2012_val_00000002.bmp 0\n\
         ILSVRC2012_val_00000003.bmp 2\n",
        "ImageId,PredictionString\nILSVRC2012_val_00000001,n02119789 1 2 3 4\n\
         ILSVRC2012_val_00000003,n01440764 1 2\nILSVRC2012_val_00000002,n02100735 1 2\n",
        "3\n1\n2\n1\n",
        "0\n1\n2\n",
    ];
    for text in texts {
        fuzz(&damaged_text(text), |text| {
            fs::write(&list, text).unwrap();
            open(&plain, &list)?;
            open(&mapped, &list)
        });
    }
}

#[test]
fn damaged_archives_are_read_or_refused_by_name() {
    let (_dir, path) = file("val.zip");
    let mut archive = ZipWriter::new(File::create(&path).unwrap());
    for (name, method) in [
        ("val/n01/0.bmp", CompressionMethod::Stored),
        ("val/n02/0.bmp", CompressionMethod::Deflated),
        ("val/notes.txt", CompressionMethod::Stored),
    ] {
        let options = FileOptions::default().compression_method(method);
        archive.start_file(name, options).unwrap();
        archive.write_all(&picture()).unwrap();
    }
    let _ = archive.finish().unwrap();
    let whole = fs::read(&path).unwrap();
    // Most of the bytes are pixels; those at the end are the directory.
    let directory = whole.len() - 250;
    let (pixels, ending) = whole.split_at(directory);
    let ending = damaged(ending.to_vec()).prop_map(|ending| [pixels, &ending].concat());
    let spec = DatasetSpec::whole(DatasetFormat::Imagenet, &path);
    fuzz(&prop_oneof![damaged(whole.clone()), ending], |bytes| {
        fs::write(&path, bytes).unwrap();
        read_all(&spec, &path).map(|_| ())
    });
}
