//! The output of `doctor`.

use std::fmt::{self, Write};

use ddrs_worker::device::gpus::Gpu;
use serde::Serialize;

use super::comparison::Comparison;
use super::machine::Machine;
use super::trial::{DeviceTrial, PrecisionTrial};

/// Everything that was found. It is serialized as the JSON output.
#[derive(Debug, Serialize)]
pub(super) struct DoctorReport {
    #[serde(flatten)]
    pub(super) machine: Machine,
    /// The value of `--device`.
    pub(super) asked: String,
    /// The device that this selects here.
    pub(super) picked: Option<String>,
    /// The reason why it selects none.
    pub(super) not_usable: Option<String>,
    pub(super) devices: Vec<DeviceTrial>,
    pub(super) compared: Vec<Comparison>,
}

impl DoctorReport {
    /// Returns the trial of the device that `--device` selects.
    pub(super) fn picked_device(&self) -> Option<&DeviceTrial> {
        let picked = self.picked.as_ref();
        let mut devices = self.devices.iter();
        devices.find(|device| Some(&device.name) == picked)
    }

    /// Returns the report as text for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        write_libraries(out, &self.machine)?;
        write_hardware(out, &self.machine)?;
        for device in &self.devices {
            write_device(out, device)?;
        }
        for row in &self.compared {
            writeln!(out, "{row}")?;
        }
        self.write_picked(out)
    }

    fn write_picked(&self, out: &mut String) -> fmt::Result {
        let asked = &self.asked;
        if let Some(picked) = &self.picked {
            return writeln!(out, "--device {asked} is {picked}");
        }
        let reason = self.not_usable.as_deref().unwrap_or_default();
        writeln!(out, "--device {asked} cannot be used: {reason}")
    }
}

fn write_libraries(out: &mut String, machine: &Machine) -> fmt::Result {
    let Machine {
        worker, built_with, ..
    } = machine;
    let libtorch = machine.libtorch.as_deref().unwrap_or("of unknown version");
    writeln!(out, "worker    {worker}, built with libtorch {built_with}")?;
    writeln!(out, "libtorch  {libtorch}, from")?;
    for library in &machine.libraries {
        writeln!(out, "          {library}")?;
    }
    if let Some(version) = machine.cudnn {
        writeln!(out, "cudnn     {version}")?;
    }
    Ok(())
}

fn write_hardware(out: &mut String, machine: &Machine) -> fmt::Result {
    let Machine { cpu, cores, .. } = machine;
    let memory = memory(machine.memory_mib);
    writeln!(out, "cpu       {cpu}, {cores} cores{memory}")?;
    writeln!(out, "          {}", machine.features.join(" "))?;
    for gpu in &machine.gpus {
        write_gpu(out, gpu)?;
    }
    match &machine.no_cuda {
        Some(reason) => writeln!(out, "cuda      not used: {reason}"),
        None => writeln!(out, "cuda      used"),
    }
}

fn write_gpu(out: &mut String, gpu: &Gpu) -> fmt::Result {
    write!(out, "gpu       {}{}", gpu.name, memory(gpu.memory_mib))?;
    if let Some(free) = gpu.free_mib {
        write!(out, " ({:.0} free)", gibibytes(free))?;
    }
    if let Some(driver) = &gpu.driver {
        write!(out, ", driver {driver}")?;
    }
    writeln!(out)
}

fn memory(mib: Option<u64>) -> String {
    mib.map_or_else(String::new, |mib| format!(", {:.0} GiB", gibibytes(mib)))
}

fn gibibytes(mib: u64) -> f64 {
    mib as f64 / 1024.0
}

fn write_device(out: &mut String, device: &DeviceTrial) -> fmt::Result {
    writeln!(out, "{}", device.name)?;
    for precision in &device.precisions {
        write_precision(out, precision)?;
    }
    match &device.other_noise {
        Some(difference) => writeln!(out, "  noise   differs from that of the cpu: {difference}"),
        None => writeln!(out, "  noise   the same integers as by the cpu's tables"),
    }
}

fn write_precision(out: &mut String, tried: &PrecisionTrial) -> fmt::Result {
    write!(out, "  {}    ", tried.precision)?;
    if let Some(reason) = &tried.reason {
        return writeln!(out, "does not run: {reason}");
    }
    writeln!(
        out,
        "runs{}; scores within {:.1e} of fp32 on the cpu; {} of {} convolutions fused",
        if tried.wide { NO_FASTER } else { "" },
        tried.from_fp32.unwrap_or_default(),
        tried.fused,
        tried.candidates
    )
}

const NO_FASTER: &str = ", no faster than fp32: this cpu does not multiply in it";
