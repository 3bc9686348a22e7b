//! Networks against PyTorch's scores of the same weights, which `scripts/network_scores.py` wrote.

use std::path::Path;

use ddrs_common::architecture::{Architecture, Shape};
use ddrs_common::spec;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use super::apart;
use crate::golden;
use crate::model::{Classifier, load};

/// Numbers from 0 to 1 by the name of a tensor: splitmix64 from the FNV-1a hash of the name.
fn uniform(name: &str, count: u64) -> impl Iterator<Item = f64> {
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    (1..=count).map(move |i| {
        let z = seed.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 24)
    })
}

fn weights(name: &str, shape: &[u64]) -> Tensor {
    let part = name.rsplit('.').next().unwrap();
    let inputs: u64 = shape[1..].iter().product();
    let value = |u: f64| match part {
        "running_var" => u + 0.5,
        "weight" if shape.len() == 1 => u + 0.5,
        "weight" => (2.0 * u - 1.0) * (3.0 / inputs as f64).sqrt(),
        _ => (2.0 * u - 1.0) * 0.25,
    };
    let count = shape.iter().product();
    let values: Vec<f32> = uniform(name, count).map(|u| value(u) as f32).collect();
    let shape: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
    Tensor::from_slice(&values).view(&shape[..])
}

/// A specification of one model in fp32 that takes images as they are.
fn specification(network: &Value) -> String {
    let architecture = &network["architecture"];
    let options = network["options"].as_object().unwrap().iter();
    let options: Vec<String> = options
        .map(|(key, value)| format!("{key} = {value}\n"))
        .collect();
    let options = options.concat();
    format!(
        "name = 's'\nseed = 1\n[dataset]\nformat = 'tensors'\npath = 'd'\n\
         [[model]]\nname = 'm'\npath = 'm.safetensors'\nclasses = 10\n\
         architecture = {architecture}\n{options}\
         [smoothing]\nsigma = [0.5]\n[certify]\nn0 = 10\nn = 100\nalpha = 0.01\n"
    )
}

/// The network with weights by the formula, in a file in `folder`.
fn network(network: &Value, folder: &Path) -> Box<dyn Classifier> {
    let sweep = spec::parse(&specification(network), &folder.join("s.toml")).unwrap();
    let model = &sweep.models[0];
    let name = network["architecture"].as_str().unwrap();
    let architecture: Architecture = name.parse().unwrap();
    let tensors = architecture.parameters(10).into_iter().map(|parameter| {
        let Shape::Exact(shape) = parameter.shape else {
            panic!("{} has any shape", parameter.name)
        };
        let weights = weights(&parameter.name, &shape);
        (parameter.name, weights)
    });
    let tensors: Vec<_> = tensors.collect();
    Tensor::write_safetensors(&tensors, &model.path).unwrap();
    load(model, Device::Cpu).unwrap()
}

fn images(side: i64) -> Tensor {
    let values = uniform("images", 2 * 3 * side.unsigned_abs().pow(2));
    let values: Vec<f32> = values.map(|value| value as f32).collect();
    Tensor::from_slice(&values).view([2, 3, side, side])
}

fn scores(network: &Value) -> Tensor {
    let values = network["scores"].as_array().unwrap().iter();
    let values = values.flat_map(|row| row.as_array().unwrap());
    let values: Vec<f64> = values.map(|value| value.as_f64().unwrap()).collect();
    Tensor::from_slice(&values).view([2, 10])
}

#[test]
fn scores_are_those_of_pytorch() {
    let networks = golden::json("networks.json");
    for described in networks.as_array().unwrap() {
        let folder = tempfile::tempdir().unwrap();
        let network = network(described, folder.path());
        let images = images(described["side"].as_i64().unwrap());
        let exact = scores(described);
        let name = format!("{} {}", described["architecture"], described["options"]);
        let fused = tch::no_grad(|| network.scores(&images)).unwrap();
        let error = apart(&fused, &exact);
        assert!(error < 1e-5, "{name}: {error}");
        let logits = network.logits(&images.set_requires_grad(true)).unwrap();
        let error = match described["architecture"].as_str() {
            Some("resnet18-alfarra") => apart(&logits.softmax(-1, Kind::Float), &exact),
            _ => apart(&logits, &exact),
        };
        assert!(error < 1e-5, "{name}, differentiable: {error}");
    }
}
