//! The functions that follow layers.

use ddrs_common::architecture::Activation;
use tch::{TchError, Tensor};

/// Applies a function to a new tensor, in its memory.
pub(crate) fn activate(activation: Activation, mut x: Tensor) -> Result<Tensor, TchError> {
    match activation {
        Activation::None => Ok(x),
        Activation::Relu => x.f_relu_(),
        Activation::Relu6 => x.f_relu6_(),
        Activation::LeakyRelu => x.f_leaky_relu_(),
        Activation::Silu => x.f_silu_(),
        Activation::Gelu => x.f_gelu_("none"),
    }
}
