//! Forward passes on the CPU with what follows a convolution in the same kernel.
//!
//! oneDNN adds the shortcut and cuts off what is negative while a convolution's output is still in registers, where separate
//! operations would read and write it again. PyTorch has such convolutions as operators (`mkldnn::_convolution_pointwise`)
//! that its Rust bindings leave out, so a TorchScript program of three calls, `fused_ops.pt`, stands between;
//! `scripts/fused_ops.py` writes it. They have no derivatives: choosing sigma by ascent goes the long way.

use std::cell::RefCell;

use tch::{CModule, Device, IValue, Kind, TchError, Tensor};

use super::{Conv, Resnet};

/// The operators, and each convolution's weights in the order that its kernel reads them.
#[derive(Debug)]
pub(super) struct Fused {
    ops: CModule,
    weights: Vec<Packed>,
}

/// Weights for batches of one shape: what is best depends on it.
type Packed = RefCell<Option<(Vec<i64>, Tensor)>>;

/// What happens to a convolution's output.
enum Then {
    Nothing,
    Relu,
    /// Added to this, which is overwritten; then relu.
    AddRelu(Tensor),
}

impl Fused {
    /// Tries the operators out; `None` where this machine or this kind of number does not have them.
    pub(super) fn new(kind: Kind, device: Device, convolutions: usize) -> Option<Self> {
        if device != Device::Cpu || !matches!(kind, Kind::Float | Kind::BFloat16) {
            return None;
        }
        let ops = CModule::load_data(&mut &include_bytes!("fused_ops.pt")[..]).ok()?;
        let fused = Self { ops, weights: (0..convolutions).map(|_| RefCell::default()).collect() };
        let ones = |shape: [i64; 4]| Tensor::f_ones(shape, (kind, device)).ok();
        let bias = Tensor::f_zeros([16], (kind, device)).ok()?;
        let conv = Conv { weight: ones([16, 16, 3, 3])?, bias, stride: 1, padding: 1, tf32: false };
        let trial = |then| fused.convolve(&conv, &ones([1, 16, 4, 4])?, &RefCell::default(), then).ok();
        let tried = tch::no_grad(|| trial(Then::AddRelu(trial(Then::Relu)?)));
        tried.map(|_| fused)
    }

    /// Scores of images that are normalised and of the network's kind.
    pub(super) fn scores(&self, net: &Resnet, images: &Tensor) -> Result<Tensor, TchError> {
        let mut weights = self.weights.iter();
        let mut run = |conv: &Conv, x: &Tensor, then| match weights.next() {
            Some(packed) => self.convolve(conv, x, packed, then),
            None => Err(TchError::Shape("more convolutions than were counted".to_owned())),
        };
        let mut x = net.pool(run(&net.stem, images, Then::Relu)?)?;
        for block in &net.blocks {
            let Some((last, first)) = block.path.split_last() else { continue };
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

    fn convolve(&self, conv: &Conv, x: &Tensor, packed: &Packed, then: Then) -> Result<Tensor, TchError> {
        let mut arguments = vec![
            IValue::Tensor(x.shallow_clone()),
            IValue::Tensor(self.pack(conv, &x.size(), packed)?),
            IValue::Tensor(conv.bias.shallow_clone()),
            IValue::IntList(vec![conv.padding; 2]),
            IValue::IntList(vec![conv.stride; 2]),
        ];
        let (method, last) = match then {
            Then::Nothing => ("conv", IValue::String("none".to_owned())),
            Then::Relu => ("conv", IValue::String("relu".to_owned())),
            Then::AddRelu(other) => ("conv_add_relu", IValue::Tensor(other)),
        };
        arguments.push(last);
        self.call(method, &arguments)
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
