//! A residual network that can be trained: batch normalisation is separate from the convolutions,
//! weights are in single precision, and passes run in the precision of the specification.

mod initial;
mod values;

pub(super) use values::{copy, copy_into, flatten};

use std::collections::HashMap;

use ddrs_common::architecture::{BatchNorm, Conv, LayerNorm, Layers, Linear, Tokens, Unit};
use tch::{Device, Kind, TchError, Tensor};

use crate::model::{LayerPass, activate, channels_last, forward, operand, padded, square, tokens};

/// The momentum of batch normalisation's running statistics, as in torch's `BatchNorm2d`.
const NORM_MOMENTUM: f64 = 0.1;

/// The way in which a pass treats the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Weights take part in gradients. Batch normalisation uses the statistics of the batch and
    /// updates its running statistics.
    Learning,
    /// The network does not change, and its weights are constants. Batch normalisation uses its
    /// running statistics.
    Frozen,
}

/// A network with its weights and running statistics.
#[derive(Debug)]
pub(super) struct TrainableNetwork {
    layers: Layers,
    /// By canonical name: views of `learned` and `statistics`.
    tensors: HashMap<String, Tensor>,
    /// In the order of [`ddrs_common::architecture::Architecture::parameters`].
    names: Vec<String>,
    /// All weights in one tensor, so that an optimiser updates them in a few calls, however many
    /// layers there are.
    learned: Tensor,
    /// All running statistics in one tensor.
    statistics: Tensor,
    normalisation: Option<[Tensor; 2]>,
    /// The kind of number of passes. Weights are in single precision, or double precision in a
    /// double-precision network.
    kind: Kind,
    /// True if convolutions are computed in fp32 between tensors of `kind`: see
    /// [`crate::model::emulates_bf16`].
    emulates_bf16: bool,
}

/// The device of a network, and its kinds of number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numerics {
    /// The device of all tensors.
    pub(super) device: Device,
    /// The kind of weights and running statistics.
    pub(super) weights: Kind,
    /// The kind that passes compute in.
    pub(super) passes: Kind,
}

impl TrainableNetwork {
    /// Makes the network normalise its input: it subtracts `mean` from each channel and divides by
    /// `std`.
    pub(super) fn normalised(mut self, mean: &[f64], std: &[f64]) -> Result<Self, TchError> {
        let like = &self.learned;
        self.normalisation = Some([per_channel(mean, like)?, per_channel(std, like)?]);
        Ok(self)
    }

    /// Returns scores of shape (B, classes), in the weights' kind, for images of shape (B,
    /// channels, height, width).
    pub(super) fn scores(&self, images: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let images = self.prepare(images)?;
        let network = self;
        let scores = forward(&TrainingPass { network, mode }, &network.layers.0, &images)?;
        scores.f_to_kind(self.learned.kind())
    }

    /// Normalises images, and converts them to the kind and the memory order of the pass.
    fn prepare(&self, images: &Tensor) -> Result<Tensor, TchError> {
        channels_last(&self.normalise(images)?.f_to_kind(self.kind)?)
    }

    fn normalise(&self, images: &Tensor) -> Result<Tensor, TchError> {
        match &self.normalisation {
            Some([mean, std]) => images.f_sub(mean)?.f_div(std),
            None => Ok(images.shallow_clone()),
        }
    }
}

/// Returns one value per channel, of shape (1, channels, 1, 1), on the device of `like`.
fn per_channel(values: &[f64], like: &Tensor) -> Result<Tensor, TchError> {
    Tensor::f_from_slice(values)?
        .f_view([1, -1, 1, 1])?
        .f_to_kind(like.kind())?
        .f_to(like.device())
}

/// One pass: convolution and batch normalisation as separate operations.
struct TrainingPass<'a> {
    network: &'a TrainableNetwork,
    mode: Mode,
}

impl LayerPass for TrainingPass<'_> {
    type Unit = Unit;

    fn apply(&self, unit: &Unit, x: &Tensor) -> Result<Tensor, TchError> {
        activate(unit.activation(), self.without_activation(unit, x)?)
    }

    fn apply_and_add(&self, unit: &Unit, x: &Tensor, other: Tensor) -> Result<Tensor, TchError> {
        let sum = self.without_activation(unit, x)?.f_add_(&other)?;
        activate(unit.activation(), sum)
    }
}

impl TrainingPass<'_> {
    fn without_activation(&self, unit: &Unit, x: &Tensor) -> Result<Tensor, TchError> {
        match unit {
            Unit::Conv(conv) => self.conv_norm(conv, x),
            Unit::Norm(norm) => self.normalise(&norm.norm, x),
            Unit::Linear(linear) => self.multiply(linear, x),
            Unit::LayerNorm(norm) => self.normalise_tokens(norm, x),
            Unit::Tokens(spec) => self.tokens(spec, x),
        }
    }

    fn normalise_tokens(&self, spec: &LayerNorm, x: &Tensor) -> Result<Tensor, TchError> {
        let weight = self.weight(&format!("{}.weight", spec.name))?;
        let bias = self.weight(&format!("{}.bias", spec.name))?;
        let width = [i64::from(spec.width)];
        x.f_layer_norm(width, Some(&weight), Some(&bias), spec.epsilon, true)
    }

    fn tokens(&self, spec: &Tokens, patches: &Tensor) -> Result<Tensor, TchError> {
        let class_token = self.weight(&spec.class_token)?;
        let positions = self.weight(&spec.positions)?;
        tokens(patches, &class_token, &positions, spec.side)
    }

    fn conv_norm(&self, spec: &Conv, x: &Tensor) -> Result<Tensor, TchError> {
        let y = self.convolve(spec, x)?;
        match &spec.norm {
            Some(norm) => self.normalise(norm, &y),
            None => Ok(y),
        }
    }

    fn normalise(&self, spec: &BatchNorm, x: &Tensor) -> Result<Tensor, TchError> {
        let norm = |part: &str| self.constant_if_frozen(&format!("{}.{part}", spec.name));
        x.f_batch_norm(
            Some(norm("weight")?),
            Some(norm("bias")?),
            Some(norm("running_mean")?),
            Some(norm("running_var")?),
            self.mode == Mode::Learning,
            NORM_MOMENTUM,
            spec.epsilon,
            true,
        )
    }

    fn convolve(&self, spec: &Conv, x: &Tensor) -> Result<Tensor, TchError> {
        let emulated = self.network.emulates_bf16;
        let weight = self.weight(&format!("{}.weight", spec.name))?;
        let x = operand(x, emulated)?;
        let weight = operand(&weight, emulated)?;
        let y = conv2d(&x, &weight, spec)?.f_to_kind(self.network.kind)?;
        if spec.bias {
            y.f_add(&self.bias(spec)?)
        } else {
            Ok(y)
        }
    }

    /// Returns the bias of a convolution, which broadcasts over its output.
    fn bias(&self, spec: &Conv) -> Result<Tensor, TchError> {
        let bias = self.weight(&format!("{}.bias", spec.name))?;
        bias.f_view([1, -1, 1, 1])
    }

    fn multiply(&self, spec: &Linear, x: &Tensor) -> Result<Tensor, TchError> {
        let weight = self.weight(&format!("{}.weight", spec.name))?;
        let bias = self.weight(&format!("{}.bias", spec.name))?;
        x.f_linear(&weight, Some(&bias))
    }

    /// Returns a weight in the kind that the pass computes in.
    fn weight(&self, name: &str) -> Result<Tensor, TchError> {
        self.constant_if_frozen(name)?.f_to_kind(self.network.kind)
    }

    fn constant_if_frozen(&self, name: &str) -> Result<Tensor, TchError> {
        let tensor = &self.network.tensors[name];
        match self.mode {
            Mode::Frozen => tensor.f_detach(),
            Mode::Learning => Ok(tensor.shallow_clone()),
        }
    }
}

fn conv2d(x: &Tensor, weight: &Tensor, spec: &Conv) -> Result<Tensor, TchError> {
    let Conv {
        kernel,
        stride,
        groups,
        ..
    } = *spec;
    let (x, padding) = padded(x, spec.padding, kernel.into(), stride.into())?;
    let groups = groups.into();
    x.f_conv2d(
        weight,
        None::<&Tensor>,
        square(stride),
        padding,
        [1, 1],
        groups,
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn network(passes: Kind, emulates_bf16: bool) -> TrainableNetwork {
        let numerics = Numerics {
            device: Device::Cpu,
            weights: Kind::Float,
            passes,
        };
        let architecture = "cifar-resnet20".parse().unwrap();
        let network = TrainableNetwork::random(architecture, 10, 1, numerics).unwrap();
        TrainableNetwork {
            emulates_bf16,
            ..network
        }
    }

    /// Runs one pass over fixed images. Returns the gradients of the last convolution and the one
    /// before it, and the scores.
    fn pass(passes: Kind, emulates_bf16: bool) -> Vec<Tensor> {
        let network = network(passes, emulates_bf16);
        let images = Tensor::arange(8 * 3 * 32 * 32, (Kind::Float, Device::Cpu))
            .view([8, 3, 32, 32])
            .sin();
        let scores = network.scores(&images, Mode::Learning).unwrap();
        let loss = scores.cross_entropy_for_logits(&Tensor::arange(8, (Kind::Int64, Device::Cpu)));
        let weights =
            ["layer3.2.conv2.weight", "layer3.2.conv1.weight"].map(|name| &network.tensors[name]);
        let mut all = Tensor::f_run_backward(&[&loss], &weights, false, false).unwrap();
        all.push(scores.detach());
        all
    }

    fn relative_distance(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).norm().double_value(&[]) / b.norm().double_value(&[])
    }

    #[test]
    fn wide_convolutions_of_bf16_are_as_near_to_single_precision_as_torchs_own() {
        let exact = pass(Kind::Float, false);
        let emulated = pass(Kind::BFloat16, true);
        let native = pass(Kind::BFloat16, false);
        for ((emulated, native), exact) in emulated.iter().zip(&native).zip(&exact) {
            let emulated = relative_distance(emulated, exact);
            let native = relative_distance(native, exact);
            assert!(
                emulated > 0.0 && emulated < 1.5 * native,
                "{emulated} {native}"
            );
        }
    }

    /// Networks that together have every kind of layer.
    const NETWORKS: [&str; 6] = [
        "cifar-resnet20-option-a",
        "resnet18-alfarra",
        "preact-resnet18-norm",
        "wide-resnet-10-1",
        "efficientnet-lite0",
        "vit-tiny-patch16-32",
    ];

    fn in_single_precision(name: &str) -> TrainableNetwork {
        let numerics = Numerics {
            device: Device::Cpu,
            weights: Kind::Float,
            passes: Kind::Float,
        };
        TrainableNetwork::random(name.parse().unwrap(), 10, 1, numerics).unwrap()
    }

    fn images() -> Tensor {
        let values = Tensor::arange(4 * 3 * 32 * 32, (Kind::Float, Device::Cpu));
        values.view([4, 3, 32, 32]).sin()
    }

    #[test]
    fn every_weight_of_every_kind_of_layer_learns() {
        for name in NETWORKS {
            let network = in_single_precision(name);
            let scores = network.scores(&images(), Mode::Learning).unwrap();
            let labels = Tensor::arange(4, (Kind::Int64, Device::Cpu));
            let loss = scores.cross_entropy_for_logits(&labels);
            let weights: Vec<&Tensor> = network.weights().collect();
            let gradients = Tensor::f_run_backward(&[&loss], &weights, false, false).unwrap();
            let finite = gradients.iter().all(|gradient| {
                let finite = gradient.isfinite().all();
                i64::try_from(finite).unwrap() == 1
            });
            assert!(finite, "{name}");
        }
    }

    #[test]
    fn a_trained_network_scores_as_it_is_certified() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        for name in NETWORKS {
            let network = in_single_precision(name);
            let tensors = network.tensors();
            let tensors: Vec<_> = tensors
                .map(|(name, tensor)| (name, tensor.detach().contiguous()))
                .collect();
            Tensor::write_safetensors(&tensors, &path).unwrap();
            let text = format!(
                "name = 's'\nseed = 1\n[dataset]\nformat = 'tensors'\npath = 'd'\n\
                 [[model]]\nname = 'm'\npath = 'm.safetensors'\nclasses = 10\n\
                 architecture = '{name}'\noutputs = 'scores'\n\
                 [smoothing]\nsigma = [0.5]\n[certify]\nn0 = 10\nn = 100\nalpha = 0.01\n"
            );
            let spec = folder.path().join("s.toml");
            let sweep = ddrs_common::spec::parse(&text, &spec).unwrap();
            let certified = crate::model::load(&sweep.models[0], Device::Cpu).unwrap();
            let expected = tch::no_grad(|| certified.scores(&images())).unwrap();
            let found = network.scores(&images(), Mode::Frozen).unwrap();
            let distance = relative_distance(&found, &expected);
            assert!(distance < 1e-5, "{name}: {distance}");
        }
    }
}
