//! Fuzzes CIFAR-10 files and datasets of tensors.

use std::fs;
use std::path::Path;

use ddrs_common::data::{Dataset, write_tensors};
use ddrs_common::domain::{Class, SampleIndex};
use ddrs_common::spec::{DatasetFormat, DatasetSpec};
use proptest::prelude::*;

use crate::damage::damaged;
use crate::{file, fuzz};

/// Opens a dataset and reads all its samples. Every error must name the file, and every pixel must
/// be in [0, 1].
pub(crate) fn read_all(spec: &DatasetSpec, named: &Path) -> Result<u64, TestCaseError> {
    let name = named.display().to_string();
    let dataset = match Dataset::open(spec) {
        Ok(dataset) => dataset,
        Err(error) => {
            prop_assert!(error.to_string().contains(&name), "{error}");
            return Ok(0);
        }
    };
    for index in (0..dataset.len()).map(SampleIndex) {
        match dataset.image(index) {
            Ok(image) => {
                prop_assert_eq!(image.pixels.len(), image.shape.iter().product::<usize>());
                prop_assert!(image.pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
            }
            Err(error) => {
                let error = error.to_string();
                prop_assert!(
                    error.starts_with(&format!("sample {index}, ")) && error.contains(&name),
                    "{error}"
                );
            }
        }
    }
    Ok(dataset.len())
}

#[test]
fn damaged_cifar_files_are_read_or_refused_by_name() {
    let (_dir, path) = file("a.bin");
    let row = |label: u8| std::iter::once(label).chain((0..3072).map(|i| i as u8));
    let whole: Vec<u8> = (0..3).flat_map(row).collect();
    let rows = prop::collection::vec(any::<u8>(), 0..4)
        .prop_map(move |labels| labels.into_iter().flat_map(row).collect());
    fuzz(&prop_oneof![damaged(whole), rows], |bytes| {
        fs::write(&path, &bytes).unwrap();
        let read = read_all(&DatasetSpec::whole(DatasetFormat::Cifar10, &path), &path)?;
        prop_assert!(read == 0 || read == bytes.len() as u64 / 3073);
        Ok(())
    });
}

#[test]
fn damaged_tensors_are_read_or_refused_by_name() {
    let (_dir, path) = file("a.safetensors");
    write_tensors(
        &path,
        [3, 1, 2, 2],
        &[0.5; 12],
        &[Class(0), Class(1), Class(2)],
    )
    .unwrap();
    let whole = fs::read(&path).unwrap();
    fuzz(&damaged(whole), |bytes| {
        fs::write(&path, &bytes).unwrap();
        read_all(&DatasetSpec::whole(DatasetFormat::Tensors, &path), &path).map(|_| ())
    });
}

#[test]
fn invented_headers_are_read_or_refused_by_name() {
    let (_dir, path) = file("a.safetensors");
    let size = || prop_oneof![0..4_u64, Just(1 << 20), Just(1 << 32), Just(u64::MAX)];
    let tensor = move |name: &'static str, kinds: &'static [&'static str]| {
        let shape = prop::collection::vec(size(), 0..6);
        (prop::sample::select(kinds), shape, size(), size()).prop_map(
            move |(kind, shape, from, to)| {
                let offsets = [from, to];
                let view = serde_json::json!({
                    "dtype": kind, "shape": shape, "data_offsets": offsets
                });
                serde_json::json!({ name: view })
            },
        )
    };
    let header = (
        tensor("images", &["F32", "F64", "BOOL"]),
        tensor("labels", &["I64", "F4", "U8"]),
    );
    fuzz(
        &(header, 0..64_usize, prop::option::of(any::<u64>())),
        |((images, labels), length, claimed)| {
            let mut header = images;
            header
                .as_object_mut()
                .unwrap()
                .extend(labels.as_object().unwrap().clone());
            let header = header.to_string();
            let claimed = claimed.unwrap_or(header.len() as u64).to_le_bytes();
            fs::write(
                &path,
                [&claimed, header.as_bytes(), &vec![0; length]].concat(),
            )
            .unwrap();
            read_all(&DatasetSpec::whole(DatasetFormat::Tensors, &path), &path).map(|_| ())
        },
    );
}

#[test]
fn written_tensors_are_read_back_unchanged() {
    let (_dir, path) = file("a.safetensors");
    let cases = (1..4_usize, 1..4_usize, 1..4_usize, 1..4_usize).prop_flat_map(|(n, c, h, w)| {
        let pixels = prop::collection::vec(0.0..=1.0_f32, n * c * h * w);
        (
            Just([n, c, h, w]),
            pixels,
            prop::collection::vec(any::<u32>(), n),
        )
    });
    fuzz(&cases, |(shape, pixels, labels)| {
        let labels: Vec<Class> = labels.into_iter().map(Class).collect();
        write_tensors(&path, shape, &pixels, &labels).unwrap();
        let dataset = Dataset::open(&DatasetSpec::whole(DatasetFormat::Tensors, &path)).unwrap();
        let images: Vec<f32> = (0..shape[0] as u64)
            .flat_map(|i| dataset.image(SampleIndex(i)).unwrap().pixels)
            .collect();
        let read: Vec<Class> = (0..shape[0] as u64)
            .map(|i| dataset.label(SampleIndex(i)).unwrap())
            .collect();
        prop_assert_eq!((images, read), (pixels, labels));
        Ok(())
    });
}
