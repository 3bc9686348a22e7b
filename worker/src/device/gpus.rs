//! The GPUs as NVIDIA's driver describes them: names for records, memory for `doctor`. torch is not
//! asked, because its C interface does not have this information.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

/// The folder of the driver that has one folder per GPU.
const DRIVER_FOLDER: &str = "/proc/driver/nvidia/gpus";

/// A GPU of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// The driver's name for it, e.g. `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// `GPU-…`.
    pub uuid: String,
    /// Memory in units of 2^20 bytes; not known without `nvidia-smi`.
    pub memory_mib: Option<u64>,
    /// The part of the memory that is not in use, in the same units.
    pub free_mib: Option<u64>,
    /// The driver's version.
    pub driver: Option<String>,
}

/// Returns the GPUs that this process may use.
///
/// The order is that of the bus or of `CUDA_VISIBLE_DEVICES`, which is CUDA's order on a machine of
/// equal GPUs.
#[must_use]
pub fn visible_gpus() -> Vec<Gpu> {
    let listed = from_proc(Path::new(DRIVER_FOLDER));
    if listed.is_empty() {
        visible_here(ask_driver())
    } else {
        visible_here(listed)
    }
}

/// Returns the same GPUs with memory and driver, where `nvidia-smi` can be run.
#[must_use]
pub fn with_details() -> Vec<Gpu> {
    let listed = ask_driver();
    if listed.is_empty() {
        visible_gpus()
    } else {
        visible_here(listed)
    }
}

fn visible_here(all: Vec<Gpu>) -> Vec<Gpu> {
    visible(all, std::env::var("CUDA_VISIBLE_DEVICES").ok().as_deref())
}

/// Reads the driver's files: one folder per GPU, named by its place on the bus.
fn from_proc(folder: &Path) -> Vec<Gpu> {
    let mut places: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    places.sort();
    places
        .iter()
        .filter_map(|place| fs::read_to_string(place.join("information")).ok())
        .filter_map(|text| from_information(&text))
        .collect()
}

fn from_information(text: &str) -> Option<Gpu> {
    Some(Gpu {
        name: field(text, "Model:")?,
        uuid: field(text, "GPU UUID:").unwrap_or_default(),
        memory_mib: None,
        free_mib: None,
        driver: None,
    })
}

fn field(text: &str, name: &str) -> Option<String> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .map(|value| value.trim().to_owned())
}

/// Returns the GPUs that `nvidia-smi` lists, or an empty list where it is missing or fails.
fn ask_driver() -> Vec<Gpu> {
    [
        "nvidia-smi",
        "/usr/local/nvidia/bin/nvidia-smi",
        "/usr/lib/wsl/lib/nvidia-smi",
    ]
    .iter()
    .find_map(|program| run_nvidia_smi(program))
    .map_or_else(Vec::new, |table| from_table(&table))
}

fn run_nvidia_smi(program: &str) -> Option<String> {
    let output = Command::new(program)
        .args([
            "--query-gpu=name,uuid,memory.total,memory.free,driver_version",
            "--format=csv,noheader,nounits",
        ])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(table)
}

fn from_table(text: &str) -> Vec<Gpu> {
    text.lines().filter_map(from_row).collect()
}

fn from_row(line: &str) -> Option<Gpu> {
    let cells: Vec<&str> = line.split(',').map(str::trim).collect();
    let [name, uuid, total, free, driver] = cells.try_into().ok()?;
    Some(Gpu {
        name: name.to_owned(),
        uuid: uuid.to_owned(),
        memory_mib: total.parse().ok(),
        free_mib: free.parse().ok(),
        driver: Some(driver.to_owned()),
    })
}

/// Returns the GPUs that the variable names, in its order, up to the first name without a GPU: this
/// is how CUDA reads it.
fn visible(all: Vec<Gpu>, variable: Option<&str>) -> Vec<Gpu> {
    let Some(variable) = variable else { return all };
    variable
        .split(',')
        .map_while(|name| named(&all, name.trim()))
        .cloned()
        .collect()
}

fn named<'a>(all: &'a [Gpu], name: &str) -> Option<&'a Gpu> {
    match name.parse::<usize>() {
        Ok(number) => all.get(number),
        Err(_) => all
            .iter()
            .find(|gpu| name.starts_with("GPU-") && gpu.uuid.starts_with(name)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TABLE: &str = "NVIDIA H100 80GB HBM3, GPU-aa11, 81559, 81000, 580.159.04\n\
                         NVIDIA H200, GPU-bb22, 143771, 143000, 580.159.04\n\
                         NVIDIA L4, GPU-cc33, [N/A], [N/A], 580.159.04\n";

    #[test]
    fn the_drivers_table_is_read() {
        let gpus = from_table(TABLE);
        assert_eq!(gpus.len(), 3);
        let (name, uuid) = ("NVIDIA H200".to_owned(), "GPU-bb22".to_owned());
        let driver = Some("580.159.04".to_owned());
        assert_eq!(
            gpus[1],
            Gpu {
                name,
                uuid,
                memory_mib: Some(143_771),
                free_mib: Some(143_000),
                driver
            }
        );
        assert_eq!((gpus[2].memory_mib, gpus[2].free_mib), (None, None));
        assert_eq!(from_table("No devices were found\n"), []);
    }

    #[test]
    fn the_drivers_files_are_read_in_the_order_of_the_bus() {
        let dir = tempfile::tempdir().unwrap();
        for (place, model) in [
            ("0000:41:00.0", "NVIDIA H200"),
            ("0000:01:00.0", "NVIDIA L4"),
        ] {
            fs::create_dir(dir.path().join(place)).unwrap();
            let text = format!("Model: \t\t {model}\nIRQ:   \t\t 12\nGPU UUID: \t GPU-{place}\n");
            fs::write(dir.path().join(place).join("information"), text).unwrap();
        }
        let gpus = from_proc(dir.path());
        assert_eq!(
            gpus.iter().map(|gpu| &*gpu.name).collect::<Vec<_>>(),
            ["NVIDIA L4", "NVIDIA H200"]
        );
        assert_eq!(gpus[0].uuid, "GPU-0000:01:00.0");
        assert_eq!(from_proc(&dir.path().join("none")), []);
    }

    #[test]
    fn only_what_the_environment_shows_is_there() {
        let shown = |variable| {
            visible(from_table(TABLE), variable)
                .iter()
                .map(|gpu| gpu.uuid.clone())
                .collect::<Vec<_>>()
                .join(" ")
        };
        for (variable, expected) in [
            (None, "GPU-aa11 GPU-bb22 GPU-cc33"),
            (Some("2,0"), "GPU-cc33 GPU-aa11"),
            (Some("GPU-bb"), "GPU-bb22"),
            (Some("1, 7, 0"), "GPU-bb22"),
            (Some(""), ""),
            (Some("-1"), ""),
        ] {
            assert_eq!(shown(variable), expected, "{variable:?}");
        }
    }
}
