//! Fused convolutions and linear layers on the CPU.
//!
//! oneDNN adds the shortcut and applies the ReLU while a convolution's output is still in
//! registers. Separate operations would read and write the output again. PyTorch has these
//! convolutions as operators (`mkldnn::_convolution_pointwise`), but its Rust bindings lack them.
//! The TorchScript program `onednn_ops.pt`, written by `scripts/onednn_ops.py`, calls them. The
//! operators have no derivatives, so choosing sigma by gradient ascent uses the plain operations.
//!
//! The fused ReLU turns NaN into 0, which a separate ReLU would keep. Weights that are not finite
//! are therefore left to the plain operations, which show them in their scores, and images that are
//! not finite never get here. One case remains: a network whose activations overflow on finite
//! images.

use ddrs_common::architecture::{Activation, Padding};
use tch::{CModule, Device, IValue, Kind, TchError, Tensor};

use super::PlainPass;
use super::conv::{FoldedConv, PackedWeight};
use super::linear::{LinearLayer, is_tokens};
use super::unit::NativeUnit;
use crate::model::activation::activate;
use crate::model::tensors::are_finite;
use crate::model::{LayerPass, emulates_bf16};

/// The operators, loaded from TorchScript.
#[derive(Debug)]
pub(super) struct OneDnn(CModule);

impl OneDnn {
    /// Loads the operators and tries them. Returns `None` where this machine does not have them for
    /// this kind of number, or a weight is not finite.
    pub(super) fn new(kind: Kind, device: Device, convolutions: &[&FoldedConv]) -> Option<Self> {
        let supported = device == Device::Cpu && matches!(kind, Kind::Float | Kind::BFloat16);
        if !supported || !convolutions.iter().all(|conv| has_finite_weights(conv)) {
            return None;
        }
        let onednn = Self::load().ok()?;
        tch::no_grad(|| onednn.try_out(kind)).ok()?;
        Some(onednn)
    }

    fn load() -> Result<Self, TchError> {
        let program = include_bytes!("onednn_ops.pt");
        CModule::load_data(&mut &program[..]).map(Self)
    }

    /// Runs both operators on a small convolution of ones.
    fn try_out(&self, kind: Kind) -> Result<(), TchError> {
        let conv = trial_convolution(kind)?;
        let images = Tensor::f_ones([1, 16, 4, 4], (kind, Device::Cpu))?;
        let other = self.convolve(&conv, &images)?;
        self.convolve_and_add(&conv, &images, &other).map(drop)
    }

    /// Returns activation(conv(x)).
    fn convolve(&self, conv: &FoldedConv, x: &Tensor) -> Result<Tensor, TchError> {
        let (then, constants) = in_kernel(conv.activation);
        let last = [
            IValue::String(then.to_owned()),
            IValue::DoubleList(constants.to_vec()),
        ];
        self.call_on(conv, x, "conv", last)
    }

    /// Returns activation(conv(x) + other). `other` must be in channels-last order and may be
    /// overwritten.
    fn convolve_and_add(
        &self,
        conv: &FoldedConv,
        x: &Tensor,
        other: &Tensor,
    ) -> Result<Tensor, TchError> {
        let other = IValue::Tensor(conv.operand(other)?);
        match conv.activation {
            Activation::Relu => {
                let relu = IValue::String("relu".to_owned());
                self.call_on(conv, x, "conv_add", [other, relu])
            }
            activation => {
                let sum = self.call_on(conv, x, "conv_add", [other, IValue::None])?;
                activate(activation, sum)
            }
        }
    }

    /// Calls an operator of a convolution, with its last arguments.
    fn call_on(
        &self,
        conv: &FoldedConv,
        x: &Tensor,
        method: &str,
        last: [IValue; 2],
    ) -> Result<Tensor, TchError> {
        let kind = x.kind();
        let (x, padding) = conv.padded(x)?;
        let mut arguments = vec![
            IValue::Tensor(conv.operand(&x)?),
            IValue::Tensor(self.packed_weight(conv, &x.size(), padding)?),
            IValue::Tensor(conv.bias.shallow_clone()),
        ];
        arguments.extend(geometry(conv, padding));
        arguments.extend(last);
        self.call(method, &arguments)?.f_to_kind(kind)
    }

    /// Returns activation(linear(x)).
    fn multiply(&self, linear: &LinearLayer, x: &Tensor) -> Result<Tensor, TchError> {
        let (then, constants) = in_kernel(linear.activation);
        let mut arguments = self.operands(linear, x)?;
        arguments.push(IValue::String(then.to_owned()));
        arguments.push(IValue::DoubleList(constants.to_vec()));
        self.call("linear", &arguments)?.f_to_kind(x.kind())
    }

    /// Returns activation(linear(x) + other).
    fn multiply_and_add(
        &self,
        linear: &LinearLayer,
        x: &Tensor,
        other: &Tensor,
    ) -> Result<Tensor, TchError> {
        let mut arguments = self.operands(linear, x)?;
        arguments.push(IValue::Tensor(linear.operand(other)?));
        let sum = self.call("linear_add", &arguments)?.f_to_kind(x.kind())?;
        activate(linear.activation, sum)
    }

    /// Returns the input, the packed weight and the bias of a linear layer.
    fn operands(&self, linear: &LinearLayer, x: &Tensor) -> Result<Vec<IValue>, TchError> {
        let packed = if let Some(packed) = linear.packed.get() {
            packed
        } else {
            let weight = IValue::Tensor(linear.operand(&linear.weight)?);
            let packed = self.call("pack_linear", &[weight])?;
            linear.packed.get_or_init(|| packed)
        };
        Ok(vec![
            IValue::Tensor(linear.operand(x)?),
            IValue::Tensor(packed.shallow_clone()),
            IValue::Tensor(linear.operand(&linear.bias)?),
        ])
    }

    /// Returns the weight packed for inputs of this shape, from the last call where possible.
    fn packed_weight(
        &self,
        conv: &FoldedConv,
        shape: &[i64],
        padding: [i64; 2],
    ) -> Result<Tensor, TchError> {
        if let Some((packed_for, weight)) = &*conv.packed.borrow()
            && packed_for == shape
        {
            return Ok(weight.shallow_clone());
        }
        let weight = self.pack(conv, shape, padding)?;
        *conv.packed.borrow_mut() = Some((shape.to_vec(), weight.shallow_clone()));
        Ok(weight)
    }

    fn pack(
        &self,
        conv: &FoldedConv,
        shape: &[i64],
        padding: [i64; 2],
    ) -> Result<Tensor, TchError> {
        let mut arguments = vec![IValue::Tensor(conv.weight.shallow_clone())];
        arguments.extend(geometry(conv, padding));
        arguments.push(IValue::IntList(shape.to_vec()));
        self.call("pack", &arguments)
    }

    fn call(&self, method: &str, arguments: &[IValue]) -> Result<Tensor, TchError> {
        match self.0.method_is(method, arguments)? {
            IValue::Tensor(tensor) => Ok(tensor),
            other => Err(TchError::Kind(format!("{method} returned {other:?}"))),
        }
    }
}

/// Returns padding, stride and groups as arguments.
fn geometry(conv: &FoldedConv, padding: [i64; 2]) -> [IValue; 3] {
    let sizes = |sizes: [i64; 2]| IValue::IntList(sizes.to_vec());
    [sizes(padding), sizes(conv.stride), IValue::Int(conv.groups)]
}

/// Returns oneDNN's name of an activation, and its constants.
fn in_kernel(activation: Activation) -> (&'static str, &'static [f64]) {
    match activation {
        Activation::None => ("none", &[]),
        Activation::Relu => ("relu", &[]),
        Activation::Relu6 => ("hardtanh", &[0.0, 6.0]),
        Activation::LeakyRelu => ("leaky_relu", &[0.01]),
        Activation::Silu => ("swish", &[]),
        Activation::Gelu => ("gelu", &[]),
    }
}

fn has_finite_weights(conv: &FoldedConv) -> bool {
    are_finite([&conv.weight, &conv.bias])
}

fn trial_convolution(kind: Kind) -> Result<FoldedConv, TchError> {
    let emulates_bf16 = emulates_bf16(kind, Device::Cpu);
    let inside = if emulates_bf16 { Kind::Float } else { kind };
    Ok(FoldedConv {
        weight: Tensor::f_ones([16, 16, 3, 3], (inside, Device::Cpu))?,
        bias: Tensor::f_zeros([16], (inside, Device::Cpu))?,
        stride: [1, 1],
        padding: Padding::Even(1),
        groups: 1,
        activation: Activation::Relu,
        tf32: false,
        emulates_bf16,
        fusion: None,
        packed: PackedWeight::default(),
    })
}

/// A forward pass with oneDNN's fused convolutions.
pub(super) struct OneDnnPass<'a>(pub(super) &'a OneDnn);

impl LayerPass for OneDnnPass<'_> {
    type Unit = NativeUnit;

    fn apply(&self, unit: &NativeUnit, x: &Tensor) -> Result<Tensor, TchError> {
        match unit {
            NativeUnit::Conv(conv) => self.0.convolve(conv, x),
            NativeUnit::Linear(linear) if is_tokens(x) => self.0.multiply(linear, x),
            _ => PlainPass.apply(unit, x),
        }
    }

    fn apply_and_add(
        &self,
        unit: &NativeUnit,
        x: &Tensor,
        other: Tensor,
    ) -> Result<Tensor, TchError> {
        match unit {
            NativeUnit::Conv(conv) => self.0.convolve_and_add(conv, x, &other),
            NativeUnit::Linear(linear) if is_tokens(x) => {
                self.0.multiply_and_add(linear, x, &other)
            }
            _ => PlainPass.apply_and_add(unit, x, other),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::channels_last;

    fn conv(weight: Tensor, bias: Tensor, emulates_bf16: bool) -> FoldedConv {
        FoldedConv {
            weight,
            bias,
            emulates_bf16,
            ..trial_convolution(Kind::Float).unwrap()
        }
    }

    /// A convolution of 16 channels that multiplies each by `sign` and adds 0.5, so that its
    /// outputs can be checked by hand: the kernel is 0 except in the middle.
    fn scaling(sign: f64, kind: Kind, emulates_bf16: bool) -> FoldedConv {
        let kind = if emulates_bf16 { Kind::Float } else { kind };
        let weight = Tensor::zeros([16, 16, 3, 3], (kind, Device::Cpu));
        for channel in 0..16 {
            let kernel = weight.get(channel).get(channel);
            let _ = kernel.narrow(0, 1, 1).narrow(1, 1, 1).fill_(sign);
        }
        let bias = Tensor::full([16], 0.5, (kind, Device::Cpu));
        conv(weight, bias, emulates_bf16)
    }

    /// Halves and whole numbers, which bfloat16 represents exactly.
    fn exact_images(kind: Kind) -> Tensor {
        let values = Tensor::arange(16 * 16, (Kind::Float, Device::Cpu)).view([1, 4, 4, 16]);
        (values.remainder(9.0) - 4.0)
            .permute([0, 3, 1, 2])
            .to_kind(kind)
    }

    #[test]
    fn what_follows_a_convolution_is_done_with_it() {
        let as_here = |kind| (kind, emulates_bf16(kind, Device::Cpu));
        for (kind, emulated) in [
            as_here(Kind::Float),
            as_here(Kind::BFloat16),
            (Kind::BFloat16, true),
        ] {
            let x = exact_images(kind);
            let plain: Tensor = -&x + 0.5;
            for activation in [
                Activation::None,
                Activation::Relu,
                Activation::Relu6,
                Activation::LeakyRelu,
            ] {
                let conv = FoldedConv {
                    activation,
                    ..scaling(-1.0, kind, emulated)
                };
                let onednn = OneDnn::new(kind, Device::Cpu, &[&conv])
                    .expect("oneDNN has this kind of number here");
                let expected = |x: &Tensor| activate(activation, x.copy()).unwrap();
                let found = onednn.convolve(&conv, &x).unwrap();
                assert!(found.equal(&expected(&plain)) && found.kind() == kind);
                let other = &x * 2.0;
                let sum = expected(&(&plain + &other));
                let found = onednn.convolve_and_add(&conv, &x, &other).unwrap();
                assert!(found.equal(&sum) && found.kind() == kind);
            }
        }
    }

    /// bfloat16 numbers in a pattern without a period, so that errors do not cancel in the sums.
    fn aperiodic(shape: [i64; 4], step: f64) -> Tensor {
        let count = shape.iter().product::<i64>();
        let angles = Tensor::arange(count, (Kind::Double, Device::Cpu)) * step;
        channels_last(&angles.sin().view(shape).to_kind(Kind::BFloat16)).unwrap()
    }

    fn exact_convolution(x: &Tensor, weight: &Tensor) -> Tensor {
        let [x, weight] = [x, weight].map(|tensor| tensor.to_kind(Kind::Double));
        x.conv2d(&weight, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1)
    }

    #[test]
    fn a_wide_convolution_rounds_the_exact_sum_once() {
        let x = aperiodic([2, 32, 8, 8], 1.7);
        let weight = aperiodic([16, 32, 3, 3], 0.9);
        let exact = exact_convolution(&x, &weight);
        let bias = Tensor::zeros([16], (Kind::Float, Device::Cpu));
        let conv = FoldedConv {
            activation: Activation::None,
            ..conv(weight.to_kind(Kind::Float), bias, true)
        };
        let onednn = OneDnn::new(Kind::BFloat16, Device::Cpu, &[&conv]).unwrap();
        let fused = onednn.convolve(&conv, &x);
        for found in [conv.forward(&x, None).unwrap(), fused.unwrap()] {
            assert_eq!(found.kind(), Kind::BFloat16);
            // Half a unit in the last of 8 bits is at most 1/256 of the number. The rest is the
            // rounding of 288 terms in single precision.
            let difference = (found.to_kind(Kind::Double) - &exact).abs();
            let excess = (difference - exact.abs() * 2f64.powi(-8)).max();
            let excess = excess.double_value(&[]);
            assert!(excess < 1e-4, "{excess}");
        }
    }

    #[test]
    fn weights_that_are_not_finite_use_the_plain_operations() {
        for bad in [f64::NAN, f64::INFINITY] {
            let conv = scaling(bad, Kind::Float, false);
            assert!(OneDnn::new(Kind::Float, Device::Cpu, &[&conv]).is_none());
        }
    }

    #[test]
    fn there_are_no_fused_convolutions_of_half_precision_on_the_cpu() {
        let conv = scaling(1.0, Kind::Half, false);
        assert!(OneDnn::new(Kind::Half, Device::Cpu, &[&conv]).is_none());
    }
}
