//! libtorch's CUDA half: found, loaded, asked for its devices; or why there is none.
//!
//! It is loaded before the first question about CUDA, for torch remembers the answer: a program
//! that means to use a GPU at any time asks [`devices`] before it does anything else with torch.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tch::Cuda;

use super::load;

/// The library that registers the kernels.
pub const LIBRARY: &str = "libtorch_cuda.so";
/// What the driver brings.
const DRIVER: &str = "libcuda.so.1";

/// Why CUDA is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCuda {
    /// The CUDA half of libtorch is not installed.
    #[error("{LIBRARY} is in none of {}: `scripts/libtorch.sh --cuda` fetches it, and PyTorch has it in torch/lib", list(.0))]
    NotFound(Vec<PathBuf>),
    /// There is one, of another libtorch.
    #[error("{} belongs to another build of libtorch than {}", found.display(), ours.display())]
    OtherBuild {
        /// The CUDA half.
        found: PathBuf,
        /// The CPU half in use.
        ours: PathBuf,
    },
    /// Something that it needs is missing or does not fit.
    #[error("{} cannot be loaded: {reason}", path.display())]
    NotLoaded {
        /// The CUDA half.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// It is loaded, and torch does not know of it.
    #[error("{} is loaded, but torch was asked about CUDA before and remembers that there was none", .0.display())]
    TooLate(PathBuf),
    /// No driver, or one that is not visible from here, as in a container without it.
    #[error("there is no NVIDIA driver: {0}")]
    NoDriver(String),
    /// The environment hides the GPUs.
    #[error("CUDA_VISIBLE_DEVICES is {0:?}, which leaves no GPU visible")]
    Hidden(String),
    /// A driver without a GPU, or one too old for this libtorch.
    #[error("there is an NVIDIA driver, but no GPU that it and this libtorch can use")]
    NoGpu,
    /// Fewer GPUs than asked for.
    #[error("there is no cuda:{number}; this machine has {devices} GPUs")]
    NoSuch {
        /// The one asked for.
        number: usize,
        /// How many there are.
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

/// How many GPUs torch can use: at least one. The first call decides for the life of the process.
///
/// # Errors
/// Why there is none.
pub fn devices() -> Result<usize, NoCuda> {
    static DEVICES: OnceLock<Result<usize, NoCuda>> = OnceLock::new();
    DEVICES.get_or_init(look).clone()
}

fn look() -> Result<usize, NoCuda> {
    let ours = loaded_library("libtorch_cpu.so");
    let variable = |name| std::env::var_os(name);
    let places = places(
        ours.as_deref(),
        variable("LIBTORCH").as_deref(),
        variable("LD_LIBRARY_PATH").as_deref(),
    );
    let path = find(ours.as_deref(), &places)?;
    load(&path).map_err(|reason| NoCuda::NotLoaded {
        path: path.clone(),
        reason,
    })?;
    // The CUDA half says yes with or without a GPU, torch alone says no.
    if !tch::utils::has_cudart() {
        return Err(NoCuda::TooLate(path));
    }
    match usize::try_from(Cuda::device_count()) {
        Ok(devices) if devices > 0 && Cuda::is_available() => Ok(devices),
        _ => Err(why_none(
            load(Path::new(DRIVER)),
            std::env::var("CUDA_VISIBLE_DEVICES").ok(),
        )),
    }
}

/// Where the CUDA half is looked for: beside the CPU half in use, in `LIBTORCH`/lib, along
/// `LD_LIBRARY_PATH`.
#[must_use]
pub fn places(
    ours: Option<&Path>,
    libtorch: Option<&OsStr>,
    library_path: Option<&OsStr>,
) -> Vec<PathBuf> {
    let beside = ours.and_then(Path::parent).map(Path::to_owned);
    let libtorch = libtorch
        .filter(|folder| !folder.is_empty())
        .map(|folder| Path::new(folder).join("lib"));
    let along = library_path
        .into_iter()
        .flat_map(std::env::split_paths)
        .filter(|folder| folder.is_absolute());
    let mut places = Vec::new();
    for place in beside.into_iter().chain(libtorch).chain(along) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// The CUDA half of the libtorch in use. One that lies elsewhere must lie beside a CPU half of the
/// same length as the one in use: halves of two builds would load and then crash.
fn find(ours: Option<&Path>, places: &[PathBuf]) -> Result<PathBuf, NoCuda> {
    let length = |path: &Path| fs::metadata(path).map(|file| file.len()).ok();
    let mut other = None;
    for place in places {
        let found = place.join(LIBRARY);
        if !found.is_file() {
            continue;
        }
        match ours {
            Some(ours) if length(ours) != length(&place.join("libtorch_cpu.so")) => {
                other.get_or_insert(NoCuda::OtherBuild {
                    found,
                    ours: ours.to_owned(),
                });
            }
            _ => return Ok(found),
        }
    }
    Err(other.unwrap_or_else(|| NoCuda::NotFound(places.to_vec())))
}

/// Why a CUDA half that is loaded finds no GPU.
fn why_none(driver: Result<(), String>, visible: Option<String>) -> NoCuda {
    match (driver, visible) {
        (Err(reason), _) => NoCuda::NoDriver(reason),
        (Ok(()), Some(visible)) => NoCuda::Hidden(visible),
        (Ok(()), None) => NoCuda::NoGpu,
    }
}

/// The file that this process has a shared library from; `name` is how the file's name begins.
#[must_use]
pub fn loaded_library(name: &str) -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let paths = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])));
    let named = |path: &&Path| {
        path.file_name()
            .is_some_and(|file| file.to_string_lossy().starts_with(name))
    };
    paths.into_iter().find(named).map(Path::to_owned)
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
    fn the_cuda_half_is_looked_for_beside_the_other_half_then_in_the_environment() {
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
        let (other, same) = (
            folder(dir.path(), "other", "abcd", true),
            folder(dir.path(), "same", "abc", true),
        );
        let cpu = ours.join("libtorch_cpu.so");
        let find = |places: &[&PathBuf]| {
            find(
                Some(&cpu),
                &places.iter().copied().cloned().collect::<Vec<_>>(),
            )
        };
        assert_eq!(find(&[&ours, &other, &same]), Ok(same.join(LIBRARY)));
        assert_eq!(find(&[&ours]), Err(NoCuda::NotFound(vec![ours.clone()])));
        let error = find(&[&ours, &other]).unwrap_err().to_string();
        assert!(
            error.contains("other/libtorch_cuda.so belongs to another build"),
            "{error}"
        );
    }

    #[test]
    fn every_reason_is_told_apart() {
        let missing = || Err("libcuda.so.1: no such file".to_owned());
        assert!(
            why_none(missing(), Some("0".into()))
                .to_string()
                .contains("no NVIDIA driver: libcuda.so.1")
        );
        assert_eq!(
            why_none(Ok(()), Some(String::new())).to_string(),
            "CUDA_VISIBLE_DEVICES is \"\", which leaves no GPU visible"
        );
        assert_eq!(why_none(Ok(()), None), NoCuda::NoGpu);
        assert!(
            NoCuda::NotFound(vec!["/a".into(), "/b".into()])
                .to_string()
                .contains("none of /a, /b: `scripts")
        );
    }

    #[test]
    fn this_process_has_its_libtorch_from_somewhere() {
        let path = loaded_library("libtorch_cpu.so").unwrap();
        assert!(path.is_absolute() && path.is_file(), "{}", path.display());
        assert_eq!(loaded_library("libnosuch.so"), None);
    }
}
