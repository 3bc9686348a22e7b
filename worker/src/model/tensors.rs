//! Operations on tensors that inference and training share.

use ddrs_common::architecture::Padding;
use safetensors::tensor::TensorView;
use tch::{Kind, TchError, Tensor};

/// Returns true if no element is NaN or infinite.
///
/// # Errors
/// When torch cannot compute or read the answer.
pub fn is_finite(tensor: &Tensor) -> Result<bool, TchError> {
    all(&tensor.f_detach()?.f_isfinite()?)
}

/// Returns true if every element is true.
pub(super) fn all(tensor: &Tensor) -> Result<bool, TchError> {
    let all = tensor.f_all()?.f_to_kind(Kind::Int64)?;
    Ok(i64::try_from(&all)? == 1)
}

/// Returns the same values of shape (N, C, H, W) with channels innermost in memory, which is faster
/// on CPUs and in bf16 on GPUs. A tensor without height and width stays as it is.
pub(crate) fn channels_last(tensor: &Tensor) -> Result<Tensor, TchError> {
    if tensor.dim() != 4 {
        return Ok(tensor.shallow_clone());
    }
    tensor
        .f_permute([0, 2, 3, 1])?
        .f_contiguous()?
        .f_permute([0, 3, 1, 2])
}

/// Returns a size for both height and width.
pub(crate) fn square(size: u32) -> [i64; 2] {
    [i64::from(size); 2]
}

/// Returns the images and the zeros that a convolution adds on each side. Zeros that differ between
/// the sides are added here.
pub(crate) fn padded(
    x: &Tensor,
    padding: Padding,
    kernel: i64,
    stride: i64,
) -> Result<(Tensor, [i64; 2]), TchError> {
    if let Padding::Even(zeros) = padding {
        return Ok((x.shallow_clone(), square(zeros)));
    }
    let (_, _, height, width) = x.size4()?;
    let [height, width] = [height, width].map(|side| missing_zeros(side, kernel, stride));
    if height % 2 == 0 && width % 2 == 0 {
        return Ok((x.shallow_clone(), [height / 2, width / 2]));
    }
    let zeros = [
        width / 2,
        width - width / 2,
        height / 2,
        height - height / 2,
    ];
    Ok((x.f_constant_pad_nd(zeros)?, [0, 0]))
}

/// Returns the number of zeros for ceil(side / stride) outputs.
fn missing_zeros(side: i64, kernel: i64, stride: i64) -> i64 {
    let outputs = (side + stride - 1) / stride;
    ((outputs - 1) * stride + kernel - side).max(0)
}

/// Copies a tensor of a safetensors file, whose numbers are of this kind.
pub(crate) fn from_view(view: &TensorView, kind: Kind) -> Result<Tensor, TchError> {
    let shape = view.shape().iter().map(|&size| size as i64);
    Tensor::f_from_data_size(view.data(), &shape.collect::<Vec<_>>(), kind)
}

/// Returns true if all tensors are finite, and torch can say so.
pub(super) fn are_finite(tensors: [&Tensor; 2]) -> bool {
    tensors
        .into_iter()
        .all(|tensor| is_finite(tensor).unwrap_or(false))
}
