//! The GPUs as NVIDIA's driver tells of them: names for records, memory for `doctor`. torch is not
//! asked, for its C interface does not say.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Serialize;

/// One GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// As the driver names it, e.g. `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// `GPU-…`.
    pub uuid: String,
    /// Bytes in units of 2^20; not known without `nvidia-smi`.
    pub memory_mib: Option<u64>,
    /// The same, of what nobody uses now.
    pub free_mib: Option<u64>,
    /// The driver's version.
    pub driver: Option<String>,
}

/// The GPUs that this process may use, in CUDA's order on a machine of equal GPUs: that of the bus,
/// or of `CUDA_VISIBLE_DEVICES`.
#[must_use]
pub fn visible_gpus() -> Vec<Gpu> {
    let listed = from_proc(Path::new("/proc/driver/nvidia/gpus"));
    let all = if listed.is_empty() {
        ask_driver()
    } else {
        listed
    };
    visible(all, std::env::var("CUDA_VISIBLE_DEVICES").ok().as_deref())
}

/// The same with memory and driver, where `nvidia-smi` can be run.
#[must_use]
pub fn with_details() -> Vec<Gpu> {
    let asked = ask_driver();
    if asked.is_empty() {
        visible_gpus()
    } else {
        visible(asked, std::env::var("CUDA_VISIBLE_DEVICES").ok().as_deref())
    }
}

/// The driver's files, a folder a GPU, named by its place on the bus.
fn from_proc(folder: &Path) -> Vec<Gpu> {
    let mut places: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    places.sort();
    let read = |place: &std::path::PathBuf| {
        let text = fs::read_to_string(place.join("information")).ok()?;
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(|value| value.trim().to_owned())
        };
        let uuid = field("GPU UUID:").unwrap_or_default();
        Some(Gpu {
            name: field("Model:")?,
            uuid,
            memory_mib: None,
            free_mib: None,
            driver: None,
        })
    };
    places.iter().filter_map(read).collect()
}

/// What `nvidia-smi` lists; nothing where it is missing or fails.
fn ask_driver() -> Vec<Gpu> {
    for program in [
        "nvidia-smi",
        "/usr/local/nvidia/bin/nvidia-smi",
        "/usr/lib/wsl/lib/nvidia-smi",
    ] {
        let asked = Command::new(program)
            .args([
                "--query-gpu=name,uuid,memory.total,memory.free,driver_version",
                "--format=csv,noheader,nounits",
            ])
            .stdin(Stdio::null())
            .output();
        if let Ok(output) = asked
            && output.status.success()
        {
            return from_table(&String::from_utf8_lossy(&output.stdout));
        }
    }
    Vec::new()
}

fn from_table(text: &str) -> Vec<Gpu> {
    let row = |line: &str| {
        let [name, uuid, total, free, driver] = line
            .split(',')
            .map(str::trim)
            .collect::<Vec<_>>()
            .try_into()
            .ok()?;
        Some(Gpu {
            name: name.to_owned(),
            uuid: uuid.to_owned(),
            memory_mib: total.parse().ok(),
            free_mib: free.parse().ok(),
            driver: Some(driver.to_owned()),
        })
    };
    text.lines().filter_map(row).collect()
}

/// Those that the variable names, in its order, up to the first name that is none: as CUDA reads
/// it.
fn visible(all: Vec<Gpu>, variable: Option<&str>) -> Vec<Gpu> {
    let Some(variable) = variable else { return all };
    let named = |name: &str| match name.trim().parse::<usize>() {
        Ok(number) => all.get(number),
        Err(_) => all
            .iter()
            .find(|gpu| name.trim().starts_with("GPU-") && gpu.uuid.starts_with(name.trim())),
    };
    variable.split(',').map_while(named).cloned().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TABLE: &str = "NVIDIA H100 80GB HBM3, GPU-aa11, 81559, 81000, 580.159.04\n\
                         NVIDIA H200, GPU-bb22, 143771, 143000, 580.159.04\nNVIDIA L4, GPU-cc33, [N/A], [N/A], 580.159.04\n";

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
