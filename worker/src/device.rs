//! The device: the CPU, or a GPU reached through libtorch's CUDA half, which is loaded only where
//! it is needed.
//!
//! - [`pick`]: opens the device that `--device` names
//! - [`move_to`]: moves tensors to it
//! - [`cuda`]: finds and loads libtorch's CUDA half, or says why it is not used
//! - [`gpus`]: the GPUs as NVIDIA's driver describes them
//! - `context`: settings of the whole process; all `unsafe` code of the worker is there

mod context;
pub mod cuda;
pub mod gpus;

pub use context::keep_freed_memory;

use std::str::FromStr;

use anyhow::{Result, bail};
use tch::{Device, TchError, Tensor};

use self::cuda::CudaUnavailable;

/// Bytes of stack of a thread that computes. It may compile kernels for a GPU, and the usual 2 MiB
/// are little for a compiler.
pub const THREAD_STACK_BYTES: usize = 16 << 20;

/// The meaning of `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU, or the CPU if there is no GPU.
    Auto,
    /// The CPU.
    Cpu,
    /// One GPU.
    Cuda(usize),
    /// All GPUs, with one process per GPU.
    AllCuda,
}

impl FromStr for DeviceChoice {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "auto" => Self::Auto,
            "cpu" => Self::Cpu,
            "cuda" => Self::Cuda(0),
            "cuda:all" => Self::AllCuda,
            _ => match name.strip_prefix("cuda:").map(str::parse) {
                Some(Ok(number)) => Self::Cuda(number),
                _ => bail!("no device {name}: auto, cpu, cuda:N, or cuda:all for `run`"),
            },
        })
    }
}

/// Opens the device that `auto`, `cpu` or `cuda:N` names.
///
/// # Errors
/// When the name is another one, or CUDA is requested and not available; says why.
pub fn pick(name: &str) -> Result<Device> {
    match name.parse()? {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto => Ok(one_gpu(0).unwrap_or_else(|reason| {
            tracing::info!("running on the cpu: {reason}");
            Device::Cpu
        })),
        DeviceChoice::Cuda(number) => Ok(one_gpu(number)?),
        DeviceChoice::AllCuda => {
            bail!("cuda:all means one process per GPU; only `run` accepts it")
        }
    }
}

fn one_gpu(number: usize) -> Result<Device, CudaUnavailable> {
    let devices = cuda::devices()?;
    if number >= devices {
        return Err(CudaUnavailable::NoSuchGpu { number, devices });
    }
    context::make_deterministic();
    Ok(Device::Cuda(number))
}

/// Returns the name of a device in records.
#[must_use]
pub fn name(device: Device) -> String {
    let Device::Cuda(number) = device else {
        return "cpu".to_owned();
    };
    match gpus::visible_gpus().get(number) {
        Some(gpu) => format!("cuda:{number} {}", gpu.name),
        None => format!("cuda:{number}"),
    }
}

/// Moves a tensor to a device without a wait for it: see [`pin_for`] and [`copy_to`].
pub fn move_to(device: Device, tensor: Tensor) -> Result<Tensor, TchError> {
    copy_to(device, &pin_for(device, tensor))
}

/// Moves a tensor to memory that a GPU can copy from: pinned memory, if there is some left. Returns
/// the tensor itself for a CPU.
pub fn pin_for(device: Device, tensor: Tensor) -> Tensor {
    if !device.is_cuda() {
        return tensor;
    }
    // `pin_memory` is not used: it prints a warning, at every call, that its argument is
    // deprecated.
    tensor.f_internal_pin_memory(device).unwrap_or(tensor)
}

/// Copies a tensor to a device. A GPU copies from pinned memory when its queue reaches the copy. Of
/// other memory the driver makes a copy before it returns, and may wait.
pub fn copy_to(device: Device, tensor: &Tensor) -> Result<Tensor, TchError> {
    if !device.is_cuda() {
        return tensor.f_to(device);
    }
    tensor.f_to_device_(device, tensor.kind(), true, false)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn devices_are_known_by_their_names() {
        let wanted = |name: &str| {
            name.parse::<DeviceChoice>()
                .map_err(|error| error.to_string())
        };
        for (name, expected) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda", DeviceChoice::Cuda(0)),
            ("cuda:12", DeviceChoice::Cuda(12)),
            ("cuda:all", DeviceChoice::AllCuda),
        ] {
            assert_eq!(wanted(name), Ok(expected));
        }
        for name in ["", "gpu", "cuda:", "cuda:-1", "cuda:one", "CPU", "cuda:0,1"] {
            assert!(
                wanted(name)
                    .unwrap_err()
                    .contains(&format!("no device {name}: ")),
                "{name}"
            );
        }
    }

    #[test]
    fn all_gpus_are_no_device_of_one_process() {
        assert!(
            pick("cuda:all")
                .unwrap_err()
                .to_string()
                .contains("only `run`")
        );
    }
}
