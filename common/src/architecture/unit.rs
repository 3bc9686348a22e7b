//! Layers with weights.

use super::parameters::Parameter;

/// A layer with weights.
#[derive(Debug, Clone, PartialEq)]
pub enum Unit {
    /// A convolution, its batch normalisation if any, and an activation.
    Conv(Conv),
    /// A linear layer and an activation.
    Linear(Linear),
}

/// A square convolution, the batch normalisation after it if any, and an activation.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv {
    /// Its tensor is `{name}.weight`, of [`Conv::weight_shape`].
    pub name: String,
    /// True if it has a tensor `{name}.bias`.
    pub bias: bool,
    /// The batch normalisation after it.
    pub norm: Option<BatchNorm>,
    /// Channels in.
    pub inputs: u32,
    /// Channels out.
    pub outputs: u32,
    /// The side in pixels.
    pub kernel: u32,
    /// The distance between outputs in pixels.
    pub stride: u32,
    /// The number of zeros on each side.
    pub padding: u32,
    /// The function of the result.
    pub activation: Activation,
}

/// Batch normalisation: `weight · (x - running_mean) / sqrt(running_var + epsilon) + bias`.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    /// Its tensors are `{name}.{weight,bias,running_mean,running_var}`.
    pub name: String,
    /// The number added to the variance.
    pub epsilon: f64,
}

/// A linear layer and an activation.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Its tensors are `{name}.weight` and `{name}.bias`.
    pub name: String,
    /// Values in.
    pub inputs: u32,
    /// Values out.
    pub outputs: u32,
    /// The function of the result.
    pub activation: Activation,
}

/// The function that follows a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// The identity.
    None,
    /// max(x, 0).
    Relu,
}

impl Conv {
    /// A convolution without bias, normalisation and activation, whose padding keeps the image's
    /// size apart from the stride.
    pub(super) fn new(
        name: impl Into<String>,
        (inputs, outputs): (u32, u32),
        kernel: u32,
        stride: u32,
    ) -> Self {
        Self {
            name: name.into(),
            bias: false,
            norm: None,
            inputs,
            outputs,
            kernel,
            stride,
            padding: kernel / 2,
            activation: Activation::None,
        }
    }

    /// The same convolution with this normalisation after it.
    pub(super) fn norm(mut self, name: impl Into<String>, epsilon: f64) -> Self {
        let name = name.into();
        self.norm = Some(BatchNorm { name, epsilon });
        self
    }

    /// The same convolution with this activation at the end.
    pub(super) fn then(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Outputs, inputs, height, width.
    #[must_use]
    pub fn weight_shape(&self) -> [u32; 4] {
        [self.outputs, self.inputs, self.kernel, self.kernel]
    }

    fn parameters(&self) -> Vec<Parameter> {
        let mut parameters = vec![exact(&self.name, "weight", &self.weight_shape())];
        if self.bias {
            parameters.push(exact(&self.name, "bias", &[self.outputs]));
        }
        let norm = self.norm.iter();
        parameters.extend(norm.flat_map(|norm| norm.parameters(self.outputs)));
        parameters
    }

    fn output_side(&self, side: u64) -> u64 {
        let padded = side + 2 * u64::from(self.padding);
        padded.saturating_sub(self.kernel.into()) / u64::from(self.stride) + 1
    }
}

impl BatchNorm {
    fn parameters(&self, channels: u32) -> [Parameter; 4] {
        let parts = ["weight", "bias", "running_mean", "running_var"];
        parts.map(|part| exact(&self.name, part, &[channels]))
    }
}

impl Linear {
    /// The weight comes first, because it distinguishes a wrong class count from a wrong network.
    fn parameters(&self) -> Vec<Parameter> {
        vec![
            exact(&self.name, "weight", &[self.outputs, self.inputs]),
            exact(&self.name, "bias", &[self.outputs]),
        ]
    }
}

impl Unit {
    /// Its tensors, in the order in which random weights are drawn.
    #[must_use]
    pub fn parameters(&self) -> Vec<Parameter> {
        match self {
            Self::Conv(conv) => conv.parameters(),
            Self::Linear(linear) => linear.parameters(),
        }
    }

    pub(super) fn output_side(&self, side: u64) -> u64 {
        match self {
            Self::Conv(conv) => conv.output_side(side),
            Self::Linear(_) => side,
        }
    }
}

fn exact(name: &str, part: &str, shape: &[u32]) -> Parameter {
    Parameter::exact(format!("{name}.{part}"), shape)
}
