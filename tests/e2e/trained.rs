//! From training to certificates: the file that `train` writes says what its network is.

use std::path::PathBuf;

use ddrs_common::domain::Class;
use ddrs_tests::{TestDir, end};

/// A network of two steps of training, and a specification that certifies it; `own` is what that says of the model.
fn trained(dir: &TestDir, own: &str) -> PathBuf {
    let pixels: Vec<f32> = (0..12 * 3 * 16 * 16).map(|i| (i * 31 % 97) as f32 / 96.0).collect();
    let labels: Vec<Class> = (0..12).map(|i| Class(i % 3)).collect();
    ddrs_common::data::write_tensors(&dir.path("images.safetensors"), [12, 3, 16, 16], &pixels, &labels).unwrap();
    let dataset = "name = \"t\"\nseed = 1\n[dataset]\nformat = \"tensors\"\npath = \"images.safetensors\"\n";
    let training = "[validation]\nsamples = 4\n[model]\narchitecture = \"cifar-resnet20\"\nclasses = 3\n\
                    mean = [0.5, 0.4, 0.25]\nstd = [0.25, 0.2, 1.0]\n[loss]\nkind = \"gaussian\"\n[sigma]\ninitial = 0.25\n\
                    [train]\nepochs = 1\nbatch = 4\ngroup = 2\n[optimiser]\nlearning-rate = 0.01\n";
    let spec = dir.write("train.toml", format!("{dataset}{training}"));
    let _ = end(dir.worker().arg("train").arg(spec).args(["--out", "model.safetensors", "--device", "cpu"])).expect(0);
    let certify = "[smoothing]\nsigma = [0.25]\n[certify]\nn0 = 10\nn = 40\nalpha = 0.001\nchunk = 20\n";
    dir.write("sweep.toml", format!("{dataset}[[model]]\nname = \"m\"\npath = \"model.safetensors\"\n{own}{certify}"))
}

#[test]
fn a_trained_network_is_certified_by_its_path_alone() {
    let dir = TestDir::new();
    let _ = dir.run(&trained(&dir, ""), "short", 1).expect(0);
    let whole = "architecture = \"cifar-resnet20\"\nclasses = 3\nmean = [0.5, 0.4, 0.25]\nstd = [0.25, 0.2, 1.0]\n";
    let _ = dir.run(&trained(&dir, whole), "long", 1).expect(0);
    assert_eq!(dir.records("short").len(), 12);
    assert_eq!(dir.stable_records("short"), dir.stable_records("long"));
    let manifest = std::fs::read_to_string(dir.path("short/manifest.json")).unwrap();
    assert!(manifest.contains("mean = [0.5, 0.4, 0.25]"), "{manifest}");
}

#[test]
fn another_normalisation_than_that_of_training_is_refused_with_both() {
    let dir = TestDir::new();
    let spec = trained(&dir, "mean = [0.5, 0.5, 0.5]\n");
    let ended = dir.run(&spec, "out", 1).expect(2);
    for word in ["model[0].mean", "[0.5, 0.5, 0.5]", "[0.5, 0.4, 0.25]", "model.safetensors"] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
    assert!(dir.records("out").is_empty());
}
