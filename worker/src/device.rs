//! The device: the CPU, or a GPU reached through libtorch's CUDA half, which is loaded only where
//! it is wanted.
//!
//! The only module with `unsafe` code: loading a shared library runs its initialisers, and the
//! settings of the allocator and of libtorch are C's and C++'s.
//! - [`pick`]: the device that `--device` names
//! - [`cuda`]: libtorch's CUDA half, or why there is none
//! - [`gpus`]: the GPUs as the driver tells of them
#![allow(unsafe_code)]

mod context;
pub mod cuda;
pub mod gpus;

use std::path::Path;
use std::str::FromStr;

use anyhow::{Result, bail};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use tch::{Device, TchError, Tensor};

use self::cuda::NoCuda;

/// Bytes of stack of a thread that computes. On a GPU it may come to compile kernels, and 2 MiB,
/// which threads have otherwise, is little for a compiler.
pub const THREAD_STACK_BYTES: usize = 16 << 20;

/// What `--device` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU, or else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// One GPU.
    Cuda(usize),
    /// All GPUs, one process each.
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

/// Picks the device that `auto`, `cpu` or `cuda:N` names.
///
/// # Errors
/// When the name is none of these, or CUDA was asked for and cannot be had; says why.
pub fn pick(name: &str) -> Result<Device> {
    match name.parse()? {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto => Ok(one_gpu(0).unwrap_or_else(|reason| {
            tracing::info!("on the cpu: {reason}");
            Device::Cpu
        })),
        DeviceChoice::Cuda(number) => Ok(one_gpu(number)?),
        DeviceChoice::AllCuda => {
            bail!("cuda:all is one process for each GPU, which only `run` starts")
        }
    }
}

fn one_gpu(number: usize) -> Result<Device, NoCuda> {
    let devices = cuda::devices()?;
    if number >= devices {
        return Err(NoCuda::NoSuch { number, devices });
    }
    context::settle();
    Ok(Device::Cuda(number))
}

/// What records call a device.
#[must_use]
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(number) => {
            let model = gpus::visible_gpus()
                .into_iter()
                .nth(number)
                .map(|gpu| format!(" {}", gpu.name));
            format!("cuda:{number}{}", model.unwrap_or_default())
        }
        _ => "cpu".to_owned(),
    }
}

/// The same tensor on a device, which is not waited for: see [`pin_for`] and [`copy_to`].
///
/// # Errors
/// What torch reports.
pub fn move_to(device: Device, tensor: Tensor) -> Result<Tensor, TchError> {
    copy_to(device, &pin_for(device, tensor))
}

/// The same tensor where a device can fetch it from: for a GPU pinned memory, or where none is to
/// be had any other.
pub fn pin_for(device: Device, tensor: Tensor) -> Tensor {
    if !device.is_cuda() {
        return tensor;
    }
    // Not `pin_memory`, which prints a warning that its device is an argument of the past, each
    // time.
    tensor.f_internal_pin_memory(device).unwrap_or(tensor)
}

/// The same tensor on a device. A GPU fetches it from pinned memory, when it comes to that; of
/// other memory the driver makes a copy before it returns, and perhaps waits.
///
/// # Errors
/// What torch reports.
pub fn copy_to(device: Device, tensor: &Tensor) -> Result<Tensor, TchError> {
    if !device.is_cuda() {
        return tensor.f_to(device);
    }
    tensor.f_to_device_(device, tensor.kind(), true, false)
}

/// Loads a shared library for the life of the process: what it registers may be called at any time.
fn load(path: &Path) -> Result<(), String> {
    // SAFETY: only libtorch's own other half, of the build that this program is linked with, and
    // the driver that it would load by itself come here; their initialisers rely on nothing that
    // this program does.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) };
    library
        .map(std::mem::forget)
        .map_err(|error| error.to_string())
}

/// Lets the process keep the memory of one forward pass for the next. Left alone, the allocator
/// gives activations back to the system after each layer and gets them again page by page, which
/// takes about a sixth of a CPU's time.
#[cfg(target_env = "gnu")]
pub fn keep_freed_memory() {
    // SAFETY: this is the declaration of malloc.h. The function changes thresholds under a lock, at
    // any time.
    unsafe extern "C" {
        safe fn mallopt(parameter: i32, value: i32) -> i32;
    }
    const TRIM_THRESHOLD: i32 = -1;
    const MMAP_THRESHOLD: i32 = -3;
    // Some versions refuse more than 32 MiB, and raising only the other threshold would be slower
    // than neither.
    if mallopt(MMAP_THRESHOLD, 1 << 30) == 1 || mallopt(MMAP_THRESHOLD, 32 << 20) == 1 {
        let _ = mallopt(TRIM_THRESHOLD, 1 << 30);
    }
}

/// Other libraries' allocators have no such settings.
#[cfg(not(target_env = "gnu"))]
pub fn keep_freed_memory() {}

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
