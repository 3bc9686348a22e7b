//! The distributions from which the weights of a new network are drawn.

/// The distribution of a tensor's initial values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialValue {
    /// Every value is 0: biases and running means.
    Zero,
    /// Every value is 1: scales and running variances of batch normalisation.
    One,
    /// Normal with mean 0 and variance 2 / `inputs` (He et al. 2015, equation 10): weights of
    /// layers.
    He {
        /// The number of inputs of one output.
        inputs: u64,
    },
}

impl InitialValue {
    /// Returns the distribution of the tensor with this canonical name and shape.
    #[must_use]
    pub fn of(name: &str, shape: &[u64]) -> Self {
        let part = name.rsplit('.').next();
        match (part, shape) {
            (Some("running_var"), _) | (Some("weight"), [_]) => Self::One,
            (Some("weight"), [_, rest @ ..]) => Self::He {
                inputs: rest.iter().product(),
            },
            _ => Self::Zero,
        }
    }
}
