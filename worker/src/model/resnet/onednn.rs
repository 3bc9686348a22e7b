//! Fused convolutions on the CPU.
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

use ddrs_common::architecture::ResnetLayout;
use tch::{CModule, Device, IValue, Kind, TchError, Tensor};

use super::super::tensors::are_finite;
use super::super::{ResnetPass, Shortcut, emulates_bf16};
use super::Resnet;
use super::conv::{FoldedConv, PackedWeight};

/// The operators, loaded from TorchScript.
#[derive(Debug)]
pub(super) struct OneDnn(CModule);

/// The operation that is fused with a convolution.
enum Epilogue {
    None,
    Relu,
    /// Adds this tensor, then applies the ReLU. The tensor must be in channels-last order and may
    /// be overwritten.
    AddRelu(Tensor),
}

impl Epilogue {
    /// Returns the operator of a convolution with this epilogue, and its last argument.
    fn into_call(self, conv: &FoldedConv) -> Result<(&'static str, IValue), TchError> {
        Ok(match self {
            Self::None => ("conv", IValue::String("none".to_owned())),
            Self::Relu => ("conv", IValue::String("relu".to_owned())),
            Self::AddRelu(other) => ("conv_add_relu", IValue::Tensor(conv.operand(&other)?)),
        })
    }
}

impl OneDnn {
    /// Loads the operators and tries them. Returns `None` where this machine does not have them for
    /// this kind of number, or a weight is not finite.
    pub(super) fn new(
        kind: Kind,
        device: Device,
        layout: &ResnetLayout<FoldedConv>,
    ) -> Option<Self> {
        let supported = device == Device::Cpu && matches!(kind, Kind::Float | Kind::BFloat16);
        if !supported || !layout.convolutions().all(has_finite_weights) {
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
        let other = self.convolve(&conv, &images, Epilogue::Relu)?;
        self.convolve(&conv, &images, Epilogue::AddRelu(other))
            .map(drop)
    }

    fn convolve(
        &self,
        conv: &FoldedConv,
        x: &Tensor,
        epilogue: Epilogue,
    ) -> Result<Tensor, TchError> {
        let (method, last) = epilogue.into_call(conv)?;
        let [padding, stride] = geometry(conv);
        let arguments = [
            IValue::Tensor(conv.operand(x)?),
            IValue::Tensor(self.packed_weight(conv, &x.size())?),
            IValue::Tensor(conv.bias.shallow_clone()),
            padding,
            stride,
            last,
        ];
        self.call(method, &arguments)?.f_to_kind(x.kind())
    }

    /// Returns the weight packed for inputs of this shape, from the last call where possible.
    fn packed_weight(&self, conv: &FoldedConv, shape: &[i64]) -> Result<Tensor, TchError> {
        if let Some((packed_for, weight)) = &*conv.packed.borrow()
            && packed_for == shape
        {
            return Ok(weight.shallow_clone());
        }
        let weight = self.pack(conv, shape)?;
        *conv.packed.borrow_mut() = Some((shape.to_vec(), weight.shallow_clone()));
        Ok(weight)
    }

    fn pack(&self, conv: &FoldedConv, shape: &[i64]) -> Result<Tensor, TchError> {
        let [padding, stride] = geometry(conv);
        let weight = IValue::Tensor(conv.weight.shallow_clone());
        let shape = IValue::IntList(shape.to_vec());
        self.call("pack", &[weight, padding, stride, shape])
    }

    fn call(&self, method: &str, arguments: &[IValue]) -> Result<Tensor, TchError> {
        match self.0.method_is(method, arguments)? {
            IValue::Tensor(tensor) => Ok(tensor),
            other => Err(TchError::Kind(format!("{method} returned {other:?}"))),
        }
    }
}

/// Returns padding and stride as arguments.
fn geometry(conv: &FoldedConv) -> [IValue; 2] {
    [conv.padding, conv.stride].map(|sizes| IValue::IntList(sizes.to_vec()))
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
        padding: [1, 1],
        tf32: false,
        emulates_bf16,
        fusion: None,
        packed: PackedWeight::default(),
    })
}

/// A forward pass of `net` with oneDNN's fused convolutions.
pub(super) struct OneDnnPass<'a> {
    pub(super) net: &'a Resnet,
    pub(super) onednn: &'a OneDnn,
}

impl ResnetPass for OneDnnPass<'_> {
    type Conv = FoldedConv;

    fn layout(&self) -> &ResnetLayout<FoldedConv> {
        self.net.layout()
    }

    fn conv_relu(&self, conv: &FoldedConv, x: &Tensor) -> Result<Tensor, TchError> {
        self.onednn.convolve(conv, x, Epilogue::Relu)
    }

    fn conv_add_relu(
        &self,
        conv: &FoldedConv,
        y: &Tensor,
        shortcut: Shortcut<'_, FoldedConv>,
    ) -> Result<Tensor, TchError> {
        let other = match shortcut.projection {
            Some(projection) => self
                .onednn
                .convolve(projection, &shortcut.x, Epilogue::None)?,
            None => shortcut.x,
        };
        self.onednn.convolve(conv, y, Epilogue::AddRelu(other))
    }

    fn classifier(&self) -> Result<(Tensor, Tensor), TchError> {
        self.net.classifier()
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

    fn one_layer(stem: FoldedConv) -> ResnetLayout<FoldedConv> {
        ResnetLayout {
            stem,
            max_pool: None,
            blocks: Vec::new(),
            features: 16,
        }
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
            let layout = one_layer(scaling(-1.0, kind, emulated));
            let onednn = OneDnn::new(kind, Device::Cpu, &layout)
                .expect("oneDNN has this kind of number here");
            let x = exact_images(kind);
            let run = |epilogue| onednn.convolve(&layout.stem, &x, epilogue).unwrap();
            let plain: Tensor = -&x + 0.5;
            assert!(run(Epilogue::None).equal(&plain));
            assert!(run(Epilogue::Relu).equal(&plain.relu()));
            let other = &x * 2.0;
            let expected = (&plain + &other).relu();
            let found = run(Epilogue::AddRelu(other));
            assert!(found.equal(&expected) && found.kind() == kind);
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
        let layout = one_layer(conv(weight.to_kind(Kind::Float), bias, true));
        let onednn = OneDnn::new(Kind::BFloat16, Device::Cpu, &layout).unwrap();
        let fused = onednn.convolve(&layout.stem, &x, Epilogue::None);
        for found in [layout.stem.forward(&x).unwrap(), fused.unwrap()] {
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
            let layout = one_layer(scaling(bad, Kind::Float, false));
            assert!(OneDnn::new(Kind::Float, Device::Cpu, &layout).is_none());
        }
    }

    #[test]
    fn there_are_no_fused_convolutions_of_half_precision_on_the_cpu() {
        let layout = one_layer(scaling(1.0, Kind::Half, false));
        assert!(OneDnn::new(Kind::Half, Device::Cpu, &layout).is_none());
    }
}
