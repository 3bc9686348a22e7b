//! A residual network that learns: batch normalisation apart from the convolutions, single-precision weights, and
//! passes in the precision that the specification asks for.

use anyhow::{Context, Result};
use ddrs_common::architecture::{Architecture, ConvNorm, MaxPool, Parameter, ResidualBlock, ResnetLayout, Shape};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use std::collections::HashMap;
use tch::{Device, Kind, TchError, Tensor};

/// What torch's `BatchNorm2d` moves its running statistics by.
const NORM_MOMENTUM: f64 = 0.1;

/// How a pass treats the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Weights take part in gradients; batch normalisation uses the batch's statistics and moves its own.
    Learning,
    /// Nothing of the network changes or takes part in gradients: running statistics, weights as constants.
    Frozen,
}

/// A network and its state.
#[derive(Debug)]
pub struct Network {
    layout: ResnetLayout,
    /// By canonical name, in the order of [`Architecture::parameters`].
    tensors: HashMap<String, Tensor>,
    names: Vec<String>,
    normalisation: Option<(Tensor, Tensor)>,
    /// Of passes; weights are kept in single precision, or double in a double-precision network.
    kind: Kind,
}

/// Where and in what kind of number.
#[derive(Debug, Clone, Copy)]
pub struct Numbers {
    /// Where all tensors are.
    pub device: Device,
    /// What weights and statistics are kept in.
    pub weights: Kind,
    /// What passes compute in.
    pub passes: Kind,
}

impl Network {
    /// A network with random weights: convolutions as He et al. (2015) initialise them, the last layer uniformly.
    ///
    /// # Errors
    /// When the architecture has no layers to train, and what torch reports.
    pub fn random(architecture: Architecture, classes: u32, seed: u64, numbers: Numbers) -> Result<Self> {
        let layout = architecture.layout().with_context(|| format!("{architecture} has nothing to train"))?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut tensors, mut names) = (HashMap::new(), Vec::new());
        for Parameter { name, shape } in architecture.parameters(classes) {
            let Shape::Exact(shape) = shape else { anyhow::bail!("{architecture} has no fixed shapes") };
            let values = initial(&name, &shape, layout.features, &mut rng);
            let shape: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
            let tensor = channels_last(&Tensor::f_from_slice(&values)?.f_view(&shape[..])?)?;
            tensors.insert(name.clone(), tensor.f_to_kind(numbers.weights)?.f_to(numbers.device)?);
            names.push(name);
        }
        let mut network = Self { layout, tensors, names, normalisation: None, kind: numbers.passes };
        network.learn()?;
        Ok(network)
    }

    /// Subtracts `mean` from each channel of what it is given, and divides by `std`.
    ///
    /// # Errors
    /// What torch reports.
    pub fn normalised(mut self, mean: &[f64], std: &[f64]) -> Result<Self, TchError> {
        let of = &self.tensors["fc.weight"];
        let channels = |values: &[f64]| {
            Tensor::f_from_slice(values)?.f_view([1, -1, 1, 1])?.f_to_kind(of.kind())?.f_to(of.device())
        };
        self.normalisation = Some((channels(mean)?, channels(std)?));
        Ok(self)
    }

    /// Every tensor by its canonical name, in the network's order.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.names.iter().map(|name| (name.as_str(), &self.tensors[name]))
    }

    /// Those that learn, in the network's order.
    pub fn learning(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors().filter(|(name, _)| learns(name))
    }

    /// Takes the values of `others`, which are named as its own.
    ///
    /// # Errors
    /// When one is missing or has another shape.
    pub fn load(&mut self, others: &HashMap<String, Tensor>) -> Result<()> {
        tch::no_grad(|| {
            for name in &self.names {
                let other = others.get(name).with_context(|| format!("no tensor {name}"))?;
                let tensor = self.tensors.get_mut(name).with_context(|| format!("no tensor {name}"))?;
                tensor.f_copy_(other).with_context(|| name.clone())?;
            }
            Ok(())
        })
    }

    /// The same weights, and running statistics of its own: for a group of inputs that another thread computes.
    ///
    /// # Errors
    /// What torch reports.
    pub fn apart(&self) -> Result<Self, TchError> {
        let share = |tensor: &Tensor| tensor.shallow_clone();
        let own = |(name, tensor): (&String, &Tensor)| {
            Ok((name.clone(), if learns(name) { share(tensor) } else { copy(tensor)? }))
        };
        Ok(Self {
            layout: self.layout.clone(),
            tensors: self.tensors.iter().map(own).collect::<Result<_, TchError>>()?,
            names: self.names.clone(),
            normalisation: self.normalisation.as_ref().map(|(mean, std)| (share(mean), share(std))),
            kind: self.kind,
        })
    }

    /// Takes for its running statistics the mean of others'.
    ///
    /// # Errors
    /// What torch reports.
    pub fn average_statistics(&mut self, others: &[Self]) -> Result<(), TchError> {
        for (name, tensor) in self.tensors.iter_mut().filter(|(name, _)| !learns(name)) {
            let each: Vec<&Tensor> = others.iter().map(|other| &other.tensors[name]).collect();
            let mean = Tensor::f_stack(&each, 0)?.f_mean_dim([0].as_slice(), false, None)?;
            tensor.f_copy_(&mean)?;
        }
        Ok(())
    }

    /// Scores of shape (B, classes), in single precision or better, for images of shape (B, channels, height, width).
    ///
    /// # Errors
    /// What torch reports.
    pub fn scores(&self, images: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let images = match &self.normalisation {
            Some((mean, std)) => images.f_sub(mean)?.f_div(std)?,
            None => images.shallow_clone(),
        };
        let images = channels_last(&images.f_to_kind(self.kind)?)?;
        let mut x = self.conv_norm(&self.layout.stem, &images, mode)?.f_relu_()?;
        if let Some(MaxPool { kernel, stride, padding }) = self.layout.max_pool {
            let square = |size: u32| [i64::from(size); 2];
            x = x.f_max_pool2d(square(kernel), square(stride), square(padding), [1, 1], false)?;
        }
        for block in &self.layout.blocks {
            x = self.block(block, &x, mode)?;
        }
        let features = x.f_mean_dim([2, 3].as_slice(), false, None)?;
        let (weight, bias) = (self.weight("fc.weight", mode)?, self.weight("fc.bias", mode)?);
        features.f_linear(&weight, Some(&bias))?.f_to_kind(self.tensors["fc.weight"].kind())
    }

    fn block(&self, block: &ResidualBlock, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let (last, first) = block.path.split_last().ok_or_else(|| TchError::Shape("a block without layers".into()))?;
        let mut y = x.shallow_clone();
        for conv in first {
            y = self.conv_norm(conv, &y, mode)?.f_relu_()?;
        }
        let mut y = self.conv_norm(last, &y, mode)?;
        let mut y = match &block.shortcut {
            Some(shortcut) => y.f_add_(&self.conv_norm(shortcut, x, mode)?)?,
            None => y.f_add_(x)?,
        };
        y.f_relu_()
    }

    fn conv_norm(&self, spec: &ConvNorm, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let (stride, padding) = ([i64::from(spec.stride); 2], [i64::from(spec.padding); 2]);
        let weight = self.weight(&format!("{}.weight", spec.conv), mode)?;
        let x = x.f_conv2d(&weight, None::<&Tensor>, stride, padding, [1, 1], 1)?;
        let part = |part: &str| {
            let tensor = &self.tensors[&format!("{}.{part}", spec.norm)];
            if mode == Mode::Frozen { tensor.f_detach() } else { Ok(tensor.shallow_clone()) }
        };
        let (mean, variance) = (Some(part("running_mean")?), Some(part("running_var")?));
        let learning = mode == Mode::Learning;
        let (weight, bias) = (Some(part("weight")?), Some(part("bias")?));
        x.f_batch_norm(weight, bias, mean, variance, learning, NORM_MOMENTUM, ConvNorm::EPSILON, true)
    }

    /// A weight as a pass computes with it.
    fn weight(&self, name: &str, mode: Mode) -> Result<Tensor, TchError> {
        let weight = &self.tensors[name];
        if mode == Mode::Frozen { weight.f_detach()?.f_to_kind(self.kind) } else { weight.f_to_kind(self.kind) }
    }

    fn learn(&mut self) -> Result<(), TchError> {
        for (name, tensor) in &mut self.tensors {
            *tensor = tensor.f_set_requires_grad(learns(name))?;
        }
        Ok(())
    }
}

/// The same values in memory of their own, without a gradient.
///
/// # Errors
/// What torch reports.
pub fn copy(tensor: &Tensor) -> Result<Tensor, TchError> {
    let tensor = tensor.f_detach()?;
    let mut copy = tensor.f_empty_like()?;
    copy.f_copy_(&tensor)?;
    Ok(copy)
}

/// The same values with channels innermost in memory, which is faster on CPUs and in bf16 on GPUs. Tensors without
/// height and width stay as they are.
fn channels_last(tensor: &Tensor) -> Result<Tensor, TchError> {
    if tensor.dim() != 4 {
        return Ok(tensor.shallow_clone());
    }
    tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

fn learns(name: &str) -> bool {
    !name.contains(".running_")
}

fn initial(name: &str, shape: &[u64], features: u32, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let size = shape.iter().product::<u64>();
    if name.starts_with("fc.") {
        let bound = f64::from(features).sqrt().recip();
        return (0..size).map(|_| rng.random_range(-bound..bound)).collect();
    }
    if shape.len() == 1 {
        let value = if name.ends_with(".weight") || name.ends_with(".running_var") { 1.0 } else { 0.0 };
        return vec![value; size as usize];
    }
    let inputs: u64 = shape[1..].iter().product();
    let deviation = (2.0 / inputs as f64).sqrt();
    (0..size).map(|_| deviation * rng.sample::<f64, _>(StandardNormal)).collect()
}
