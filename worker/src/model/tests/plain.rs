//! A residual network as the papers write it: convolution, then batch normalisation, in double
//! precision.

use std::collections::HashMap;
use std::path::Path;

use ddrs_common::architecture::{
    Activation, Architecture, Conv, Layer, Padding, Shape, Shortcut, Unit,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tch::{Kind, Tensor};

use super::{MEAN, STD};

pub(super) struct PlainResnet {
    architecture: Architecture,
    tensors: HashMap<String, Tensor>,
}

/// Writes a network whose batch normalisations have statistics, as training leaves them.
pub(super) fn write_trained(architecture: Architecture, classes: u32, path: &Path) {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut tensors = Vec::new();
    for parameter in architecture.parameters(classes) {
        let Shape::Exact(shape) = parameter.shape else {
            panic!("{} has any shape", parameter.name)
        };
        let shape: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
        let positive = parameter.name.ends_with("running_var")
            || (shape.len() == 1 && parameter.name.ends_with("weight"));
        let inputs: i64 = shape[1..].iter().product();
        let deviation = if shape.len() == 1 {
            0.1
        } else {
            (1.0 / inputs as f32).sqrt()
        };
        let mut value = || {
            if positive {
                rng.random::<f32>() + 0.5
            } else {
                deviation * rng.sample::<f32, _>(StandardNormal)
            }
        };
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| value()).collect();
        let tensor = Tensor::from_slice(&values).view(&shape[..]);
        // The prefix that `DataParallel` adds.
        tensors.push((format!("module.{}", parameter.name), tensor));
    }
    Tensor::write_safetensors(&tensors, path).unwrap();
}

impl PlainResnet {
    pub(super) fn read(architecture: Architecture, path: &Path) -> Self {
        let tensors = Tensor::read_safetensors(path).unwrap().into_iter();
        let named = tensors.map(|(name, tensor)| {
            (
                name["module.".len()..].to_owned(),
                tensor.to_kind(Kind::Double),
            )
        });
        Self {
            architecture,
            tensors: named.collect(),
        }
    }

    pub(super) fn scores(&self, images: &Tensor) -> Tensor {
        let layers = self.architecture.layers(10).unwrap();
        let channels = |values: [f64; 3]| Tensor::from_slice(&values).view([1, 3, 1, 1]);
        let images = (images - channels(MEAN)) / channels(STD);
        layers
            .0
            .iter()
            .fold(images, |x, layer| self.step(layer, &x))
    }

    fn step(&self, layer: &Layer, x: &Tensor) -> Tensor {
        let square = |size: u32| [i64::from(size); 2];
        match layer {
            Layer::Unit(unit) => self.apply(unit, x, None),
            Layer::MaxPool(pool) => x.max_pool2d(
                square(pool.kernel),
                square(pool.stride),
                square(pool.padding),
                [1, 1],
                false,
            ),
            Layer::Residual(residual) => {
                let y = residual
                    .body
                    .iter()
                    .fold(x.shallow_clone(), |y, layer| self.step(layer, &y));
                let shortcut = match &residual.shortcut {
                    Shortcut::Identity => x.shallow_clone(),
                    Shortcut::Projection(unit) => self.apply(unit, x, None),
                    Shortcut::Subsample { .. } => unreachable!("not among these networks"),
                };
                self.apply(&residual.last, &y, Some(&shortcut))
            }
            Layer::GlobalPool(_) => x.mean_dim([2, 3].as_slice(), false, None),
            Layer::Attention { .. } | Layer::FirstToken => {
                unreachable!("not among these networks")
            }
        }
    }

    fn apply(&self, unit: &Unit, x: &Tensor, other: Option<&Tensor>) -> Tensor {
        let y = match unit {
            Unit::Conv(conv) => self.conv_norm(conv, x),
            Unit::Linear(linear) => {
                let tensor = |part: &str| &self.tensors[&format!("{}.{part}", linear.name)];
                x.linear(tensor("weight"), Some(tensor("bias")))
            }
            _ => unreachable!("not among these networks"),
        };
        let sum = other.map_or_else(|| y.shallow_clone(), |other| &y + other);
        match unit.activation() {
            Activation::Relu => sum.relu(),
            _ => sum,
        }
    }

    fn conv_norm(&self, spec: &Conv, x: &Tensor) -> Tensor {
        let get = |name: String| Some(&self.tensors[&name]);
        let stride = [i64::from(spec.stride); 2];
        let Padding::Even(padding) = spec.padding else {
            unreachable!("not among these networks")
        };
        let padding = [i64::from(padding); 2];
        let weight = &self.tensors[&format!("{}.weight", spec.name)];
        let y = x.conv2d(weight, None::<&Tensor>, stride, padding, [1, 1], 1);
        let spec = spec.norm.as_ref().unwrap();
        let norm = |part: &str| get(format!("{}.{part}", spec.name));
        y.batch_norm(
            norm("weight"),
            norm("bias"),
            norm("running_mean"),
            norm("running_var"),
            false,
            0.0,
            spec.epsilon,
            false,
        )
    }
}
