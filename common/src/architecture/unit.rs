//! Layers with weights.

use super::parameters::Parameter;

/// A layer with weights.
#[derive(Debug, Clone, PartialEq)]
pub enum Unit {
    /// A convolution, its batch normalisation if any, and an activation.
    Conv(Conv),
    /// Batch normalisation that follows a sum, and an activation.
    Norm(Norm),
    /// A linear layer and an activation.
    Linear(Linear),
    /// Normalisation of each token.
    LayerNorm(LayerNorm),
    /// The tokens of a transformer, (B, tokens, width), from patches, (B, width, H, W).
    Tokens(Tokens),
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
    /// The zeros around the image.
    pub padding: Padding,
    /// The number of groups of channels, each of which sees only itself.
    pub groups: u32,
    /// The function of the result.
    pub activation: Activation,
}

/// The zeros around an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// This number on each side.
    Even(u32),
    /// As few as give ceil(side / stride) outputs; an odd one lies right and below, as in
    /// TensorFlow.
    Same,
}

/// Batch normalisation: `weight · (x - running_mean) / sqrt(running_var + epsilon) + bias`.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    /// Its tensors are `{name}.{weight,bias,running_mean,running_var}`.
    pub name: String,
    /// The number added to the variance.
    pub epsilon: f64,
}

/// Batch normalisation that follows no convolution, and an activation.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// The normalisation.
    pub norm: BatchNorm,
    /// The number of channels.
    pub channels: u32,
    /// The function of the result.
    pub activation: Activation,
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

/// Normalisation of each token over its values.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNorm {
    /// Its tensors are `{name}.weight` and `{name}.bias`.
    pub name: String,
    /// The values of a token.
    pub width: u32,
    /// The number added to the variance.
    pub epsilon: f64,
}

/// Turns an image of patches into tokens, puts the token of the class before them, and adds a
/// vector per position.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokens {
    /// The tensor of the class token, of shape (1, 1, width).
    pub class_token: String,
    /// The tensor of the positions, of shape (1, 1 + side · side, width).
    pub positions: String,
    /// The patches per row and column.
    pub side: u32,
    /// The values of a token.
    pub width: u32,
}

/// The function that follows a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// The identity.
    None,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
    /// x above 0, else 0.01 · x.
    LeakyRelu,
    /// x · sigmoid(x).
    Silu,
    /// x · Phi(x), with the distribution function of the standard normal distribution.
    Gelu,
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
            padding: Padding::Even(kernel / 2),
            groups: 1,
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

    /// Outputs, inputs per group, height, width.
    #[must_use]
    pub fn weight_shape(&self) -> [u32; 4] {
        let inputs = self.inputs / self.groups;
        [self.outputs, inputs, self.kernel, self.kernel]
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
        let zeros = match self.padding {
            Padding::Even(zeros) => zeros,
            Padding::Same => return side.div_ceil(self.stride.into()),
        };
        let padded = side + 2 * u64::from(zeros);
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
    /// A linear layer without activation.
    pub(super) fn new(name: impl Into<String>, (inputs, outputs): (u32, u32)) -> Self {
        Self {
            name: name.into(),
            inputs,
            outputs,
            activation: Activation::None,
        }
    }

    /// The same layer with this activation at the end.
    pub(super) fn then(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }
}

impl Activation {
    /// The word that specifications use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::LeakyRelu => "leaky-relu",
            Self::Silu => "silu",
            Self::Gelu => "gelu",
        }
    }
}

impl Tokens {
    fn parameters(&self) -> Vec<Parameter> {
        let Self { side, width, .. } = *self;
        let positions = [1, 1 + side * side, width];
        vec![
            Parameter::exact(self.class_token.clone(), &[1, 1, width]),
            Parameter::exact(self.positions.clone(), &positions),
        ]
    }
}

impl Unit {
    /// Its tensors, in the order in which random weights are drawn.
    #[must_use]
    pub fn parameters(&self) -> Vec<Parameter> {
        match self {
            Self::Conv(conv) => conv.parameters(),
            Self::Norm(Norm { norm, channels, .. }) => norm.parameters(*channels).to_vec(),
            Self::Linear(linear) => weight_and_bias(&linear.name, &[linear.outputs, linear.inputs]),
            Self::LayerNorm(LayerNorm { name, width, .. }) => weight_and_bias(name, &[*width]),
            Self::Tokens(tokens) => tokens.parameters(),
        }
    }

    /// The function of the result.
    #[must_use]
    pub fn activation(&self) -> Activation {
        match self {
            Self::Conv(Conv { activation, .. })
            | Self::Norm(Norm { activation, .. })
            | Self::Linear(Linear { activation, .. }) => *activation,
            Self::LayerNorm(_) | Self::Tokens(_) => Activation::None,
        }
    }

    pub(super) fn output_side(&self, side: u64) -> u64 {
        match self {
            Self::Conv(conv) => conv.output_side(side),
            _ => side,
        }
    }
}

/// A weight of this shape and a bias per row. The weight comes first, because it distinguishes a
/// wrong class count from a wrong network.
fn weight_and_bias(name: &str, shape: &[u32]) -> Vec<Parameter> {
    vec![
        exact(name, "weight", shape),
        exact(name, "bias", &shape[..1]),
    ]
}

fn exact(name: &str, part: &str, shape: &[u32]) -> Parameter {
    Parameter::exact(format!("{name}.{part}"), shape)
}
