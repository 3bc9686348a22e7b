//! A specification's text, and the values that it is read as.

use std::time::Duration;

use super::{EXAMPLE, LEAST, count, read, sigma};
use crate::architecture::{Architecture, NetworkOptions};
use crate::domain::{Alpha, Choice, Selection};
use crate::spec::*;

fn example() -> Sweep {
    Sweep {
        name: "cifar10-resnet20".to_owned(),
        seed: 1,
        dataset: DatasetSpec {
            format: DatasetFormat::ImageFolder,
            path: "sweeps/data/cifar10/test".into(),
            selection: Selection {
                offset: 0,
                stride: count(20),
                limit: Some(count(500)),
            },
            resize: None,
            interpolation: Interpolation::Bilinear,
            crop: None,
            classes: None,
            labels: None,
            names: None,
            split: None,
            layout: None,
            grid: None,
        },
        models: vec![ModelSpec {
            name: "cohen-0.25".to_owned(),
            path: "sweeps/models/r20.safetensors".into(),
            source: ModelSource::Safetensors(Architecture::CifarResnet { depth: 20 }),
            weights: None,
            classes: 10,
            mean: Some(vec![0.4914, 0.4822, 0.4465]),
            std: Some(vec![0.2023, 0.1994, 0.2010]),
            precision: Precision::Fp32,
            options: NetworkOptions::default(),
        }],
        smoothing: SmoothingSpec {
            sigma: vec![sigma(0.25), sigma(0.5)],
            choice: vec![Choice::Fixed, Choice::DataDependent],
            data_dependent: DataDependentSpec {
                method: SigmaMethod::Gradient,
                iterations: 100,
                draws: 1,
                learning_rate: 1e-4,
                clamp: 0.02,
                range: (sigma(0.01), sigma(4.0)),
            },
            selected: None,
            file: None,
        },
        certify: CertifySpec {
            n0: count(100),
            n: count(100_000),
            alpha: Alpha::new(0.001).unwrap(),
            chunk: count(500),
            memory: true,
            stopping: Stopping::Fixed,
            bound: BoundRule::OneClass,
        },
        queue: QueueSpec {
            job_samples: count(4),
            lease: Duration::from_secs(60),
            max_attempts: 5,
        },
        report: ReportSpec {
            radii: "0:1.5:0.25".parse().unwrap(),
        },
    }
}

#[test]
fn the_example_is_read_as_it_is_meant() {
    assert_eq!(read(EXAMPLE), example());
}

#[test]
fn what_is_left_out_has_the_defaults_of_the_contract() {
    let sweep = Sweep {
        name: "s".to_owned(),
        dataset: DatasetSpec {
            format: DatasetFormat::Tensors,
            path: "sweeps/d.safetensors".into(),
            selection: Selection {
                offset: 0,
                stride: count(1),
                limit: None,
            },
            ..example().dataset
        },
        models: vec![ModelSpec {
            name: "m".to_owned(),
            path: "sweeps/m.pt".into(),
            source: ModelSource::TorchScript,
            weights: None,
            classes: 10,
            mean: None,
            std: None,
            precision: Precision::Fp32,
            options: NetworkOptions::default(),
        }],
        smoothing: SmoothingSpec {
            sigma: vec![sigma(0.5)],
            choice: vec![Choice::Fixed],
            ..example().smoothing
        },
        certify: CertifySpec {
            n: count(1000),
            ..example().certify
        },
        ..example()
    };
    assert_eq!(read(LEAST), sweep);
}

#[test]
fn every_key_is_read() {
    let text = EXAMPLE
        .replace("# resize = 256  crop = 224", "resize = 256\ncrop = 224 #")
        .replace(
            "# classes = \"synsets.txt\"",
            "classes = '/labels/synsets.txt'",
        )
        .replace("fp32", "bf16")
        .replace("memory = true", "memory = false");
    let mut sweep = example();
    sweep.dataset = DatasetSpec {
        resize: Some(ResizeTo::Shorter(256)),
        crop: Some(224),
        classes: Some("/labels/synsets.txt".into()),
        ..sweep.dataset
    };
    sweep.models[0].precision = Precision::Bf16;
    sweep.certify.memory = false;
    assert_eq!(read(&text), sweep);
}

#[test]
fn photographs_may_be_given_both_sides_a_filter_and_a_list_of_labels() {
    let text = EXAMPLE.replace("image-folder", "imagenet").replace(
        "# resize = 256  crop = 224",
        "resize = [224, 256]\ninterpolation = 'bicubic'\nlabels = 'val.txt' #",
    );
    let expected = DatasetSpec {
        format: DatasetFormat::Imagenet,
        resize: Some(ResizeTo::Exact {
            height: 224,
            width: 256,
        }),
        interpolation: Interpolation::Bicubic,
        labels: Some("sweeps/val.txt".into()),
        ..example().dataset
    };
    assert_eq!(read(&text).dataset, expected);
}

#[test]
fn paths_start_from_the_folder_of_the_file() {
    let path = |file: &str| parse(LEAST, Path::new(file)).unwrap().dataset.path;
    assert_eq!(path("sweep.toml"), Path::new("d.safetensors"));
    assert_eq!(path("/a/b/sweep.toml"), Path::new("/a/b/d.safetensors"));
    assert_eq!(path("../sweep.toml"), Path::new("../d.safetensors"));
}

#[test]
fn integers_stand_for_floating_point_numbers() {
    let text = LEAST.replace(
        "[0.5]",
        "[1]\n[smoothing.data-dependent]\nrange = [1, 4]\nlearning-rate = 1",
    );
    let smoothing = read(&text).smoothing;
    assert_eq!(smoothing.sigma, [sigma(1.0)]);
    assert_eq!(smoothing.data_dependent.range, (sigma(1.0), sigma(4.0)));
    assert_eq!(smoothing.data_dependent.learning_rate, 1.0);
}
