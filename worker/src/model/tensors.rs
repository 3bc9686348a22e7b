//! Operations on tensors that inference and training share.

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
