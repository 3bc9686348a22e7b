//! The operations of transformers that have no weights.

use tch::{Kind, TchError, Tensor};

/// Turns patches of shape (B, width, H, W) into tokens of shape (B, 1 + H · W, width): the class
/// token, then the patches row by row, plus a vector per position.
///
/// # Errors
/// When there is another number of patches than `side` per row and column.
pub(crate) fn tokens(
    patches: &Tensor,
    class_token: &Tensor,
    positions: &Tensor,
    side: u32,
) -> Result<Tensor, TchError> {
    let (images, width, height, columns) = patches.size4()?;
    let side = i64::from(side);
    if (height, columns) != (side, side) {
        return Err(TchError::Shape(format!(
            "the network takes images of {side} x {side} patches, not {height} x {columns}"
        )));
    }
    let patches = patches.f_permute([0, 2, 3, 1])?;
    let patches = patches.f_reshape([images, side * side, width])?;
    let class_token = class_token.f_expand([images, 1, width], false)?;
    Tensor::f_cat(&[class_token, patches], 1)?.f_add(positions)
}

/// Attention between the tokens of an image. `x` has shape (B, tokens, 3 · width): queries, keys
/// and values of all heads. The result has shape (B, tokens, width).
pub(crate) fn attention(heads: u32, x: &Tensor) -> Result<Tensor, TchError> {
    let (images, tokens, widths) = x.size3()?;
    let heads = i64::from(heads);
    let parts = x
        .f_view([images, tokens, 3, heads, widths / (3 * heads)])?
        .f_permute([2, 0, 3, 1, 4])?;
    let [queries, keys, values] = [0, 1, 2].map(|part| parts.f_get(part));
    attend(&queries?, &keys?, &values?)?
        .f_transpose(1, 2)?
        .f_reshape([images, tokens, widths / 3])
}

/// Returns softmax(q kᵀ / sqrt(width)) v per head. The fused operation has no derivative that adds
/// in the same order each time on every device.
fn attend(queries: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor, TchError> {
    if !queries.requires_grad() {
        return Tensor::f_scaled_dot_product_attention(
            queries,
            keys,
            values,
            None::<&Tensor>,
            0.0,
            false,
            None,
            false,
        );
    }
    let width = keys.size().last().copied().unwrap_or(1);
    let scaled = queries.f_mul_scalar((width as f64).sqrt().recip())?;
    scaled
        .f_matmul(&keys.f_transpose(-2, -1)?)?
        .f_softmax(-1, None::<Kind>)?
        .f_matmul(values)
}
