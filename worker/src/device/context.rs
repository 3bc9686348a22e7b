//! libtorch's settings for the whole process that its Rust bindings leave out.
//!
//! Backward convolutions take no word on tf32 or on the choice of algorithms from their caller,
//! they follow these. The fused convolutions of cuDNN follow those on tf32 and on timings; of
//! deterministic algorithms torch tells them nothing.

use std::ffi::c_void;

/// `at::Context`, of which there is one, for the life of the process.
type Context = *mut c_void;

// The C++ functions of ATen/Context.h, by the names that the Itanium ABI gives them, which Linux
// compilers follow. libtorch exports them; one that does not have them fails to link. None of them
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

/// Makes a GPU compute the same each time, and fp32 mean fp32: deterministic algorithms, none
/// chosen by a timing, and tf32 only where a call itself allows it, as forward convolutions of tf32
/// models do.
pub(super) fn settle() {
    let context = global_context();
    // SAFETY: the context lives for ever, and the functions set a flag each.
    unsafe {
        set_deterministic_cudnn(context, true);
        set_benchmark_cudnn(context, false);
        set_allow_tf32_cudnn(context, false);
        set_allow_tf32_cublas(context, false);
    }
}

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
        assert!(read().1, "another flag is read than the bindings set");
        settle();
        assert_eq!(read(), (true, false, false));
    }
}
