//! The forward pass of a network: the one place that follows the order of its layers.
//!
//! A [`LayerPass`] supplies the layers with weights: as plain torch operations, fused cuDNN calls,
//! fused oneDNN calls, or for training. A new network is a new description, a new kind of layer
//! changes this file or the units, and a new way to compute a layer is one more [`LayerPass`].

use ddrs_common::architecture::{GlobalPool, Layer, MaxPool, Residual, Shortcut};
use tch::{TchError, Tensor};

use super::tensors::{channels_last, square};
use super::tokens::attention;

/// The layers with weights of one forward pass.
pub(crate) trait LayerPass {
    /// A layer with weights, as this pass stores it.
    type Unit;

    /// Returns activation(unit(x)).
    fn apply(&self, unit: &Self::Unit, x: &Tensor) -> Result<Tensor, TchError>;

    /// Returns activation(unit(x) + other). No later layer reads `other`, so the pass may overwrite
    /// it.
    fn apply_and_add(
        &self,
        unit: &Self::Unit,
        x: &Tensor,
        other: Tensor,
    ) -> Result<Tensor, TchError>;
}

/// Computes the layers one after another. Images are normalised and of the pass's kind.
pub(crate) fn forward<P: LayerPass>(
    pass: &P,
    layers: &[Layer<P::Unit>],
    images: &Tensor,
) -> Result<Tensor, TchError> {
    layers
        .iter()
        .try_fold(images.shallow_clone(), |x, layer| step(pass, layer, x))
}

fn step<P: LayerPass>(pass: &P, layer: &Layer<P::Unit>, x: Tensor) -> Result<Tensor, TchError> {
    match layer {
        Layer::Unit(unit) => pass.apply(unit, &x),
        Layer::MaxPool(pool) => max_pool(*pool, &x),
        Layer::Residual(residual) => sum_of_branches(pass, residual, x),
        Layer::GlobalPool(pool) => global_pool(*pool, &x),
        Layer::Attention { heads } => attention(*heads, &x),
        Layer::FirstToken => x.f_select(1, 0),
    }
}

fn sum_of_branches<P: LayerPass>(
    pass: &P,
    residual: &Residual<P::Unit>,
    x: Tensor,
) -> Result<Tensor, TchError> {
    let y = forward(pass, &residual.body, &x)?;
    let other = match &residual.shortcut {
        Shortcut::Identity => x,
        Shortcut::Projection(unit) => pass.apply(unit, &x)?,
        Shortcut::Subsample { stride, zeros } => subsample(&x, *stride, *zeros)?,
    };
    pass.apply_and_add(&residual.last, &y, other)
}

/// Takes every `stride`-th pixel, and puts channels of zeros before and after the others.
fn subsample(x: &Tensor, stride: u32, zeros: u32) -> Result<Tensor, TchError> {
    let [stride, zeros] = [stride, zeros].map(i64::from);
    let x = x
        .f_slice(2, None, None, stride)?
        .f_slice(3, None, None, stride)?;
    channels_last(&x.f_constant_pad_nd([0, 0, 0, 0, zeros, zeros])?)
}

fn max_pool(pool: MaxPool, x: &Tensor) -> Result<Tensor, TchError> {
    let kernel = square(pool.kernel);
    let stride = square(pool.stride);
    x.f_max_pool2d(kernel, stride, square(pool.padding), [1, 1], false)
}

fn global_pool(pool: GlobalPool, x: &Tensor) -> Result<Tensor, TchError> {
    match pool {
        GlobalPool::Mean => x.f_mean_dim([2, 3].as_slice(), false, None),
        GlobalPool::Max => x.f_amax([2, 3].as_slice(), false),
    }
}
