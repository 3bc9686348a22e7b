//! Shared by the tests of specifications: two texts, and changes to them that are refused.
#![allow(clippy::unwrap_used)]

mod meaning;
mod ranges;
mod rules;
mod selected;
mod sigma_file;
mod stopping;
mod syntax;

use std::num::NonZeroU64;

use super::*;
use crate::domain::Sigma;

/// The example of the specification's contract.
const EXAMPLE: &str = r#"name = "cifar10-resnet20"
seed = 1

[dataset]
format = "image-folder"      # or cifar10 (binary files), tensors (safetensors: images, labels)
path = "data/cifar10/test"   # relative to the spec file
offset = 0                   # first index, then every `stride`-th, `limit` of them
stride = 20
limit = 500
# resize = 256  crop = 224   # as torchvision: shorter side, bilinear with antialiasing, centre crop
# classes = "synsets.txt"    # label order when folders are not all classes

[[model]]
name = "cohen-0.25"
path = "models/r20.safetensors"   # .safetensors with `architecture`, or a TorchScript .pt
architecture = "cifar-resnet20"   # cifar-resnet{20,110,…}, resnet18, resnet50
classes = 10
mean = [0.4914, 0.4822, 0.4465]   # after the noise is added: radii are in [0,1] pixels
std = [0.2023, 0.1994, 0.2010]
precision = "fp32"                # fp32 | tf32 | bf16 | fp16: part of what is certified

[smoothing]
sigma = [0.25, 0.5]                      # fixed value, or where the choice starts
choice = ["fixed", "data-dependent"]     # variants: model x choice x sigma

[smoothing.data-dependent]               # Algorithm 1; defaults are the paper's code
iterations = 100
draws = 1
learning-rate = 1e-4
clamp = 0.02
range = [0.01, 4.0]                      # sigma never leaves it

[certify]
n0 = 100
n = 100_000
alpha = 0.001
chunk = 500                              # draws per seeded chunk and forward pass
memory = true                            # Algorithm 2 for data-dependent variants, at report time

[queue]
job-samples = 4
lease-seconds = 60
max-attempts = 5

[report]
radii = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5]
"#;

/// Nothing but what has no default.
const LEAST: &str = "name = 's'
seed = 1
[dataset]
format = 'tensors'
path = 'd.safetensors'
[[model]]
name = 'm'
path = 'm.pt'
classes = 10
[smoothing]
sigma = [0.5]
[certify]
n0 = 100
n = 1000
alpha = 0.001
";

fn count(value: u64) -> NonZeroU64 {
    NonZeroU64::new(value).unwrap()
}

fn sigma(value: f64) -> Sigma {
    Sigma::new(value).unwrap()
}

fn read(text: &str) -> Sweep {
    parse(text, Path::new("sweeps/sweep.toml")).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// `text` with one change, and the error that it is refused with.
fn check_change(text: &str, from: &str, to: &str, error: &str) {
    assert_eq!(text.matches(from).count(), 1, "{from:?}");
    check(&text.replace(from, to), error);
}

fn check(text: &str, error: &str) {
    match parse(text, Path::new("sweep.toml")) {
        Ok(_) => panic!("accepted, not refused with {error:?}:\n{text}"),
        Err(found) => assert_eq!(found.to_string(), format!("sweep.toml:{error}"), "{text}"),
    }
}
