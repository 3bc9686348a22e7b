//! libtorch, the processor, the GPUs: what is there, before anything is tried.

use std::fs;
use std::path::Path;

use serde::Serialize;

use ddrs_worker::device::cuda::{self, loaded_library};
use ddrs_worker::device::gpus::{self, Gpu};

/// Instructions that forward passes on a CPU profit from.
const FEATURES: [&str; 7] = [
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "avx512_fp16",
];

/// What is there.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    /// The worker's version.
    pub(super) worker: &'static str,
    /// The version of the libtorch in use, as the files beside it say.
    pub(super) libtorch: Option<String>,
    /// The version that the worker was built with.
    pub(super) built_with: &'static str,
    /// Where libtorch and what belongs to it were loaded from.
    pub(super) libraries: Vec<String>,
    /// cuDNN's version number, once libtorch's CUDA half is loaded.
    pub(super) cudnn: Option<i64>,
    /// The processor as it names itself.
    pub(super) cpu: String,
    /// How many cores this process may use.
    pub(super) cores: usize,
    /// Which of the instructions that matter it has.
    pub(super) features: Vec<&'static str>,
    /// Memory in units of 2^20 bytes.
    pub(super) memory_mib: Option<u64>,
    /// The GPUs that the driver shows.
    pub(super) gpus: Vec<Gpu>,
    /// Why CUDA is not used.
    pub(super) no_cuda: Option<String>,
}

impl Machine {
    /// Looks around. CUDA was asked for before.
    pub(super) fn look(no_cuda: Option<String>) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (cpuinfo, meminfo) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        let with_cuda = loaded_library(cuda::LIBRARY).is_some();
        let named = [
            "libtorch_cpu.so",
            "libc10.so",
            cuda::LIBRARY,
            "libcudart",
            "libcudnn.so",
            "libcublas.so",
            "libcuda.so",
        ];
        Self {
            worker: env!("CARGO_PKG_VERSION"),
            libtorch: loaded_library("libtorch_cpu.so")
                .and_then(|library| version_beside(&library)),
            built_with: env!("DDRS_BUILT_WITH_LIBTORCH"),
            libraries: named
                .iter()
                .filter_map(|name| Some(loaded_library(name)?.display().to_string()))
                .collect(),
            cudnn: (with_cuda && no_cuda.is_none()).then(tch::utils::version_cudnn),
            cpu: field(&cpuinfo, "model name")
                .unwrap_or("unknown")
                .to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            features: features(&cpuinfo),
            memory_mib: field(&meminfo, "MemTotal")
                .and_then(kibibytes)
                .map(|size| size / 1024),
            gpus: gpus::with_details(),
            no_cuda,
        }
    }
}

/// The value behind the first `name:` of a file in `/proc`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
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

/// The version that a PyTorch installation, a libtorch archive or libtorch's headers name beside a
/// library.
fn version_beside(library: &Path) -> Option<String> {
    let folder = library.parent()?.parent()?;
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let python = || Some(quoted(&read("version.py")?, "__version__ = ")?.to_owned());
    let archive = || read("build-version").map(|text| text.trim().to_owned());
    let header = || {
        let text = read("include/torch/headeronly/version.h")?;
        let part = |name: &str| {
            let prefix = format!("#define TORCH_VERSION_{name} ");
            text.lines()
                .find_map(|line| line.strip_prefix(&prefix))
                .map(|value| value.trim().to_owned())
        };
        Some([part("MAJOR")?, part("MINOR")?, part("PATCH")?].join("."))
    };
    python().or_else(archive).or_else(header)
}

fn quoted<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let value = text.lines().find_map(|line| line.strip_prefix(before))?;
    Some(value.trim().trim_matches(['\'', '"']))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_processor_is_described_by_what_matters_here() {
        let text = "processor\t: 0\nmodel name\t: A CPU @ 2 GHz: fast\nflags\t\t: fpu avx2 avx512f avx512_bf16 sse\n";
        assert_eq!(field(text, "model name"), Some("A CPU @ 2 GHz: fast"));
        assert_eq!(features(text), ["avx2", "avx512f", "avx512_bf16"]);
        assert_eq!(features(""), [""; 0]);
        assert_eq!(kibibytes("2048 kB"), Some(2048));
    }

    #[test]
    fn the_version_of_libtorch_is_read_where_each_distribution_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("lib/libtorch_cpu.so");
        assert_eq!(version_beside(&library), None);
        fs::create_dir_all(dir.path().join("include/torch/headeronly")).unwrap();
        let header = "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 11\n#define TORCH_VERSION_PATCH 0\n";
        fs::write(
            dir.path().join("include/torch/headeronly/version.h"),
            header,
        )
        .unwrap();
        assert_eq!(version_beside(&library).unwrap(), "2.11.0");
        fs::write(dir.path().join("build-version"), "2.11.0+cpu\n").unwrap();
        assert_eq!(version_beside(&library).unwrap(), "2.11.0+cpu");
        fs::write(
            dir.path().join("version.py"),
            "a = 1\n__version__ = '2.11.0+cu130'\n",
        )
        .unwrap();
        assert_eq!(version_beside(&library).unwrap(), "2.11.0+cu130");
    }
}
