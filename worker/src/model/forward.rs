//! The forward pass of a residual network: the one description of the order of its layers.
//!
//! A [`ResnetPass`] supplies the operations: plain torch, fused cuDNN calls, fused oneDNN calls, or
//! training with batch normalisation. A new architecture changes the layout, a new kind of block
//! changes this file, and a new way to compute convolutions is one more [`ResnetPass`].

use ddrs_common::architecture::{MaxPool, ResidualBlock, ResnetLayout};
use tch::{TchError, Tensor};

use super::tensors::square;

/// The operations of one forward pass.
pub(crate) trait ResnetPass {
    /// A convolution with its batch normalisation, as this pass stores it.
    type Conv;

    /// The layers in order.
    fn layout(&self) -> &ResnetLayout<Self::Conv>;

    /// Returns relu(conv(x)).
    fn conv_relu(&self, conv: &Self::Conv, x: &Tensor) -> Result<Tensor, TchError>;

    /// Returns relu(conv(y) + shortcut).
    fn conv_add_relu(
        &self,
        conv: &Self::Conv,
        y: &Tensor,
        shortcut: Shortcut<'_, Self::Conv>,
    ) -> Result<Tensor, TchError>;

    /// Returns the weight and the bias of the linear layer at the end.
    fn classifier(&self) -> Result<(Tensor, Tensor), TchError>;
}

/// The second term of a block's sum.
pub(crate) struct Shortcut<'a, C> {
    /// The convolution that changes the shape of `x`; `None` for the identity.
    pub(crate) projection: Option<&'a C>,
    /// The input of the block. No later layer reads it, so the pass may overwrite it.
    pub(crate) x: Tensor,
}

/// Computes the scores of images that are normalised and of the pass's kind.
pub(crate) fn forward(pass: &impl ResnetPass, images: &Tensor) -> Result<Tensor, TchError> {
    let mut x = stem(pass, images)?;
    for block in &pass.layout().blocks {
        x = residual_block(pass, block, x)?;
    }
    classify(pass, &x)
}

fn stem(pass: &impl ResnetPass, images: &Tensor) -> Result<Tensor, TchError> {
    let layout = pass.layout();
    let x = pass.conv_relu(&layout.stem, images)?;
    max_pool(layout.max_pool, x)
}

fn residual_block<P: ResnetPass>(
    pass: &P,
    block: &ResidualBlock<P::Conv>,
    x: Tensor,
) -> Result<Tensor, TchError> {
    let (last, first) = split_last(&block.path)?;
    let y = convolve_all(pass, first, &x)?;
    let projection = block.shortcut.as_ref();
    pass.conv_add_relu(last, &y, Shortcut { projection, x })
}

fn split_last<C>(path: &[C]) -> Result<(&C, &[C]), TchError> {
    path.split_last()
        .ok_or_else(|| TchError::Shape("a block without layers".to_owned()))
}

fn convolve_all<P: ResnetPass>(pass: &P, path: &[P::Conv], x: &Tensor) -> Result<Tensor, TchError> {
    let mut y = x.shallow_clone();
    for conv in path {
        y = pass.conv_relu(conv, &y)?;
    }
    Ok(y)
}

fn classify(pass: &impl ResnetPass, x: &Tensor) -> Result<Tensor, TchError> {
    let features = x.f_mean_dim([2, 3].as_slice(), false, None)?;
    let (weight, bias) = pass.classifier()?;
    features.f_linear(&weight, Some(&bias))
}

fn max_pool(pool: Option<MaxPool>, x: Tensor) -> Result<Tensor, TchError> {
    let Some(pool) = pool else {
        return Ok(x);
    };
    let kernel = square(pool.kernel);
    let stride = square(pool.stride);
    x.f_max_pool2d(kernel, stride, square(pool.padding), [1, 1], false)
}
