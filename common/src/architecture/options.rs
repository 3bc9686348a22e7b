//! Choices between networks that have the same tensors. A model file cannot tell them apart, so
//! the specification says them.

use super::{Activation, Architecture, GlobalPool};

/// The choices of one network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NetworkOptions {
    /// The number added to the variances of normalisations.
    pub epsilon: f64,
    /// The function after each layer.
    pub activation: Activation,
    /// The convolution of a bottleneck that has its stride.
    pub stride_place: StridePlace,
    /// The pooling after the first convolution.
    pub stem_pooling: StemPooling,
    /// The value that stands for all pixels of a channel before the last layer.
    pub pooling: GlobalPool,
    /// The meaning of what the network returns.
    pub outputs: Outputs,
}

/// The meaning of what a network returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outputs {
    /// Scores, whose softmax is the probability of each class.
    Scores,
    /// The probabilities themselves: a network that ddrs builds ends with a softmax.
    Probabilities,
}

/// The convolution of a bottleneck that has its stride.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StridePlace {
    /// The second, 3x3, as in torchvision.
    Second,
    /// The first, 1x1, as in He et al. (2016).
    First,
}

/// The pooling after the first convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StemPooling {
    /// The maximum over 3x3 pixels, with stride 2.
    Max,
    /// Nothing.
    None,
}

/// A key of a specification that chooses between networks with the same tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionKey {
    /// `epsilon`.
    Epsilon,
    /// `activation`.
    Activation,
    /// `stride-place`.
    StridePlace,
    /// `stem-pooling`.
    StemPooling,
    /// `pooling`.
    Pooling,
    /// `outputs`.
    Outputs,
}

impl OptionKey {
    /// All keys, in the order in which specifications are completed.
    pub const ALL: [Self; 6] = [
        Self::Epsilon,
        Self::Activation,
        Self::StridePlace,
        Self::StemPooling,
        Self::Pooling,
        Self::Outputs,
    ];

    /// The key as a specification writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Epsilon => "epsilon",
            Self::Activation => "activation",
            Self::StridePlace => "stride-place",
            Self::StemPooling => "stem-pooling",
            Self::Pooling => "pooling",
            Self::Outputs => "outputs",
        }
    }
}

impl Architecture {
    /// The choices of the network as its authors published it.
    #[must_use]
    pub fn usual_options(&self) -> NetworkOptions {
        let usual = NetworkOptions::default();
        match self {
            Self::EfficientnetLite0 => NetworkOptions {
                epsilon: 1e-3,
                activation: Activation::Relu6,
                ..usual
            },
            Self::Vit { .. } => NetworkOptions {
                epsilon: 1e-6,
                activation: Activation::Gelu,
                ..usual
            },
            Self::Resnet { .. } => NetworkOptions {
                stem_pooling: StemPooling::Max,
                ..usual
            },
            Self::ResnetAlfarra => NetworkOptions {
                stem_pooling: StemPooling::Max,
                outputs: Outputs::Probabilities,
                ..usual
            },
            _ => usual,
        }
    }

    /// Returns true if the key makes a difference for this network.
    #[must_use]
    pub fn has_option(&self, key: OptionKey) -> bool {
        let is_resnet = matches!(
            self,
            Self::CifarResnet { .. }
                | Self::CifarResnetA { .. }
                | Self::Resnet { .. }
                | Self::ResnetCifar { .. }
                | Self::ResnetAlfarra
        );
        match key {
            OptionKey::Epsilon | OptionKey::Activation | OptionKey::Outputs => {
                *self != Self::HalfSpace
            }
            OptionKey::StridePlace => self.has_bottlenecks(),
            OptionKey::StemPooling => is_resnet,
            OptionKey::Pooling => !matches!(self, Self::HalfSpace | Self::Vit { .. }),
        }
    }

    fn has_bottlenecks(&self) -> bool {
        match *self {
            Self::Resnet { depth } | Self::ResnetCifar { depth } => depth >= 50,
            _ => false,
        }
    }
}

impl Default for NetworkOptions {
    /// The choices of most networks.
    fn default() -> Self {
        Self {
            epsilon: 1e-5,
            activation: Activation::Relu,
            stride_place: StridePlace::Second,
            stem_pooling: StemPooling::None,
            pooling: GlobalPool::Mean,
            outputs: Outputs::Scores,
        }
    }
}

impl NetworkOptions {
    /// The keys whose values differ from `usual`, with their values.
    #[must_use]
    pub fn differences(&self, usual: &Self) -> Vec<(OptionKey, String)> {
        let values = OptionKey::ALL.map(|key| (key, self.to_toml(key)));
        let differ = values.into_iter();
        differ
            .filter(|(key, value)| *value != usual.to_toml(*key))
            .collect()
    }

    /// The value of a key as a specification writes it.
    #[must_use]
    pub fn to_toml(&self, key: OptionKey) -> String {
        match key {
            OptionKey::Epsilon => format!("{:?}", self.epsilon),
            OptionKey::Activation => quoted(self.activation.as_str()),
            OptionKey::StridePlace => quoted(self.stride_place.as_str()),
            OptionKey::StemPooling => quoted(self.stem_pooling.as_str()),
            OptionKey::Pooling => quoted(self.pooling.as_str()),
            OptionKey::Outputs => quoted(self.outputs.as_str()),
        }
    }
}

fn quoted(word: &str) -> String {
    format!("\"{word}\"")
}

impl StridePlace {
    /// The word that specifications use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Second => "3x3",
            Self::First => "1x1",
        }
    }
}

impl StemPooling {
    /// The word that specifications use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::None => "none",
        }
    }
}

impl Outputs {
    /// The word that specifications use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scores => "scores",
            Self::Probabilities => "probabilities",
        }
    }
}
