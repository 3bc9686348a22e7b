//! bf16 on CPUs that cannot multiply bf16 numbers: x86 without AVX-512 BF16, AMX or AVX-NE-CONVERT.
//!
//! On such a CPU, torch's own bf16 code is many times slower than fp32. With the AVX-512 of older
//! processors, torch converts each bf16 number before it multiplies, and is several times slower.
//! Every bf16 number is also an fp32 number, and a bf16 kernel multiplies two of them, adds up in
//! fp32 and rounds the sum. A convolution in fp32 whose result is rounded to bf16 therefore
//! computes the same, at little more than the cost of fp32. So weights and activations are bf16
//! everywhere, and only the inside of a convolution is fp32.

use std::sync::OnceLock;

use tch::{Device, Kind, TchError, Tensor};

/// Returns true if convolutions of this kind are computed in fp32 and rounded. Asks the processor
/// and torch once per process.
#[must_use]
pub fn emulates_bf16(kind: Kind, device: Device) -> bool {
    static EMULATES: OnceLock<bool> = OnceLock::new();
    kind == Kind::BFloat16
        && device == Device::Cpu
        && *EMULATES.get_or_init(|| !multiplies_bf16() || !convolves_bf16())
}

/// Converts the operand of a convolution to fp32 if `emulated`, else returns it as it is.
pub(crate) fn operand(tensor: &Tensor, emulated: bool) -> Result<Tensor, TchError> {
    if emulated {
        tensor.f_to_kind(Kind::Float)
    } else {
        Ok(tensor.shallow_clone())
    }
}

/// Returns true if the processor has the bf16 instructions that oneDNN's kernels use. Processors
/// with AMX also have AVX-512 BF16.
#[cfg(target_arch = "x86_64")]
fn multiplies_bf16() -> bool {
    std::arch::is_x86_feature_detected!("avx512bf16")
        || std::arch::is_x86_feature_detected!("avxneconvert")
}

/// Returns true: on other processors only torch knows.
#[cfg(not(target_arch = "x86_64"))]
fn multiplies_bf16() -> bool {
    true
}

/// Returns true if torch's oneDNN convolves in bf16 on this processor. It refuses where that would
/// be slow.
fn convolves_bf16() -> bool {
    tch::no_grad(convolve_one).is_ok()
}

fn convolve_one() -> Result<Tensor, TchError> {
    let one = Tensor::f_ones([1, 1, 1, 1], (Kind::BFloat16, Device::Cpu))?;
    one.f_mkldnn_convolution(&one, None::<&Tensor>, [0, 0], [1, 1], [1, 1], 1)
}
