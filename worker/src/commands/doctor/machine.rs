//! Describes the machine: libtorch, the processor and the GPUs.

use std::fs;
use std::path::Path;

use ddrs_worker::device::cuda::{self, loaded_library};
use ddrs_worker::device::gpus::{self, Gpu};
use serde::Serialize;

/// CPU instruction sets that speed up forward passes.
const FEATURES: [&str; 7] = [
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "avx512_fp16",
];

/// The libraries that are reported, by the beginning of their file names.
const LIBRARIES: [&str; 7] = [
    "libtorch_cpu.so",
    "libc10.so",
    cuda::LIBRARY,
    "libcudart",
    "libcudnn.so",
    "libcublas.so",
    "libcuda.so",
];

/// The description of a machine.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    /// The version of the worker.
    pub(super) worker: &'static str,
    /// The version of the libtorch in use, from the files next to it.
    pub(super) libtorch: Option<String>,
    /// The version of libtorch that the worker was built with.
    pub(super) built_with: &'static str,
    /// The files of libtorch and of the libraries that it uses.
    pub(super) libraries: Vec<String>,
    /// cuDNN's version number, if libtorch's CUDA library is loaded.
    pub(super) cudnn: Option<i64>,
    /// The name of the processor.
    pub(super) cpu: String,
    /// The number of cores that this process may use.
    pub(super) cores: usize,
    /// The instruction sets in [`FEATURES`] that the processor has.
    pub(super) features: Vec<&'static str>,
    /// Memory in units of 2^20 bytes.
    pub(super) memory_mib: Option<u64>,
    /// The GPUs that the driver shows.
    pub(super) gpus: Vec<Gpu>,
    /// The reason why CUDA is not used.
    pub(super) no_cuda: Option<String>,
}

impl Machine {
    /// Describes this machine. `no_cuda` is the answer of [`cuda::devices`], which must have been
    /// called before.
    pub(super) fn examine(no_cuda: Option<String>) -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let with_cuda = loaded_library(cuda::LIBRARY).is_some() && no_cuda.is_none();
        Self {
            worker: env!("CARGO_PKG_VERSION"),
            libtorch: loaded_library("libtorch_cpu.so")
                .and_then(|library| version_next_to(&library)),
            built_with: env!("DDRS_BUILT_WITH_LIBTORCH"),
            libraries: LIBRARIES.into_iter().filter_map(loaded_path).collect(),
            cudnn: with_cuda.then(tch::utils::version_cudnn),
            cpu: field(&cpuinfo, "model name")
                .unwrap_or("unknown")
                .to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            features: features(&cpuinfo),
            memory_mib: memory_mib(&read("/proc/meminfo")),
            gpus: gpus::with_details(),
            no_cuda,
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn loaded_path(library: &str) -> Option<String> {
    Some(loaded_library(library)?.display().to_string())
}

/// Returns the value of the first `name:` in a file of `/proc`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

fn memory_mib(meminfo: &str) -> Option<u64> {
    let total = field(meminfo, "MemTotal").and_then(kibibytes)?;
    Some(total / 1024)
}

fn kibibytes(value: &str) -> Option<u64> {
    value.strip_suffix("kB")?.trim().parse().ok()
}

fn features(cpuinfo: &str) -> Vec<&'static str> {
    let flags: Vec<&str> = field(cpuinfo, "flags")
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    FEATURES
        .into_iter()
        .filter(|feature| flags.contains(feature))
        .collect()
}

/// Returns libtorch's version, from the files in the folder above the library's folder: those of a
/// PyTorch installation, of a libtorch archive, or libtorch's headers.
fn version_next_to(library: &Path) -> Option<String> {
    let folder = library.parent()?.parent()?;
    python_version(folder)
        .or_else(|| archive_version(folder))
        .or_else(|| header_version(folder))
}

fn python_version(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join("version.py")).ok()?;
    let value = value_after(&text, "__version__ = ")?;
    Some(value.trim_matches(['\'', '"']).to_owned())
}

fn archive_version(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join("build-version")).ok()?;
    Some(text.trim().to_owned())
}

fn header_version(folder: &Path) -> Option<String> {
    let header = folder.join("include/torch/headeronly/version.h");
    let text = fs::read_to_string(header).ok()?;
    let part = |name| value_after(&text, &format!("#define TORCH_VERSION_{name} "));
    Some([part("MAJOR")?, part("MINOR")?, part("PATCH")?].join("."))
}

/// Returns the rest of the first line that begins with `prefix`.
fn value_after<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let value = text.lines().find_map(|line| line.strip_prefix(prefix))?;
    Some(value.trim())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_processor_is_described_by_its_name_and_useful_features() {
        let text = "processor\t: 0\nmodel name\t: A CPU @ 2 GHz: fast\n\
                    flags\t\t: fpu avx2 avx512f avx512_bf16 sse\n";
        assert_eq!(field(text, "model name"), Some("A CPU @ 2 GHz: fast"));
        assert_eq!(features(text), ["avx2", "avx512f", "avx512_bf16"]);
        assert_eq!(features(""), [""; 0]);
        assert_eq!(kibibytes("2048 kB"), Some(2048));
    }

    #[test]
    fn the_version_of_libtorch_is_read_where_each_distribution_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("lib/libtorch_cpu.so");
        assert_eq!(version_next_to(&library), None);
        let headers = dir.path().join("include/torch/headeronly");
        fs::create_dir_all(&headers).unwrap();
        let header = "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 11\n\
                      #define TORCH_VERSION_PATCH 0\n";
        fs::write(headers.join("version.h"), header).unwrap();
        assert_eq!(version_next_to(&library).unwrap(), "2.11.0");
        fs::write(dir.path().join("build-version"), "2.11.0+cpu\n").unwrap();
        assert_eq!(version_next_to(&library).unwrap(), "2.11.0+cpu");
        let python = "a = 1\n__version__ = '2.11.0+cu130'\n";
        fs::write(dir.path().join("version.py"), python).unwrap();
        assert_eq!(version_next_to(&library).unwrap(), "2.11.0+cu130");
    }
}
