//! The device and the kind of number that a network computes with.

use anyhow::{Result, bail};
use ddrs_common::spec::Precision;
use tch::{Device, Kind, TchError, Tensor};

use super::bf16_emulation::{emulates_bf16, operand};

/// The device and the kind of number that a network computes with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arithmetic {
    pub(super) device: Device,
    pub(super) kind: Kind,
    /// True if convolutions on a GPU may round to tf32, which torch allows by default.
    pub(super) tf32: bool,
    /// True if convolutions are computed in fp32 between tensors of `kind`: see
    /// [`super::bf16_emulation`].
    pub(super) emulates_bf16: bool,
}

impl Arithmetic {
    pub(super) fn new(precision: Precision, device: Device) -> Result<Self> {
        let kind = kind(precision, device)?;
        if device.is_cuda() {
            refuse_override(precision, |name| std::env::var(name).ok())?;
        }
        Ok(Self {
            device,
            kind,
            tf32: precision == Precision::Tf32,
            emulates_bf16: emulates_bf16(kind, device),
        })
    }

    /// Converts a weight to the network's kind and moves it to the network's device.
    pub(super) fn convert(self, tensor: &Tensor) -> Result<Tensor, TchError> {
        tensor.f_to_kind(self.kind)?.f_to(self.device)
    }

    /// Converts a weight to the form that the inside of a convolution reads.
    pub(super) fn convert_operand(self, tensor: &Tensor) -> Result<Tensor, TchError> {
        operand(&self.convert(tensor)?, self.emulates_bf16)
    }
}

fn kind(precision: Precision, device: Device) -> Result<Kind> {
    Ok(match precision {
        Precision::Fp32 => Kind::Float,
        Precision::Bf16 => Kind::BFloat16,
        Precision::Fp16 => Kind::Half,
        Precision::Tf32 if device.is_cuda() => Kind::Float,
        Precision::Tf32 => bail!("precision tf32 is a mode of NVIDIA GPUs; this device is the cpu"),
    })
}

/// Refuses a precision that an environment variable of the CUDA libraries would change without
/// torch's knowledge.
pub(super) fn refuse_override(
    precision: Precision,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<()> {
    let (name, expected) = match precision {
        Precision::Fp32 => ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "0"),
        Precision::Tf32 => ("NVIDIA_TF32_OVERRIDE", "1"),
        Precision::Bf16 | Precision::Fp16 => return Ok(()),
    };
    match variable(name) {
        Some(value) if value != expected => bail!(
            "the worker's environment sets {name} to {value:?}, which changes precision {}; \
             unset the variable",
            precision.as_str()
        ),
        _ => Ok(()),
    }
}
