//! bf16 on CPUs that do not multiply numbers of bf16: x86 without AVX-512 BF16, AMX or
//! AVX-NE-CONVERT.
//!
//! Left alone, torch computes them there by code that is many times slower than fp32, or, with the
//! AVX-512 of older processors, by kernels that take numbers of bf16 apart first and are several
//! times slower. But every number of bf16 is one of fp32, and a kernel for bf16 multiplies two of
//! them, adds up in fp32 and rounds the sum: a convolution in fp32 whose result is rounded does the
//! same, at little more than fp32's cost. So weights and activations are bf16 everywhere, and only
//! the inside of a convolution is wide.

use std::sync::OnceLock;

use tch::{Device, Kind, Tensor};

/// Whether convolutions of this kind are to be computed in single precision and rounded. Asks the
/// processor and torch, once.
pub fn wide(kind: Kind, device: Device) -> bool {
    static WIDE: OnceLock<bool> = OnceLock::new();
    kind == Kind::BFloat16
        && device == Device::Cpu
        && *WIDE.get_or_init(|| !multiplies() || !convolves())
}

/// Whether the processor has instructions for bf16 that oneDNN's kernels are made of. Those with
/// AMX have AVX-512 BF16 too.
#[cfg(target_arch = "x86_64")]
fn multiplies() -> bool {
    std::arch::is_x86_feature_detected!("avx512bf16")
        || std::arch::is_x86_feature_detected!("avxneconvert")
}

/// Elsewhere torch alone knows.
#[cfg(not(target_arch = "x86_64"))]
fn multiplies() -> bool {
    true
}

/// Whether torch's oneDNN convolves in bf16 on this processor; it refuses where it would be slow.
fn convolves() -> bool {
    let tried = Tensor::f_ones([1, 1, 1, 1], (Kind::BFloat16, Device::Cpu)).and_then(|one| {
        tch::no_grad(|| one.f_mkldnn_convolution(&one, None::<&Tensor>, [0, 0], [1, 1], [1, 1], 1))
    });
    tried.is_ok()
}
