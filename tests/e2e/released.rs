//! Tests the trained networks in the repository, which docs/RESULTS.md reports on.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ddrs_common::domain::Class;
use ddrs_common::model_file::NamedTensors;
use ddrs_common::roots::Roots;
use ddrs_common::spec::{digest_to_hex, file_digest};
use ddrs_tests::TestDir;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../release/cifar10-resnet20")
}

/// Returns the names in SHA256SUMS with their digests.
fn digests() -> Vec<(String, String)> {
    let text = fs::read_to_string(folder().join("SHA256SUMS")).unwrap();
    text.lines()
        .map(|line| {
            let (digest, name) = line.split_once("  ").unwrap_or_else(|| panic!("{line}"));
            (name.to_owned(), digest.to_owned())
        })
        .collect()
}

#[test]
fn released_networks_have_the_digests_of_their_list() {
    let digests = digests();
    for (name, digest) in &digests {
        assert_eq!(
            &digest_to_hex(&file_digest(&folder().join(name)).unwrap()),
            digest,
            "{name}"
        );
    }
    let listed: BTreeSet<String> = digests.into_iter().map(|(name, _)| name).collect();
    let present: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".safetensors"))
        .collect();
    assert!(!present.is_empty());
    assert_eq!(present, listed);
}

#[test]
fn released_networks_name_the_specifications_in_their_folder() {
    for (name, _) in digests() {
        let network = folder().join(&name);
        let spec = folder()
            .join("specs")
            .join(name.replace(".safetensors", ".train.toml"));
        let metadata = NamedTensors::open(&network, &Roots::anywhere())
            .unwrap()
            .metadata()
            .clone();
        let training: Value = serde_json::from_str(&metadata["training"]).unwrap();
        let digest = digest_to_hex(&file_digest(&spec).unwrap());
        assert_eq!(training["specification"], digest, "{name}");
        assert_eq!(
            metadata["specification"],
            fs::read_to_string(&spec).unwrap(),
            "{name}"
        );
    }
}

#[test]
fn released_networks_are_certified_by_their_paths_alone() {
    let dir = TestDir::new();
    let pixels: Vec<f32> = (0..2 * 3 * 32 * 32)
        .map(|i| (i * 31 % 97) as f32 / 96.0)
        .collect();
    ddrs_common::data::write_tensors(
        &dir.path("inputs.safetensors"),
        [2, 3, 32, 32],
        &pixels,
        &[0, 1].map(Class),
    )
    .unwrap();
    let names: Vec<String> = digests().into_iter().map(|(name, _)| name).collect();
    let models: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(number, name)| {
            format!(
                "[[model]]\nname = \"m{number}\"\npath = {:?}\n",
                folder().join(name)
            )
        })
        .collect();
    let spec = dir.write(
        "sweep.toml",
        format!(
            "name = \"released\"\nseed = 1\n\
             [dataset]\nformat = \"tensors\"\npath = \"inputs.safetensors\"\n{}\
             [smoothing]\nsigma = [0.25]\n[certify]\nn0 = 10\nn = 40\nalpha = 0.001\nchunk = 20\n",
            models.concat()
        ),
    );
    let _ = dir.run(&spec, "out", 1).expect(0);
    assert_eq!(dir.records("out").len(), 2 * names.len());
}
