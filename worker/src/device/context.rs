//! Settings of the whole process that the Rust bindings of libtorch leave out, and the loading of
//! shared libraries.
//!
//! The only module of the worker with `unsafe` code: loading a library runs its initialisers, and
//! the settings of the allocator and of libtorch belong to C and C++.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::path::Path;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

/// `at::Context`. There is one, which exists until the process ends.
type Context = *mut c_void;

// The C++ functions of ATen/Context.h, under the names that the Itanium ABI gives them, which Linux
// compilers follow. libtorch exports them; a libtorch without them fails to link. None of them
// throws for these arguments.
unsafe extern "C" {
    #[link_name = "_ZN2at13globalContextEv"]
    safe fn global_context() -> Context;
    #[link_name = "_ZN2at7Context21setDeterministicCuDNNEb"]
    fn set_deterministic_cudnn(context: Context, on: bool);
    #[link_name = "_ZN2at7Context17setBenchmarkCuDNNEb"]
    fn set_benchmark_cudnn(context: Context, on: bool);
    #[link_name = "_ZN2at7Context17setAllowTF32CuDNNEb"]
    fn set_allow_tf32_cudnn(context: Context, on: bool);
    #[link_name = "_ZN2at7Context18setAllowTF32CuBLASEb"]
    fn set_allow_tf32_cublas(context: Context, on: bool);
    #[cfg(test)]
    #[link_name = "_ZNK2at7Context18deterministicCuDNNEv"]
    fn deterministic_cudnn(context: Context) -> bool;
    #[cfg(test)]
    #[link_name = "_ZNK2at7Context14benchmarkCuDNNEv"]
    fn benchmark_cudnn(context: Context) -> bool;
    #[cfg(test)]
    #[link_name = "_ZNK2at7Context15allowTF32CuBLASEv"]
    fn allow_tf32_cublas(context: Context) -> bool;
}

/// Makes a GPU compute the same each time, and makes fp32 mean fp32.
///
/// It selects deterministic algorithms, none of them by a timing, and allows tf32 only where a call
/// itself allows it, as forward convolutions of tf32 models do.
///
/// Backward convolutions have no arguments for tf32 or for the choice of algorithms; they follow
/// these settings. The fused convolutions of cuDNN follow those for tf32 and for timings. For them
/// torch ignores the setting of deterministic algorithms.
pub(super) fn make_deterministic() {
    let context = global_context();
    // SAFETY: the context exists until the process ends, and each function sets a flag.
    unsafe {
        set_deterministic_cudnn(context, true);
        set_benchmark_cudnn(context, false);
        set_allow_tf32_cudnn(context, false);
        set_allow_tf32_cublas(context, false);
    }
}

/// Loads a shared library until the process ends: the functions that it registers may be called at
/// any time.
pub(super) fn load_library(path: &Path) -> Result<(), String> {
    // SAFETY: the path is libtorch's CUDA half, of the build that this program is linked with, or
    // the driver that it would load itself. Their initialisers rely on nothing that this program
    // does.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) };
    library
        .map(std::mem::forget)
        .map_err(|error| error.to_string())
}

/// Lets the process keep the memory of one forward pass for the next.
///
/// By default the allocator returns activations to the system after each layer and gets them again
/// page by page, which takes about a sixth of a CPU's time.
#[cfg(target_env = "gnu")]
pub fn keep_freed_memory() {
    // SAFETY: this is the declaration of malloc.h. The function changes thresholds under a lock, at
    // any time.
    unsafe extern "C" {
        safe fn mallopt(parameter: i32, value: i32) -> i32;
    }
    const TRIM_THRESHOLD: i32 = -1;
    const MMAP_THRESHOLD: i32 = -3;
    // Some versions refuse more than 32 MiB. Raising only the other threshold would be slower than
    // raising none.
    if mallopt(MMAP_THRESHOLD, 1 << 30) == 1 || mallopt(MMAP_THRESHOLD, 32 << 20) == 1 {
        let _ = mallopt(TRIM_THRESHOLD, 1 << 30);
    }
}

/// Does nothing: the allocators of other C libraries have no such settings.
#[cfg(not(target_env = "gnu"))]
pub fn keep_freed_memory() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_is_what_libtorch_then_follows() {
        let context = global_context();
        // SAFETY: as above; these read the flags.
        let read = || unsafe {
            (
                deterministic_cudnn(context),
                benchmark_cudnn(context),
                allow_tf32_cublas(context),
            )
        };
        tch::Cuda::cudnn_set_benchmark(true);
        assert!(read().1, "the bindings set another flag than is read");
        make_deterministic();
        assert_eq!(read(), (true, false, false));
    }
}
