//! Fuzzes checkpoints of `torch.save`, and Python's pickles.

use std::fs;
use std::path::{Path, PathBuf};

use ddrs_common::architecture::{Architecture, check_model};
use ddrs_common::model_file::NamedTensors;
use ddrs_common::pickle::{NUMPY_CONSTRUCTORS, Pickle, PickleRules, PickleValue};
use ddrs_common::roots::Roots;
use proptest::prelude::*;

use crate::damage::damaged;
use crate::{file, fuzz};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(name)
}

#[test]
fn damaged_checkpoints_are_read_or_refused_by_name() {
    let (_dir, path) = file("m.pth");
    for name in ["zip.pth", "stream.pth.tar", "tar.pth", "module.pt"] {
        let whole = fs::read(golden("checkpoints").join(name)).unwrap();
        fuzz(&damaged(whole), |bytes| {
            fs::write(&path, &bytes).unwrap();
            read_all(&path)?;
            let error = check_model(&path, Architecture::HalfSpace, 2)
                .unwrap_err()
                .to_string();
            prop_assert!(
                error.starts_with(&format!("{}: ", path.display())),
                "{error}"
            );
            Ok(())
        });
    }
}

/// Reads every tensor. Its values must fill its shape.
fn read_all(path: &Path) -> Result<(), TestCaseError> {
    let Ok(file) = NamedTensors::open(path, &Roots::anywhere()) else {
        return Ok(());
    };
    for (name, tensor) in file.tensors() {
        if let Ok(bytes) = file.read(name) {
            let width = tensor.dtype.bitsize() as u64 / 8;
            prop_assert_eq!(bytes.len() as u64, tensor.len() * width);
        }
    }
    Ok(())
}

#[test]
fn damaged_pickles_are_read_or_refused() {
    for name in [
        "protocol0",
        "protocol2",
        "protocol4",
        "numpy_python2",
        "numpy_protocol2",
    ] {
        let whole = fs::read(golden("pickle").join(name).with_extension("pkl")).unwrap();
        fuzz(&damaged(whole), |bytes| {
            let rules = PickleRules {
                callable: &NUMPY_CONSTRUCTORS,
                keeps_instances: true,
                most_objects: 10_000,
            };
            if let Ok(pickle) = Pickle::read(&bytes, rules) {
                prop_assert!(pickle.length() <= bytes.len());
                visit(pickle.root(), 8);
            }
            Ok(())
        });
    }
}

/// Asks every question of every value, to a depth.
fn visit(value: PickleValue, depth: u32) {
    let _ = (
        value.as_int(),
        value.as_float(),
        value.as_text(),
        value.as_bytes(),
    );
    let _ = (value.as_call(), value.as_numpy_array(), value.type_name());
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    for element in value.elements().unwrap_or_default() {
        visit(element, depth);
    }
    for (key, value) in value.entries().unwrap_or_default() {
        visit(key, depth);
        visit(value, depth);
    }
}
