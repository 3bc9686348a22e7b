//! A residual network as the papers write it: convolution, then batch normalisation, in double
//! precision.

use std::collections::HashMap;
use std::path::Path;

use ddrs_common::architecture::{Architecture, ConvNorm, Shape};
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
        let layout = self.architecture.layout().unwrap();
        let channels = |values: [f64; 3]| Tensor::from_slice(&values).view([1, 3, 1, 1]);
        let images = (images - channels(MEAN)) / channels(STD);
        let mut x = self.conv_norm(&layout.stem, &images).relu();
        if let Some(pool) = layout.max_pool {
            let square = |size: u32| [i64::from(size); 2];
            x = x.max_pool2d(
                square(pool.kernel),
                square(pool.stride),
                square(pool.padding),
                [1, 1],
                false,
            );
        }
        for block in &layout.blocks {
            let (last, first) = block.path.split_last().unwrap();
            let y = first
                .iter()
                .fold(x.shallow_clone(), |y, conv| self.conv_norm(conv, &y).relu());
            let shortcut = block
                .shortcut
                .as_ref()
                .map_or_else(|| x.shallow_clone(), |conv| self.conv_norm(conv, &x));
            x = (self.conv_norm(last, &y) + shortcut).relu();
        }
        x.mean_dim([2, 3].as_slice(), false, None)
            .linear(&self.tensors["fc.weight"], Some(&self.tensors["fc.bias"]))
    }

    fn conv_norm(&self, spec: &ConvNorm, x: &Tensor) -> Tensor {
        let get = |name: String| Some(&self.tensors[&name]);
        let stride = [i64::from(spec.stride); 2];
        let padding = [i64::from(spec.padding); 2];
        let weight = &self.tensors[&format!("{}.weight", spec.conv)];
        let y = x.conv2d(weight, None::<&Tensor>, stride, padding, [1, 1], 1);
        let norm = |part: &str| get(format!("{}.{part}", spec.norm));
        y.batch_norm(
            norm("weight"),
            norm("bias"),
            norm("running_mean"),
            norm("running_var"),
            false,
            0.0,
            ConvNorm::EPSILON,
            false,
        )
    }
}
