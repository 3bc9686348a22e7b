//! Fuzzes the headers of model files.

use std::fs;

use ddrs_common::architecture::{Architecture, check_model};
use ddrs_tests::write_half_space;
use proptest::prelude::*;

use crate::damage::damaged;
use crate::{file, fuzz};

#[test]
fn damaged_models_are_accepted_or_refused_by_name() {
    let (_dir, path) = file("m.safetensors");
    write_half_space(&path, &[0.5; 12], 0.25);
    let whole = fs::read(&path).unwrap();
    fuzz(&damaged(whole), |bytes| {
        fs::write(&path, &bytes).unwrap();
        for (architecture, classes) in [
            (Architecture::HalfSpace, 2),
            (Architecture::Resnet { depth: 18 }, 10),
        ] {
            if let Err(error) = check_model(&path, architecture, classes) {
                prop_assert!(
                    error
                        .to_string()
                        .starts_with(&format!("{}: ", path.display())),
                    "{error}"
                );
            }
        }
        Ok(())
    });
}
