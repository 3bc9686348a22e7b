//! Forward passes on the CPU with what follows a convolution in the same kernel.
//!
//! oneDNN adds the shortcut and cuts off what is negative while a convolution's output is still in
//! registers, where separate operations would read and write it again. PyTorch has such
//! convolutions as operators (`mkldnn::_convolution_pointwise`) that its Rust bindings leave out,
//! so a TorchScript program of three calls, `onednn_ops.pt`, stands between;
//! `scripts/onednn_ops.py` writes it. They have no derivatives: choosing sigma by ascent goes the
//! long way.
//!
//! Cut off with the negative is what is no number, which a separate relu would pass on. So weights
//! that are not finite are left to the long way, which shows them in its scores, and images that
//! are not finite never get here. What is left is a network whose activations overflow on finite
//! images.

use std::cell::RefCell;

use tch::{CModule, Device, IValue, Kind, TchError, Tensor};

use super::super::fused::is_finite;
use super::super::wide;
use super::{Conv, Resnet};

/// The operators, and each convolution's weights in the order that its kernel reads them.
#[derive(Debug)]
pub(super) struct OneDnn {
    ops: CModule,
    weights: Vec<Packed>,
}

/// Weights for batches of one shape: what is best depends on it.
type Packed = RefCell<Option<(Vec<i64>, Tensor)>>;

/// What happens to a convolution's output.
enum Then {
    Nothing,
    Relu,
    /// Added to this, which may be overwritten and must be in channels-last order; then relu.
    AddRelu(Tensor),
}

impl OneDnn {
    /// Tries the operators out; `None` where this machine or this kind of number does not have
    /// them.
    pub(super) fn new(kind: Kind, device: Device, convolutions: &[&Conv]) -> Option<Self> {
        let finite = |conv: &&Conv| [&conv.weight, &conv.bias].into_iter().all(is_finite);
        if device != Device::Cpu
            || !matches!(kind, Kind::Float | Kind::BFloat16)
            || !convolutions.iter().all(finite)
        {
            return None;
        }
        let ops = CModule::load_data(&mut &include_bytes!("onednn_ops.pt")[..]).ok()?;
        let fused = Self {
            ops,
            weights: convolutions.iter().map(|_| RefCell::default()).collect(),
        };
        let wide = wide(kind, device);
        let inside = if wide { Kind::Float } else { kind };
        let ones = |shape: [i64; 4], kind| Tensor::f_ones(shape, (kind, device)).ok();
        let bias = Tensor::f_zeros([16], (inside, device)).ok()?;
        let weight = ones([16, 16, 3, 3], inside)?;
        let conv = Conv {
            weight,
            bias,
            stride: 1,
            padding: 1,
            tf32: false,
            wide,
            fusion: None,
        };
        let trial = |then| {
            fused
                .convolve(
                    &conv,
                    &ones([1, 16, 4, 4], kind)?,
                    &RefCell::default(),
                    then,
                )
                .ok()
        };
        let tried = tch::no_grad(|| trial(Then::AddRelu(trial(Then::Relu)?)));
        tried.map(|_| fused)
    }

    /// Scores of images that are normalised and of the network's kind.
    pub(super) fn scores(&self, net: &Resnet, images: &Tensor) -> Result<Tensor, TchError> {
        let mut weights = self.weights.iter();
        let mut run = |conv: &Conv, x: &Tensor, then| match weights.next() {
            Some(packed) => self.convolve(conv, x, packed, then),
            None => Err(TchError::Shape(
                "more convolutions than were counted".to_owned(),
            )),
        };
        let mut x = net.pool(run(&net.stem, images, Then::Relu)?)?;
        for block in &net.blocks {
            let Some((last, first)) = block.path.split_last() else {
                continue;
            };
            let mut y = x.shallow_clone();
            for conv in first {
                y = run(conv, &y, Then::Relu)?;
            }
            // Nobody reads the block's input any more when the last convolution adds to it.
            let shortcut = match &block.shortcut {
                Some(shortcut) => run(shortcut, &x, Then::Nothing)?,
                None => x,
            };
            x = run(last, &y, Then::AddRelu(shortcut))?;
        }
        net.classify(&x)
    }

    fn convolve(
        &self,
        conv: &Conv,
        x: &Tensor,
        packed: &Packed,
        then: Then,
    ) -> Result<Tensor, TchError> {
        let mut arguments = vec![
            IValue::Tensor(conv.widened(x)?),
            IValue::Tensor(self.pack(conv, &x.size(), packed)?),
            IValue::Tensor(conv.bias.shallow_clone()),
            IValue::IntList(vec![conv.padding; 2]),
            IValue::IntList(vec![conv.stride; 2]),
        ];
        let (method, last) = match then {
            Then::Nothing => ("conv", IValue::String("none".to_owned())),
            Then::Relu => ("conv", IValue::String("relu".to_owned())),
            Then::AddRelu(other) => ("conv_add_relu", IValue::Tensor(conv.widened(&other)?)),
        };
        arguments.push(last);
        self.call(method, &arguments)?.f_to_kind(x.kind())
    }

    fn pack(&self, conv: &Conv, shape: &[i64], packed: &Packed) -> Result<Tensor, TchError> {
        if let Some((known, weight)) = &*packed.borrow()
            && known == shape
        {
            return Ok(weight.shallow_clone());
        }
        let weight = self.call(
            "pack",
            &[
                IValue::Tensor(conv.weight.shallow_clone()),
                IValue::IntList(vec![conv.padding; 2]),
                IValue::IntList(vec![conv.stride; 2]),
                IValue::IntList(shape.to_vec()),
            ],
        )?;
        *packed.borrow_mut() = Some((shape.to_vec(), weight.shallow_clone()));
        Ok(weight)
    }

    fn call(&self, method: &str, arguments: &[IValue]) -> Result<Tensor, TchError> {
        match self.ops.method_is(method, arguments)? {
            IValue::Tensor(tensor) => Ok(tensor),
            other => Err(TchError::Kind(format!("{method} gave {other:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// y = relu(x), y = relu(-x + other) and so on are easy to check by hand: one channel in
    /// sixteen, a kernel that is 1 in the middle.
    fn identity(sign: f64, kind: Kind, wide: bool) -> Conv {
        let kind = if wide { Kind::Float } else { kind };
        let weight = Tensor::zeros([16, 16, 3, 3], (kind, Device::Cpu));
        for channel in 0..16 {
            let _ = weight
                .get(channel)
                .get(channel)
                .narrow(0, 1, 1)
                .narrow(1, 1, 1)
                .fill_(sign);
        }
        let bias = Tensor::full([16], 0.5, (kind, Device::Cpu));
        Conv {
            weight,
            bias,
            stride: 1,
            padding: 1,
            tf32: false,
            wide,
            fusion: None,
        }
    }

    #[test]
    fn what_follows_a_convolution_is_done_with_it() {
        let as_here = |kind| (kind, wide(kind, Device::Cpu));
        for (kind, wide) in [
            as_here(Kind::Float),
            as_here(Kind::BFloat16),
            (Kind::BFloat16, true),
        ] {
            let conv = identity(-1.0, kind, wide);
            let fused = OneDnn::new(kind, Device::Cpu, &[&conv])
                .expect("oneDNN has this kind of number here");
            // Halves and whole numbers, which bfloat16 has as they are.
            let x = (Tensor::arange(16 * 16, (Kind::Float, Device::Cpu))
                .view([1, 4, 4, 16])
                .remainder(9.0)
                - 4.0)
                .permute([0, 3, 1, 2])
                .to_kind(kind);
            let run = |then| fused.convolve(&conv, &x, &fused.weights[0], then).unwrap();
            let plain: Tensor = -&x + 0.5;
            assert!(run(Then::Nothing).equal(&plain));
            assert!(run(Then::Relu).equal(&plain.relu()));
            let other = &x * 2.0;
            let expected = (&plain + &other).relu();
            let found = run(Then::AddRelu(other));
            assert!(found.equal(&expected) && found.kind() == kind);
        }
    }

    #[test]
    fn a_wide_convolution_rounds_the_exact_sum_once() {
        // A pattern without a period that the sums could hide behind, as numbers of bfloat16.
        let pattern = |shape: [i64; 4], step: f64| {
            let count = shape.iter().product::<i64>();
            let values = (Tensor::arange(count, (Kind::Double, Device::Cpu)) * step)
                .sin()
                .view(shape);
            super::super::channels_last(&values.to_kind(Kind::BFloat16)).unwrap()
        };
        let (x, weight) = (pattern([2, 32, 8, 8], 1.7), pattern([16, 32, 3, 3], 0.9));
        let exact = x.to_kind(Kind::Double).conv2d(
            &weight.to_kind(Kind::Double),
            None::<&Tensor>,
            [1, 1],
            [1, 1],
            [1, 1],
            1,
        );
        let bias = Tensor::zeros([16], (Kind::Float, Device::Cpu));
        let weight = weight.to_kind(Kind::Float);
        let conv = Conv {
            weight,
            bias,
            stride: 1,
            padding: 1,
            tf32: false,
            wide: true,
            fusion: None,
        };
        let fused = OneDnn::new(Kind::BFloat16, Device::Cpu, &[&conv]).unwrap();
        for found in [
            conv.forward(&x).unwrap(),
            fused
                .convolve(&conv, &x, &fused.weights[0], Then::Nothing)
                .unwrap(),
        ] {
            assert_eq!(found.kind(), Kind::BFloat16);
            // Half a unit in the last of 8 bits, which is at most 1/256 of the number, and what
            // single precision loses in 288 terms.
            let apart = (found.to_kind(Kind::Double) - &exact).abs() - exact.abs() * 2f64.powi(-8);
            let most = apart.max().double_value(&[]);
            assert!(most < 1e-4, "{most}");
        }
    }

    #[test]
    fn weights_that_are_not_finite_go_the_long_way() {
        for bad in [f64::NAN, f64::INFINITY] {
            assert!(
                OneDnn::new(
                    Kind::Float,
                    Device::Cpu,
                    &[&identity(bad, Kind::Float, false)]
                )
                .is_none()
            );
        }
    }

    #[test]
    fn there_are_no_fused_convolutions_of_half_precision_on_the_cpu() {
        assert!(OneDnn::new(Kind::Half, Device::Cpu, &[]).is_none());
    }
}
