//! The functions that follow layers.

use ddrs_common::architecture::Activation;
use tch::{TchError, Tensor};

/// Applies a function to a new tensor, in its memory where possible.
pub(crate) fn activate(activation: Activation, mut x: Tensor) -> Result<Tensor, TchError> {
    match activation {
        Activation::None => Ok(x),
        Activation::Relu => x.f_relu_(),
    }
}
