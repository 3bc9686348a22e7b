//! Finds and loads libtorch's CUDA half, and counts the GPUs.
//!
//! torch remembers the answer to its first question about CUDA, so the CUDA half is loaded before
//! it. A program that may use a GPU calls [`devices`] before anything else of torch.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tch::Cuda;

use super::context::load_library;

/// The library that registers the kernels.
pub const LIBRARY: &str = "libtorch_cuda.so";
/// The driver's library.
const DRIVER: &str = "libcuda.so.1";
/// The library of libtorch's CPU half.
const CPU_LIBRARY: &str = "libtorch_cpu.so";

/// The reason why CUDA is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CudaUnavailable {
    /// The CUDA half of libtorch is not installed.
    #[error(
        "{LIBRARY} is not in any of {}: `scripts/libtorch.sh --cuda` fetches it, and PyTorch has \
         it in torch/lib",
        list(.0)
    )]
    NotFound(Vec<PathBuf>),
    /// The CUDA half belongs to another libtorch.
    #[error("{} belongs to another build of libtorch than {}", found.display(), ours.display())]
    OtherBuild {
        /// The CUDA half.
        found: PathBuf,
        /// The CPU half in use.
        ours: PathBuf,
    },
    /// A library that it needs is missing or does not fit.
    #[error("{} cannot be loaded: {reason}", path.display())]
    NotLoaded {
        /// The CUDA half.
        path: PathBuf,
        /// The system's message.
        reason: String,
    },
    /// The CUDA half was loaded after torch's first question about CUDA.
    #[error(
        "{} is loaded, but torch looked for CUDA before that and remembers that it was missing",
        .0.display()
    )]
    TooLate(PathBuf),
    /// There is no driver, or it is not visible from here, as in a container without it.
    #[error("there is no NVIDIA driver: {0}")]
    NoDriver(String),
    /// The environment hides the GPUs.
    #[error("CUDA_VISIBLE_DEVICES is {0:?}, which leaves no GPU visible")]
    Hidden(String),
    /// The driver has no GPU, or is too old for this libtorch.
    #[error("there is an NVIDIA driver, but no GPU that it and this libtorch can use")]
    NoGpu,
    /// There are fewer GPUs than requested.
    #[error("there is no cuda:{number}; this machine has {devices} GPUs")]
    NoSuchGpu {
        /// The number of the requested GPU.
        number: usize,
        /// The number of GPUs.
        devices: usize,
    },
}

fn list(places: &[PathBuf]) -> String {
    places
        .iter()
        .map(|place| place.display().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Returns the number of GPUs that torch can use, at least one. The first call decides until the
/// process ends.
///
/// # Errors
/// When there is no such GPU; says why.
pub fn devices() -> Result<usize, CudaUnavailable> {
    static DEVICES: OnceLock<Result<usize, CudaUnavailable>> = OnceLock::new();
    DEVICES.get_or_init(load_and_count).clone()
}

fn load_and_count() -> Result<usize, CudaUnavailable> {
    let path = find_library()?;
    if let Err(reason) = load_library(&path) {
        return Err(CudaUnavailable::NotLoaded { path, reason });
    }
    // The CUDA half says yes with or without a GPU, torch alone says no.
    if !tch::utils::has_cudart() {
        return Err(CudaUnavailable::TooLate(path));
    }
    count_gpus()
}

fn count_gpus() -> Result<usize, CudaUnavailable> {
    match usize::try_from(Cuda::device_count()) {
        Ok(devices) if devices > 0 && Cuda::is_available() => Ok(devices),
        _ => Err(reason_without_gpu(
            load_library(Path::new(DRIVER)),
            std::env::var("CUDA_VISIBLE_DEVICES").ok(),
        )),
    }
}

fn find_library() -> Result<PathBuf, CudaUnavailable> {
    let ours = loaded_library(CPU_LIBRARY);
    let libtorch = std::env::var_os("LIBTORCH");
    let library_path = std::env::var_os("LD_LIBRARY_PATH");
    let places = places(
        ours.as_deref(),
        libtorch.as_deref(),
        library_path.as_deref(),
    );
    find_in(&places, ours.as_deref())
}

/// Returns the folders in which the CUDA half is searched: that of the CPU half in use,
/// `LIBTORCH`/lib, and those of `LD_LIBRARY_PATH`.
fn places(
    ours: Option<&Path>,
    libtorch: Option<&OsStr>,
    library_path: Option<&OsStr>,
) -> Vec<PathBuf> {
    let of_cpu_half = ours.and_then(Path::parent).map(Path::to_owned);
    let of_libtorch = libtorch
        .filter(|folder| !folder.is_empty())
        .map(|folder| Path::new(folder).join("lib"));
    let in_path = library_path
        .into_iter()
        .flat_map(std::env::split_paths)
        .filter(|folder| folder.is_absolute());
    distinct(of_cpu_half.into_iter().chain(of_libtorch).chain(in_path))
}

fn distinct(folders: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in folders {
        if !found.contains(&folder) {
            found.push(folder);
        }
    }
    found
}

/// Finds the CUDA half of the libtorch in use.
///
/// One in another folder must lie next to a CPU half of the same length as the one in use: halves
/// of two builds would load and then crash.
fn find_in(places: &[PathBuf], ours: Option<&Path>) -> Result<PathBuf, CudaUnavailable> {
    let mut other = None;
    for place in places {
        let found = place.join(LIBRARY);
        if !found.is_file() {
            continue;
        }
        match ours {
            Some(ours) if length(ours) != length(&place.join(CPU_LIBRARY)) => {
                other.get_or_insert(CudaUnavailable::OtherBuild {
                    found,
                    ours: ours.to_owned(),
                });
            }
            _ => return Ok(found),
        }
    }
    Err(other.unwrap_or_else(|| CudaUnavailable::NotFound(places.to_vec())))
}

fn length(path: &Path) -> Option<u64> {
    fs::metadata(path).map(|file| file.len()).ok()
}

/// Returns the reason why a CUDA half that is loaded finds no GPU.
fn reason_without_gpu(driver: Result<(), String>, visible: Option<String>) -> CudaUnavailable {
    match (driver, visible) {
        (Err(reason), _) => CudaUnavailable::NoDriver(reason),
        (Ok(()), Some(visible)) => CudaUnavailable::Hidden(visible),
        (Ok(()), None) => CudaUnavailable::NoGpu,
    }
}

/// Returns the file of a shared library that this process has loaded; `name` is the beginning of
/// the file's name.
#[must_use]
pub fn loaded_library(name: &str) -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    mapped_files(&maps)
        .find(|path| file_name_begins(path, name))
        .map(Path::to_owned)
}

/// Returns the files in the text of `/proc/self/maps`.
fn mapped_files(maps: &str) -> impl Iterator<Item = &Path> {
    maps.lines()
        .filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])))
}

fn file_name_begins(path: &Path, name: &str) -> bool {
    path.file_name()
        .is_some_and(|file| file.to_string_lossy().starts_with(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn folder(dir: &Path, name: &str, cpu: &str, cuda: bool) -> PathBuf {
        let folder = dir.join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("libtorch_cpu.so"), cpu).unwrap();
        if cuda {
            fs::write(folder.join(LIBRARY), "").unwrap();
        }
        folder
    }

    #[test]
    fn the_cuda_half_is_looked_for_next_to_the_other_half_then_in_the_environment() {
        let looked = |ours: Option<&str>, libtorch: Option<&str>, along: Option<&str>| {
            list(&places(
                ours.map(Path::new),
                libtorch.map(OsStr::new),
                along.map(OsStr::new),
            ))
        };
        assert_eq!(
            looked(Some("/t/lib/libtorch_cpu.so"), Some("/l"), Some("/a:/b")),
            "/t/lib, /l/lib, /a, /b"
        );
        assert_eq!(
            looked(
                Some("/t/lib/libtorch_cpu.so"),
                Some("/t"),
                Some("/t/lib::rel:/a")
            ),
            "/t/lib, /a"
        );
        assert_eq!(looked(None, Some(""), None), "");
    }

    #[test]
    fn a_cuda_half_of_another_build_is_never_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let ours = folder(dir.path(), "ours", "abc", false);
        let other = folder(dir.path(), "other", "abcd", true);
        let same = folder(dir.path(), "same", "abc", true);
        let cpu = ours.join("libtorch_cpu.so");
        let find = |places: &[&PathBuf]| {
            let places: Vec<_> = places.iter().copied().cloned().collect();
            find_in(&places, Some(&cpu))
        };
        assert_eq!(find(&[&ours, &other, &same]), Ok(same.join(LIBRARY)));
        assert_eq!(
            find(&[&ours]),
            Err(CudaUnavailable::NotFound(vec![ours.clone()]))
        );
        let error = find(&[&ours, &other]).unwrap_err().to_string();
        assert!(
            error.contains("other/libtorch_cuda.so belongs to another build"),
            "{error}"
        );
    }

    #[test]
    fn every_reason_has_a_message_that_names_it() {
        let missing = || Err("libcuda.so.1: no such file".to_owned());
        assert!(
            reason_without_gpu(missing(), Some("0".into()))
                .to_string()
                .contains("no NVIDIA driver: libcuda.so.1")
        );
        assert_eq!(
            reason_without_gpu(Ok(()), Some(String::new())).to_string(),
            "CUDA_VISIBLE_DEVICES is \"\", which leaves no GPU visible"
        );
        assert_eq!(reason_without_gpu(Ok(()), None), CudaUnavailable::NoGpu);
        assert!(
            CudaUnavailable::NotFound(vec!["/a".into(), "/b".into()])
                .to_string()
                .contains("any of /a, /b: `scripts")
        );
    }

    #[test]
    fn this_process_has_its_libtorch_from_somewhere() {
        let path = loaded_library("libtorch_cpu.so").unwrap();
        assert!(path.is_absolute() && path.is_file(), "{}", path.display());
        assert_eq!(loaded_library("libnosuch.so"), None);
    }
}
