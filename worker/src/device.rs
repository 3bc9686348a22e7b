//! The device: the CPU, or a GPU reached through libtorch's CUDA half, which is loaded only where it is wanted.
//!
//! The only module with `unsafe` code: loading a shared library runs its initialisers, and the allocator's settings are
//! C's.
#![allow(unsafe_code)]

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use tch::{Cuda, Device};

/// Picks the device that `auto`, `cpu` or `cuda:N` names.
///
/// # Errors
/// When the name is none of these, or CUDA was asked for and cannot be had; says why.
pub fn pick(name: &str) -> Result<Device> {
    match name {
        "cpu" => Ok(Device::Cpu),
        "auto" => Ok(cuda(0).unwrap_or_else(|reason| {
            tracing::info!("on the cpu: {reason:#}");
            Device::Cpu
        })),
        "cuda" => cuda(0),
        _ => match name.strip_prefix("cuda:").map(str::parse) {
            Some(Ok(number)) => cuda(number),
            _ => bail!("no device {name}: auto, cpu or cuda:N"),
        },
    }
}

fn cuda(number: usize) -> Result<Device> {
    load_cuda()?;
    if !Cuda::is_available() {
        bail!("libtorch's CUDA library is loaded, but finds no usable GPU or driver");
    }
    let devices = Cuda::device_count();
    if number as i64 >= devices {
        bail!("there is no cuda:{number}; this machine has {devices} GPUs");
    }
    Ok(Device::Cuda(number))
}

/// Loads `libtorch_cuda.so`. It must come before the first question about CUDA, for torch remembers the answer.
fn load_cuda() -> Result<()> {
    let path = beside_torch().map_or_else(|| "libtorch_cuda.so".into(), |dir| dir.join("libtorch_cuda.so"));
    // SAFETY: the library is libtorch's own other half, of the build that this program is linked with; its
    // initialisers register kernels and rely on nothing that this program does.
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) };
    let library = library.map_err(|error| anyhow!("{error}")).context("libtorch's CUDA library cannot be loaded")?;
    // It stays for the life of the process: kernels registered by it may be called at any time.
    std::mem::forget(library);
    Ok(())
}

/// The folder that this process has `libtorch_cpu.so` from.
fn beside_torch() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .find(|path| path.ends_with("/libtorch_cpu.so"))?;
    Some(PathBuf::from(path).parent()?.to_owned())
}

/// Lets the process keep the memory of one forward pass for the next. Left alone, the allocator gives activations back to
/// the system after each layer and gets them again page by page, which takes about a sixth of a CPU's time.
#[cfg(target_env = "gnu")]
pub fn keep_memory() {
    // SAFETY: this is the declaration of malloc.h. The function changes thresholds under a lock, at any time.
    unsafe extern "C" {
        safe fn mallopt(parameter: i32, value: i32) -> i32;
    }
    const TRIM_THRESHOLD: i32 = -1;
    const MMAP_THRESHOLD: i32 = -3;
    // Some versions refuse more than 32 MiB, and raising only the other threshold would be slower than neither.
    if mallopt(MMAP_THRESHOLD, 1 << 30) == 1 || mallopt(MMAP_THRESHOLD, 32 << 20) == 1 {
        let _ = mallopt(TRIM_THRESHOLD, 1 << 30);
    }
}

/// Other libraries' allocators have no such settings.
#[cfg(not(target_env = "gnu"))]
pub fn keep_memory() {}

/// What records call a device.
#[must_use]
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(number) => {
            format!("cuda:{number}{}", gpu_model(number).map(|model| format!(" {model}")).unwrap_or_default())
        }
        _ => "cpu".to_owned(),
    }
}

/// The model of a GPU as the driver names it.
fn gpu_model(number: usize) -> Option<String> {
    let mut gpus: Vec<_> =
        std::fs::read_dir("/proc/driver/nvidia/gpus").ok()?.flatten().map(|entry| entry.path()).collect();
    gpus.sort();
    let text = std::fs::read_to_string(gpus.get(number)?.join("information")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Model:")).map(|model| model.trim().to_owned())
}
