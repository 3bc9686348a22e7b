//! Fuzzes the files of arrays (`.npz`, `.npy`, idx), CIFAR's pickles and archives, and Parquet.

use std::fs;
use std::path::{Path, PathBuf};

use ddrs_common::spec::{DatasetFormat, DatasetSpec};

use crate::damage::damaged;
use crate::data::read_all;
use crate::{file, fuzz};

fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/arrays");
    fs::read(folder.join(name)).unwrap()
}

fn parquet(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../common/src/data/testdata");
    fs::read(folder.join(name)).unwrap()
}

/// Damages a file of a dataset. Each case is read or refused by the name of its folder.
fn fuzz_file(spec: &DatasetSpec, path: &Path, whole: Vec<u8>) {
    let folder = path.parent().unwrap();
    fuzz(&damaged(whole), |bytes| {
        fs::write(path, &bytes).unwrap();
        read_all(spec, folder).map(|_| ())
    });
}

#[test]
fn damaged_npz_archives_are_read_or_refused_by_name() {
    let (_dir, path) = file("a.npz");
    for name in ["stored.npz", "packed.npz"] {
        fuzz_file(
            &DatasetSpec::whole(DatasetFormat::Npz, &path),
            &path,
            golden(name),
        );
    }
}

#[test]
fn damaged_npy_arrays_are_read_or_refused_by_name() {
    let (dir, path) = file("a.npy");
    let labels = dir.path().join("labels.npy");
    fs::write(&labels, golden("labels.npy")).unwrap();
    let spec = DatasetSpec {
        labels: Some(labels.clone()),
        ..DatasetSpec::whole(DatasetFormat::Npz, &path)
    };
    fuzz_file(&spec, &path, golden("images.npy"));
    fs::write(&path, golden("images.npy")).unwrap();
    fuzz_file(&spec, &labels, golden("labels.npy"));
}

#[test]
fn damaged_idx_files_are_read_or_refused_by_name() {
    let names = ["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"];
    let (dir, _) = file("");
    let paths: Vec<PathBuf> = names.iter().map(|name| dir.path().join(name)).collect();
    let spec = DatasetSpec::whole(DatasetFormat::Mnist, dir.path());
    for damaged in 0..2 {
        for (path, name) in paths.iter().zip(names) {
            fs::write(path, golden(name)).unwrap();
        }
        fuzz_file(&spec, &paths[damaged], golden(names[damaged]));
    }
    // Without gzip, whose checksum hides most damage from the reader behind it.
    fs::write(&paths[1], golden(names[1])).unwrap();
    let header = [0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 2];
    fuzz_file(&spec, &paths[0], [&header[..], &[7; 16]].concat());
}

#[test]
fn damaged_pickles_and_archives_of_cifar_are_read_or_refused_by_name() {
    let (dir, path) = file("cifar-10.tar.gz");
    let spec = DatasetSpec {
        split: Some("test".to_owned()),
        ..DatasetSpec::whole(DatasetFormat::Cifar10, &path)
    };
    fuzz_file(&spec, &path, golden("cifar-10-python.tar.gz"));
    let pickle = dir.path().join("test_batch");
    let whole = unpacked("cifar-10-python.tar.gz", "test_batch");
    fuzz_file(
        &DatasetSpec::whole(DatasetFormat::Cifar10, &pickle),
        &pickle,
        whole,
    );
    let pickle = dir.path().join("test");
    let whole = unpacked("cifar-100-python.tar.gz", "test");
    fuzz_file(
        &DatasetSpec::whole(DatasetFormat::Cifar100, &pickle),
        &pickle,
        whole,
    );
}

/// A member of a reference, by the end of its name.
fn unpacked(archive: &str, member: &str) -> Vec<u8> {
    let packed = golden(archive);
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&packed[..]));
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let mut entry = entries
        .find(|entry| entry.path().unwrap().ends_with(member))
        .unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
    bytes
}

#[test]
fn damaged_parquet_files_are_read_or_refused_by_name() {
    let (_dir, path) = file("test.parquet");
    let spec = DatasetSpec::whole(DatasetFormat::Parquet, &path);
    for name in ["snappy", "gzip-v2", "plain", "missing"] {
        fuzz_file(&spec, &path, parquet(&format!("{name}.parquet")));
    }
}
