#![allow(clippy::unwrap_used)]
//! Networks against a plain network that is neither folded nor fused, in double precision.

mod damaged;
mod golden;
mod plain;

use std::path::{Path, PathBuf};

use ddrs_common::architecture::{Architecture, NetworkOptions};
use ddrs_common::spec::{ModelSource, ModelSpec, Precision};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use self::plain::PlainResnet;
use super::*;

const MEAN: [f64; 3] = [0.4914, 0.4822, 0.4465];
const STD: [f64; 3] = [0.2023, 0.1994, 0.2010];

fn spec(path: &Path, architecture: Option<&str>, classes: u32, precision: Precision) -> ModelSpec {
    ModelSpec {
        name: "m".to_owned(),
        path: path.to_owned(),
        source: architecture.map_or(ModelSource::TorchScript, |name| {
            ModelSource::Safetensors(name.parse().unwrap())
        }),
        weights: None,
        classes,
        mean: architecture.map(|_| MEAN.to_vec()),
        std: architecture.map(|_| STD.to_vec()),
        precision,
        options: architecture.map_or_else(NetworkOptions::default, |name| {
            name.parse::<Architecture>().unwrap().usual_options()
        }),
    }
}

/// Images in [0, 1] in channels-last order, as the engine has them.
fn images(count: i64, side: i64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let values: Vec<f32> = (0..count * side * side * 3).map(|_| rng.random()).collect();
    Tensor::from_slice(&values)
        .view([count, side, side, 3])
        .permute([0, 3, 1, 2])
}

/// The largest difference, relative to the largest of `exact`.
fn apart(found: &Tensor, exact: &Tensor) -> f64 {
    let exact = exact.to_kind(Kind::Double);
    ((found.to_kind(Kind::Double) - &exact).abs().max() / exact.abs().max()).double_value(&[])
}

fn shared_models() -> PathBuf {
    Path::new(env!("DDRS_SHARED")).join("data/models")
}

#[test]
fn folding_the_normalisations_changes_nothing_but_rounding() {
    let dir = tempfile::tempdir().unwrap();
    for (name, side) in [
        ("cifar-resnet20", 32),
        ("cifar-resnet56", 32),
        ("resnet18", 64),
        ("resnet50", 64),
    ] {
        let path = dir.path().join(name);
        plain::write_trained(name.parse().unwrap(), 10, &path);
        let images = images(2, side);
        let exact =
            PlainResnet::read(name.parse().unwrap(), &path).scores(&images.to_kind(Kind::Double));
        let found = load(&spec(&path, Some(name), 10, Precision::Fp32), Device::Cpu)
            .unwrap()
            .scores(&images)
            .unwrap();
        assert_eq!(found.size(), [2, 10]);
        assert!(
            apart(&found, &exact) < 1e-5,
            "{name}: {}",
            apart(&found, &exact)
        );
    }
}

#[test]
fn scores_are_differentiable_in_the_images() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let architecture: Architecture = "cifar-resnet20".parse().unwrap();
    plain::write_trained(architecture, 10, &path);
    let plain = PlainResnet::read(architecture, &path);
    let network = load(
        &spec(&path, Some("cifar-resnet20"), 10, Precision::Fp32),
        Device::Cpu,
    )
    .unwrap();
    let gradient = |scores: &dyn Fn(&Tensor) -> Tensor, kind| {
        let leaf = images(2, 32).to_kind(kind).set_requires_grad(true);
        let loss = scores(&leaf)
            .to_kind(Kind::Double)
            .log_softmax(-1, Kind::Double)
            .select(1, 3)
            .sum(Kind::Double);
        Tensor::run_backward(&[loss], &[&leaf], false, false).remove(0)
    };
    let exact = gradient(&|x| plain.scores(x), Kind::Double);
    let found = gradient(&|x| network.scores(x).unwrap(), Kind::Float);
    assert!(exact.abs().max().double_value(&[]) > 0.0);
    assert!(apart(&found, &exact) < 1e-4, "{}", apart(&found, &exact));
}

#[test]
#[cfg_attr(
    not(ddrs_shared),
    ignore = "needs real images and models: set DDRS_SHARED to their folder"
)]
fn torchscript_of_the_same_weights_gives_the_same_scores_and_derivatives() {
    let models = shared_models();
    let native = models.join("cifar_resnet20_noise0.25.safetensors");
    let native = load(
        &spec(&native, Some("cifar-resnet20"), 10, Precision::Fp32),
        Device::Cpu,
    )
    .unwrap();
    // The program normalises by itself.
    let script = models.join("cifar_resnet20_noise0.25.torchscript.pt");
    let script = load(&spec(&script, None, 10, Precision::Fp32), Device::Cpu).unwrap();
    let both = [native, script].map(|network| {
        let leaf = images(4, 32).set_requires_grad(true);
        let scores = network.scores(&leaf).unwrap();
        let gradient = Tensor::run_backward(
            &[scores.select(1, 0).sum(Kind::Float)],
            &[&leaf],
            false,
            false,
        )
        .remove(0);
        (scores, gradient)
    });
    assert!(apart(&both[0].0, &both[1].0) < 1e-5);
    assert!(apart(&both[0].1, &both[1].1) < 1e-4);
}

#[test]
#[cfg_attr(
    not(ddrs_shared),
    ignore = "needs real images and models: set DDRS_SHARED to their folder"
)]
fn a_program_that_keeps_to_single_precision_is_not_passed_off_as_bf16() {
    let models = shared_models();
    let path = models.join("cifar_resnet20_noise0.25.torchscript.pt");
    let network = load(&spec(&path, None, 10, Precision::Bf16), Device::Cpu).unwrap();
    let error = network.scores(&images(1, 32)).unwrap_err().to_string();
    assert!(
        error.contains("computes in Float") && error.contains("BFloat16"),
        "{error}"
    );
}

#[test]
fn half_precisions_compute_about_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    plain::write_trained("cifar-resnet20".parse().unwrap(), 10, &path);
    let scores = |precision| {
        let network = load(
            &spec(&path, Some("cifar-resnet20"), 10, precision),
            Device::Cpu,
        )
        .unwrap();
        network.scores(&images(4, 32)).unwrap()
    };
    let single = scores(Precision::Fp32);
    for (precision, kind, allowed) in [
        (Precision::Bf16, Kind::BFloat16, 0.1),
        (Precision::Fp16, Kind::Half, 0.01),
    ] {
        let scores = scores(precision);
        assert_eq!(scores.kind(), kind);
        let apart = apart(&scores, &single);
        // Equal scores would mean that the precision was not used.
        assert!(apart > 0.0 && apart < allowed, "{precision:?}: {apart}");
    }
}

#[test]
fn tf32_is_refused_on_the_cpu() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    random_weights("cifar-resnet20".parse().unwrap(), 10, 0, &path).unwrap();
    let error = load(
        &spec(&path, Some("cifar-resnet20"), 10, Precision::Tf32),
        Device::Cpu,
    )
    .err()
    .unwrap();
    let message = format!("{error:#}");
    assert!(
        message.contains("tf32") && message.contains("cpu") && message.contains("m.safetensors"),
        "{message}"
    );
}

#[test]
fn an_environment_that_would_change_a_precision_on_a_gpu_is_refused() {
    let refused = |precision, name: &str, value: &str| {
        arithmetic::refuse_override(precision, |asked| (asked == name).then(|| value.to_owned()))
            .err()
            .map(|error| error.to_string())
    };
    let cublas = "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE";
    assert!(
        refused(Precision::Fp32, cublas, "1")
            .unwrap()
            .contains("which changes precision fp32")
    );
    assert!(
        refused(Precision::Tf32, "NVIDIA_TF32_OVERRIDE", "0")
            .unwrap()
            .contains("NVIDIA_TF32_OVERRIDE to \"0\"")
    );
    for (precision, name, value) in [
        (Precision::Fp32, cublas, "0"),
        (Precision::Fp32, "NVIDIA_TF32_OVERRIDE", "0"),
        (Precision::Tf32, cublas, "1"),
        (Precision::Bf16, cublas, "1"),
    ] {
        assert_eq!(refused(precision, name, value), None);
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    random_weights("cifar-resnet20".parse().unwrap(), 10, 0, &path).unwrap();
    let refused = |architecture, classes| {
        let error = load(
            &spec(&path, Some(architecture), classes, Precision::Fp32),
            Device::Cpu,
        )
        .err()
        .unwrap();
        let message = format!("{error:#}");
        assert!(message.contains("m.safetensors"), "{message}");
        message
    };
    assert!(refused("cifar-resnet20", 7).contains("10 classes"));
    assert!(refused("cifar-resnet32", 10).contains("cifar-resnet32"));
    assert!(refused("resnet18", 10).contains("resnet18"));
}

#[test]
fn random_networks_of_every_architecture_give_finite_scores() {
    let dir = tempfile::tempdir().unwrap();
    for (name, classes, side) in [
        ("cifar-resnet20", 10, 32),
        ("cifar-resnet110", 10, 32),
        ("resnet18", 1000, 224),
        ("resnet50", 1000, 224),
    ] {
        let path = dir.path().join(name);
        random_weights(name.parse().unwrap(), classes, 3, &path).unwrap();
        for precision in [Precision::Fp32, Precision::Bf16] {
            let network = load(&spec(&path, Some(name), classes, precision), Device::Cpu).unwrap();
            let scores = tch::no_grad(|| network.scores(&images(2, side))).unwrap();
            assert_eq!(scores.size(), [2, i64::from(classes)]);
            assert!(
                i64::try_from(scores.isfinite().all()).unwrap() == 1,
                "{name} {precision:?}"
            );
        }
    }
}

fn half_space(dir: &Path, change: impl FnOnce(&mut ModelSpec)) -> Result<Box<dyn Classifier>> {
    let path = dir.join("half.safetensors");
    let tensors = [
        ("weight", Tensor::from_slice(&[3f32, 4.0])),
        ("bias", Tensor::from_slice(&[-1f32])),
    ];
    Tensor::write_safetensors(&tensors, &path).unwrap();
    let mut spec = spec(&path, Some("half-space"), 2, Precision::Fp32);
    spec.mean = None;
    spec.std = None;
    change(&mut spec);
    load(&spec, Device::Cpu)
}

#[test]
fn a_half_space_is_class_1_above_its_plane_and_class_0_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let plane = half_space(dir.path(), |_| ()).unwrap();
    let inputs = Tensor::from_slice(&[1f32, 1.0, 0.0, 0.0, 0.0, 0.25]).view([3, 1, 1, 2]);
    let scores = plane.scores(&inputs).unwrap();
    assert_eq!(
        Vec::<f32>::try_from(scores.select(1, 1)).unwrap(),
        [6.0, -1.0, 0.0]
    );
    assert_eq!(
        Vec::<i64>::try_from(scores.argmax(1, false)).unwrap(),
        [1, 0, 0]
    );
}

#[test]
fn a_half_space_takes_nothing_that_would_move_its_plane() {
    let dir = tempfile::tempdir().unwrap();
    let refused =
        |change: fn(&mut ModelSpec)| format!("{:#}", half_space(dir.path(), change).err().unwrap());
    assert!(
        refused(|spec| (spec.mean, spec.std) = (Some(vec![0.5]), Some(vec![0.5])))
            .contains("mean and std")
    );
    assert!(refused(|spec| spec.precision = Precision::Bf16).contains("fp32 only"));
}
